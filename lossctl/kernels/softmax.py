"""The softmax of a row, and 1 minus it, with the digits of a row that is certain."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array

# s − 1 has lost a factor s/(s − 1) of its digits: below this (a factor 20, 2e-15) it is summed anew.
_CERTAIN = 0.05
# exp(−gap) takes half an ulp of the gap as its relative error, 1.1e-16·gap: from 45 on that is half
# of the 1e-14 promised, and what rounding took from the gap is put back.
_FAR = 45.0


def softmax(z: Array) -> tuple[Array, Array, Array]:
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
        rests = np.ascontiguousarray(restored(e[certain], top[certain], z[certain], gap[certain], beyond=0.0))
        rest[certain] = without(rests, rests.argmax(axis=-1)).sum(axis=-1)
    return gap, e, rest


def restored(e: Array, top: Array, z: Array, gap: Array, *, beyond: float = _FAR) -> Array:
    """``exp(z − m)`` with what rounding took from the gap put back (Knuth's two-sum), where the gap is large."""
    far = (gap > beyond) & (e > 0)
    if not far.any():
        return e
    seen = top - gap
    lost = (top - (gap + seen)) + (seen - z)
    return np.where(far, e * (1.0 - lost), e)


def without(x: Array, place: np.ndarray) -> Array:
    """``x`` with one element of each row set to 0."""
    rest = x.copy()
    rest[np.arange(len(x)), place] = 0.0
    return rest


def complement(e: Array, p: Array, rest: Array) -> Array:
    """``1 − p`` of a softmax, where the largest p would cancel."""
    return np.where(e == 1.0, rest / (1.0 + rest), 1.0 - p)


def others(t: Array) -> Array:
    """For each element of a row, the sum of the others: total − t cancels for the largest."""
    total = t.sum(axis=-1, keepdims=True)
    top = t.argmax(axis=-1)
    rest = np.asarray(total - t)
    rest[np.arange(len(t)), top] = without(t, top).sum(axis=-1)
    return rest
