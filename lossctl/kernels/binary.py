"""Losses of two classes: from a probability, from a logit, from a margin."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import POSITIVE, REAL, UNIT
from lossctl.kernels.kinds import Array, Probability, Real, Sign
from lossctl.kernels.numerics import xlog1py, xlogy
from lossctl.kernels.spec import Param, Thunk, loss

Smoothing = Annotated[float, Param("moves targets this far towards 1/2: t(1 − s) + s/2", UNIT)]


def _smoothed(target: Array, s: float) -> tuple[Array, Array]:
    """The smoothed target and one minus it, the second formed on its own: 1 − t would cancel near 1."""
    if s == 0:
        return target, 1.0 - target
    return target * (1.0 - s) + 0.5 * s, (1.0 - target) * (1.0 - s) + 0.5 * s


@loss(
    formula="−t·log p − (1 − t)·log(1 − p);  p = pred, t = target",
    see="Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x; https://en.wikipedia.org/wiki/Cross-entropy",
    aliases=("binary_cross_entropy", "log_loss"),
    differs=(
        "at p = 0, t = 1 (inf here): torch 100, keras 16.118, scikit-learn 36.04: they clip",
        "torch clamps log p at −100: p = 1e-50 costs 100 where 115.13 is right; its gradient at (0, 0) is 0",
        "scikit-learn log_loss takes targets first",
    ),
    pitfalls=(
        "pred is a probability; for raw scores use bce_with_logits, which also keeps the digits that 1 − p has lost",
        "a probability of exactly 0 for an event that happened costs inf: nothing is clipped",
    ),
    relative="the value everywhere, the gradient with targets 0 and 1",
    from_logits="bce_with_logits",
)
def bce(pred: Probability, target: Probability, *, label_smoothing: Smoothing = 0.0) -> tuple[Array, Thunk]:
    """Cross-entropy of an event and its predicted probability, in nats."""
    t, not_t = _smoothed(target, label_smoothing)
    not_p = 1.0 - pred

    def gradient() -> Array:
        # (p − t)/(p(1 − p)), each side of the division formed without loss. At p = 0 = t and
        # p = 1 = t it is 0/0, whose limits along t = p are 1 and −1 = 1 − 2p.
        if label_smoothing:
            return not_t / not_p - t / pred
        top, bottom = pred - target, pred * not_p
        return np.where((top == 0) & (bottom == 0), 1.0 - 2.0 * pred, top / bottom)

    return -(xlogy(t, pred) + xlog1py(not_t, -pred)), gradient


@loss(
    formula="−w·t·log σ(x) − (1 − t)·log(1 − σ(x));  x = pred, t = target, w = pos_weight",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html",
    aliases=("sigmoid_cross_entropy", "binary_cross_entropy_with_logits"),
    differs=("keras on numpy takes the sigmoid and clips it: 15.9 at x = 40, t = 0, where 40 is right",),
    pitfalls=("pred is a logit, any real number: predictions that all lie in [0, 1] are probably probabilities",),
    relative="the value everywhere, the gradient with targets 0 and 1",
)
def bce_with_logits(
    pred: Real,
    target: Probability,
    *,
    pos_weight: Annotated[float, Param("factor of the positive term", POSITIVE)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> tuple[Array, Thunk]:
    """Binary cross-entropy from logits, right where the sigmoid has saturated."""
    t, not_t = _smoothed(target, label_smoothing)
    t = t * pos_weight
    size = np.abs(pred)
    e = np.exp(-size)
    # The usual max(x, 0) − xt + log1p(e) cancels for soft targets; here every term is positive.
    value = size * np.where(pred > 0, not_t, t) + (t + not_t) * np.log1p(e)

    def gradient() -> Array:
        large = 1.0 / (1.0 + e)
        small = e * large  # σ(−|x|), where 1 − σ(|x|) would be 0 from |x| = 37 on
        positive = pred > 0
        return not_t * np.where(positive, large, small) - t * np.where(positive, small, large)

    return value, gradient


def _shortfall(pred: Array, target: Array, margin: float) -> Array:
    return np.maximum(0.0, margin - target * pred)


Margin = Annotated[float, Param("the score on the right side from which nothing is lost", REAL)]


@loss(
    formula="max(0, margin − t·x);  x = pred, t = target in {−1, +1}",
    see="Rosasco et al. 2004, doi:10.1162/089976604773135104",
    differs=(
        "keras turns targets into −1/+1 when every one is 0 or 1",
        "scikit-learn hinge_loss takes targets that are all +1 for −1",
    ),
    pitfalls=(
        "targets are −1 and +1: pass --labels 0,1 for 0 and 1",
        "at the kink t·x = margin the gradient is taken to be 0",
    ),
    relative="everywhere",
)
def hinge(pred: Real, target: Sign, *, margin: Margin = 1.0) -> tuple[Array, Thunk]:
    """What a score lacks to the margin on its right side: support vector machines."""
    short = _shortfall(pred, target, margin)
    return short, lambda: np.where(short > 0, -target, 0.0)


@loss(
    formula="max(0, margin − t·x)²;  x = pred, t = target in {−1, +1}",
    see="Rosasco et al. 2004, doi:10.1162/089976604773135104",
    differs=("keras turns targets into −1/+1 when all of them are 0 or 1", "some texts halve it"),
    pitfalls=("targets are −1 and +1: pass --labels 0,1 for 0 and 1",),
    relative="everywhere",
)
def squared_hinge(pred: Real, target: Sign, *, margin: Margin = 1.0) -> tuple[Array, Thunk]:
    """The square of hinge: smooth at the margin, harder on outliers."""
    short = _shortfall(pred, target, margin)
    return short * short, lambda: -2.0 * target * short
