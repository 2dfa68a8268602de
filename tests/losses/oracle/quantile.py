"""Formulas of losses that weight errors above and below the target differently."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import Number, always, oracle


@oracle("quantile", relative_value=always, relative_gradient=always)
def quantile(pred: Number, target: Number, *, tau: Number) -> list[Number]:
    """max(tau·e, (tau − 1)·e), e = target − pred."""
    e = target - pred
    return [max(tau * e, (tau - 1) * e)]


@oracle("weighted_interval_score", relative_value=always, relative_gradient=always)
def weighted_interval_score(pred: Number, target: Number, *, tau: Number) -> list[Number]:
    """2·max(tau·e, (tau − 1)·e), e = target − pred."""
    e = target - pred
    return [2 * max(tau * e, (tau - 1) * e)]


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
