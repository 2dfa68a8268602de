"""One-sided derivatives, tracked while the step shrinks, to detect kinks.

If the loss has a kink at distance d from x, only the quotient that reaches across the kink is affected.
The quotient on the other side converges at every step and equals the derivative at x, whether d is 0 or
not. The quotient across the kink is a mixture weighted by d/h: it is the most accurate estimate of the
far-side slope at the largest steps, and equals the near-side slope for h ≤ d. It never converges where
steps of d and less cannot be used: where roundoff hides steps below 1e-9 (the loss is not 0 at its kink),
or where d is a few ulps of x.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import RATIO, Bools, DifferenceQuotient, Indices

# This number of consecutive steps with the same outcome is not taken for chance.
STREAK = 3
# A quantity does not shrink if it is more than this share of its value at a step four times as long.
SAME = 0.9
# A quantity grows if it is more than this multiple of its value at a step four times as long. At a jump
# slopes are of order 1/h, and the multiple is 4.
_GROWS = 1.5


class OneSidedSlopes:
    """The one-sided derivatives of one coordinate of some samples, updated at each step.

    Attributes:
        slope: (2, samples) best estimates so far of the slopes s₁ and s₂ at h = 0.
        uncertainty: (2, samples) estimated absolute error of `slope`.
        has_jump: (samples,) whether the slope gap grew at some step, as at a jump of the loss.
        last: (samples,) the derivative D at the last step whose roundoff is within the limit.
    """

    def __init__(self, samples: int) -> None:
        self.slope, self.uncertainty = np.zeros((2, samples)), np.full((2, samples), np.inf)
        self.last = np.full(samples, np.nan)
        # (2, samples) number of consecutive steps that knew the slope to within the limit; steps whose
        # roundoff is larger do not count.
        self._stable_steps = np.zeros((2, samples), np.int32)
        # Numbers of steps: all; with a slope gap above the limit; with such a gap that did not shrink; with
        # a derivative that grew.
        self._steps, self._gap_steps, self._constant_gap_steps, self._growing_steps = (
            np.zeros(samples, np.int32) for _ in range(4)
        )
        # Whether the slope gap grew at some step (a jump, not a kink), and whether some slope was infinite.
        self.has_jump, self._infinite = np.zeros((2, samples), bool)

    def update(self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient, limit: Array) -> None:
        """Update the estimates with the steps h (``coarse``) and h/4 (``fine``), unless roundoff exceeds the limit."""
        # Quotients that overflow are skipped: the loss may stay finite at smaller steps.
        finite = np.isfinite(coarse.derivative) & np.isfinite(fine.derivative)
        self._infinite[rows] |= np.isinf(fine.first) | np.isinf(fine.second)
        usable = finite & ((fine.roundoff <= limit) | (self._steps[rows] == 0))
        rows, coarse, fine, limit = rows[usable], coarse[usable], fine[usable], limit[usable]
        self._update_estimates(rows, coarse, fine, limit)
        self.last[rows] = fine.derivative
        self._steps[rows] += 1
        # The slope gap of a smooth loss is a quarter as large at a quarter of the step.
        now, before, apart = np.abs(fine.slope_gap), np.abs(coarse.slope_gap), np.abs(fine.slope_gap) > limit
        self._gap_steps[rows] += apart
        self._constant_gap_steps[rows] += apart & (now > SAME * before) & ~fine.one_sided
        self.has_jump[rows] |= apart & (now > _GROWS * before)
        self._growing_steps[rows] += np.abs(fine.derivative) > _GROWS * np.abs(coarse.derivative)

    def _update_estimates(
        self, rows: Indices, coarse: DifferenceQuotient, fine: DifferenceQuotient, limit: Array
    ) -> None:
        now, before = np.stack([fine.first, fine.second]), np.stack([coarse.first, coarse.second])
        moved = np.abs(now - before) / (RATIO - 1.0)
        slope, uncertainty = now + (now - before) / (RATIO - 1.0), moved + 2.0 * fine.roundoff
        # At a kink the slopes at all smaller steps lie between the two one-sided derivatives. A slope outside
        # this interval comes from finer structure, which the larger steps missed: it replaces the estimates.
        spare = 2.0 * fine.total_roundoff + limit
        low = (self.slope - self.uncertainty)[:, rows].min(axis=0) - spare
        high = (self.slope + self.uncertainty)[:, rows].max(axis=0) + spare
        refuted = ((now < low) | (now > high)).any(axis=0)
        better = refuted | (uncertainty <= self.uncertainty[:, rows])
        self.slope[:, rows] = np.where(better, slope, self.slope[:, rows])
        self.uncertainty[:, rows] = np.where(better, uncertainty, self.uncertainty[:, rows])
        # On one side of a kink the loss is smooth, so slopes at smaller steps stay within the uncertainty of
        # the estimate. Slopes that leave it belong to the tail of a structure as sharp as a kink.
        inconsistent = np.abs(now - self.slope[:, rows]) > self.uncertainty[:, rows] + 4.0 * fine.roundoff
        known, lost = (
            (uncertainty <= limit) & ~fine.one_sided & ~inconsistent,
            (moved > 4.0 * fine.roundoff) | inconsistent,
        )
        self._stable_steps[:, rows] = np.where(
            known, self._stable_steps[:, rows] + 1, np.where(lost, 0, self._stable_steps[:, rows])
        )

    @property
    def infinite(self) -> Bools:
        """Where the derivative is infinite (it grew at every step) or no step gave a finite one (infinite loss)."""
        grew = (self._steps >= STREAK) & (self._growing_steps >= self._steps - 1)
        return np.asarray(grew | (self._infinite & (self._steps == 0)))

    def classify(self, given: Array, allowed: Array, limit: Array) -> tuple[Bools, Bools, Bools, Array]:
        """Classify the samples by their one-sided derivatives.

        Args:
            given: (samples,) the gradient under test.
            allowed: (samples,) its allowed absolute difference.
            limit: (samples,) largest uncertainty of a converged derivative.

        Returns:
            Four arrays (samples,): where there may be a kink (``given`` equals the derivative of the
            converged side), where there is a kink, where ``given`` is outside the interval of valid slopes,
            and the valid slope nearest to ``given``.
        """
        slope, uncertainty = self.slope, self.uncertainty
        least, most = slope.min(axis=0), slope.max(axis=0)
        apart = most - least > np.maximum(4.0 * uncertainty.max(axis=0), limit)
        # A kink: both one-sided slopes converge, to different values, and the gap persisted over several steps.
        kink = (uncertainty <= 4.0 * limit).all(axis=0) & (self._constant_gap_steps >= np.minimum(self._steps, STREAK))
        steady = (self._stable_steps >= STREAK) & (uncertainty <= limit)
        outside = ~(given >= (slope - uncertainty).min(axis=0) - allowed)
        outside |= ~(given <= (slope + uncertainty).max(axis=0) + allowed)
        wrong = apart & outside & (kink | steady.any(axis=0))
        # The slope of a converged side is valid wherever the kink is; a value between the two slopes is
        # valid only if the kink is at x.
        on_stable_side = (steady & (np.abs(given - slope) <= uncertainty + allowed)).any(axis=0)
        near_kink = on_stable_side & (self._gap_steps >= STREAK) & ~self.has_jump
        # If no gradient is given (NaN), take the valid slope nearest 0.
        nearest = np.clip(np.where(np.isnan(given), 0.0, given), least, most)
        # If ``given`` is outside and one side alone converged, take the slope of that side.
        nearest = np.where(outside & (steady[0] != steady[1]), np.where(steady[0], *slope), nearest)
        return np.asarray(near_kink), np.asarray(apart & kink), np.asarray(wrong), nearest
