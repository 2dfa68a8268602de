"""Losses of a residual, as functions of ``r = pred − target``, which they may overwrite."""

from __future__ import annotations

import math

import numpy as np

from plain.common import Array, Plain


def _square(r: Array) -> Array:
    r *= r
    return r


def _half_square(r: Array) -> Array:
    r *= r
    r *= 0.5
    return r


def _absolute(r: Array) -> Array:
    return np.abs(r, out=r)


def _quantile(r: Array, tau: float = 0.5) -> Array:
    low = r * -tau
    r *= 1.0 - tau
    return np.maximum(r, low, out=r)


def _expectile(r: Array, tau: float = 0.5) -> Array:
    low = np.minimum(r, 0.0)
    low *= low
    low *= tau
    np.maximum(r, 0.0, out=r)
    r *= r
    r *= 1.0 - tau
    r += low
    return r


def _linex(r: Array) -> Array:
    e = np.negative(r)
    np.exp(e, out=e)
    e += r
    e -= 1.0
    return e


def _beyond(r: Array, epsilon: float = 0.1) -> Array:
    np.abs(r, out=r)
    r -= epsilon
    return np.maximum(r, 0.0, out=r)


def _log_cosh(r: Array) -> Array:
    np.abs(r, out=r)
    e = r * -2.0
    np.exp(e, out=e)
    np.log1p(e, out=e)
    r -= math.log(2.0)
    r += e
    return r


def _power(r: Array, q: float = 1.5) -> Array:
    np.abs(r, out=r)
    return np.power(r, q, out=r)


def _huber(r: Array, delta: float = 1.0) -> Array:
    np.abs(r, out=r)
    q = np.minimum(r, delta)
    half = q * -0.5
    r += half
    r *= q
    return r


def _pseudo_huber(r: Array) -> Array:
    r *= r
    r += 1.0
    np.sqrt(r, out=r)
    r -= 1.0
    return r


def _fair(r: Array) -> Array:
    np.abs(r, out=r)
    r -= np.log1p(r)
    return r


def _cauchy(r: Array) -> Array:
    r *= r
    np.log1p(r, out=r)
    r *= 0.5
    return r


def _arctan(r: Array) -> Array:
    r *= r
    np.arctan(r, out=r)
    r *= 0.5
    return r


def _geman_mcclure(r: Array) -> Array:
    r *= r
    below = r + 4.0
    r /= below
    r *= 2.0
    return r


def _welsch(r: Array) -> Array:
    r *= r
    r *= -0.5
    np.exp(r, out=r)
    return np.subtract(1.0, r, out=r)


def _tukey_biweight(r: Array, c: float = 4.685) -> Array:
    r *= 1.0 / c
    r *= r
    np.minimum(r, 1.0, out=r)
    np.subtract(1.0, r, out=r)
    cube = r * r
    cube *= r
    np.subtract(1.0, cube, out=cube)
    cube *= c * c / 6.0
    return cube


def _tukey_quartic(r: Array, c: float = 3.61752) -> Array:
    r *= r
    np.minimum(r, c * c, out=r)
    u = r * (1.0 / (c * c))
    u *= u
    series = u * 0.1
    series -= 1.0 / 3.0
    series *= u
    series += 0.5
    series *= r
    return series


def _andrew_wave(r: Array, a: float = 1.339) -> Array:
    r *= 1.0 / a
    np.clip(r, -math.pi, math.pi, out=r)
    np.cos(r, out=r)
    np.subtract(1.0, r, out=r)
    r *= a * a
    return r


def _hampel(r: Array, a: float = 2.0, b: float = 4.0, c: float = 8.0) -> Array:
    np.abs(r, out=r)
    np.minimum(r, c, out=r)
    square, bend = np.minimum(r, a), r - b
    r -= square
    r *= a
    np.maximum(bend, 0.0, out=bend)
    bend *= bend
    bend *= a / (2.0 * (c - b))
    r -= bend
    square *= square
    square *= 0.5
    r += square
    return r


def _ramsay(r: Array, a: float = 0.3) -> Array:
    np.abs(r, out=r)
    r *= a
    e = np.negative(r)
    np.exp(e, out=e)
    r += 1.0
    r *= e
    np.subtract(1.0, r, out=r)
    r *= 1.0 / (a * a)
    return r


def _trimmed_mean(r: Array, c: float = 2.0) -> Array:
    r *= r
    np.minimum(r, c * c, out=r)
    r *= 0.5
    return r


def _wing(r: Array, width: float = 5.0, curvature: float = 0.5) -> Array:
    np.abs(r, out=r)
    near = np.minimum(r, width)
    r -= near
    near *= 1.0 / curvature
    np.log1p(near, out=near)
    near *= width
    r += near
    return r


# Of r = pred − target, which each may overwrite.
RESIDUALS: dict[str, Plain] = {
    **dict.fromkeys(("mse", "rmse", "brier"), _square),
    **dict.fromkeys(("mae", "wape"), _absolute),
    "half_squared_error": _half_square,
    "quantile": _quantile,
    "expectile": _expectile,
    "linex": _linex,
    "epsilon_insensitive": _beyond,
    "squared_epsilon_insensitive": lambda r: _square(_beyond(r)),
    "log_cosh": _log_cosh,
    "lq": _power,
    **dict.fromkeys(("huber", "smooth_l1"), _huber),
    **dict.fromkeys(("pseudo_huber", "barron"), _pseudo_huber),
    "fair": _fair,
    "cauchy": _cauchy,
    "arctan": _arctan,
    "geman_mcclure": _geman_mcclure,
    "welsch": _welsch,
    "tukey_biweight": _tukey_biweight,
    "tukey_quartic": _tukey_quartic,
    "andrew_wave": _andrew_wave,
    "hampel": _hampel,
    "ramsay": _ramsay,
    "trimmed_mean": _trimmed_mean,
    "wing": _wing,
}
