"""Gradient check of one block of data, as a function for the engine to map over blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.engine.block import Block
from lossctl.engine.plan import LossPlan
from lossctl.errors import number
from lossctl.gradients.batch_check import check_batch
from lossctl.gradients.directions import check_directions, is_wide, reject_joint_subgradients
from lossctl.gradients.finite_differences import EPS, Indices
from lossctl.gradients.flat_loss import why_flat
from lossctl.gradients.judge import check
from lossctl.gradients.points import Points
from lossctl.gradients.reference_check import compare
from lossctl.gradients.remeasure import check_measured, is_noisy
from lossctl.gradients.rounding import ULPS_OF_TERMS, Precision, estimated_terms, precision_of
from lossctl.gradients.sampling import is_batch_coupled
from lossctl.gradients.second_derivative import accept_surrogate, second_problem
from lossctl.gradients.tally import CheckSummary, summarize_verdicts
from lossctl.gradients.tensors import compare_precisions, for_upstream, is_of_probabilities, rounded_inputs
from lossctl.gradients.under_test import GradientUnderTest, gradient_under_test
from lossctl.gradients.user_gradient import Gradient
from lossctl.gradients.user_loss import looks_like_objective, observe
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict, set_tiny_aside
from lossctl.immutable import immutable
from lossctl.io.dataset import GIVEN_GRADIENT

# Allowed difference relative to the scale of a sample: 1/100 of an error that matters, and 1000 times the
# uncertainty of the differences of a smooth loss.
RTOL = 1e-6
# Number of samples, and of coordinates of each, at which the gradient of a registered loss is itself compared with
# differences before it judges another one.
_CROSS_SAMPLES, _CROSS_COORDINATES = 50, 4
# The report says how large an error rounding hides at most coordinates, if it is more than this share.
_SMALL_ERROR = 1e-3
_NO_JOINT_SUBGRADIENT = (
    "each coordinate of some samples is a subgradient at a kink, and together they are none: at a tie the parts of the "
    "tied coordinates add up to 1"
)


@immutable
class Checker:
    """The function that the engine maps over blocks: ``checker(block, plan)`` checks the gradient of a block.

    Attributes:
        gradient: function that returns the gradient to check. Default None: the gradient that the data hold, if
            they hold one, otherwise the gradient of the loss.
        factor: multiplier that turns the given gradient into that of each sample's loss (n for the gradient
            of a mean). Default 1.
        weighted: whether the given gradient is that of w·loss. Default False.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        keep_verdicts: whether to keep all verdicts. Default False.
        second: how the second derivative is judged: ``exact``, ``surrogate`` (the default) or ``off``.
        dtype: precision in which a function of tensors runs.
        first: row at which the first block with a sample that counts starts. Observations of the function are made
            there. Default 0.
    """

    gradient: Gradient | None = None
    factor: float = 1.0
    weighted: bool = False
    rtol: float = RTOL
    keep_verdicts: bool = False
    second: str = "surrogate"
    dtype: str = "float64"
    first: int = 0

    def __call__(self, block: Block, plan: LossPlan) -> tuple[CheckSummary, ...]:
        """Return the summary of the gradient and, if the function returned one, that of the second derivative.

        Of a block in which no sample counts there is none.
        """
        elements = block.elements(plan)
        if not len(elements.arrays[0]):
            return ()
        index = elements.rows.index
        rows = block.start + (np.arange(len(elements.arrays[0])) if index is None else index) // plan.per_row
        of_tensors = plan.loss.takes_tensors and self.gradient is None and GIVEN_GRADIENT not in block.places
        if of_tensors and self.dtype != "float64":
            elements.arrays = rounded_inputs(plan.loss, elements.arrays, self.dtype)
        elif self.gradient is not None and self.gradient.rounded is not None:
            elements.arrays = self.gradient.rounded(plan.loss, elements.arrays)
        points = Points(plan.loss, elements.arrays, rows)
        tested = gradient_under_test(block, points, elements, self.gradient, factor=self.factor, weighted=self.weighted)
        given, second, atol, precision = tested.given, tested.second, tested.atol, tested.precision
        first = block.start == self.first
        if first and not plan.loss.batch_coupled and is_batch_coupled(plan.loss, elements.arrays):
            raise CoupledError
        notes = observe(plan.loss, elements.arrays) if first and not plan.loss.is_builtin else ()
        if first and of_tensors and is_of_probabilities(plan.loss, elements.arrays):
            raise ProbabilityError
        if first and of_tensors:
            given, note = for_upstream(plan.loss, elements.arrays, given)
            notes += (note,) * bool(note)
        if first and self.gradient is not None:
            notes += self.gradient.observe(elements.arrays, elements.weights)
        if precision is not None and plan.loss.is_builtin:
            summary = self._compare_with_registered(points, tested, precision, first=first)
        elif plan.loss.batch_coupled:
            summary = check_batch(points, given, atol, self.rtol, keep_verdicts=self.keep_verdicts)
        elif is_wide(points):
            summary = check_directions(points, given, atol, self.rtol, EPS if precision is None else precision.eps)
        else:
            verdicts = self._check_samples(points, given, atol, precision)
            if not plan.loss.is_builtin and reject_joint_subgradients(points, given, atol, self.rtol, verdicts):
                notes += (_NO_JOINT_SUBGRADIENT,)
            summary = self._summarize(points, verdicts, given)
        if self.gradient is None and GIVEN_GRADIENT not in block.places and not plan.loss.is_builtin:
            summary = _reject_objective(summary, points, given)
        flat = "" if plan.loss.is_builtin or summary.moving else why_flat(points)
        summary = replace(summary, notes=(*notes, *summary.notes), flat=flat)
        if of_tensors and self.dtype != "float64":
            return summary, self._check_precision(points, given)
        if second is None or self.second == "off":
            return (summary,)
        return summary, self._check_second(points, second)

    def _compare_with_registered(
        self, points: Points, tested: GradientUnderTest, precision: Precision, *, first: bool
    ) -> CheckSummary:
        """Compare a gradient with that of a registered loss; the report shows the method of the first block."""
        given, atol = tested.given, tested.atol

        def differences(rows: Indices, precision: Precision) -> CoordinateVerdicts:
            rounding = ULPS_OF_TERMS * precision.eps * np.abs(given[rows])
            return self._check_samples(points.subset(rows), given[rows], atol[rows] + rounding, precision)

        verdicts, precision, hidden = compare(
            points,
            tested,
            precision=precision,
            rtol=self.rtol,
            differences=None if points.loss.batch_coupled else differences,
        )
        set_tiny_aside(verdicts, given.reshape(verdicts.verdict.shape), points.magnitude, precision.eps)
        method = f"comparison with the gradient of {points.loss.name}"
        if first and not points.loss.batch_coupled:
            method += self._cross_check(points)
        if precision.eps > 2.0**-52:
            method += f"; {precision.name} numbers, judged by {ULPS_OF_TERMS:g} ulps of their terms"
        if hidden > _SMALL_ERROR:
            method += f", which hide an error of {number(float(f'{100.0 * hidden:.1g}'))} % at most coordinates"
        return self._summarize(points, verdicts, given, method)

    def _cross_check(self, points: Points) -> str:
        """Compare the reference gradient itself with differences at some coordinates; return a clause of the report."""
        rows = np.unique(np.linspace(0, len(points) - 1, _CROSS_SAMPLES).astype(np.intp))
        part = points.subset(rows)
        thunk = part.loss.evaluate(*part.arrays)[1]
        assert thunk is not None
        columns = np.linspace(0, part.pred.shape[1] - 1, _CROSS_COORDINATES).astype(np.intp)
        verdict = check(part.problem(thunk(), 0.0, self.rtol, np.unique(columns))).verdict
        right, wrong = (int(np.isin(verdict, v).sum()) for v in ((Verdict.OK, Verdict.KINK), (Verdict.WRONG,)))
        contradicted = f", contradicted at {wrong:,}" if wrong else ""
        return f", which finite differences confirm at {right:,} coordinates{contradicted}"

    def _check_samples(
        self, points: Points, given: Array, atol: Array | float, precision: Precision | None
    ) -> CoordinateVerdicts:
        """Check samples that do not depend on each other, one coordinate at a time."""
        problem = points.problem(given, atol, self.rtol, eps=EPS if precision is None else precision.eps)
        if points.loss.is_builtin:
            return check(problem)
        verdicts = check_measured(problem, is_noisy(problem))
        set_tiny_aside(verdicts, problem.given, problem.magnitude, problem.eps)
        return verdicts

    def _summarize(self, points: Points, verdicts: CoordinateVerdicts, given: Array, method: str = "") -> CheckSummary:
        flat = given.reshape(verdicts.verdict.shape)
        return summarize_verdicts(
            verdicts,
            points.arrays,
            flat,
            points.rows,
            method=method,
            keep_verdicts=self.keep_verdicts,
        )

    def _check_precision(self, points: Points, reference: Array) -> CheckSummary:
        """Compare the gradient of a function of tensors in `dtype` with that in float64."""
        verdicts, given = compare_precisions(points, reference, self.dtype, self.rtol)
        method = (
            f"comparison of {self.dtype} with float64, whose gradient finite differences confirm; rounding explains "
            f"{ULPS_OF_TERMS:g} ulps of the terms and the spread of its errors"
        )
        return self._summarize(points, verdicts, given, method)

    def _check_second(self, points: Points, second: Array) -> CheckSummary:
        """Check the Hessian diagonal of an objective against differences of the gradient of the loss."""
        flat = second.reshape(len(points), -1)
        rounding = ULPS_OF_TERMS * precision_of(second).eps * estimated_terms(flat, points.magnitude)
        parts = []
        for j in range(flat.shape[1]):
            problem = second_problem(
                points, j, flat[:, j : j + 1], atol=rounding, rtol=self.rtol, gradient=self.gradient
            )
            parts.append(vars(check_measured(problem, is_noisy(problem))).values())
        verdicts = CoordinateVerdicts(*(np.concatenate(a, axis=1) for a in zip(*parts, strict=True)))
        verdicts = replace(verdicts, scale=verdicts.scale.max(axis=1, keepdims=True))
        note = None
        if self.second == "surrogate":
            note = accept_surrogate(points, flat, verdicts)
        summary = self._summarize(points, verdicts, second)
        return summary if note is None else replace(summary, notes=(note, *summary.notes))


class ProbabilityError(Exception):
    """Raised if a function of tensors turns out to take probabilities."""


class LaterBlockError(Exception):
    """Raised if no sample of the block that was to be observed counts.

    Args:
        start: the row at which the first block with such a sample starts.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start


class CoupledError(Exception):
    """Raised if samples depend on each other although the loss was not declared coupled."""


def _reject_objective(summary: CheckSummary, points: Points, given: Array) -> CheckSummary:
    """Let a pair (gradient, Hessian diagonal) in the place of (loss, gradient) fail."""
    if not looks_like_objective(points, given):
        return summary
    note = (
        f"{points.loss.name} returns what looks like (gradient, second derivative), not (loss, gradient): the first "
        "value has both signs and the second is never negative; give it by --grad, with the loss as LOSS"
    )
    return replace(summary, verified=0, notes=(note, *summary.notes))
