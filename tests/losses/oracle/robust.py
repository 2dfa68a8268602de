"""Formulas of robust losses."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import Number, always, oracle


@oracle("huber", relative_value=always, relative_gradient=always)
def huber(pred: Number, target: Number, *, delta: Number) -> list[Number]:
    """r²/2 where |r| ≤ delta, else delta·(|r| − delta/2)."""
    a = abs(pred - target)
    return [a**2 / 2 if a <= delta else delta * (a - delta / 2)]


@oracle("pseudo_huber", relative_value=always, relative_gradient=always)
def pseudo_huber(pred: Number, target: Number, *, delta: Number) -> list[Number]:
    """delta²·(√(1 + (r/delta)²) − 1)."""
    return [delta**2 * (mp.sqrt(1 + ((pred - target) / delta) ** 2) - 1)]


@oracle("smooth_l1", relative_value=always, relative_gradient=always)
def smooth_l1(pred: Number, target: Number, *, beta: Number) -> list[Number]:
    """r²/(2·beta) where |r| < beta, else |r| − beta/2."""
    a = abs(pred - target)
    return [a**2 / (2 * beta) if a < beta else a - beta / 2]


@oracle("fair", relative_value=always, relative_gradient=always)
def fair(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """c²·(|r|/c − log(1 + |r|/c))."""
    u = abs(pred - target) / c
    return [c**2 * (u - mp.log(1 + u))]


@oracle("cauchy", relative_value=always, relative_gradient=always)
def cauchy(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """c²/2·log(1 + (r/c)²)."""
    return [c**2 / 2 * mp.log(1 + ((pred - target) / c) ** 2)]


@oracle("arctan", relative_value=always, relative_gradient=always)
def arctan(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """c²/2·arctan((r/c)²)."""
    return [c**2 / 2 * mp.atan(((pred - target) / c) ** 2)]


@oracle("geman_mcclure", relative_value=always, relative_gradient=always)
def geman_mcclure(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """2u²/(u² + 4), u = r/c: 2 − 8/(u² + 4)."""
    square = ((pred - target) / c) ** 2
    return [2 * square / (square + 4)]


@oracle("welsch", relative_value=always, relative_gradient=always)
def welsch(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """1 − exp(−(r/c)²/2)."""
    return [mpf(1), -mp.exp(-(((pred - target) / c) ** 2) / 2)]
