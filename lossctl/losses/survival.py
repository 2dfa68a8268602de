"""Losses of times until an event, where some times are censored: known only within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.array_kinds import Earliest, FlagsKind, Latest
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, Violations, loss
from lossctl.core.input_kinds import NonNegative, Real
from lossctl.core.interval import POSITIVE, UNIT
from lossctl.immutable import immutable
from lossctl.losses.numerics.elementary import log1p, select
from lossctl.losses.numerics.error_free import difference, quotient
from lossctl.losses.numerics.normal_interval import Point, between

# The task cannot be derived from the inputs.
TASK = "survival"

Event: TypeAlias = Annotated[Array, FlagsKind("Event", "0 or 1", UNIT)]


def _falls(start: Array, now: Array) -> Array:
    """Return ``e^(now − start)`` for now ≤ start, corrected by the roundoff of a large exponent."""
    gap, lost = difference(now, start)
    lost += 1.0
    lost *= np.exp(gap, out=gap)
    return np.fmax(lost, 0.0, out=lost)  # fmax: the roundoff of an infinite exponent is NaN


def _shrunk(old: float, new: float) -> float:
    """Return ``e^−|new − old|``, corrected by the roundoff; Python floats are faster here than NumPy."""
    low, high = (old, new) if old < new else (new, old)
    gap = low - high
    seen = low - gap
    e = math.exp(gap)
    return e * (1.0 + ((low - (gap + seen)) + (seen - high))) if e else 0.0


def _added(level: Array, terms: Array, apart: Array) -> Array:
    """Return running sums of terms that are scaled by e^−level, rescaled wherever the level changes.

    Consecutive elements of equal level form a stretch. The first term of a stretch is ignored; the sum starts there at
    0 in the first stretch, and at (last sum + last ``apart`` of the stretch before)·e^−|change of level| in the others.

    Args:
        level: (n,) the level, monotonic.
        terms: (n,) the terms, in units of their level.
        apart: (n,) what is added to the sum at the end of a stretch.
    """
    # Extended precision, because the roundoff of a million additions would exceed the accuracy promised.
    sums, carried = terms.astype(np.longdouble), 0.0
    ends = np.flatnonzero(level[1:] != level[:-1]) + 1
    for start, end in pairwise([0, *ends.tolist(), len(terms)]):
        stretch = sums[start:end]
        stretch[0] = carried
        np.add.accumulate(stretch, out=stretch)
        if end < len(terms):
            carried = float(stretch[-1] + apart[end - 1]) * _shrunk(float(level[end - 1]), float(level[end]))
    return sums.astype(np.float64)


def _gathered(x: Array) -> tuple[Array, Array]:
    """Return for each prefix of x its maximum m, and the sum of e^(x − m) without one largest term."""
    top = np.maximum.accumulate(x)
    return top, _added(top, _falls(top, x), np.ones(len(x)))


@loss(
    formula="event·(log Σ e^x[j] − x[i]), over all j with t[j] ≥ t[i];  x = pred, t = target",
    reference="Cox 1972, doi:10.1111/j.2517-6161.1972.tb00899.x; of equal times Breslow 1974",
    aliases=("partial_likelihood", "cox_ph"),
    differences=(
        "xgboost divides by the number of events: mean=events; catboost Cox is --reduction sum",
        "R and lifelines take Efron's form of equal times: ties=efron",
    ),
    pitfalls=(
        "pred is the logarithm of a risk: the larger, the sooner",
        "all rows are one batch; a weight does not change who was at risk, unless it is 0",
    ),
    relative_accuracy="the value everywhere with Breslow's form",
    batch_coupled=True,
)
def cox(
    pred: Real,
    target: NonNegative,
    event: Event,
    *,
    ties: Annotated[Literal["breslow", "efron"], Param("who is at risk at equal times of events")] = "breslow",
    mean: Annotated[Literal["rows", "events"], Param("what the mean is over")] = "rows",
) -> tuple[Array, Thunk]:
    """Negative partial log-likelihood of the order of events."""
    factor = len(event) / max(float(event.sum()), 1.0) if mean == "events" else 1.0
    order = np.argsort(-target)
    x, time, seen = pred[order], target[order], event[order]
    top, tail_sum = _gathered(x)
    # Samples with equal times are at risk together: use the sums at the last of them.
    last = np.ones(len(x), np.bool_)
    np.not_equal(time[1:], time[:-1], out=last[:-1])
    ends = np.flatnonzero(last)
    top, tail_sum = top[ends], tail_sum[ends]
    group: npt.NDArray[np.intp] = np.cumsum(last) - last
    lost = top[group]
    lost -= x
    lost += np.log1p(tail_sum)[group]
    value = np.empty_like(x)
    tied = _tied_events(x, seen, ends, top, tail_sum) if ties == "efron" else []
    for times in tied:
        lost[times.events] = times.cost - x[times.events]
    value[order] = select(seen > 0, lost, 0.0)

    def gradient() -> Array:
        # `before`: what the events at earlier times contribute to the slope, in units of e^−top. It is summed from the
        # first time to the last, while the set at risk shrinks and its maximum `top` falls.
        deaths = np.add.reduceat(seen, np.append(0, ends[:-1] + 1))
        deaths[group[[times.events[0] for times in tied]]] = 0.0
        each = 1.0 / (1.0 + tail_sum)
        owed = (deaths * each)[::-1]
        before = _added(top[::-1], np.append(0.0, owed[:-1]), owed)[::-1]
        e = _falls(top[group], x)
        share = e * each[group]
        # `missed` is 1 − share without the cancellation if no other sample is at risk.
        missed = np.where(e == 1.0, (tail_sum * each)[group], 1.0 - share)
        slope = np.empty_like(x)
        slope[order] = e * before[group] + share * (deaths[group] - seen) - seen * missed
        for times in tied:
            slope[order[: times.stop]] += times.shares(x)
        return slope * factor

    return value * factor, gradient


@immutable
class _Tied:
    """Several events at one time, in Efron's form: the events leave the set at risk in equal parts.

    Attributes:
        events: the positions of the events.
        stop: the number of samples at risk, which come first.
        top: the largest score at risk.
        totals: what is at risk at each event, in units of e^top.
        cost: the mean of the logarithms of what is at risk.
    """

    events: npt.NDArray[np.intp]
    stop: int
    top: float
    totals: Array

    @property
    def cost(self) -> float:
        return self.top + float(np.log(self.totals).mean())

    def shares(self, x: Array) -> Array:
        """Return what the events add to the slopes of the samples at risk, beyond those of a single event each."""
        parts = 1.0 - np.arange(len(self.events)) / len(self.events)
        shares = np.exp(x[: self.stop] - self.top) * float((1.0 / self.totals).sum())
        shares[self.events] = np.exp(x[self.events] - self.top) * float((parts / self.totals).sum())
        return shares


def _tied_events(x: Array, seen: Array, ends: npt.NDArray[np.intp], top: Array, tail_sum: Array) -> list[_Tied]:
    """Return the times with several events; x and ``seen`` are sorted from the last time to the first."""
    tied = []
    for i, end in enumerate(ends.tolist()):
        start = int(ends[i - 1]) + 1 if i else 0
        here = seen[start : end + 1] > 0
        events = start + np.flatnonzero(here)
        if len(events) < 2:
            continue
        units = np.exp(x[start : end + 1] - top[i])
        others = float(units[~here].sum())
        if i:
            others += math.exp(top[i - 1] - top[i]) * (1.0 + float(tail_sum[i - 1]))
        parts = 1.0 - np.arange(len(events)) / len(events)
        tied.append(_Tied(events, end + 1, float(top[i]), others + parts * float(units[here].sum())))
    return tied


# log 2 in two parts. The first has 32 bits, so its product with an exponent is exact.
_LOG2_HIGH = 0.6931471803691238
_LOG2_LOW = 1.9082149292705877e-10
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# For |z| above this e^z is 0 or infinite.
_GONE = 1e3
# Products below this may be subnormal or 0: use the sum of the logarithms of the factors.
_TINY = 1e-300


def _standard(time: Array, pred: Array, sigma: float) -> Point:
    """Return ``z = (log time − pred)/sigma`` and its roundoff, which e^z and z² magnify."""
    mantissa, exponent = np.frexp(time)
    below = mantissa < math.sqrt(0.5)
    mantissa = select(below, 2.0 * mantissa, mantissa)
    exponent = exponent - below
    high, low = difference(exponent * _LOG2_HIGH, pred)
    low += exponent * _LOG2_LOW + np.log(mantissa)
    z, lost = difference(high, -low)
    if sigma != 1.0:  # skip the division by the default 1
        z, lost = quotient(z, lost, sigma)
    return z, select(np.abs(z) < _GONE, lost, 0.0)


def _exp(z: Array, lost: Array) -> Array:
    """Return ``e^(z + lost)``."""
    return np.asarray(np.exp(z) * (1.0 + lost))


def _normal(y: Point) -> tuple[Array, Array]:
    return 0.5 * y[0] * y[0] + _HALF_LOG_2PI, y[0]


def _logistic(y: Point) -> tuple[Array, Array]:
    size = np.abs(y[0])
    e = _exp(-size, -np.copysign(1.0, y[0]) * y[1])
    return size + 2.0 * log1p(e), np.copysign((1.0 - e) / (1.0 + e), y[0])


def _extreme(y: Point) -> tuple[Array, Array]:
    e = _exp(*y)
    return e - y[0], e - 1.0


def _softplus(z: Array, lost: Array) -> tuple[Array, Array]:
    """Return ``log(1 + e^z)`` and its derivative."""
    e = _exp(-np.abs(z), -np.copysign(1.0, z) * lost)
    return np.maximum(z, 0.0) + log1p(e), select(z > 0, 1.0, e) / (1.0 + e)


def _logistic_between(a: Point, b: Point, width: Array) -> tuple[Array, Array]:
    # F(b) − F(a) = (1 − F(a))·F(b)·(1 − e^−width): this product does not cancel.
    before, early = _softplus(*a)
    after, late = _softplus(-b[0], -b[1])
    return before + after - np.log(-np.expm1(-width)), early - late


def _extreme_between(a: Point, b: Point, width: Array) -> tuple[Array, Array]:
    # F(b) − F(a) = e^−A·(1 − e^−D), A = e^a, D = e^b − e^a
    start, end = _exp(*a), _exp(*b)
    apart = select(width < 1.0, start * np.expm1(width), select(start == np.inf, np.inf, end - start))
    rare = select(width < 1.0, a[0] + np.log(np.expm1(width)), b[0] + np.log1p(-np.exp(-width)))
    happened = select(apart < _TINY, rare, select(apart < 1.0, np.log(-np.expm1(-apart)), np.log1p(-np.exp(-apart))))
    left = select(apart < _TINY, 1.0, select(apart == np.inf, 0.0, apart / np.expm1(apart)))
    return start - happened, start - left


# For each distribution of z: −log f(z), and −log of the probability between two points; both with the derivative of
# the loss with respect to z, for an interval with respect to a common shift of its ends.
_DENSITY: dict[str, Callable[[Point], tuple[Array, Array]]] = {
    "normal": _normal,
    "logistic": _logistic,
    "extreme": _extreme,
}
_BETWEEN: dict[str, Callable[[Point, Point, Array], tuple[Array, Array]]] = {
    "normal": between,
    "logistic": _logistic_between,
    "extreme": _extreme_between,
}


def _check_bounds(_pred: Array, lower: Array, upper: Array, *, tolerance: float, **_: object) -> Violations:
    yield "upper", lower > upper, lambda i: f"{upper[i]:g} is less than lower, {lower[i]:g}"


@loss(
    formula="−log[F(upper) − F(lower)], or −log f(t) where both are t;  (log t − pred)/sigma ~ F",
    reference="Barnwal, Cho & Hocking 2022, doi:10.1080/10618600.2022.2067548",
    differences=("xgboost takes probabilities for at least 1e-12",),
    pitfalls=("pred is a log time; an unknown bound is 0 or inf",),
    validate=_check_bounds,
)
def aft(
    pred: Real,
    lower: Earliest,
    upper: Latest,
    *,
    sigma: Annotated[float, Param("the spread of log times", POSITIVE)] = 1.0,
    distribution: Annotated[Literal["normal", "logistic", "extreme"], Param("extreme: Gumbel's")] = "normal",
) -> tuple[Array, Thunk]:
    """Negative log-likelihood of times that are known exactly or within bounds."""
    known = lower == upper
    value, pull = np.empty_like(pred), np.empty_like(pred)
    at = np.flatnonzero(known)
    time = upper[at]
    value[at], pull[at] = _DENSITY[distribution](_standard(time, pred[at], sigma))
    value[at] += math.log(sigma) + np.log(time)
    at = np.flatnonzero(~known)
    x, first, last = pred[at], lower[at], upper[at]
    width = np.log1p((last - first) / first)
    over = np.flatnonzero(width == np.inf)  # the quotient overflows
    width[over] = np.log(last[over]) - np.log(first[over])
    width /= sigma
    ends = _standard(first, x, sigma), _standard(last, x, sigma)
    value[at], pull[at] = _BETWEEN[distribution](*ends, width)
    return value, lambda: pull / -sigma
