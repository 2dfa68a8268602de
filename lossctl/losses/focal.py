"""Cross-entropies of two classes with a smaller weight for samples that are easy to classify."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Probability, Real
from lossctl.core.interval import NON_NEGATIVE, UNIT, Interval
from lossctl.losses.numerics.elementary import log1p, select, select_pair
from lossctl.losses.numerics.error_free import product

Alpha = Annotated[float | None, Param("the weight of class 1", UNIT)]
Gamma = Annotated[float, Param("how much less easy samples count", NON_NEGATIVE)]

_LIN = "Lin et al. 2017, doi:10.1109/ICCV.2017.324"
_SOFT = "of soft targets torchvision, optax and keras mix p_t: here the loss"


# Up to here the roundoff of q changes log(1 − q) by at most about ten ulp; above, 1 − q is computed from p itself.
_CERTAIN = 1.0 - 1.0 / 64.0


def _weights(target: Array, alpha: float | None) -> tuple[Array, Array]:
    """Return the weights of the terms of class 1 and of class 0."""
    if alpha is None:
        return target, 1.0 - target
    return alpha * target, (1.0 - alpha) * (1.0 - target)


def _weighted(weight: Array, x: Array) -> Array:
    """Return ``weight·x`` for x ≥ 0, and 0 where the weight is 0, even if x is infinite."""
    product = weight * x
    return np.fmax(product, 0.0, out=product)  # fmax ignores the NaN of 0·∞


def _power(x: Array, gamma: float) -> Array:
    if gamma != 4.0:  # the default of asymmetric is 4, where pow takes eight times as long as two squares
        return x**gamma
    square = x * x
    square *= square
    return square


def _focused(p: Array, not_p: Array, entropy: Array, gamma: float) -> tuple[Array, Thunk]:
    """Return ``−p^γ·log(1 − p)``, the loss of a probability p of the wrong class, and its derivative.

    Args:
        p: the probability of the wrong class.
        not_p: 1 − p.
        entropy: −log(1 − p).
        gamma: the exponent γ ≥ 0.
    """
    power = _power(p, gamma)

    def slope() -> Array:
        # At p = 0 with γ < 1, p^(γ − 1)·log(1 − p) is ∞·0; p^γ·(log(1 − p)/p) is finite.
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
    """Cross-entropy with less weight on easy samples: for rare objects."""
    yes, no = _weights(target, alpha)
    p, not_p = pred, 1.0 - pred
    missed, down = _focused(not_p, p, -np.log(p), gamma)
    false_alarm, up = _focused(p, not_p, -log1p(-p), gamma)
    return _weighted(yes, missed) + _weighted(no, false_alarm), lambda: _weighted(no, up()) - _weighted(yes, down())


# Above this σ(−x) equals e^(−x) and is close to underflow.
_FAR = 700.0


def _sigmoids(x: Array, e: Array) -> tuple[Array, Array]:
    """Return ``σ(x)`` and ``σ(−x)`` from x and e = exp(−|x|)."""
    large = 1.0 / (1.0 + e)
    return select_pair(x < 0, large, e * large)


def _sigmoid_power(x: Array, sigmoid: Array, gamma: float) -> Array:
    """Return ``σ(−x)^γ``, also where σ(−x) underflows."""
    power = _power(sigmoid, gamma)
    if gamma < 1.0:
        far = np.flatnonzero(x > _FAR)
        high, low = product(np.minimum(x[far], 1e100), gamma)  # e^(−γx) magnifies the roundoff of γx
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
    """The focal loss from logits, accurate at large values."""
    yes, no = _weights(target, alpha)
    e = np.exp(-np.abs(pred))
    p, not_p = _sigmoids(pred, e)
    yes_focus, no_focus = _sigmoid_power(pred, not_p, gamma), _sigmoid_power(-pred, p, gamma)
    log = log1p(e)
    yes_cost, no_cost = log - np.minimum(pred, 0.0), log + np.maximum(pred, 0.0)

    def gradient() -> Array:
        # d/dx of σ(−x)^γ·softplus(−x): its two terms have the same sign, so they do not cancel
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
    """Focal loss with another exponent for the many negatives."""
    p, not_p, no = pred, 1.0 - pred, 1.0 - target
    missed, down = _focused(not_p, p, -np.log(p), gamma_pos)
    # 1 − q is computed as (1 − p) + clip, because 1 − (p − clip) loses a tiny clip at p = 1.
    q, not_q = np.maximum(p - clip, 0.0), np.minimum(not_p + clip, 1.0)
    entropy = -log1p(-q)
    certain = np.flatnonzero(q > _CERTAIN)
    entropy[certain] = -np.log(not_q[certain])
    false_alarm, up = _focused(q, not_q, entropy, gamma_neg)

    def gradient() -> Array:
        seen = p > clip if clip else p >= 0.0
        return _weighted(no, select(seen, up(), 0.0)) - _weighted(target, down())

    return _weighted(target, missed) + _weighted(no, false_alarm), gradient
