"""Logarithms of ratios, and what divergences make of them, where both numbers are nearly the same or far apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Order, memory_order
from lossctl.losses.numerics.elementary import atanh_tail, not_finite, rows_of

# (1 − d)·log(1 − d) + (1 + d)·log(1 + d) = Σ d^2n / (n·(2n − 1)) loses a factor 4 beyond 0.3, and up to
# there thirteen terms leave less than 1e-16 (0.09¹³/351) of the first.
_SERIES_BELOW = 0.3
_SERIES_TERMS = 13
# From 7/8 to 8/7 log(p/q) is taken from the exact difference of p and q; beyond, the quotient's rounding
# is at most 4 ulp of its logarithm.
_RATIO_FROM, _RATIO_TO = 7 / 8, 8 / 7
# p·log(p/q) − p + q loses a factor 12 where q/p is 5/7 or 7/5, that is |q − p|/(q + p) = 1/6: between them
# a series, of whose nine terms (1/36)⁹/21 is left out.
_NEAR_FROM, _NEAR_TO = 5 / 7, 7 / 5
_NEAR_TERMS = 9
# What is least of its kind, where a logarithm that is multiplied by 0 is to be finite.
_LEAST = 5e-324
_NOT_NEVER = 2.0**-53 - 1.0


def log_ratio(p: Array, q: Array) -> Array:
    """``log(p/q)``, good to a few ulp; 0 where both are 0."""
    order, a, b = _flat(p, q)
    ratio = a / b
    close = _between(ratio, _RATIO_FROM, _RATIO_TO)
    log = np.log(ratio, out=ratio)
    log[close] = np.log1p((a[close] - b[close]) / b[close])
    if (bad := not_finite(log)).size:
        log[bad] = np.where(a[bad] == b[bad], 0.0, np.log(a[bad]) - np.log(b[bad]))
    return log.reshape(p.shape, order=order)


def relative_entropy(p: Array, q: Array) -> Array:
    """``Σ p·log(p/q)`` over the last axis; 0 where p is 0."""
    # p·log(p/q) has the sign of p − q and cancels in the sum where q ≈ p. With u = (q − p)/p it is
    # p·(u − log1p u) + (p − q): a term that is never negative, and one that is exact.
    order, a, b = _flat(p, q)
    terms, close = _terms(a, b)
    total = terms.reshape(p.shape, order=order).sum(axis=-1)
    if close.size:
        total += np.bincount(rows_of(close, p.shape, order), a[close] - b[close], len(p))
    return np.asarray(total)


def bregman(p: Array, q: Array) -> Array:
    """``p·log(p/q) − p + q`` ≥ 0, element by element; q where p is 0."""
    order, a, b = _flat(p, q)
    terms, close = _terms(a, b)
    gap = b - a
    gap[close] = 0.0
    terms += gap
    return terms.reshape(p.shape, order=order)


def _terms(p: Array, q: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """``p·log(p/q)``, 0 where p is 0; but at the places that are told, where q ≈ p, with ``q − p`` added to it."""
    ratio = p / q
    close = _between(ratio, _NEAR_FROM, _NEAR_TO)
    # Of a quotient that is 0, or of 0/0, the product is 0, or so near to it that no sum with q can tell.
    terms = np.log(np.fmax(ratio, _LEAST, out=ratio), out=ratio)
    terms *= p
    if terms.size and terms.max() == np.inf and (lost := np.flatnonzero((terms == np.inf) & (q > 0))).size:
        terms[lost] = p[lost] * (np.log(p[lost]) - np.log(q[lost]))  # their quotient is no double
    close_p = p[close]
    terms[close] = close_p * _series(close_p, q[close])
    return terms, close


def excess(x: Array, y: Array) -> Array:
    """``x/y − 1 − log(x/y)`` ≥ 0 of positive numbers, in one dimension."""
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
    """``u − log(1 + u)``, ``u = (q − p)/p``, where q ≈ p: see u_minus_log1p."""
    apart = q - p  # exact, by Sterbenz
    s = apart / (q + p)
    s2 = s * s
    return s * (apart / p - 2.0 * s2 * atanh_tail(s2, _NEAR_TERMS))


def _between(x: Array, low: float, high: float) -> npt.NDArray[np.intp]:
    return np.flatnonzero((x > low) & (x < high))


def _flat(p: Array, q: Array) -> tuple[Order, Array, Array]:
    """Both in one dimension, without a copy: the memory order, and what they hold in that order."""
    order = memory_order(p)
    return order, p.ravel(order), q.ravel(order)


def shared(d: Array) -> Array:
    """``(1 − d)·log(1 − d) + (1 + d)·log(1 + d)`` ≥ 0 of −1 ≤ d ≤ 1.

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
