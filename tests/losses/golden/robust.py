"""Values of other libraries for robust losses."""

from __future__ import annotations

from golden.case import FLOAT32, Recorder
from golden.inputs import real, weight

record = Recorder(
    {
        "huber": {"delta": 1.0},
        "pseudo_huber": {"delta": 1.0},
        "smooth_l1": {"beta": 1.0},
        "cauchy": {"c": 1.0},
        "arctan": {"c": 1.0},
        "fair": {"c": 1.0},
        "geman_mcclure": {"c": 1.0},
        "welsch": {"c": 1.0},
    }
)

record("huber", real, "F.huber_loss(pred, target)", "F.huber_loss(pred, target, reduction='none')")
record(
    "huber:delta=0.5",
    real,
    "F.huber_loss(pred, target, delta=0.5)",
    "F.huber_loss(pred, target, delta=0.5, reduction='none')",
)
# torch's weighted mean divides by the sum of the weights in mse_loss and l1_loss, but by n here
record(
    "huber:delta=2.5",
    real,
    "F.huber_loss(pred, target, delta=2.5, weight=weight, reduction='sum') / weight.sum()",
    weight=weight,
)
record(
    "huber:delta=0.5",
    real,
    "0.5 * F.smooth_l1_loss(pred, target, beta=0.5)",
    "0.5 * F.smooth_l1_loss(pred, target, beta=0.5, reduction='none')",
)
record(
    "huber:delta=2.5", real, "scipy.special.huber(2.5, pred - target).mean()", "scipy.special.huber(2.5, pred - target)"
)
record(
    "huber:delta=2.5",
    real,
    "optax.losses.huber_loss(pred, target, delta=2.5).mean()",
    "optax.losses.huber_loss(pred, target, delta=2.5)",
)
record("huber:delta=2.5", real, "keras.losses.huber(target, pred, delta=2.5)", rtol=FLOAT32)

record(
    "pseudo_huber",
    real,
    "scipy.special.pseudo_huber(1.0, pred - target).mean()",
    "scipy.special.pseudo_huber(1.0, pred - target)",
)
record(
    "pseudo_huber:delta=0.5",
    real,
    "scipy.special.pseudo_huber(0.5, pred - target).mean()",
    "scipy.special.pseudo_huber(0.5, pred - target)",
)
record(
    "pseudo_huber:delta=3",
    real,
    "np.average(scipy.special.pseudo_huber(3.0, pred - target), weights=weight)",
    weight=weight,
)

for spec, beta in (("smooth_l1", 1.0), ("smooth_l1:beta=0.5", 0.5), ("smooth_l1:beta=3", 3.0)):
    record(
        spec,
        real,
        f"F.smooth_l1_loss(pred, target, beta={beta})",
        f"F.smooth_l1_loss(pred, target, beta={beta}, reduction='none')",
    )
# least_squares' own cost, half the sum of rho of the scaled squares, of a model without a parameter that matters
COST = "scipy.optimize.least_squares(lambda x: pred - target + 0 * x, [0.0], loss='{}', f_scale={}, max_nfev=1).cost"
for name in ("cauchy", "arctan"):
    for spec, c in ((name, 1.0), (f"{name}:c=2.5", 2.5)):
        record(spec, real, f"{COST.format(name, c)} / len(pred)")

for spec, c in (("fair", 1.0), ("fair:c=2.5", 2.5)):
    each = f"np.vectorize(gtsam.noiseModel.mEstimator.Fair.Create({c}).loss)(pred - target)"
    record(spec, real, f"{each}.mean()", each)
for name in ("geman_mcclure", "welsch"):
    for spec, c in ((name, 1.0), (f"{name}:c=2.5", 2.5)):  # kornia has no scale
        each = f"kornia.losses.{name}_loss(pred / {c}, target / {c}, reduction='none')"
        record(spec, real, f"{each}.mean()", each)
