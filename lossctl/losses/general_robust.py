"""Barron's general robust loss, whose shape is a parameter."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Real
from lossctl.core.interval import Interval
from lossctl.losses.numerics.elementary import not_finite
from lossctl.losses.numerics.scaled_residual import Scale, gaussian_slope

# Squares outside these limits may be subnormal or infinite.
_VANISHED, _OVERFLOWN = 1e-290, 1e300
# For |alpha/b| below this, alpha/b times a size of at most 2000 is below the roundoff of 1: use the limit alpha = 0.
_CAUCHY = 1e-20
# Above this exponent, e^x would magnify the roundoff of x too much.
_LARGE = 8.0

Shape = Annotated[
    float,
    Param("2: mse/2, 1: pseudo_huber, 0: cauchy, −2: geman_mcclure, −inf: welsch", Interval(-math.inf, 2.0)),
]


@loss(
    formula="b/alpha·((u²/b + 1)^(alpha/2) − 1), b = |alpha − 2|, u = r/c;  its limits at alpha = 2, 0, −inf",
    reference="Barron 2019, doi:10.1109/CVPR.2019.00446",
    aliases=("general_robust",),
    differences=("the author's code takes any alpha; here it is 2 at most", "with alpha = 1 it is pseudo_huber/c²"),
    pitfalls=("not multiplied by c²: it is about (r/c)²/2 near zero",),
    relative_accuracy="the value everywhere, the gradient for alpha ≥ −18 and −inf",
)
def barron(pred: Real, target: Real, *, alpha: Shape = 1.0, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """From least squares to a loss that ignores outliers, by one parameter."""
    u = pred - target
    np.abs(u, out=u)
    u /= c
    if alpha == 2.0:
        return 0.5 * u * u, lambda: (pred - target) / c / c
    if alpha == 1.0:  # three times as fast as the powers below
        h = _root(u, u * u, 1.0)
        share, beyond = u / (1.0 + h), not_finite(u)
        share[beyond] = 1.0

        def slope() -> Array:
            share = u / h
            share[beyond] = 1.0
            return np.sign(pred - target) * (share / c)

        return u * share, slope
    b = 2.0 - alpha
    v = u / math.sqrt(b) if b < math.inf else np.zeros_like(u)
    v *= v
    size = _size(u, v, b)
    ratio = alpha / b if b < math.inf else -1.0
    if abs(ratio) < _CAUCHY:
        value = size
    else:
        size *= ratio
        value = np.expm1(size)
        # e^x magnifies the roundoff of a large x; a power of 1 + v is accurate to an ulp.
        large = np.flatnonzero(size > _LARGE)
        value[large] = (1.0 + v[large]) ** (0.5 * alpha) - 1.0
        lost = large[v[large] > _OVERFLOWN]
        value[lost] = (u[lost] / math.sqrt(b)) ** alpha
        value /= ratio

    def gradient() -> Array:
        if alpha == -math.inf:
            return gaussian_slope(pred, target, c)
        s = _root(u, v, b)
        # u·s^(alpha − 2) is share·power with power = s^(alpha − 1), in the form that is accurate and does not overflow
        power = s**alpha / s if alpha <= 1.0 else s ** (alpha - 1.0)
        share, beyond = u / s, not_finite(s)
        share[beyond], power[beyond] = math.sqrt(b), s[beyond] ** (alpha - 1.0)
        return np.sign(pred - target) * (share / c * power)

    return value, gradient


def _size(u: Array, v: Array, b: float) -> Array:
    """Return ``b/2·log(1 + v)`` with v = u²/b; for small u it is u²/2, also where v underflows."""
    size = np.log1p(v)
    size *= 0.5 * b
    small, large = np.flatnonzero(v < _VANISHED), np.flatnonzero(v > _OVERFLOWN)
    size[small] = 0.5 * u[small] * u[small]
    size[large] = b * (np.log(u[large]) - 0.5 * math.log(b))
    return size


def _root(u: Array, v: Array, b: float) -> Array:
    """Return ``√(1 + v)`` with v = u²/b, also where v overflows."""
    s = np.sqrt(1.0 + v)
    large = np.flatnonzero(v > _OVERFLOWN)
    s[large] = u[large] / math.sqrt(b)
    return s
