"""Losses for one class out of several: a row of scores or probabilities is one sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import ClassScores
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Label, LabelOrProbabilities, Logits, LogProbabilities, Probabilities
from lossctl.core.interval import NON_NEGATIVE, UNIT, Interval
from lossctl.losses.numerics.elementary import xlogy
from lossctl.losses.numerics.softmax import complement, cross_entropy, others, picked, restored, softmax

Smoothing = Annotated[float, Param("moves targets this far towards uniform: t(1 − s) + s/k", UNIT)]
Margin = Annotated[float, Param("how far ahead the right class must be")]


@loss(
    formula="−Σ t·log p over classes;  p = pred, t = target",
    reference="https://en.wikipedia.org/wiki/Cross-entropy",
    aliases=("cce",),
    differences=(
        "keras divides rows by their sum and clips them at 1e-7",
        "scikit-learn log_loss clips, and only warns",
    ),
    pitfalls=(
        "pred is probabilities; for logits use softmax_cross_entropy",
        "target is a row of probabilities or one-hot; for class indices use sparse_categorical_cross_entropy",
    ),
    relative_accuracy="everywhere",
    from_logits="softmax_cross_entropy",
)
def categorical_cross_entropy(
    pred: Probabilities, target: Probabilities, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy of two distributions over classes."""
    return _from_probabilities(pred, _smoothed(target, label_smoothing))


def _smoothed(target: Array, s: float) -> Array:
    return target * (1.0 - s) + s / target.shape[-1] if s else target


def _from_probabilities(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """Return ``−Σ t·log p`` and its gradient."""
    return -xlogy(target, pred).sum(axis=-1), lambda: np.where(target == 0, 0.0, -target / pred)


def _at(label: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the index arrays of the target class of each row, for fancy indexing."""
    return np.arange(len(label)), label.astype(np.intp)


@loss(
    formula="−log p[y];  p = pred, y = target",
    reference="https://en.wikipedia.org/wiki/Cross-entropy",
    aliases=("scce",),
    differences=("keras divides rows by their sum and clips them at 1e-7",),
    pitfalls=("pred is probabilities; for logits use sparse_softmax_cross_entropy",),
    relative_accuracy="everywhere",
    from_logits="sparse_softmax_cross_entropy",
)
def sparse_categorical_cross_entropy(
    pred: Probabilities, target: Label, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from probabilities, with a class index as target."""
    at = _at(target)
    if label_smoothing:
        one_hot = np.zeros_like(pred)
        one_hot[at] = 1.0
        return _from_probabilities(pred, _smoothed(one_hot, label_smoothing))
    p = pred[at]

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at] = -1.0 / p
        return g

    return -np.log(p), gradient


@loss(
    formula="−z[y];  z = pred, y = target",
    reference="torch.nn.NLLLoss",
    aliases=("nll_loss",),
    pitfalls=("pred is log-probabilities, as log_softmax gives; for logits use sparse_softmax_cross_entropy",),
    relative_accuracy="everywhere",
)
def nll(pred: LogProbabilities, target: Label) -> tuple[Array, Thunk]:
    """Negative log-likelihood, read off a row of log-probabilities."""
    at = _at(target)

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at] = -1.0
        return g

    return -pred[at], gradient


@loss(
    formula="−Σ t·log softmax(z) over classes;  z = pred, t = target",
    reference="torch.nn.CrossEntropyLoss",
    aliases=("softmax_ce", "categorical_cross_entropy_with_logits"),
    differences=("torch and optax: NaN where a logit is −inf and its target 0; here 0",),
    pitfalls=(
        "pred is logits: softmax before it is the most common mistake",
        "for class indices as targets use sparse_softmax_cross_entropy",
    ),
    relative_accuracy="the value everywhere, the gradient with one-hot targets",
    propagates_nonfinite=True,
)
def softmax_cross_entropy(
    pred: Logits, target: Probabilities, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from logits and a target distribution."""
    return cross_entropy(pred, _smoothed(target, label_smoothing))


@loss(
    formula="logsumexp(z) − z[y];  z = pred, y = target",
    reference="torch.nn.CrossEntropyLoss",
    aliases=("cross_entropy", "ce", "xent", "sparse_softmax_ce"),
    differences=("the usual form is exactly 0 for a row certain to 1e-16: not here",),
    pitfalls=("pred is logits: softmax before it is the most common mistake",),
    relative_accuracy="value and gradient everywhere without label_smoothing, the value with it",
    propagates_nonfinite=True,
)
def sparse_softmax_cross_entropy(
    pred: Logits, target: Label, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from logits and a class index."""
    s = label_smoothing
    at = _at(target)
    top, e, tail_sum = softmax(pred)
    missed = top[:, 0] - picked(pred, at[1])
    if s:  # with s = 1 the logit of the target class has no term of its own, and may be -inf
        missed = s * (top - pred).mean(axis=-1) + np.where(s == 1, 0.0, (1.0 - s) * missed)

    def gradient() -> Array:
        g = restored(e, top, pred) / (1.0 + tail_sum)[:, None]
        # p[y] − 1 would cancel; it is computed as minus the sum of the other probabilities.
        label_slope = -complement(e[at], g[at], tail_sum)
        if s:
            towards_uniform = s * (g - 1.0 / pred.shape[-1])
            g[at] = label_slope
            return np.asarray((1.0 - s) * g + towards_uniform)
        g[at] = label_slope
        return g

    return missed + np.log1p(tail_sum), gradient


@loss(
    formula="max(0, margin + max z[j] − z[y]) over j ≠ y;  z = pred, y = target",
    reference="Crammer & Singer 2001, https://jmlr.org/papers/v2/crammer01a.html",
    aliases=("categorical_hinge",),
    differences=(
        "keras takes one-hot targets, and counts a 0 among the wrong scores",
        "optax multiclass_perceptron_loss is this with margin = 0",
    ),
    pitfalls=("pred is scores: of probabilities a margin of 1 is never reached",),
)
def crammer_singer(pred: ClassScores, target: LabelOrProbabilities, *, margin: Margin = 1.0) -> tuple[Array, Thunk]:
    """Hinge of the best wrong class against the right one.

    The loss of a row of target probabilities is the mean of the losses of their labels.
    """
    if target.ndim > 1:
        return _expected_hinge(pred, target, margin)
    at = _at(target)
    wrong = pred.copy(order="K")
    wrong[at] = -np.inf
    short = margin + (wrong.max(axis=-1) - pred[at])

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at[0], wrong.argmax(axis=-1)] = short > 0
        g[at] -= short > 0
        return g

    return np.maximum(short, 0.0), gradient


def _expected_hinge(pred: Array, target: Array, margin: float) -> tuple[Array, Thunk]:
    """Return the mean over the classes of their hinge against the best other class, and its gradient."""
    row, best = np.arange(len(pred)), pred.argmax(axis=-1)
    wrong = pred.copy(order="K")
    wrong[row, best] = -np.inf
    second = wrong.argmax(axis=-1)
    rival = np.repeat(pred[row, best][:, None], pred.shape[-1], axis=1)
    rival[row, best] = wrong[row, second]
    short = margin + (rival - pred)
    weight = np.where(short > 0, target, 0.0)

    def gradient() -> Array:
        g = -weight
        g[row, second] += weight[row, best]
        others_weight = weight.copy(order="K")
        others_weight[row, best] = 0.0
        g[row, best] += others_weight.sum(axis=-1)
        return np.asarray(g)

    return (weight * np.maximum(short, 0.0)).sum(axis=-1), gradient


@loss(
    formula="Σ (p[j] − [j = y])²/2 + max(0, c − z[y]), p = max(z − c, 0), Σ p = 1;  z = pred, y = target",
    reference="Martins & Astudillo 2016, doi:10.48550/arXiv.1602.02068",
    differences=("of two classes it is smoothed_hinge:gamma=2 of the difference of their scores",),
    pitfalls=("pred is scores, as for softmax; a right class that is ahead of all others by 1 costs nothing",),
)
def sparsemax(pred: Logits, target: Label) -> tuple[Array, Thunk]:
    """The counterpart of cross-entropy for probabilities that can be exactly 0."""
    at = _at(target)
    gap = pred.max(axis=-1, keepdims=True) - pred
    # Michelot 1986, doi:10.1007/BF00938486: drop the classes with gap ≥ edge, until none is dropped.
    kept = gap < 1.0
    while True:
        edge = (1.0 + np.where(kept, gap, 0.0).sum(axis=-1, keepdims=True)) / kept.sum(axis=-1, keepdims=True)
        left = kept & (gap < edge)
        if np.array_equal(left, kept):
            break
        kept = left
    slope = np.where(kept, edge - gap, 0.0)
    slope[at] = 0.0
    slope[at] = -slope.sum(axis=-1)  # p[y] − 1 would cancel
    return 0.5 * (slope * slope).sum(axis=-1) + np.maximum(gap[at] - edge[:, 0], 0.0), lambda: slope.copy(order="K")


@loss(
    formula="Σ max(0, margin − z[y] + z[j])^p / k over j ≠ y;  z = pred, y = target",
    reference="torch.nn.MultiMarginLoss",
    differences=("torch with weight divides by n, not by the sum of the weights",),
    pitfalls=("pred is scores, not probabilities", "it divides by all k classes, the right one included"),
)
def multi_margin(
    pred: ClassScores,
    target: Label,
    *,
    p: Annotated[int, Param("1 for hinges, 2 for their squares", Interval(1, 2))] = 1,
    margin: Margin = 1.0,
) -> tuple[Array, Thunk]:
    """The average hinge of the wrong classes against the right class."""
    at = _at(target)
    short = np.maximum((pred - pred[at][:, None]) + margin, 0.0)
    short[at] = 0.0
    k = pred.shape[-1]

    def gradient() -> Array:
        g = (short > 0) / k if p == 1 else 2.0 * short / k
        g[at] = -g.sum(axis=-1)
        return np.asarray(g)

    return (short if p == 1 else short * short).sum(axis=-1) / k, gradient


def _of_rows(
    pred: Array, target: Array, parts: Callable[[Array, Array, Array], tuple[Array, Array]]
) -> tuple[Array, Thunk]:
    """Return the mean over target probabilities of a function of softmax(pred), and its gradient.

    Args:
        pred, target: (n, k) logits and probabilities.
        parts: called with p, 1 − p and −log p of each class; returns the losses f and −p·df/dp.
    """
    top, e, tail_sum = softmax(pred)
    p = restored(e, top, pred) / (1.0 + tail_sum)[:, None]
    missed = complement(e, p, tail_sum[:, None])
    losses, slope = parts(p, missed, (top - pred) + np.log1p(tail_sum)[:, None])

    def weighted(x: Array) -> Array:
        return np.where(target == 0, 0.0, target * x)

    def gradient() -> Array:
        by_class = weighted(slope)
        return np.asarray(p * others(by_class) - by_class * missed)

    return weighted(losses).sum(axis=-1), gradient


def _own(pred: Array, target: Array) -> tuple[Array, Array, Array, Callable[[Array], Array]]:
    """Return p[y], 1 − p[y], −log p[y], and a function that returns the gradient from its factor.

    The gradient of a function of p[y] is factor·(p[j] − [j = y]), with a factor (n,).
    """
    at = _at(target)
    top, e, tail_sum = softmax(pred)
    p = e[at] / (1.0 + tail_sum)
    missed = complement(e[at], p, tail_sum)

    def gradient(factor: Array) -> Array:
        g = restored(e, top, pred) * (factor / (1.0 + tail_sum))[:, None]
        g[at] = -missed * factor
        return np.asarray(g)

    return p, missed, (top[:, 0] - pred[at]) + np.log1p(tail_sum), gradient


@loss(
    formula="−(1 − p)^gamma·log p;  p = softmax(pred)[y], y = target",
    reference="Lin et al. 2017, doi:10.1109/ICCV.2017.324",
    differences=(
        "the paper's alpha is --class-weight here, by the sum of which a mean then divides",
        "kornia focal_loss gives a number for each class, and its mean divides by their number too",
    ),
    pitfalls=("pred is logits", "gamma = 0 is sparse_softmax_cross_entropy"),
    relative_accuracy="everywhere",
)
def softmax_focal(
    pred: Logits,
    target: LabelOrProbabilities,
    *,
    gamma: Annotated[float, Param("how much less rows count that are right already", NON_NEGATIVE)] = 2.0,
) -> tuple[Array, Thunk]:
    """Focal loss of several classes: less weight on easy rows.

    The loss of a row of target probabilities is the mean of the losses of their labels.
    """

    def parts(p: Array, missed: Array, cost: Array) -> tuple[Array, Array]:
        # −p·log p/(1 − p) tends to 1 for p → 1 and to 0 for p → 0
        slope = np.where(missed == 0, 1.0, np.where(p == 0, 0.0, p * cost) / missed)
        return np.where(missed == 0, 0.0, missed**gamma * cost), missed**gamma * (gamma * slope + 1.0)

    if target.ndim > 1:
        return _of_rows(pred, target, parts)
    p, missed, cost, by_logits = _own(pred, target)
    return parts(p, missed, cost)[0], lambda: by_logits(parts(p, missed, cost)[1])


@loss(
    formula="(1 − p^q) / q;  p = pred[y], y = target",
    reference="Zhang & Sabuncu 2018, doi:10.48550/arXiv.1805.07836",
    aliases=("gce",),
    pitfalls=(
        "pred is probabilities, as softmax gives them",
        "q near 0 is cross-entropy, q = 1 is 1 − p, which outliers do not move",
    ),
    relative_accuracy="everywhere",
)
def generalized_cross_entropy(
    pred: Probabilities,
    target: Label,
    *,
    q: Annotated[
        float, Param("from cross-entropy (0) to mean absolute error (1)", Interval(0, 1, open_low=True))
    ] = 0.7,
) -> tuple[Array, Thunk]:
    """Between cross-entropy and absolute error, for labels that are sometimes wrong."""
    at = _at(target)
    p = pred[at]

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at] = -(p ** (q - 1.0))
        return g

    return -np.expm1(q * np.log(p)) / q, gradient


@loss(
    formula="−log p + epsilon·(1 − p);  p = softmax(pred)[y], y = target",
    reference="Leng et al. 2022, doi:10.48550/arXiv.2204.12511",
    pitfalls=("pred is logits", "epsilon = 0 is sparse_softmax_cross_entropy"),
    relative_accuracy="everywhere, with epsilon at least 0",
)
def poly1_softmax(
    pred: Logits,
    target: LabelOrProbabilities,
    *,
    epsilon: Annotated[float, Param("the weight of the first term of cross-entropy's series in 1 − p")] = 1.0,
) -> tuple[Array, Thunk]:
    """Cross-entropy with another first coefficient of its series.

    The loss of a row of target probabilities is the mean of the losses of their labels.
    """
    if target.ndim > 1:
        return _of_rows(pred, target, lambda p, missed, cost: (cost + epsilon * missed, 1.0 + epsilon * p))
    p, missed, cost, by_logits = _own(pred, target)
    return cost + epsilon * missed, lambda: by_logits(1.0 + epsilon * p)
