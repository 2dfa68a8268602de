"""The second derivative of an objective: its exact value, and the surrogates that practice uses in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import DerivativeProblem, Indices
from lossctl.gradients.points import Points, edges
from lossctl.gradients.rounding import ULPS_OF_TERMS, precision_of
from lossctl.gradients.tally import UNRESOLVED_SHARE
from lossctl.gradients.user_gradient import Gradient
from lossctl.gradients.verdict import CoordinateVerdicts, Reason, Verdict

# How the second derivative of an objective is judged.
SECOND = ("exact", "surrogate", "off")
# Largest difference between a second derivative and a surrogate, relative to the latter: above the rounding of
# formulas in float64, far below any factor.
_FITS = 1e-6
# The same where the second derivative of the loss is known by differences only.
_FITS_NUMERIC = 1e-4
# A floor is a power of ten up to this, or the machine epsilon of float32 or float64.
_LARGEST_FLOOR = 1e-3
# Least number of coordinates with a known second derivative that show a constant factor.
_ENOUGH = 3


def second_problem(
    points: Points, j: int, second: Array, *, atol: Array, rtol: float, gradient: Gradient | None
) -> DerivativeProblem:
    """Return the problem of checking the second derivative in coordinate j by differences of a gradient.

    The gradient of the loss is the reference, so that one factor in both derivatives of an objective shows. Only a
    user's loss without a gradient is replaced by the objective's own gradient.

    Args:
        points: the loss and the samples.
        j: the coordinate.
        second: (samples, 1) the second derivative in coordinate j.
        atol: (samples, 1) its allowed absolute difference.
        rtol: its allowed difference relative to the scale of a sample.
        gradient: the gradient function of the objective.
    """
    x = points.pred
    shape = points.arrays[0].shape[1:]
    own_gradient = points.loss.is_builtin or points.loss.evaluate(*points.arrays)[1] is not None

    def f(chosen: Indices | None, moved: Array) -> Array:
        whole = np.array(x if chosen is None else x[chosen])
        whole[:, j] = moved[:, 0]
        others = [a if chosen is None else a[chosen] for a in points.arrays[1:]]
        arrays = [whole.reshape(-1, *shape), *others]
        if own_gradient:
            thunk = points.loss.evaluate(*arrays)[1]
            assert thunk is not None
            return np.array(thunk().reshape(len(whole), -1)[:, j])
        assert gradient is not None
        return gradient(arrays, None)[0].reshape(len(whole), -1)[:, j].astype(np.float64)

    return DerivativeProblem(f, x[:, j : j + 1], second, points.magnitude, *edges(points.loss), rtol, atol)


@np.errstate(all="ignore")
def accept_surrogate(points: Points, given: Array, verdicts: CoordinateVerdicts) -> str | None:
    """Let a surrogate pass that practice uses in place of the second derivative, if it has a name.

    A surrogate that fits 99 % of the coordinates is ok, or unresolved where it does not fit. The verdicts are changed
    in place. A constant multiple of the second derivative of the loss is no surrogate, except those of XGBoost and
    LightGBM for their own losses.

    Args:
        points: the samples.
        given: (samples, coordinates) the second derivative that the objective returned.
        verdicts: the verdicts on it.

    Returns:
        A note with the name of the surrogate; None if the second derivative is that of the loss, or has no name.
    """
    wrong = verdicts.verdict == Verdict.WRONG
    if not wrong.any():
        return None
    defined = np.isfinite(points.pred) & np.isfinite(given)
    precision = precision_of(given)
    for name, values in _surrogates(points, given, verdicts):
        slack = (_FITS + 8.0 * ULPS_OF_TERMS * precision.eps) * np.abs(values)
        slack += ULPS_OF_TERMS * precision.eps * np.where(np.isfinite(values), values, 0.0).max(axis=1, keepdims=True)
        fits = np.abs(given - values) <= slack
        floor = _floor(given, values, fits)
        fits |= (given == floor) & ~(values > floor * (1.0 + _FITS))
        if _mostly(fits, defined):
            return _accept(verdicts, fits, given, f"{name}{_floor_words(floor)}")
    # The second derivative itself, with a floor.
    right = np.isin(verdicts.verdict, (Verdict.OK, Verdict.KINK))
    floor = _floor(given, np.where(np.isfinite(verdicts.numeric), verdicts.numeric, 0.0), right)
    right |= (given == floor) & (verdicts.numeric - verdicts.error <= floor)
    if floor and _mostly(right, defined):
        return _accept(verdicts, right, given, f"that of the loss{_floor_words(floor)}", surrogate=False)
    return None


def _surrogates(points: Points, given: Array, verdicts: CoordinateVerdicts) -> Iterator[tuple[str, Array]]:
    """Yield the name and the values of each surrogate that belongs to this loss."""
    x, numeric = points.pred, verdicts.numeric
    known = np.isfinite(numeric) & (verdicts.error <= _FITS_NUMERIC * verdicts.scale)
    known &= (verdicts.verdict == Verdict.OK) | (verdicts.verdict == Verdict.WRONG)

    def is_exact(values: Array) -> bool:
        """Return whether these are the second derivatives of the loss."""
        away = np.abs(values - numeric)
        tolerance = _FITS_NUMERIC * verdicts.scale + 8.0 * verdicts.error
        return int(np.count_nonzero(known)) >= _ENOUGH and bool((away <= tolerance)[known].all())

    k = x.shape[1]
    if k > 1:
        p = np.exp(x - x.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        h = p * (1.0 - p)
        if is_exact(h):
            yield "2p(1 − p) of XGBoost's softprob", 2.0 * h
            yield "K/(K − 1)·p(1 − p) of LightGBM's multiclass", k / (k - 1.0) * h
    elif is_exact(np.exp(x)):
        yield "e^(pred + 0.7) of XGBoost's Poisson (max_delta_step = 0.7)", np.exp(x + 0.7)
    if _factor(given, numeric, verdicts.error, verdicts.scale, verdicts.verdict) is not None:
        return
    yield "1 everywhere", np.ones_like(x)
    if len(points.arrays) > 1 and points.arrays[1].shape == points.arrays[0].shape:
        target = points.arrays[1].reshape(x.shape)
        yield "|pred − target|", np.abs(x - target)
        yield from _gauss_newton(points, x, target)


def _gauss_newton(points: Points, x: Array, target: Array) -> Iterator[tuple[str, Array]]:
    """Yield c·s'(x)², if the loss is ½·c·(s(x) − target)² with s the logistic function or the exponential."""
    thunk = points.loss.evaluate(*points.arrays)[1]
    if thunk is None:
        return
    gradient = thunk().reshape(x.shape)
    p = 1.0 / (1.0 + np.exp(-x))
    for link, value, slope in (("the logistic function", p, p * (1.0 - p)), ("exp", np.exp(x), np.exp(x))):
        inner = (value - target) * slope
        factor = float(np.nanmedian(gradient / np.where(inner == 0.0, np.nan, inner)))
        if factor > 0 and (np.abs(gradient - factor * inner) <= _FITS * (np.abs(gradient) + slope)).all():
            yield f"Gauss-Newton of the squared error through {link}", factor * slope * slope


def _factor(given: Array, numeric: Array, error: Array, scale: Array, verdict: np.ndarray) -> float | None:
    """Return the constant, not 1, that `given` is of `numeric` at 99 % of the coordinates where this is known."""
    judged = (verdict == Verdict.OK) | (verdict == Verdict.WRONG)
    judged &= np.isfinite(given) & np.isfinite(numeric)
    sure = judged & (np.abs(numeric) > 0) & (error <= _FITS_NUMERIC * np.abs(numeric))
    if np.count_nonzero(sure) < _ENOUGH:
        return None
    factor = float(np.median(given[sure] / numeric[sure]))
    tolerance = _FITS_NUMERIC * np.broadcast_to(np.abs(scale), given.shape) + 8.0 * max(1.0, abs(factor)) * error
    fits = np.abs(given - factor * numeric) <= np.minimum(tolerance, 1e-3 * np.abs(given) + 8.0 * error)
    return factor if abs(factor - 1.0) > 5.0 * _FITS_NUMERIC and _mostly(fits, judged) else None


def _mostly(fits: np.ndarray, among: np.ndarray) -> bool:
    count = int(np.count_nonzero(among))
    return count > 0 and int(np.count_nonzero(fits & among)) >= (1.0 - UNRESOLVED_SHARE) * count


def _floor(given: Array, values: Array, fits: np.ndarray) -> float:
    """Return the floor of a second derivative: its least value, if it is a usual one and does not fit; otherwise 0."""
    low = float(np.min(given, initial=np.inf, where=~fits & np.isfinite(given)))
    if not 0.0 < low <= _LARGEST_FLOOR:
        return 0.0
    power = 10.0 ** round(math.log10(low))
    usual = any(abs(low - value) <= _FITS * value for value in (power, 2.0**-23, 2.0**-52))
    return low if usual else 0.0


def _floor_words(floor: float) -> str:
    return f", with a floor of {floor:.4g}" if floor else ""


def _accept(verdicts: CoordinateVerdicts, fits: np.ndarray, given: Array, name: str, *, surrogate: bool = True) -> str:
    """Set the verdicts to those of a surrogate with this name, and return the note."""
    doubtful = (verdicts.verdict == Verdict.WRONG) | (verdicts.verdict == Verdict.UNRESOLVED)
    left = (verdicts.verdict == Verdict.WRONG) & ~fits
    for chosen, verdict in ((doubtful & fits, Verdict.OK), (left, Verdict.UNRESOLVED)):
        verdicts.verdict[chosen] = verdict
        verdicts.reason[chosen] = Reason.NONE
    accepted = doubtful & fits
    verdicts.numeric[accepted] = given[accepted]
    share = f", at all but {np.count_nonzero(left):,} coordinates" if left.any() else ""
    return f"second derivative: {'the surrogate ' if surrogate else ''}{name}{share}"
