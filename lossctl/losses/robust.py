"""Robust losses: quadratic at small residuals, and flatter at large ones, which limits the effect of outliers."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Real
from lossctl.core.interval import POSITIVE
from lossctl.losses.numerics.elementary import LOG_SERIES_BELOW, not_finite, select, u_minus_log1p_over_square
from lossctl.losses.numerics.scaled_residual import Scale, gaussian_slope

# Squares of numbers between these two neither overflow nor vanish.
_TINY, _HUGE = 1e-150, 1e150


@loss(
    formula="r²/2 where |r| ≤ delta, else delta·(|r| − delta/2);  r = pred − target",
    reference="Huber 1964, doi:10.1214/aoms/1177703732",
    differences=(
        "torch smooth_l1_loss with beta is this with delta = beta, divided by beta",
        "LightGBM takes delta = 0.9 (its alpha), statsmodels 1.345",
    ),
    pitfalls=("delta is in the units of the target: scale the one with the other",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def huber(
    pred: Real,
    target: Real,
    *,
    delta: Annotated[float, Param("where the parabola becomes a line, in target units", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Squared near zero, absolute beyond ``delta``."""
    a = pred - target
    np.abs(a, out=a)
    q = np.clip(a, 0.0, delta)  # in half the time of np.minimum
    a -= 0.5 * q
    a *= q
    return a, lambda: np.clip(pred - target, -delta, delta)


@loss(
    formula="delta²·(√(1 + (r/delta)²) − 1);  r = pred − target",
    reference="Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553; Hartley & Zisserman 2003, A6.8",
    aliases=("charbonnier",),
    differences=("image restoration writes √(r² + eps²): this divided by delta, plus delta",),
    pitfalls=("written as in the formula it is 0 for tiny r and overflows for huge r: not here",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def pseudo_huber(
    pred: Real,
    target: Real,
    *,
    delta: Annotated[float, Param("where the parabola turns into a line, in target units", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """A smooth huber: r²/2 near zero, delta·|r| far away."""
    r = pred - target
    h = np.sqrt(delta * delta + r * r)
    # Squares overflow beyond 1e154 and vanish below 1e-162; hypot does neither, at 8 x the time.
    extreme = ~((h > _TINY) & (h < _HUGE))
    if extreme.any():
        h[extreme] = np.hypot(delta, r[extreme])
    share, beyond = r / (h + delta), not_finite(r)
    share[beyond] = np.sign(r[beyond])

    def gradient() -> Array:
        slope = r * (delta / h)
        slope[beyond] = np.copysign(delta, r[beyond])
        return slope

    return r * (delta * share), gradient


@loss(
    formula="r²/(2·beta) where |r| < beta, else |r| − beta/2;  r = pred − target",
    reference="Girshick 2015, doi:10.1109/ICCV.2015.169",
    differences=("torch takes beta = 0 as mae; here beta is above 0", "huber with delta = beta is this times beta"),
    pitfalls=("beta is in the units of the target: scale the one with the other",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def smooth_l1(
    pred: Real,
    target: Real,
    *,
    beta: Annotated[float, Param("where the parabola becomes a line, in target units", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """The absolute error with its tip rounded off: the slope is at most 1."""
    r = pred - target
    a = np.abs(r)
    q = np.clip(a, 0.0, beta)
    a -= 0.5 * q
    a *= q / beta
    return a, lambda: np.clip(r / beta, -1.0, 1.0)


@loss(
    formula="c²·(|r|/c − log(1 + |r|/c));  r = pred − target",
    reference="Fair 1974; Rey 1983, doi:10.1007/978-3-642-68861-4",
    differences=("LightGBM calls c fair_c",),
    pitfalls=("c is in the units of the target: scale the one with the other",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def fair(pred: Real, target: Real, *, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """About r²/2 near zero, c·|r| less a logarithm far away."""
    r = pred - target
    u = np.abs(r)
    u /= c
    value = np.log1p(u)
    np.subtract(u, value, out=value)
    value *= c
    value *= c
    small = np.flatnonzero(u < LOG_SERIES_BELOW)
    value[small] = r[small] ** 2 * u_minus_log1p_over_square(u[small])
    beyond = not_finite(u)  # where the loss is c·|r| to the last digit
    value[beyond] = c * np.abs(r[beyond])

    def gradient() -> Array:
        slope = r / (1.0 + u)
        slope[beyond] = np.copysign(c, r[beyond])
        return slope

    return value, gradient


@loss(
    formula="c²/2·log(1 + (r/c)²);  r = pred − target",
    reference="Black & Anandan 1996, doi:10.1006/cviu.1996.0006",
    aliases=("lorentzian",),
    differences=("scipy least_squares takes the square r²/c² and halves at the end: the same", "some omit c²"),
    pitfalls=("not convex: beyond |r| = c the gradient falls, and what is far off hardly counts",),
    relative_accuracy="everywhere",
)
def cauchy(pred: Real, target: Real, *, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """The log-likelihood of Cauchy errors: grows like a logarithm."""
    r = pred - target
    u = np.abs(r) / c
    value = c * (c * (0.5 * np.log1p(u * u)))
    tiny, huge = u < _TINY, u > _HUGE
    if tiny.any():
        value[tiny] = 0.5 * r[tiny] * r[tiny]
    if huge.any():
        value[huge] = c * (c * np.log(u[huge]))

    def gradient() -> Array:
        far = u > 1.0
        far_u = select(far, u, 1.0)
        return select(far, np.copysign(c, r) / (far_u + 1.0 / far_u), r / (1.0 + np.minimum(u, 1.0) ** 2))

    return value, gradient


@loss(
    formula="c²/2·arctan((r/c)²);  r = pred − target",
    reference="scipy.optimize.least_squares",
    differences=("scipy least_squares takes the square r²/c² and halves at the end: the same",),
    pitfalls=("an outlier costs at most π·c²/4, and has next to no gradient",),
    relative_accuracy="everywhere",
)
def arctan(pred: Real, target: Real, *, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """About r²/2 near zero, and bounded."""
    r = pred - target
    u = np.abs(r) / c
    value = c * (c * (0.5 * np.arctan(u * u)))
    tiny = u < _TINY
    if tiny.any():
        value[tiny] = 0.5 * r[tiny] * r[tiny]

    def gradient() -> Array:
        far = u > 1.0
        far_u = select(far, u, 1.0)
        square = far_u * far_u
        return select(far, (np.copysign(c, r) / far_u) / (square + 1.0 / square), r / (1.0 + np.minimum(u, 1.0) ** 4))

    return value, gradient


@loss(
    formula="2u²/(u² + 4), u = r/c;  r = pred − target",
    reference="Geman & McClure 1985; Barron 2019, doi:10.1109/CVPR.2019.00446",
    differences=("barron with alpha = −2 is this", "others write u²/(1 + u²), or half of that, with a c half as large"),
    pitfalls=("not multiplied by c²: it goes from 0 to 2 whatever c is",),
    relative_accuracy="everywhere",
)
def geman_mcclure(pred: Real, target: Real, *, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """Quadratic near zero, and soon flat."""
    r = pred - target
    a = np.abs(r)
    u = a / c
    square = np.minimum(u, _HUGE) ** 2  # the loss is 2 long before this limit

    def gradient() -> Array:
        # 16·u/(u² + 4)²/c, in an order in which no factor overflows or vanishes before the product
        q = 1.0 / (u + 4.0 / u)
        return select(u == 0, 0.0, np.sign(r) * (16.0 * (q / select(a == 0, 1.0, a)) * q))

    return 2.0 * square / (square + 4.0), gradient


@loss(
    formula="1 − exp(−(r/c)²/2);  r = pred − target",
    reference="Dennis & Welsch 1978, doi:10.1080/03610917808812083",
    aliases=("leclerc",),
    differences=("others multiply it by c²; barron with alpha = −inf is this", "some write exp(−(r/c)²)"),
    pitfalls=("not multiplied by c²: it goes from 0 to 1 whatever c is", "beyond |r| = 39·c the gradient is 0"),
    relative_accuracy="everywhere",
)
def welsch(pred: Real, target: Real, *, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """A Gaussian well: quadratic near zero, flat far away."""
    u = (pred - target) / c
    return -np.expm1(-0.5 * (u * u)), lambda: gaussian_slope(pred, target, c)
