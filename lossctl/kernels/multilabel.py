"""Losses of any number of classes at once: a row of scores, and a row that says which classes it has."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array
from lossctl.kernels.shaped import ClassChances, ClassFlags, ClassScores
from lossctl.kernels.spec import Thunk, loss


@loss(
    formula="Σ max(0, 1 − z[j] + z[i]) / k over classes j it has and i it has not;  z = pred",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html",
    differs=("torch takes the indices of the classes, filled up with −1: here a 0 or 1 for each class",),
    pitfalls=("pred is scores, not probabilities", "a row with no class, or with every class, costs nothing"),
)
def multilabel_margin(pred: ClassScores, target: ClassFlags) -> tuple[Array, Thunk]:
    """Hinges of every class that is not there against every one that is."""
    k = pred.shape[-1]
    has = target > 0
    value, slope = np.zeros(len(pred)), np.zeros_like(pred)
    for j in range(k):  # k passes over (n, k), not one over (n, k, k): memory
        short = np.where(has[:, j, None] & ~has, 1.0 + (pred - pred[:, j, None]), 0.0)
        active = short > 0
        value += np.where(active, short, 0.0).sum(axis=-1)
        slope += active
        slope[:, j] -= active.sum(axis=-1)
    return value / k, lambda: slope / k


@loss(
    formula="−Σ [t·log σ(z) + (1 − t)·log σ(−z)] / k over classes;  z = pred, t = target",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html",
    pitfalls=(
        "pred is logits, one for each class, that do not compete",
        "it is the mean of bce_with_logits over a row's classes",
    ),
    relative="the value everywhere, the gradient with hard targets",
)
def multilabel_soft_margin(pred: ClassScores, target: ClassChances) -> tuple[Array, Thunk]:
    """Binary cross-entropy from logits of each class, averaged over the classes."""
    k = pred.shape[-1]
    size = np.abs(pred)
    e = np.exp(-size)
    positive = pred > 0
    value = size * np.where(positive, 1.0 - target, target) + np.log1p(e)

    def gradient() -> Array:
        near, far = 1.0 / (1.0 + e), e / (1.0 + e)
        there, not_there = np.where(positive, near, far), np.where(positive, far, near)
        return np.asarray(((1.0 - target) * there - target * not_there) / k)

    return value.sum(axis=-1) / k, gradient
