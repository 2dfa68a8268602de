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

from lossctl.differences import EPS, FIRST, RATIO, ULPS, Bools, Indices, Problem, Step
from lossctl.kernels.kinds import Array

# A settled difference may be uncertain by this many times rtol: a gradient off by 1e-5 of its scale
# stays outside 4e-6 (the uncertainty) + 1e-6 (rtol).
_UNCERTAIN = 4.0
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
        # One-sided slopes, and what they may be off by, at the last step that rounding has not spoilt.
        self.left, self.right, self.doubt = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.inf)
        self.last = np.full(n, np.nan)
        # Of so many steps so many bent as much as the one before, or grew.
        self.steps, self.bent, self.grew = (np.zeros(n, np.int32) for _ in range(3))

    def settle(self, scale: Array) -> None:
        """Reach a verdict on every sample."""
        self.limit = _UNCERTAIN * self.p.rtol * scale
        self.allowed = self.p.rtol * scale + self.slack
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
        before = _extrapolated(fine, self.fine[rows])
        for level in range(1, _UP):
            h = self.start[rows] * RATIO**level
            within = h <= np.minimum(self.p.size[rows], self.p.reach(self.j, rows))
            rows, h, fine, before = rows[within], h[within], fine[within], before[within]
            if not rows.size:
                return
            coarse = self.p.step(self.j, rows, self.value[rows], h)
            numeric = _extrapolated(coarse, fine)
            moved = np.abs(fine.derivative - coarse.derivative)
            # Where the singularity is far off for the step, extrapolation gains a factor of 256 a
            # step, and its own movement tells its error; with moved/3, 1 % of the probabilities of a
            # cross-entropy stay unresolved.
            near = h <= self.p.room(self.j, rows) * _NEAR
            error = np.where(near, np.minimum(moved / 3.0, np.abs(numeric - before)), moved / 3.0) + fine.noise
            straight = fine.beside | (np.abs(_bend(coarse, fine)) <= 2.0 * self.limit[rows] + 4.0 * fine.noise)
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
        numeric = _extrapolated(coarse, fine)
        # The extrapolated value is off by moved/15 or far less where the loss is smooth, and by
        # moved·4/15 beside a jump of the second derivative.
        error = moved / 3.0 + fine.noise
        # A bend of a kink moves the derivative by half of it; rounding is in both slopes.
        straight = fine.beside | (np.abs(_bend(coarse, fine)) <= 2.0 * limit + 4.0 * fine.noise)
        settled = (error <= limit) & straight
        # Movement that rounding does not explain, below a step that had settled: the loss has a
        # structure that step did not see, and what it said is taken back.
        away = np.abs(given - self.numeric[rows])
        departs = np.abs(fine.derivative - self.numeric[rows]) > away / 2.0
        surprise = ~settled & (moved > _ROUGH * fine.inner)
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

    def _put(self, at: Indices, numeric: Array, error: Array, fine: Step) -> None:
        self.numeric[at], self.error[at] = numeric, error
        # What the slope is over the first step, if the loss goes on as it does here: at a minimum
        # slopes shrink with the step for ever, and nothing would be small beside them.
        self.slope[at] = fine.slope + np.abs(fine.bend) / fine.size * self.start[at]

    def _remember(self, rows: Indices, coarse: Step, fine: Step) -> None:
        """The one-sided slopes at the smallest step that rounding has not taken over."""
        usable = (fine.noise <= self.limit[rows]) | (self.steps[rows] == 0)
        rows, coarse, fine = rows[usable], coarse[usable], fine[usable]
        right = (RATIO * fine.first - coarse.first) / (RATIO - 1.0)
        left = (RATIO * fine.second - coarse.second) / (RATIO - 1.0)
        self.right[rows], self.left[rows] = right, left
        self.doubt[rows] = np.maximum(np.abs(right - fine.first), np.abs(left - fine.second)) + 2.0 * fine.noise
        self.last[rows] = fine.derivative
        self.steps[rows] += 1
        # A smooth loss bends a quarter as much at a quarter of the step.
        now, before = np.abs(fine.bend), np.abs(coarse.bend)
        self.bent[rows] += (now > 0.9 * before) & (now > self.limit[rows]) & ~fine.beside
        self.grew[rows] += (np.abs(fine.derivative) > 1.5 * np.abs(coarse.derivative)) | ~np.isfinite(fine.derivative)

    def _conclude(self) -> None:
        """What is wrong, a kink or beyond the reach of differences, of what did not prove right."""
        left_open = self.verdict == Verdict.UNRESOLVED
        settled = left_open & (self.streak >= _STREAK)
        away = np.abs(self.given - self.numeric)
        self.verdict[settled & (away > self.error + self.allowed)] = Verdict.WRONG
        left_open &= ~settled
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        # One-sided slopes that converge, and not to the same: at the smallest steps, not at one.
        sure = (self.doubt <= 4.0 * self.limit) & (high - low > np.maximum(4.0 * self.doubt, self.limit))
        kink = left_open & sure & (self.bent >= np.minimum(self.steps, _STREAK))
        within = (self.given >= low - self.doubt - self.allowed) & (self.given <= high + self.doubt + self.allowed)
        self.verdict[kink] = np.where(within, Verdict.KINK, Verdict.WRONG)[kink]
        # Where nothing is given (NaN) the nearest valid slope is the one nearest 0.
        nearest = np.clip(np.where(np.isnan(self.given), 0.0, self.given), low, high)
        self.numeric[kink], self.error[kink] = nearest[kink], self.doubt[kink]
        self.slope[left_open] = np.fmax(np.abs(low), np.abs(high))[left_open]
        rest = left_open & ~kink
        # Slopes that grow at every step: the derivative is infinite.
        self.verdict[rest & (self.steps >= _STREAK) & (self.grew >= self.steps - 1)] = Verdict.UNDEFINED
        self.numeric[rest], self.error[rest] = self.last[rest], self.doubt[rest]


def _extrapolated(coarse: Step, fine: Step) -> Array:
    """The derivative at h = 0: the error of one step goes with h²."""
    square = RATIO * RATIO
    return (square * fine.derivative - coarse.derivative) / (square - 1.0)


def _bend(coarse: Step, fine: Step) -> Array:
    """How far the two slopes are apart at h = 0: where the loss is smooth it goes with h."""
    return (RATIO * fine.bend - coarse.bend) / (RATIO - 1.0)
