"""Second look at the verdicts on a function of unknown precision, with its noise measured.

The steps of :mod:`lossctl.gradients.refinement` assume that the loss is accurate to a few ulps of its value. For a
user's function that is not known. A sample of it is measured first. If it is accurate, only the coordinates that are
wrong or unresolved are measured again; if it has noise, all are, because a gradient of 0 agrees with the zero
quotients on a plateau.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, ULPS, Bools, DerivativeProblem, Indices
from lossctl.gradients.judge import check, quick_look
from lossctl.gradients.noisy_derivative import NoisyDerivative, measure
from lossctl.gradients.verdict import CoordinateVerdicts, Reason, Verdict

# Defaults of `appeals` and `many`, and the number of coordinates of a sample that is measured for noise.
_APPEALS, _MANY, _COORDINATES = 500, 4096, 3
# The function has noise if this share of the probed coordinates show it; a kink within 1e-9 of a point looks like it.
_SHARE = 0.1
# Noise above this many times the roundoff that the refinement assumes makes its verdicts unreliable.
_NOISY = 4.0
# A derivative is known if its error is at most this share of the largest derivative of its sample.
_KNOWN = 0.05
# It is also known if its error is at most this share of the slopes nearby: at a minimum the derivative itself is 0.
_SMALL = 1e-4
# A derivative with a larger error than this share of the slopes nearby is next to a kink, and condemns nothing.
_SHARP = 0.01
# The gradient is wrong if it is outside this many times the error. The bound has been exceeded by a factor of 1.4
# (log-sum-exp − z[y] at 2,000 points).
_FACTOR = 3.0


@np.errstate(all="ignore")
def check_measured(
    p: DerivativeProblem, noisy: bool, *, appeals: int = _APPEALS, many: int = _MANY, alike: bool = False
) -> CoordinateVerdicts:
    """Return the verdicts on a function of unknown precision.

    Of many samples of a function without noise, those that two steps show to be wrong are not all refined: if the
    refinement confirms a sample of them, the others are wrong too.

    Args:
        p: the problem.
        noisy: whether the function has noise, as :func:`is_noisy` says.
        appeals: number of wrong coordinates of a function without noise that are measured before the others are taken
            as wrong too, and number of samples that confirm the others. Default 500.
        many: largest number of samples that are all refined. Default 4096.
        alike: take the unresolved ones as wrong too if all measured ones are. Their derivatives are not measured.
            Default False.
    """
    refine = partial(_refined, noisy=noisy, appeals=appeals, alike=alike)
    if noisy or len(p.x) <= many:
        return refine(p)
    verdicts, decided = quick_look(p)
    wrong = verdicts.verdict == Verdict.WRONG
    obvious = np.flatnonzero(decided & wrong.any(axis=1))
    decided[obvious[:: max(1, len(obvious) // appeals)]] = False
    _put(p, verdicts, np.flatnonzero(~decided), refine)
    if (verdicts.verdict[wrong] != Verdict.WRONG).any():
        _put(p, verdicts, obvious[decided[obvious]], refine)
    return verdicts


def _put(
    p: DerivativeProblem,
    verdicts: CoordinateVerdicts,
    rows: Indices,
    refine: Callable[[DerivativeProblem], CoordinateVerdicts],
) -> None:
    if rows.size:
        verdicts.put(rows, refine(p.subset(rows)))


def _refined(p: DerivativeProblem, *, noisy: bool, appeals: int, alike: bool) -> CoordinateVerdicts:
    """Return the verdicts of the refinement, and of a measurement where noise may have made them."""
    verdicts = check(p)
    value = p.f(None, p.x)
    _measure_all(p, verdicts, value, noisy=noisy, appeals=appeals, alike=alike)
    # A formula with a 1 in it, such as 1 − cos r, is 0 within reach of the smallest residuals: that says nothing of a
    # gradient that would move it by less than the rounding of the 1.
    slight = np.abs(p.given) * p.magnitude[:, None] < EPS
    unseen = (verdicts.verdict == Verdict.WRONG) & (value == 0)[:, None] & (verdicts.numeric == 0) & slight
    unseen |= _underflows(p, verdicts)
    verdicts.verdict[unseen] = Verdict.UNRESOLVED
    verdicts.reason[unseen] = Reason.DIGITS
    return verdicts


def _underflows(p: DerivativeProblem, verdicts: CoordinateVerdicts) -> Bools:
    """Return where a gradient is ok only because the loss underflows: half of 2r at residuals of 1e-300."""
    unexplained = np.abs(p.given - verdicts.numeric) > verdicts.error + p.rtol * verdicts.scale + p.atol
    hidden = np.stack([p.underflow(p.first_step(j)) for j in range(p.x.shape[1])], axis=1)
    slopes = np.fmax(np.abs(p.given), np.abs(verdicts.numeric))
    return np.asarray((verdicts.verdict == Verdict.OK) & unexplained & (slopes <= 2.0 * hidden))


def _measure_all(
    p: DerivativeProblem, verdicts: CoordinateVerdicts, value: Array, *, noisy: bool, appeals: int, alike: bool
) -> None:
    """Measure the coordinates whose verdict may be due to noise."""
    doubtful = (verdicts.verdict == Verdict.WRONG) | (verdicts.verdict == Verdict.UNRESOLVED)
    if noisy:
        doubtful[:] = True  # a quotient of steps on a grid can look right, or infinite
    doubtful &= np.isfinite(value)[:, None] & np.isfinite(p.given) & np.isfinite(p.x)
    if noisy or np.count_nonzero(doubtful) <= appeals:
        _measure(p, verdicts, doubtful, value)
        return
    # Where all of some hundred wrong verdicts on a function without noise stand, the others stand too.
    first = doubtful & (np.cumsum(doubtful.ravel()).reshape(doubtful.shape) <= appeals)
    before = verdicts.verdict.copy()
    _measure(p, verdicts, first, value)
    if alike and (verdicts.verdict[first] == Verdict.WRONG).all():
        verdicts.verdict[doubtful], verdicts.reason[doubtful] = Verdict.WRONG, Reason.NONE
        return
    overturned = first & (before == Verdict.WRONG) & (verdicts.verdict != Verdict.WRONG)
    unresolved = doubtful & (before == Verdict.UNRESOLVED)
    _measure(p, verdicts, doubtful & ~first & (unresolved | overturned.any()), value)


def _measure(p: DerivativeProblem, verdicts: CoordinateVerdicts, doubtful: Bools, value: Array) -> None:
    """Measure the doubtful coordinates, and set their verdicts."""
    places = [(j, rows) for j in range(p.x.shape[1]) if (rows := np.flatnonzero(doubtful[:, j])).size]
    unit = float(np.abs(value[np.isfinite(value)]).max(initial=0.0))
    measured = [(j, rows, measure(p, j, rows, value[rows], unit)) for j, rows in places]
    scale = np.abs(np.where(np.isfinite(p.given), p.given, 0.0)).max(axis=1, initial=0.0)
    for _, rows, m in measured:
        known = np.where(m.error <= _KNOWN * np.abs(m.derivative), np.abs(m.derivative), 0.0)
        scale[rows] = np.maximum(scale[rows], known)
    for j, rows, m in measured:
        _judge(p, verdicts, (j, rows), m, scale=scale[rows], value=value[rows])


@np.errstate(all="ignore")
def is_noisy(p: DerivativeProblem, samples: int = 64) -> bool:
    """Return whether some samples of the function, by default 64, show more noise than the refinement assumes."""
    rows = np.unique(np.linspace(0, len(p.x) - 1, samples).astype(np.intp))
    value = p.f(rows, p.x[rows])
    rows, value = rows[np.isfinite(value)], value[np.isfinite(value)]
    if not rows.size:
        return False
    noisy = probed = 0
    for j in np.unique(np.linspace(0, p.x.shape[1] - 1, _COORDINATES).astype(int)):
        m = measure(p, int(j), rows, value)
        noisy += int((m.fine_noise > _NOISY * _assumed(p, rows, value, m.derivative)).sum())
        probed += len(rows)
    return noisy > _SHARE * probed


def _assumed(p: DerivativeProblem, rows: Indices, value: Array, slope: Array) -> Array:
    """Return the roundoff of the loss that the refinement allows for, in units of the loss."""
    return ULPS * EPS * np.maximum(np.abs(value), p.magnitude[rows] * np.abs(slope))


def _judge(
    p: DerivativeProblem,
    verdicts: CoordinateVerdicts,
    place: tuple[int, Indices],
    m: NoisyDerivative,
    *,
    scale: Array,
    value: Array,
) -> None:
    """Set the verdicts on a coordinate of some samples, ``place``, from measured derivatives."""
    j, rows = place
    given, before = p.given[rows, j], verdicts.verdict[rows, j]
    allowed = p.rtol * scale + np.broadcast_to(p.atol, p.x.shape)[rows, j]
    # Inputs rounded to the precision of the gradient move it by the curvature times their rounding.
    allowed += ULPS * p.eps * p.magnitude[rows] * np.abs(np.where(m.error < np.inf, m.curvature, 0.0))
    nearest = np.clip(given, m.derivative - m.half_jump, m.derivative + m.half_jump)
    away = np.abs(given - nearest)
    known = (m.error <= _KNOWN * scale) | (m.error <= _SMALL * m.nearby_slope)
    agrees = away <= m.error + allowed
    is_kink = m.half_jump > allowed
    wrong = (away > _FACTOR * m.error + allowed) & (m.error <= _SHARP * np.maximum(scale, m.nearby_slope))
    # Where the function has no noise, the refinement knows more than a fit: its verdict stands.
    noisy = m.fine_noise > _NOISY * _assumed(p, rows, value, m.derivative)
    verdict = np.where(known & agrees, np.where(is_kink, Verdict.KINK, Verdict.OK), Verdict.UNRESOLVED)
    verdict = np.where(wrong, Verdict.WRONG, verdict)
    stands = ~noisy & ((before == Verdict.OK) | (before == Verdict.KINK) | ((before == Verdict.WRONG) & ~known))
    # So does its derivative, if the fit, which a kink nearby makes worse, confirms both.
    stands |= (before == Verdict.WRONG) & wrong & (np.abs(verdicts.numeric[rows, j] - m.derivative) <= m.error)
    # A noiseless function that the refinement cannot resolve may have structure at every scale; a sharp fit excludes
    # that.
    sharp = m.error <= _SMALL * scale
    stands |= ~noisy & (before == Verdict.UNRESOLVED) & (verdict == Verdict.WRONG) & ~sharp
    at = rows[~stands]
    verdicts.verdict[at, j] = verdict[~stands]
    verdicts.numeric[at, j] = nearest[~stands]
    verdicts.error[at, j] = m.error[~stands]
    verdicts.clipped[at, j] = is_kink[~stands]
    verdicts.scale[at, 0] = np.maximum(scale[~stands], np.abs(value[~stands] / p.magnitude[at]))
    verdicts.reason[at, j] = np.where(verdict[~stands] == Verdict.UNRESOLVED, Reason.DIGITS, Reason.NONE)
