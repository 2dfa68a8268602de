"""Softmax p of a row of logits, and 1 − p, to full relative accuracy even where the largest p is nearly 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, memory_order
from lossctl.losses.numerics.elementary import rows_of

# The relative error of exp(−gap) is the roundoff of the gap: for gaps up to 64 at most half an ulp of 64, 3.6e-15.
# Smaller terms, whose error would reach the promised 1e-14, are corrected by the roundoff of their gap.
_CERTAIN = math.exp(-63.0)


def softmax(z: Array) -> tuple[Array, Array, Array]:
    """Return the largest logit m (n, 1), ``exp(z − m)`` (n, k) and ``tail_sum`` (n,), its sum without one largest term.

    logsumexp(z) = m + log1p(tail_sum) keeps the digits of a small ``tail_sum``, whereas the log of the whole sum is
    exactly 0 for a ``tail_sum`` below 1e-16.
    """
    top = z.max(axis=-1, keepdims=True)
    e = z - top
    np.exp(e, out=e)
    largest = np.floor(e)  # 1 for each largest term, 0 for the others
    ties = largest.sum(axis=-1) - 1.0
    besides = np.subtract(e, largest, out=largest)
    tail_sum = besides.sum(axis=-1)
    rows = np.flatnonzero(tail_sum < _CERTAIN)
    if rows.size:  # in C order: the roundoff of a row sum does not depend on the other rows
        tail_sum[rows] = restored(*(np.ascontiguousarray(x[rows]) for x in (besides, top, z))).sum(axis=-1)
    tail_sum += ties
    return top, e, tail_sum


def cross_entropy(z: Array, t: Array) -> tuple[Array, Callable[[], Array]]:
    """Return ``−Σ t·log softmax(z)`` for weights t ≥ 0 with any sum, and its gradient with respect to z."""
    top, e, tail_sum = softmax(z)
    total = t.sum(axis=-1)
    missed = top - z
    missed *= t
    value = missed.sum(axis=-1)
    rows = np.flatnonzero(np.isnan(value))  # 0·inf: a weight of 0 on a logit of -inf
    value[rows] = np.fmax(np.ascontiguousarray(missed[rows]), 0.0).sum(axis=-1)
    value += total * np.log1p(tail_sum)

    def gradient() -> Array:
        p = restored(e, top, z) / (1.0 + tail_sum)[:, None]
        return np.asarray(p * others(t) - t * complement(e, p, tail_sum[:, None]))

    return value, gradient


def restored(e: Array, top: Array, z: Array) -> Array:
    """Return ``exp(z − m)``, corrected by the roundoff of a large m − z (Knuth's two-sum)."""
    order = memory_order(e)
    terms = e.ravel(order)
    far = np.flatnonzero(terms < _CERTAIN)
    far = far[terms[far] > 0]
    if not far.size:
        return e
    corrected = terms.copy()
    m, x = top[rows_of(far, e.shape, order), 0], z.ravel(order)[far]
    gap = m - x
    seen = m - gap
    corrected[far] *= 1.0 - ((m - (gap + seen)) + (seen - x))
    return corrected.reshape(e.shape, order=order)


def picked(x: Array, label: npt.NDArray[np.intp]) -> Array:
    """Return ``x[arange(n), label]`` of rows (n, k), in a third of the time."""
    n, k = x.shape
    order, row = memory_order(x), np.arange(n)
    chosen: Array = x.ravel(order)[row + n * label if order == "F" else k * row + label]
    return chosen


def without(x: Array, place: np.ndarray) -> Array:
    """Return ``x`` with one element of each row set to 0."""
    zeroed = x.copy()
    zeroed[np.arange(len(x)), place] = 0.0
    return zeroed


def complement(e: Array, p: Array, tail_sum: Array) -> Array:
    """Return ``1 − p`` of a softmax without the cancellation of 1 − p at the largest p."""
    return np.where(e == 1.0, tail_sum / (1.0 + tail_sum), 1.0 - p)


def others(t: Array) -> Array:
    """Return for each element the sum of the other elements of its row; total − t would cancel for the largest."""
    total = t.sum(axis=-1, keepdims=True)
    top = t.argmax(axis=-1)
    others_sum = np.asarray(total - t)
    others_sum[np.arange(len(t)), top] = without(t, top).sum(axis=-1)
    return others_sum
