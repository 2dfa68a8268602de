"""Conventions of losses of several classes."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossctl.conventions.kernels import (
    clipped_softmax_focal,
    keras_categorical_hinge,
    ranking_by_place,
    uneven_softmax_focal,
    weighted_cross_entropy,
)
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
from lossctl.conventions.steps import Clip, Normalize, Softmax

_EPS = float(np.finfo(np.float64).eps)
_KERAS = (Normalize(), Clip(1e-7, 1.0 - 1e-7, single=True))
_SKLEARN = (Clip(_EPS, 1.0 - _EPS),)
_LOG_LOSS = "sklearn.metrics.log_loss(target, pred, sample_weight=weight)"
_OLD_LOG_LOSS = "sklearn.metrics.log_loss(target, pred, eps=1e-15, sample_weight=weight)"
_TORCH = {"inside": weighted_cross_entropy, "ignored": -100, "empty": "NaN"}

ROWS = (
    torch(
        "cross_entropy",
        "sparse_softmax_cross_entropy",
        "F.cross_entropy(pred, target, weight=class_weight)",
        class_weights="label",
        **_TORCH,
    ),
    torch(
        "cross_entropy",
        "softmax_cross_entropy",
        "F.cross_entropy(pred, target, weight=class_weight)",
        inside=weighted_cross_entropy,
    ),
    torch(
        "nll_loss",
        "nll",
        "F.nll_loss(pred, target, weight=class_weight)",
        class_weights="label",
        ignored=-100,
        empty="NaN",
    ),
    torch(
        "nll_loss",
        "sparse_categorical_cross_entropy",
        "F.nll_loss(pred.log(), target, weight=class_weight)",
        reads="log(pred)",
        class_weights="label",
        ignored=-100,
        empty="NaN",
    ),
    torch("multi_margin_loss", "multi_margin", "F.multi_margin_loss(pred, target)"),
    torch("multilabel_margin_loss", "multilabel_margin", "F.multilabel_margin_loss(pred, indices(target))"),
    torch("multilabel_soft_margin_loss", "multilabel_soft_margin", "F.multilabel_soft_margin_loss(pred, target)"),
    keras(
        "CategoricalCrossentropy",
        "categorical_cross_entropy",
        "keras.losses.CategoricalCrossentropy()(target, pred, sample_weight=weight)",
        steps=_KERAS,
    ),
    tensorflow(
        "CategoricalCrossentropy",
        "categorical_cross_entropy",
        "tf.keras.losses.CategoricalCrossentropy()(target, pred, sample_weight=weight)",
        steps=_KERAS,
        weights="count",
    ),
    keras(
        "SparseCategoricalCrossentropy",
        "sparse_categorical_cross_entropy",
        "keras.losses.SparseCategoricalCrossentropy()(target, pred, sample_weight=weight)",
        steps=_KERAS,
    ),
    tensorflow(
        "SparseCategoricalCrossentropy",
        "sparse_categorical_cross_entropy",
        "tf.keras.losses.SparseCategoricalCrossentropy()(target, pred, sample_weight=weight)",
        steps=_KERAS,
        weights="count",
    ),
    keras(
        "CategoricalCrossentropy",
        "softmax_cross_entropy",
        "keras.losses.CategoricalCrossentropy(from_logits=True)(target, pred, sample_weight=weight)",
    ),
    keras(
        "SparseCategoricalCrossentropy",
        "sparse_softmax_cross_entropy",
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(target, pred, sample_weight=weight)",
    ),
    tensorflow(
        "softmax_cross_entropy_with_logits",
        "softmax_cross_entropy",
        "tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, pred))",
        reduction="none",
    ),
    tensorflow(
        "sparse_softmax_cross_entropy_with_logits",
        "sparse_softmax_cross_entropy",
        "tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, pred))",
        reduction="none",
    ),
    sklearn("log_loss", "categorical_cross_entropy", _LOG_LOSS, since="1.2", steps=_SKLEARN),
    sklearn("log_loss", "sparse_categorical_cross_entropy", _LOG_LOSS, since="1.2", steps=_SKLEARN),
    sklearn(
        "log_loss",
        "categorical_cross_entropy",
        _OLD_LOG_LOSS,
        before="1.2",
        steps=(Clip(1e-15, 1.0 - 1e-15), Normalize()),
    ),
    sklearn(
        "log_loss",
        "sparse_categorical_cross_entropy",
        _OLD_LOG_LOSS,
        before="1.2",
        steps=(Clip(1e-15, 1.0 - 1e-15), Normalize()),
    ),
    sklearn(
        "HalfMultinomialLoss",
        "sparse_softmax_cross_entropy",
        "sklearn._loss.loss.HalfMultinomialLoss(n_classes=pred.shape[1])(y_true=target.astype(float), "
        "raw_prediction=pred, sample_weight=weight)",
    ),
    sklearn("hinge_loss", "crammer_singer", "sklearn.metrics.hinge_loss(target, pred, sample_weight=weight)"),
    sklearn(
        "brier_score_loss", "multiclass_brier", "sklearn.metrics.brier_score_loss(target, pred, sample_weight=weight)"
    ),
    sklearn(
        "label_ranking_loss",
        "label_ranking",
        "sklearn.metrics.label_ranking_loss(target, pred, sample_weight=weight)",
    ),
    sklearn("coverage_error", "coverage", "sklearn.metrics.coverage_error(target, pred, sample_weight=weight)"),
    optax(
        "softmax_cross_entropy",
        "softmax_cross_entropy",
        "optax.losses.softmax_cross_entropy(pred, target).mean()",
        all_pairs=True,
    ),
    optax(
        "softmax_cross_entropy_with_integer_labels",
        "sparse_softmax_cross_entropy",
        "optax.losses.softmax_cross_entropy_with_integer_labels(pred, target).mean()",
    ),
    optax(
        "poly_loss_cross_entropy",
        "poly1_softmax:epsilon=2",
        "optax.losses.poly_loss_cross_entropy(pred, onehot(target)).mean()",
    ),
    optax(
        "multiclass_perceptron_loss",
        "crammer_singer:margin=0",
        "optax.losses.multiclass_perceptron_loss(pred, target).mean()",
    ),
    optax("multiclass_hinge_loss", "crammer_singer", "optax.losses.multiclass_hinge_loss(pred, target).mean()"),
    optax("multiclass_sparsemax_loss", "sparsemax", "optax.losses.multiclass_sparsemax_loss(pred, target).mean()"),
    keras(
        "CategoricalHinge",
        "crammer_singer",
        "keras.losses.CategoricalHinge()(onehot(target), pred, sample_weight=weight)",
        kernel=keras_categorical_hinge,
        says=("counts a 0 among the scores of wrong classes",),
    ),
    keras(
        "CategoricalFocalCrossentropy",
        "softmax_focal",
        "keras.losses.CategoricalFocalCrossentropy(from_logits=True)(onehot(target), pred, sample_weight=weight)",
        kernel=clipped_softmax_focal,
        factor=0.25,
        says=("clips probabilities to [1e-7, 1 − 1e-7]",),
    ),
    kornia(
        "focal_loss",
        "softmax_focal",
        "kornia.losses.focal_loss(pred, target, alpha=None, reduction='mean')",
        per_class=True,
        mode="alpha=None; it has no default",
    ),
    kornia(
        "focal_loss",
        "softmax_focal",
        "kornia.losses.focal_loss(pred, target, alpha=0.25, reduction='mean')",
        kernel=partial(uneven_softmax_focal, alpha=0.25),
        says=("multiplies class 0 by 1 − alpha, 0.75, and all others by alpha, 0.25",),
        per_class=True,
        mode="alpha=0.25; it has no default",
    ),
    torchmetrics(
        "multiclass_hinge_loss",
        "crammer_singer",
        "torchmetrics.functional.classification.multiclass_hinge_loss(pred, target, pred.shape[1])",
        steps=(Softmax(),),
        mode="if all predictions are in [0, 1] it applies none: like sklearn",
    ),
    torchmetrics(
        "multilabel_ranking_loss",
        "label_ranking",
        "torchmetrics.functional.classification.multilabel_ranking_loss(pred, target.long(), pred.shape[1])",
        kernel=ranking_by_place,
        says=("ranks equal scores by their places", "averages in single precision"),
    ),
    torchmetrics(
        "multilabel_coverage_error",
        "coverage",
        "torchmetrics.functional.classification.multilabel_coverage_error(pred, target.long(), pred.shape[1])",
        says=("averages in single precision",),
    ),
    keras(
        "CategoricalGeneralizedCrossEntropy",
        "generalized_cross_entropy:q=0.5",
        "keras.losses.CategoricalGeneralizedCrossEntropy()(target, pred, sample_weight=weight)",
    ),
    xgboost(
        "mlogloss",
        "sparse_categorical_cross_entropy",
        "eval_metric='mlogloss'",
        steps=(Clip(1e-16, 1.0),),
    ),
    lightgbm(
        "multi_logloss",
        "sparse_categorical_cross_entropy",
        "metric='multi_logloss'",
        steps=(Clip(1e-15, 1.0),),
    ),
    catboost("MultiClass", "sparse_softmax_cross_entropy", "eval_metric(target, pred, 'MultiClass', weight)"),
)
