"""Asymmetric losses: a prediction that is too high costs more or less than one that is too low."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import NonNegative, Real
from lossctl.core.interval import OPEN_UNIT, REAL
from lossctl.losses.numerics.elementary import EXP_SERIES_BELOW, expm1_minus_over_square, not_finite, select
from lossctl.losses.numerics.error_free import difference, product

# e^z magnifies the relative roundoff of z by z: for z up to 8 by at most 8; for z < 0 the error is negligible relative
# to the term z of the loss. e^z is infinite above 709.
_STEEP, _FAR = 8.0, 709.0


def _weight(r: Array, tau: float) -> Array:
    """Return the weight of each residual: tau if the prediction is too low, 1 − tau if it is too high."""
    return select(r > 0, 1.0 - tau, tau)


@loss(
    formula="tau·(−r) where r < 0, else (1 − tau)·r;  r = pred − target",
    reference="Koenker & Bassett 1978, doi:10.2307/1913643",
    aliases=("pinball", "quantile_loss", "pinball_loss"),
    differences=(
        "LightGBM and scikit-learn's gradient boosting call tau alpha; LightGBM's default is 0.9",
        "some halve or double it: at tau = 0.5 this is |r|/2, as in scikit-learn mean_pinball_loss",
    ),
    pitfalls=("its minimum is the tau-quantile: with tau = 0.9 too low a prediction costs nine times as much",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def quantile(
    pred: Real,
    target: Real,
    *,
    tau: Annotated[float, Param("the quantile that is predicted", OPEN_UNIT, per_column=True)] = 0.5,
) -> tuple[Array, Thunk]:
    """The pinball loss, minimised by a quantile.

    At r = 0 the gradient is taken to be 0.
    """
    r = pred - target
    return _weight(r, tau) * np.abs(r), lambda: _weight(r, tau) * np.sign(r)


@loss(
    formula="2·max(tau·e, (tau − 1)·e), e = target − pred",
    reference="Bracher et al. 2021, doi:10.1371/journal.pcbi.1008618",
    aliases=("wis",),
    differences=("scoringrules 0.10 adds half the median where the definition has half its error",),
    pitfalls=(
        "it takes a column for each quantile: tau=0.05,0.25,0.5,0.75,0.95; the levels are symmetric, with the median",
    ),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def weighted_interval_score(
    pred: Real,
    target: Real,
    *,
    tau: Annotated[float, Param("the quantile that is predicted", OPEN_UNIT, per_column=True)] = 0.5,
) -> tuple[Array, Thunk]:
    """Twice the pinball loss: the score of hubs.

    At r = 0 the gradient is taken to be 0.
    """
    r = pred - target
    return 2.0 * _weight(r, tau) * np.abs(r), lambda: 2.0 * _weight(r, tau) * np.sign(r)


@loss(
    formula="tau·(−r) where r < 0, else (1 − tau)·r;  r = e^x − target, x = pred",
    reference="catboost LogLinQuantile",
    aliases=("log_linear_quantile",),
    differences=("catboost calls tau alpha",),
    pitfalls=("pred is the logarithm of a quantile, the loss in target units; for quantiles themselves use quantile",),
)
def loglin_quantile(
    pred: Real,
    target: NonNegative,
    *,
    tau: Annotated[float, Param("the quantile whose logarithm is predicted", OPEN_UNIT, per_column=True)] = 0.5,
) -> tuple[Array, Thunk]:
    """The pinball loss of the logarithm of a quantile.

    At r = 0 the gradient is taken to be 0.
    """
    level = np.exp(pred)
    r = level - target
    return _weight(r, tau) * np.abs(r), lambda: select(r == 0, 0.0, _weight(r, tau) * np.copysign(level, r))


@loss(
    formula="tau·r² where r < 0, else (1 − tau)·r²;  r = pred − target",
    reference="Newey & Powell 1987, doi:10.2307/1911031",
    aliases=("asymmetric_least_squares",),
    differences=("some double it, so that tau = 0.5 is r²: here it is r²/2",),
    pitfalls=("an expectile is no quantile: it is to the mean what a quantile is to the median",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def expectile(
    pred: Real,
    target: Real,
    *,
    tau: Annotated[float, Param("the expectile that is predicted", OPEN_UNIT, per_column=True)] = 0.5,
) -> tuple[Array, Thunk]:
    """Squared error with different weights above and below the target."""
    r = pred - target
    return _weight(r, tau) * r * r, lambda: 2.0 * _weight(r, tau) * r


@loss(
    formula="e^z − z − 1;  z = a·(target − pred)",
    reference="Varian 1975; Zellner 1986, doi:10.1080/01621459.1986.10478289",
    differences=("some multiply it by a scale b, or by 2/a² so that it tends to r² as a falls",),
    pitfalls=(
        "a > 0 punishes predictions that are too low exponentially, a < 0 those that are too high; with a = 0 all is 0",
    ),
    relative_accuracy="everywhere",
)
def linex(
    pred: Real,
    target: Real,
    *,
    a: Annotated[float, Param("how lopsided, in 1/target units; its sign says to which side", REAL)] = 1.0,
) -> tuple[Array, Thunk]:
    """Exponential on one side of the target, linear on the other."""
    e, lost = difference(target, pred)
    z = a * e
    far = np.expm1(z)
    steep = np.flatnonzero((z > _STEEP) & (z < _FAR))
    if steep.size:
        # Correct e^z by the roundoff of z, which it magnifies.
        far[steep] += np.exp(z[steep]) * (product(e[steep], a)[1] + a * lost[steep])
    value = far - z
    small = np.flatnonzero(np.abs(z) < EXP_SERIES_BELOW)
    value[small] = z[small] ** 2 * expm1_minus_over_square(z[small])
    value[not_finite(value)] = np.inf  # instead of ∞ − ∞
    return value, lambda: -a * far
