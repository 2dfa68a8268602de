"""Verdicts on every coordinate of a gradient, relative to the scale of its sample.

The scale of a sample is the largest slope among its coordinates. A coordinate that is 1e-5 of the scale
cannot be resolved against it, and does not matter.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import Bools, DerivativeProblem
from lossctl.gradients.refinement import StepRefinement
from lossctl.gradients.verdict import CoordinateVerdicts, Reason, Verdict

# Number of corrections of the scale of a sample, and the smallest factor of one correction. Each correction
# at least halves the scale; the factor keeps the scale above 0, with which no step could converge.
_SCALES, _SHRINK = 4, 2.0**-20


def check(problem: DerivativeProblem) -> CoordinateVerdicts:
    """Return the verdict, reference derivative and its error for every coordinate of every sample."""
    with np.errstate(all="ignore"):
        result, settled = _check(problem, None)
        # A first step that is too long can give slopes that the loss does not have, and an error that is small
        # relative to them would pass. Such samples are checked again with the scale of the converged slopes.
        for _ in range(_SCALES):
            again = np.flatnonzero(settled < 0.5 * result.scale[:, 0])
            if not again.size:
                break
            scale = np.maximum(settled, result.scale[:, 0] * _SHRINK)[again]
            other, settled[again] = _check(problem.subset(again), scale)
            result.put(again, other)
    return result


def quick_look(problem: DerivativeProblem) -> tuple[CoordinateVerdicts, Bools]:
    """Return verdicts after two steps, and which samples they decide.

    Coordinates that are right are those of :func:`check`. A wrong one is wrong unless shorter steps show structure.
    """
    with np.errstate(all="ignore"):
        result, settled = _check(problem, None, quick=True)
        right, wrong = result.verdict == Verdict.OK, result.verdict == Verdict.WRONG
        loose = (settled < 0.5 * result.scale[:, 0]) & right.any(axis=1)
        return result, (right | wrong).all(axis=1) & ~loose


def _check(p: DerivativeProblem, scale: Array | None, *, quick: bool = False) -> tuple[CoordinateVerdicts, Array]:
    """Return the verdicts and the (samples,) scale of the converged slopes; `scale` None: that of the first steps."""
    value = p.f(None, p.x)
    # The first steps of all coordinates are taken before any is judged, because the scale of a sample is the
    # largest slope among its coordinates.
    coordinates = [StepRefinement(p, value, j) for j in range(p.x.shape[1])]
    if scale is None:
        scale = _scale_of(p, value, [c.fine.slope for c in coordinates])
    for c in coordinates:
        c.run(scale, quick=quick)
    verdict = np.stack([c.verdict for c in coordinates], axis=1)
    defined = np.isfinite(value)[:, None] & np.isfinite(p.x)
    verdict[~defined] = Verdict.UNDEFINED
    # A NaN loss is unresolved rather than undefined, so that it counts against passing.
    verdict[np.isnan(value)[:, None] & np.isfinite(p.x)] = Verdict.UNRESOLVED
    verdict[defined & np.isnan(p.given)] = Verdict.WRONG
    numeric, error, clipped = (
        np.stack([getattr(c, name) for c in coordinates], axis=1) for name in ("numeric", "error", "clipped")
    )
    reason = np.stack([c.reason() for c in coordinates], axis=1)
    reason[np.isnan(value)] = Reason.NAN
    reason[verdict != Verdict.UNRESOLVED] = Reason.NONE
    result = CoordinateVerdicts(verdict, numeric, error, scale[:, None], clipped, reason)
    return result, _scale_of(p, value, [c.slope for c in coordinates])


def _scale_of(p: DerivativeProblem, value: Array, slopes: list[Array]) -> Array:
    """Return the largest of |f|/S, the given slopes and the measured slopes of each sample, (samples,).

    In a flat tail only |f|/S is not 0; at a minimum only the slopes next to it are not.
    """
    largest = np.abs(value) / p.magnitude
    for slope in (*slopes, *np.abs(p.given.T)):
        largest = np.fmax(largest, np.where(np.isfinite(slope), slope, 0.0))
    return np.where(np.isfinite(largest), largest, 0.0)
