"""Step refinement of one coordinate of all samples, until every sample has a verdict.

A step has *converged* when the derivative changed little from h to h/4, when the slope gap extrapolated to
h = 0 is small, and when roundoff is small. A gradient that agrees with a converged derivative is right,
unless shorter steps show structure that this step missed. If the gradient disagrees, steps are shortened
until roundoff is as large as the disagreement; the gradient is wrong only if the derivative stays converged
at all of these steps, because structure finer than a step (a kernel that oscillates, a sharp transition) is
not an error of the gradient.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import (
    EPS,
    FIRST,
    RATIO,
    ULPS,
    Bools,
    DerivativeProblem,
    DifferenceQuotient,
    Indices,
    extrapolated,
    extrapolated_gap,
)
from lossctl.gradients.line_probe import ROUNDOFF_FACTOR, TangentLine, has_finer_structure, is_linear
from lossctl.gradients.one_sided import SAME, STREAK, OneSidedSlopes
from lossctl.gradients.verdict import Reason, Verdict

# The uncertainty of a converged derivative, as a multiple of rtol. With 4 a gradient off by 1e-5 of its scale
# stays outside 4e-6 (the uncertainty) + 1e-6 (rtol).
_CONVERGED_ERROR = 4.0
# Largest ratio of consecutive changes used to extrapolate them. A change that shrinks less, or grows, has no
# known limit: the changes still to come are taken to sum to 16 times the last one.
_SLOWEST = 16.0 / 17.0
# Numbers of steps: down to h = 4⁻¹⁸·2⁻²²·S ≈ 3e-18·S, which is below the spacing of the numbers of the sample;
# and up to S from a point at distance 1e-12 from an edge.
_DOWN, _UP = 18, 26
# Number of steps of a quick look; all must converge for a gradient to be wrong.
_QUICK = 2
# A difference of more than this many times the error bound of an unconverged step, or of a quick look, is wrong.
_GROSS = 16.0
# Number of steps tried for this test: from 1/256 of the distance to an edge to 1/4.
_GROSS_STEPS = 4
# Largest step, as a fraction of the distance to an edge, whose extrapolation is trusted: for −log p its error
# is 2e-7.
_TRUSTED_DISTANCE = 2.0**-4
# A point this close to an edge of the domain, as a fraction of S, is unresolved because of the edge.
_EDGE = 2.0**-20


class StepRefinement:
    """The state of the step refinement of one coordinate; every array is (samples,) unless stated.

    Attributes:
        coarse, fine: the difference quotients of the first two steps, `start` and start/4.
        verdict: :class:`Verdict` numbers; UNRESOLVED until decided.
        numeric, error: the reference derivative and its estimated absolute error.
        limit: largest error of a converged derivative, 4·rtol·scale.
        allowed: allowed difference of the gradient from the exact derivative.
    """

    def __init__(self, problem: DerivativeProblem, value: Array, j: int) -> None:
        n = len(value)
        self.problem, self.value, self.j = problem, value, j
        self.x, self.given = problem.x[:, j], problem.given[:, j]
        self.atol = np.broadcast_to(problem.atol, problem.x.shape)[:, j]
        self.start = problem.first_step(j)
        self.coarse = problem.step(j, None, value, self.start)
        self.fine = problem.step(j, None, value, self.start / RATIO)
        self.verdict = np.full(n, Verdict.UNRESOLVED, np.int8)
        self.numeric, self.error = np.full(n, np.nan), np.full(n, np.inf)
        self.clipped = np.zeros(n, bool)  # `numeric` is the valid slope of a kink nearest to `given`
        # Of the last converged step: its larger slope, its size, the largest difference of its slopes from `numeric`.
        self.slope, self.converged_step, self.spread = np.zeros((3, n))
        self.converged_steps = np.zeros(n, np.int32)  # number of converged steps since the last inconsistent one
        # Whether some step was inconsistent with roundoff; and whether this retracted a converged step.
        self.inconsistent, self.was_retracted = np.zeros((2, n), bool)
        self.one_sided = OneSidedSlopes(n)
        self.last_gap = np.full(n, np.nan)  # slope gap of the step before the last two
        self.last_change = np.full(n, np.inf)  # change of the derivative at the step before
        self.remaining_ratio = np.full(
            n, 1.0 / (RATIO - 1.0)
        )  # estimated sum of the changes still to come, over the last one
        self.observed_roundoff = np.zeros(n)  # observed roundoff of the loss

    def run(self, scale: Array, *, quick: bool = False) -> None:
        """Set the verdict of every sample.

        Args:
            scale: (samples,) the scales of their gradients.
            quick: take a few steps only, and leave every sample unresolved that they do not decide. Default False.
        """
        self.limit = _CONVERGED_ERROR * self.problem.rtol * scale
        self.allowed = self.problem.rtol * scale + self.atol + self.problem.underflow(self.start)
        if quick:
            self._shrink_steps(_QUICK, one_sided=False)
            away = np.abs(self.given - self.numeric)
            wrong = (self.converged_steps == _QUICK) & (away > _GROSS * (self.error + self.allowed))
            self.verdict[wrong & (self.verdict == Verdict.UNRESOLVED)] = Verdict.WRONG
            return
        self._shrink_steps(_DOWN, one_sided=True)
        self._grow_steps()
        self._conclude()

    def _shrink_steps(self, levels: int, *, one_sided: bool) -> None:
        rows: Indices = np.arange(len(self.value))
        coarse, fine = self.coarse, self.fine
        for level in range(levels):
            still = ~self._judge(rows, coarse, fine)
            rows, coarse, fine = rows[still], coarse[still], fine[still]
            if not rows.size:
                return
            if one_sided:
                self.one_sided.update(rows, coarse, fine, self.limit[rows])
            h = self.start[rows] * RATIO ** -(level + 2.0)
            # Stop where roundoff alone exceeds the limit. It is taken from the loss at x, not at x + h, because
            # next to a minimum the latter shrinks with h.
            least = ULPS * EPS * np.abs(self.value[rows]) / h
            lost = least > self.limit[rows]
            # A gradient that disagrees is followed further, until roundoff is as large as the disagreement.
            away = np.abs(self.given[rows] - self.numeric[rows])
            lost &= (self.converged_steps[rows] == 0) | (4.0 * (least + fine.total_roundoff * RATIO) > away)
            go = ~lost & (h > 0)
            rows, coarse = rows[go], fine[go]
            if not rows.size:
                return
            fine = self.problem.step(self.j, rows, self.value[rows], h[go])

    def _grow_steps(self) -> None:
        """Grow the step next to an edge of the domain, where roundoff kept smaller steps from converging.

        This applies only where small steps showed nothing but roundoff; structure that they did show does not
        go away under steps that jump over it. Larger steps can show that a gradient is right, but not that it
        is wrong: a contribution that small steps cannot resolve against the undecided of the loss (one class of
        many, of probability 1e-10) is invisible to large ones.
        """
        if not self.problem.bounded:
            return
        rows = np.flatnonzero((self.verdict == Verdict.UNRESOLVED) & (self.converged_steps == 0) & ~self.inconsistent)
        # Away from an edge the first step is long enough, and a longer one can reach the next kink of a
        # periodic loss.
        rows = rows[self.start[rows] < self.problem.magnitude[rows] * FIRST / 2.0]
        fine = self.coarse[rows]
        before = extrapolated(fine, self.fine[rows])
        for level in range(1, _UP):
            h = self.start[rows] * RATIO**level
            within = h <= np.minimum(self.problem.magnitude[rows], self.problem.max_step(self.j, rows))
            rows, h, fine, before = rows[within], h[within], fine[within], before[within]
            if not rows.size:
                return
            coarse = self.problem.step(self.j, rows, self.value[rows], h)
            numeric = extrapolated(coarse, fine)
            moved = np.abs(fine.derivative - coarse.derivative)
            # Where the step is short against the distance to the singularity, the extrapolated derivative gains a
            # factor of 256 per step, and its own change estimates its error. With moved/3 as the estimate, 1 % of
            # the probabilities of a cross-entropy stay unresolved.
            trusted_step = h <= self.problem.bound_distance(self.j, rows) * _TRUSTED_DISTANCE
            # Twice the roundoff: with once the roundoff, one in 14 million gradients off by 1e-5 passed.
            error = (
                np.where(trusted_step, np.minimum(moved / 3.0, np.abs(numeric - before)), moved / 3.0)
                + 2.0 * fine.roundoff
            )
            straight = fine.one_sided | (
                np.abs(extrapolated_gap(coarse, fine)) <= 2.0 * self.limit[rows] + 4.0 * fine.roundoff
            )
            # A step that is long against the distance to the singularity counts only while the loss is linear
            # up to roundoff: p·log q with q = 1e-9 has arbitrarily small slopes at large steps, and a gradient of
            # 0 would pass.
            trusted = trusted_step | (moved <= 2.0 * fine.roundoff)
            right = trusted & straight & (error <= self.limit[rows])
            right &= np.abs(self.given[rows] - numeric) <= error + self.allowed[rows]
            self._record(rows[right], numeric[right], error[right], fine[right])
            self.verdict[rows[right]] = Verdict.OK
            go = trusted & ~right
            rows, fine, before = rows[go], coarse[go], numeric[go]

    def _judge(self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient) -> Bools:
        """Update the state with the steps h (``coarse``) and h/4 (``fine``); return which samples are right."""
        given, limit = self.given[rows], self.limit[rows]
        moved, before = np.abs(fine.derivative - coarse.derivative), self.last_change[rows]
        numeric = extrapolated(coarse, fine)
        # A change that grows while steps shrink, and is within the roundoff of numbers as large as those of the
        # sample, is roundoff. The value of the loss need not suggest it: terms of 1 may cancel to 1e-6.
        rough = (moved > before) & (moved > ROUNDOFF_FACTOR * fine.total_roundoff)
        rough &= moved * fine.step <= ROUNDOFF_FACTOR * EPS * self.problem.magnitude[rows] * fine.slope
        self.observed_roundoff[rows] = np.where(
            rough, np.fmax(self.observed_roundoff[rows], moved * fine.step), self.observed_roundoff[rows]
        )
        # The error of the extrapolated derivative is at most moved/15, and usually far less, where the loss is
        # smooth, and moved·4/15 next to a jump of the second derivative.
        error = moved * self._remaining_error_ratio(rows, moved, fine.total_roundoff) + fine.roundoff
        # A slope gap at a kink changes the derivative by half of it, and both slopes have roundoff.
        flat = 2.0 * limit + 4.0 * fine.roundoff
        straight = fine.one_sided | (np.abs(extrapolated_gap(coarse, fine)) <= flat)
        # At the minimum of |r|^1.5 the second derivative is infinite, and slopes are of order √h: the gap shrinks
        # by a constant factor per step, and Aitken's method extrapolates it to its limit.
        now, last = fine.slope_gap - coarse.slope_gap, coarse.slope_gap - self.last_gap[rows]
        shrinks = (np.abs(fine.slope_gap) < SAME * np.abs(coarse.slope_gap)) & (np.abs(now) < SAME * np.abs(last))
        bottom = shrinks & (np.abs(fine.slope_gap - now * now / (now - last)) <= flat)
        # At a distance d from such a minimum the quotient is of order d/√h: small at first, but not converged.
        straight |= bottom & (moved <= 4.0 * fine.roundoff)
        self.last_gap[rows] = coarse.slope_gap
        settled = (error <= limit) & straight
        # If roundoff does not explain a change at a step smaller than a converged one, the loss has structure
        # that the converged step missed, and its result is retracted.
        away = np.abs(given - self.numeric[rows])
        departure = np.abs(fine.derivative - self.numeric[rows])
        departs = departure > away / 2.0
        surprise = ~settled & (moved > ROUNDOFF_FACTOR * fine.total_roundoff) & np.isfinite(moved)
        surprise |= (self.converged_steps[rows] > 0) & departs & (fine.total_roundoff <= away / 8.0)
        # Where the loss rounds numbers as large as those of the sample (in a running sum of probabilities), it is
        # a staircase at the smallest steps. Such steps retract nothing.
        stairs = ROUNDOFF_FACTOR * EPS * self.problem.magnitude[rows] * np.fmax(np.abs(self.numeric[rows]), fine.slope)
        stairs = (self.converged_steps[rows] > 0) & (np.fmax(moved, departure) * fine.step <= stairs)
        surprise &= ~stairs
        settled &= ~(stairs & departs)
        self.inconsistent[rows[surprise]] = True
        self.was_retracted[rows[surprise]] |= self.converged_steps[rows[surprise]] > 0
        self.converged_steps[rows[surprise]] = 0
        self.error[rows[surprise]] = np.inf
        self.converged_steps[rows[settled]] += 1
        # A step with a larger error than an earlier one does not replace it: where the argument is rounded
        # (10⁶·x), the quotients of small steps scatter, and one of them would agree with any gradient by chance.
        settled &= error <= self.error[rows]
        right: Bools = settled & (np.abs(given - numeric) <= error + self.allowed[rows])
        self._record(rows[settled], numeric[settled], error[settled], fine[settled])
        if right.any():
            right[right] = ~has_finer_structure(
                self._line(rows[right]), self.limit[rows[right]], self.was_retracted[rows[right]]
            )
        self.verdict[rows[right]] = Verdict.OK
        return right

    def reason(self) -> npt.NDArray[np.int8]:
        """Return the most likely reason, (samples,), if a sample is unresolved."""
        reason = np.where(self.one_sided.has_jump, Reason.JUMP, Reason.DIGITS)
        if self.problem.bounded:
            at_edge = self.problem.bound_distance(self.j, None) < self.problem.magnitude * _EDGE
            reason = np.where(at_edge, Reason.EDGE, reason)
        return reason.astype(np.int8)

    def _line(self, rows: Indices) -> TangentLine:
        """Return the tangent found by the last converged step of some samples."""
        h, spread = self.converged_step[rows], self.spread[rows]
        return TangentLine(self.problem, self.j, rows, self.value[rows], self.numeric[rows], h, spread)

    def _remaining_error_ratio(self, rows: Indices, moved: Array, inner: Array) -> Array:
        """Return the remaining truncation error as a multiple of the last change of the derivative.

        Assumes geometric convergence: if each change is q times the one before, the changes still to come
        sum to q/(1 − q) times the last one. Second-order differences converge faster than q = 1/4, the lower
        bound used here, which gives 1/3. Losses that are not smooth converge more slowly: at u = 0 the
        quotient of u + u^1.1 has an error of order h^0.1, so q = 4^−0.1.
        """
        before = self.last_change[rows]
        factor = np.clip(moved / before, 1.0 / RATIO, _SLOWEST)
        self.last_change[rows] = moved
        known = moved > 4.0 * inner  # else the change is roundoff, and the last estimate stays
        ahead = np.where(known, factor / (1.0 - factor), self.remaining_ratio[rows])
        self.remaining_ratio[rows] = ahead
        # If the step before was the converged one, raise its error to the new estimate.
        error = self.error[rows]
        self.error[rows] = np.where(known & (before <= 3.0 * error), np.fmax(error, ahead * before), error)
        return ahead

    def _record(self, at: Indices, numeric: Array, error: Array, fine: DifferenceQuotient) -> None:
        self.numeric[at], self.error[at] = numeric, error
        # The slope over the first step, extrapolated with the curvature seen here. At a minimum slopes shrink
        # with the step without end, so the slope of a short step would be too small a scale.
        self.converged_step[at] = fine.step
        self.spread[at] = np.maximum(np.abs(fine.first - numeric), np.abs(fine.second - numeric))
        self.slope[at] = fine.slope + np.abs(fine.slope_gap) / fine.step * self.start[at]

    def _conclude(self) -> None:
        """Classify the samples that are still unresolved: wrong, kink, undefined, or left unresolved."""
        left_open = self.verdict == Verdict.UNRESOLVED
        if not left_open.any():
            return
        settled = left_open & (self.converged_steps >= STREAK)
        self._mark_wrong(np.flatnonzero(settled))
        left_open &= ~settled
        self.slope[left_open] = np.abs(self.one_sided.slope).max(axis=0)[left_open]
        beside, kink, wrong, numeric = self.one_sided.classify(self.given, self.allowed, self.limit)
        kink = left_open & (kink | (beside & (self.converged_steps == 0)))
        wrong &= left_open
        self.verdict[kink], self.verdict[wrong] = Verdict.KINK, Verdict.WRONG
        known = kink | wrong
        self.clipped = known
        self.numeric[known], self.error[known] = numeric[known], self.one_sided.uncertainty.min(axis=0)[known]
        undecided = left_open & ~known
        self.verdict[undecided & self.one_sided.infinite] = Verdict.UNDEFINED
        self.numeric[undecided], self.error[undecided] = (
            self.one_sided.last[undecided],
            self.one_sided.uncertainty.max(axis=0)[undecided],
        )
        self._mark_grossly_wrong(
            np.flatnonzero(undecided & ~self.one_sided.infinite & (self.converged_steps == 0) & ~self.inconsistent)
        )

    def _mark_grossly_wrong(self, rows: Indices) -> None:
        """Mark gradients as wrong that differ from an unconverged derivative by more than 16 times its error.

        At a distance of 1e-9 from the edge of a domain a slope of 2 is known to 1e-3, which suffices to
        reject half of it, provided that the loss is linear up to roundoff at all shorter steps. The loss may
        be singular beyond the edge, so no step here is longer than a quarter of the distance to it.
        """
        longest = np.minimum(self.problem.magnitude * FIRST, self.problem.bound_distance(self.j, None) / 4.0)
        for level in range(_GROSS_STEPS):
            h = self.start[rows] * RATIO**level
            rows, h = (rows, h) if level == 0 else (rows[within := h <= longest[rows]], h[within])
            if not rows.size:
                return
            step = self.problem.step(self.j, rows, self.value[rows], h)
            error = step.roundoff + np.abs(step.slope_gap)
            away = np.abs(self.given[rows] - step.derivative)
            much = np.flatnonzero(away > _GROSS * error + self.allowed[rows])
            at, quotient, error, away = rows[much], step[much], error[much], away[much]
            line = TangentLine(self.problem, self.j, at, self.value[at], quotient.derivative, quotient.step, error)
            sure = is_linear(line, np.where(np.isfinite(away), away, error), self.observed_roundoff[at])
            self.verdict[at[sure]] = Verdict.WRONG
            self._record(at[sure], quotient.derivative[sure], error[sure], quotient[sure])
            rows = rows[self.verdict[rows] == Verdict.UNRESOLVED]

    def _mark_wrong(self, rows: Indices) -> None:
        """Mark gradients as wrong that differ from the converged derivative, where the loss is linear around x."""
        away = np.abs(self.given - self.numeric)[rows]
        off = away > self.error[rows] + self.allowed[rows]
        rows, away = rows[off], away[off]
        if rows.size:
            # An infinite given slope is tested against the limit, the smallest difference that counts.
            away = np.where(np.isfinite(away), away, self.limit[rows])
            sure = is_linear(self._line(rows), away, self.observed_roundoff[rows])
            self.verdict[rows[sure]] = Verdict.WRONG
