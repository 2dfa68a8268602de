"""Losses of a list, a batch, an image or a sequence."""

from __future__ import annotations

from functools import partial

import numpy as np

from plain.common import Array, Plain, dot, logits, sigmoid, softplus, sparse


def _infonce(x: Array, y: Array, temperature: float = 0.07) -> Array:
    u, v = (a / np.sqrt(dot(a, a))[:, None] for a in (x, y))
    u /= temperature
    return sparse(u @ v.T, np.arange(len(u), dtype=np.float64))


def _beside(x: Array, y: Array) -> tuple[Array, np.ndarray, np.ndarray]:
    u = x / np.sqrt(dot(x, x))[:, None]
    alike = y[:, None] == y
    other = ~alike
    np.fill_diagonal(alike, val=False)
    return u @ u.T, alike, other


def _supervised_ntxent(x: Array, y: Array) -> Array:
    s, alike, other = _beside(x, y)
    s /= 0.07
    e = np.exp(s)
    cost = np.log(e + (e * other).sum(axis=-1, keepdims=True))
    cost -= s
    cost *= alike
    return cost.sum(axis=-1)


def _circle(x: Array, y: Array) -> Array:
    s, alike, other = _beside(x, y)
    d = 1.0 - s
    d *= d
    d -= 0.16
    d *= 80.0
    near = np.maximum(s + 0.4, 0.0)
    s -= 0.4
    near *= s
    near *= 80.0
    far = np.exp(d, out=d)
    far *= alike
    np.exp(near, out=near)
    near *= other
    return np.log1p(far.sum(axis=-1) * near.sum(axis=-1))


def _cox(x: Array, t: Array, d: Array) -> Array:
    order = np.argsort(-t)
    ordered, time = x[order], t[order]
    sums = np.logaddexp.accumulate(ordered)
    last = np.ones(len(x), np.bool_)  # of equal times, who are all at risk
    np.not_equal(time[1:], time[:-1], out=last[:-1])
    group = np.cumsum(last)
    group -= last
    sums = sums[last][group]
    sums -= ordered
    sums *= d[order]
    value = np.empty_like(x)
    value[order] = sums
    return value


def _ranknet(x: Array, t: Array) -> Array:
    value, pairs = np.zeros(len(x)), np.zeros(len(x))
    for j in range(x.shape[-1]):
        counts = t > t[:, j, None]
        cost = softplus(x[:, j, None] - x)
        cost *= counts
        value += cost.sum(axis=-1)
        pairs += counts.sum(axis=-1)
    return value / np.maximum(pairs, 1.0)


def _listnet(x: Array, t: Array) -> Array:
    wanted = np.exp(t - t.max(axis=-1, keepdims=True))
    gap, log = logits(x)
    gap *= wanted
    return log - gap.sum(axis=-1) / wanted.sum(axis=-1)


def _softmax_ranking(x: Array, t: Array) -> Array:
    gap, log = logits(x)
    gap *= t
    return t.sum(axis=-1) * log - gap.sum(axis=-1)


def _listmle(x: Array, t: Array) -> Array:
    ordered = np.take_along_axis(x, np.argsort(-t, axis=-1), axis=-1)
    ordered -= ordered.max(axis=-1, keepdims=True)
    left = np.exp(ordered)[:, ::-1]
    log = np.log(np.cumsum(left, axis=-1))
    return log.sum(axis=-1) - ordered.sum(axis=-1)


def _centred(x: Array, t: Array) -> Array:
    r = x - t
    r -= r.mean(axis=-1, keepdims=True)
    return r


def _query_rmse(x: Array, t: Array) -> Array:
    off = _centred(x, t)
    off *= off
    return off.mean(axis=-1)


def _query_mae(x: Array, t: Array) -> Array:
    off = _centred(x, t)
    return np.abs(off, out=off).mean(axis=-1)


def _query_cross_entropy(x: Array, t: Array, alpha: float = 0.95) -> Array:
    total, low, high = t.sum(axis=-1), -x.max(axis=-1) - 40.0, 40.0 - x.min(axis=-1)
    for _ in range(50):
        s = 0.5 * (low + high)
        short = sigmoid(x + s[:, None]).sum(axis=-1) < total
        low, high = np.where(short, s, low), np.where(short, high, s)
    moved = x + low[:, None]
    own, fitted = softplus(x), softplus(moved)
    own -= x * t
    fitted -= moved * t
    fitted *= alpha
    own *= 1.0 - alpha
    own += fitted
    return own.mean(axis=-1)


def _crps_ensemble(x: Array, t: Array) -> Array:
    m = x.shape[-1]
    away = x - t[:, None]
    np.abs(away, out=away)
    weight = (2.0 * np.arange(m) - (m - 1.0)) / (m * m)
    return away.mean(axis=-1) - (np.sort(x, axis=-1) * weight).sum(axis=-1)


def _tversky(p: Array, t: Array, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0) -> Array:
    hit = dot(p, t)
    whole = hit + alpha * (p.sum(axis=-1) - hit) + beta * (t.sum(axis=-1) - hit) + smooth
    return 1.0 - (hit + smooth) / whole


def _squared_dice(p: Array, t: Array) -> Array:
    return 1.0 - (2.0 * dot(p, t) + 1.0) / (dot(p, p) + dot(t, t) + 1.0)


def _multiclass_generalized_dice(p: Array, y: Array) -> Array:
    k = p.shape[-1]
    weight = 1.0 / (np.bincount(y.astype(np.intp).ravel(), minlength=k) ** 2 + 1e-7)
    weight /= weight.sum()
    value = np.zeros(len(p))
    for c in range(k):
        there = (y == c).astype(np.float64)
        value += weight[c] * _tversky(p[..., c], there, smooth=0.5)
    return value


def _lovasz(errors: Array, there: Array) -> Array:
    order = np.argsort(-errors, axis=-1)
    hit, ordered = np.take_along_axis(there, order, axis=-1), np.take_along_axis(errors, order, axis=-1)
    hits = np.cumsum(hit, axis=-1)
    total = hits[:, -1:].copy()
    union = np.arange(1.0, hit.shape[-1] + 1.0) - hits
    union += total
    rest = np.subtract(total, hits, out=hits)
    rest /= union
    jaccard = np.subtract(1.0, rest, out=rest)
    jaccard[:, 1:] -= jaccard[:, :-1].copy()
    jaccard *= ordered
    return jaccard.sum(axis=-1)


def _lovasz_hinge(x: Array, t: Array) -> Array:
    errors = 1.0 - x * (2.0 * t - 1.0)
    return _lovasz(np.maximum(errors, 0.0, out=errors), t)


def _lovasz_softmax(p: Array, y: Array) -> Array:
    value, present = np.zeros(len(p)), np.zeros(len(p))
    for c in range(p.shape[-1]):
        there = (y == c).astype(np.float64)
        some = there.any(axis=-1)
        value += _lovasz(np.abs(there - p[..., c]), there) * some
        present += some
    return value / present


def _ctc(z: Array, target: Array, frames: Array, symbols: Array) -> Array:
    n, time, _ = z.shape
    width = 2 * target.shape[1] + 1
    state = np.zeros((n, width), np.intp)
    state[:, 1::2] = target
    skip = np.full((n, width), -np.inf)
    skip[:, 3::2] = np.where(state[:, 3::2] != state[:, 1:-2:2], 0.0, -np.inf)
    x = np.take_along_axis(z, state[:, None, :], axis=2)
    a = np.full((n, width + 2), -np.inf)  # two states before the first that no path is in
    a[:, 2:4] = x[:, 0, :2]
    last = 2 * symbols.astype(np.intp) + 2
    for t in range(1, time):
        now = np.logaddexp(a[:, 2:], a[:, 1:-1])
        now = np.logaddexp(now, a[:, :-2] + skip)
        now += x[:, t]
        a[:, 2:] = np.where((t < frames)[:, None], now, a[:, 2:])
    rows = np.arange(n)
    return -np.logaddexp(a[rows, last], np.where(symbols > 0, a[rows, last - 1], -np.inf))


WHOLES: dict[str, Plain] = {
    "infonce": _infonce,
    "supervised_ntxent": _supervised_ntxent,
    "circle": _circle,
    "cox": _cox,
    "ranknet": _ranknet,
    "listnet": _listnet,
    "softmax_ranking": _softmax_ranking,
    "listmle": _listmle,
    "query_rmse": _query_rmse,
    "query_mae": _query_mae,
    "query_cross_entropy": _query_cross_entropy,
    "crps_ensemble": _crps_ensemble,
    "dice": partial(_tversky, smooth=0.5),
    "tversky": _tversky,
    "jaccard": partial(_tversky, alpha=1.0, beta=1.0),
    "focal_tversky": lambda p, t: _tversky(p, t) ** 0.75,
    "squared_dice": _squared_dice,
    "multiclass_generalized_dice": _multiclass_generalized_dice,
    "lovasz_hinge": _lovasz_hinge,
    "lovasz_softmax": _lovasz_softmax,
    "ctc": _ctc,
}
