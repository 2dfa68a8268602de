"""Losses of post-training: preferences between two answers, from log-probabilities summed over their tokens."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np

from lossctl.core.array_kinds import FlagsKind
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import BelowKind, NonNegative, Real
from lossctl.core.interval import POSITIVE, REAL, UNIT, Interval
from lossctl.losses.numerics.elementary import log1p

# The task cannot be derived from the inputs.
TASK = "language"

Desirable: TypeAlias = Annotated[Array, FlagsKind("Desirable", "0 or 1", UNIT)]
NegativeLog: TypeAlias = Annotated[
    Array,
    BelowKind("NegativeLog", "the logarithm of a probability below 1", Interval(-np.inf, 0.0, True, True)),
]
Beta = Annotated[float, Param("how far the policy may move", POSITIVE)]
_SUMS = "the log-probabilities of the tokens of an answer are summed, without its prompt and padding"
_MEANS = "the log-probabilities of the tokens of an answer are averaged"


def _softplus(x: Array) -> Array:
    """Return ``log(1 + e^x)``."""
    return np.maximum(x, 0.0) + log1p(np.exp(-np.abs(x)))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, e) / (1.0 + e)


def _ahead(pred: Array, target: Array, chosen: Array, rejected: Array) -> Array:
    return (pred - target) - (chosen - rejected)


@loss(
    formula="−log σ(beta·h), h = pred − target − reference_chosen + reference_rejected",
    reference="Rafailov et al. 2023, arXiv:2305.18290",
    aliases=("direct_preference_optimization",),
    differences=("TRL's sigmoid loss; label_smoothing is its cDPO",),
    pitfalls=("pred is the chosen answer, target the rejected one, of the policy", _SUMS),
)
def dpo(
    pred: Real,
    target: Real,
    reference_chosen: Real,
    reference_rejected: Real,
    *,
    beta: Beta = 0.1,
    label_smoothing: Annotated[float, Param("how many preferences are wrong", Interval(0.0, 0.5))] = 0.0,
) -> tuple[Array, Thunk]:
    """Direct preference optimization."""
    z = beta * _ahead(pred, target, reference_chosen, reference_rejected)
    s = label_smoothing
    value = _softplus(-z) if s == 0 else (1.0 - s) * _softplus(-z) + s * _softplus(z)
    return value, lambda: beta * (s * _sigmoid(z) - (1.0 - s) * _sigmoid(-z))


@loss(
    formula="(h − 1/(2·beta))², h = pred − target − reference_chosen + reference_rejected",
    reference="Azar et al. 2023, arXiv:2310.12036",
    differences=("TRL takes mean log-probabilities here, the paper sums",),
    pitfalls=("pred is the chosen answer, target the rejected one, of the policy",),
)
def ipo(
    pred: Real, target: Real, reference_chosen: Real, reference_rejected: Real, *, beta: Beta = 0.1
) -> tuple[Array, Thunk]:
    """Identity preference optimization: squared error of the difference."""
    r = _ahead(pred, target, reference_chosen, reference_rejected) - 0.5 / beta
    return r * r, lambda: 2.0 * r


@loss(
    formula="−log σ(beta·(pred − target) − gamma)",
    reference="Meng et al. 2024, arXiv:2405.14734",
    differences=("TRL's simpo_gamma is gamma here; the authors' code takes gamma/beta",),
    pitfalls=("pred is the chosen answer, target the rejected one", _MEANS),
)
def simpo(
    pred: Real,
    target: Real,
    *,
    beta: Annotated[float, Param("the scale of the difference", POSITIVE)] = 2.0,
    gamma: Annotated[float, Param("the margin", REAL)] = 0.5,
) -> tuple[Array, Thunk]:
    """Simple preference optimization, without a reference."""
    z = beta * (pred - target) - gamma
    return _softplus(-z), lambda: -beta * _sigmoid(-z)


@loss(
    formula="−pred − beta·log σ(o(pred) − o(target)), o(x) = x − log(1 − e^x)",
    reference="Hong et al. 2024, arXiv:2403.07691",
    differences=("the paper calls beta lambda",),
    pitfalls=("pred is the chosen answer, target the rejected one", _MEANS),
)
def orpo(
    pred: NegativeLog,
    target: NegativeLog,
    *,
    beta: Annotated[float, Param("the weight of the odds ratio", POSITIVE)] = 0.1,
) -> tuple[Array, Thunk]:
    """Odds ratio preference optimization, without a reference."""
    z = (pred - target) - (_log_complement(pred) - _log_complement(target))
    return beta * _softplus(-z) - pred, lambda: beta * _sigmoid(-z) / np.expm1(pred) - 1.0


def _log_complement(x: Array) -> Array:
    """Return ``log(1 − e^x)`` for x < 0."""
    return np.where(x > -0.5, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


@loss(
    formula="w·(1 − σ(s·beta·(pred − reference − kl)));  s = ±1 and w by target",
    reference="Ethayarajh et al. 2024, arXiv:2402.01306",
    differences=("TRL takes kl from mismatched pairs of the batch",),
    pitfalls=("target is 1 for a desirable answer",),
)
def kto(
    pred: Real,
    target: Desirable,
    reference: Real,
    kl: NonNegative,
    *,
    beta: Beta = 0.1,
    desirable_weight: Annotated[float, Param("weight of desirable answers", POSITIVE)] = 1.0,
    undesirable_weight: Annotated[float, Param("weight of the others", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Kahneman–Tversky optimization: answers that are good or bad, without pairs."""
    sign = 2.0 * target - 1.0
    weight = np.where(target > 0, desirable_weight, undesirable_weight)
    z = sign * beta * ((pred - reference) - kl)
    return weight * _sigmoid(-z), lambda: -weight * sign * beta * _sigmoid(z) * _sigmoid(-z)
