"""What several of the expressions use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Plain = Callable[..., Array]


def softplus(x: Array) -> Array:
    """``log(1 + e^x)``."""
    e = np.abs(x)
    np.negative(e, out=e)
    np.exp(e, out=e)
    np.log1p(e, out=e)
    e += np.maximum(x, 0.0)
    return e


def sigmoid(x: Array) -> Array:
    """``1/(1 + e^(−x))``."""
    e = np.negative(x)
    np.exp(e, out=e)
    e += 1.0
    return np.divide(1.0, e, out=e)


def own(y: Array) -> tuple[np.ndarray, np.ndarray]:
    """The index of each row's own class."""
    return np.arange(len(y)), y.astype(np.intp)


def logits(z: Array) -> tuple[Array, Array]:
    """The logits less their largest, and the logarithm of the sum of the exponentials of that."""
    gap = z - z.max(axis=-1, keepdims=True)
    return gap, np.log(np.exp(gap).sum(axis=-1))


def sparse(z: Array, y: Array) -> Array:
    """Cross-entropy of logits and class indices."""
    gap, log = logits(z)
    return log - gap[own(y)]


def dot(x: Array, y: Array) -> Array:
    """The product of each row with another."""
    return (x * y).sum(axis=-1)
