"""Difference quotients with an estimate of their roundoff.

Coordinates are perturbed one at a time. Samples do not depend on each other, so one call of the loss
perturbs coordinate j of every sample. A step of size h uses three values of the loss, at x, x + u and
x + v, where (u, v) is (h, −h), or (h, 2h) or (−h, −2h) next to an edge of the domain. The values give

- the two slopes s₁ = (f(x + u) − f(x))/u and s₂ = (f(x + v) − f(x))/v;
- a derivative of second order, D = (s₁·v − s₂·u)/(v − u), where u and v are the differences of the
  floating-point numbers, (x + h) − x;
- the slope gap s₁ − s₂, which shrinks with h where the loss is smooth and does not at a kink.

:mod:`lossctl.gradients.refinement` compares D at h and at h/4 to decide whether D has converged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.immutable import immutable

Bools: TypeAlias = npt.NDArray[np.bool_]
Indices: TypeAlias = npt.NDArray[np.intp]
# f(rows, x): the losses (n,) of the samples with these indices (None: all) at the predictions x (n, coordinates).
Function: TypeAlias = Callable[[Indices | None, Array], Array]

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).smallest_subnormal)
NORMAL = float(np.finfo(np.float64).tiny)  # the least normal double
RATIO = 4.0  # ratio of consecutive steps: a power of two, so that steps stay exact
# The first step as a fraction of S. Its roundoff, a few eps·2²² of |f|/S, is 4e-9 of the scale, and it
# resolves structure of the loss down to 1e-6·S. A first step of 2⁻¹⁰ was too long: it saw a dip of
# width 1 at x = 3e5 as flat, and a gradient of 0 passed.
FIRST = 2.0**-22
# The first step next to an edge of the domain, as a fraction of the distance to the edge. The loss may be
# singular at the edge (log p), so its length scale is this distance: of −log p, a step of
# 2⁻⁸ of the distance has a truncation error of 5e-6.
_FIRST_AT_BOUND = 2.0**-8
# Roundoff of the difference of two values of the loss, in ulps: kernels are accurate to a few ulps.
ULPS = 4.0


@immutable
class DerivativeProblem:
    """A loss, the points at which to differentiate it, and the gradient to check.

    Attributes:
        f: the loss, called with the indices of the samples (None: all) and their predictions.
        x: (samples, coordinates) predictions.
        given: (samples, coordinates) the gradient to check.
        magnitude: S, (samples,) the magnitude of the numbers of each sample, at least 1.
        low, high: the closed domain of every coordinate; infinite where it has no edge.
        rtol: allowed difference relative to the scale of the sample.
        atol: additional allowed absolute difference, a scalar or (samples, coordinates): the rounding
            of a gradient given in few digits. Default 0.
        eps: the precision of `given`; inputs that were rounded to it move a gradient. Default that of float64.
    """

    f: Function
    x: Array
    given: Array
    magnitude: Array
    low: float
    high: float
    rtol: float
    atol: Array | float = 0.0
    eps: float = EPS

    def subset(self, rows: Indices) -> DerivativeProblem:
        """The same problem for some of the samples."""
        return replace(
            self,
            f=lambda of, x: self.f(rows if of is None else rows[of], x),
            x=self.x[rows],
            given=self.given[rows],
            magnitude=self.magnitude[rows],
            atol=np.broadcast_to(self.atol, self.x.shape)[rows],
        )

    def bound_distance(self, j: int, rows: Indices | None) -> Array:
        """Return the distance of coordinate j of the given samples to the nearest edge of the domain."""
        return np.minimum(*self._sides(j, rows))

    def max_step(self, j: int, rows: Indices | None) -> Array:
        """Return the largest h such that x ± h, or x and 2h to one side, stay within the domain."""
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
        """Return the first step of coordinate j, (samples,), a power of two."""
        start = self.magnitude * FIRST
        if self.bounded:
            room = self.bound_distance(j, None)
            # On the edge itself the distance is 0, and the width of the domain is the only length scale.
            start = np.minimum(start, np.where(room > 0, room, self.max_step(j, None)) * _FIRST_AT_BOUND)
        # A power of two makes x + h and h/4 exact wherever x has few enough digits.
        return np.exp2(np.floor(np.log2(start)))

    def underflow(self, start: Array) -> Array:
        """Return the gradient that underflow hides from differences whose first steps are `start`.

        A slope that changes the loss by less than the smallest subnormal double over a step underflows, and a gradient
        below the least normal double has few correct digits or none.
        """
        return np.fmax(ULPS * TINY / start, NORMAL)

    def step(self, j: int, rows: Indices | None, value: Array, h: Array) -> DifferenceQuotient:
        """Return the difference quotients of step h in coordinate j of some samples, whose loss at x is ``value``."""
        whole = self.x if rows is None else self.x[rows]
        x = whole[:, j]
        u, v = h, -h
        if self.bounded:
            two_sided = (x + h <= self.high) & (x - h >= self.low)
            below, above = self._sides(j, rows)
            u = np.where(two_sided | ~(below > above), h, -h)
            v = np.where(two_sided, -h, 2.0 * u)
        points = []
        for offset in (u, v):
            moved = np.array(whole, order="F")
            moved[:, j] = x + offset
            points.append((moved[:, j] - x, self.f(rows, moved)))
        (u, at_u), (v, at_v) = points
        first, second = (at_u - value) / u, (at_v - value) / v
        top = np.maximum(np.maximum(np.abs(at_u), np.abs(at_v)), np.abs(value))
        one_sided = u * v > 0
        # One-sided, D = 2·s₁ − s₂: three times the roundoff.
        value_error = EPS * top + np.where(top > 0, TINY, 0.0)  # a loss of 0 at all three points is exact
        roundoff = ULPS * value_error / np.abs(u) * np.where(one_sided, 3.0, 1.0)
        derivative = (first * v - second * u) / (v - u)
        # Roundoff of the argument inside the loss, for example of a·x, is eps·|x·f'|, however exact the rest is.
        total_roundoff = roundoff + EPS * np.abs(x / u) * np.abs(derivative)
        return DifferenceQuotient(derivative, first, second, roundoff, total_roundoff, np.abs(u), one_sided)

    def evaluate_at(self, j: int, rows: Indices, h: Array) -> tuple[Array, Array]:
        """Return the loss of some samples at x + h in coordinate j, and the exact floating-point step.

        Where x + h is outside the domain the loss is evaluated at x − h. h may be negative.
        """
        moved = np.array(self.x, order="F") if len(rows) == len(self.x) else self.x[rows]
        x = np.array(moved[:, j])
        to = x + h
        if self.bounded:
            to = np.where((to > self.high) | (to < self.low), x - h, to)
        moved[:, j] = to
        return self.f(None if len(rows) == len(self.x) else rows, moved), to - x


@immutable
class DifferenceQuotient:
    """The difference quotients of one step of some samples; every array is (samples,).

    Attributes:
        derivative: D, of second order in h.
        first, second: the slopes s₁ and s₂.
        roundoff: bound of the error of D from the roundoff of the loss.
        total_roundoff: `roundoff` plus the roundoff of the argument of the loss, which losses of pred − target do
            not have.
        step: |u|, the step.
        one_sided: both points lie on the same side of x.
    """

    derivative: Array
    first: Array
    second: Array
    roundoff: Array
    total_roundoff: Array
    step: Array
    one_sided: Bools

    @property
    def slope(self) -> Array:
        """The larger magnitude of the two slopes."""
        return np.maximum(np.abs(self.first), np.abs(self.second))

    @property
    def slope_gap(self) -> Array:
        """The slope gap s₁ − s₂."""
        return self.first - self.second

    def __getitem__(self, chosen: Bools | Indices) -> DifferenceQuotient:
        return DifferenceQuotient(*(array[chosen] for array in vars(self).values()))


def extrapolated(coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Array:
    """Return the derivative extrapolated to h = 0 (Richardson; the error of one step is of order h²)."""
    # Not (16·fine − coarse)/15, which overflows at slopes of a sixteenth of the largest double.
    return fine.derivative + (fine.derivative - coarse.derivative) / (RATIO * RATIO - 1.0)


def extrapolated_gap(coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Array:
    """Return the slope gap extrapolated to h = 0 (Richardson; of a smooth loss the gap is of order h)."""
    return fine.slope_gap + (fine.slope_gap - coarse.slope_gap) / (RATIO - 1.0)
