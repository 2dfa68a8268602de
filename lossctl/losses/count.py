"""Negative log-likelihoods of counts, with or without the constant that does not depend on the prediction."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Count, NonNegative, Real
from lossctl.core.interval import POSITIVE
from lossctl.losses.numerics.elementary import select, u_minus_log1p, xlogy
from lossctl.losses.numerics.gamma_functions import log_factorial, log_gamma_from

Full = Annotated[bool, Param("adds the constant log Γ(t + 1)")]


@loss(
    formula="p − t·log p (+ log Γ(t + 1) if full);  p = pred, a rate, t = target",
    reference="torch.nn.PoissonNLLLoss",
    aliases=("poisson", "poisson_loss"),
    differences=(
        "torch takes log rates unless log_input=False, then log(p + 1e-8)",
        "torch's full is Stirling's, and 0 where t ≤ 1; here log Γ is exact",
        "keras: log(p + 1e-7); scikit-learn and LightGBM train on log rates",
    ),
    pitfalls=(
        "of counts over different times: --input exposure=COLUMN",
        "pred is a rate; for log rates use poisson_nll_log_rate",
        "without full it can be negative; poisson_deviance is 0 where p = t",
        "a rate of 0 for something that was counted costs inf",
    ),
    relative_accuracy="the gradient everywhere",
    takes_exposure=True,
)
def poisson_nll(pred: NonNegative, target: NonNegative, *, full: Full = False) -> tuple[Array, Thunk]:
    """Negative log-likelihood of Poisson counts, from the rate."""
    value = pred - xlogy(target, pred)
    if full:
        value = value + log_factorial(target)
    return value, lambda: select(target == 0, 1.0, (pred - target) / pred)


@loss(
    formula="e^x − t·x (+ log Γ(t + 1) if full);  x = pred, a log rate, t = target",
    reference="torch.nn.PoissonNLLLoss",
    differences=("torch's full is Stirling's, and 0 where t ≤ 1; here log Γ is exact",),
    pitfalls=(
        "pred is the logarithm of a rate, any real number; for rates use poisson_nll",
        "of counts over different times: --input exposure=COLUMN",
    ),
    takes_exposure=True,
)
def poisson_nll_log_rate(pred: Real, target: NonNegative, *, full: Full = False) -> tuple[Array, Thunk]:
    """Negative log-likelihood of Poisson counts, from the logarithm of the rate."""
    rate = np.exp(pred)
    value = rate - target * pred
    if full:
        value = value + log_factorial(target)
    return value, lambda: rate - target


# For n = 1/dispersion from 20 on, the difference of log-gammas would cancel: the likelihood is computed as that of
# Poisson counts plus a correction from Stirling's series, whose truncation error is 1e-17 at 20.
_MANY = 20.0
# For y below this n·log(1 + y) equals m in double precision; y = dispersion·m may be subnormal.
_FEW = 1e-17


def _stirling(x: Array | float) -> Array | float:
    """Return ``log Γ(x) − [(x − ½)·log x − x + ½·log 2π]`` for x ≥ 20."""
    y = 1.0 / (x * x)
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x


@loss(
    formula="−log P(t), mean m = pred, variance m + dispersion·m²: log Γ(t+1) + log Γ(n) − log Γ(t+n) − …",
    reference="Cameron & Trivedi 2013, doi:10.1017/CBO9781139013567, NB2",
    aliases=("nb_nll", "nb2_nll"),
    differences=(
        "scipy nbinom takes n = 1/dispersion and p = 1/(1 + dispersion·m)",
        "statsmodels' NegativeBinomial calls the dispersion alpha",
    ),
    pitfalls=("the constant log Γ(t + 1) is included", "dispersion towards 0 is poisson_nll:full=true"),
    relative_accuracy="the gradient everywhere",
)
def negative_binomial_nll(
    pred: NonNegative,
    target: Count,
    *,
    dispersion: Annotated[float, Param("(variance − m)/m²", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Negative log-likelihood of overdispersed counts.

    With n = 1/dispersion: log Γ(t + 1) + log Γ(n) − log Γ(t + n) + t·log(1 + n/m) + n·log(1 + m/n).
    """
    n = 1.0 / dispersion
    m, t = pred, target
    y = dispersion * m
    failures = n * np.log1p(y)  # n·log(1 + m/n)
    few = np.flatnonzero(y < _FEW)
    failures[few] = m[few]
    if n < _MANY:
        value = t * np.log1p(1.0 / y)
        np.fmax(value, 0.0, out=value)  # 0·∞
        value += failures
        # For large counts both are large and their difference is small: subtract them first.
        value -= (log_gamma_from(t, n) - math.lgamma(n)) - log_gamma_from(t, 1.0)
    else:
        # extra = log Γ(t + n) − log Γ(n) − t·log n, which is small for small t; no other term contains log n
        s = t * dispersion
        extra = (t - 0.5) * np.log1p(s) - n * u_minus_log1p(s) + (_stirling(t + n) - _stirling(n))
        value = failures - (xlogy(t, m) - t * np.log1p(y)) + log_gamma_from(t, 1.0) - select(t == 0, 0.0, extra)
    return value, lambda: select(t == 0, 1.0, (m - t) / m) / (1.0 + y)
