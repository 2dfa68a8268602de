"""Values of other libraries for losses for two classes."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import hard, logit, probability, soft, weight

record = Recorder(
    {
        "bce": {"label_smoothing": 0.0},
        "bce_with_logits": {"pos_weight": 1.0, "label_weight": 1.0, "label_smoothing": 0.0},
        "poly1": {"epsilon": 1.0},
        "zero_one": {"threshold": 0.5},
    }
)

for target in (hard, soft):
    record(
        "bce",
        (probability, target),
        "F.binary_cross_entropy(pred, target)",
        "F.binary_cross_entropy(pred, target, reduction='none')",
    )
# torch divides the weighted sum by n; ours divides by the sum of the weights
record(
    "bce",
    (probability, soft),
    "F.binary_cross_entropy(pred, target, weight=weight, reduction='sum') / weight.sum()",
    weight=weight,
)
record("bce", (probability, hard), "sklearn.metrics.log_loss(target, pred)")
record("bce", (probability, hard), "sklearn.metrics.log_loss(target, pred, sample_weight=weight)", weight=weight)
record(
    "bce:label_smoothing=0.1",
    (probability, hard),
    "keras.losses.binary_crossentropy(target, pred, label_smoothing=0.1)",
    rtol=FLOAT32,
)
record(
    "bce:label_smoothing=0.3",
    (probability, soft),
    "F.binary_cross_entropy(pred, target * 0.7 + 0.15)",
    "F.binary_cross_entropy(pred, target * 0.7 + 0.15, reduction='none')",
)

for target in (hard, soft):
    record(
        "bce_with_logits",
        (logit, target),
        "F.binary_cross_entropy_with_logits(pred, target)",
        "F.binary_cross_entropy_with_logits(pred, target, reduction='none')",
    )
record(
    "bce_with_logits:pos_weight=3",
    (logit, soft),
    "F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(3.0))",
    "F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(3.0), reduction='none')",
)
record(
    "bce_with_logits:pos_weight=3:label_smoothing=0.1",
    (logit, hard),
    "F.binary_cross_entropy_with_logits(pred, target * 0.9 + 0.05, pos_weight=torch.tensor(3.0))",
    "F.binary_cross_entropy_with_logits(pred, target * 0.9 + 0.05, pos_weight=torch.tensor(3.0), reduction='none')",
)
LABELS = (np.stack([logit, logit[::-1], logit + 1], 1), np.stack([hard, hard, 1 - hard], 1))
record(
    "bce_with_logits:pos_weight=1,3,9",
    LABELS,
    "F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor([1.0, 3.0, 9.0]))",
)
record(
    "bce_with_logits:label_weight=1,2,0.5",
    LABELS,
    "F.binary_cross_entropy_with_logits(pred, target, weight=torch.tensor([1.0, 2.0, 0.5]))",
)
record(
    "bce_with_logits",
    (logit, hard),
    "F.binary_cross_entropy_with_logits(pred, target, weight=weight, reduction='sum') / weight.sum()",
    weight=weight,
)
record(
    "bce_with_logits",
    (logit, soft),
    "optax.losses.sigmoid_binary_cross_entropy(pred, target).mean()",
    "optax.losses.sigmoid_binary_cross_entropy(pred, target)",
)
record(
    "bce_with_logits:label_smoothing=0.1",
    (logit, hard),
    "keras.losses.binary_crossentropy(target, pred, from_logits=True, label_smoothing=0.1)",
    rtol=FLOAT32,
)

# of two classes with logits log(1 − p) and log p
TWO = "jax.numpy.stack([jax.numpy.log(1 - pred), jax.numpy.log(pred)], 1), jax.numpy.stack([1 - target, target], 1)"
for epsilon, given in (("", 1.0), (":epsilon=2.5", 2.5)):
    record(
        f"poly1{epsilon}",
        (probability, hard),
        f"optax.losses.poly_loss_cross_entropy({TWO}, epsilon={given}).mean()",
        f"optax.losses.poly_loss_cross_entropy({TWO}, epsilon={given})",
    )
# LightGBM shows its loss after a round of training, which here cannot move the scores
XENTLAMBDA = (
    "[seen := {}, lightgbm.train({'objective': 'cross_entropy_lambda', 'metric': 'cross_entropy_lambda', 'verbose': -1,"
    " 'boost_from_average': False}, data := lightgbm.Dataset(np.zeros((10, 1)), target, weight=exposure,"
    " init_score=pred), 1, [data], callbacks=[lightgbm.record_evaluation(seen)]), seen][2]"
    "['training']['cross_entropy_lambda'][0]"
)
exposure = np.round(weight * 4) / 4  # which float32 holds
names = ("pred", "target", "exposure")
record("cross_entropy_lambda", (logit, hard, exposure), XENTLAMBDA, names=names)
Y = "(exposure * F.softplus(pred))"
EACH = f"(1 - target) * {Y} - target * torch.log(-torch.expm1(-{Y}))"
record("cross_entropy_lambda", (logit, soft, exposure), f"({EACH}).mean()", EACH, names=names)

record("zero_one", (probability, hard), "sklearn.metrics.zero_one_loss(target, pred >= 0.5)")
record("zero_one:threshold=0", (logit, hard), "sklearn.metrics.zero_one_loss(target, pred >= 0)")
record(
    "zero_one",
    (probability, hard),
    "sklearn.metrics.zero_one_loss(target, pred >= 0.5, sample_weight=weight)",
    weight=weight,
)
