"""Losses of a margin: the score times the label, which is −1 or +1."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Real, Sign
from lossctl.core.interval import POSITIVE, REAL
from lossctl.losses.numerics.elementary import log1p, select

_SIGNS = "targets are −1 and +1: pass --labels 0,1 for 0 and 1"
_CURVES = "https://en.wikipedia.org/wiki/Loss_functions_for_classification"


def _shortfall(pred: Array, target: Array, margin: float) -> Array:
    return np.clip(margin - target * pred, 0.0, np.inf)  # in half the time of np.maximum


Margin = Annotated[float, Param("the score on the right side from which nothing is lost", REAL)]


@loss(
    formula="max(0, margin − t·x);  x = pred, t = target in {−1, +1}",
    reference="Rosasco et al. 2004, doi:10.1162/089976604773135104",
    differences=("scikit-learn hinge_loss takes targets that are all +1 for −1",),
    pitfalls=(
        _SIGNS,
        "at the kink t·x = margin the gradient is taken to be 0",
    ),
    relative_accuracy="everywhere",
)
def hinge(pred: Real, target: Sign, *, margin: Margin = 1.0) -> tuple[Array, Thunk]:
    """What a score lacks to the margin on its right side: support vector machines."""
    short = _shortfall(pred, target, margin)
    return short, lambda: select(short > 0, -target, 0.0)


@loss(
    formula="max(0, margin − t·x)²;  x = pred, t = target in {−1, +1}",
    reference="Rosasco et al. 2004, doi:10.1162/089976604773135104",
    differences=("some texts halve it",),
    pitfalls=(_SIGNS,),
    relative_accuracy="everywhere",
)
def squared_hinge(pred: Real, target: Sign, *, margin: Margin = 1.0) -> tuple[Array, Thunk]:
    """The square of hinge: smooth at the margin, harder on outliers."""
    short = _shortfall(pred, target, margin)
    return short * short, lambda: -2.0 * target * short


@loss(
    formula="0 where s ≤ 0, s²/(2·gamma) where s < gamma, else s − gamma/2, s = 1 − t·x;  x = pred, t = target",
    reference="Shalev-Shwartz & Zhang 2013, arXiv:1209.1873",
    aliases=("smooth_hinge",),
    differences=(
        "Rennie & Srebro's smooth hinge is this with gamma = 1",
        "optax sparsemax_loss is this with gamma = 2, of targets 0 and 1",
    ),
    pitfalls=(_SIGNS,),
    relative_accuracy="everywhere",
)
def smoothed_hinge(
    pred: Real,
    target: Sign,
    *,
    gamma: Annotated[float, Param("how far below the margin the parabola reaches", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Hinge with its kink rounded off."""
    short = _shortfall(pred, target, 1.0)
    q = np.minimum(short, gamma)
    return (q / gamma) * (short - 0.5 * q), lambda: -target * np.minimum(short / gamma, 1.0)


@loss(
    formula="max(0, 1 − u)² where u ≥ −1, else −4u, u = t·x;  x = pred, t = target in {−1, +1}",
    reference="Zhang 2004, doi:10.1145/1015330.1015332; scikit-learn SGDClassifier",
    pitfalls=(_SIGNS, "no huber of a margin: the square goes twice as far as the name suggests, to u = −1"),
    relative_accuracy="everywhere",
)
def modified_huber(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """Squared hinge, continued as a line where the score is wrong by more than 1."""
    short = _shortfall(pred, target, 1.0)
    q = np.minimum(short, 2.0)
    # s² up to s = 2, 4·(s − 1) beyond: both are q·(2s − q)
    return q * (2.0 * short - q), lambda: -2.0 * target * q


@loss(
    formula="log(1 + e^(−u)), u = t·x;  x = pred, t = target in {−1, +1}",
    reference="torch.nn.SoftMarginLoss",
    aliases=("logistic_margin", "logistic_loss"),
    differences=("some divide by log 2, so that it is 1 at 0", "bce_with_logits is the same of targets 0 and 1"),
    pitfalls=(_SIGNS,),
    relative_accuracy="everywhere",
)
def soft_margin(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """The loss of logistic regression, for labels −1 and +1."""
    u = target * pred
    e = np.exp(-np.abs(u))
    value = np.maximum(-u, 0.0) + log1p(e)
    return value, lambda: -target * select(u > 0, e, 1.0) / (1.0 + e)


@loss(
    formula="e^(−u), u = t·x;  x = pred, t = target in {−1, +1}",
    reference="Freund & Schapire 1997, doi:10.1006/jcss.1997.1504",
    aliases=("adaboost",),
    differences=("scikit-learn's ExponentialLoss is this of targets 0 and 1, and its probability σ(2x)",),
    pitfalls=(_SIGNS, "a single mislabelled sample can own it"),
    relative_accuracy="everywhere",
)
def exponential(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """AdaBoost's loss."""
    value = np.exp(-target * pred)
    return value, lambda: -target * value


@loss(
    formula="max(0, −u), u = t·x;  x = pred, t = target in {−1, +1}",
    reference="Rosenblatt 1958, doi:10.1037/h0042519",
    pitfalls=(_SIGNS, "0 for every sample if all scores are 0; at the kink u = 0 the gradient is taken to be 0"),
    relative_accuracy="everywhere",
)
def perceptron(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """Hinge without a margin: the size of a score on the wrong side."""
    short = _shortfall(pred, target, 0.0)
    return short, lambda: select(short > 0, -target, 0.0)


@loss(
    formula="min(1, max(0, 1 − u)), u = t·x;  x = pred, t = target in {−1, +1}",
    reference="Bartlett & Mendelson 2002, https://www.jmlr.org/papers/v3/bartlett02a.html",
    aliases=("ramp_loss",),
    differences=("Collobert et al. 2006 cut hinge off at 2, where u = −1: here at 1, where u = 0",),
    pitfalls=(_SIGNS, "not convex: scores on the wrong side have no gradient; at both kinks it is taken to be 0"),
    relative_accuracy="everywhere",
)
def ramp(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """Hinge cut off at 1: an outlier costs no more than an undecided sample."""
    short = _shortfall(pred, target, 1.0)
    return np.minimum(short, 1.0), lambda: select((short > 0) & (target * pred > 0), -target, 0.0)


@loss(
    formula="1/(1 + e^u)², u = t·x;  x = pred, t = target in {−1, +1}",
    reference=f"Masnadi-Shirazi & Vasconcelos 2008, NIPS 21; {_CURVES}",
    pitfalls=(_SIGNS, "not convex: from 0 to 1, without a gradient for scores that are far off"),
    relative_accuracy="everywhere",
)
def savage(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """The squared probability of the other class: bounded."""
    u = target * pred
    e = np.exp(-np.abs(u))
    wrong = select(u > 0, e, 1.0) / (1.0 + e)
    right = select(u > 0, 1.0, e) / (1.0 + e)
    return wrong * wrong, lambda: -2.0 * target * (wrong * wrong * right)


@loss(
    formula="(2·arctan(u) − 1)², u = t·x;  x = pred, t = target in {−1, +1}",
    reference=f"Masnadi-Shirazi, Mahadevan & Vasconcelos 2010, doi:10.1109/CVPR.2010.5540136; {_CURVES}",
    pitfalls=(_SIGNS, "least at u = 0.546, and larger again beyond: scores that are too right cost as well"),
)
def tangent(pred: Real, target: Sign) -> tuple[Array, Thunk]:
    """Bounded on both sides; it punishes scores that are too right."""
    u = target * pred
    d = 2.0 * np.arctan(u) - 1.0

    def gradient() -> Array:
        far = np.abs(u) > 1e100  # the square may overflow
        inverse = 1.0 / select(far, u, 1.0)
        return np.asarray(4.0 * target * d * select(far, inverse * inverse, 1.0 / (1.0 + select(far, 0.0, u) ** 2)))

    return d * d, gradient


@loss(
    formula="1 − u where u ≤ q/(q + 1), else (q/(q + 1)/u)^q/(q + 1), u = t·x;  x = pred, t = target",
    reference="Wang & Zou 2018, doi:10.1111/rssb.12244; Marron et al. 2007, doi:10.1198/016214507000001120",
    aliases=("distance_weighted_discrimination",),
    pitfalls=(_SIGNS, "as q grows it tends to hinge"),
    relative_accuracy="everywhere for q up to 20; beyond, digits are lost in proportion to q",
)
def dwd(
    pred: Real,
    target: Sign,
    *,
    q: Annotated[float, Param("the power with which it falls off", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Distance weighted discrimination: a line, then a tail that is a power."""
    u = target * pred
    edge = q / (q + 1.0)
    far = u > edge
    ratio = edge / select(far, u, edge)
    tail = ratio**q
    value = select(far, tail / (q + 1.0), 1.0 - u)
    return value, lambda: -target * select(far, tail * ratio, 1.0)
