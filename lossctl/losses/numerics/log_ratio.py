"""log(p/q) and the terms of divergences, accurate both for nearly equal and for very different p and q."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Order, memory_order
from lossctl.losses.numerics.elementary import atanh_tail, not_finite, rows_of

# (1 − d)·log(1 − d) + (1 + d)·log(1 + d) = Σ d^2n / (n·(2n − 1)). Above d = 0.3 the left side magnifies roundoff by at
# most 4; below, thirteen terms of the series have a relative truncation error below 1e-16 (0.09¹³/351).
_SERIES_BELOW = 0.3
_SERIES_TERMS = 13
# For p/q from 7/8 to 8/7, log(p/q) is computed from the exact difference of p and q. Outside, the roundoff of the
# quotient changes its logarithm by at most 4 ulp.
_RATIO_FROM, _RATIO_TO = 7 / 8, 8 / 7
# p·log(p/q) − p + q magnifies roundoff by 12 at q/p = 5/7 or 7/5, that is |q − p|/(q + p) = 1/6. Between them a series
# of nine terms is used; its truncation error is (1/36)⁹/21.
_NEAR_FROM, _NEAR_TO = 5 / 7, 7 / 5
_NEAR_TERMS = 9
# The smallest arguments whose logarithm is finite, for a log x and a log1p x that are multiplied by 0.
_LEAST = 5e-324
_NOT_NEVER = 2.0**-53 - 1.0


def log_ratio(p: Array, q: Array) -> Array:
    """Return ``log(p/q)``, accurate to a few ulp; 0 where both are 0."""
    order, a, b = _flat(p, q)
    ratio = a / b
    close = _between(ratio, _RATIO_FROM, _RATIO_TO)
    log = np.log(ratio, out=ratio)
    log[close] = np.log1p((a[close] - b[close]) / b[close])
    if (bad := not_finite(log)).size:
        log[bad] = np.where(a[bad] == b[bad], 0.0, np.log(a[bad]) - np.log(b[bad]))
    return log.reshape(p.shape, order=order)


def relative_entropy(p: Array, q: Array) -> Array:
    """Return ``Σ p·log(p/q)`` over the last axis; a term is 0 where p is 0."""
    # p·log(p/q) has the sign of p − q, so the sum cancels where q ≈ p. With u = (q − p)/p it is
    # p·(u − log1p u) + (p − q): the first term is never negative, the second is exact.
    order, a, b = _flat(p, q)
    terms, close = _terms(a, b)
    total = terms.reshape(p.shape, order=order).sum(axis=-1)
    if close.size:
        total += np.bincount(rows_of(close, p.shape, order), a[close] - b[close], len(p))
    return np.asarray(total)


def bregman(p: Array, q: Array) -> Array:
    """Return ``p·log(p/q) − p + q`` ≥ 0 for each element; q where p is 0."""
    order, a, b = _flat(p, q)
    terms, close = _terms(a, b)
    gap = b - a
    gap[close] = 0.0
    terms += gap
    return terms.reshape(p.shape, order=order)


def _terms(p: Array, q: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return ``p·log(p/q)``, 0 where p is 0, and the places where q ≈ p; there ``q − p`` is added to the term."""
    ratio = p / q
    close = _between(ratio, _NEAR_FROM, _NEAR_TO)
    # If the quotient is 0 or 0/0, the term is 0, or so small that it does not change a sum with q.
    terms = np.log(np.fmax(ratio, _LEAST, out=ratio), out=ratio)
    terms *= p
    if terms.size and terms.max() == np.inf and (lost := np.flatnonzero((terms == np.inf) & (q > 0))).size:
        terms[lost] = p[lost] * (np.log(p[lost]) - np.log(q[lost]))  # their quotient overflows
    close_p = p[close]
    terms[close] = close_p * _series(close_p, q[close])
    return terms, close


def excess(x: Array, y: Array) -> Array:
    """Return ``x/y − 1 − log(x/y)`` ≥ 0 for one-dimensional arrays of positive numbers."""
    ratio = x / y
    close = _between(ratio, _NEAR_FROM, _NEAR_TO)
    log = np.log(ratio)
    ratio -= 1.0
    ratio -= log
    if ratio.size and ratio.max() == np.inf:
        lost = np.flatnonzero(log == -np.inf)
        ratio[lost] = (np.log(y[lost]) - np.log(x[lost])) - 1.0
    ratio[close] = _series(y[close], x[close])
    return ratio


def _series(p: Array, q: Array) -> Array:
    """Return ``u − log(1 + u)`` with u = (q − p)/p, for q ≈ p; the series is that of :func:`.u_minus_log1p`."""
    apart = q - p  # exact, by Sterbenz
    s = apart / (q + p)
    s2 = s * s
    return s * (apart / p - 2.0 * s2 * atanh_tail(s2, _NEAR_TERMS))


def _between(x: Array, low: float, high: float) -> npt.NDArray[np.intp]:
    return np.flatnonzero((x > low) & (x < high))


def _flat(p: Array, q: Array) -> tuple[Order, Array, Array]:
    """Return the memory order of ``p``, and both arrays flattened in that order (without a copy if both have it)."""
    order = memory_order(p)
    return order, p.ravel(order), q.ravel(order)


def shared(d: Array) -> Array:
    """Return ``(1 − d)·log(1 − d) + (1 + d)·log(1 + d)`` ≥ 0 for −1 ≤ d ≤ 1.

    >>> f"{shared(np.array([1e-8]))[0]:.12e}"
    '1.000000000000e-16'
    """
    order = memory_order(d)
    x = d.ravel(order)
    value, other = np.maximum(-x, _NOT_NEVER), np.maximum(x, _NOT_NEVER)
    np.log1p(value, out=value)
    np.log1p(other, out=other)
    value *= 1.0 - x
    other *= 1.0 + x
    value += other
    small = np.flatnonzero(np.abs(x) < _SERIES_BELOW)
    square = x[small] ** 2
    series = np.full_like(square, 1.0 / (_SERIES_TERMS * (2 * _SERIES_TERMS - 1)))
    for n in range(_SERIES_TERMS - 1, 0, -1):
        series *= square
        series += 1.0 / (n * (2 * n - 1))
    value[small] = square * series
    return value.reshape(d.shape, order=order)
