"""Types of arrays and of their axes, and the memory order in which kernels take arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

Dims: TypeAlias = Mapping[str, int]

Core: TypeAlias = tuple[str, ...]

Order: TypeAlias = Literal["C", "F"]

# Row-wise losses with at most this many classes get a column-major block, so that NumPy's reductions over classes
# run along contiguous memory: 4.3 x faster at 10 classes, 1.2 x at 100, 0.6 x at 500
# (tests/benchmarks/inside.py order).
COLUMN_MAJOR_CLASSES = 128


def column_major(array: npt.NDArray[Any]) -> bool:
    """Return whether a kernel gets an array of this shape in column-major order."""
    return array.ndim == 2 and array.shape[1] <= COLUMN_MAJOR_CLASSES


def kernel_layout(array: Array) -> Array:
    """Return a read-only view in the memory order that the shape determines; read-only because losses share inputs."""
    block = np.asarray(array, order="F" if column_major(array) else "C").view()
    block.flags.writeable = False
    return block


def memory_order(x: Array) -> Order:
    """Return the memory order in which ``x.ravel`` is a view; blocks have either order."""
    return "F" if x.flags.f_contiguous else "C"


# BLAS adds a row in a few parallel sums: short rows keep its roundoff small, and it starts no threads for them, which
# OpenBLAS does from 10,000 numbers on.
_ROW = 4096


def dot(a: Array, b: Array) -> float:
    """Return ``Σ a·b`` of two arrays (n,), without an array of the products.

    >>> dot(np.array([3.0, 4.0]), np.array([3.0, 4.0]))
    25.0
    """
    end = len(a) // _ROW * _ROW
    rows = np.vecdot(a[:end].reshape(-1, _ROW), b[:end].reshape(-1, _ROW))
    return float(np.add.reduce(rows) + np.vecdot(a[end:], b[end:]))
