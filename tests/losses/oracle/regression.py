"""Formulas of regression losses."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle


@oracle("mse", relative_value=always, relative_gradient=always)
def mse(pred: Number, target: Number) -> list[Number]:
    """r²."""
    return [(pred - target) ** 2]


@oracle("rmse", relative_value=always, relative_gradient=always)
def rmse(pred: Number, target: Number) -> list[Number]:
    """r² per sample; √(mean r²) is the whole's."""
    return [(pred - target) ** 2]


@oracle("mae", relative_value=always, relative_gradient=always)
def mae(pred: Number, target: Number) -> list[Number]:
    """|r|."""
    return [abs(pred - target)]


@oracle("half_squared_error", relative_value=always, relative_gradient=always)
def half_squared_error(pred: Number, target: Number) -> list[Number]:
    """r²/2."""
    return [(pred - target) ** 2 / 2]


@oracle("log_cosh", relative_value=always, relative_gradient=always)
def log_cosh(pred: Number, target: Number) -> list[Number]:
    """The logarithm of cosh r; e^|r|/2·(1 + e^(−2|r|)) where cosh would be as long as |r|."""
    a = abs(pred - target)
    return [a + mp.log((1 + mp.exp(-2 * a)) / 2)]


@oracle("lq", relative_value=always, relative_gradient=always)
def lq(pred: Number, target: Number, *, q: Number) -> list[Number]:
    """|r|^q."""
    return [abs(pred - target) ** q]


@oracle("epsilon_insensitive")
def epsilon_insensitive(pred: Number, target: Number, *, epsilon: Number) -> list[Number]:
    """max(0, |r| − epsilon)."""
    a = abs(pred - target)
    return [a, -epsilon] if a > epsilon else [ZERO, ZERO]


@oracle("squared_epsilon_insensitive")
def squared_epsilon_insensitive(pred: Number, target: Number, *, epsilon: Number) -> list[Number]:
    """max(0, |r| − epsilon)², multiplied out."""
    a = abs(pred - target)
    return [a**2, -2 * a * epsilon, epsilon**2] if a > epsilon else [ZERO, ZERO, ZERO]
