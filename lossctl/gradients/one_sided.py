"""The slopes on the two sides of a point, each by itself, while the steps shrink: what is known of a kink.

A kink that is d away spoils the slope of one side alone: that of the other side holds at every
step, and is the derivative at the point whether d is 0 or not. The slope across the kink goes
with d/h: it is best known at the largest steps, and at those of d and less it is that of the
near side. Where small steps are beyond reach (the loss is not 0 at its kink, and rounding hides
steps below 1e-9), or there are none (d is a few ulp of x), that side never settles.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import RATIO, Bools, DifferenceQuotient, Indices

# So many steps in a row are no accident.
STREAK = 3
# What is more than this of what it was at a step four times as long does not shrink.
SAME = 0.9
# What grows by more than this grows: at a jump, of 1/h, it is 4.
_GROWS = 1.5


class OneSidedSlopes:
    """What is remembered of some samples.

    Attributes:
        slope, doubt: (2, samples), at the step that knows the slope best; and what it may be off by.
        last: the derivative at the last step that rounding has not spoilt.
    """

    def __init__(self, samples: int) -> None:
        self.slope, self.doubt = np.zeros((2, samples)), np.full((2, samples), np.inf)
        self.last = np.full(samples, np.nan)
        # So many steps in a row knew the slope within the limit, down to where rounding takes over.
        self._held = np.zeros((2, samples), np.int32)
        # Of so many steps at so many the slopes were apart, or as much so as before; or both grew.
        self._steps, self._split, self._bent, self._grew = (np.zeros(samples, np.int32) for _ in range(4))
        # Slopes were further apart than before: there is a jump, and no kink. Or a step met an infinite loss.
        self._leapt, self._infinite = np.zeros((2, samples), bool)

    def see(self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient, limit: Array) -> None:
        """Take two steps of some samples into account, as long as rounding has not taken over."""
        # Beyond the largest double there is nothing to be seen: smaller steps may stay below it.
        finite = np.isfinite(coarse.derivative) & np.isfinite(fine.derivative)
        self._infinite[rows] |= np.isinf(fine.first) | np.isinf(fine.second)
        usable = finite & ((fine.noise <= limit) | (self._steps[rows] == 0))
        rows, coarse, fine, limit = rows[usable], coarse[usable], fine[usable], limit[usable]
        self._know(rows, coarse, fine, limit)
        self.last[rows] = fine.derivative
        self._steps[rows] += 1
        # A smooth loss bends a quarter as much at a quarter of the step.
        now, before, apart = np.abs(fine.bend), np.abs(coarse.bend), np.abs(fine.bend) > limit
        self._split[rows] += apart
        self._bent[rows] += apart & (now > SAME * before) & ~fine.beside
        self._leapt[rows] |= apart & (now > _GROWS * before)
        self._grew[rows] += np.abs(fine.derivative) > _GROWS * np.abs(coarse.derivative)

    def _know(self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient, limit: Array) -> None:
        now, before = np.stack([fine.first, fine.second]), np.stack([coarse.first, coarse.second])
        moved = np.abs(now - before) / (RATIO - 1.0)
        slope, doubt = now + (now - before) / (RATIO - 1.0), moved + 2.0 * fine.noise
        # Between the two slopes of a kink lies what every smaller step sees. What lies outside is
        # finer structure, which the larger steps knew nothing of.
        spare = 2.0 * fine.inner + limit
        low = (self.slope - self.doubt)[:, rows].min(axis=0) - spare
        high = (self.slope + self.doubt)[:, rows].max(axis=0) + spare
        refuted = ((now < low) | (now > high)).any(axis=0)
        better = refuted | (doubt <= self.doubt[:, rows])
        self.slope[:, rows] = np.where(better, slope, self.slope[:, rows])
        self.doubt[:, rows] = np.where(better, doubt, self.doubt[:, rows])
        # A side of a kink is straight, or bends ever less. Where small steps stray from the slope that
        # large ones knew it is no side, but the tail of something as sharp as a kink.
        strays = np.abs(now - self.slope[:, rows]) > self.doubt[:, rows] + 4.0 * fine.noise
        known, lost = (doubt <= limit) & ~fine.beside & ~strays, (moved > 4.0 * fine.noise) | strays
        self._held[:, rows] = np.where(known, self._held[:, rows] + 1, np.where(lost, 0, self._held[:, rows]))

    @property
    def infinite(self) -> Bools:
        """Where slopes grew at every step, and the derivative is infinite; or the loss was, at every step."""
        grew = (self._steps >= STREAK) & (self._grew >= self._steps - 1)
        return np.asarray(grew | (self._infinite & (self._steps == 0)))

    def judge(self, given: Array, allowed: Array, limit: Array) -> tuple[Bools, Bools, Bools, Array]:
        """Where there may be a kink on the point, where there is one, where ``given`` is no slope of it; and the slope.

        The slope is the valid one nearest to what is given.
        """
        slope, doubt = self.slope, self.doubt
        least, most = slope.min(axis=0), slope.max(axis=0)
        apart = most - least > np.maximum(4.0 * doubt.max(axis=0), limit)
        # One-sided slopes that converge, and not to the same: at the smallest steps, not at one.
        kink = (doubt <= 4.0 * limit).all(axis=0) & (self._bent >= np.minimum(self._steps, STREAK))
        steady = (self._held >= STREAK) & (doubt <= limit)
        outside = ~(given >= (slope - doubt).min(axis=0) - allowed)
        outside |= ~(given <= (slope + doubt).max(axis=0) + allowed)
        wrong = apart & outside & (kink | steady.any(axis=0))
        # The slope of a side that held is right wherever the kink is, a value between them only on it.
        one = (steady & (np.abs(given - slope) <= doubt + allowed)).any(axis=0)
        beside = one & (self._split >= STREAK) & ~self._leapt
        # Where nothing is given (NaN) the nearest valid slope is the one nearest 0.
        nearest = np.clip(np.where(np.isnan(given), 0.0, given), least, most)
        # Beside a kink it is that of the side that held.
        nearest = np.where(outside & (steady[0] != steady[1]), np.where(steady[0], *slope), nearest)
        return np.asarray(beside), np.asarray(apart & kink), np.asarray(wrong), nearest
