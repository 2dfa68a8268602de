"""Verdicts of finite differences on each coordinate of a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import Indices


class Verdict(IntEnum):
    """The verdict on one coordinate.

    Attributes:
        OK: the gradient agrees with a converged derivative.
        KINK: the one-sided derivatives differ, and the gradient is not outside their interval.
        WRONG: the gradient differs from every valid derivative.
        UNRESOLVED: finite differences did not converge, or the loss is NaN.
        UNDEFINED: the loss or its derivative is infinite, or the prediction is not finite.
    """

    OK = 0
    KINK = 1
    WRONG = 2
    UNRESOLVED = 3
    UNDEFINED = 4


@dataclass(frozen=True)
class CoordinateVerdicts:
    """The verdicts on all coordinates; every array is (samples, coordinates) unless stated.

    Attributes:
        verdict: :class:`Verdict` numbers.
        numeric: the derivative by finite differences; at a kink the valid slope nearest to the gradient.
        error: estimated absolute error of `numeric`.
        scale: (samples, 1) magnitude that differences of a sample are relative to.
        clipped: where `numeric` is the valid slope of a kink nearest to the gradient, not a derivative.
    """

    verdict: npt.NDArray[np.int8]
    numeric: Array
    error: Array
    scale: Array
    clipped: npt.NDArray[np.bool_]

    def put(self, rows: Indices, other: CoordinateVerdicts) -> None:
        """Replace the verdicts on the samples with indices `rows`."""
        for mine, new in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[rows] = new
