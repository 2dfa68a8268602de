"""Values of other libraries for losses of a margin."""

from __future__ import annotations

from golden.case import FLOAT32, Recorder
from golden.inputs import logit, sign, weight

record = Recorder(
    {
        "hinge": {"margin": 1.0},
        "squared_hinge": {"margin": 1.0},
        "smoothed_hinge": {"gamma": 1.0},
        "dwd": {"q": 1.0},
    }
)

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

record(
    "smoothed_hinge:gamma=2",
    (logit, sign),
    "optax.losses.sparsemax_loss(pred, target > 0).mean()",
    "optax.losses.sparsemax_loss(pred, target > 0)",
)

# Of hinges that torch has: rounded off by its smooth_l1, the difference of two, and the square of an arctangent.
SHORT = "F.relu(1 - target * pred)"
for spec, gamma in (("smoothed_hinge", 1.0), ("smoothed_hinge:gamma=0.4", 0.4)):
    each = f"F.smooth_l1_loss({SHORT}, torch.zeros_like(pred), beta={gamma}, reduction='none')"
    record(spec, (logit, sign), f"({each}).mean()", each)
HINGE = "F.margin_ranking_loss(pred, torch.zeros_like(pred), target, margin={}, reduction='none')"
record(
    "ramp", (logit, sign), f"({HINGE.format(1)} - {HINGE.format(0)}).mean()", f"{HINGE.format(1)} - {HINGE.format(0)}"
)
each = "F.mse_loss(2 * torch.arctan(target * pred), torch.ones_like(pred), reduction='none')"
record("tangent", (logit, sign), f"{each}.mean()", each)
# the Brier score of what the logistic function makes of the score
record("savage", (logit, sign), "sklearn.metrics.brier_score_loss((target + 1) / 2, scipy.special.expit(pred))")
for spec, q in (("dwd", 1.0), ("dwd:q=0.4", 0.4), ("dwd:q=3", 3.0)):
    each = f"dwd.gen_dwd.V(target * pred, q={q})"
    record(spec, (logit, sign), f"{each}.mean()", each)
