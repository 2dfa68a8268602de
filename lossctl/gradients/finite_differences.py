"""Finite differences that know their own error.

Each coordinate of each sample is perturbed by itself: samples do not depend on each other, so one
call of the loss moves coordinate j of every sample at once. A step of size h uses three values of
the loss, at x and two other points (x ± h, or x + h and x + 2h where the domain ends), and gives

- a derivative of second order, from the two slopes s₁ = Δf/u and s₂ = Δf/v of the points at u and v:
  D = (s₁·v − s₂·u)/(v − u), with the steps that were really taken, (x + h) − x;
- the disagreement of these slopes, s₁ − s₂, which shrinks with h where the loss is smooth and does
  not at a kink.

Two steps, h and h/4, tell whether D can be believed: see :mod:`lossctl.gradients.refinement`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array

Bools: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]
# The loss of some samples (their indices; None: all) at other predictions (samples, coordinates).
Function: TypeAlias = Callable[[Indices | None, Array], Array]

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).smallest_subnormal)
NORMAL = float(np.finfo(np.float64).tiny)  # the least double with all its digits
RATIO = 4.0  # of consecutive steps: a power of two, so that steps stay exact
# The first step, as a fraction of S: rounding, a few eps·2²² of |f|/S, is 4e-9 of the scale, and
# structure of the loss down to a millionth of S is seen at once. (With 2⁻¹⁰ a dip of width 1 at
# x = 3e5 is flat to the first step, and a gradient of 0 passed.)
FIRST = 2.0**-22
# Beside the edge of a domain the loss may be singular there (log p), and its scale is the distance
# to it: steps of that distance over 2⁸ bend −log p by 5e-6.
_BESIDE = 2.0**-8
# Kernels are good to a few ulp of the loss: what the difference of two of them loses, over h.
ULPS = 4.0


@dataclass(frozen=True)
class DerivativeProblem:
    """A gradient to be checked.

    Attributes:
        f: the loss.
        x: predictions (samples, coordinates).
        given: the gradient, of the shape of x.
        size: S (samples,): the magnitude of a sample's numbers, at least 1.
        low, high: the domain of a coordinate, both ends included; infinite if it has none.
        rtol: what may differ, relative to the scale.
        slack: what may differ besides: the rounding of a gradient given in few digits.
    """

    f: Function
    x: Array
    given: Array
    size: Array
    low: float
    high: float
    rtol: float
    slack: Array | float = 0.0

    def part(self, rows: Indices) -> DerivativeProblem:
        """The same problem for some of the samples."""
        return replace(
            self,
            f=lambda of, x: self.f(rows if of is None else rows[of], x),
            x=self.x[rows],
            given=self.given[rows],
            size=self.size[rows],
            slack=np.broadcast_to(self.slack, self.x.shape)[rows],
        )

    def room(self, j: int, rows: Indices | None) -> Array:
        """How far coordinate j of some samples is from the nearest edge of the domain."""
        return np.minimum(*self._sides(j, rows))

    def reach(self, j: int, rows: Indices | None) -> Array:
        """The largest step that stays within the domain: once to both sides, or twice to one."""
        below, above = self._sides(j, rows)
        return np.fmax(np.minimum(below, above), np.fmax(below, above) / 2.0)

    def _sides(self, j: int, rows: Indices | None) -> tuple[Array, Array]:
        x = self.x[:, j] if rows is None else self.x[rows, j]
        return x - self.low, self.high - x

    @property
    def bounded(self) -> bool:
        """Whether the domain has an edge."""
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def first_step(self, j: int) -> Array:
        """Where to begin with coordinate j, for each sample."""
        start = self.size * FIRST
        if self.bounded:
            room = self.room(j, None)
            # On the edge itself the width of the domain is all there is to measure by.
            start = np.minimum(start, np.where(room > 0, room, self.reach(j, None)) * _BESIDE)
        # A power of two, so that x + h and h/4 are exact wherever the digits of x allow it.
        return np.exp2(np.floor(np.log2(start)))

    def step(self, j: int, rows: Indices | None, value: Array, h: Array) -> DifferenceQuotient:
        """One step of coordinate j of some samples, whose loss is ``value``."""
        whole = self.x if rows is None else self.x[rows]
        x = whole[:, j]
        u, v = h, -h
        if self.bounded:
            both = (x + h <= self.high) & (x - h >= self.low)
            below, above = self._sides(j, rows)
            u = np.where(both | ~(below > above), h, -h)
            v = np.where(both, -h, 2.0 * u)
        points = []
        for offset in (u, v):
            moved = np.array(whole, order="F")
            moved[:, j] = x + offset
            points.append((moved[:, j] - x, self.f(rows, moved)))
        (u, at_u), (v, at_v) = points
        first, second = (at_u - value) / u, (at_v - value) / v
        top = np.maximum(np.maximum(np.abs(at_u), np.abs(at_v)), np.abs(value))
        beside = u * v > 0
        # One-sided, the derivative weighs the slopes 2 and −1: three times the rounding.
        lost = EPS * top + np.where(top > 0, TINY, 0.0)  # a loss of 0 at all three points is exact
        noise = ULPS * lost / np.abs(u) * np.where(beside, 3.0, 1.0)
        derivative = (first * v - second * u) / (v - u)
        # Rounding within the loss, of a·x say, is eps·|x·f'| however exact the rest.
        inner = noise + EPS * np.abs(x / u) * np.abs(derivative)
        return DifferenceQuotient(derivative, first, second, noise, inner, np.abs(u), beside)

    def evaluate_at(self, j: int, rows: Indices, h: Array) -> tuple[Array, Array]:
        """The loss of some samples one step of coordinate j away, and the step that was really taken.

        The step is to x + h, or to the other side (of h, too) where the domain ends.
        """
        moved = np.array(self.x, order="F") if len(rows) == len(self.x) else self.x[rows]
        x = np.array(moved[:, j])
        to = x + h
        if self.bounded:
            to = np.where((to > self.high) | (to < self.low), x - h, to)
        moved[:, j] = to
        return self.f(None if len(rows) == len(self.x) else rows, moved), to - x


@dataclass(frozen=True)
class DifferenceQuotient:
    """One step of some samples: the derivative, the two slopes and how far rounding may be off.

    ``noise`` is the rounding of the loss's value, ``inner`` that and the rounding of its argument,
    which losses of pred − target do not have. ``beside``: both points lie on one side of x.
    """

    derivative: Array
    first: Array
    second: Array
    noise: Array
    inner: Array
    size: Array
    beside: Bools

    @property
    def slope(self) -> Array:
        """The steeper of the two slopes."""
        return np.maximum(np.abs(self.first), np.abs(self.second))

    @property
    def bend(self) -> Array:
        """How far the two slopes are apart."""
        return self.first - self.second

    def __getitem__(self, chosen: Bools | Indices) -> DifferenceQuotient:
        return DifferenceQuotient(*(array[chosen] for array in vars(self).values()))


def extrapolated(coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Array:
    """The derivative at h = 0: the error of one step goes with h²."""
    # Not (16·fine − coarse)/15, which overflows at slopes of a sixteenth of the largest double.
    return fine.derivative + (fine.derivative - coarse.derivative) / (RATIO * RATIO - 1.0)


def bend(coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Array:
    """How far the two slopes are apart at h = 0: where the loss is smooth it goes with h."""
    return fine.bend + (fine.bend - coarse.bend) / (RATIO - 1.0)
