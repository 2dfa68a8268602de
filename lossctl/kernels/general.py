"""The robust loss whose shape is a parameter."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.kernels.domain import Interval
from lossctl.kernels.kinds import Array, Real
from lossctl.kernels.numerics import choose, expm1_over, log1p_over
from lossctl.kernels.robust import Scale, gaussian_slope
from lossctl.kernels.spec import Param, Thunk, loss

Shape = Annotated[
    float,
    Param("2: mse/2, 1: pseudo_huber, 0: cauchy, −2: geman_mcclure, −inf: welsch", Interval(-math.inf, 2.0)),
]


@loss(
    formula="b/alpha·((u²/b + 1)^(alpha/2) − 1), b = |alpha − 2|, u = r/c;  its limits at alpha = 2, 0, −inf",
    see="Barron 2019, doi:10.1109/CVPR.2019.00446",
    aliases=("general_robust",),
    differs=("the author's code takes any alpha; here it is 2 at most", "with alpha = 1 it is pseudo_huber/c²"),
    pitfalls=("not multiplied by c²: it is about (r/c)²/2 near zero",),
    relative="the value everywhere, the gradient for alpha from −18 on and for −inf",
)
def barron(pred: Real, target: Real, *, alpha: Shape = 1.0, c: Scale = 1.0) -> tuple[Array, Thunk]:
    """From least squares to a loss that forgets outliers, by one parameter."""
    u = np.abs(pred - target) / c
    if alpha == 2.0:
        return 0.5 * u * u, lambda: (pred - target) / c / c
    b = 2.0 - alpha
    v = (u / math.sqrt(b)) ** 2
    near = v < 1.0
    # s = √(1 + u²/b), whose logarithm, times b, is u²/2 where u is small: also where v has vanished
    s = np.hypot(1.0, u / math.sqrt(b))
    size = choose(near, 0.5 * u * u * log1p_over(choose(near, v, 0.0)), b * np.log(s) if b < math.inf else 0.0)
    ratio = alpha / b if b < math.inf else -1.0
    exponent = ratio * size
    value = size * expm1_over(np.clip(exponent, -1.0, 1.0))
    large = np.abs(exponent) > 1.0
    if large.any():
        # A power of s itself is good to an ulp, where exp magnifies the error of a large exponent.
        less = choose(near, np.expm1(exponent), s**alpha - 1.0)
        value[large] = less[large] / ratio

    def gradient() -> Array:
        if alpha == -math.inf:
            return gaussian_slope(pred, target, c)
        # s^(alpha − 2), of whichever power is exact and does not overflow
        power = s**alpha / s if alpha <= 1.0 else s ** (alpha - 1.0)
        return np.sign(pred - target) * ((u / s) / c * power)

    return value, gradient
