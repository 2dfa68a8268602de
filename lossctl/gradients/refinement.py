"""One coordinate of all samples, followed to ever smaller steps until there is a verdict.

A step is *settled* when the derivative moved little from h to h/4, when the one-sided slopes agree
once their difference is extrapolated to h = 0, and when rounding is small. A gradient that agrees
with a settled difference is right, unless shorter steps see a structure that this one did not. One
that disagrees is followed to ever smaller steps, down to where rounding is as large as the
disagreement: it is wrong only if the differences stay settled on the way, since structure finer
than a step (a kernel that oscillates, a sharp transition) is not an error of the gradient.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import (
    EPS,
    FIRST,
    NORMAL,
    RATIO,
    TINY,
    ULPS,
    Bools,
    DerivativeProblem,
    DifferenceQuotient,
    Indices,
    bend,
    extrapolated,
)
from lossctl.gradients.line_probe import ROUGH, TangentLine, has_finer_structure, is_linear
from lossctl.gradients.one_sided import SAME, STREAK, OneSidedSlopes
from lossctl.gradients.verdict import Verdict

# A settled difference may be uncertain by this many times rtol: a gradient off by 1e-5 of its scale
# stays outside 4e-6 (the uncertainty) + 1e-6 (rtol).
_UNCERTAIN = 4.0
# Nothing is known of a movement that falls by less than this, or grows: it is taken to go on for 16 steps.
_SLOWEST = 16.0 / 17.0
# Downwards until h = 4⁻¹⁸·2⁻²²·S ≈ 3e-18·S, below which nothing is left; upwards from beside an
# edge, 1e-12 away, to S.
_DOWN, _UP = 18, 26
# So many times what the first steps can be off by is wrong for certain, though none of them settled.
_MUCH = 16.0
# Steps that are tried for it: from a 256th of the distance to an edge to a quarter.
_LONGER = 4
# Steps of a 16th of the distance to an edge: extrapolation is off by 2e-7 of −log p there.
_NEAR = 2.0**-4


class StepRefinement:
    """One coordinate of all samples, and what is remembered while the steps shrink."""

    def __init__(self, problem: DerivativeProblem, value: Array, j: int) -> None:
        n = len(value)
        self.p, self.value, self.j = problem, value, j
        self.x, self.given = problem.x[:, j], problem.given[:, j]
        self.slack = np.broadcast_to(problem.slack, problem.x.shape)[:, j]
        self.start = problem.first_step(j)
        self.coarse = problem.step(j, None, value, self.start)
        self.fine = problem.step(j, None, value, self.start / RATIO)
        self.verdict = np.full(n, Verdict.UNRESOLVED, np.int8)
        self.numeric, self.error = np.full(n, np.nan), np.full(n, np.inf)
        self.clipped = np.zeros(n, bool)  # the derivative is the nearest that a kink allows
        # Of the step that settled: the steeper slope, how long it was, how far its slopes were from the derivative.
        self.slope, self.settled_at, self.spread = np.zeros((3, n))
        self.streak = np.zeros(n, np.int32)  # steps settled since the last surprise
        self.surprised, self.retracted = np.zeros((2, n), bool)  # the latter where a step had settled
        self.sides = OneSidedSlopes(n)
        self.bends = np.full(n, np.nan)  # of the step before the last two
        self.moved = np.full(n, np.inf)  # how far the derivative moved at the step before
        self.ahead = np.full(n, 1.0 / (RATIO - 1.0))  # what was still to come of that, over it
        self.rough = np.zeros(n)  # rounding that was seen, of the loss

    def run(self, scale: Array) -> None:
        """Reach a verdict on every sample."""
        self.limit = _UNCERTAIN * self.p.rtol * scale
        # What changes the loss by less than the smallest double over a whole step underflows, and a gradient below
        # the least normal double has few digits or none.
        self.allowed = self.p.rtol * scale + self.slack + np.fmax(ULPS * TINY / self.start, NORMAL)
        self._shrink_steps()
        self._grow_steps()
        self._conclude()

    def _shrink_steps(self) -> None:
        rows: Indices = np.arange(len(self.value))
        coarse, fine = self.coarse, self.fine
        for level in range(_DOWN):
            still = ~self._judge(rows, coarse, fine)
            rows, coarse, fine = rows[still], coarse[still], fine[still]
            if not rows.size:
                return
            self.sides.see(rows, coarse, fine, self.limit[rows])
            h = self.start[rows] * RATIO ** -(level + 2.0)
            # Below this rounding alone is more than a settled difference may be uncertain by. (The
            # loss at x, not at x + h: beside a minimum the latter shrinks with h.)
            least = ULPS * EPS * np.abs(self.value[rows]) / h
            lost = least > self.limit[rows]
            # What looks wrong is followed further, to where rounding is as large as what is wrong.
            away = np.abs(self.given[rows] - self.numeric[rows])
            lost &= (self.streak[rows] == 0) | (4.0 * (least + fine.inner * RATIO) > away)
            go = ~lost & (h > 0)
            rows, coarse = rows[go], fine[go]
            if not rows.size:
                return
            fine = self.p.step(self.j, rows, self.value[rows], h[go])

    def _grow_steps(self) -> None:
        """Larger steps, for what rounding kept from settling at smaller ones: beside an edge of the domain.

        Only where small steps saw nothing but rounding: structure that they did see does not go away
        under steps that jump over it. And they can show a gradient right, but not wrong: what small
        steps cannot resolve beside the rest of the loss (one class of many, of probability 1e-10)
        large ones do not see at all.
        """
        if not self.p.bounded:
            return
        rows = np.flatnonzero((self.verdict == Verdict.UNRESOLVED) & (self.streak == 0) & ~self.surprised)
        # Elsewhere the first step is long enough, and a longer one meets its kink again a period on.
        rows = rows[self.start[rows] < self.p.size[rows] * FIRST / 2.0]
        fine = self.coarse[rows]
        before = extrapolated(fine, self.fine[rows])
        for level in range(1, _UP):
            h = self.start[rows] * RATIO**level
            within = h <= np.minimum(self.p.size[rows], self.p.reach(self.j, rows))
            rows, h, fine, before = rows[within], h[within], fine[within], before[within]
            if not rows.size:
                return
            coarse = self.p.step(self.j, rows, self.value[rows], h)
            numeric = extrapolated(coarse, fine)
            moved = np.abs(fine.derivative - coarse.derivative)
            # Where the singularity is far off for the step, extrapolation gains a factor of 256 a
            # step, and its own movement tells its error; with moved/3, 1 % of the probabilities of a
            # cross-entropy stay unresolved.
            near = h <= self.p.room(self.j, rows) * _NEAR
            # Twice the rounding: with once a gradient off by 1e-5 passed, one in 14 million.
            error = np.where(near, np.minimum(moved / 3.0, np.abs(numeric - before)), moved / 3.0) + 2.0 * fine.noise
            straight = fine.beside | (np.abs(bend(coarse, fine)) <= 2.0 * self.limit[rows] + 4.0 * fine.noise)
            # A step that jumps over the singularity counts as long as the loss is a straight line
            # up to rounding: p·log q with q = 1e-9 has slopes as small as you like at a large step,
            # and a gradient of 0 would pass.
            trusted = near | (moved <= 2.0 * fine.noise)
            right = trusted & straight & (error <= self.limit[rows])
            right &= np.abs(self.given[rows] - numeric) <= error + self.allowed[rows]
            self._put(rows[right], numeric[right], error[right], fine[right])
            self.verdict[rows[right]] = Verdict.OK
            go = trusted & ~right
            rows, fine, before = rows[go], coarse[go], numeric[go]

    def _judge(self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Bools:
        """Which samples these two steps show right."""
        given, limit = self.given[rows], self.limit[rows]
        moved, before = np.abs(fine.derivative - coarse.derivative), self.moved[rows]
        numeric = extrapolated(coarse, fine)
        # Movement that grows while steps shrink, by no more than the rounding of numbers as large as the
        # sample's, is rounding, of which the value need not show a trace: terms of 1 may cancel to 1e-6.
        rough = (moved > before) & (moved > ROUGH * fine.inner)
        rough &= moved * fine.size <= ROUGH * EPS * self.p.size[rows] * fine.slope
        self.rough[rows] = np.where(rough, np.fmax(self.rough[rows], moved * fine.size), self.rough[rows])
        # The extrapolated value is off by moved/15 or far less where the loss is smooth, and by
        # moved·4/15 beside a jump of the second derivative.
        error = moved * self._slowness(rows, moved, fine.inner) + fine.noise
        # A bend of a kink moves the derivative by half of it; rounding is in both slopes.
        flat = 2.0 * limit + 4.0 * fine.noise
        straight = fine.beside | (np.abs(bend(coarse, fine)) <= flat)
        # At the bottom of |r|^1.5 the second derivative is infinite, and slopes go with √h: the limit
        # of what shrinks by one factor from step to step (Aitken).
        now, last = fine.bend - coarse.bend, coarse.bend - self.bends[rows]
        shrinks = (np.abs(fine.bend) < SAME * np.abs(coarse.bend)) & (np.abs(now) < SAME * np.abs(last))
        bottom = shrinks & (np.abs(fine.bend - now * now / (now - last)) <= flat)
        # Beside such a bottom the derivative goes with d/√h: small at first, but never at rest.
        straight |= bottom & (moved <= 4.0 * fine.noise)
        self.bends[rows] = coarse.bend
        settled = (error <= limit) & straight
        # Movement that rounding does not explain, below a step that had settled: the loss has a
        # structure that step did not see, and what it said is taken back.
        away = np.abs(given - self.numeric[rows])
        strays = np.abs(fine.derivative - self.numeric[rows])
        departs = strays > away / 2.0
        surprise = ~settled & (moved > ROUGH * fine.inner) & np.isfinite(moved)
        surprise |= (self.streak[rows] > 0) & departs & (fine.inner <= away / 8.0)
        # But where numbers as large as the sample's are rounded (in a running sum of probabilities) the
        # loss is a staircase to the smallest steps: they take nothing back.
        stairs = ROUGH * EPS * self.p.size[rows] * np.fmax(np.abs(self.numeric[rows]), fine.slope)
        stairs = (self.streak[rows] > 0) & (np.fmax(moved, strays) * fine.size <= stairs)
        surprise &= ~stairs
        settled &= ~(stairs & departs)
        self.surprised[rows[surprise]] = True
        self.retracted[rows[surprise]] |= self.streak[rows[surprise]] > 0
        self.streak[rows[surprise]] = 0
        self.error[rows[surprise]] = np.inf
        self.streak[rows[settled]] += 1
        # A step that knows less than one before does not overrule it: where the argument is rounded
        # (10⁶·x) small steps scatter, and sooner or later one agrees with any gradient.
        settled &= error <= self.error[rows]
        right: Bools = settled & (np.abs(given - numeric) <= error + self.allowed[rows])
        self._put(rows[settled], numeric[settled], error[settled], fine[settled])
        if right.any():
            right[right] = ~has_finer_structure(
                self._line(rows[right]), self.limit[rows[right]], self.retracted[rows[right]]
            )
        self.verdict[rows[right]] = Verdict.OK
        return right

    def _line(self, rows: Indices) -> TangentLine:
        """What the last step that settled says of some samples."""
        h, spread = self.settled_at[rows], self.spread[rows]
        return TangentLine(self.p, self.j, rows, self.value[rows], self.numeric[rows], h, spread)

    def _slowness(self, rows: Indices, moved: Array, inner: Array) -> Array:
        """What is still to come of a movement that falls by the same factor from step to step, over it.

        A third, where it falls by four; but of u + u^1.1 at u = 0 the derivative goes with h^0.1.
        """
        before = self.moved[rows]
        factor = np.clip(moved / before, 1.0 / RATIO, _SLOWEST)
        self.moved[rows] = moved
        known = moved > 4.0 * inner  # else it is rounding that moved, and what was known before holds
        ahead = np.where(known, factor / (1.0 - factor), self.ahead[rows])
        self.ahead[rows] = ahead
        # What the step before was taken to know it did not, if it is the one that settled.
        error = self.error[rows]
        self.error[rows] = np.where(known & (before <= 3.0 * error), np.fmax(error, ahead * before), error)
        return ahead

    def _put(self, at: Indices, numeric: Array, error: Array, fine: DifferenceQuotient) -> None:
        self.numeric[at], self.error[at] = numeric, error
        # What the slope is over the first step, if the loss goes on as it does here: at a minimum
        # slopes shrink with the step for ever, and nothing would be small beside them.
        self.settled_at[at] = fine.size
        self.spread[at] = np.maximum(np.abs(fine.first - numeric), np.abs(fine.second - numeric))
        self.slope[at] = fine.slope + np.abs(fine.bend) / fine.size * self.start[at]

    def _conclude(self) -> None:
        """What is wrong, a kink or beyond the reach of differences, of what did not prove right."""
        left_open = self.verdict == Verdict.UNRESOLVED
        if not left_open.any():
            return
        settled = left_open & (self.streak >= STREAK)
        self._mark_wrong(np.flatnonzero(settled))
        left_open &= ~settled
        self.slope[left_open] = np.abs(self.sides.slope).max(axis=0)[left_open]
        beside, kink, wrong, numeric = self.sides.judge(self.given, self.allowed, self.limit)
        kink = left_open & (kink | (beside & (self.streak == 0)))
        wrong &= left_open
        self.verdict[kink], self.verdict[wrong] = Verdict.KINK, Verdict.WRONG
        known = kink | wrong
        self.clipped = known
        self.numeric[known], self.error[known] = numeric[known], self.sides.doubt.min(axis=0)[known]
        rest = left_open & ~known
        self.verdict[rest & self.sides.infinite] = Verdict.UNDEFINED
        self.numeric[rest], self.error[rest] = self.sides.last[rest], self.sides.doubt.max(axis=0)[rest]
        self._mark_grossly_wrong(np.flatnonzero(rest & ~self.sides.infinite & (self.streak == 0) & ~self.surprised))

    def _mark_grossly_wrong(self, rows: Indices) -> None:
        """What is off by far more than a step is, though rounding kept it from settling.

        1e-9 from the edge of a domain a slope of 2 is known to 1e-3, and half of it is wrong all the same:
        where the loss is a straight line up to rounding from that step on. What lies beyond the edge can be
        singular, so that no step here goes far towards it.
        """
        longest = np.minimum(self.p.size * FIRST, self.p.room(self.j, None) / 4.0)
        for level in range(_LONGER):
            h = self.start[rows] * RATIO**level
            rows, h = (rows, h) if level == 0 else (rows[within := h <= longest[rows]], h[within])
            if not rows.size:
                return
            step = self.p.step(self.j, rows, self.value[rows], h)
            error = step.noise + np.abs(step.bend)
            away = np.abs(self.given[rows] - step.derivative)
            much = np.flatnonzero(away > _MUCH * error + self.allowed[rows])
            at, found, error, away = rows[much], step[much], error[much], away[much]
            line = TangentLine(self.p, self.j, at, self.value[at], found.derivative, found.size, error)
            sure = is_linear(line, np.where(np.isfinite(away), away, error), self.rough[at])
            self.verdict[at[sure]] = Verdict.WRONG
            self._put(at[sure], found.derivative[sure], error[sure], found[sure])
            rows = rows[self.verdict[rows] == Verdict.UNRESOLVED]

    def _mark_wrong(self, rows: Indices) -> None:
        """What settled elsewhere than was given is wrong, unless it is the loss that cannot be trusted."""
        away = np.abs(self.given - self.numeric)[rows]
        off = away > self.error[rows] + self.allowed[rows]
        rows, away = rows[off], away[off]
        if rows.size:
            # An infinite slope is at issue wherever there is none to be seen.
            away = np.where(np.isfinite(away), away, self.limit[rows])
            sure = is_linear(self._line(rows), away, self.rough[rows])
            self.verdict[rows[sure]] = Verdict.WRONG
