"""Losses of the order of a list: a row of scores is one list, its target how relevant each item is."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array
from lossctl.kernels.shaped import Scores
from lossctl.kernels.softmax import complement, others, restored, softmax
from lossctl.kernels.spec import Thunk, loss

_A_LIST = "a row is one list; lists of different lengths need runs of their own"


@loss(
    formula="mean of log(1 + e^−(x[i] − x[j])) over pairs of a list with t[i] > t[j];  x = pred, t = target",
    see="Burges et al. 2005, doi:10.1145/1102351.1102363",
    differs=("rax pairwise_logistic_loss of several lists is the mean over all their pairs, not over lists",),
    pitfalls=(_A_LIST, "a list without such a pair costs nothing, and counts"),
    relative="the value everywhere",
)
def ranknet(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Logistic loss of the pairs of a list, averaged over its pairs."""
    value, slope, pairs = np.zeros(len(pred)), np.zeros_like(pred), np.zeros(len(pred))
    for j in range(pred.shape[-1]):  # k passes over (n, k), not one over (n, k, k): memory
        ahead = pred - pred[:, j, None]
        counts = target > target[:, j, None]
        top, low = np.maximum(pred, pred[:, j, None]), np.minimum(pred, pred[:, j, None])
        e = restored(np.exp(low - top), top, low, top - low)
        value += np.where(counts, np.maximum(-ahead, 0.0) + np.log1p(e), 0.0).sum(axis=-1)
        push = np.where(counts, np.where(ahead > 0, e, 1.0) / (1.0 + e), 0.0)
        slope -= push
        slope[:, j] += push.sum(axis=-1)
        pairs += counts.sum(axis=-1)
    pairs = np.maximum(pairs, 1.0)
    return value / pairs, lambda: slope / pairs[:, None]


@loss(
    formula="−Σ softmax(t)·log softmax(x) over a list;  x = pred, t = target",
    see="Cao et al. 2007, doi:10.1145/1273496.1273513",
    differs=("rax softmax_loss weighs by t itself, not by softmax(t)",),
    pitfalls=(_A_LIST, "its least value is not 0 but the entropy of softmax(target)"),
    relative="the value everywhere",
)
def listnet(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Cross-entropy of which item comes first, as it should be and as it is scored."""
    wanted = _chances(target)
    gap, e, rest = softmax(pred)

    def gradient() -> Array:
        p = restored(e, pred.max(axis=-1, keepdims=True), pred, gap) / (1.0 + rest)[:, None]
        return np.asarray(p * others(wanted) - wanted * complement(e, p, rest[:, None]))

    return (wanted * gap).sum(axis=-1) + wanted.sum(axis=-1) * np.log1p(rest), gradient


def _chances(x: Array) -> Array:
    gap, e, rest = softmax(x)
    return np.asarray(restored(e, x.max(axis=-1, keepdims=True), x, gap) / (1.0 + rest)[:, None])


@loss(
    formula="Σ [logsumexp(x[i:]) − x[i]] over a list, sorted so that t falls;  x = pred, t = target",
    see="Xia et al. 2008, doi:10.1145/1390156.1390306",
    differs=("rax listmle_loss shuffles items of equal relevance: here they stay in the order of the row",),
    pitfalls=(_A_LIST,),
    relative="the value everywhere",
)
def listmle(pred: Scores, target: Scores) -> tuple[Array, Thunk]:
    """Negative log-likelihood of the right order, under Plackett and Luce's model."""
    order = np.argsort(-target, axis=-1, kind="stable")
    x = np.take_along_axis(pred, order, axis=-1)
    k = x.shape[-1]
    value = np.zeros(len(x))
    for i in range(k - 1):  # the last item is certain
        gap, _, rest = softmax(x[:, i:])
        value += gap[:, 0] + np.log1p(rest)

    def gradient() -> Array:
        slope = np.zeros_like(x)
        for i in range(k - 1):
            left = x[:, i:]
            gap, e, rest = softmax(left)
            p = restored(e, left.max(axis=-1, keepdims=True), left, gap) / (1.0 + rest)[:, None]
            p[:, 0] = -complement(e[:, 0], p[:, 0], rest)
            slope[:, i:] += p
        g = np.empty_like(slope)
        np.put_along_axis(g, order, slope, axis=-1)
        return g

    return value, gradient
