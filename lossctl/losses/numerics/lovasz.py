"""The Lovász extension of the Jaccard loss, and its gradient."""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.losses.numerics.elementary import select


def lovasz_extension(errors: Array, there: Array) -> Array:
    """Return the Lovász extension (n,) of the Jaccard loss.

    With the errors in falling order it is Σ error·rise, where rise is the increase of the Jaccard loss when that pixel
    is wrong too: 1/union for a pixel of the true mask, intersection/(union·(union − 1)) for other pixels.

    Args:
        errors: (n, pixels) errors ≥ 0.
        there: (n, pixels) 1 for the pixels of the true mask, 0 for others.
    """
    n, pixels = errors.shape
    order = np.argsort(-errors, axis=-1)  # the order of equal errors does not matter
    order += np.arange(n)[:, None] * pixels
    hit, ordered = np.ravel(there).take(order), np.ravel(errors).take(order)
    hits = np.cumsum(hit.astype(np.int32), axis=-1).astype(np.float64)
    intersection = hits[:, -1:] - hits
    union = intersection + np.arange(1.0, pixels + 1.0)
    intersection /= union - 1.0
    ordered *= select(hit > 0, 1.0, intersection)
    ordered /= union
    # For an empty mask the first pixel has the whole weight.
    return np.asarray(np.where(hits[:, -1] > 0, ordered.sum(axis=-1), errors.max(axis=-1)))


def lovasz_slope(errors: Array, lost: Array, there: Array) -> Array:
    """Return the gradient (n, pixels) of the Lovász extension with respect to the errors.

    Args:
        errors: (n, pixels) errors ≥ 0.
        lost: (n, pixels) the roundoff of the errors, which decides the order of errors that are equal as doubles.
        there: (n, pixels) 1 for the pixels of the true mask, 0 for others.
    """
    order = np.lexsort((-lost, -errors), axis=-1)
    hit, sorted_ = np.take_along_axis(there, order, axis=-1), np.take_along_axis(errors, order, axis=-1)
    total, hits, misses = hit.sum(axis=-1, keepdims=True), np.cumsum(hit, axis=-1), np.cumsum(1.0 - hit, axis=-1)
    rise = _rise(hit, hits - hit, misses - (1.0 - hit), total)
    sorted_lost = np.take_along_axis(lost, order, axis=-1)
    edge = ((sorted_ == 0) | (sorted_ == 1)) & (sorted_lost == 0)
    if edge.any():
        # A probability of 0 or 1 can move in one direction only. Its error then becomes the first among the errors that
        # were equal to it (if it was 0) or the last (if it was 1), so the loss has a one-sided derivative there.
        first, last = _ties(sorted_, sorted_lost)
        at = np.where(sorted_ == 0, first, last)
        besides = np.where(sorted_ == 0, np.take_along_axis(hit, at, axis=-1), hit)  # the pixel at `at`, or this one
        counted = np.take_along_axis(hits, at, axis=-1) - besides
        rise = np.where(edge, _rise(hit, counted, at - counted, total), rise)
    slope = np.empty_like(errors)
    np.put_along_axis(slope, order, rise, axis=-1)
    return slope


def _rise(hit: Array, hits: Array, misses: Array, total: Array) -> Array:
    """Return the increase of the Jaccard loss when one more pixel is wrong.

    It is 1/union for a pixel of the true mask and intersection/(union·(union − 1)) for other pixels. For an empty mask
    the first pixel has the whole weight.

    Args:
        hit: whether the pixel is in the true mask.
        hits: number of wrong pixels of the true mask before it.
        misses: number of wrong pixels outside the true mask before it.
        total: number of pixels of the true mask.
    """
    union = total + misses + (1.0 - hit)
    rise = np.where(hit > 0, 1.0 / union, (total - hits) / (union * (union - 1.0)))
    return np.where(total == 0, misses == 0, rise)


def one_minus(x: Array) -> tuple[Array, Array]:
    """Return ``1 − x`` and its roundoff (Knuth's two-sum)."""
    difference = 1.0 - x
    seen = 1.0 - difference
    return difference, (1.0 - (difference + seen)) + (seen - x)


def _ties(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pair (x, y) of sorted rows the first and the last place of the pairs equal to it."""
    place = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    new = (np.diff(x, axis=-1, prepend=np.nan) != 0) | (np.diff(y, axis=-1, prepend=np.nan) != 0)
    last = np.roll(new, -1, axis=-1)
    last[..., -1] = True
    first = np.maximum.accumulate(np.where(new, place, 0), axis=-1)
    behind = np.where(last, place, x.shape[-1])[..., ::-1]
    return first, np.minimum.accumulate(behind, axis=-1)[..., ::-1]
