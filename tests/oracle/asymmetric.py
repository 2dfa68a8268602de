"""Formulas of losses to which too much is not as bad as too little, or that do not see small errors."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle


@oracle("quantile", relative_value=always, relative_gradient=always)
def quantile(pred: Number, target: Number, *, tau: Number) -> list[Number]:
    """max(tau·e, (tau − 1)·e), e = target − pred."""
    e = target - pred
    return [max(tau * e, (tau - 1) * e)]


@oracle("loglin_quantile", relative_gradient=always)
def loglin_quantile(pred: Number, target: Number, *, tau: Number) -> list[Number]:
    """max(tau·e, (tau − 1)·e), e = target − e^x."""
    level = mp.exp(pred)
    weight = tau if target > level else tau - 1
    return [weight * target, -weight * level]


@oracle("expectile", relative_value=always, relative_gradient=always)
def expectile(pred: Number, target: Number, *, tau: Number) -> list[Number]:
    """|tau − 1(e < 0)|·e², e = target − pred."""
    e = target - pred
    return [abs(tau - mpf(e < 0)) * e**2]


# Of steps of 1e-210 and a = 1e-150, e^z − z − 1 is z²/2: 720 digits below the 1 that it is left of.
@oracle("linex", relative_value=always, relative_gradient=always, digits=400)
def linex(pred: Number, target: Number, *, a: Number) -> list[Number]:
    """e^z − z − 1, z = a·(target − pred)."""
    z = a * (target - pred)
    return [mp.exp(z) - z - 1]


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
