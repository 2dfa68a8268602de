"""Losses of a probability, a distance, a score or an interval: of other things than a residual or a margin."""

from __future__ import annotations

import math

import numpy as np

from plain.common import Array, Plain, sigmoid, softplus


def _entropy(p: Array, t: Array) -> Array:
    not_p, not_t = 1.0 - p, t - 1.0
    np.log(not_p, out=not_p)
    not_p *= not_t
    log_p = np.log(p)
    log_p *= t
    not_p -= log_p
    return not_p


def _bce_with_logits(x: Array, t: Array) -> Array:
    value = softplus(x)
    value -= x * t
    return value


def _poly1(p: Array, t: Array) -> Array:
    value = _entropy(p, t)
    other = t * p
    other *= -2.0
    other += t
    other += p
    value += other
    return value


def _zero_one(x: Array, t: Array) -> Array:
    wrong = (x >= 0.5).astype(np.float64)
    wrong -= t
    return np.abs(wrong, out=wrong)


def _focal(p: Array, t: Array, alpha: float = 0.25) -> Array:
    log_p, not_p = np.log(p), 1.0 - p
    log_not_p = np.log(not_p)
    not_p *= not_p
    log_p *= not_p
    log_p *= t
    log_p *= -alpha
    log_not_p *= p
    log_not_p *= p
    log_not_p *= t - 1.0
    log_not_p *= 1.0 - alpha
    log_p += log_not_p
    return log_p


def _focal_with_logits(x: Array, t: Array, alpha: float = 0.25) -> Array:
    p, cost = sigmoid(x), softplus(x)
    other = cost - x
    cost *= p
    cost *= p
    np.subtract(1.0, p, out=p)
    p *= p
    other *= p
    other *= t
    other *= alpha
    cost *= 1.0 - t
    cost *= 1.0 - alpha
    other += cost
    return other


def _asymmetric(p: Array, t: Array, clip: float = 0.05) -> Array:
    q = p - clip
    np.maximum(q, 0.0, out=q)
    log_p, log_q = np.log(p), 1.0 - q
    np.log(log_q, out=log_q)
    log_p *= 1.0 - p
    log_p *= t
    q *= q
    q *= q
    log_q *= q
    log_q *= 1.0 - t
    log_p += log_q
    return np.negative(log_p, out=log_p)


def _contrastive(d: Array, t: Array) -> Array:
    short = 1.0 - d
    np.maximum(short, 0.0, out=short)
    short *= short
    near = d * d
    near -= short
    near *= t
    near += short
    return near


def _hinge_embedding(x: Array, t: Array) -> Array:
    short = 1.0 - x
    np.maximum(short, 0.0, out=short)
    return np.where(t > 0, x, short)


def _margin_ranking(x1: Array, x2: Array, t: Array) -> Array:
    r = x2 - x1
    r *= t
    return np.maximum(r, 0.0, out=r)


def _msle(p: Array, t: Array) -> Array:
    d = np.log1p(p)
    d -= np.log1p(t)
    d *= d
    return d


def _mape(p: Array, t: Array) -> Array:
    r = p - t
    r /= t
    return np.abs(r, out=r)


def _smape(p: Array, t: Array) -> Array:
    r, size = p - t, np.abs(p)
    np.abs(r, out=r)
    size += np.abs(t)
    r /= size
    r *= 2.0
    return r


def _erfc(z: Array) -> Array:
    """Of z ≥ 0, to 1.2e-7 of itself: Press et al., Numerical Recipes, erfcc."""
    x = 1.0 / (1.0 + 0.5 * z)
    value = np.full_like(x, 0.17087277)
    for c in (-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368):
        value *= x
        value += c
    value *= x
    value -= 1.26551223
    value -= z * z
    np.exp(value, out=value)
    value *= x
    return value


def _erf(z: Array) -> Array:
    value = _erfc(z)
    return np.subtract(1.0, value, out=value)


def _crps_gaussian(p: Array, t: Array, sigma: Array) -> Array:
    z = p - t
    z /= sigma
    np.abs(z, out=z)
    value = _erf(z * math.sqrt(0.5))
    value *= z
    z *= z
    z *= -0.5
    np.exp(z, out=z)
    z *= math.sqrt(2.0 / math.pi)
    value += z
    value -= 1.0 / math.sqrt(math.pi)
    value *= sigma
    return value


def _tail(z: Array) -> Array:
    share = 0.5 * _erfc(np.abs(z) * math.sqrt(0.5))
    return np.where(z > 0, share, 1.0 - share)


def _aft(x: Array, low: Array, high: Array) -> Array:
    start, end = np.log(low), np.log(high)
    start -= x
    end -= x
    # By the tails on the side that both are on, as far as they go.
    side = np.sign(start + end)
    near, far = np.minimum(side * start, side * end), np.maximum(side * start, side * end)
    above = _tail(near)
    above -= _tail(far)
    exact = np.square(end, out=end)
    exact *= 0.5
    exact += 0.5 * math.log(2.0 * math.pi) + np.log(high)
    return np.where(low == high, exact, -np.log(above, out=above))


def _interval_score(low: Array, high: Array, t: Array, alpha: float = 0.1) -> Array:
    below, above = low - t, t - high
    np.maximum(below, 0.0, out=below)
    below += np.maximum(above, 0.0, out=above)
    below *= 2.0 / alpha
    below += high
    below -= low
    return below


SEVERAL: dict[str, Plain] = {
    "bce": _entropy,
    "bce_with_logits": _bce_with_logits,
    "poly1": _poly1,
    "zero_one": _zero_one,
    "focal": _focal,
    "focal_with_logits": _focal_with_logits,
    "asymmetric": _asymmetric,
    "contrastive": _contrastive,
    "hinge_embedding": _hinge_embedding,
    "margin_ranking": _margin_ranking,
    "msle": _msle,
    "rmsle": _msle,
    "mape": _mape,
    "smape": _smape,
    "crps_gaussian": _crps_gaussian,
    "aft": _aft,
    "interval_score": _interval_score,
}
