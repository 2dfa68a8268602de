"""Conventions of losses of two classes."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossctl.conventions.kernels import bce_plus, clamped_bce, mixed_focal, mixed_focal_with_logits
from lossctl.conventions.record import (
    catboost,
    keras,
    kornia,
    lightgbm,
    optax,
    sklearn,
    tensorflow,
    torch,
    torchmetrics,
    xgboost,
)
from lossctl.conventions.steps import Clip, Sigmoid, Signs

_EPS = float(np.finfo(np.float64).eps)
_MIXED = "weighs soft targets by (1 − p_t)^gamma"
_KERAS = Clip(1e-7, 1.0 - 1e-7, single=True)

ROWS = (
    torch(
        "binary_cross_entropy",
        "bce",
        "F.binary_cross_entropy(pred, target, weight=weight)",
        kernel=clamped_bce,
        says=("clamps log p and log(1 − p) at −100",),
        weights="count",
        empty="NaN",
    ),
    keras(
        "BinaryCrossentropy",
        "bce",
        "keras.losses.BinaryCrossentropy()(target, pred, sample_weight=weight)",
        steps=(_KERAS,),
    ),
    tensorflow(
        "BinaryCrossentropy",
        "bce",
        "tf.keras.losses.BinaryCrossentropy()(target, pred, sample_weight=weight)",
        since="2.16",
        steps=(_KERAS,),
        weights="count",
    ),
    tensorflow(
        "BinaryCrossentropy",
        "bce",
        "tf.keras.losses.BinaryCrossentropy()(target, pred, sample_weight=weight)",
        before="2.16",
        steps=(_KERAS,),
        kernel=partial(bce_plus, epsilon=1e-7),
        says=("adds 1e-7 within the logarithms",),
        weights="count",
    ),
    sklearn(
        "log_loss",
        "bce",
        "sklearn.metrics.log_loss(target, pred, sample_weight=weight)",
        since="1.2",
        steps=(Clip(_EPS, 1.0 - _EPS),),
        mode="of float32 predictions it clips at 1.19e-07, of float16 at 0.000977",
    ),
    sklearn(
        "log_loss",
        "bce",
        "sklearn.metrics.log_loss(target, pred, eps=1e-15, sample_weight=weight)",
        before="1.2",
        steps=(Clip(1e-15, 1.0 - 1e-15),),
    ),
    xgboost("logloss", "bce", "eval_metric='logloss'", steps=(Clip(1e-16, 1.0),)),
    lightgbm("cross_entropy", "bce", "metric='cross_entropy'", steps=(Clip(1e-12, 1.0 - 1e-12),)),
    torch(
        "binary_cross_entropy_with_logits",
        "bce_with_logits",
        "F.binary_cross_entropy_with_logits(pred, target, weight=weight)",
        weights="count",
        empty="NaN",
    ),
    keras(
        "BinaryCrossentropy",
        "bce_with_logits",
        "keras.losses.BinaryCrossentropy(from_logits=True)(target, pred, sample_weight=weight)",
    ),
    tensorflow(
        "sigmoid_cross_entropy_with_logits",
        "bce_with_logits",
        "tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, pred))",
        reduction="none",
    ),
    sklearn(
        "HalfBinomialLoss",
        "bce_with_logits",
        "sklearn._loss.loss.HalfBinomialLoss()(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    optax(
        "sigmoid_binary_cross_entropy",
        "bce_with_logits",
        "optax.losses.sigmoid_binary_cross_entropy(pred, target).mean()",
        all_pairs=True,
    ),
    lightgbm("binary_logloss", "bce_with_logits", "metric='binary_logloss'"),
    catboost("Logloss", "bce_with_logits", "eval_metric(target, pred, 'Logloss', weight)"),
    catboost("CrossEntropy", "bce_with_logits", "eval_metric(target, pred, 'CrossEntropy', weight)"),
    sklearn("brier_score_loss", "brier", "sklearn.metrics.brier_score_loss(target, pred, sample_weight=weight)"),
    torch("mse_loss", "brier", "F.mse_loss(pred, target, weight=weight)", weights="sum", all_pairs=True),
    keras("MeanSquaredError", "brier", "keras.losses.MeanSquaredError()(target, pred, sample_weight=weight)"),
    catboost(
        "BrierScore",
        "brier",
        "eval_metric(target, np.log(pred / (1 - pred)), 'BrierScore', weight)",
        reads="logits, log(p/(1 − p))",
    ),
    keras(
        "BinaryFocalCrossentropy",
        "focal",
        "keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)(target, pred, sample_weight=weight)",
        steps=(_KERAS,),
        kernel=mixed_focal,
        says=("has alpha only with apply_class_balancing=True", _MIXED),
    ),
    keras(
        "BinaryFocalCrossentropy",
        "focal:alpha=none",
        "keras.losses.BinaryFocalCrossentropy()(target, pred, sample_weight=weight)",
        steps=(_KERAS,),
        kernel=mixed_focal,
        says=(_MIXED,),
    ),
    optax(
        "sigmoid_focal_loss",
        "focal_with_logits:alpha=none",
        "optax.losses.sigmoid_focal_loss(pred, target).mean()",
        kernel=mixed_focal_with_logits,
        says=(_MIXED,),
        all_pairs=True,
    ),
    kornia(
        "binary_focal_loss_with_logits",
        "focal_with_logits",
        "kornia.losses.binary_focal_loss_with_logits(pred[:, None], target[:, None]).mean()",
        reduction="none",
    ),
    torchmetrics(
        "binary_hinge_loss",
        "hinge",
        "torchmetrics.functional.classification.binary_hinge_loss(pred, (target > 0).long())",
        steps=(Sigmoid(), Signs()),
        mode="if all predictions are in [0, 1] it applies none: like keras",
    ),
    sklearn("hinge_loss", "hinge", "sklearn.metrics.hinge_loss(target, pred, sample_weight=weight)"),
    keras("Hinge", "hinge", "keras.losses.Hinge()(target, pred, sample_weight=weight)", steps=(Signs(),)),
    keras(
        "SquaredHinge",
        "squared_hinge",
        "keras.losses.SquaredHinge()(target, pred, sample_weight=weight)",
        steps=(Signs(),),
    ),
    optax("hinge_loss", "hinge", "optax.losses.hinge_loss(pred, target).mean()", all_pairs=True),
    optax("perceptron_loss", "perceptron", "optax.losses.perceptron_loss(pred, target).mean()", all_pairs=True),
    optax(
        "sparsemax_loss",
        "smoothed_hinge:gamma=2",
        "optax.losses.sparsemax_loss(pred, (target + 1) / 2).mean()",
        mode="its targets are 0 and 1",
    ),
    torch("soft_margin_loss", "soft_margin", "F.soft_margin_loss(pred, target)"),
    sklearn(
        "ExponentialLoss",
        "exponential",
        "sklearn._loss.loss.ExponentialLoss()(y_true=(target + 1) / 2, raw_prediction=pred, sample_weight=weight)",
    ),
    sklearn(
        "zero_one_loss",
        "zero_one",
        "sklearn.metrics.zero_one_loss(target, pred >= 0.5, sample_weight=weight)",
        reads="labels, pred ≥ 0.5",
    ),
    xgboost(
        "error",
        "zero_one",
        "eval_metric='error'",
        says=("takes class 1 above the threshold, not at it",),
    ),
    torch("hinge_embedding_loss", "hinge_embedding", "F.hinge_embedding_loss(pred, target)", all_pairs=True),
    torch("margin_ranking_loss", "margin_ranking", "F.margin_ranking_loss(pred, x2, target)", all_pairs=True),
)
