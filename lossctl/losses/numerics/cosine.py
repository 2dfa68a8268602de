"""Cosine similarity: unit vectors, and products of pairs in pieces that fit the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array

# Sums of powers beyond these may have overflown, or lost what is subnormal.
SMALL, LARGE = 1e-280, 1e300
# Numbers of a piece of the n × n similarities of a batch: 2 MiB, so that it stays in the cache.
_PIECE = 1 << 18


def unit(x: Array) -> tuple[Array, Array]:
    """``x/|x|`` and the factors, to be multiplied in turn, of 1/|x|: their product may be no double."""
    total, top = (x * x).sum(axis=-1), np.ones(len(x))
    length = np.sqrt(total)
    unit = x / length[:, None]
    rows = np.flatnonzero(~((total > SMALL) & (total < LARGE)))
    if rows.size:  # in C order, where the sum of a row does not depend on which others are in it
        extreme = np.ascontiguousarray(x[rows])
        largest = np.abs(extreme).max(axis=-1)
        extreme /= largest[:, None]
        top[rows], length[rows] = largest, np.sqrt((extreme * extreme).sum(axis=-1))
        unit[rows] = extreme / length[rows, None]
    return unit, 1.0 / np.stack([length, top])[..., None]


def pieces(n: int) -> Iterator[tuple[np.ndarray, slice]]:
    """Which samples of a batch to take at once, as places and as a slice."""
    step = max(1, _PIECE // n)
    for start in range(0, n, step):
        yield np.arange(start, min(start + step, n)), slice(start, start + step)


def similar(u: Array, v: Array) -> Array:
    """All products of rows: not by BLAS, whose last bits depend on how many threads it has."""
    return np.asarray(np.einsum("id,jd->ij", u, v))
