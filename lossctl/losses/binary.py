"""Losses for two classes, from a probability or a logit."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array, dot
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Positive, Probability, Real
from lossctl.core.interval import POSITIVE, REAL, UNIT, Interval
from lossctl.losses.numerics.elementary import hard_entropy, log1p, select, xlog1py, xlogy

Smoothing = Annotated[float, Param("moves targets this far towards 1/2: t(1 − s) + s/2", UNIT)]


def _smoothed(target: Array, s: float) -> tuple[Array, Array]:
    """Return the smoothed target t and 1 − t; the second is computed separately, because 1 − t cancels near 1."""
    if s == 0:
        return target, 1.0 - target
    return target * (1.0 - s) + 0.5 * s, (1.0 - target) * (1.0 - s) + 0.5 * s


def _entropy(p: Array, t: Array, not_t: Array) -> Array:
    """Return ``−t·log p − not_t·log(1 − p)``; targets 0 and 1 take one logarithm, whose bits are those of the two."""
    if dot(t, not_t) == 0.0:
        return hard_entropy(p, not_t)
    return -(xlogy(t, p) + xlog1py(not_t, -p))


@loss(
    formula="−t·log p − (1 − t)·log(1 − p);  p = pred, t = target",
    reference="Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x",
    aliases=("binary_cross_entropy", "log_loss", "logloss"),
    differences=(
        "p = 0, t = 1: here inf, torch 100, keras 16.118, scikit-learn 36.04",
        "torch clamps log p at −100; its gradient at (0, 0) is 0, here 1",
        "scikit-learn log_loss takes targets first",
    ),
    pitfalls=(
        "for raw scores use bce_with_logits, which keeps what 1 − p loses",
        "p = 0 for an event that happened costs inf: nothing is clipped",
    ),
    relative_accuracy="the value everywhere, the gradient with targets 0 and 1",
    from_logits="bce_with_logits",
)
def bce(pred: Probability, target: Probability, *, label_smoothing: Smoothing = 0.0) -> tuple[Array, Thunk]:
    """Cross-entropy of an event and its predicted probability, in nats."""
    t, not_t = _smoothed(target, label_smoothing)

    def gradient() -> Array:
        # (p − t)/(p(1 − p)), numerator and denominator without cancellation. At p = t = 0 and p = t = 1 it is 0/0; the
        # limits along t = p are 1 and −1, that is 1 − 2p.
        not_p = 1.0 - pred
        if label_smoothing:
            return not_t / not_p - t / pred
        top, bottom = pred - target, pred * not_p
        return select((top == 0) & (bottom == 0), 1.0 - 2.0 * pred, top / bottom)

    return _entropy(pred, t, not_t), gradient


@loss(
    formula="−w·t·log σ(x) − (1 − t)·log σ(−x);  x = pred, w = pos_weight",
    reference="torch.nn.BCEWithLogitsLoss",
    aliases=("sigmoid_cross_entropy", "binary_cross_entropy_with_logits"),
    differences=("keras on numpy clips σ(x): 15.9 at x = 40, t = 0, where 40 is right",),
    pitfalls=("pred is a logit: if all lie in [0, 1] they may be probabilities",),
    relative_accuracy="the value everywhere, the gradient with targets 0 and 1",
    propagates_nonfinite=True,
)
def bce_with_logits(
    pred: Real,
    target: Probability,
    *,
    pos_weight: Annotated[float, Param("factor of positives", POSITIVE, per_column=True)] = 1.0,
    label_weight: Annotated[float, Param("factor of the loss", POSITIVE, per_column=True)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> tuple[Array, Thunk]:
    """Binary cross-entropy from logits, accurate at large values."""
    weighted = bool(np.any(np.not_equal(label_weight, 1.0)))

    def weights() -> tuple[Array, Array]:
        t, not_t = _smoothed(target, label_smoothing)
        return t * pos_weight, not_t

    e = -np.abs(pred)
    np.exp(e, out=e)
    # The common form max(x, 0) − xt + log1p(e) cancels for soft targets; here no term is negative.
    value = log1p(e)
    if label_smoothing == 0 and np.all(np.equal(pos_weight, 1.0)):
        missed = target - (pred > 0)  # t − 1 or t, in half the time of select()
    else:
        t, not_t = weights()
        value *= t + not_t
        missed = select(pred > 0, -not_t, t)
    missed *= pred  # never above 0
    value -= missed

    def gradient() -> Array:
        t, not_t = weights()
        large = 1.0 / (1.0 + e)
        small = e * large  # σ(−|x|); 1 − σ(|x|) would be 0 from |x| = 37 on
        positive = pred > 0
        slope = not_t * select(positive, large, small) - t * select(positive, small, large)
        return slope * label_weight if weighted else slope

    if weighted:
        value *= label_weight
    return value, gradient


@loss(
    formula="−t·log p − (1 − t)·log(1 − p) + epsilon·(t·(1 − p) + (1 − t)·p);  p = pred, t = target",
    reference="Leng et al. 2022, arXiv:2204.12511",
    differences=("optax poly_loss_cross_entropy takes logits over classes, and epsilon = 2 by default",),
    pitfalls=("pred is a probability; a probability of exactly 0 for what happened costs inf",),
    relative_accuracy="the value with epsilon ≥ 0, the gradient with targets 0 and 1 as well",
)
def poly1(
    pred: Probability,
    target: Probability,
    *,
    epsilon: Annotated[
        float, Param("what is added to the first term of the series of bce", Interval(-1.0, np.inf, open_high=True))
    ] = 1.0,
) -> tuple[Array, Thunk]:
    """Binary cross-entropy with another weight of its leading term."""
    not_t, not_p = 1.0 - target, 1.0 - pred
    entropy = _entropy(pred, target, not_t)

    def gradient() -> Array:
        top, bottom = pred - target, pred * not_p
        slope = select((top == 0) & (bottom == 0), 1.0 - 2.0 * pred, top / bottom)
        return np.asarray(slope + epsilon * (not_t - target))

    return entropy + epsilon * (target * not_p + not_t * pred), gradient


# Products below this may be subnormal or 0: use the sum of the logarithms of the factors.
_TINY = 1e-300
# Below −40, log(1 + e^x) equals e^x in double precision.
_ALMOST_NEVER = -40.0


@loss(
    formula="y − t·log(e^y − 1), y = w·log(1 + e^x);  x = pred, t = target, w = exposure",
    reference="LightGBM cross_entropy_lambda",
    aliases=("xentlambda",),
    differences=("LightGBM takes exposures as weights; of 1 it is bce_with_logits",),
    pitfalls=("with exposure w an event has probability 1 − (1 + e^x)^−w",),
)
def cross_entropy_lambda(pred: Real, target: Probability, exposure: Positive) -> tuple[Array, Thunk]:
    """Binary cross-entropy of events with different exposures."""
    e = np.exp(-np.abs(pred))
    rate = np.maximum(pred, 0.0) + log1p(e)
    y = exposure * rate
    rare = np.log(exposure) + select(pred < _ALMOST_NEVER, pred, np.log(rate))
    happened = select(y < _TINY, rare, select(y < 1.0, np.log(-np.expm1(-y)), np.log1p(-np.exp(-y))))
    value = (1.0 - target) * y - target * happened

    def gradient() -> Array:
        slope = select(pred > 0, 1.0, e) / (1.0 + e)
        # σ(x)/log(1 + e^x) and y/(e^y − 1) tend to 1 as x → −∞.
        share = select(pred < _ALMOST_NEVER, 1.0, slope / rate)
        left = select(y < _TINY, 1.0, y / np.expm1(y))
        return np.asarray((1.0 - target) * (exposure * slope) - target * (share * left))

    return value, gradient


@loss(
    formula="t where x < threshold, else 1 − t;  x = pred, t = target",
    reference="sklearn.metrics.zero_one_loss",
    aliases=("misclassification", "error_rate"),
    differences=("scikit-learn zero_one_loss takes predicted labels, not scores", "accuracy is 1 minus this"),
    pitfalls=(
        "pred is any score: threshold=0 for logits and margins",
        "its gradient is 0 but where it jumps: nothing learns from it",
    ),
    relative_accuracy="everywhere",
)
def zero_one(
    pred: Real,
    target: Probability,
    *,
    threshold: Annotated[float, Param("the score from which on class 1 is predicted", REAL)] = 0.5,
) -> tuple[Array, Thunk]:
    """The fraction of wrong decisions; of a soft target the chance of a wrong one."""
    return select(pred < threshold, target, 1.0 - target), lambda: np.zeros_like(pred)
