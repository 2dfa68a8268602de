"""Formulas of losses for two classes."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Inputs, Number, Params, always, oracle
from oracle.terms import hard_targets, smoothed, softplus, wlog


@oracle("bce", relative_value=always, relative_gradient=hard_targets)
def bce(pred: Number, target: Number, *, label_smoothing: Number) -> list[Number]:
    """−t·log p − (1 − t)·log(1 − p), with t and 1 − t smoothed over the two classes."""
    yes, no = smoothed([target, 1 - target], label_smoothing)
    return [-wlog(yes, pred), -wlog(no, 1 - pred)]


@oracle("bce_with_logits", relative_value=always, relative_gradient=hard_targets)
def bce_with_logits(
    pred: Number, target: Number, *, pos_weight: Number, label_weight: Number, label_smoothing: Number
) -> list[Number]:
    """−pos_weight·t·log σ(x) − (1 − t)·log σ(−x), with t and 1 − t smoothed over the two classes; times the weight."""
    yes, no = smoothed([target, 1 - target], label_smoothing)
    return [label_weight * pos_weight * yes * softplus(-pred), label_weight * no * softplus(pred)]


def _hard_and_positive(inputs: Inputs, params: Params) -> bool:
    return hard_targets(inputs, params) and params["epsilon"] >= 0


@oracle("poly1", relative_value=lambda _, params: params["epsilon"] >= 0, relative_gradient=_hard_and_positive)
def poly1(pred: Number, target: Number, *, epsilon: Number) -> list[Number]:
    """Cross-entropy + epsilon·(1 − p_t), p_t the probability of what happened."""
    return [*bce(pred, target, label_smoothing=ZERO), epsilon * (target * (1 - pred) + (1 - target) * pred)]


@oracle("cross_entropy_lambda")
def cross_entropy_lambda(pred: Number, target: Number, exposure: Number) -> list[Number]:
    """−t·log p − (1 − t)·log(1 − p), p = 1 − (1 + e^x)^−w; without the quotient: y − t·log(e^y − 1)."""
    y = exposure * softplus(pred)
    return [y, -target * (y + mp.log(-mp.expm1(-y)))]


@oracle("zero_one", relative_value=always, relative_gradient=always)
def zero_one(pred: Number, target: Number, *, threshold: Number) -> list[Number]:
    """1 where the decision is wrong: t where x < threshold, else 1 − t."""
    return [target if pred < threshold else 1 - target]
