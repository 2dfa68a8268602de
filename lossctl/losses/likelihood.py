"""Negative log-likelihoods of a real number, with a predicted scale or variance."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Positive, Real
from lossctl.losses.numerics.elementary import select
from lossctl.losses.numerics.gamma_functions import log_half_step

# Squares of larger numbers may overflow.
_HUGE = 1e150
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@loss(
    formula="(log var + r²/var)/2 (+ log(2π)/2 if full);  r = pred − target",
    reference="Nix & Weigend 1994, doi:10.1109/ICNN.1994.374138",
    pitfalls=(
        "var is a variance, σ²: --input var=COLUMN or FILE",
        "without full, and with it where var is small, it can be negative",
        "the gradient is that of pred, not of var",
    ),
    relative_accuracy="the gradient everywhere",
)
def gaussian_nll(
    pred: Real,
    target: Real,
    var: Positive,
    *,
    full: Annotated[bool, Param("adds the constant log(2π)/2")] = False,
) -> tuple[Array, Thunk]:
    """Negative log-likelihood of normal errors with a predicted variance."""
    r = pred - target
    value = 0.5 * (np.log(var) + r * (r / var))
    return value + _HALF_LOG_2PI if full else value, lambda: r / var


@loss(
    formula="log(2·scale) + |r|/scale;  r = pred − target",
    reference="https://en.wikipedia.org/wiki/Laplace_distribution; scipy.stats.laplace",
    differences=("the standard deviation of such errors is √2·scale",),
    pitfalls=(
        "scale is the mean absolute error that is expected: --input scale=COLUMN or FILE",
        "it can be negative; the constant is included",
        "the gradient is that of pred, not of scale",
    ),
    relative_accuracy="the gradient everywhere",
)
def laplace_nll(pred: Real, target: Real, scale: Positive) -> tuple[Array, Thunk]:
    """Negative log-likelihood of Laplace errors with a predicted scale."""
    r = pred - target
    return np.log(2.0 * scale) + np.abs(r) / scale, lambda: np.sign(r) / scale


@loss(
    formula="log(scale) + (df + 1)/2·log(1 + r²/(df·scale²)) + C(df);  r = pred − target",
    reference="Lange, Little & Taylor 1989, doi:10.1080/01621459.1989.10478852",
    aliases=("t_nll",),
    differences=("statsmodels' norm StudentT leaves the constants out",),
    pitfalls=(
        "the standard deviation is scale·√(df/(df − 2)), of df above 2",
        "--input scale=…, --input df=…: a column or a file each",
        "C(df) = log Γ(df/2) − log Γ((df + 1)/2) + log(π·df)/2",
    ),
    relative_accuracy="the gradient everywhere",
)
def student_t_nll(pred: Real, target: Real, scale: Positive, df: Positive) -> tuple[Array, Thunk]:
    """Negative log-likelihood of Student's t errors."""
    r = pred - target
    z = r / scale
    q = np.abs(z)
    q /= np.sqrt(df)
    # log(1 + q²) is 2·log q where the square overflows; q itself may overflow too. Where q² underflows the term is 0.
    value = np.log1p(q * q)
    huge = np.flatnonzero(q > _HUGE)
    value[huge] = 2.0 * (np.log(np.abs(r[huge])) - np.log(scale[huge])) - np.log(df[huge])
    half = 0.5 * df
    value *= half + 0.5
    value += np.log(scale)
    value += _HALF_LOG_2PI - log_half_step(half)

    def gradient() -> Array:
        far = q > 1.0
        far_q = select(far, q, 1.0)
        beyond = np.sign(r) * ((df + 1.0) / np.sqrt(df) / scale) / (far_q + 1.0 / far_q)
        slope = select(far, beyond, (1.0 + 1.0 / df) * (z / scale) / (1.0 + np.minimum(q, 1.0) ** 2))
        return select(q > _HUGE, (df + 1.0) / r, slope)

    return value, gradient
