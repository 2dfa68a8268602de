"""Losses of one class among several: a row of scores or probabilities is one sample."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import UNIT
from lossctl.kernels.kinds import Array, Label, Logits, LogProbabilities, Probabilities
from lossctl.kernels.numerics import xlogy
from lossctl.kernels.spec import Param, Thunk, loss

Smoothing = Annotated[float, Param("moves targets this far towards uniform: t(1 − s) + s/k", UNIT)]

# s − 1 has lost a factor s/(s − 1) of its digits: below this (a factor 20, 2e-15) it is summed anew.
_CERTAIN = 0.05
# exp(−gap) takes half an ulp of the gap as its relative error, 1.1e-16·gap: from 45 on that is half
# of the 1e-14 promised, and what rounding took from the gap is put back.
_FAR = 45.0


@loss(
    formula="−Σ t·log p over classes;  p = pred, t = target",
    see="https://en.wikipedia.org/wiki/Cross-entropy",
    aliases=("cce",),
    differs=("keras divides rows by their sum and clips them at 1e-7", "scikit-learn log_loss clips, and only warns"),
    pitfalls=(
        "pred is probabilities; for logits use softmax_cross_entropy",
        "target is a row of probabilities or one-hot; for class indices use sparse_categorical_cross_entropy",
    ),
    relative="everywhere",
    from_logits="softmax_cross_entropy",
)
def categorical_cross_entropy(pred: Probabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Cross-entropy of two distributions over classes, in nats."""
    return -xlogy(target, pred).sum(axis=-1), lambda: np.where(target == 0, 0.0, -target / pred)


def _at(label: Array) -> tuple[np.ndarray, np.ndarray]:
    """The index of each row's own class, for fancy indexing."""
    return np.arange(len(label)), label.astype(np.intp)


@loss(
    formula="−log p[y];  p = pred, y = target",
    see="https://en.wikipedia.org/wiki/Cross-entropy",
    aliases=("scce",),
    differs=("keras divides rows by their sum and clips them at 1e-7",),
    pitfalls=("pred is probabilities; for logits use sparse_softmax_cross_entropy",),
    relative="everywhere",
    from_logits="sparse_softmax_cross_entropy",
)
def sparse_categorical_cross_entropy(pred: Probabilities, target: Label) -> tuple[Array, Thunk]:
    """Cross-entropy from probabilities, the target a class index."""
    at = _at(target)
    p = pred[at]

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at] = -1.0 / p
        return g

    return -np.log(p), gradient


@loss(
    formula="−z[y];  z = pred, y = target",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",
    aliases=("nll_loss",),
    pitfalls=("pred is log-probabilities, as log_softmax gives; for logits use sparse_softmax_cross_entropy",),
    relative="everywhere",
)
def nll(pred: LogProbabilities, target: Label) -> tuple[Array, Thunk]:
    """Negative log-likelihood, read off a row of log-probabilities."""
    at = _at(target)

    def gradient() -> Array:
        g = np.zeros_like(pred)
        g[at] = -1.0
        return g

    return -pred[at], gradient


def _softmax(z: Array) -> tuple[Array, Array, Array]:
    """``m − z`` (n, k), ``exp(z − m)`` (n, k) and the sum of the latter without one largest term (n,).

    With m the largest logit, logsumexp(z) = m + log1p(rest): a certain row keeps the digits of how
    certain it is, where log of the whole sum returns exactly 0 below 1e-16.
    """
    top = z.max(axis=-1, keepdims=True)
    gap = top - z
    e = np.exp(-gap)
    rest = e.sum(axis=-1) - 1.0
    certain = np.flatnonzero(rest < _CERTAIN)
    if certain.size:
        # C order: each row is then summed alone, whatever other rows are certain.
        others = np.ascontiguousarray(_restored(e[certain], top[certain], z[certain], gap[certain]))
        rest[certain] = _without(others, others.argmax(axis=-1)).sum(axis=-1)
    return gap, e, rest


def _restored(e: Array, top: Array, z: Array, gap: Array) -> Array:
    """``exp(z − m)`` with what rounding took from the gap put back (Knuth's two-sum)."""
    far = (gap > _FAR) & (e > 0)
    if not far.any():
        return e
    seen = top - gap
    lost = (top - (gap + seen)) + (seen - z)
    return np.where(far, e * (1.0 - lost), e)


def _without(x: Array, place: np.ndarray) -> Array:
    """``x`` with one element of each row set to 0."""
    others = x.copy()
    others[np.arange(len(x)), place] = 0.0
    return others


def _complement(e: Array, p: Array, rest: Array) -> Array:
    """``1 − p`` of a softmax, where the largest p would cancel."""
    return np.where(e == 1.0, rest / (1.0 + rest), 1.0 - p)


def _others(t: Array) -> Array:
    """For each element of a row, the sum of the others: total − t cancels for the largest."""
    total = t.sum(axis=-1, keepdims=True)
    top = t.argmax(axis=-1)
    others = np.asarray(total - t)
    others[np.arange(len(t)), top] = _without(t, top).sum(axis=-1)
    return others


@loss(
    formula="−Σ t·log softmax(z) over classes;  z = pred, t = target",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
    aliases=("softmax_ce", "categorical_cross_entropy_with_logits"),
    differs=("torch and optax give NaN where a logit is −inf and its target 0: here that term is 0",),
    pitfalls=(
        "pred is logits: applying softmax before it is the most common mistake in classification",
        "for class indices as targets use sparse_softmax_cross_entropy",
    ),
    relative="the value everywhere, the gradient with one-hot targets",
)
def softmax_cross_entropy(
    pred: Logits, target: Probabilities, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from logits, the target a distribution over classes."""
    s = label_smoothing
    t = target * (1.0 - s) + s / target.shape[-1] if s else target
    gap, e, rest = _softmax(pred)
    total = t.sum(axis=-1)
    value = np.where(t == 0, 0.0, t * gap).sum(axis=-1) + total * np.log1p(rest)

    def gradient() -> Array:
        exact = _restored(e, pred.max(axis=-1, keepdims=True), pred, gap)
        p = exact / (1.0 + rest)[:, None]
        return np.asarray(p * _others(t) - t * _complement(e, p, rest[:, None]))

    return value, gradient


@loss(
    formula="logsumexp(z) − z[y];  z = pred, y = target",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
    aliases=("cross_entropy", "ce", "sparse_softmax_ce"),
    differs=("the usual form returns exactly 0 for a row that is certain to 1e-16: here its digits are kept",),
    pitfalls=("pred is logits: applying softmax before it is the most common mistake in classification",),
    relative="value and gradient everywhere without label_smoothing, the value with it",
)
def sparse_softmax_cross_entropy(
    pred: Logits, target: Label, *, label_smoothing: Smoothing = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from logits, the target a class index."""
    s = label_smoothing
    at = _at(target)
    gap, e, rest = _softmax(pred)
    missed = gap[at] if not s else (1.0 - s) * gap[at] + s * gap.mean(axis=-1)

    def gradient() -> Array:
        g = _restored(e, pred.max(axis=-1, keepdims=True), pred, gap) / (1.0 + rest)[:, None]
        # p[y] − 1 would cancel: it is minus the sum of the others.
        own = -_complement(e[at], g[at], rest)
        if s:
            towards_uniform = s * (g - 1.0 / pred.shape[-1])
            g[at] = own
            return np.asarray((1.0 - s) * g + towards_uniform)
        g[at] = own
        return g

    return missed + np.log1p(rest), gradient
