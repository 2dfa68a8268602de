"""What to add to all scores of a list so that the chances they stand for sum to what they should.

With s added, ``Σ σ(x + s) = Σ t``. As a difference of chances that is lost where all of them are near 0 or 1:
e^−500 on the one side must be e^−500 on the other. So the scores are split in those that end above 0 and those
that end below, of which each counts by what it lacks of 1 or 0, and what is left of Σ t beside a whole number is
kept exactly: ``Σ_below σ(x + s) = Σ_above σ(−x − s) + c``. Of the logarithms of both sides (c on the side where it
is positive) the difference has a slope between 1/2 and 2, whatever the scores, and Newton's steps arrive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.losses.numerics.error_free import difference
from lossctl.losses.numerics.normal_interval import Point

# A step leaves less than its square, here less than the rounding of a number about 1.
_ARRIVED = 1e-9
# Each step from afar is good to the 16 digits that scores have of their distances, of 300 decades; and where these are
# so large that rounding goes on to move the steps, all that depends on it is 0.
_STEPS = 40


class Shift(NamedTuple):
    """Of each row s = ``by`` − ``origin``, one of its scores, beside which s itself would have few digits left."""

    origin: Array
    by: Point
    certain: npt.NDArray[np.bool_]  # where all targets are 0, or all 1, and s is infinite: it is not told

    def added(self, x: Array) -> Point:
        """``x + s`` (n, k), and what rounding took from it."""
        high, low = difference(x, self.origin[:, None])
        return _sum((high, low), (self.by[0][:, None], self.by[1][:, None]))


def shift(x: Array, t: Array) -> Shift:
    """The shift of scores and of what their chances should be, (n, k)."""
    n, k = x.shape
    total, remainder = np.zeros(n), np.zeros(n)
    for chances in t.T:
        total, lost = difference(total, -chances)
        remainder += lost
    certain = (remainder == 0) & ((total == 0) | (total == k))
    # In C order, where the sum of a row does not depend on which others are in it.
    falling = -np.sort(-np.ascontiguousarray(x), axis=-1)
    above = _above(falling, total)
    c = (total - above) + remainder
    origin, by = falling[:, 0].copy(), (np.zeros(n), np.zeros(n))
    rows = np.flatnonzero(~certain)
    if rows.size:
        origin[rows], (by[0][rows], by[1][rows]) = _solved(falling[rows], above[rows], c[rows])
    return Shift(origin, by, certain)


def _sum(a: Point, b: Point) -> Point:
    """Of two pairs: the second part of the one may be more than what the first parts make."""
    high, low = difference(a[0], -b[0])
    return difference(high, -(low + a[1] + b[1]))


def _above(x: Array, total: Array) -> npt.NDArray[np.intp]:
    """How many of the scores, which fall, end above 0: bisection over those that could end at 0."""
    n, k = x.shape
    few, many = np.zeros(n, np.intp), np.full(n, k)
    for _ in range(k.bit_length()):
        half = (few + many) // 2
        pivot = x[np.arange(n), np.minimum(half, k - 1)]
        # σ(0) is one of them: the sum is not so flat here that its rounding could mislead.
        short = ((1.0 / (1.0 + np.exp(pivot[:, None] - x))).sum(axis=-1) < total) & (few < many)
        few, many = np.where(short, half + 1, few), np.where(short | (few == many), many, half)
    return few


def _solved(x: Array, above: npt.NDArray[np.intp], c: Array) -> tuple[Array, Point]:
    """The shift of rows of falling scores, of which so many end above 0."""
    n, k = x.shape
    # The near side has what the far side has, and |c|. The last that ends above 0 and the first that ends below:
    # where there is none on the far side, both are that of the near one.
    last, first = (x[np.arange(n), place] for place in (np.maximum(above - 1, 0), np.minimum(above, k - 1)))
    below, alone = c >= 0, (above == 0) | (above == k)
    on_near_side = (np.arange(k) >= above[:, None]) == below[:, None]
    origin, other = np.where(below, first, last), np.where(below, last, first)
    away, lost = difference(x, np.where(on_near_side, origin[:, None], other[:, None]))
    # e^−|x + s| of each beside that of those two.
    share = np.exp(-np.abs(away)) * (1.0 - np.copysign(1.0, away) * lost)
    # How far the origin ends from 0, at first as far as the two are apart: the other ends there.
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
    """From 0 to the gap, if there is one: beyond these two the split would be another."""
    low, high = z[0] < 0, ~alone & (_sum(gap, (-z[0], -z[1]))[0] < 0)
    clipped = [np.where(low, 0.0, np.where(high, end, part)) for part, end in zip(z, gap, strict=True)]
    return clipped[0], clipped[1]


def _step(on_near_side: npt.NDArray[np.bool_], share: Array, z: Point, y: Point, c: Array) -> Array:
    """Newton's step: the logarithm of the near side over that of the far side, by its slope."""
    p, q = (np.exp(-high) * (1.0 - low) for high, low in (z, y))
    odds = 1.0 + share * np.where(on_near_side, p[:, None], q[:, None])
    part = share / odds
    near_sum, bent, others, others_bent = (
        np.where(side, x, 0.0).sum(axis=-1) for side in (on_near_side, ~on_near_side) for x in (part, part / odds)
    )
    has_others = others > 0
    left, far = np.log(near_sum) - z[0], np.log(others) - y[0]
    right = np.logaddexp(far, np.log(c))
    # Of large logarithms it is rounding that is left; a quotient near 1 has its digits.
    close = np.log(p * near_sum / (np.where(has_others, q * others, 0.0) + c))
    off = left - right
    off = np.where((np.abs(off) < 1.0) & np.isfinite(close), close, off)
    return np.asarray(off / (bent / near_sum + np.exp(far - right) * others_bent / np.where(has_others, others, 1.0)))
