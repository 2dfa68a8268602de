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
from lossctl.gradients.rounding import Precision, reference_slack
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

# Error of the reference itself, in ulps of its terms: the kernels keep 1e-14 of them.
_REFERENCE_ULPS = 64.0
# A gradient that changes by more than this share of the scale over a step of this share of S has a jump.
_JUMP, _JUMP_STEP = 1e-3, 2.0**-30


def compare(
    points: Points,
    given: Array,
    *,
    atol: Array,
    precision: Precision,
    rtol: float,
    differences: Callable[[Indices], CoordinateVerdicts] | None,
) -> CoordinateVerdicts:
    """Return the verdicts on the gradient of a registered loss.

    Args:
        points: the loss and the samples.
        given: the gradient, in the shape of the predictions.
        atol: additional allowed difference in the same shape, such as half a unit of the last digit in a file.
        precision: that in which `given` was computed.
        rtol: allowed difference relative to the scale of a sample.
        differences: function that checks `given` at some samples by finite differences of the loss. It is called with
            the wrong samples next to a jump of the gradient, to find kinks. None: kinks are not looked for.
    """
    loss, arrays, n = points.loss, points.arrays, len(points)
    value, thunk = loss.evaluate(*arrays)
    assert thunk is not None
    reference = np.array(thunk())
    slack = (reference_slack(loss, arrays, reference, precision) + atol).reshape(n, -1)
    reference, given, pred = reference.reshape(n, -1), given.reshape(n, -1), points.pred
    size = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    # A sample whose gradient is 0 has the scale of what is given in its place.
    largest = np.fmax(size, np.where(np.isfinite(given), np.abs(given), 0.0))
    scale = largest.max(axis=1, initial=0.0)[:, None]
    if loss.batch_coupled:
        scale = np.full_like(scale, scale.max(initial=0.0))
    with np.errstate(all="ignore"):
        right = (np.abs(given - reference) <= slack + rtol * scale) | (given == reference)
    verdict = np.where(right, Verdict.OK, Verdict.WRONG).astype(np.int8)
    # Infinite losses have no derivative; a NaN gradient of a finite loss is wrong.
    defined = np.isfinite(value)[:, None] & np.isfinite(reference) & np.isfinite(pred)
    verdict[~defined] = Verdict.UNDEFINED
    # The diagnosis allows for 8 times the error, which is what rounding explains.
    error = slack / 8.0 + _REFERENCE_ULPS * 2.0**-52 * size
    verdicts = CoordinateVerdicts(
        verdict, reference, error, scale, np.zeros(given.shape, bool), np.zeros(given.shape, np.int8)
    )
    rows = np.flatnonzero((verdict == Verdict.WRONG).any(axis=1))
    rows = rows[_near_jump(points.subset(rows), scale[rows])]
    if differences is not None and rows.size:
        _accept_kinks(rows, verdicts, differences(rows))
    return verdicts


def _near_jump(points: Points, scale: Array) -> npt.NDArray[np.bool_]:
    """Return where the reference gradient changes within a step of S·2⁻³⁰ to one side or the other, (samples,)."""
    if not len(points):
        return np.zeros(0, bool)
    pred = points.arrays[0]
    step = (points.magnitude * _JUMP_STEP).reshape(-1, *(1,) * (pred.ndim - 1))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], pred.shape)
    sides = []
    for sign in (step * signs, -step * signs):
        with np.errstate(all="ignore"):
            thunk = points.loss.evaluate(np.clip(pred + sign, *edges(points.loss)), *points.arrays[1:])[1]
            assert thunk is not None
            sides.append(thunk().reshape(len(points), -1))
    return np.asarray((np.abs(sides[0] - sides[1]) > _JUMP * scale).any(axis=1))


def _accept_kinks(rows: Indices, verdicts: CoordinateVerdicts, other: CoordinateVerdicts) -> None:
    """Take over the verdicts of finite differences at kinks, in place."""
    wrong = verdicts.verdict[rows] == Verdict.WRONG
    for name, taken in (("numeric", wrong & other.clipped), ("clipped", wrong & other.clipped)):
        mine = getattr(verdicts, name)
        mine[rows] = np.where(taken, getattr(other, name), mine[rows])
    kink = wrong & (other.verdict == Verdict.KINK)
    verdicts.verdict[rows] = np.where(kink, Verdict.KINK, verdicts.verdict[rows])
