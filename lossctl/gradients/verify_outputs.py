"""Compare values or a gradient of some samples with those of a registered loss.

The output at a sample is c·u·f or c·u·∂f/∂pred: f the loss of the sample, u the upstream gradient, c the weight and the
factor of the reduction. The comparison is made after a division by c·u, in the units of the loss.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.errors import UsageError
from lossctl.gradients.judge import check
from lossctl.gradients.points import Points
from lossctl.gradients.reference_check import accept_kinks, finite_magnitude, near_jump
from lossctl.gradients.rounding import ULPS_OF_TERMS, Precision, half_unit, reference_slack
from lossctl.gradients.value_rounding import value_slack
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict
from lossctl.immutable import immutable

# Ulps of the gradient by which the reference may be off.
_REFERENCE_ULPS = 4.0
# Relative accuracy with which finite differences find kinks.
_KINK_RTOL = 1e-6


@immutable
class Comparison:
    """The comparison of the outputs of some samples; every array is (samples, coordinates), factor (samples, 1).

    Attributes:
        verdicts: the verdicts; their ``numeric`` is the reference.
        given: the outputs, divided by their factor.
        exact: mask of the outputs that are the reference, rounded.
        slack: the allowed errors of `given`.
        factor: the factors.
    """

    verdicts: CoordinateVerdicts
    given: Array
    exact: npt.NDArray[np.bool_]
    slack: Array
    factor: Array


def compare_outputs(
    points: Points,
    outputs: Array,
    factor: Array,
    precision: Precision,
    rounding: Array | None = None,
    *,
    gradient: bool,
) -> Comparison:
    """Compare the outputs of some samples.

    Args:
        points: the loss and the samples.
        outputs: (samples, ...) values or gradients.
        factor: (samples, 1, ...) the number c·u of each sample, not 0.
        precision: that of the outputs.
        rounding: half a unit of the last digit of each output in a text file. Default None: 0.
        gradient: whether the outputs are gradients; otherwise they are values.

    Raises:
        UsageError: the loss has no gradient.
    """
    loss, n = points.loss, len(points)
    values, thunk = loss.evaluate(*points.arrays)
    if gradient and thunk is None:
        raise UsageError(f"{loss.name} has no gradient to compare with")
    whole = thunk() if gradient and thunk is not None else values
    with np.errstate(all="ignore"):
        expected = whole * factor
        exact = (np.abs(outputs - expected) <= half_unit(expected, precision)) | (outputs == expected)
        slack = ULPS_OF_TERMS * precision.tiny / np.abs(factor) + (0.0 if rounding is None else rounding / factor)
        given = outputs / factor
    flat = (n, math.prod(whole.shape[1:]))
    atol = np.broadcast_to(np.abs(slack), given.shape).reshape(flat)
    given, reference, exact = given.reshape(flat), whole.reshape(flat), exact.reshape(flat)
    slack = ULPS_OF_TERMS * precision.eps * finite_magnitude(reference) + atol
    rows = np.flatnonzero(~exact.all(axis=1))
    if rows.size:
        rows = np.arange(n) if loss.batch_coupled else rows
        slack[rows] = _terms(points.subset(rows), whole[rows], factor[rows], precision, gradient=gradient) + atol[rows]
    verdicts = _judge(values, given, reference, exact, slack)
    if loss.batch_coupled:
        verdicts.scale[:] = verdicts.scale.max(initial=0.0)
    _leave_out_overflow(verdicts, given, slack, np.abs(factor.reshape(n, 1)), precision)
    if gradient and not loss.batch_coupled:
        _find_kinks(points, given, atol, verdicts, precision)
    return Comparison(verdicts, given, exact, slack, factor.reshape(n, 1))


def _terms(points: Points, reference: Array, factor: Array, precision: Precision, *, gradient: bool) -> Array:
    """Return 8 ε·terms, with the error of the reference itself."""
    if gradient:
        # Where the factor is small, a result that underflows is moved by more of the smallest number.
        later = np.maximum(1.0, 1.0 / np.abs(factor))
        slack = reference_slack(points.loss, points.arrays, reference, precision, later)
    else:
        slack = value_slack(points.loss, points.arrays, reference, precision)
    return (slack + _REFERENCE_ULPS * 2.0**-52 * finite_magnitude(reference)).reshape(len(points), -1)


def _judge(
    values: Array, given: Array, reference: Array, exact: npt.NDArray[np.bool_], slack: Array
) -> CoordinateVerdicts:
    """Return the verdicts; values (samples,), the other arrays (samples, coordinates)."""
    with np.errstate(all="ignore"):
        error = np.abs(given - reference)
    error[given == reference] = 0.0  # infinite numbers
    verdict = np.where(exact | (error <= slack), np.int8(Verdict.OK), np.int8(Verdict.WRONG))
    # Where the loss or its slope is infinite, every number but NaN passes; a NaN of a finite loss is wrong.
    verdict[~(np.isfinite(reference) & np.isfinite(values)[:, None])] = Verdict.UNDEFINED
    scale = finite_magnitude(reference).max(axis=1, initial=0.0)[:, None]
    nothing = np.zeros(given.shape, np.int8)
    return CoordinateVerdicts(verdict, reference, slack / ULPS_OF_TERMS, scale, nothing.astype(bool), nothing)


def _leave_out_overflow(
    verdicts: CoordinateVerdicts, given: Array, slack: Array, factor: Array, precision: Precision
) -> None:
    """Call an infinite number undefined where the precision has no number of this size, in place."""
    infinite = np.isinf(given)
    if infinite.any():
        size = finite_magnitude(verdicts.numeric) + slack
        beyond = size * np.maximum(factor, 1.0) >= precision.largest
        verdicts.verdict[infinite & beyond & (np.sign(given) == np.sign(verdicts.numeric))] = Verdict.UNDEFINED


def _find_kinks(points: Points, given: Array, atol: Array, verdicts: CoordinateVerdicts, precision: Precision) -> None:
    """Accept gradients between the one-sided derivatives at kinks, in place."""
    rows = np.flatnonzero((verdicts.verdict == Verdict.WRONG).any(axis=1))
    scale = np.maximum(verdicts.scale, finite_magnitude(given).max(axis=1, initial=0.0)[:, None])
    rows = rows[near_jump(points.subset(rows), scale[rows])]
    if not rows.size:
        return
    rounding = ULPS_OF_TERMS * precision.eps * np.abs(given[rows])
    problem = points.subset(rows).problem(given[rows], atol[rows] + rounding, _KINK_RTOL, eps=precision.eps)
    accept_kinks(rows, verdicts, check(problem))
