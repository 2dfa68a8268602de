"""Redescending losses of robust statistics, constant or nearly constant at large residuals: statsmodels' rho.

The gradient check leaves two kinds of points unresolved. Near |r| = c the slope of the Tukey losses and of ``hampel``
is so small relative to the value that the roundoff of the value hides it; this concerns large targets. At a kink of
``trimmed_mean`` or ``wing`` that lies between two neighbouring doubles, no step avoids the kink.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Real
from lossctl.core.interval import POSITIVE
from lossctl.errors import UsageError
from lossctl.losses.numerics.elementary import EXP_SERIES_BELOW, expm1_minus_over_square, not_finite, select
from lossctl.losses.numerics.error_free import difference, product, quotient

Cutoff = Annotated[float, Param("from where on it is constant, in target units", POSITIVE)]

_SCALED = "residuals are taken as they are: divide them by a scale, the MAD say, for the usual efficiency"


@loss(
    formula="c²/6·(1 − (1 − (r/c)²)³) where |r| ≤ c, else c²/6;  r = pred − target",
    reference="Beaton & Tukey 1974, doi:10.1080/00401706.1974.10489171",
    aliases=("tukey", "bisquare"),
    differences=("some scale it to 1 at the end: this times 6/c²",),
    pitfalls=(_SCALED,),
    relative_accuracy="the value everywhere",
)
def tukey_biweight(pred: Real, target: Real, *, c: Cutoff = 4.685) -> tuple[Array, Thunk]:
    """About r²/2 near zero, constant beyond ``c``."""
    r = pred - target
    a = np.minimum(np.abs(r), c)
    u = a / c
    square = u * u
    value = a * a * ((3.0 - 3.0 * square + square * square) / 6.0)
    return value, lambda: np.copysign(a, r) * ((1.0 - u) * (1.0 + u)) ** 2


@loss(
    formula="r²/2·(1 − 2u/3 + u²/5), u = (r/c)^4, where |r| ≤ c, else 4c²/15;  r = pred − target",
    reference="statsmodels.robust.norms.TukeyQuartic",
    differences=("statsmodels has the power of u, 4 here, for a parameter k: 2 makes it tukey_biweight",),
    pitfalls=(_SCALED,),
    relative_accuracy="the value everywhere",
)
def tukey_quartic(pred: Real, target: Real, *, c: Cutoff = 3.61752) -> tuple[Array, Thunk]:
    """Tukey's biweight with power 4: close to r²/2 for longer, constant beyond ``c``."""
    r = pred - target
    a = np.minimum(np.abs(r), c)
    u = a / c
    square = u * u
    fourth = square * square
    value = a * a * ((15.0 - 10.0 * fourth + 3.0 * (fourth * fourth)) / 30.0)
    return value, lambda: np.copysign(a, r) * ((1.0 - u) * (1.0 + u) * (1.0 + square)) ** 2


# exp(−a|r|/2) is 0 for a·|r| above this.
_FLAT = 1500.0
# π − math.pi
_PI_LOW = 1.2246467991473532e-16


@loss(
    formula="a²·(1 − cos(r/a)) where |r| ≤ a·π, else 2a²;  r = pred − target",
    reference="Andrews et al. 1972, doi:10.1515/9781400867011",
    aliases=("andrews",),
    differences=("some halve it, or divide by a",),
    pitfalls=(_SCALED,),
    relative_accuracy="everywhere",
)
def andrew_wave(
    pred: Real,
    target: Real,
    *,
    a: Annotated[float, Param("a·π is where it becomes constant, in target units", POSITIVE)] = 1.339,
) -> tuple[Array, Thunk]:
    """Half a period of a cosine, constant beyond its maximum."""
    r = pred - target
    u = np.minimum(np.abs(r) / a, math.pi)
    s = np.sin(0.5 * u)
    # a·s first: it is at most |r|/2, so it neither overflows nor vanishes
    value = 2.0 * (a * s) * (a * s)

    def gradient() -> Array:
        # Near the top sin(u) is π − u, which needs the roundoff of u and more digits of π.
        exact, lost = difference(pred, target)
        high, low = quotient(np.abs(exact), np.copysign(1.0, exact) * lost, a)
        from_top = np.fmax((math.pi - high) + (_PI_LOW - low), 0.0)  # also where r/a overflows
        slope = np.sin(select(high < 1.0, high, np.minimum(from_top, math.pi)))
        return np.asarray(slope * np.copysign(a, r))

    return value, gradient


@loss(
    formula="r²/2 to a, then a·|r| − a²/2 to b, then flattening to a(b + c − a)/2 at c;  r = pred − target",
    reference="Hampel 1974, doi:10.1080/01621459.1974.10482962",
    pitfalls=("a ≤ b < c is needed", _SCALED),
    relative_accuracy="the value everywhere",
)
def hampel(
    pred: Real,
    target: Real,
    *,
    a: Annotated[float, Param("where the parabola becomes a line, in target units", POSITIVE)] = 2.0,
    b: Annotated[float, Param("where the line begins to flatten", POSITIVE)] = 4.0,
    c: Annotated[float, Param("from where on it is constant", POSITIVE)] = 8.0,
) -> tuple[Array, Thunk]:
    """Huber's loss that flattens between ``b`` and ``c``: three parts and a constant."""
    if not a <= b < c:
        raise UsageError(f"hampel: a = {a:g}, b = {b:g}, c = {c:g}: a ≤ b < c is needed")
    r = pred - target
    size = np.minimum(np.abs(r), c)
    square = np.minimum(size, a)
    line = np.minimum(np.maximum(size - a, 0.0), b - a)
    bend = np.maximum(size - b, 0.0)
    value = 0.5 * square * square + a * line + a * bend * (1.0 - bend / (2.0 * (c - b)))

    def gradient() -> Array:
        return np.copysign(select(bend > 0, a * ((c - size) / (c - b)), square), r)

    return value, gradient


@loss(
    formula="(1 − e^(−a|r|)·(1 + a|r|))/a²;  r = pred − target",
    reference="Ramsay 1977, doi:10.1080/01621459.1977.10480622",
    aliases=("ramsay_e",),
    pitfalls=("a is in 1/target units: larger bends earlier", _SCALED),
    relative_accuracy="everywhere",
)
def ramsay(
    pred: Real,
    target: Real,
    *,
    a: Annotated[float, Param("1/a is where its slope is largest, in 1/target units", POSITIVE)] = 0.3,
) -> tuple[Array, Thunk]:
    """About r²/2 near zero, towards 1/a² for large residuals."""
    r = pred - target
    size = np.abs(r)
    x = a * size
    capped = np.minimum(x, _FLAT)
    value = np.exp(-capped)
    capped += 1.0
    value *= capped
    np.subtract(1.0, value, out=value)
    value /= a
    value /= a
    small = np.flatnonzero(x < EXP_SERIES_BELOW)
    value[small] = size[small] ** 2 * (np.exp(-x[small]) * expm1_minus_over_square(x[small]))

    def gradient() -> Array:
        # The exponential magnifies the roundoff of a·|r|. Half of the exponent at a time, since r may be large.
        exact, lost = difference(pred, target)
        high, low = product(np.abs(exact), a)
        low = low + a * (np.copysign(1.0, exact) * lost)
        half = np.exp(-0.5 * high) * (1.0 - 0.5 * select(high < _FLAT, low, 0.0))
        slope = r * half * half
        slope[not_finite(r)] = 0.0
        return slope

    return value, gradient


@loss(
    formula="r²/2 where |r| ≤ c, else c²/2;  r = pred − target",
    reference="statsmodels.robust.norms.TrimmedMean",
    aliases=("talwar",),
    differences=("the trimmed mean of a sample leaves out a share of it: here what is beyond c is left out",),
    pitfalls=("what is beyond c has no gradient, and a kink lies there", _SCALED),
    relative_accuracy="everywhere",
)
def trimmed_mean(pred: Real, target: Real, *, c: Cutoff = 2.0) -> tuple[Array, Thunk]:
    """Half the squared error up to ``c``, constant beyond."""
    r = pred - target
    a = np.minimum(np.abs(r), c)
    return 0.5 * a * a, lambda: select(np.abs(r) <= c, r, 0.0)


@loss(
    formula="w·log(1 + |r|/e) where |r| < w, else |r| − w + w·log(1 + w/e);  w = width, e = curvature",
    reference="Feng et al. 2018, doi:10.1109/CVPR.2018.00238",
    differences=("the authors' defaults are 10 and 2, for landmarks in pixels",),
    pitfalls=("steepest at zero, where it has a kink: errors that are small already still count",),
)
def wing(
    pred: Real,
    target: Real,
    *,
    width: Annotated[float, Param("up to where it is a logarithm, in target units", POSITIVE)] = 5.0,
    curvature: Annotated[float, Param("how soon the logarithm flattens, in target units", POSITIVE)] = 0.5,
) -> tuple[Array, Thunk]:
    """A logarithm for small errors, a line for large ones: facial landmarks."""
    r = pred - target
    a = np.abs(r)
    capped = np.minimum(a, width)
    value = width * np.log1p(capped / curvature) + (a - capped)
    return value, lambda: np.sign(r) * select(a < width, width / (curvature + capped), 1.0)
