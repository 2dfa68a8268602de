"""Formulas of losses of robust statistics: rho as in statsmodels.robust.norms."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle


@oracle("tukey_biweight", relative_value=always)
def tukey_biweight(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """c²/6·(1 − (1 − (r/c)²)³) where |r| ≤ c, else c²/6; multiplied out."""
    w = ((pred - target) / c) ** 2
    return [c**2 / 2 * w, -(c**2) / 2 * w**2, c**2 / 6 * w**3] if w <= 1 else [c**2 / 6, ZERO, ZERO]


@oracle("tukey_quartic", relative_value=always)
def tukey_quartic(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """The integral of r·(1 − (r/c)⁴)² from 0 to |r|, or to c where that is less; multiplied out."""
    w = ((pred - target) / c) ** 2
    return [c**2 / 2 * w, -(c**2) / 3 * w**3, c**2 / 10 * w**5] if w <= 1 else [4 * c**2 / 15, ZERO, ZERO]


@oracle("andrew_wave", relative_value=always, relative_gradient=always)
def andrew_wave(pred: Number, target: Number, *, a: Number) -> list[Number]:
    """a²·(1 − cos(r/a)) where |r| ≤ a·π, else 2a²."""
    r = pred - target
    return [a**2 * (1 - mp.cos(r / a)) if abs(r) <= a * mp.pi else 2 * a**2]


@oracle("hampel", relative_value=always)
def hampel(pred: Number, target: Number, *, a: Number, b: Number, c: Number) -> list[Number]:
    """r²/2 to a, a·|r| − a²/2 to b, a/2·(b + c − a) − a/2·(c − |r|)²/(c − b) to c, then constant."""
    z = abs(pred - target)
    if z <= a:
        return [z**2 / 2, ZERO, ZERO]
    if z <= b:
        return [a * z, -(a**2) / 2, ZERO]
    top = a / 2 * (b + c - a)
    if z > c:
        return [top, ZERO, ZERO]
    bend = a / 2 / (c - b)
    return [top - bend * c**2, 2 * bend * c * z, -bend * z**2]


@oracle("ramsay", relative_value=always, relative_gradient=always)
def ramsay(pred: Number, target: Number, *, a: Number) -> list[Number]:
    """(1 − e^(−a|r|)·(1 + a|r|))/a²."""
    x = a * abs(pred - target)
    return [1 / a**2, -mp.exp(-x) * (1 + x) / a**2]


@oracle("trimmed_mean", relative_value=always, relative_gradient=always)
def trimmed_mean(pred: Number, target: Number, *, c: Number) -> list[Number]:
    """r²/2 where |r| ≤ c, else c²/2."""
    z = abs(pred - target)
    return [z**2 / 2 if z <= c else c**2 / mpf(2)]


@oracle("wing")
def wing(pred: Number, target: Number, *, width: Number, curvature: Number) -> list[Number]:
    """w·log(1 + |r|/e) where |r| < w, else |r| − (w − w·log(1 + w/e))."""
    z = abs(pred - target)
    if z < width:
        return [width * mp.log(1 + z / curvature), ZERO, ZERO]
    return [z, -width, width * mp.log(1 + width / curvature)]
