"""Losses of whole images: how well the predicted mask overlaps with the true mask.

A sample is one image: all axes except the first. To treat a batch as one image, add a first axis of length 1.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import HardMask, Mask, PixelLabels, PixelProbabilities, PixelScores
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.interval import NON_NEGATIVE, POSITIVE
from lossctl.losses.numerics.elementary import select

Smooth = Annotated[float, Param("pixels added above and below", NON_NEGATIVE)]
Alpha = Annotated[float, Param("the price of a false positive", NON_NEGATIVE)]
Beta = Annotated[float, Param("the price of a false negative", NON_NEGATIVE)]

_ONE_CLASS = "one mask a sample, (n, height, width, …): each class is a sample"
_EMPTY = "with smooth = 0 two empty masks cost 0"


def _missed(p: Array, t: Array, alpha: float, beta: float, smooth: float) -> tuple[Array, Thunk]:
    """Return ``1 − (TP + s)/(TP + alpha·FP + beta·FN + s)`` as (alpha·FP + beta·FN)/(…), without cancellation."""
    hit = (p * t).sum(axis=-1) + smooth
    off = alpha * (p * (1.0 - t)).sum(axis=-1) + beta * (t * (1.0 - p)).sum(axis=-1)
    whole = hit + off

    def gradient() -> Array:
        inside, outside = alpha * (hit / whole), beta * (hit / whole) + off / whole
        slope = ((1.0 - t) * inside[:, None] - t * outside[:, None]) / whole[:, None]
        return np.where(whole[:, None] == 0, 0.0, slope)

    return np.where(whole == 0, 0.0, off / whole), gradient


@loss(
    formula="1 − (2·Σ p·t + smooth)/(Σ p + Σ t + smooth) over an image;  p = pred, t = target",
    reference="Milletari et al. 2016, doi:10.1109/3DV.2016.79",
    aliases=("soft_dice",),
    differences=(
        "monai DiceLoss adds smooth_nr = smooth_dr = 1e-5, and keeps a channel axis of its own",
        "keras dice adds its epsilon of 1e-7, and takes the whole batch as one image",
    ),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def dice(pred: Mask, target: Mask, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """One minus the Dice coefficient (F1) of soft masks."""
    return _missed(pred, target, 0.5, 0.5, 0.5 * smooth)


@loss(
    formula="1 − (2·Σ p·t + smooth)/(Σ p² + Σ t² + smooth) over an image;  p = pred, t = target",
    reference="Milletari et al. 2016, doi:10.1109/3DV.2016.79",
    differences=("monai DiceLoss(squared_pred=True) adds 1e-5 for smooth",),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere",
)
def squared_dice(pred: Mask, target: Mask, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """Dice loss with squares in the denominator, as in V-Net."""
    r = pred - target
    off = (r * r).sum(axis=-1)
    whole = (pred * pred).sum(axis=-1) + (target * target).sum(axis=-1) + smooth

    def gradient() -> Array:
        # p·shared − t = (p − t) − p·missed, because shared + missed = 1; use the form that does not cancel
        shared, missed = ((2.0 * (pred * target).sum(axis=-1) + smooth) / whole)[:, None], (off / whole)[:, None]
        slope = 2.0 * np.where(missed < 0.5, r - pred * missed, pred * shared - target) / whole[:, None]
        return np.where(whole[:, None] == 0, 0.0, slope)

    return np.where(whole == 0, 0.0, off / whole), gradient


@loss(
    formula="1 − (I + smooth)/(Σ p + Σ t − I + smooth) over an image;  I = Σ p·t, p = pred, t = target",
    reference="Rahman & Wang 2016, doi:10.1007/978-3-319-50835-1_22",
    aliases=("iou", "soft_iou"),
    differences=("monai DiceLoss(jaccard=True) adds 1e-5 for smooth",),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def jaccard(pred: Mask, target: Mask, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """One minus the Jaccard index (intersection over union) of soft masks."""
    return _missed(pred, target, 1.0, 1.0, smooth)


@loss(
    formula="1 − (TP + smooth)/(TP + alpha·FP + beta·FN + smooth) over an image;  "
    "TP = Σ p·t, FP = Σ p·(1 − t), FN = Σ (1 − p)·t, p = pred, t = target",
    reference="Salehi et al. 2017, doi:10.1007/978-3-319-67389-9_44",
    differences=(
        "monai TverskyLoss adds smooth_nr = smooth_dr = 1e-5",
        "keras tversky takes the whole batch as one image, and its alpha is our beta (3.15: its names are swapped)",
    ),
    pitfalls=(_ONE_CLASS, _EMPTY, "alpha = beta = 0.5 is dice with half the smooth, alpha = beta = 1 is jaccard"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def tversky(
    pred: Mask, target: Mask, *, alpha: Alpha = 0.5, beta: Beta = 0.5, smooth: Smooth = 1.0
) -> tuple[Array, Thunk]:
    """Dice or Jaccard loss with a weight for false positives and for negatives."""
    return _missed(pred, target, alpha, beta, smooth)


@loss(
    formula="tversky^gamma over an image",
    reference="Abraham & Khan 2019, doi:10.1109/ISBI.2019.8759329",
    differences=("the paper writes the exponent 1/γ with γ = 4/3, and takes alpha = 0.3, beta = 0.7 in these names",),
    pitfalls=(_ONE_CLASS, _EMPTY, "with gamma below 1 the gradient is infinite where the masks agree exactly"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def focal_tversky(
    pred: Mask,
    target: Mask,
    *,
    alpha: Alpha = 0.5,
    beta: Beta = 0.5,
    gamma: Annotated[
        float, Param("the exponent: below 1, images that are nearly right count more", NON_NEGATIVE)
    ] = 0.75,
    smooth: Smooth = 1.0,
) -> tuple[Array, Thunk]:
    """Power of the Tversky loss."""
    missed, slopes = _missed(pred, target, alpha, beta, smooth)

    def gradient() -> Array:
        slope = slopes()
        return np.where(slope == 0, 0.0, (gamma * missed ** (gamma - 1.0))[:, None] * slope)

    return missed**gamma, gradient


@loss(
    formula="Σ v[c]·dice(p, t)/Σ v[c] over classes c, p = pred, t = [target = c];  "
    "v[c] = 1/(N[c]² + epsilon), N[c] = the batch's pixels of c",
    reference="optax multiclass_generalized_dice_loss",
    differences=(
        "optax's smooth is half of this one, its pred logits",
        "Sudre et al. 2017, monai: weighted sums above and below, of an image",
    ),
    pitfalls=(
        "pred is probabilities (softmax), target a class index a pixel",
        "a class that no image has weighs 1/epsilon: it is nearly all that counts",
    ),
    relative_accuracy="everywhere",
    batch_coupled=True,
)
def multiclass_generalized_dice(
    pred: PixelProbabilities,
    target: PixelLabels,
    *,
    smooth: Smooth = 1.0,
    epsilon: Annotated[float, Param("what is added to the square of a class's pixels", POSITIVE)] = 1e-7,
) -> tuple[Array, Thunk]:
    """Dice losses of several classes, with larger weights for rarer classes."""
    value, parts = np.zeros(len(pred)), []
    for c, weight in enumerate(_rarity(target, pred.shape[-1], epsilon)):
        missed, slopes = _missed(pred[..., c], (target == c).astype(np.float64), 0.5, 0.5, 0.5 * smooth)
        value += weight * missed
        parts.append((weight, slopes))
    return value, lambda: np.stack([weight * slopes() for weight, slopes in parts], axis=-1)


def _rarity(labels: Array, classes: int, epsilon: float) -> Array:
    """Return the weights ``1/(N² + epsilon)`` of classes with N pixels each, divided by their sum."""
    counts = np.bincount(labels.astype(np.intp).ravel(), minlength=classes).astype(np.float64)
    # Relative to the smallest N² + epsilon, because 1/epsilon may overflow.
    shares = (counts.min() ** 2 + epsilon) / (counts**2 + epsilon)
    return np.asarray(shares / shares.sum())


def _lovasz(errors: Array, there: Array) -> Array:
    """Return the Lovász extension (n,) of the Jaccard loss.

    With the errors in falling order it is Σ error·rise, where rise is the increase of the Jaccard loss when that pixel
    is wrong too: 1/union for a pixel of the true mask, intersection/(union·(union − 1)) for other pixels.

    Args:
        errors: (n, pixels) errors ≥ 0.
        there: (n, pixels) 1 for the pixels of the true mask, 0 for others.
    """
    n, pixels = errors.shape
    order = np.argsort(-errors, axis=-1)  # the order of equal errors does not matter
    order += np.arange(n)[:, None] * pixels
    hit, ordered = np.ravel(there).take(order), np.ravel(errors).take(order)
    hits = np.cumsum(hit.astype(np.int32), axis=-1).astype(np.float64)
    intersection = hits[:, -1:] - hits
    union = intersection + np.arange(1.0, pixels + 1.0)
    intersection /= union - 1.0
    ordered *= select(hit > 0, 1.0, intersection)
    ordered /= union
    # For an empty mask the first pixel has the whole weight.
    return np.asarray(np.where(hits[:, -1] > 0, ordered.sum(axis=-1), errors.max(axis=-1)))


def _slope(errors: Array, lost: Array, there: Array) -> Array:
    """Return the gradient (n, pixels) of the Lovász extension with respect to the errors.

    Args:
        errors: (n, pixels) errors ≥ 0.
        lost: (n, pixels) the roundoff of the errors, which decides the order of errors that are equal as doubles.
        there: (n, pixels) 1 for the pixels of the true mask, 0 for others.
    """
    order = np.lexsort((-lost, -errors), axis=-1)
    hit, sorted_ = np.take_along_axis(there, order, axis=-1), np.take_along_axis(errors, order, axis=-1)
    total, hits, misses = hit.sum(axis=-1, keepdims=True), np.cumsum(hit, axis=-1), np.cumsum(1.0 - hit, axis=-1)
    rise = _rise(hit, hits - hit, misses - (1.0 - hit), total)
    sorted_lost = np.take_along_axis(lost, order, axis=-1)
    edge = ((sorted_ == 0) | (sorted_ == 1)) & (sorted_lost == 0)
    if edge.any():
        # A probability of 0 or 1 can move in one direction only. Its error then becomes the first among the errors that
        # were equal to it (if it was 0) or the last (if it was 1), so the loss has a one-sided derivative there.
        first, last = _ties(sorted_, sorted_lost)
        at = np.where(sorted_ == 0, first, last)
        besides = np.where(sorted_ == 0, np.take_along_axis(hit, at, axis=-1), hit)  # the pixel at `at`, or this one
        counted = np.take_along_axis(hits, at, axis=-1) - besides
        rise = np.where(edge, _rise(hit, counted, at - counted, total), rise)
    slope = np.empty_like(errors)
    np.put_along_axis(slope, order, rise, axis=-1)
    return slope


def _rise(hit: Array, hits: Array, misses: Array, total: Array) -> Array:
    """Return the increase of the Jaccard loss when one more pixel is wrong.

    It is 1/union for a pixel of the true mask and intersection/(union·(union − 1)) for other pixels. For an empty mask
    the first pixel has the whole weight.

    Args:
        hit: whether the pixel is in the true mask.
        hits: number of wrong pixels of the true mask before it.
        misses: number of wrong pixels outside the true mask before it.
        total: number of pixels of the true mask.
    """
    union = total + misses + (1.0 - hit)
    rise = np.where(hit > 0, 1.0 / union, (total - hits) / (union * (union - 1.0)))
    return np.where(total == 0, misses == 0, rise)


def _less(x: Array) -> tuple[Array, Array]:
    """Return ``1 − x`` and its roundoff (Knuth's two-sum)."""
    difference = 1.0 - x
    seen = 1.0 - difference
    return difference, (1.0 - (difference + seen)) + (seen - x)


def _ties(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pair (x, y) of sorted rows the first and the last place of the pairs equal to it."""
    place = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    new = (np.diff(x, axis=-1, prepend=np.nan) != 0) | (np.diff(y, axis=-1, prepend=np.nan) != 0)
    last = np.roll(new, -1, axis=-1)
    last[..., -1] = True
    first = np.maximum.accumulate(np.where(new, place, 0), axis=-1)
    behind = np.where(last, place, x.shape[-1])[..., ::-1]
    return first, np.minimum.accumulate(behind, axis=-1)[..., ::-1]


@loss(
    formula="Σ max(0, 1 − s·x)·ΔJ over an image's pixels, the largest hinge first;  "
    "x = pred, s = 2·target − 1, ΔJ = the rise of the Jaccard loss",
    reference="Berman et al. 2018, doi:10.1109/CVPR.2018.00464",
    differences=(
        "the authors' code has per_image=True for it, as here; for a batch as one image give a first axis of 1",
    ),
    pitfalls=("pred is logits, and target 0 or 1", "an empty mask costs its largest hinge"),
    relative_accuracy="everywhere",
)
def lovasz_hinge(pred: PixelScores, target: HardMask) -> tuple[Array, Thunk]:
    """Convex surrogate of the Jaccard loss of one class."""
    sign = 2.0 * target - 1.0
    short, lost = _less(sign * pred)
    short = np.maximum(short, 0.0)
    return _lovasz(short, target), lambda: np.where(short > 0, -sign * _slope(short, lost, target), 0.0)


@loss(
    formula="mean over the classes c of an image of Σ |t − p|·ΔJ over pixels, the largest first;  "
    "p = pred, t = [target = c], ΔJ = the rise of the Jaccard loss of c",
    reference="Berman et al. 2018, doi:10.1109/CVPR.2018.00464",
    differences=(
        "the authors' code takes the batch as one image unless per_image=True: give a first axis of 1 for that",
    ),
    pitfalls=(
        "pred is probabilities (softmax), --class-axis says along which axis; target is a class index a pixel",
        "classes that an image has not are left out of its mean, as classes='present' does",
    ),
    relative_accuracy="the value everywhere",
)
def lovasz_softmax(pred: PixelProbabilities, target: PixelLabels) -> tuple[Array, Thunk]:
    """Surrogate of the mean Jaccard loss of several classes."""
    value, present = np.zeros(len(pred)), np.zeros(len(pred))
    for c in range(pred.shape[-1]):
        there = (target == c).astype(np.float64)
        occurs = there.any(axis=-1)
        value += occurs * _lovasz(np.abs(there - pred[..., c]), there)
        present += occurs

    def gradient() -> Array:
        slopes = np.zeros_like(pred)
        for c in range(pred.shape[-1]):
            there = (target == c).astype(np.float64)
            short, lost = _less(pred[..., c])
            away, lost = np.where(there > 0, short, pred[..., c]), np.where(there > 0, lost, 0.0)
            slope = _slope(away, lost, there)
            slopes[..., c] = np.where(there.any(axis=-1)[:, None], np.where(there > 0, -slope, slope), 0.0)
        return np.asarray(slopes / present[:, None, None])

    return value / present, gradient
