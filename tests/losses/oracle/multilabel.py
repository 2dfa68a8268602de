"""Formulas of losses for samples with any number of classes."""

from __future__ import annotations

from mpmath import mpf  # type: ignore[import-untyped]

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


@oracle("label_ranking", relative_value=always, relative_gradient=always)
def label_ranking(pred: Row, target: Row) -> list[Number]:
    """Of all pairs with t[j] = 1 and t[i] = 0 the share with z[i] ≥ z[j]."""
    has = [z for z, t in zip(pred, target, strict=True) if t == 1]
    lacks = [z for z, t in zip(pred, target, strict=True) if t == 0]
    wrong = sum(other >= own for own in has for other in lacks)
    return [mpf(wrong) / max(len(has) * len(lacks), 1)]


@oracle("coverage", relative_value=always, relative_gradient=always)
def coverage(pred: Row, target: Row) -> list[Number]:
    """The worst rank, from 1 and of equals the worst, of a class with t = 1."""
    ranks = [sum(other >= z for other in pred) for z, t in zip(pred, target, strict=True) if t == 1]
    return [mpf(max(ranks, default=0))]


@oracle("multilabel_soft_margin", relative_value=always, relative_gradient=hard_targets)
def multilabel_soft_margin(pred: Row, target: Row) -> list[Number]:
    """−Σ [t·log σ(z) + (1 − t)·log σ(−z)] / k."""
    k = len(pred)
    return [t * softplus(-z) / k for z, t in zip(pred, target, strict=True)] + [
        (1 - t) * softplus(z) / k for z, t in zip(pred, target, strict=True)
    ]
