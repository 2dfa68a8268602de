"""The verdict on every coordinate of a gradient, relative to the scale of its sample.

The scale is the largest slope of the sample: a coordinate that is 1e-5 of it cannot be resolved
beside it, and does not matter.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.refinement import StepRefinement
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

# How often the scale of a sample is corrected, and by how much at most: each time it falls by half
# or more, and with a scale of 0 no step could settle.
_SCALES, _SHRINK = 4, 2.0**-20


def check(problem: DerivativeProblem) -> CoordinateVerdicts:
    """The verdict on every coordinate."""
    with np.errstate(all="ignore"):
        found, settled = _check(problem, None)
        # A first step that is too long for the loss can see slopes that are not there, and what is
        # small beside them would pass: such samples are judged again by the slopes that settled.
        for _ in range(_SCALES):
            again = np.flatnonzero(settled < 0.5 * found.scale[:, 0])
            if not again.size:
                break
            scale = np.maximum(settled, found.scale[:, 0] * _SHRINK)[again]
            other, settled[again] = _check(problem.part(again), scale)
            found.put(again, other)
    return found


def _check(p: DerivativeProblem, scale: Array | None) -> tuple[CoordinateVerdicts, Array]:
    """The verdicts, and the scale by the slopes that settled."""
    value = p.f(None, p.x)
    # The first steps of every coordinate come first: the scale of a sample is the largest slope
    # among its coordinates, since one that is 1e-5 of it cannot be resolved beside it.
    coordinates = [StepRefinement(p, value, j) for j in range(p.x.shape[1])]
    if scale is None:
        scale = _scale_of(p, value, [c.fine.slope for c in coordinates])
    for c in coordinates:
        c.run(scale)
    verdict = np.stack([c.verdict for c in coordinates], axis=1)
    defined = np.isfinite(value)[:, None] & np.isfinite(p.x)
    verdict[~defined] = Verdict.UNDEFINED
    # A loss that is NaN is no infinite one: nothing can be said of it, and that is no pass.
    verdict[np.isnan(value)[:, None] & np.isfinite(p.x)] = Verdict.UNRESOLVED
    verdict[defined & np.isnan(p.given)] = Verdict.WRONG
    numeric, error, clipped = (
        np.stack([getattr(c, name) for c in coordinates], axis=1) for name in ("numeric", "error", "clipped")
    )
    found = CoordinateVerdicts(verdict, numeric, error, scale[:, None], clipped)
    return found, _scale_of(p, value, [c.slope for c in coordinates])


def _scale_of(p: DerivativeProblem, value: Array, slopes: list[Array]) -> Array:
    """The largest slope of a sample, seen or given.

    In a flat tail there is nothing else to measure against than the loss itself, over S; at a
    minimum nothing but the slopes beside it.
    """
    largest = np.abs(value) / p.size
    for slope in (*slopes, *np.abs(p.given.T)):
        largest = np.fmax(largest, np.where(np.isfinite(slope), slope, 0.0))
    return np.where(np.isfinite(largest), largest, 0.0)
