"""Logarithms of the probability of an interval under the normal distribution, accurate far out in the tails.

A point is a pair of a double and its roundoff, because e^(−z²/2) magnifies the relative error of z by z².
"""

from __future__ import annotations

import math
from functools import cache
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.losses.numerics.elementary import select
from lossctl.losses.numerics.error_free import product

Point: TypeAlias = tuple[Array, Array]

# erfcx(x) = e^(x²)·erfc(x) is computed by Taylor series about multiples of 1/16 up to x = 8, with |h| ≤ 1/32. The first
# term left out, that of h¹⁰, is below 2e-16 relatively. From 8 on, sixteen terms of 1/(x√π)·(1 − 1/(2x²) + …) have a
# truncation error of 1e-16.
_STEP, _END, _TERMS, _FAR_TERMS = 1 / 16, 8.0, 10, 16
_ROOT_HALF, _HALF_LOG_2PI = math.sqrt(0.5), 0.5 * math.log(2.0 * math.pi)
# For |z| above this e^(−z²/2) is 0, and the square may overflow.
_GONE = 1e3
# An interval over which the logarithm of the density changes by less than 1 is integrated numerically, because the
# difference of the tails would cancel. For e^−s over a length of 1, eight Gauss–Legendre points leave less than 1e-19.
_NARROW, _POINTS = 1.0, 8


@cache
def _table() -> Array:
    """Return the Taylor coefficients: for each power of h, from h⁰ on, those at 0, 1/16, …, 8."""
    table = []
    for i in range(round(_END / _STEP) + 1):
        x = i * _STEP  # its square is exact
        before, now = math.erfc(x) * math.exp(x * x), 0.0
        row = [before]
        now = 2.0 * x * before - 2.0 / math.sqrt(math.pi)
        for k in range(1, _TERMS):
            row.append(now / math.factorial(k))
            before, now = now, 2.0 * (x * now + k * before)
        table.append(row)
    return np.ascontiguousarray(np.array(table).T)


def erfcx(x: Array) -> Array:
    """Return ``e^(x²)·erfc(x)`` for x ≥ 0.

    >>> erfcx(np.array([0.0, 1.0, 100.0])).round(15).tolist()
    [1.0, 0.427583576155807, 0.005641613782989]
    """
    h = np.minimum(x, _END)
    place = (h * (1.0 / _STEP) + 0.5).astype(np.intp)
    h -= place * _STEP
    *factors, last = _table()
    value = np.asarray(last.take(place))
    for factor in reversed(factors):
        value *= h
        value += factor.take(place)
    beyond = np.flatnonzero(x > _END)
    if beyond.size:
        far = x[beyond]
        inverse = 0.5 / (far * far)
        series = np.ones_like(far)
        for k in range(_FAR_TERMS, 0, -1):
            series *= (1 - 2 * k) * inverse
            series += 1.0
        value[beyond] = series / (far * math.sqrt(math.pi))
    return value


def _bell(z: Array, lost: Array) -> Array:
    """Return ``e^(−z²/2)`` from z and its roundoff."""
    in_range = np.abs(z) < _GONE
    safe_z = select(in_range, z, 0.0)
    square, square_low = product(safe_z, safe_z)
    return select(in_range, np.exp(-0.5 * square) * (1.0 - (0.5 * square_low + safe_z * lost)), 0.0)


def between(low: Point, high: Point, width: Array) -> tuple[Array, Array]:
    """Return ``−log P(low < z < high)`` of a standard normal z, and the mean of z in that interval.

    Args:
        low: the lower end (n,) and its roundoff; it may be −inf.
        high: the upper end (n,) and its roundoff; it may be inf.
        width: (n,) high − low, which the difference of the two might compute inaccurately.

    >>> zero = np.zeros(1)
    >>> cost, mean = between((zero, zero), (np.array([np.inf]), zero), np.array([np.inf]))
    >>> cost.round(12).tolist(), mean.round(12).tolist()
    ([0.69314718056], [0.797884560803])
    """
    flip = low[0] + high[0] < 0
    a, a_lost = (select(flip, -y, x) for x, y in zip(low, high, strict=True))
    b, b_lost = (select(flip, -x, y) for x, y in zip(low, high, strict=True))
    fall = select(np.isfinite(width), width * (0.5 * (a + b)), np.inf)
    narrow = width * np.maximum(b, 1.0) <= _NARROW
    out = a > 0
    cost, mean = np.empty_like(a), np.empty_like(a)
    i = np.flatnonzero(narrow)
    cost[i], mean[i] = _integrated(0.5 * (a[i] + b[i]), width[i])
    i = np.flatnonzero(out & ~narrow)
    cost[i], mean[i] = _beyond(a[i], b[i], fall[i])
    i = np.flatnonzero(~(out | narrow))
    cost[i], mean[i] = _around((a[i], a_lost[i]), (b[i], b_lost[i]), fall[i])
    return cost, select(flip, -mean, mean)


# Both functions below use the tails at the two ends. `fall` is log φ(a) − log φ(b), with the normal density φ.


def _beyond(a: Array, b: Array, fall: Array) -> tuple[Array, Array]:
    """Return the results of :func:`between` if both ends are above 0."""
    share = erfcx(_ROOT_HALF * a)
    inside = share - erfcx(_ROOT_HALF * b) * np.exp(-fall)
    return 0.5 * a * a - np.log(0.5 * inside), math.sqrt(2.0 / math.pi) * -np.expm1(-fall) / inside


def _around(a: Point, b: Point, fall: Array) -> tuple[Array, Array]:
    """Return the results of :func:`between` if 0 is between the ends."""
    bell = _bell(*a)
    left_out = 0.5 * (erfcx(-_ROOT_HALF * a[0]) * bell + erfcx(_ROOT_HALF * b[0]) * _bell(*b))
    return -np.log1p(-left_out), math.sqrt(0.5 / math.pi) * bell * -np.expm1(-fall) / (1.0 - left_out)


@cache
def _gauss() -> list[tuple[float, float]]:
    """Return the Gauss–Legendre points on [−1/2, 1/2] and their weights."""
    places, weights = np.polynomial.legendre.leggauss(_POINTS)
    return list(zip((0.5 * places).tolist(), (0.5 * weights).tolist(), strict=True))


def _integrated(middle: Array, width: Array) -> tuple[Array, Array]:
    """Return the results of :func:`between` by numerical integration of the density, relative to that at the middle."""
    total, moment = np.zeros_like(middle), np.zeros_like(middle)
    for s, weight in _gauss():
        part = weight * np.exp(-(middle + 0.5 * s * width) * (s * width))
        total += part
        moment += s * part
    cost = (0.5 * middle * middle + _HALF_LOG_2PI) - np.log(width) - np.log(total)
    return cost, middle + width * (moment / total)
