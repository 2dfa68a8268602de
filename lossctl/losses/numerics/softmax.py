"""The softmax of a row, and 1 minus it, with the digits of a row that is certain."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lossctl.core.arrays import Array, memory_order
from lossctl.losses.numerics.elementary import rows_of

# exp(−gap) takes the gap's rounding as its relative error: up to a gap of 64 at most half an ulp of 64, 3.6e-15.
# Of terms below this, where it would reach the 1e-14 promised, what rounding took from the gap is put back.
_CERTAIN = math.exp(-63.0)


def softmax(z: Array) -> tuple[Array, Array, Array]:
    """The largest logit m (n, 1), ``exp(z − m)`` (n, k) and the sum of that without one largest term (n,).

    logsumexp(z) = m + log1p(rest): a certain row keeps the digits of how certain it is, where log of the
    whole sum returns exactly 0 below 1e-16.
    """
    top = z.max(axis=-1, keepdims=True)
    e = z - top
    np.exp(e, out=e)
    largest = np.floor(e)  # 1, and of the others 0
    ties = largest.sum(axis=-1) - 1.0
    besides = np.subtract(e, largest, out=largest)
    tail_sum = besides.sum(axis=-1)
    rows = np.flatnonzero(tail_sum < _CERTAIN)
    if rows.size:  # in C order, where the sum of a row does not depend on which others are in it
        tail_sum[rows] = restored(*(np.ascontiguousarray(x[rows]) for x in (besides, top, z))).sum(axis=-1)
    tail_sum += ties
    return top, e, tail_sum


def cross_entropy(z: Array, t: Array) -> tuple[Array, Callable[[], Array]]:
    """``−Σ t·log softmax(z)`` of weights t ≥ 0, whatever they sum to, and its gradient by z."""
    top, e, tail_sum = softmax(z)
    total = t.sum(axis=-1)
    missed = top - z
    missed *= t
    value = missed.sum(axis=-1)
    rows = np.flatnonzero(np.isnan(value))  # where a weight of 0 met an infinite distance
    value[rows] = np.fmax(np.ascontiguousarray(missed[rows]), 0.0).sum(axis=-1)
    value += total * np.log1p(tail_sum)

    def gradient() -> Array:
        p = restored(e, top, z) / (1.0 + tail_sum)[:, None]
        return np.asarray(p * others(t) - t * complement(e, p, tail_sum[:, None]))

    return value, gradient


def restored(e: Array, top: Array, z: Array) -> Array:
    """``exp(z − m)`` with what rounding took from a large m − z put back (Knuth's two-sum)."""
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


def without(x: Array, place: np.ndarray) -> Array:
    """``x`` with one element of each row set to 0."""
    zeroed = x.copy()
    zeroed[np.arange(len(x)), place] = 0.0
    return zeroed


def complement(e: Array, p: Array, others: Array) -> Array:
    """``1 − p`` of a softmax, where the largest p would cancel."""
    return np.where(e == 1.0, others / (1.0 + others), 1.0 - p)


def others(t: Array) -> Array:
    """For each element of a row, the sum of the others: total − t cancels for the largest."""
    total = t.sum(axis=-1, keepdims=True)
    top = t.argmax(axis=-1)
    others_sum = np.asarray(total - t)
    others_sum[np.arange(len(t)), top] = without(t, top).sum(axis=-1)
    return others_sum
