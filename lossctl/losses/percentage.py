"""Losses of relative errors: the error divided by the size of the target, or the difference of logarithms."""

from __future__ import annotations

import math

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import MeanTransform, Thunk, loss
from lossctl.core.input_kinds import AboveMinusOne, NonZero, Positive, Real
from lossctl.losses.numerics.elementary import not_finite, select


def _squared_log_ratio(pred: Array, target: Array) -> tuple[Array, Thunk]:
    # log1p(p) − log1p(t) cancels where p ≈ t. log1p(|p − t|/(1 + min(p, t))) is its absolute value and does not cancel.
    smaller = 1.0 + np.minimum(pred, target)
    excess = (pred - target) / smaller
    d = np.copysign(np.log1p(np.abs(excess)), excess)
    return d * d, lambda: 2.0 * d / (1.0 + pred)


@loss(
    formula="(log(1 + p) − log(1 + t))²;  p = pred, t = target",
    reference="https://scikit-learn.org/stable/modules/model_evaluation.html#mean-squared-logarithmic-error",
    aliases=("mean_squared_logarithmic_error", "mean_squared_log_error"),
    pitfalls=(
        "for amounts over several decades: it sees ratios, and forgives too much more easily than too little",
        "the 1 is in the units of the target: of amounts far below 1 it is the squared error",
    ),
    relative_accuracy="everywhere",
)
def msle(pred: AboveMinusOne, target: AboveMinusOne) -> tuple[Array, Thunk]:
    """The squared error of log(1 + x)."""
    return _squared_log_ratio(pred, target)


@loss(
    formula="√(mean (log(1 + p) − log(1 + t))²);  p = pred, t = target",
    reference="the square root of msle, taken once over all elements",
    aliases=("root_mean_squared_log_error", "root_mean_squared_logarithmic_error"),
    pitfalls=("the rmsle of a whole is not the mean of the rmsle of its parts",),
    relative_accuracy="everywhere",
    finish=MeanTransform(
        math.sqrt, lambda mean: 0.5 / math.sqrt(mean) if mean else 0.0, per_sample="(log(1 + p) − log(1 + t))²"
    ),
)
def rmsle(pred: AboveMinusOne, target: AboveMinusOne) -> tuple[Array, Thunk]:
    """The square root of msle: about the typical relative error.

    Per-sample values are those of msle. At value 0 the gradient is taken to be 0.
    """
    return _squared_log_ratio(pred, target)


@loss(
    formula="|r/t|;  r = pred − target, t = target",
    reference="Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001",
    aliases=("mean_absolute_percentage_error",),
    pitfalls=(
        "a fraction: 0.1 is 10 %",
        "it punishes too much without limit and too little by 1 at most, so its minimum is biased low",
    ),
    relative_accuracy="everywhere",
)
def mape(pred: Real, target: NonZero) -> tuple[Array, Thunk]:
    """The absolute error as a fraction of the target."""
    r = pred - target
    return np.abs(r / target), lambda: np.sign(r) / np.abs(target)


@loss(
    formula="|r|/((|p| + |t|)/2), 0 where both are 0;  r = p − t, p = pred, t = target",
    reference="Makridakis 1993, doi:10.1016/0169-2070(93)90079-3",
    aliases=("symmetric_mape", "symmetric_mean_absolute_percentage_error"),
    differences=("other libraries go from 0 to 1 (half of this) or from 0 to 200 (per cent)",),
    pitfalls=(
        "from 0 to 2; of the wrong sign everything costs 2, and the gradient is 0",
        "at p = 0 ≠ t the gradient is taken from the side of the target",
    ),
    relative_accuracy="everywhere",
)
def smape(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The absolute error relative to the mean size of prediction and target.

    The loss has a kink at pred = 0. If |pred| is less than 1e-10·|target|, the slope is too small relative to the value
    for difference quotients, and the gradient check leaves such points unresolved.
    """
    r = pred - target
    size = np.abs(pred) + np.abs(target)
    divisor = select(size == 0, 1.0, size)
    share = np.abs(r) / divisor
    if (beyond := not_finite(size)).size:  # the sum of the halves does not overflow
        p, t = 0.5 * pred[beyond], 0.5 * target[beyond]
        share[beyond] = np.abs(p - t) / (np.abs(p) + np.abs(t))

    def gradient() -> Array:
        # If the signs agree, the slope is 4·|t|/size² towards the target; if not, the loss is constant.
        toward = select(np.sign(pred) * np.sign(target) < 0, 0.0, np.sign(r))
        return 4.0 * toward * (np.abs(target) / divisor / divisor)

    return 2.0 * share, gradient


def _size_of_target(_pred: Array, target: Array) -> Array:
    return np.abs(target)


@loss(
    formula="Σ|r|/Σ|t|;  r = pred − target, t = target",
    reference="Kolassa & Schütz 2007, Foresight 6, 40–43",
    aliases=("nd", "weighted_absolute_percentage_error", "wmape"),
    pitfalls=(
        "per-sample values are |r|; their sum is divided by Σ|t|, so that it has no sum and no gradient a sample",
        "targets that are all 0 have no wape",
    ),
    relative_accuracy="everywhere",
    denominator=_size_of_target,
)
def wape(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The sum of the absolute errors as a fraction of the sum of the absolute targets."""
    r = pred - target
    return np.abs(r), lambda: np.sign(r)


_SCALE = "scale is the error of the naive forecast on the training series: mean |y[i] − y[i − m]|, m the season"


def _mean_size(differences: Array) -> float:
    return float(np.abs(differences).mean())


def _root_mean_square(differences: Array) -> float:
    return math.sqrt(float((differences * differences).mean()))


@loss(
    formula="|r|/scale;  r = pred − target",
    reference="Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001",
    aliases=("mean_absolute_scaled_error",),
    differences=("sktime and utilsforecast compute the scale from the training series",),
    pitfalls=(_SCALE, "--training FILE computes it; one for each row or series: --input scale=COLUMN or FILE"),
    relative_accuracy="everywhere",
    training_scale=_mean_size,
)
def mase(pred: Real, target: Real, scale: Positive) -> tuple[Array, Thunk]:
    """The absolute error in units of that of the naive forecast."""
    r = pred - target
    return np.abs(r) / scale, lambda: np.sign(r) / scale


@loss(
    formula="√(mean r²/scale²);  r = pred − target",
    reference="Makridakis et al. 2022, doi:10.1016/j.ijforecast.2021.11.013",
    aliases=("root_mean_squared_scaled_error",),
    differences=("M5 takes the root for each series: --group SERIES --reduction group",),
    pitfalls=("scale is the root of the mean of (y[i] − y[i − 1])² of the training series",),
    relative_accuracy="everywhere",
    finish=MeanTransform(math.sqrt, lambda mean: 0.5 / math.sqrt(mean) if mean else 0.0, per_sample="r²/scale²"),
    training_scale=_root_mean_square,
)
def rmsse(pred: Real, target: Real, scale: Positive) -> tuple[Array, Thunk]:
    """The root of the mean squared error in units of that of the naive forecast.

    Per-sample values are r²/scale². At value 0 the gradient is taken to be 0.
    """
    z = (pred - target) / scale
    return z * z, lambda: 2.0 * z / scale
