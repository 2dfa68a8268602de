"""Cross-entropies of two classes that pay less attention to what is easy."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Probability, Real
from lossctl.core.interval import NON_NEGATIVE, UNIT, Interval
from lossctl.losses.numerics.elementary import select, select_pair
from lossctl.losses.numerics.error_free import product

Alpha = Annotated[float | None, Param("the weight of class 1", UNIT)]
Gamma = Annotated[float, Param("how much less easy samples count", NON_NEGATIVE)]

_LIN = "Lin et al. 2017, doi:10.1109/ICCV.2017.324"
_SOFT = "of soft targets torchvision, optax and keras mix p_t: here the loss"


# Beyond it what rounding took from q may show in 1 − q, up to there in log(1 − q) by an ulp or ten.
_CERTAIN = 1.0 - 1.0 / 64.0


def _weights(target: Array, alpha: float | None) -> tuple[Array, Array]:
    """Of the term of class 1, and of that of class 0."""
    if alpha is None:
        return target, 1.0 - target
    return alpha * target, (1.0 - alpha) * (1.0 - target)


def _weighted(weight: Array, x: Array) -> Array:
    """``weight·x`` of what is at least 0, and 0 where the weight is 0, though x be infinite."""
    product = weight * x
    return np.fmax(product, 0.0, out=product)  # of NaN and 0 it is 0


def _power(x: Array, gamma: float) -> Array:
    if gamma != 4.0:  # asymmetric's own, for which pow takes eight times as long as two squares
        return x**gamma
    square = x * x
    square *= square
    return square


def _focused(p: Array, not_p: Array, entropy: Array, gamma: float) -> tuple[Array, Thunk]:
    """``−p^γ·log(1 − p)``, the cost of a probability p for what did not happen, and its derivative.

    ``entropy`` is −log(1 − p).
    """
    power = _power(p, gamma)

    def slope() -> Array:
        # Of p^(γ − 1)·log(1 − p) the first is infinite and the other 0 at p = 0 where γ < 1: log(1 − p)/p is not.
        share = select(p == 0, 1.0, entropy / select(p == 0, 1.0, p))
        return np.asarray(power * (1.0 / not_p + gamma * share))

    return power * entropy, slope


@loss(
    formula="−t·alpha·(1 − p)^gamma·log p − (1 − t)·(1 − alpha)·p^gamma·log(1 − p);  p = pred, t = target",
    reference=_LIN,
    aliases=("binary_focal", "binary_focal_crossentropy"),
    differences=(_SOFT, "keras clips p at 1e-7; its alpha needs apply_class_balancing=True"),
    pitfalls=(
        "for logits use focal_with_logits, which keeps what 1 − p loses",
        "alpha = 0.25 is less for class 1: gamma takes from class 0 already",
    ),
    relative_accuracy="the value everywhere, the gradient with targets 0 and 1",
    from_logits="focal_with_logits",
)
def focal(pred: Probability, target: Probability, *, alpha: Alpha = 0.25, gamma: Gamma = 2.0) -> tuple[Array, Thunk]:
    """Cross-entropy that a sample leaves as it is learned: for rare objects."""
    yes, no = _weights(target, alpha)
    p, not_p = pred, 1.0 - pred
    missed, down = _focused(not_p, p, -np.log(p), gamma)
    false_alarm, up = _focused(p, not_p, -np.log1p(-p), gamma)
    return _weighted(yes, missed) + _weighted(no, false_alarm), lambda: _weighted(no, up()) - _weighted(yes, down())


# Beyond it σ(−x) is e^(−x), and about to vanish.
_FAR = 700.0


def _sigmoids(x: Array, e: Array) -> tuple[Array, Array]:
    """``σ(x)`` and ``σ(−x)``, of e = exp(−|x|)."""
    large = 1.0 / (1.0 + e)
    return select_pair(x < 0, large, e * large)


def _sigmoid_power(x: Array, sigmoid: Array, gamma: float) -> Array:
    """``σ(−x)^γ``, also where σ(−x) itself is no double."""
    power = _power(sigmoid, gamma)
    if gamma < 1.0:
        far = np.flatnonzero(x > _FAR)
        high, low = product(np.minimum(x[far], 1e100), gamma)  # whose rounding e^−γx would magnify
        power[far] = np.exp(-high) * (1.0 - select(high < 1e3, low, 0.0))
    return power


@loss(
    formula="−t·alpha·(1 − p)^gamma·log p − (1 − t)·(1 − alpha)·p^gamma·log(1 − p), p = σ(x);  x = pred, t = target",
    reference=_LIN,
    aliases=("sigmoid_focal", "sigmoid_focal_loss"),
    differences=(_SOFT, "torchvision takes alpha = −1 for none, optax none by default"),
    pitfalls=("pred is a logit: if all lie in [0, 1] they may be probabilities",),
    relative_accuracy="the value everywhere, the gradient with targets 0 and 1",
)
def focal_with_logits(
    pred: Real, target: Probability, *, alpha: Alpha = 0.25, gamma: Gamma = 2.0
) -> tuple[Array, Thunk]:
    """The focal loss from logits, right where they are large."""
    yes, no = _weights(target, alpha)
    e = np.exp(-np.abs(pred))
    p, not_p = _sigmoids(pred, e)
    yes_focus, no_focus = _sigmoid_power(pred, not_p, gamma), _sigmoid_power(-pred, p, gamma)
    log = np.log1p(e)
    yes_cost, no_cost = log - np.minimum(pred, 0.0), log + np.maximum(pred, 0.0)

    def gradient() -> Array:
        # d/dx of σ(−x)^γ·softplus(−x): both of its terms have one sign
        down = yes_focus * (gamma * p * yes_cost + not_p)
        up = no_focus * (gamma * not_p * no_cost + p)
        return np.asarray(no * up - yes * down)

    return yes * (yes_focus * yes_cost) + no * (no_focus * no_cost), gradient


@loss(
    formula="−t·(1 − p)^gamma_pos·log p − (1 − t)·q^gamma_neg·log(1 − q), q = max(0, p − clip);  p = pred, t = target",
    reference="Ridnik et al. 2021, doi:10.1109/ICCV48922.2021.00015",
    aliases=("asl", "asymmetric_loss"),
    differences=("the authors' code takes logits, and log 1e-8 for anything below it",),
    pitfalls=("pred is a probability; negatives below clip have no gradient",),
    relative_accuracy="the value everywhere, the gradient with targets 0 and 1",
)
def asymmetric(
    pred: Probability,
    target: Probability,
    *,
    gamma_neg: Annotated[float, Param("the focus on hard negatives", NON_NEGATIVE)] = 4.0,
    gamma_pos: Annotated[float, Param("the focus on hard positives", NON_NEGATIVE)] = 1.0,
    clip: Annotated[
        float, Param("negatives with a probability up to this are left out", Interval(0.0, 1.0, open_high=True))
    ] = 0.05,
) -> tuple[Array, Thunk]:
    """Focal loss with a focus of its own for the many negatives."""
    p, not_p, no = pred, 1.0 - pred, 1.0 - target
    missed, down = _focused(not_p, p, -np.log(p), gamma_pos)
    # One minus p − clip on its own: a tiny clip is all that is left of it at p = 1.
    q, not_q = np.maximum(p - clip, 0.0), np.minimum(not_p + clip, 1.0)
    entropy = -np.log1p(-q)
    certain = np.flatnonzero(q > _CERTAIN)
    entropy[certain] = -np.log(not_q[certain])
    false_alarm, up = _focused(q, not_q, entropy, gamma_neg)

    def gradient() -> Array:
        seen = p > clip if clip else p >= 0.0
        return _weighted(no, select(seen, up(), 0.0)) - _weighted(target, down())

    return _weighted(target, missed) + _weighted(no, false_alarm), gradient
