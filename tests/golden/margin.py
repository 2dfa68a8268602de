"""Figures of other libraries for losses of a margin."""

from __future__ import annotations

from golden.case import FLOAT32, Recorder
from golden.inputs import logit, sign, weight

record = Recorder({"hinge": {"margin": 1.0}, "squared_hinge": {"margin": 1.0}})

record("hinge", (logit, sign), "sklearn.metrics.hinge_loss(target, pred)")
record("hinge", (logit, sign), "sklearn.metrics.hinge_loss(target, pred, sample_weight=weight)", weight=weight)
record("hinge", (logit, sign), "optax.losses.hinge_loss(pred, target).mean()", "optax.losses.hinge_loss(pred, target)")
record(
    "hinge:margin=0.5",
    (logit, sign),
    "F.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin=0.5)",
    "F.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin=0.5, reduction='none')",
)
record("squared_hinge", (logit, sign), "keras.losses.squared_hinge(target, pred)", rtol=FLOAT32)
record(
    "squared_hinge:margin=2",
    (logit, sign),
    "F.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin=2, reduction='none').square().mean()",
    "F.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin=2, reduction='none').square()",
)

EACH = "np.vectorize(sklearn.linear_model._sgd_fast.ModifiedHuber().py_loss)(target, pred)"
record("modified_huber", (logit, sign), f"{EACH}.mean()", EACH)
record(
    "soft_margin",
    (logit, sign),
    "F.soft_margin_loss(pred, target)",
    "F.soft_margin_loss(pred, target, reduction='none')",
)
record(
    "perceptron",
    (logit, sign),
    "optax.losses.perceptron_loss(pred, target).mean()",
    "optax.losses.perceptron_loss(pred, target)",
)
record(
    "exponential",
    (logit, sign),
    "sklearn._loss.loss.ExponentialLoss().loss(y_true=(target + 1) / 2, raw_prediction=pred).mean()",
    "sklearn._loss.loss.ExponentialLoss().loss(y_true=(target + 1) / 2, raw_prediction=pred)",
)
