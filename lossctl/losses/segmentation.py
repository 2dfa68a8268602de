"""Losses of whole images: how well the predicted mask overlaps with the true mask.

A sample is one image: all axes except the first; with ``--class-axis``, each channel of it is an element. To treat a
batch as one image, add a first axis of length 1, or say ``--reduction batch``.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import HardMask, Mask, PixelLabels, PixelProbabilities, PixelScores, PixelWeights
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.interval import NON_NEGATIVE, POSITIVE
from lossctl.losses.numerics.lovasz import lovasz_extension, lovasz_slope, one_minus

Smooth = Annotated[float, Param("pixels added above and below", NON_NEGATIVE)]
Alpha = Annotated[float, Param("the price of a false positive", NON_NEGATIVE)]
Beta = Annotated[float, Param("the price of a false negative", NON_NEGATIVE)]

_ONE_CLASS = "one mask a sample, (n, height, width, …); with several, --class-axis says which axis holds them"
_NO_CLASS = -1.0  # a label that is none
_EMPTY = "with smooth = 0 two empty masks cost 0"


def _weighted(x: Array, weight: Array | None) -> Array:
    return x if weight is None else x * weight


def _missed(
    p: Array, t: Array, alpha: float, beta: float, smooth: float, *, w: Array | None = None
) -> tuple[Array, Thunk]:
    """Return ``1 − (TP + s)/(TP + alpha·FP + beta·FN + s)`` as (alpha·FP + beta·FN)/(…), without cancellation.

    With weights w of the pixels TP is Σ w·p·t, and FP and FN are such sums too.
    """
    hit = _weighted(p * t, w).sum(axis=-1) + smooth
    off = alpha * _weighted(p * (1.0 - t), w).sum(axis=-1) + beta * _weighted(t * (1.0 - p), w).sum(axis=-1)
    whole = hit + off

    def gradient() -> Array:
        inside, outside = alpha * (hit / whole), beta * (hit / whole) + off / whole
        slope = ((1.0 - t) * inside[:, None] - t * outside[:, None]) / whole[:, None]
        return np.where(whole[:, None] == 0, 0.0, _weighted(slope, w))

    return np.where(whole == 0, 0.0, off / whole), gradient


@loss(
    formula="1 − (2·Σ p·t + smooth)/(Σ p + Σ t + smooth) over an image;  p = pred, t = target",
    reference="Milletari et al. 2016, doi:10.1109/3DV.2016.79",
    aliases=("soft_dice",),
    differences=(
        "monai DiceLoss adds smooth_nr = smooth_dr = 1e-5; its mean over channels is --class-axis 1",
        "keras dice adds its epsilon of 1e-7, and takes the whole batch as one image: --reduction batch",
    ),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
    neutral=(0.0, 0.0),
)
def dice(pred: Mask, target: Mask, weight: PixelWeights = None, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """One minus the Dice coefficient (F1) of soft masks."""
    return _missed(pred, target, 0.5, 0.5, 0.5 * smooth, w=weight)


@loss(
    formula="1 − (2·Σ p·t + smooth)/(Σ p² + Σ t² + smooth) over an image;  p = pred, t = target",
    reference="Milletari et al. 2016, doi:10.1109/3DV.2016.79",
    differences=("monai DiceLoss(squared_pred=True) adds 1e-5 for smooth",),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere",
    neutral=(0.0, 0.0),
)
def squared_dice(pred: Mask, target: Mask, weight: PixelWeights = None, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """Dice loss with squares in the denominator, as in V-Net."""
    r = pred - target
    off = _weighted(r * r, weight).sum(axis=-1)
    whole = _weighted(pred * pred, weight).sum(axis=-1) + _weighted(target * target, weight).sum(axis=-1) + smooth

    def gradient() -> Array:
        # p·shared − t = (p − t) − p·missed, because shared + missed = 1; use the form that does not cancel
        both = _weighted(pred * target, weight).sum(axis=-1)
        shared, missed = (2.0 * both + smooth) / whole, off / whole
        shared, missed = shared[:, None], missed[:, None]
        slope = 2.0 * np.where(missed < 0.5, r - pred * missed, pred * shared - target) / whole[:, None]
        return np.where(whole[:, None] == 0, 0.0, _weighted(slope, weight))

    return np.where(whole == 0, 0.0, off / whole), gradient


@loss(
    formula="1 − (I + smooth)/(Σ p + Σ t − I + smooth) over an image;  I = Σ p·t, p = pred, t = target",
    reference="Rahman & Wang 2016, doi:10.1007/978-3-319-50835-1_22",
    aliases=("iou", "soft_iou"),
    differences=("monai DiceLoss(jaccard=True) adds 1e-5 for smooth",),
    pitfalls=(_ONE_CLASS, _EMPTY, "pred is probabilities: apply the sigmoid first"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
    neutral=(0.0, 0.0),
)
def jaccard(pred: Mask, target: Mask, weight: PixelWeights = None, *, smooth: Smooth = 1.0) -> tuple[Array, Thunk]:
    """One minus the Jaccard index (intersection over union) of soft masks."""
    return _missed(pred, target, 1.0, 1.0, smooth, w=weight)


@loss(
    formula="1 − (TP + smooth)/(TP + alpha·FP + beta·FN + smooth) over an image;  "
    "TP = Σ p·t, FP = Σ p·(1 − t), FN = Σ (1 − p)·t, p = pred, t = target",
    reference="Salehi et al. 2017, doi:10.1007/978-3-319-67389-9_44",
    differences=(
        "monai TverskyLoss adds smooth_nr = smooth_dr = 1e-5",
        "keras tversky takes the whole batch as one image, and its alpha is our beta (3.15: its names are swapped)",
        "kornia averages over the classes of an image, and adds 1e-8 below",
    ),
    pitfalls=(_ONE_CLASS, _EMPTY, "alpha = beta = 0.5 is dice with half the smooth, alpha = beta = 1 is jaccard"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
    neutral=(0.0, 0.0),
)
def tversky(
    pred: Mask,
    target: Mask,
    weight: PixelWeights = None,
    *,
    alpha: Alpha = 0.5,
    beta: Beta = 0.5,
    smooth: Smooth = 1.0,
) -> tuple[Array, Thunk]:
    """Dice or Jaccard loss with a weight for false positives and for negatives."""
    return _missed(pred, target, alpha, beta, smooth, w=weight)


@loss(
    formula="tversky^gamma over an image",
    reference="Abraham & Khan 2019, doi:10.1109/ISBI.2019.8759329",
    differences=("the paper writes the exponent 1/γ with γ = 4/3, and takes alpha = 0.3, beta = 0.7 in these names",),
    pitfalls=(_ONE_CLASS, _EMPTY, "with gamma below 1 the gradient is infinite where the masks agree exactly"),
    relative_accuracy="the value everywhere, the gradient with hard targets",
    neutral=(0.0, 0.0),
)
def focal_tversky(
    pred: Mask,
    target: Mask,
    weight: PixelWeights = None,
    *,
    alpha: Alpha = 0.5,
    beta: Beta = 0.5,
    gamma: Annotated[
        float, Param("the exponent: below 1, images that are nearly right count more", NON_NEGATIVE)
    ] = 0.75,
    smooth: Smooth = 1.0,
) -> tuple[Array, Thunk]:
    """Power of the Tversky loss."""
    missed, slopes = _missed(pred, target, alpha, beta, smooth, w=weight)

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
    neutral=(0.0, _NO_CLASS),
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
    counts = np.bincount(labels[labels >= 0].astype(np.intp), minlength=classes).astype(np.float64)
    # Relative to the smallest N² + epsilon, because 1/epsilon may overflow.
    shares = (counts.min() ** 2 + epsilon) / (counts**2 + epsilon)
    return np.asarray(shares / shares.sum())


@loss(
    formula="Σ max(0, 1 − s·x)·ΔJ over an image's pixels, the largest hinge first;  "
    "x = pred, s = 2·target − 1, ΔJ = the rise of the Jaccard loss",
    reference="Berman et al. 2018, doi:10.1109/CVPR.2018.00464",
    differences=(
        "the authors' code has per_image=True for it, as here; for a batch as one image give a first axis of 1",
    ),
    pitfalls=("pred is logits, and target 0 or 1", "an empty mask costs its largest hinge"),
    relative_accuracy="everywhere",
    neutral=(-2.0, 0.0),
)
def lovasz_hinge(pred: PixelScores, target: HardMask) -> tuple[Array, Thunk]:
    """Convex surrogate of the Jaccard loss of one class."""
    sign = 2.0 * target - 1.0
    short, lost = one_minus(sign * pred)
    short = np.maximum(short, 0.0)
    return lovasz_extension(short, target), lambda: np.where(short > 0, -sign * lovasz_slope(short, lost, target), 0.0)


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
    neutral=(0.0, _NO_CLASS),
)
def lovasz_softmax(pred: PixelProbabilities, target: PixelLabels) -> tuple[Array, Thunk]:
    """Surrogate of the mean Jaccard loss of several classes."""
    value, present = np.zeros(len(pred)), np.zeros(len(pred))
    for c in range(pred.shape[-1]):
        there = (target == c).astype(np.float64)
        occurs = there.any(axis=-1)
        value += occurs * lovasz_extension(np.abs(there - pred[..., c]), there)
        present += occurs

    def gradient() -> Array:
        slopes = np.zeros_like(pred)
        for c in range(pred.shape[-1]):
            there = (target == c).astype(np.float64)
            short, lost = one_minus(pred[..., c])
            away, lost = np.where(there > 0, short, pred[..., c]), np.where(there > 0, lost, 0.0)
            slope = lovasz_slope(away, lost, there)
            slopes[..., c] = np.where(there.any(axis=-1)[:, None], np.where(there > 0, -slope, slope), 0.0)
        return np.asarray(slopes / present[:, None, None])

    return value / present, gradient
