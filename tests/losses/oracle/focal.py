"""Formulas of focal losses."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import INF, ZERO, Number, always, oracle
from oracle.terms import hard_targets, softplus, weighted


def _log(p: Number) -> Number:
    return mp.log(p) if p != 0 else -INF


def _focal(p: Number, gamma: Number) -> Number:
    """−(1 − p)^gamma·log p: of the probability of what happened."""
    return -((1 - p) ** gamma) * _log(p)


@oracle("focal", relative_value=always, relative_gradient=hard_targets)
def focal(pred: Number, target: Number, *, alpha: Number | None, gamma: Number) -> list[Number]:
    """−t·alpha·(1 − p)^gamma·log p − (1 − t)·(1 − alpha)·p^gamma·log(1 − p); no weights if alpha is none."""
    yes, no = (1, 1) if alpha is None else (alpha, 1 - alpha)
    return [
        weighted(yes * target, lambda: _focal(pred, gamma)),
        weighted(no * (1 - target), lambda: _focal(1 - pred, gamma)),
    ]


@oracle("focal_with_logits", relative_value=always, relative_gradient=hard_targets)
def focal_with_logits(pred: Number, target: Number, *, alpha: Number | None, gamma: Number) -> list[Number]:
    """The same of p = σ(x)."""
    yes, no = (1, 1) if alpha is None else (alpha, 1 - alpha)
    return [
        yes * target * mp.exp(-gamma * softplus(pred)) * softplus(-pred),
        no * (1 - target) * mp.exp(-gamma * softplus(-pred)) * softplus(pred),
    ]


@oracle("asymmetric", relative_value=always, relative_gradient=hard_targets)
def asymmetric(pred: Number, target: Number, *, gamma_neg: Number, gamma_pos: Number, clip: Number) -> list[Number]:
    """−t·(1 − p)^gamma_pos·log p − (1 − t)·q^gamma_neg·log(1 − q), q = max(0, p − clip)."""
    shifted = max(ZERO, pred - clip)
    return [
        weighted(target, lambda: _focal(pred, gamma_pos)),
        weighted(1 - target, lambda: _focal(1 - shifted, gamma_neg)),
    ]
