"""Ranking losses: a row of scores is one list, and the target is the relevance of each item."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, TypeAlias

import numpy as np

from lossctl.core.array_kinds import ITEMS, ProbabilityArrayKind, Relevances, Scores
from lossctl.core.arrays import Array
from lossctl.core.decorator import MeanTransform, Param, Thunk, loss
from lossctl.core.interval import UNIT
from lossctl.losses.numerics.elementary import log1p, select
from lossctl.losses.numerics.error_free import difference
from lossctl.losses.numerics.logit_shift import shift
from lossctl.losses.numerics.normal_interval import Point
from lossctl.losses.numerics.softmax import complement, cross_entropy, others, restored, softmax, without

Chances: TypeAlias = Annotated[Array, ProbabilityArrayKind("Chances", "a probability, from 0 to 1", UNIT, ITEMS)]

_A_LIST = "a row is one list; compute --group takes lists of any length, an item a row"


@loss(
    formula="mean of log(1 + e^−(x[i] − x[j])) over pairs of a list with t[i] > t[j];  x = pred, t = target",
    reference="Burges et al. 2005, doi:10.1145/1102351.1102363",
    differences=("rax pairwise_logistic_loss of several lists is the mean over all their pairs, not over lists",),
    pitfalls=(_A_LIST, "a list without such a pair costs nothing, and counts"),
    relative_accuracy="the value everywhere",
)
def ranknet(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Logistic loss of the pairs of a list, averaged over its pairs."""
    k = pred.shape[-1]
    value, pairs = np.zeros(len(pred)), np.zeros(len(pred))
    for j in range(k - 1):  # k passes over (n, k), not one over (n, k, k): memory
        sign = np.sign(target[:, j + 1 :] - target[:, j, None])
        ahead, lost = difference(pred[:, j + 1 :], pred[:, j, None])
        ahead *= sign
        lost *= sign
        cost = np.abs(ahead)
        np.negative(cost, out=cost)
        np.exp(cost, out=cost)
        cost *= 1.0 - lost  # e^−gap magnifies the roundoff of a large gap; it matters for ahead > 0 only
        np.log1p(cost, out=cost)
        cost -= np.minimum(ahead, 0.0)
        counts = np.abs(sign)
        cost *= counts
        value += cost.sum(axis=-1)
        pairs += counts.sum(axis=-1)
    pairs = np.maximum(pairs, 1.0)

    def gradient() -> Array:
        slope = np.zeros_like(pred)
        for j in range(k):
            ahead, lost = difference(pred, pred[:, j, None])
            e = np.exp(-np.abs(ahead)) * (1.0 - np.copysign(1.0, ahead) * lost)
            push = np.where(target > target[:, j, None], np.where(ahead > 0, e, 1.0) / (1.0 + e), 0.0)
            slope -= push
            slope[:, j] += push.sum(axis=-1)
        return np.asarray(slope / pairs[:, None])

    return value / pairs, gradient


@loss(
    formula="−Σ softmax(t)·log softmax(x) over a list;  x = pred, t = target",
    reference="Cao et al. 2007, doi:10.1145/1273496.1273513",
    differences=("rax softmax_loss weighs by t itself, not by softmax(t)",),
    pitfalls=(_A_LIST, "its least value is not 0 but the entropy of softmax(target)"),
    relative_accuracy="the value everywhere",
)
def listnet(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Cross-entropy of which item comes first, by the targets and by the scores."""
    best, chances, besides = softmax(target)
    weight = restored(chances, best, target)
    top, e, tail_sum = softmax(pred)
    missed = top - pred
    missed *= weight
    value = missed.sum(axis=-1) / (1.0 + besides) + np.log1p(tail_sum)

    def gradient() -> Array:
        chance = weight / (1.0 + besides)[:, None]
        p = restored(e, top, pred) / (1.0 + tail_sum)[:, None]
        return np.asarray(p * others(chance) - chance * complement(e, p, tail_sum[:, None]))

    return value, gradient


@loss(
    formula="−Σ t·log softmax(x) over a list;  x = pred, t = target",
    reference="Bruch et al. 2019, doi:10.1145/3341981.3344221",
    aliases=("query_softmax", "ranking_softmax"),
    differences=(
        "catboost QuerySoftMax divides the sum over all lists by the sum of all relevances",
        "listnet weighs by softmax(t), not by t itself",
    ),
    pitfalls=(_A_LIST, "a list counts by the sum of its relevances: one without any costs nothing, and counts"),
    relative_accuracy="the value everywhere",
)
def softmax_ranking(pred: Scores, target: Relevances) -> tuple[Array, Thunk]:
    """Cross-entropy of the item that comes first, with relevances as weights."""
    return cross_entropy(pred, target)


@loss(
    formula="Σ [logsumexp(x[i:]) − x[i]] over a list, sorted so that t falls;  x = pred, t = target",
    reference="Xia et al. 2008, doi:10.1145/1390156.1390306",
    differences=("rax listmle_loss shuffles items of equal relevance: here they stay in the order of the row",),
    pitfalls=(_A_LIST,),
    relative_accuracy="the value everywhere",
)
def listmle(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Negative log-likelihood of the right order, under Plackett and Luce's model."""
    order = np.argsort(-target, axis=-1, kind="stable")
    x = np.take_along_axis(pred, order, axis=-1)
    k = x.shape[-1]
    columns = np.ascontiguousarray(x.T)
    # From the last item to the first: `top` is the maximum of the scores so far, `tail_sum` the sum of exp(x − top)
    # without one largest term.
    top, tail_sum, value = columns[-1], np.zeros(len(x)), np.zeros(len(x))
    for score in columns[-2::-1]:
        ahead, lost = difference(score, top)
        e = np.exp(-np.abs(ahead)) * (1.0 - np.copysign(1.0, ahead) * lost)
        tail_sum = select(ahead > 0, (1.0 + tail_sum) * e, tail_sum + e)
        value += np.log1p(tail_sum) - np.minimum(ahead, 0.0)
        top = np.maximum(top, score)

    def gradient() -> Array:
        slope = np.zeros_like(x)
        for i in range(k - 1):
            left = x[:, i:]
            top, e, tail_sum = softmax(left)
            p = restored(e, top, left) / (1.0 + tail_sum)[:, None]
            p[:, 0] = -complement(e[:, 0], p[:, 0], tail_sum)
            slope[:, i:] += p
        g = np.empty_like(slope)
        np.put_along_axis(g, order, slope, axis=-1)
        return g

    return value, gradient


def _centred(pred: Array, target: Array) -> Array:
    """Return the residuals minus their mean over the list, which a constant added to all scores does not change."""
    r = pred - target
    r -= r.mean(axis=-1, keepdims=True)
    return r


@loss(
    formula="√(mean (r − m)²), m = the mean of r over a list;  r = pred − target",
    reference="catboost QueryRMSE",
    differences=("catboost's lists may be of different lengths: each item counts once",),
    pitfalls=(_A_LIST, "what is added to all scores of a list costs nothing"),
    finish=MeanTransform(
        math.sqrt, lambda mean: 0.5 / math.sqrt(mean) if mean else 0.0, per_sample="the mean (r − m)²"
    ),
    counts_items=True,
)
def query_rmse(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Root of the mean squared error within lists, up to a constant per list.

    Per-sample values are the mean of (r − m)² over the list. At value 0 the gradient is taken to be 0.
    """
    off = _centred(pred, target)
    k = off.shape[-1]
    return (off * off).sum(axis=-1) / k, lambda: off * (2.0 / k)


@loss(
    formula="mean |r − m|, m = the mean of r over a list;  r = pred − target",
    reference="catboost GroupQuantile",
    differences=("catboost GroupQuantile is half of it, whatever its alpha: as much lies above a mean as below it",),
    pitfalls=(_A_LIST, "what is added to all scores of a list costs nothing"),
    counts_items=True,
)
def query_mae(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Mean absolute error within lists, up to a constant per list."""
    off = _centred(pred, target)

    def gradient() -> Array:
        side = np.sign(off)
        return np.asarray((side - side.mean(axis=-1, keepdims=True)) / off.shape[-1])

    return np.abs(off).mean(axis=-1), gradient


def _log_losses(u: Point, t: Array) -> tuple[Array, Callable[[], Point]]:
    """Return the mean over each list of −t·log σ(u) − (1 − t)·log(1 − σ(u)), and a function for its derivative by u.

    The derivative is the difference of two positive parts, which that function returns. If t is 0 or 1, one part is 0,
    so the difference does not cancel.

    Args:
        u: the scores (n, k), and their roundoff (n, k).
        t: the target probabilities (n, k).
    """
    k = t.shape[-1]
    size = np.abs(u[0])
    e = np.exp(-size) * (1.0 - np.copysign(1.0, u[0]) * u[1])
    not_t = 1.0 - t
    cost = size * select(u[0] > 0, not_t, t) + log1p(e)

    def slopes() -> Point:
        whole = (1.0 + e) * k
        return select(u[0] > 0, 1.0, e) * not_t / whole, select(u[0] > 0, e, 1.0) * t / whole

    return cost.sum(axis=-1) / k, slopes


def _balanced(rises: Array, falls: Array) -> Array:
    """Return ``rises − falls`` for rows whose sum of it is 0.

    An element that is larger than all others together is computed as minus their sum, which is more accurate.
    """
    slope, size = np.asarray(rises - falls), rises + falls
    top, row = size.argmax(axis=-1), np.arange(len(size))
    besides = size[row, top] > without(size, top).sum(axis=-1)
    slope[row, top] = np.where(besides, -without(slope, top).sum(axis=-1), slope[row, top])
    return slope


@loss(
    formula="mean of (1 − alpha)·H(x) + alpha·H(x + s) over a list, s = what makes Σ H(x + s) least;  "
    "H(x) = −t·log σ(x) − (1 − t)·log σ(−x), x = pred, t = target",
    reference="catboost QueryCrossEntropy",
    differences=(
        "catboost's lists may be of different lengths: each item counts once",
        "catboost has no H(x + s) where all t of a list are equal; here it is 0 where all are 0 or all are 1",
    ),
    pitfalls=(_A_LIST, "with alpha = 1 what is added to all scores of a list costs nothing"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
    counts_items=True,
)
def query_cross_entropy(
    pred: Scores,
    target: Chances,
    *,
    alpha: Annotated[float, Param("how much of it is of scores less what their list has in common", UNIT)] = 0.95,
) -> tuple[Array, Thunk]:
    """Cross-entropy of the scores, as they are and after the best shift.

    At the s that minimises Σ H(x + s), the derivative by s is 0. The dependence of s on the scores therefore does not
    contribute to the gradient, which is that of H at x + s.
    """
    value, slopes = _log_losses((pred, np.zeros_like(pred)), target)
    s = shift(pred, target)
    fitted, moved = _log_losses(s.added(pred), target)
    value = (1.0 - alpha) * value + alpha * np.where(s.certain, 0.0, fitted)

    def gradient() -> Array:
        rises, falls = slopes()
        return np.asarray(
            (1.0 - alpha) * (rises - falls) + alpha * np.where(s.certain[:, None], 0.0, _balanced(*moved()))
        )

    return value, gradient
