"""What finite differences say of a gradient, coordinate by coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import Indices


class Verdict(IntEnum):
    """What the differences say of one coordinate."""

    OK = 0
    KINK = 1
    WRONG = 2
    UNRESOLVED = 3
    UNDEFINED = 4


@dataclass(frozen=True)
class CoordinateVerdicts:
    """The verdicts on samples × coordinates.

    Attributes:
        verdict: :class:`Verdict` numbers.
        numeric: the derivative by differences; at a kink the nearest valid one.
        error: how uncertain that is.
        scale: (samples, 1), what differences of a sample are judged relative to.
        clipped: where ``numeric`` is the nearer end of what a kink allows, and no derivative.
    """

    verdict: npt.NDArray[np.int8]
    numeric: Array
    error: Array
    scale: Array
    clipped: npt.NDArray[np.bool_]

    def put(self, rows: Indices, other: CoordinateVerdicts) -> None:
        """Replace the verdicts on some samples."""
        for mine, new in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[rows] = new
