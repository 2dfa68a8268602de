"""Cross-entropies of two classes that pay less attention to what is easy."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import NON_NEGATIVE, UNIT, Interval
from lossctl.kernels.exact import product
from lossctl.kernels.kinds import Array, Probability, Real
from lossctl.kernels.numerics import choose
from lossctl.kernels.spec import Param, Thunk, loss

Alpha = Annotated[float | None, Param("the weight of class 1; class 0 has 1 − alpha; none: 1 for both", UNIT)]
Gamma = Annotated[float, Param("how much less the easy samples count; 0 is cross-entropy", NON_NEGATIVE)]

_LIN = "Lin et al. 2017, doi:10.1109/ICCV.2017.324"
_SOFT = "of targets between 0 and 1 torchvision, optax and keras mix p_t; here the loss is mixed, t of the one"


def _weights(target: Array, alpha: float | None) -> tuple[Array, Array]:
    """Of the term of class 1, and of that of class 0."""
    if alpha is None:
        return target, 1.0 - target
    return alpha * target, (1.0 - alpha) * (1.0 - target)


def _weighted(weight: Array, x: Array) -> Array:
    """``weight·x``, and 0 where the weight is 0, whatever x is."""
    return choose(weight == 0, 0.0, weight * x)


def _focused(p: Array, not_p: Array, gamma: float) -> tuple[Array, Thunk]:
    """``−p^γ·log(1 − p)``, the cost of a probability p for what did not happen, and its derivative."""
    power = p**gamma
    entropy = -choose(p < 0.5, np.log1p(-np.minimum(p, 0.5)), np.log(not_p))

    def slope() -> Array:
        # Of p^(γ − 1)·log(1 − p) the first is infinite and the other 0 at p = 0 where γ < 1: log(1 − p)/p is not.
        share = choose(p == 0, 1.0, entropy / choose(p == 0, 1.0, p))
        return np.asarray(power * (1.0 / not_p + gamma * share))

    return choose(power == 0, 0.0, power * entropy), slope


@loss(
    formula="−t·alpha·(1 − p)^gamma·log p − (1 − t)·(1 − alpha)·p^gamma·log(1 − p);  p = pred, t = target",
    see=_LIN,
    aliases=("binary_focal", "binary_focal_crossentropy"),
    differs=(_SOFT, "keras clips p at 1e-7, and uses alpha only with apply_class_balancing=True"),
    pitfalls=(
        "pred is a probability; for logits use focal_with_logits, which keeps the digits that 1 − p has lost",
        "alpha = 0.25 gives class 1 the smaller weight: gamma has taken so much from class 0 already",
    ),
    relative="the value everywhere, the gradient with targets 0 and 1",
    from_logits="focal_with_logits",
)
def focal(pred: Probability, target: Probability, *, alpha: Alpha = 0.25, gamma: Gamma = 2.0) -> tuple[Array, Thunk]:
    """Cross-entropy that a sample leaves as it is learned: for rare objects."""
    yes, no = _weights(target, alpha)
    p, not_p = pred, 1.0 - pred
    missed, down = _focused(not_p, p, gamma)
    found, up = _focused(p, not_p, gamma)
    return _weighted(yes, missed) + _weighted(no, found), lambda: _weighted(no, up()) - _weighted(yes, down())


# From here on σ(−x) is e^(−x) to the last digit.
_CERTAIN = 40.0


def _sigmoid_power(x: Array, gamma: float) -> Array:
    """``σ(−x)^γ``, also where σ(−x) itself is no double."""
    e = np.exp(-np.abs(x))
    near = (choose(x > 0, e, 1.0) / (1.0 + e)) ** gamma
    high, low = product(np.clip(x, _CERTAIN, 1e100), gamma)  # whose rounding e^−γx would magnify
    far = np.exp(-high) * (1.0 - choose(high < 1e3, low, 0.0))
    return choose(x < _CERTAIN, near, far)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


@loss(
    formula="−t·alpha·(1 − p)^gamma·log p − (1 − t)·(1 − alpha)·p^gamma·log(1 − p), p = σ(x);  x = pred, t = target",
    see=_LIN,
    aliases=("sigmoid_focal", "sigmoid_focal_loss"),
    differs=(_SOFT, "torchvision takes alpha = −1 for none, optax none by default"),
    pitfalls=("pred is a logit, any real number: predictions that all lie in [0, 1] are probably probabilities",),
    relative="the value everywhere, the gradient with targets 0 and 1",
)
def focal_with_logits(
    pred: Real, target: Probability, *, alpha: Alpha = 0.25, gamma: Gamma = 2.0
) -> tuple[Array, Thunk]:
    """The focal loss from logits, right where the sigmoid has saturated."""
    yes, no = _weights(target, alpha)
    yes_focus, no_focus = _sigmoid_power(pred, gamma), _sigmoid_power(-pred, gamma)
    yes_cost, no_cost = _softplus(-pred), _softplus(pred)

    def gradient() -> Array:
        # d/dx of σ(−x)^γ·softplus(−x): both of its terms have one sign
        p, not_p = _sigmoid_power(-pred, 1.0), _sigmoid_power(pred, 1.0)
        down = yes_focus * (gamma * p * yes_cost + not_p)
        up = no_focus * (gamma * not_p * no_cost + p)
        return no * up - yes * down

    return yes * (yes_focus * yes_cost) + no * (no_focus * no_cost), gradient


@loss(
    formula="−t·(1 − p)^gamma_pos·log p − (1 − t)·q^gamma_neg·log(1 − q), q = max(0, p − clip);  p = pred, t = target",
    see="Ridnik et al. 2021, doi:10.1109/ICCV48922.2021.00015",
    aliases=("asl", "asymmetric_loss"),
    differs=("the authors' code takes logits, and the logarithm of 1e-8 for that of anything below it",),
    pitfalls=("pred is a probability, not a logit", "negatives below clip cost nothing, and have no gradient"),
    relative="the value everywhere, the gradient with targets 0 and 1",
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
    missed, down = _focused(not_p, p, gamma_pos)
    # One minus p − clip on its own: a tiny clip is all that is left of it at p = 1.
    found, up = _focused(np.maximum(p - clip, 0.0), np.minimum(not_p + clip, 1.0), gamma_neg)

    def gradient() -> Array:
        seen = p > clip if clip else p >= 0.0
        return _weighted(no, choose(seen, up(), 0.0)) - _weighted(target, down())

    return _weighted(target, missed) + _weighted(no, found), gradient
