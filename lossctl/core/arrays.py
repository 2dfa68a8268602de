"""Types of arrays and of their axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

Dims: TypeAlias = Mapping[str, int]

Core: TypeAlias = tuple[str, ...]


Order: TypeAlias = Literal["C", "F"]


def memory_order(x: Array) -> Order:
    """In which ``x.ravel`` is a view: the engine lays blocks out in either."""
    return "F" if x.flags.f_contiguous else "C"
