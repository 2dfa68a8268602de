"""What finite differences say of a gradient, coordinate by coordinate.

A step is *settled* when the derivative moved little from h to h/4, when the one-sided slopes agree
once their difference is extrapolated to h = 0, and when rounding is small. A gradient that agrees
with a settled difference is right. One that disagrees is followed to ever smaller steps, down to
where rounding is as large as the disagreement: it is wrong only if the differences stay settled on
the way, since structure finer than a step (a kernel that oscillates, a sharp transition) is not an
error of the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lossctl.differences import (
    EPS,
    FIRST,
    RATIO,
    TINY,
    ULPS,
    Bools,
    Indices,
    Problem,
    Sides,
    Step,
    bend,
    extrapolated,
)
from lossctl.kernels.kinds import Array

# A settled difference may be uncertain by this many times rtol: a gradient off by 1e-5 of its scale
# stays outside 4e-6 (the uncertainty) + 1e-6 (rtol).
_UNCERTAIN = 4.0
# What is more than this of what it was at a step four times as long does not shrink.
_SAME = 0.9
# Nothing is known of a movement that falls by less than this, or grows: it is taken to go on for 16 steps.
_SLOWEST = 16.0 / 17.0
# Movement of this many times the rounding is not rounding.
_ROUGH = 32.0
# So many settled steps in a row, down to where rounding takes over, prove a gradient wrong.
_STREAK = 3
# Downwards until h = 4⁻¹⁸·2⁻²²·S ≈ 3e-18·S, below which nothing is left; upwards from beside an
# edge, 1e-12 away, to S.
_DOWN, _UP = 18, 26
# Steps of a 16th of the distance to an edge: extrapolation is off by 2e-7 of −log p there.
_NEAR = 2.0**-4
# How often the scale of a sample is corrected, and by how much at most: each time it falls by half
# or more, and with a scale of 0 no step could settle.
_SCALES, _SHRINK = 4, 2.0**-20


class Verdict(IntEnum):
    """What the differences say of one coordinate."""

    OK = 0
    KINK = 1
    WRONG = 2
    UNRESOLVED = 3
    UNDEFINED = 4


@dataclass(frozen=True)
class Checked:
    """The verdicts on samples × coordinates.

    Attributes:
        verdict: :class:`Verdict` numbers.
        numeric: the derivative by differences; at a kink the nearest valid one.
        error: how uncertain that is.
        scale: (samples, 1), what differences of a sample are judged relative to.
    """

    verdict: npt.NDArray[np.int8]
    numeric: Array
    error: Array
    scale: Array

    def put(self, rows: Indices, other: Checked) -> None:
        """Replace the verdicts on some samples."""
        for mine, new in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[rows] = new


def check(problem: Problem) -> Checked:
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


def _check(p: Problem, scale: Array | None) -> tuple[Checked, Array]:
    """The verdicts, and the scale by the slopes that settled."""
    value = p.f(None, p.x)
    # The first steps of every coordinate come first: the scale of a sample is the largest slope
    # among its coordinates, since one that is 1e-5 of it cannot be resolved beside it.
    coordinates = [_Coordinate(p, value, j) for j in range(p.x.shape[1])]
    if scale is None:
        scale = _scale_of(p, value, [c.fine.slope for c in coordinates])
    for c in coordinates:
        c.settle(scale)
    verdict = np.stack([c.verdict for c in coordinates], axis=1)
    defined = np.isfinite(value)[:, None] & np.isfinite(p.x)
    verdict[~defined] = Verdict.UNDEFINED
    # A loss that is NaN is no infinite one: nothing can be said of it, and that is no pass.
    verdict[np.isnan(value)[:, None] & np.isfinite(p.x)] = Verdict.UNRESOLVED
    verdict[defined & np.isnan(p.given)] = Verdict.WRONG
    numeric, error = (np.stack([getattr(c, name) for c in coordinates], axis=1) for name in ("numeric", "error"))
    return Checked(verdict, numeric, error, scale[:, None]), _scale_of(p, value, [c.slope for c in coordinates])


def _scale_of(p: Problem, value: Array, slopes: list[Array]) -> Array:
    """The largest slope of a sample, seen or given.

    In a flat tail there is nothing else to measure against than the loss itself, over S; at a
    minimum nothing but the slopes beside it.
    """
    largest = np.abs(value) / p.size
    for slope in (*slopes, *np.abs(p.given.T)):
        largest = np.fmax(largest, np.where(np.isfinite(slope), slope, 0.0))
    return np.where(np.isfinite(largest), largest, 0.0)


class _Coordinate:
    """One coordinate of all samples, and what is remembered while the steps shrink."""

    def __init__(self, problem: Problem, value: Array, j: int) -> None:
        n = len(value)
        self.p, self.value, self.j = problem, value, j
        self.x, self.given = problem.x[:, j], problem.given[:, j]
        self.slack = np.broadcast_to(problem.slack, problem.x.shape)[:, j]
        self.start = problem.first_step(j)
        self.coarse = problem.step(j, None, value, self.start)
        self.fine = problem.step(j, None, value, self.start / RATIO)
        self.verdict = np.full(n, Verdict.UNRESOLVED, np.int8)
        self.numeric, self.error = np.full(n, np.nan), np.full(n, np.inf)
        self.slope = np.zeros(n)  # where it settled
        self.streak = np.zeros(n, np.int32)  # steps settled since the last surprise
        self.surprised = np.zeros(n, bool)
        self.sides = Sides(n)
        self.last = np.full(n, np.nan)  # the derivative at the last step that rounding has not spoilt
        self.bends = np.full(n, np.nan)  # of the step before the last two
        self.moved = np.full(n, np.inf)  # how far the derivative moved at the step before
        self.ahead = np.full(n, 1.0 / (RATIO - 1.0))  # what was still to come of that, over it
        self.infinite = np.zeros(n, bool)  # a step met an infinite loss
        # Of so many steps at so many the slopes were apart, or as much so as before, or grew.
        self.steps, self.split, self.bent, self.grew = (np.zeros(n, np.int32) for _ in range(4))

    def settle(self, scale: Array) -> None:
        """Reach a verdict on every sample."""
        self.limit = _UNCERTAIN * self.p.rtol * scale
        # What changes the loss by less than the smallest double over a whole step underflows.
        self.allowed = self.p.rtol * scale + self.slack + ULPS * TINY / self.start
        self._downwards()
        self._upwards()
        self._conclude()

    def _downwards(self) -> None:
        rows: Indices = np.arange(len(self.value))
        coarse, fine = self.coarse, self.fine
        for level in range(_DOWN):
            still = ~self._judge(rows, coarse, fine)
            rows, coarse, fine = rows[still], coarse[still], fine[still]
            if not rows.size:
                return
            self._remember(rows, coarse, fine)
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

    def _upwards(self) -> None:
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
            error = np.where(near, np.minimum(moved / 3.0, np.abs(numeric - before)), moved / 3.0) + fine.noise
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

    def _judge(self, rows: Indices, coarse: Step, fine: Step) -> Bools:
        """Which samples these two steps show right."""
        given, limit = self.given[rows], self.limit[rows]
        moved = np.abs(fine.derivative - coarse.derivative)
        numeric = extrapolated(coarse, fine)
        # The extrapolated value is off by moved/15 or far less where the loss is smooth, and by
        # moved·4/15 beside a jump of the second derivative.
        error = moved * self._slowness(rows, moved, fine.inner) + fine.noise
        # A bend of a kink moves the derivative by half of it; rounding is in both slopes.
        flat = 2.0 * limit + 4.0 * fine.noise
        straight = fine.beside | (np.abs(bend(coarse, fine)) <= flat)
        # At the bottom of |r|^1.5 the second derivative is infinite, and slopes go with √h: the limit
        # of what shrinks by one factor from step to step (Aitken).
        now, before = fine.bend - coarse.bend, coarse.bend - self.bends[rows]
        shrinks = (np.abs(fine.bend) < _SAME * np.abs(coarse.bend)) & (np.abs(now) < _SAME * np.abs(before))
        bottom = shrinks & (np.abs(fine.bend - now * now / (now - before)) <= flat)
        # Beside such a bottom the derivative goes with d/√h: small at first, but never at rest.
        straight |= bottom & (moved <= 4.0 * fine.noise)
        self.bends[rows] = coarse.bend
        settled = (error <= limit) & straight
        # Movement that rounding does not explain, below a step that had settled: the loss has a
        # structure that step did not see, and what it said is taken back.
        away = np.abs(given - self.numeric[rows])
        departs = np.abs(fine.derivative - self.numeric[rows]) > away / 2.0
        surprise = ~settled & (moved > _ROUGH * fine.inner) & np.isfinite(moved)
        surprise |= (self.streak[rows] > 0) & departs & (fine.inner <= away / 8.0)
        self.surprised[rows[surprise]] = True
        self.streak[rows[surprise]] = 0
        self.error[rows[surprise]] = np.inf
        self.streak[rows[settled]] += 1
        # A step that knows less than one before does not overrule it: where the argument is rounded
        # (10⁶·x) small steps scatter, and sooner or later one agrees with any gradient.
        settled &= error <= self.error[rows]
        right: Bools = settled & (np.abs(given - numeric) <= error + self.allowed[rows])
        self._put(rows[settled], numeric[settled], error[settled], fine[settled])
        self.verdict[rows[right]] = Verdict.OK
        return right

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

    def _put(self, at: Indices, numeric: Array, error: Array, fine: Step) -> None:
        self.numeric[at], self.error[at] = numeric, error
        # What the slope is over the first step, if the loss goes on as it does here: at a minimum
        # slopes shrink with the step for ever, and nothing would be small beside them.
        self.slope[at] = fine.slope + np.abs(fine.bend) / fine.size * self.start[at]

    def _remember(self, rows: Indices, coarse: Step, fine: Step) -> None:
        """The one-sided slopes, as long as rounding has not taken over."""
        # Beyond the largest double there is nothing to be seen: smaller steps may stay below it.
        finite = np.isfinite(coarse.derivative) & np.isfinite(fine.derivative)
        self.infinite[rows] |= np.isinf(fine.first) | np.isinf(fine.second)
        usable = finite & ((fine.noise <= self.limit[rows]) | (self.steps[rows] == 0))
        rows, coarse, fine = rows[usable], coarse[usable], fine[usable]
        self.sides.see(rows, coarse, fine, self.limit[rows])
        self.last[rows] = fine.derivative
        self.steps[rows] += 1
        # A smooth loss bends a quarter as much at a quarter of the step.
        now, before = np.abs(fine.bend), np.abs(coarse.bend)
        self.split[rows] += now > self.limit[rows]
        self.bent[rows] += (now > _SAME * before) & (now > self.limit[rows]) & ~fine.beside
        self.grew[rows] += np.abs(fine.derivative) > 1.5 * np.abs(coarse.derivative)

    def _conclude(self) -> None:
        """What is wrong, a kink or beyond the reach of differences, of what did not prove right."""
        left_open = self.verdict == Verdict.UNRESOLVED
        settled = left_open & (self.streak >= _STREAK)
        away = np.abs(self.given - self.numeric)
        self.verdict[settled & (away > self.error + self.allowed)] = Verdict.WRONG
        left_open &= ~settled
        rest = left_open & ~self._by_sides(left_open)
        # Slopes that grow at every step: the derivative is infinite. Or the loss is, at every step.
        grew = (self.steps >= _STREAK) & (self.grew >= self.steps - 1)
        self.verdict[rest & (grew | (self.infinite & (self.steps == 0)))] = Verdict.UNDEFINED
        self.numeric[rest], self.error[rest] = self.last[rest], self.sides.doubt.max(axis=0)[rest]

    def _by_sides(self, left_open: Bools) -> Bools:
        """The verdicts that the slopes of the two sides allow, and where they do."""
        slope, doubt = self.sides.slope, self.sides.doubt
        least, most = slope.min(axis=0), slope.max(axis=0)
        self.slope[left_open] = np.abs(slope).max(axis=0)[left_open]
        apart = most - least > np.maximum(4.0 * doubt.max(axis=0), self.limit)
        # One-sided slopes that converge, and not to the same: at the smallest steps, not at one.
        kink = (doubt <= 4.0 * self.limit).all(axis=0) & (self.bent >= np.minimum(self.steps, _STREAK))
        steady = (self.sides.held >= _STREAK) & (doubt <= self.limit)
        known = left_open & apart & (kink | steady.any(axis=0))
        outside = ~(self.given >= (slope - doubt).min(axis=0) - self.allowed)
        outside |= ~(self.given <= (slope + doubt).max(axis=0) + self.allowed)
        # The slope of a side that held is right wherever the kink is, a value between them only on it.
        one = steady & (np.abs(self.given - slope) <= doubt + self.allowed)
        judged = left_open & (self.streak == 0) & (self.split >= _STREAK) & one.any(axis=0)
        judged |= known & kink
        self.verdict[judged] = Verdict.KINK
        self.verdict[known & outside] = Verdict.WRONG
        judged |= known & outside
        # Where nothing is given (NaN) the nearest valid slope is the one nearest 0.
        nearest = np.clip(np.where(np.isnan(self.given), 0.0, self.given), least, most)
        # Beside a kink it is that of the side that held.
        nearest = np.where(outside & (steady[0] != steady[1]), np.where(steady[0], *slope), nearest)
        self.numeric[judged], self.error[judged] = nearest[judged], doubt.min(axis=0)[judged]
        return np.asarray(judged)
