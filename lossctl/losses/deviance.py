"""Deviances: twice the difference of log-likelihood between the best prediction, the target itself, and this one."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import NonNegative, Positive
from lossctl.core.interval import Interval
from lossctl.losses.numerics.elementary import select
from lossctl.losses.numerics.log_ratio import bregman, excess


@loss(
    formula="2·(t·log(t/p) − t + p);  p = pred, a rate, t = target",
    reference="McCullagh & Nelder 1989, doi:10.1007/978-1-4899-3242-6; scikit-learn mean_poisson_deviance",
    aliases=("mean_poisson_deviance",),
    differences=("scikit-learn refuses p = 0; its HalfPoissonLoss is half of this, less a constant, of log p",),
    pitfalls=(
        "a rate of 0 for something that was counted costs inf",
        "of counts over different times: --input exposure=COLUMN",
    ),
    relative_accuracy="everywhere",
    takes_exposure=True,
)
def poisson_deviance(pred: NonNegative, target: NonNegative) -> tuple[Array, Thunk]:
    """Twice the log-likelihood that a rate lacks compared with the best one."""
    p, t = pred, target
    value = 2.0 * bregman(t, p)
    return value, lambda: select(t == 0, 2.0, 2.0 * ((p - t) / p))


@loss(
    formula="2·(t/p − 1 − log(t/p));  p = pred, t = target",
    reference="McCullagh & Nelder 1989, doi:10.1007/978-1-4899-3242-6; scikit-learn mean_gamma_deviance",
    aliases=("mean_gamma_deviance",),
    differences=("scikit-learn's HalfGammaLoss is half of this, of log p; it loses all digits where p ≈ t",),
    pitfalls=("it sees ratios only: twice everything is the same loss",),
    relative_accuracy="everywhere",
    takes_exposure=True,
)
def gamma_deviance(pred: Positive, target: Positive) -> tuple[Array, Thunk]:
    """The deviance of positive amounts whose spread is proportional to the mean."""
    return 2.0 * excess(target, pred), lambda: 2.0 * ((pred - target) / pred) / pred


# A binomial series for |t/p − 1| below 1/4. The ratio of its terms is about 1/4, with power 3 it is (k + 3)/(k + 1)/4;
# 32 terms leave a relative truncation error below 1e-17.
_NEAR = 0.25
_TERMS = 32


def _box_cox(x: Array, power: float) -> Array:
    """Return ``(x^power − 1)/power``, log x at power 0, without cancellation."""
    if power == 0:
        return np.log(x)
    value = x**power
    value -= 1.0
    edge = math.exp(min(1.0 / abs(power), 700.0))
    close = np.flatnonzero((x > 1.0 / edge) & (x < edge))
    value[close] = np.expm1(power * np.log(x[close]))
    value /= power
    return value


def _unit_deviance(x: Array, v: Array, power: float) -> Array:
    """Return the deviance of target x and prediction 1, 2·∫ (x − s)·s^(−power) ds from 1 to x; v is x − 1."""
    a, b = 1.0 - power, 2.0 - power
    if power < 1.5:  # near power 1 the loss contains x·log x, near power 2 log x, as the limit of a Box–Cox term
        value = x * _box_cox(x, a)
        value[x == 0] = 0.0
        scale = 2.0 / b
    else:
        value = _box_cox(x, b)
        scale = 2.0 / a
    value -= v
    value *= scale
    small = np.flatnonzero(np.abs(v) < _NEAR)
    u = v[small]
    value[small] = 2.0 * u * u * _binomial(u, power)
    return value


def _convex_deviance(p: Array, t: Array, v: Array, power: float) -> Array:
    """Return the deviance for a power below 1, with the larger of p and t as the unit: no power overflows.

    p^b is computed as p·(p·p^−power): 2 − power is rounded, and p^b multiplies that error by log p.
    """
    a, b = 1.0 - power, 2.0 - power
    x = t / p
    below = p * (p * p**-power) * _unit_deviance(np.minimum(x, 1.0 + _NEAR), np.minimum(v, _NEAR), power)
    s = p / t
    slope = s * s**-power  # s^a
    slope[s == 0.0] = 0.0
    above = t * (t * t**-power) * (2.0 * (1.0 / (a * b) - slope / a + s * slope / b))
    return select(v < _NEAR, below, above)


def _binomial(u: Array, power: float) -> Array:
    """Return ``Σ C(−power, k)·u^k/((k + 1)(k + 2))``, the integral divided by u²."""
    coefficient, coefficients = 1.0, []
    for k in range(_TERMS):
        coefficients.append(coefficient / ((k + 1) * (k + 2)))
        coefficient *= -(power + k) / (k + 1)
    series = np.full_like(u, coefficients[-1])
    for c in coefficients[-2::-1]:
        series *= u
        series += c
    return series


@loss(
    formula="2·(t^b/(a·b) − t·p^a/a + p^b/b), a = 1 − power, b = 2 − power;  its limits at power 1 and 2",
    reference="Jorgensen 1987, doi:10.1111/j.2517-6161.1987.tb01685.x",
    aliases=("mean_tweedie_deviance",),
    differences=(
        "LightGBM and XGBoost train on log p, and leave the constant out",
        "scikit-learn loses digits near power 1 and 2; its default is 0, mse",
    ),
    pitfalls=(
        "of counts over different times: --input exposure=COLUMN",
        "1 is poisson_deviance, 2 gamma_deviance; between them many are 0",
        "from power 2 on a target of 0 costs inf",
        "0 is mse; between 0 and 1 no distribution has this deviance",
    ),
    relative_accuracy="everywhere",
    takes_exposure=True,
)
def tweedie_deviance(
    pred: Positive,
    target: NonNegative,
    *,
    power: Annotated[float, Param("the variance grows as mean^power", Interval(-5.0, 3.0))] = 1.5,
) -> tuple[Array, Thunk]:
    """Deviance where the variance is a power of the mean.

    For insurance claims or rainfall, for example: often 0, otherwise positive and skewed.
    """
    p, t = pred, target
    v = (t - p) / p
    if power < 1.0:
        return _convex_deviance(p, t, v, power), lambda: -2.0 * v * (p * p**-power)
    value = p ** (2.0 - power) * _unit_deviance(t / p, v, power)
    return value, lambda: -2.0 * v * p ** (1.0 - power)
