"""Values of other libraries for focal losses."""

from __future__ import annotations

from golden.case import FLOAT32, Recorder
from golden.inputs import hard, logit, probability

record = Recorder(
    {
        "focal": {"alpha": 0.25, "gamma": 2.0},
        "focal_with_logits": {"alpha": 0.25, "gamma": 2.0},
        "asymmetric": {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05},
    }
)

for spec, given in (
    ("focal_with_logits", "alpha=0.25, gamma=2"),
    ("focal_with_logits:alpha=none", "alpha=None, gamma=2.0"),
    ("focal_with_logits:gamma=0.5", "alpha=0.25, gamma=0.5"),
):
    each = f"optax.losses.sigmoid_focal_loss(pred, target, {given})"
    record(spec, (logit, hard), f"{each}.mean()", each)
record(
    "focal",
    (probability, hard),
    "keras.losses.binary_focal_crossentropy(target, pred, apply_class_balancing=True)",
    rtol=FLOAT32,
)
record("focal:alpha=none", (probability, hard), "keras.losses.binary_focal_crossentropy(target, pred)", rtol=FLOAT32)
for spec, given in (("focal", "alpha=0.25, gamma=2.0"), ("focal:alpha=0.7:gamma=0.5", "alpha=0.7, gamma=0.5")):
    each = f"optax.losses.sigmoid_focal_loss(jax.numpy.log(pred / (1 - pred)), target, {given})"
    record(spec, (probability, hard), f"{each}.mean()", each)
for spec, given in (("asymmetric", ""), ("asymmetric:gamma_neg=2:gamma_pos=0.5:clip=0.2", "2.0, 0.5, 0.2, ")):
    each = f"timm.loss.AsymmetricLossMultiLabel({given}reduction='none')(pred.logit()[:, None], target[:, None])[:, 0]"
    record(spec, (probability, hard), f"{each}.mean()", each, rtol=1e-5)  # timm takes p − clip in float32
