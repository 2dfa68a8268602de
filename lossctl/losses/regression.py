"""Losses of a real number against a real number."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import MeanTransform, Param, Thunk, loss
from lossctl.core.input_kinds import Real
from lossctl.core.interval import NON_NEGATIVE, Interval
from lossctl.losses.numerics.elementary import select


# Overwrites the residual, which the gradient computes again: a second array of a block would share the cache with it.
# tests/benchmarks/passes.py squares: kernel and sum take up to a tenth less time.
def _squares(pred: Array, target: Array) -> tuple[Array, Thunk]:
    r = pred - target
    r *= r
    return r, lambda: 2.0 * (pred - target)


@loss(
    formula="r²;  r = pred − target",
    reference="Gauss 1809, Theoria motus corporum coelestium; every library",
    aliases=("l2", "squared_error", "mean_squared_error"),
    differences=("optax l2_loss is r²/2", "torch mse_loss broadcasts (3,) against (3, 1), and only warns"),
    pitfalls=("one outlier can carry most of it: a residual ten times as large weighs a hundred times as much",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def mse(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The squared error, not halved."""
    return _squares(pred, target)


@loss(
    formula="√(mean r²);  r = pred − target",
    reference="the square root of mse, taken once over all elements",
    aliases=("root_mean_squared_error",),
    pitfalls=("the rmse of a whole is not the mean of the rmse of its parts",),
    relative_accuracy="everywhere",
    finish=MeanTransform(math.sqrt, lambda mean: 0.5 / math.sqrt(mean) if mean else 0.0, per_sample="r²"),
    propagates_nonfinite=True,
)
def rmse(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The square root of the mean squared error, in the units of the target.

    Per-sample values are r². At value 0 the gradient is taken to be 0.
    """
    return _squares(pred, target)


@loss(
    formula="|r|;  r = pred − target",
    reference="Laplace 1774; every library",
    aliases=("l1", "absolute_error", "mean_absolute_error"),
    pitfalls=("its gradient never shrinks near the target; at r = 0 it is taken to be 0",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def mae(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """The absolute error, minimised by the median."""
    r = pred - target
    return np.abs(r, out=r), lambda: np.sign(pred - target)


@loss(
    formula="r²/2;  r = pred − target",
    reference="https://optax.readthedocs.io/en/latest/api/losses.html (l2_loss)",
    aliases=("half_mse", "half_squared_loss"),
    differences=("optax calls it l2_loss, scikit-learn HalfSquaredError; l2 is here another name of mse, r²",),
    pitfalls=("half of mse: so is its gradient, r",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def half_squared_error(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """Half the squared error, whose gradient is the residual itself."""
    r = pred - target
    return 0.5 * r * r, r.copy


@loss(
    formula="log cosh r;  r = pred − target",
    reference="Saleh & Saleh 2022, arXiv:2208.04564",
    aliases=("logcosh",),
    differences=("keras and optax write r + softplus(−2r) − log 2, which at r = 1e-8 is noise: 5e-17 is right",),
    pitfalls=("it bends at |r| = 1 in the units of the target, and has no parameter: scale both if that is wrong",),
    relative_accuracy="everywhere",
    propagates_nonfinite=True,
)
def log_cosh(pred: Real, target: Real) -> tuple[Array, Thunk]:
    """About r²/2 near zero, |r| − log 2 far away."""
    r = pred - target
    a = np.abs(r)
    half = np.sinh(0.5 * np.minimum(a, 1.0))
    central = np.log1p(2.0 * half * half)
    value = select(a < 1.0, central, (a - math.log(2.0)) + np.log1p(np.exp(-2.0 * a)))
    return value, lambda: np.tanh(r)


@loss(
    formula="|r|^q;  r = pred − target",
    reference="Rice & White 1964, doi:10.1137/1006093",
    aliases=("lp", "power_error"),
    differences=("torch and NumPy norms of order q take the q-th root of the sum",),
    pitfalls=("no root is taken: the unit is that of the target to the power q",),
    relative_accuracy="everywhere for q up to 50; beyond, digits are lost in proportion to q",
)
def lq(
    pred: Real,
    target: Real,
    *,
    q: Annotated[float, Param("the power: 1 is mae, 2 is mse", Interval(1.0, math.inf, open_high=True))] = 1.5,
) -> tuple[Array, Thunk]:
    """A power of the absolute error, from mae (1) over mse (2) to higher powers.

    With q below 2 the slope goes to 0 like |r|^(q − 1) at r = 0. Difference quotients do not converge there, and the
    gradient check leaves such points unresolved.
    """
    r = pred - target
    a = np.abs(r)
    return a**q, lambda: q * a ** (q - 1.0) * np.sign(r)


def _beyond(r: Array, epsilon: float) -> Array:
    return np.maximum(0.0, np.abs(r) - epsilon)


Epsilon = Annotated[float, Param("errors up to this cost nothing, in target units", NON_NEGATIVE)]


@loss(
    formula="max(0, |r| − epsilon);  r = pred − target",
    reference="Vapnik 1995, doi:10.1007/978-1-4757-3264-1",
    aliases=("svr",),
    differences=("scikit-learn LinearSVR takes epsilon = 0 by default, SVR and SGDRegressor 0.1 as here",),
    pitfalls=("epsilon is in the units of the target: scale the one with the other",),
    propagates_nonfinite=True,
)
def epsilon_insensitive(pred: Real, target: Real, *, epsilon: Epsilon = 0.1) -> tuple[Array, Thunk]:
    """The absolute error beyond a tolerance: support vector regression.

    The gradient check leaves points at a kink that lies between two neighbouring doubles unresolved, because no
    step avoids the kink.
    """
    r = pred - target
    short = _beyond(r, epsilon)
    return short, lambda: select(short > 0, np.sign(r), 0.0)


@loss(
    formula="max(0, |r| − epsilon)²;  r = pred − target",
    reference="https://scikit-learn.org/stable/modules/sgd.html#mathematical-formulation",
    differences=("not halved, as in scikit-learn; some texts halve it",),
    pitfalls=("epsilon is in the units of the target: scale the one with the other",),
    propagates_nonfinite=True,
)
def squared_epsilon_insensitive(pred: Real, target: Real, *, epsilon: Epsilon = 0.1) -> tuple[Array, Thunk]:
    """The squared error beyond a tolerance."""
    r = pred - target
    short = _beyond(r, epsilon)
    return short * short, lambda: 2.0 * short * np.sign(r)
