"""Losses for samples with any number of classes: a row of scores, and a row with 1 for each class of the sample."""

from __future__ import annotations

import numpy as np

from lossctl.core.array_kinds import ClassChances, ClassFlags, ClassScores
from lossctl.core.arrays import Array
from lossctl.core.decorator import Thunk, loss
from lossctl.losses.numerics.elementary import log1p


@loss(
    formula="Σ max(0, 1 − z[j] + z[i]) / k over classes j it has and i it has not;  z = pred",
    reference="torch.nn.MultiLabelMarginLoss",
    differences=("torch takes the indices of the classes, filled up with −1: here a 0 or 1 for each class",),
    pitfalls=("pred is scores, not probabilities", "a row with no class, or with every class, costs nothing"),
)
def multilabel_margin(pred: ClassScores, target: ClassFlags) -> tuple[Array, Thunk]:
    """Hinges of each absent class against each present class."""
    k = pred.shape[-1]
    value, lacks = np.zeros(len(pred)), 1.0 - target
    for j in range(k):  # k passes over (n, k), not one over (n, k, k): memory
        short = pred - pred[:, j, None]
        short += 1.0
        np.maximum(short, 0.0, out=short)
        short *= lacks
        value += target[:, j] * short.sum(axis=-1)

    def gradient() -> Array:
        slope = np.zeros_like(pred)
        for j in range(k):
            active = (target[:, j, None] > target) & (1.0 + (pred - pred[:, j, None]) > 0)
            slope += active
            slope[:, j] -= active.sum(axis=-1)
        return np.asarray(slope / k)

    return value / k, gradient


_STEPS = "its gradient is 0 but where it jumps: nothing learns from it"


@loss(
    formula="the share of pairs of a class j it has and a class i it has not with z[i] ≥ z[j];  z = pred",
    reference="Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34; sklearn.metrics.label_ranking_loss",
    aliases=("ranking_loss",),
    differences=("scikit-learn takes the targets first; some count a pair of equal scores by half: here it is wrong",),
    pitfalls=("a row with no class, or with every class, costs nothing, and counts", _STEPS),
    relative_accuracy="everywhere",
)
def label_ranking(pred: ClassScores, target: ClassFlags) -> tuple[Array, Thunk]:
    """The fraction of pairs of classes that are in the wrong order."""
    k = pred.shape[-1]
    value, lacks = np.zeros(len(pred)), 1.0 - target
    for j in range(k):
        wrong = pred >= pred[:, j, None]
        value += target[:, j] * (lacks * wrong).sum(axis=-1)
    pairs = target.sum(axis=-1) * lacks.sum(axis=-1)
    return value / np.maximum(pairs, 1.0), lambda: np.zeros_like(pred)


@loss(
    formula="how many classes have z[i] ≥ the least z[j] of the classes j it has;  z = pred",
    reference="Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34; sklearn.metrics.coverage_error",
    aliases=("coverage_error",),
    differences=("scikit-learn takes the targets first; the authors count from 0, this less 1",),
    pitfalls=("at best the number of classes it has, not 0; of a row with no class it is 0", _STEPS),
    relative_accuracy="everywhere",
)
def coverage(pred: ClassScores, target: ClassFlags) -> tuple[Array, Thunk]:
    """The number of scores down to the lowest score of a present class."""
    least = np.where(target > 0, pred, np.inf).min(axis=-1, keepdims=True)
    return (pred >= least).sum(axis=-1, dtype=np.float64), lambda: np.zeros_like(pred)


@loss(
    formula="−Σ [t·log σ(z) + (1 − t)·log σ(−z)] / k over classes;  z = pred, t = target",
    reference="torch.nn.MultiLabelSoftMarginLoss",
    pitfalls=(
        "pred is logits, one for each class, that do not compete",
        "it is the mean of bce_with_logits over a row's classes",
    ),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def multilabel_soft_margin(pred: ClassScores, target: ClassChances) -> tuple[Array, Thunk]:
    """Binary cross-entropy from logits of each class, averaged over the classes."""
    k = pred.shape[-1]
    size = np.abs(pred)
    e = np.exp(-size)
    positive = pred > 0
    value = size * np.where(positive, 1.0 - target, target) + log1p(e)

    def gradient() -> Array:
        likelier, far = 1.0 / (1.0 + e), e / (1.0 + e)
        there, not_there = np.where(positive, likelier, far), np.where(positive, far, likelier)
        return np.asarray(((1.0 - target) * there - target * not_there) / k)

    return value.sum(axis=-1) / k, gradient
