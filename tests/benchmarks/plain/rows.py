"""Losses of a row: of classes, features or a mask of classes."""

from __future__ import annotations

import numpy as np

from plain.common import Array, Plain, dot, logits, own, softplus, sparse


def _entropy(p: Array, t: Array) -> Array:
    log = np.log(p)
    log *= t
    return -log.sum(axis=-1)


def _softmax_cross_entropy(z: Array, t: Array) -> Array:
    gap, log = logits(z)
    gap *= t
    return log - gap.sum(axis=-1)


def _softmax_focal(z: Array, y: Array) -> Array:
    cost = sparse(z, y)
    return (1.0 - np.exp(-cost)) ** 2.0 * cost


def _poly1_softmax(z: Array, y: Array) -> Array:
    cost = sparse(z, y)
    return cost + (1.0 - np.exp(-cost))


def _kl(p: Array, t: Array) -> Array:
    log = t / p
    np.log(log, out=log)
    log *= t
    return log.sum(axis=-1)


def _kl_log_input(z: Array, t: Array) -> Array:
    log = np.log(t)
    log -= z
    log *= t
    return log.sum(axis=-1)


def _kl_log_target(z: Array, w: Array) -> Array:
    apart = w - z
    apart *= np.exp(w)
    return apart.sum(axis=-1)


def _js(q: Array, p: Array) -> Array:
    m = q + p
    m *= 0.5
    left, right = q / m, p / m
    np.log(left, out=left)
    np.log(right, out=right)
    left *= q
    right *= p
    left += right
    return 0.5 * left.sum(axis=-1)


def _jeffreys(q: Array, p: Array) -> Array:
    log = q / p
    np.log(log, out=log)
    log *= q - p
    return log.sum(axis=-1)


def _generalized_kl(q: Array, p: Array) -> Array:
    log = p / q
    np.log(log, out=log)
    log *= p
    log -= p
    log += q
    return log.sum(axis=-1)


def _renyi(q: Array, p: Array, alpha: float = 2.0) -> Array:
    ratio = p / q
    ratio **= alpha - 1.0
    ratio *= p
    return np.log(ratio.sum(axis=-1)) / (alpha - 1.0)


def _hellinger(q: Array, p: Array) -> Array:
    root = np.sqrt(q)
    root -= np.sqrt(p)
    root *= root
    return np.sqrt(0.5 * root.sum(axis=-1))


def _bhattacharyya(q: Array, p: Array) -> Array:
    both = q * p
    np.sqrt(both, out=both)
    return -np.log(both.sum(axis=-1))


def _total_variation(q: Array, p: Array) -> Array:
    r = q - p
    np.abs(r, out=r)
    return 0.5 * r.sum(axis=-1)


def _chi_squared(q: Array, p: Array) -> Array:
    r = q - p
    r *= r
    r /= q
    return r.sum(axis=-1)


def _wasserstein_1d(q: Array, p: Array) -> Array:
    flow = q - p
    np.cumsum(flow, axis=-1, out=flow)
    np.abs(flow, out=flow)
    return flow[:, :-1].sum(axis=-1)


def _crammer_singer(z: Array, y: Array) -> Array:
    at, wrong = own(y), z.copy(order="K")
    wrong[at] = -np.inf
    return np.maximum(1.0 + wrong.max(axis=-1) - z[at], 0.0)


def _sparsemax(z: Array, y: Array) -> Array:
    ordered = np.sort(z, axis=-1)[:, ::-1]
    sums = np.cumsum(ordered, axis=-1)
    count = np.arange(1.0, z.shape[-1] + 1.0)
    size = (1.0 + count * ordered > sums).sum(axis=-1)
    edge = (sums[np.arange(len(z)), size - 1] - 1.0) / size
    p = np.maximum(z - edge[:, None], 0.0)
    return 0.5 + (p * z).sum(axis=-1) - z[own(y)] - 0.5 * (p * p).sum(axis=-1)


def _multi_margin(z: Array, y: Array) -> Array:
    at = own(y)
    short = z - (z[at] - 1.0)[:, None]
    np.maximum(short, 0.0, out=short)
    short[at] = 0.0
    return short.sum(axis=-1) / z.shape[-1]


def _multilabel_margin(z: Array, t: Array) -> Array:
    value, less = np.zeros(len(z)), 1.0 - t
    for j in range(z.shape[-1]):
        short = z - (z[:, j] - 1.0)[:, None]
        np.maximum(short, 0.0, out=short)
        short *= less
        value += short.sum(axis=-1) * t[:, j]
    return value / z.shape[-1]


def _label_ranking(z: Array, t: Array) -> Array:
    value, less = np.zeros(len(z)), 1.0 - t
    for j in range(z.shape[-1]):
        wrong = (z >= z[:, j, None]) * less
        value += wrong.sum(axis=-1) * t[:, j]
    return value / np.maximum(t.sum(axis=-1) * less.sum(axis=-1), 1.0)


def _coverage(z: Array, t: Array) -> Array:
    least = np.where(t > 0, z, np.inf).min(axis=-1)
    return (z >= least[:, None]).sum(axis=-1)


def _multilabel_soft_margin(z: Array, t: Array) -> Array:
    value = softplus(z)
    value -= z * t
    return value.mean(axis=-1)


def _cosine_distance(x: Array, y: Array) -> Array:
    return 1.0 - dot(x, y) / np.sqrt(dot(x, x) * dot(y, y))


def _cosine_embedding(x: Array, y: Array, t: Array) -> Array:
    apart = _cosine_distance(x, y)
    return np.where(t > 0, apart, np.maximum(1.0 - apart, 0.0))


def _length(r: Array) -> Array:
    r *= r
    return np.sqrt(r.sum(axis=-1))


def _triplet(x: Array, y: Array, z: Array) -> Array:
    return np.maximum(_length(x - y) - _length(x - z) + 1.0, 0.0)


def _multiclass_brier(p: Array, y: Array) -> Array:
    r = p.copy(order="K")
    r[own(y)] -= 1.0
    r *= r
    return r.sum(axis=-1)


def _ranked_probability_score(p: Array, y: Array) -> Array:
    d = np.cumsum(p, axis=-1)
    d -= np.arange(p.shape[-1]) >= y[:, None]
    d *= d
    return d.sum(axis=-1)


ROWS: dict[str, Plain] = {
    "categorical_cross_entropy": _entropy,
    "sparse_categorical_cross_entropy": lambda p, y: -np.log(p[own(y)]),
    "nll": lambda z, y: -z[own(y)],
    "softmax_cross_entropy": _softmax_cross_entropy,
    "sparse_softmax_cross_entropy": sparse,
    "softmax_focal": _softmax_focal,
    "poly1_softmax": _poly1_softmax,
    "generalized_cross_entropy": lambda p, y: (1.0 - p[own(y)] ** 0.7) / 0.7,
    "crammer_singer": _crammer_singer,
    "sparsemax": _sparsemax,
    "multi_margin": _multi_margin,
    "multilabel_margin": _multilabel_margin,
    "label_ranking": _label_ranking,
    "coverage": _coverage,
    "multilabel_soft_margin": _multilabel_soft_margin,
    "kl_divergence": _kl,
    "reverse_kl": lambda q, p: _kl(p, q),
    "kl_divergence_log_input": _kl_log_input,
    "kl_divergence_log_target": _kl_log_target,
    "js_divergence": _js,
    "jeffreys": _jeffreys,
    "generalized_kl": _generalized_kl,
    "renyi": _renyi,
    "hellinger": _hellinger,
    "bhattacharyya": _bhattacharyya,
    "total_variation": _total_variation,
    "chi_squared": _chi_squared,
    "wasserstein_1d": _wasserstein_1d,
    "cosine_distance": _cosine_distance,
    "cosine_embedding": _cosine_embedding,
    "triplet": _triplet,
    "multiclass_brier": _multiclass_brier,
    "ranked_probability_score": _ranked_probability_score,
}
