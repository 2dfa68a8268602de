"""Likelihoods and deviances: of counts, amounts and errors."""

from __future__ import annotations

import math

import numpy as np

from plain.common import Array, Plain, softplus

# log Γ(x) by Stirling's series of x + 3, less log(x·(x + 1)·(x + 2)).
_SHIFT = 3.0
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def _poisson_nll(p: Array, t: Array) -> Array:
    value = np.log(p)
    value *= t
    return np.subtract(p, value, out=value)


def _poisson_nll_log_rate(x: Array, t: Array) -> Array:
    value = np.exp(x)
    value -= t * x
    return value


def _log_gamma(x: Array) -> Array:
    less = x + 1.0
    less *= x
    less *= x + 2.0
    np.log(less, out=less)
    y = x + _SHIFT
    value = np.log(y)
    value *= y - 0.5
    value -= y
    value -= less
    value += _HALF_LOG_2PI
    np.divide(1.0, y, out=y)
    square = y * y
    square *= -1.0 / 360.0
    square += 1.0 / 12.0
    square *= y
    value += square
    return value


def _negative_binomial_nll(m: Array, t: Array, n: float = 1.0) -> Array:
    value = _log_gamma(t + 1.0)
    value -= _log_gamma(t + n)
    value += math.lgamma(n)
    log_more = m + n
    np.log(log_more, out=log_more)
    log_more *= t + n
    value += log_more
    log_m = np.log(m)
    log_m *= t
    value -= log_m
    value -= n * math.log(n)
    return value


def _poisson_deviance(p: Array, t: Array) -> Array:
    value = t / p
    np.log(value, out=value)
    value *= t
    value -= t
    value += p
    value *= 2.0
    return value


def _gamma_deviance(p: Array, t: Array) -> Array:
    value = t / p
    value -= np.log(value)
    value -= 1.0
    value *= 2.0
    return value


def _tweedie_deviance(p: Array, t: Array, power: float = 1.5) -> Array:
    a, b = 1.0 - power, 2.0 - power
    value = p**a
    other = value * p
    value *= t
    value *= -1.0 / a
    other *= 1.0 / b
    value += other
    value += t**b * (1.0 / (a * b))
    value *= 2.0
    return value


def _gaussian_nll(p: Array, t: Array, var: Array) -> Array:
    r = p - t
    r *= r
    r /= var
    r += np.log(var)
    r *= 0.5
    return r


def _laplace_nll(p: Array, t: Array, scale: Array) -> Array:
    r = p - t
    np.abs(r, out=r)
    r /= scale
    log = scale * 2.0
    r += np.log(log, out=log)
    return r


def _cross_entropy_lambda(x: Array, t: Array, w: Array) -> Array:
    y = softplus(x)
    y *= w
    log = np.expm1(y)
    np.log(log, out=log)
    log *= t
    return np.subtract(y, log, out=y)


def _loglin_quantile(x: Array, t: Array, tau: float = 0.5) -> Array:
    r = np.exp(x)
    np.subtract(t, r, out=r)
    left = (tau - 1.0) * r
    r *= tau
    return np.maximum(left, r, out=left)


def _student_t_nll(p: Array, t: Array, scale: Array, df: Array) -> Array:
    value = p - t
    value /= scale
    value *= value
    value /= df
    np.log1p(value, out=value)
    half = 0.5 * df
    value *= half + 0.5
    value += np.log(scale)
    value += 0.5 * np.log(df * math.pi)
    value += _log_gamma(half)
    half += 0.5
    value -= _log_gamma(half)
    return value


LIKELIHOODS: dict[str, Plain] = {
    "poisson_nll": _poisson_nll,
    "poisson_nll_log_rate": _poisson_nll_log_rate,
    "negative_binomial_nll": _negative_binomial_nll,
    "poisson_deviance": _poisson_deviance,
    "gamma_deviance": _gamma_deviance,
    "tweedie_deviance": _tweedie_deviance,
    "gaussian_nll": _gaussian_nll,
    "laplace_nll": _laplace_nll,
    "student_t_nll": _student_t_nll,
    "cross_entropy_lambda": _cross_entropy_lambda,
    "loglin_quantile": _loglin_quantile,
}
