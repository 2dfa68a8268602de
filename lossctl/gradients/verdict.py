"""Verdicts of finite differences on each coordinate of a gradient."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import Indices
from lossctl.immutable import immutable


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


class Reason(IntEnum):
    """Why a coordinate is unresolved.

    Attributes:
        NONE: it is resolved.
        DIGITS: the loss, or the gradient, has too few digits here.
        EDGE: the prediction is too close to an edge of the domain.
        JUMP: the loss or its derivative jumps within the smallest usable step.
        NAN: the loss is NaN.
        TINY: it is too small against the RMS gradient of the block to count: what differs by more than rounding
            explains but by less than 1e-9 of it, or has too few digits and is itself below 1e-9, or 128 ulps, of it.
    """

    NONE = 0
    DIGITS = 1
    EDGE = 2
    JUMP = 3
    TINY = 4
    NAN = 5


@immutable
class CoordinateVerdicts:
    """The verdicts on all coordinates; every array is (samples, coordinates) unless stated.

    Attributes:
        verdict: :class:`Verdict` numbers.
        numeric: the derivative by finite differences; at a kink the valid slope nearest to the gradient.
        error: estimated absolute error of `numeric`.
        scale: (samples, 1) magnitude that differences of a sample are relative to.
        clipped: where `numeric` is the valid slope of a kink nearest to the gradient, not a derivative.
        reason: :class:`Reason` numbers, of the unresolved coordinates.
    """

    verdict: npt.NDArray[np.int8]
    numeric: Array
    error: Array
    scale: Array
    clipped: npt.NDArray[np.bool_]
    reason: npt.NDArray[np.int8]

    def map(self, function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> CoordinateVerdicts:
        """Apply a function to every array."""
        return CoordinateVerdicts(*(function(array) for array in vars(self).values()))

    def put(self, rows: Indices, other: CoordinateVerdicts) -> None:
        """Replace the verdicts on the samples with indices `rows`."""
        for mine, new in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[rows] = new


# A difference below this share of the RMS gradient of a block does not fail the check by itself. Where the loss has too
# few digits, neither does an error below so many ulps of a gradient of lower precision: the float32 cross-entropy of a
# saturated row has 1 + p with p < 1e-7, and differences know its slope to 1.6e-5 of the RMS gradient.
_TINY, _TINY_ULPS = 1e-9, 128.0


def set_tiny_aside(verdicts: CoordinateVerdicts, given: Array, magnitude: Array, eps: float) -> None:
    """Turn wrong coordinates whose difference is tiny against the block into unresolved ones, in place.

    Unresolved coordinates get the reason TINY if neither their difference nor its error matters against the block.

    Args:
        verdicts: the verdicts.
        given: (samples, coordinates) the gradient under test.
        magnitude: (samples,) that of the inputs; the RMS counts only up to it, since exp(100) in one sample says
            nothing of another.
        eps: the machine epsilon of the gradient.
    """
    known = np.isfinite(verdicts.numeric)
    size = np.where(known, np.abs(verdicts.numeric), 0.0)
    top = size.max(initial=0.0)
    if not top > 0.0:
        return
    rms = top * np.sqrt(np.mean(np.square(size / top)))
    size = np.minimum(rms, magnitude)[:, None]
    with np.errstate(invalid="ignore"):
        away = np.abs(given - verdicts.numeric)
        tiny = (verdicts.verdict == Verdict.WRONG) & (away <= _TINY * size)
        few_digits = (verdicts.verdict == Verdict.UNRESOLVED) & (verdicts.reason == Reason.DIGITS)
        tiny |= few_digits & (away + verdicts.error <= max(_TINY, _TINY_ULPS * eps) * size)
    verdicts.verdict[tiny] = Verdict.UNRESOLVED
    verdicts.reason[tiny] = Reason.TINY
