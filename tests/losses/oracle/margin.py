"""Formulas of losses of a margin, u = t·x."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle
from oracle.terms import softplus


@oracle("hinge", relative_value=always, relative_gradient=always)
def hinge(pred: Number, target: Number, *, margin: Number) -> list[Number]:
    """max(0, margin − t·x)."""
    return [max(ZERO, margin - target * pred)]


@oracle("squared_hinge", relative_value=always, relative_gradient=always)
def squared_hinge(pred: Number, target: Number, *, margin: Number) -> list[Number]:
    """max(0, margin − t·x)²."""
    return [max(ZERO, margin - target * pred) ** 2]


@oracle("smoothed_hinge", relative_value=always, relative_gradient=always)
def smoothed_hinge(pred: Number, target: Number, *, gamma: Number) -> list[Number]:
    """0 where u ≥ 1, 1 − u − gamma/2 where u ≤ 1 − gamma, else (1 − u)²/(2·gamma)."""
    u = target * pred
    if u >= 1:
        return [ZERO]
    return [1 - u - gamma / 2 if u <= 1 - gamma else (1 - u) ** 2 / (2 * gamma)]


@oracle("modified_huber", relative_value=always, relative_gradient=always)
def modified_huber(pred: Number, target: Number) -> list[Number]:
    """max(0, 1 − u)² where u ≥ −1, else −4u."""
    u = target * pred
    return [max(ZERO, 1 - u) ** 2 if u >= -1 else -4 * u]


@oracle("soft_margin", relative_value=always, relative_gradient=always)
def soft_margin(pred: Number, target: Number) -> list[Number]:
    """That is log(1 + e^(−u))."""
    return [softplus(-target * pred)]


@oracle("exponential", relative_value=always, relative_gradient=always)
def exponential(pred: Number, target: Number) -> list[Number]:
    """Just e^(−u)."""
    return [mp.exp(-target * pred)]


@oracle("perceptron", relative_value=always, relative_gradient=always)
def perceptron(pred: Number, target: Number) -> list[Number]:
    """The larger of 0 and −u."""
    return [max(ZERO, -target * pred)]


@oracle("ramp", relative_value=always, relative_gradient=always)
def ramp(pred: Number, target: Number) -> list[Number]:
    """min(1, max(0, 1 − u))."""
    return [min(1 + ZERO, max(ZERO, 1 - target * pred))]


@oracle("savage", relative_value=always, relative_gradient=always)
def savage(pred: Number, target: Number) -> list[Number]:
    """1/(1 + e^u)²."""
    return [1 / (1 + mp.exp(target * pred)) ** 2]


@oracle("tangent")
def tangent(pred: Number, target: Number) -> list[Number]:
    """(2·arctan(u) − 1)², multiplied out."""
    angle = mp.atan(target * pred)
    return [4 * angle**2, -4 * angle, 1 + ZERO]


@oracle("dwd", relative_value=always, relative_gradient=always)
def dwd(pred: Number, target: Number, *, q: Number) -> list[Number]:
    """1 − u where u ≤ q/(q + 1), else q^q/(q + 1)^(q + 1)/u^q."""
    u = target * pred
    return [1 - u if u <= q / (q + 1) else q**q / (q + 1) ** (q + 1) / u**q]
