"""Functions that more than one loss needs and NumPy lacks, each good to a few ulp."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array

# u - log1p(u) itself loses at most a factor 8 outside (-0.3, 0.3), and inside it ten terms of the
# series leave less than 1e-17 (its ratio is at most (0.3/1.7)² = 0.031).
_SERIES_BELOW = 0.3
_SERIES_TERMS = 10


def xlogy(x: Array, y: Array) -> Array:
    """``x·log y``, and 0 where x is 0, whatever y is.

    >>> import numpy as np
    >>> with np.errstate(all="ignore"):
    ...     xlogy(np.array([0.0, 1.0]), np.array([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    return np.where(x == 0, 0.0, x * np.log(y))


def xlog1py(x: Array, y: Array) -> Array:
    """``x·log1p y``, and 0 where x is 0, whatever y is."""
    return np.where(x == 0, 0.0, x * np.log1p(y))


def u_minus_log1p(u: Array) -> Array:
    """``u − log(1 + u)`` ≥ 0 without cancellation: about u²/2 near 0.

    With s = u/(2 + u), log1p(u) = 2·atanh(s) and u = 2s/(1 − s), so that the difference is
    s·u − 2s³(1/3 + s²/5 + s⁴/7 + …), whose first term is the larger by far.

    >>> import numpy as np
    >>> f"{u_minus_log1p(np.array([1e-9]))[0]:.12e}"
    '4.999999996667e-19'
    """
    s = u / (2.0 + u)
    s2 = s * s
    tail = np.full_like(s, 1.0 / (2 * _SERIES_TERMS + 3))
    for i in range(_SERIES_TERMS - 1, -1, -1):
        tail = tail * s2 + 1.0 / (2 * i + 3)
    return np.where(np.abs(u) < _SERIES_BELOW, s * (u - 2.0 * s2 * tail), u - np.log1p(u))
