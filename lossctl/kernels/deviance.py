"""Deviances: how far a prediction is from the best, on the scale of a likelihood; 0 where it is the target."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import Interval
from lossctl.kernels.kinds import Array, NonNegative, Positive
from lossctl.kernels.numerics import choose, log_ratio, u_minus_log1p
from lossctl.kernels.spec import Param, Thunk, loss


@loss(
    formula="2·(t·log(t/p) − t + p);  p = pred, a rate, t = target",
    see="McCullagh & Nelder 1989, doi:10.1007/978-1-4899-3242-6; scikit-learn mean_poisson_deviance",
    aliases=("mean_poisson_deviance",),
    differs=("scikit-learn refuses p = 0; its HalfPoissonLoss is half of this, less a constant, of log p",),
    pitfalls=("a rate of 0 for something that was counted costs inf",),
    relative="everywhere",
)
def poisson_deviance(pred: NonNegative, target: NonNegative) -> tuple[Array, Thunk]:
    """Twice the log-likelihood that a rate misses of what the best one would have."""
    p, t = pred, target
    # Where p ≈ t the terms cancel: there t·(u − log(1 + u)) with u = (p − t)/t.
    near = (p > 0.5 * t) & (p < 2.0 * t)
    u = choose(near, p - t, 0.0) / choose(near, t, 1.0)
    logarithm = choose(t == 0, 0.0, t * log_ratio(t, p))
    value = 2.0 * choose(near, t * u_minus_log1p(u), logarithm + (p - t))
    return value, lambda: choose(t == 0, 2.0, 2.0 * ((p - t) / p))


def _log_excess(x: Array, y: Array) -> Array:
    """``x/y − 1 − log(x/y)`` ≥ 0 of positive numbers."""
    near = (x > 0.5 * y) & (x < 2.0 * y)
    u = choose(near, x - y, 0.0) / y
    return choose(near, u_minus_log1p(u), (x / y - 1.0) - log_ratio(x, y))


@loss(
    formula="2·(t/p − 1 − log(t/p));  p = pred, t = target",
    see="McCullagh & Nelder 1989, doi:10.1007/978-1-4899-3242-6; scikit-learn mean_gamma_deviance",
    aliases=("mean_gamma_deviance",),
    differs=("scikit-learn's HalfGammaLoss is half of this, of log p; it loses all digits where p ≈ t",),
    pitfalls=("it sees ratios only: twice everything is the same loss",),
    relative="everywhere",
)
def gamma_deviance(pred: Positive, target: Positive) -> tuple[Array, Thunk]:
    """The deviance of positive amounts whose spread grows with them."""
    return 2.0 * _log_excess(target, pred), lambda: 2.0 * ((pred - target) / pred) / pred


# Within a quarter of equality a binomial series; its terms fall by a factor of 4 or, with power 3, by
# (k + 3)/(k + 1)/4, so that 32 leave less than 1e-17 of the first.
_NEAR = 0.25
_TERMS = 32


def _box_cox(log_x: Array, x: Array, power: float) -> Array:
    """``(x^power − 1)/power``, log x at power 0, without cancellation."""
    z = power * log_x
    if power == 0:
        return log_x
    return choose(np.abs(z) < 1.0, np.expm1(np.clip(z, -1.0, 1.0)), x**power - 1.0) / power


def _unit_deviance(x: Array, v: Array, power: float) -> Array:
    """The deviance of target x and prediction 1, v = x − 1: 2·∫ (x − s)·s^(−power) ds from 1 to x."""
    coefficient, coefficients = 1.0, []
    for k in range(_TERMS):
        coefficients.append(coefficient / ((k + 1) * (k + 2)))
        coefficient *= -(power + k) / (k + 1)
    near = np.abs(v) < _NEAR
    u = choose(near, v, 0.0)
    series = np.full_like(u, coefficients[-1])
    for c in coefficients[-2::-1]:
        series = series * u + c
    a, b = 1.0 - power, 2.0 - power
    log_x = np.log(x)
    if power < 1.5:  # about 1 it is x·log x that power bends, about 2 log x
        bent = choose(x == 0, 0.0, x * _box_cox(log_x, x, a))
        far = (bent - v) / b
    else:
        far = (_box_cox(log_x, x, b) - v) / a
    return 2.0 * choose(near, u * u * series, far)


@loss(
    formula="2·(t^b/(a·b) − t·p^a/a + p^b/b), a = 1 − power, b = 2 − power;  its limits at power 1 and 2",
    see="Jorgensen 1987, doi:10.1111/j.2517-6161.1987.tb01685.x; scikit-learn mean_tweedie_deviance",
    aliases=("mean_tweedie_deviance",),
    differs=(
        "LightGBM and XGBoost train on log p, with the constant left out; their default is 1.5 as well",
        "scikit-learn's default power is 0, mse; near power 1 and 2, and where p ≈ t, it loses digits",
    ),
    pitfalls=(
        "power 1 is poisson_deviance, 2 gamma_deviance, between them amounts that are often 0",
        "from power 2 on a target of 0 costs inf",
    ),
    relative="everywhere",
)
def tweedie_deviance(
    pred: Positive,
    target: NonNegative,
    *,
    power: Annotated[float, Param("the variance grows like the mean to this power", Interval(1.0, 3.0))] = 1.5,
) -> tuple[Array, Thunk]:
    """The deviance of amounts whose variance is a power of their mean.

    Insurance claims or rainfall, say: often 0, else positive and skewed.
    """
    p, t = pred, target
    v = (t - p) / p
    value = p ** (2.0 - power) * _unit_deviance(t / p, v, power)
    return value, lambda: -2.0 * v * p ** (1.0 - power)
