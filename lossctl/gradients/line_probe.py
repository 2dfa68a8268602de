"""Glances at the loss over steps too short for a slope: what they show is whether there is more than a line.

A difference that has settled is blind to what is finer than its step. Below the step where the
rounding of f is more than the slope of interest times h no slope is to be had, but f itself can
still be seen: it must be where the line says that it is, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, RATIO, ULPS, Bools, DerivativeProblem, Indices

# Movement of this many times the rounding is not rounding.
ROUGH = 32.0
# Glances at steps of a 32nd each of the one before: down to 2⁻⁴⁴·S, some hundred ulps of it.
_GLANCES, _APART = 4, 32.0
# The rounding that the last two of them show, times this, bounds that of the others.
_SHOWN = 8.0
# The last step that shows more of a loss than the digits of its argument: 64 ulps of S.
_LEAST = 2.0**-46
# No power of two: to those the loss, too, may be rounded step by step, and seem a line.
_ASKEW = 0.7


@dataclass(frozen=True)
class TangentLine:
    """What a step says of coordinate j of some samples.

    Attributes:
        value: their loss.
        slope: the derivative.
        h: how long the step was.
        spread: how far its one-sided slopes were from the derivative: the bend of the loss.
    """

    p: DerivativeProblem
    j: int
    rows: Indices
    value: Array
    slope: Array
    h: Array
    spread: Array

    def strays(self, h: Array) -> tuple[Array, Array]:
        """How far the loss is from the line at x + h; and the step that was really taken."""
        at, taken = self.p.evaluate_at(self.j, self.rows, h)
        beyond = at - self.value
        beyond -= taken * self.slope
        return np.abs(beyond, out=beyond), np.abs(taken, out=taken)


def has_finer_structure(line: TangentLine, limit: Array, doubted: Bools) -> Bools:
    """Where the step was too long to see a structure of the loss: a well of width 1e-6 at x = 1e3.

    ``limit`` is what a settled slope may be uncertain by, ``doubted`` where a longer step knew another.
    """
    # Rounding of the loss, and of numbers as large as the sample's within it.
    rounding = (ROUGH * EPS) * (ULPS * np.abs(line.value) + line.p.size[line.rows] * np.abs(line.slope))
    bend, most = line.spread + limit, np.zeros_like(rounding)
    shown = []
    for level in range(1, _GLANCES + 1):
        # To one side and the other by turns, which costs half as much.
        strays, h = line.strays(line.h * (_APART**-level * (1.0 if level % 2 else -1.0)))
        np.fmax(most, strays - h * bend, out=most)
        shown.append(strays)
    # What the last two see, one to each side, is rounding, of which a kernel may have more than its
    # value shows: |a − b| − |a − c| of vectors that are as long as each other.
    rough = np.maximum(*shown[-2:])
    # Where a longer step was contradicted by one that is lost in that rounding neither can be believed.
    return np.asarray((most > rounding + _SHOWN * rough) | (doubted & (rough > line.h * limit)))


def is_linear(line: TangentLine, away: Array, rough: Array) -> Bools:
    """Where the loss keeps to the line at every step down to the last digits of x.

    It must, within an eighth of what is at issue (a slope that is off by ``away``) over the step
    that settled, before a gradient is called wrong. Else there is a structure that no step can
    resolve (the well of width 1e-6 of a ramsay with a = 1e6), or more rounding than the value shows
    (a divergence of 1e-6 from terms of 1); ``rough`` is what other steps have seen of that.
    """
    least, allowed = line.p.size[line.rows] * _LEAST, away * line.h / 8.0
    keeps = rough <= allowed
    step = line.h * (_ASKEW / RATIO)
    while (step >= least).any():
        for side in (step, -step):
            strays, h = line.strays(side)
            keeps &= (strays <= allowed + h * line.spread) | (step < least)
        step = step / RATIO
    return np.asarray(keeps)
