"""Formulas of losses of any number of classes at once."""

from __future__ import annotations

from oracle.mechanism import Number, Row, always, oracle
from oracle.terms import hard_targets, softplus


@oracle("multilabel_margin")
def multilabel_margin(pred: Row, target: Row) -> list[Number]:
    """Σ max(0, 1 − z[j] + z[i]) / k over j with t = 1 and i with t = 0."""
    k, terms = len(pred), []
    for z_j, t_j in zip(pred, target, strict=True):
        for z_i, t_i in zip(pred, target, strict=True):
            on = t_j == 1 and t_i == 0 and 1 - z_j + z_i > 0
            terms += [on * term / k for term in (1, -z_j, z_i)]
    return terms


@oracle("multilabel_soft_margin", relative_value=always, relative_gradient=hard_targets)
def multilabel_soft_margin(pred: Row, target: Row) -> list[Number]:
    """−Σ [t·log σ(z) + (1 − t)·log σ(−z)] / k."""
    k = len(pred)
    return [t * softplus(-z) / k for z, t in zip(pred, target, strict=True)] + [
        (1 - t) * softplus(z) / k for z, t in zip(pred, target, strict=True)
    ]
