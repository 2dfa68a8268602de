"""Losses of a real number against a real number."""

from __future__ import annotations

import math

import numpy as np

from lossctl.kernels.kinds import Array, Real
from lossctl.kernels.spec import Finish, Thunk, loss


def _squares(pred: Array, target: Array) -> tuple[Array, Thunk]:
    r = pred - target
    return r * r, lambda: 2.0 * r


@loss(
    formula="r²;  r = pred − target",
    see="Gauss 1809, Theoria motus corporum coelestium; every library",
    aliases=("l2", "squared_error", "mean_squared_error"),
    differs=("optax l2_loss is r²/2", "torch mse_loss broadcasts (3,) against (3, 1), and only warns"),
    pitfalls=("one outlier can carry most of it: a residual ten times as large weighs a hundred times as much",),
    relative="everywhere",
)
def mse(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The squared error, not halved."""
    return _squares(pred, target)


@loss(
    formula="√(mean r²);  r = pred − target",
    see="the square root of mse, taken once over all elements",
    aliases=("root_mean_squared_error",),
    differs=("scikit-learn root_mean_squared_error takes the root for each column and averages the roots",),
    pitfalls=("the rmse of a whole is not the mean of the rmse of its parts",),
    relative="everywhere",
    finish=Finish(math.sqrt, lambda mean: 0.5 / math.sqrt(mean) if mean else 0.0, per_sample="r²"),
)
def rmse(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The square root of the mean squared error, in the units of the target.

    Per-sample values are r². At value 0 the gradient is taken to be 0.
    """
    return _squares(pred, target)


@loss(
    formula="|r|;  r = pred − target",
    see="Laplace 1774; every library",
    aliases=("l1", "absolute_error", "mean_absolute_error"),
    pitfalls=("its gradient never shrinks near the target; at r = 0 it is taken to be 0",),
    relative="everywhere",
)
def mae(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The absolute error, minimised by the median."""
    r = pred - target
    return np.abs(r), lambda: np.sign(r)
