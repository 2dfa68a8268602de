"""Newton's method for the shift s of a row of logits x with Σ σ(x + s) = Σ t.

The difference of the two sums cancels if all probabilities are close to 0 or 1: s may have to make e^−500 equal to
e^−500. The equation is therefore written without cancellation. Let `above` be the number of logits that are above 0
after the shift. A logit above 0 contributes 1 − σ = σ(−x − s), one below 0 contributes σ(x + s), and
c = Σ t − above is computed with its roundoff:

    Σ_below σ(x + s) = Σ_above σ(−x − s) + c

Newton's method solves for the difference of the logarithms of both sides, with |c| on the side where it is positive.
The slope of that difference is between 1/2 and 2 for all logits, so the method converges.

The *near* side is the side without c; the *far* side is the side with c. The origin is the logit of the near side that
is closest to 0 after the shift.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.losses.numerics.error_free import difference
from lossctl.losses.numerics.normal_interval import Point

# After a step of this size the error is below its square, which is below the roundoff of a number near 1.
_ARRIVED = 1e-9
# A limit on the number of steps. Each step gains the 16 digits of the distances between logits, of up to 300 decades.
# If these are so large that roundoff keeps the steps from converging, every result that depends on s is 0.
_STEPS = 40


class Shift(NamedTuple):
    """The shift s = ``by`` − ``origin`` of each row, in two parts, because s itself would have too few digits.

    Attributes:
        origin: (n,) a logit of the row.
        by: (n,) where the origin is after the shift, and its roundoff.
        certain: (n,) whether all targets are 0 or all are 1. Then s is infinite, and ``by`` has no meaning.
    """

    origin: Array
    by: Point
    certain: npt.NDArray[np.bool_]

    def added(self, x: Array) -> Point:
        """Return ``x + s`` (n, k) and its roundoff."""
        high, low = difference(x, self.origin[:, None])
        return _sum((high, low), (self.by[0][:, None], self.by[1][:, None]))


def shift(x: Array, t: Array) -> Shift:
    """Return the shift of each row.

    Args:
        x: (n, k) logits.
        t: (n, k) target probabilities, of which only the sum of each row matters.
    """
    n, k = x.shape
    total, remainder = np.zeros(n), np.zeros(n)
    for chances in t.T:
        total, lost = difference(total, -chances)
        remainder += lost
    certain = (remainder == 0) & ((total == 0) | (total == k))
    # In C order: the roundoff of a row sum does not depend on the other rows.
    falling = -np.sort(-np.ascontiguousarray(x), axis=-1)
    above = _above(falling, total)
    c = (total - above) + remainder
    origin, by = falling[:, 0].copy(), (np.zeros(n), np.zeros(n))
    rows = np.flatnonzero(~certain)
    if rows.size:
        origin[rows], (by[0][rows], by[1][rows]) = _solved(falling[rows], above[rows], c[rows])
    return Shift(origin, by, certain)


def _sum(a: Point, b: Point) -> Point:
    """Return the sum of two pairs, renormalised: a roundoff can be larger than the sum of the first parts."""
    high, low = difference(a[0], -b[0])
    return difference(high, -(low + a[1] + b[1]))


def _above(x: Array, total: Array) -> npt.NDArray[np.intp]:
    """Return how many logits of each row are above 0 after the shift; ``x`` is in falling order. By bisection."""
    n, k = x.shape
    few, many = np.zeros(n, np.intp), np.full(n, k)
    for _ in range(k.bit_length()):
        half = (few + many) // 2
        pivot = x[np.arange(n), np.minimum(half, k - 1)]
        # The sum for s = −pivot contains σ(0), so its slope is large enough for the comparison despite roundoff.
        short = ((1.0 / (1.0 + np.exp(pivot[:, None] - x))).sum(axis=-1) < total) & (few < many)
        few, many = np.where(short, half + 1, few), np.where(short | (few == many), many, half)
    return few


def _solved(x: Array, above: npt.NDArray[np.intp], c: Array) -> tuple[Array, Point]:
    """Solve for the shift of each row by Newton's method.

    Args:
        x: (n, k) logits in falling order.
        above: (n,) the number of logits that are above 0 after the shift.
        c: (n,) the constant of the equation.

    Returns:
        The origin (n,), and ``by`` as in :class:`Shift`.
    """
    n, k = x.shape
    # The last logit above 0 and the first below 0 after the shift. If one side is empty, both are on the other side.
    last, first = (x[np.arange(n), place] for place in (np.maximum(above - 1, 0), np.minimum(above, k - 1)))
    below, alone = c >= 0, (above == 0) | (above == k)
    on_near_side = (np.arange(k) >= above[:, None]) == below[:, None]
    origin, other = np.where(below, first, last), np.where(below, last, first)
    away, lost = difference(x, np.where(on_near_side, origin[:, None], other[:, None]))
    # e^−|x + s| of each logit, divided by that of the origin or of `other` on its side.
    share = np.exp(-np.abs(away)) * (1.0 - np.copysign(1.0, away) * lost)
    # z is the distance of the origin from 0 after the shift. It starts at the gap, where `other` is at 0.
    gap = difference(last, first)
    z, z_low = (part.copy() for part in gap)
    rows = np.arange(n)
    for _ in range(_STEPS):
        apart, now = (gap[0][rows], gap[1][rows]), (z[rows], z_low[rows])
        step = _step(on_near_side[rows], share[rows], now, _sum(apart, (-now[0], -now[1])), np.abs(c[rows]))
        z[rows], z_low[rows] = _inside(_sum(now, (step, np.zeros_like(step))), apart, alone[rows])
        rows = rows[np.abs(step) > _ARRIVED]
        if not rows.size:
            break
    return origin, (np.where(below, -z, z), np.where(below, -z_low, z_low))


def _inside(z: Point, gap: Point, alone: npt.NDArray[np.bool_]) -> Point:
    """Clip z to [0, gap], or to [0, ∞) if all logits are on one side; outside, `above` would differ."""
    low, high = z[0] < 0, ~alone & (_sum(gap, (-z[0], -z[1]))[0] < 0)
    clipped = [np.where(low, 0.0, np.where(high, end, part)) for part, end in zip(z, gap, strict=True)]
    return clipped[0], clipped[1]


def _step(on_near_side: npt.NDArray[np.bool_], share: Array, z: Point, y: Point, c: Array) -> Array:
    """Return Newton's step: the difference of the logarithms of the two sides, divided by its slope."""
    p, q = (np.exp(-high) * (1.0 - low) for high, low in (z, y))
    odds = 1.0 + share * np.where(on_near_side, p[:, None], q[:, None])
    part = share / odds
    near_sum, bent, others, others_bent = (
        np.where(side, x, 0.0).sum(axis=-1) for side in (on_near_side, ~on_near_side) for x in (part, part / odds)
    )
    has_others = others > 0
    left, far = np.log(near_sum) - z[0], np.log(others) - y[0]
    right = np.logaddexp(far, np.log(c))
    # If both logarithms are large, their difference is mostly roundoff; the log of the quotient near 1 is accurate.
    close = np.log(p * near_sum / (np.where(has_others, q * others, 0.0) + c))
    off = left - right
    off = np.where((np.abs(off) < 1.0) & np.isfinite(close), close, off)
    return np.asarray(off / (bent / near_sum + np.exp(far - right) * others_bent / np.where(has_others, others, 1.0)))
