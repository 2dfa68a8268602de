"""Compare a gradient with that of a registered loss, which is right to a few ulps of its terms.

No step and no difference is needed: the cost is a few evaluations of the loss, whatever the number of classes.
Differences of the loss judge what one reference value cannot: at a kink every value between the one-sided
derivatives is right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import Indices
from lossctl.gradients.points import Points, edges
from lossctl.gradients.rounding import ULPS_OF_TERMS, Precision, precision_seen, reference_slack
from lossctl.gradients.under_test import GradientUnderTest
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

# Error of the reference itself, in ulps of its terms: the kernels keep 1e-14 of them.
_REFERENCE_ULPS = 64.0
# A gradient that changes by more than this share of the scale over a step of this share of the inputs has a jump.
_JUMP, _JUMP_STEP = 1e-3, 2.0**-30


def compare(
    points: Points,
    tested: GradientUnderTest,
    *,
    precision: Precision,
    rtol: float,
    differences: Callable[[Indices, Precision], CoordinateVerdicts] | None,
) -> tuple[CoordinateVerdicts, Precision, float]:
    """Check the gradient of a registered loss.

    Args:
        points: the loss and the samples.
        tested: the gradient.
        precision: that of the type of its numbers, or seen in their values.
        rtol: allowed difference relative to the scale of a sample.
        differences: function that checks it at some samples by finite differences of the loss. It is called with
            the wrong samples next to a jump of the gradient and the precision, to find kinks. None: kinks are not
            looked for.

    Returns:
        The verdicts; the precision in which `given` was computed; the median over the coordinates, those with a
        gradient of 0 aside, of the relative error that rounding hides.
    """
    loss, arrays, n = points.loss, points.arrays, len(points)
    value, thunk = loss.evaluate(*arrays)
    assert thunk is not None
    whole = np.array(thunk())
    reference, given, atol = (a.reshape(n, -1) for a in (whole, tested.given, tested.atol))
    computed, factor, pred = (a.reshape(n, -1) for a in (tested.computed, tested.factor, points.pred))
    with np.errstate(all="ignore"):
        precision = precision_seen(computed, reference / factor, pred, precision)
    size = finite_magnitude(reference)
    # A sample whose gradient is 0 has the scale of what is given in its place.
    scale = np.maximum(size.max(axis=1, initial=0.0), finite_magnitude(given).max(axis=1, initial=0.0))[:, None]
    if loss.batch_coupled:
        scale = np.full_like(scale, scale.max(initial=0.0))
    with np.errstate(all="ignore"):
        away = np.abs(given - reference)
    away[given == reference] = 0.0  # infinite numbers
    # The terms are at least |g|: only samples that differ by more are evaluated again to find their terms.
    slack = ULPS_OF_TERMS * precision.eps * size + atol
    right = away <= slack + rtol * scale
    rows = np.flatnonzero(~right.all(axis=1))
    if rows.size:
        if loss.batch_coupled:
            rows = np.arange(n)
        part = points.subset(rows)
        terms = reference_slack(loss, part.arrays, whole[rows], precision, tested.factor[rows]).reshape(len(rows), -1)
        slack[rows] = terms + atol[rows]
        right[rows] = away[rows] <= slack[rows] + rtol * scale[rows]
    verdict = np.where(right, np.int8(Verdict.OK), np.int8(Verdict.WRONG))
    # Infinite losses have no derivative; a NaN gradient of a finite loss is wrong.
    defined = np.isfinite(value)[:, None] & np.isfinite(reference) & np.isfinite(pred)
    infinite = np.isinf(given)
    if infinite.any():  # right where the precision has no number of this size
        beyond = size + slack >= precision.largest * np.abs(factor)
        defined &= ~(infinite & beyond & (np.sign(given) == np.sign(reference)))
    verdict[~defined] = Verdict.UNDEFINED
    # The diagnosis allows for 8 times the error, which is what rounding explains.
    error = slack / 8.0 + _REFERENCE_ULPS * 2.0**-52 * size
    verdicts = CoordinateVerdicts(
        verdict, reference, error, scale, np.zeros(given.shape, bool), np.zeros(given.shape, np.int8)
    )
    rows = np.flatnonzero((verdict == Verdict.WRONG).any(axis=1))
    rows = rows[near_jump(points.subset(rows), scale[rows])]
    if differences is not None and rows.size:
        accept_kinks(rows, verdicts, differences(rows, precision))
    moving = size > 0
    return verdicts, precision, float(np.median(slack[moving] / size[moving])) if moving.any() else 0.0


def finite_magnitude(array: Array) -> Array:
    """Return |x|, and 0 where x is not finite."""
    size = np.abs(array)
    finite = np.isfinite(size)
    return size if finite.all() else np.where(finite, size, 0.0)


def near_jump(points: Points, scale: Array) -> npt.NDArray[np.bool_]:
    """Return where the reference gradient changes within 2⁻³⁰ of the inputs to one side or the other, (samples,)."""
    return np.asarray((sides_of_jump(points, scale) > 0.0).any(axis=1))


def sides_of_jump(points: Points, scale: Array) -> Array:
    """Return by how much the reference gradient changes within 2⁻³⁰ of the inputs; 0 without a jump.

    Args:
        points: the loss and the samples.
        scale: (samples, 1) largest gradient of each sample; a change of 0.1 % of it is a jump.

    Returns:
        (samples, coordinates).
    """
    if not len(points):
        return np.zeros((0, 1))
    pred = points.arrays[0]
    step = (points.input_size * _JUMP_STEP).reshape(-1, *(1,) * (pred.ndim - 1))
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], pred.shape) * rng.uniform(0.5, 1.0, pred.shape)  # scores that tie become different
    sides = []
    for sign in (step * signs, -step * signs):
        with np.errstate(all="ignore"):
            thunk = points.loss.evaluate(np.clip(pred + sign, *edges(points.loss)), *points.arrays[1:])[1]
            assert thunk is not None
            sides.append(thunk().reshape(len(points), -1))
    with np.errstate(invalid="ignore"):
        change = np.abs(sides[0] - sides[1])
    return np.where(change > _JUMP * scale, change, 0.0)


def accept_kinks(rows: Indices, verdicts: CoordinateVerdicts, other: CoordinateVerdicts) -> None:
    """Take over the verdicts of finite differences at kinks, in place."""
    wrong = verdicts.verdict[rows] == Verdict.WRONG
    for name, taken in (("numeric", wrong & other.clipped), ("clipped", wrong & other.clipped)):
        mine = getattr(verdicts, name)
        mine[rows] = np.where(taken, getattr(other, name), mine[rows])
    kink = wrong & (other.verdict == Verdict.KINK)
    verdicts.verdict[rows] = np.where(kink, Verdict.KINK, verdicts.verdict[rows])
