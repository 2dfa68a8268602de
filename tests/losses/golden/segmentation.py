"""Values of other libraries for losses of whole images, here rows of 12 pixels."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder

SMOOTH = {"smooth": 1.0}
ERRORS = {"alpha": 0.5, "beta": 0.5} | SMOOTH
record = Recorder(
    {
        "dice": SMOOTH,
        "squared_dice": SMOOTH,
        "jaccard": SMOOTH,
        "tversky": ERRORS,
        "focal_tversky": ERRORS | {"gamma": 0.75},
        "multiclass_generalized_dice": SMOOTH | {"epsilon": 1e-7},
    }
)

rng = np.random.default_rng(20240609)
N, PIXELS, CLASSES = 5, 12, 3
mask = np.round(rng.uniform(0.02, 0.98, (N, PIXELS)), 3)
hard = rng.integers(0, 2, (N, PIXELS)).astype(float)
scores = np.round(rng.normal(0, 2, (N, PIXELS)), 3)
chances = np.round(rng.dirichlet(np.ones(CLASSES), (N, PIXELS)), 3) + 0.0
chances[..., 0] = 1 - chances[..., 1:].sum(axis=-1)
labels = rng.integers(0, CLASSES, (N, PIXELS))

GIVEN = "(pred[:, None], target[:, None]).flatten()"
DICE = "monai.losses.DiceLoss(smooth_nr={0}, smooth_dr={0}, reduction='none'{1})" + GIVEN
TVERSKY = "monai.losses.TverskyLoss(smooth_nr=1, smooth_dr=1, alpha={}, beta={}, reduction='none')" + GIVEN


def both(loss: str, each: str) -> None:
    """A case whose mean is that of its samples."""
    record(loss, (mask, hard), f"({each}).mean()", each)


both("dice", DICE.format(1.0, ""))
both("dice:smooth=0.25", DICE.format(0.25, ""))
both("squared_dice:smooth=2", DICE.format(2.0, ", squared_pred=True"))
both("jaccard", DICE.format(2.0, ", jaccard=True"))  # monai doubles what is above and below but not this
both("jaccard:smooth=0.25", DICE.format(0.5, ", jaccard=True"))
both("tversky:alpha=0.3:beta=0.7", TVERSKY.format(0.3, 0.7))
both("focal_tversky:alpha=0.3:beta=0.7", f"({TVERSKY.format(0.3, 0.7)}) ** 0.75")
record(
    "dice:smooth=1e-07",
    (mask, hard),
    "keras.losses.dice(target, pred, axis=1).mean()",
    rtol=FLOAT32,
)
each = (
    "torch.stack([kornia.losses.lovasz_hinge_loss(p[None, None, None], t[None, None]) for p, t in zip(pred, target)])"
)
record("lovasz_hinge", (scores, hard), f"{each}.mean()", each)
each = (
    "torch.stack([kornia.losses.lovasz_softmax_loss(p.T.log()[None, :, None], t[None, None])"
    " for p, t in zip(pred, target)])"
)
record("lovasz_softmax", (chances, labels), f"{each}.mean()")

# optax's smooth is above and below half of the sums; its parts, and their gradient, with the weights that it gives them
for spec, smooth in (("multiclass_generalized_dice", 1.0), ("multiclass_generalized_dice:smooth=0.25", 0.25)):
    given = f"smooth={smooth / 2}, apply_softmax=False)"
    call = f"optax.losses.multiclass_generalized_dice_loss(pred, jax.nn.one_hot(target, {CLASSES}), {given}"
    record(spec, (chances, labels), call)
    each = (
        f"[t := jax.nn.one_hot(target, {CLASSES}), w := 1 / (t.sum((0, 1)) ** 2 + 1e-07), optax.losses.dice_loss("
        f"pred, t, class_weights={CLASSES} * w / w.sum(), {given}][-1]"
    )
    record(spec, (chances, labels), f"({each}).mean()", each)
