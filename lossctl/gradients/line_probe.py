"""Linearity tests at steps too short to estimate a derivative.

A converged difference quotient says nothing about structure finer than its step h. At steps so short that
the roundoff of f exceeds |f'|·h, a quotient has no correct digit, but f can still be evaluated and compared
with its tangent: the residual |f(x + h) − f(x) − f'(x)·h| must stay within the roundoff of f. A larger
residual means structure that the quotient missed.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, NORMAL, RATIO, ULPS, Bools, DerivativeProblem, Indices
from lossctl.immutable import immutable

# A change of more than this many times the estimated roundoff is not roundoff.
ROUNDOFF_FACTOR = 32.0
# Number of steps of `has_finer_structure`, and their ratio: four steps, each 1/32 of the one before, down to 2⁻⁴⁴·S,
# some hundred ulps of S.
_STEPS, _STEP_RATIO = 4, 32.0
# The residuals at the last two steps, times this, bound the roundoff at the others.
_RESIDUAL_FACTOR = 8.0
# The shortest step of `is_linear`, as a fraction of S: 64 ulps of S. Shorter steps show the rounding of x.
_SHORTEST = 2.0**-46
# Factor that keeps steps from being powers of two: at these a loss that is itself rounded step by step can
# look linear.
_OFF_POWER = 0.7


@immutable
class TangentLine:
    """The tangent of the loss along coordinate j of some samples, as a difference quotient found it.

    Attributes:
        p: the problem.
        j: the coordinate.
        rows: (n,) indices of the samples.
        value: (n,) their loss at x.
        slope: (n,) the derivative.
        h: (n,) the step of the quotient.
        spread: (n,) the largest difference of its one-sided slopes from the derivative: curvature over h.
    """

    problem: DerivativeProblem
    j: int
    rows: Indices
    value: Array
    slope: Array
    h: Array
    spread: Array

    def residuals(self, h: Array) -> tuple[Array, Array]:
        """Return the residual |f(x + h) − f(x) − slope·h| and the size of the exact floating-point step."""
        at, taken = self.problem.evaluate_at(self.j, self.rows, h)
        beyond = at - self.value
        beyond -= taken * self.slope
        return np.abs(beyond, out=beyond), np.abs(taken, out=taken)


def has_finer_structure(line: TangentLine, limit: Array, doubted: Bools) -> Bools:
    """Return where the loss has structure finer than the step, such as a well of width 1e-6 at x = 1e3.

    Args:
        line: the tangent.
        limit: (n,) largest uncertainty of a converged slope.
        doubted: (n,) where a longer step had converged to another slope.
    """
    # Roundoff of the loss, and of intermediate results as large as the numbers of the sample.
    rounding = (ROUNDOFF_FACTOR * EPS) * (
        ULPS * np.abs(line.value) + line.problem.magnitude[line.rows] * np.abs(line.slope)
    )
    curvature, largest_excess = line.spread + limit, np.zeros_like(rounding)
    residuals = []
    for level in range(1, _STEPS + 1):
        # The sides alternate, which costs half of testing both.
        residual, h = line.residuals(line.h * (_STEP_RATIO**-level * (1.0 if level % 2 else -1.0)))
        np.fmax(largest_excess, residual - h * curvature, out=largest_excess)
        residuals.append(residual)
    # The residuals of the last two steps, one to each side, are roundoff. A kernel can have more of it than
    # its value suggests: |a − b| − |a − c| of vectors of equal length.
    rough = np.maximum(*residuals[-2:])
    # Where a longer step converged to another slope and this one is within that roundoff, neither is trusted.
    return np.asarray((largest_excess > rounding + _RESIDUAL_FACTOR * rough) | (doubted & (rough > line.h * limit)))


def is_linear(line: TangentLine, away: Array, rough: Array) -> Bools:
    """Return where the loss follows its tangent at every step down to 64 ulps of S.

    A gradient is called wrong only if this holds: the residuals must stay within away·h/8, an eighth of
    the change of the loss over the step h that the disputed slope makes up. Otherwise the loss has
    structure that no step resolves (the well of width 1e-6 of a ramsay with a = 1e6), or more roundoff than
    its value suggests (a divergence of 1e-6 from terms of 1).

    Args:
        line: the tangent.
        away: (n,) difference of the gradient under test from the slope of the tangent.
        rough: (n,) roundoff of the loss that was observed at other steps.
    """
    least = np.fmax(line.problem.magnitude[line.rows] * _SHORTEST, NORMAL)  # a subnormal step is rounded itself
    allowed = away * line.h / 8.0
    keeps = (rough <= allowed) & (line.h >= NORMAL)
    step = line.h * (_OFF_POWER / RATIO)
    while (step >= least).any():
        for side in (step, -step):
            residual, h = line.residuals(side)
            keeps &= (residual <= allowed + h * line.spread) | (step < least)
        step = step / RATIO
    return np.asarray(keeps)
