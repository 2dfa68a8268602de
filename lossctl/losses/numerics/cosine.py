"""Cosine similarity: unit vectors, and products of pairs of rows in pieces that fit into the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array

# Sums of squares outside these limits may be infinite, or inaccurate because terms are subnormal.
SMALL, LARGE = 1e-280, 1e300
# Size of a piece of the n × n similarities of a batch: 2 MiB of float64, which fits into the cache.
_PIECE = 1 << 18


def unit(x: Array) -> tuple[Array, Array]:
    """Return the unit vectors of rows, and 1/|x| as two factors.

    Args:
        x: (n, d) vectors other than 0.

    Returns:
        ``x/|x|`` (n, d), and the factors (2, n, 1) of 1/|x|. Multiply by one after the other, because their product may
        overflow or underflow.
    """
    total, top = (x * x).sum(axis=-1), np.ones(len(x))
    length = np.sqrt(total)
    unit = x / length[:, None]
    rows = np.flatnonzero(~((total > SMALL) & (total < LARGE)))
    if rows.size:  # in C order: the roundoff of a row sum does not depend on the other rows
        extreme = np.ascontiguousarray(x[rows])
        largest = np.abs(extreme).max(axis=-1)
        extreme /= largest[:, None]
        top[rows], length[rows] = largest, np.sqrt((extreme * extreme).sum(axis=-1))
        unit[rows] = extreme / length[rows, None]
    return unit, 1.0 / np.stack([length, top])[..., None]


def pieces(n: int) -> Iterator[tuple[np.ndarray, slice]]:
    """Yield the pieces of a batch of n samples: the row numbers as an array and as a slice."""
    step = max(1, _PIECE // n)
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n)), slice(start, start + step)


def similar(u: Array, v: Array) -> Array:
    """Return all dot products (i, j) of rows; not by BLAS, whose last bits depend on its number of threads."""
    return np.asarray(np.einsum("id,jd->ij", u, v))
