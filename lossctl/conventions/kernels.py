"""Kernels of conventions that are no changes of the inputs of a registered kernel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Thunk
from lossctl.errors import UsageError

# torch clamps logarithms at this value.
_LEAST_LOG = -100.0
# keras clips probabilities by this number, in single precision.
_KERAS_EPSILON = float(np.float32(1e-7))


def clamped_bce(pred: Array, target: Array, *, label_smoothing: float = 0.0) -> tuple[Array, Thunk]:
    """Binary cross-entropy with log p and log(1 − p) of at least −100, and (p − t)/max(p(1 − p), 1e-12) as gradient."""
    t = target * (1.0 - label_smoothing) + 0.5 * label_smoothing
    log_p, log_not_p = (np.maximum(np.log(x), _LEAST_LOG) for x in (pred, 1.0 - pred))

    def gradient() -> Array:
        return np.asarray((pred - t) / np.maximum(pred * (1.0 - pred), 1e-12))

    return 0.0 - (t * log_p + (1.0 - t) * log_not_p), gradient  # 0, not −0, where both are 0


def bce_plus(pred: Array, target: Array, *, epsilon: float, label_smoothing: float = 0.0) -> tuple[Array, Thunk]:
    """Binary cross-entropy with ``epsilon`` added within its logarithms."""
    t = target * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p, q = pred + epsilon, 1.0 - pred + epsilon
    return -(t * np.log(p) + (1.0 - t) * np.log(q)), lambda: (1.0 - t) / q - t / p


def poisson_plus(
    pred: Array, target: Array, *, epsilon: float, full: bool = False, stirling: bool = False
) -> tuple[Array, Thunk]:
    """The Poisson likelihood of a rate with ``epsilon`` added within the logarithm."""
    if full and not stirling:
        raise UsageError("full=true: this function of the library has no constant")
    constant = _stirling(target) if full else 0.0
    return pred - target * np.log(pred + epsilon) + constant, lambda: 1.0 - target / (pred + epsilon)


def poisson_of_log_rates(pred: Array, target: Array, *, full: bool = False) -> tuple[Array, Thunk]:
    """The Poisson likelihood of a log rate, with Stirling's formula if it is full."""
    constant = _stirling(target) if full else 0.0
    return np.exp(pred) - target * pred + constant, lambda: np.exp(pred) - target


def _stirling(t: Array) -> Array:
    """Return about log t! for t > 1, and 0 for others."""
    above = np.where(t > 1.0, t, 1.0)
    return np.where(t > 1.0, above * np.log(above) - above + 0.5 * np.log(2.0 * np.pi * above), 0.0)


def half_gamma(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """Log p + t/p."""
    return np.log(pred) + target / pred, lambda: (1.0 - target / pred) / pred


def half_tweedie(pred: Array, target: Array, *, power: float) -> tuple[Array, Thunk]:
    """p^(2 − power)/(2 − power) − t·p^(1 − power)/(1 − power)."""
    a, b = 1.0 - power, 2.0 - power
    return pred**b / b - target * pred**a / a, lambda: pred**a - target * pred ** (a - 1.0)


def _one_hot(pred: Array, target: Array) -> Array:
    return np.eye(pred.shape[-1])[target.astype(np.intp)] if target.ndim == 1 else target


def weighted_cross_entropy(
    pred: Array, target: Array, *, class_weight: Array, label_smoothing: float = 0.0
) -> tuple[Array, Thunk]:
    """Cross-entropy from logits with class weights within the sum over the classes; targets are labels or rows."""
    k = pred.shape[-1]
    t = _one_hot(pred, target)
    t = (t * (1.0 - label_smoothing) + label_smoothing / k) * class_weight
    top = pred.max(axis=-1, keepdims=True)
    e = np.exp(pred - top)
    total = e.sum(axis=-1, keepdims=True)
    log_p = pred - top - np.log(total)
    spent = np.where(t == 0, 0.0, t * log_p)
    return -spent.sum(axis=-1), lambda: e / total * t.sum(axis=-1, keepdims=True) - t


def keras_categorical_hinge(pred: Array, target: Array, *, margin: float = 1.0) -> tuple[Array, Thunk]:
    """max(0, margin + max (1 − t)·z − Σ t·z): the score of the right class counts as a wrong score of 0."""
    t = _one_hot(pred, target)
    wrong = (1.0 - t) * pred
    short = margin + wrong.max(axis=-1) - (t * pred).sum(axis=-1)

    def gradient() -> Array:
        g = np.zeros_like(pred)
        rows = np.arange(len(pred))
        worst = wrong.argmax(axis=-1)
        g[rows, worst] = (1.0 - t[rows, worst]) * (short > 0)
        return np.asarray(g - t * (short > 0)[:, None])

    return np.maximum(short, 0.0), gradient


def loose_kl(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """Σ t·log(t/p) of rows that need not sum to 1."""
    return (target * np.log(target / pred)).sum(axis=-1), lambda: -target / pred


def padded_triplet(
    pred: Array, target: Array, negative: Array, *, margin: float = 1.0, p: float = 2.0, swap: bool = False
) -> tuple[Array, Thunk]:
    """Triplet loss with 1e-6 added to each difference."""
    return _triplet(pred, target, negative, margin, p, swap=swap, shift=1e-6, under=0.0)


def rooted_triplet(
    pred: Array, target: Array, negative: Array, *, margin: float = 1.0, p: float = 2.0, swap: bool = False
) -> tuple[Array, Thunk]:
    """Triplet loss with 1e-6 added under each root."""
    return _triplet(pred, target, negative, margin, p, swap=swap, shift=0.0, under=1e-6)


def _triplet(
    pred: Array, target: Array, negative: Array, margin: float, p: float, *, swap: bool, shift: float, under: float
) -> tuple[Array, Thunk]:
    to_like, to_unlike = pred - target + shift, pred - negative + shift

    def distance(x: Array) -> Array:
        return np.asarray(((np.abs(x) ** p).sum(axis=-1) + under) ** (1.0 / p))

    def slope(x: Array) -> Array:
        size = distance(x)[:, None]
        return np.asarray(np.sign(x) * (np.abs(x) / size) ** (p - 1.0))

    beyond = distance(to_unlike)
    other = distance(target - negative + shift) if swap else beyond
    short = margin + distance(to_like) - np.minimum(beyond, other)

    def gradient() -> Array:
        of_far = np.where((beyond <= other)[:, None], slope(to_unlike), 0.0)
        return np.where((short > 0)[:, None], slope(to_like) - of_far, 0.0)

    return np.maximum(short, 0.0), gradient


def shrunk_quantile(pred: Array, target: Array, *, tau: float = 0.5) -> tuple[Array, Thunk]:
    """The pinball loss of residuals that are 1e-6 closer to 0."""
    r = target - pred
    short = np.sign(r) * np.maximum(np.abs(r) - 1e-6, 0.0)
    factor = np.where(short > 0, tau, tau - 1.0)
    return factor * short, lambda: np.where(short == 0, 0.0, -factor)


def floored_mape(pred: Array, target: Array, *, floor: float) -> tuple[Array, Thunk]:
    """The absolute error relative to the target, which counts as ``floor`` at least."""
    r, size = pred - target, np.maximum(np.abs(target), floor)
    return np.abs(r) / size, lambda: np.sign(r) / size


def clipped_softmax_focal(pred: Array, target: Array, *, gamma: float = 2.0) -> tuple[Array, Thunk]:
    """The focal loss of a softmax clipped to [1e-7, 1 − 1e-7], with no gradient where it is clipped."""
    t = _one_hot(pred, target)
    e = np.exp(pred - pred.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    q = np.clip(p, _KERAS_EPSILON, 1.0 - _KERAS_EPSILON)

    def gradient() -> Array:
        of_q = gamma * (1.0 - q) ** (gamma - 1.0) * np.log(q) - (1.0 - q) ** gamma / q
        parts = np.where(p == q, t * of_q * p, 0.0)
        return np.asarray(parts - p * parts.sum(axis=-1, keepdims=True))

    return -(t * (1.0 - q) ** gamma * np.log(q)).sum(axis=-1), gradient


def mixed_focal(pred: Array, target: Array, *, alpha: float | None, gamma: float) -> tuple[Array, Thunk]:
    """The focal loss with (1 − p_t)^gamma as the focus, where p_t = t·p + (1 − t)·(1 − p) also for a soft target t."""
    of_yes = np.where(target == 0, 0.0, target * np.log(pred))
    entropy = -of_yes - np.where(target == 1, 0.0, (1.0 - target) * np.log1p(-pred))
    values, slopes = _mixed(pred, target, entropy, alpha, gamma)
    return values, lambda: slopes()[0] + slopes()[1] * (pred - target) / (pred * (1.0 - pred))


def mixed_focal_with_logits(pred: Array, target: Array, *, alpha: float | None, gamma: float) -> tuple[Array, Thunk]:
    """``mixed_focal`` of p = σ(pred)."""
    e = np.exp(-np.abs(pred))
    p = np.where(pred < 0, e, 1.0) / (1.0 + e)
    entropy = np.maximum(pred, 0.0) - pred * target + np.log1p(e)
    values, slopes = _mixed(p, target, entropy, alpha, gamma)
    return values, lambda: slopes()[0] * p * (1.0 - p) + slopes()[1] * (p - target)


def _mixed(
    p: Array, t: Array, entropy: Array, alpha: float | None, gamma: float
) -> tuple[Array, Callable[[], tuple[Array, Array]]]:
    """Return the loss from the cross-entropy, and its derivatives by p in the focus and by the cross-entropy."""
    weight = 1.0 if alpha is None else t * alpha + (1.0 - t) * (1.0 - alpha)
    missed = t * (1.0 - p) + (1.0 - t) * p
    scale = weight * missed**gamma

    def slopes() -> tuple[Array, Array]:
        focus = np.where(missed > 0, gamma * missed ** (gamma - 1.0), 0.0) * (1.0 - 2.0 * t)
        return np.asarray(weight * focus * entropy), np.asarray(scale)

    return scale * entropy, slopes


def shrunk_mae(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """The absolute error, less 1e-6."""
    values, thunk = shrunk_quantile(pred, target)
    return 2.0 * values, lambda: 2.0 * thunk()


def padded_cosine_embedding(pred: Array, x2: Array, target: Array, *, margin: float = 0.0) -> tuple[Array, Thunk]:
    """The cosine embedding loss with 1e-12 added to each squared length."""
    a, b = ((x * x).sum(axis=-1, keepdims=True) + 1e-12 for x in (pred, x2))
    dot = (pred * x2).sum(axis=-1, keepdims=True)
    size = np.sqrt(a * b)
    cosine = (dot / size)[:, 0]
    values = np.where(target > 0, 1.0 - cosine, np.maximum(cosine - margin, 0.0))

    def gradient() -> Array:
        slope = x2 / size - dot / size * pred / a
        sign = np.where(target > 0, -1.0, np.where(cosine > margin, 1.0, 0.0))
        return np.asarray(sign[:, None] * slope)

    return values, gradient


def floored_smape(pred: Array, target: Array, *, floor: float) -> tuple[Array, Thunk]:
    """Twice the absolute error relative to |p| + |t|, which counts as ``floor`` at least."""
    r, whole = pred - target, np.abs(pred) + np.abs(target)
    size = np.maximum(whole, floor)
    inside = whole >= floor
    return 2.0 * np.abs(r) / size, lambda: 2.0 * (np.sign(r) - inside * np.abs(r) * np.sign(pred) / size) / size


def overflowing_log_cosh(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """log((e^r + e^−r)/2) as it is written."""
    r = pred - target
    with np.errstate(over="ignore"):
        return np.log((np.exp(r) + np.exp(-r)) / 2.0), lambda: np.tanh(r)


def uneven_softmax_focal(pred: Array, target: Array, *, alpha: float, gamma: float = 2.0) -> tuple[Array, Thunk]:
    """The focal loss of a softmax, times 1 − alpha for class 0 and alpha for every other class."""
    t = _one_hot(pred, target) * np.where(np.arange(pred.shape[-1]) == 0, 1.0 - alpha, alpha)
    top = pred.max(axis=-1, keepdims=True)
    log_p = pred - top - np.log(np.exp(pred - top).sum(axis=-1, keepdims=True))
    p = np.exp(log_p)

    def gradient() -> Array:
        parts = t * (1.0 - p) ** (gamma - 1.0) * (gamma * p * log_p - (1.0 - p))
        return np.asarray(parts - p * parts.sum(axis=-1, keepdims=True))

    return -(t * (1.0 - p) ** gamma * log_p).sum(axis=-1), gradient


def padded_dice(pred: Array, target: Array, weight: Array | None = None, *, smooth: float = 0.0) -> tuple[Array, Thunk]:
    """1 − (2·Σ w·p·t + smooth)/(Σ w·(p + t) + smooth + 1e-8), and 1 of empty masks."""
    w = np.ones(1) if weight is None else weight
    both = 2.0 * (w * pred * target).sum(axis=-1) + smooth
    whole = (w * (pred + target)).sum(axis=-1) + smooth + 1e-8
    return 1.0 - both / whole, lambda: w * ((both / whole)[:, None] - 2.0 * target) / whole[:, None]


def lovasz_of_all_classes(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """The Lovász extension of the Jaccard loss, averaged over all classes, also absent ones."""
    classes = pred.shape[-1]
    value, slopes = np.zeros(len(pred)), np.zeros_like(pred)
    for c in range(classes):
        there = (target == c).astype(np.float64)
        errors = np.abs(there - pred[..., c])
        order = np.argsort(-errors, axis=-1, kind="stable")
        hits = np.take_along_axis(there, order, axis=-1)
        count = hits.sum(axis=-1, keepdims=True)
        lost = 1.0 - (count - hits.cumsum(axis=-1)) / (count + (1.0 - hits).cumsum(axis=-1))
        weights = np.diff(lost, axis=-1, prepend=0.0)
        value += (np.take_along_axis(errors, order, axis=-1) * weights).sum(axis=-1)
        np.put_along_axis(slopes[..., c], order, (1.0 - 2.0 * hits) * weights, axis=-1)
    return value / classes, lambda: slopes / classes


def ranking_by_place(pred: Array, target: Array) -> tuple[Array, Thunk]:
    """The share of pairs in the wrong order, of equal scores in the order of their places; its slope is 0."""
    k, count = pred.shape[-1], target.sum(axis=-1)
    place = pred.argsort(axis=-1, kind="stable").argsort(axis=-1, kind="stable")
    lost = ((k - place) * target).sum(axis=-1) - 0.5 * count * (count + 1.0)
    pairs = count * (k - count)
    return np.where(pairs > 0, lost / np.maximum(pairs, 1.0), 0.0), lambda: np.zeros_like(pred)
