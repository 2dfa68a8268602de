"""Values of other libraries for divergences between two distributions."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import log_rows, rows, soft_rows, weight

record = Recorder({"renyi": {"alpha": 2.0}, "generalized_js_divergence": {"beta": 0.5}})

# pred is q, target is p

record(
    "kl_divergence",
    (rows, soft_rows),
    "F.kl_div(pred.log(), target, reduction='batchmean')",
    "F.kl_div(pred.log(), target, reduction='none').sum(1)",
)
record(
    "kl_divergence",
    (rows, soft_rows),
    "scipy.special.rel_entr(target, pred).sum(1).mean()",
    "scipy.special.rel_entr(target, pred).sum(1)",
)
record(
    "kl_divergence",
    (rows, soft_rows),
    "optax.losses.kl_divergence(jax.numpy.log(pred), target).mean()",
    "optax.losses.kl_divergence(jax.numpy.log(pred), target)",
)
record("kl_divergence", (rows, soft_rows), "keras.losses.kl_divergence(target, pred).mean()")
record(
    "kl_divergence",
    (rows, soft_rows),
    "np.average(scipy.special.rel_entr(target, pred).sum(1), weights=weight)",
    weight=weight,
)

record(
    "reverse_kl",
    (rows, soft_rows),
    "F.kl_div(target.log(), pred, reduction='batchmean')",
    "F.kl_div(target.log(), pred, reduction='none').sum(1)",
)
record(
    "kl_divergence_log_input",
    (log_rows, soft_rows),
    "F.kl_div(pred, target, reduction='batchmean')",
    "F.kl_div(pred, target, reduction='none').sum(1)",
)
record(
    "kl_divergence_log_target",
    (log_rows, np.log(soft_rows)),
    "F.kl_div(pred, target, reduction='batchmean', log_target=True)",
    "F.kl_div(pred, target, reduction='none', log_target=True).sum(1)",
)
record(
    "kl_divergence_log_target",
    (log_rows, np.log(soft_rows)),
    "optax.losses.kl_divergence_with_log_targets(pred, target).mean()",
    "optax.losses.kl_divergence_with_log_targets(pred, target)",
)
each = "trl.GKDTrainer.generalized_jsd_loss(pred.log(), target.log(), beta=0.5, reduction='none').sum(1)"
record("generalized_js_divergence", (rows, soft_rows), f"({each}).mean()")
# TRL 0.12 swaps the weights in the mixture
KL = "F.kl_div((0.2 * target + 0.8 * pred).log(), {}, reduction='none').sum(1)"
each = f"0.2 * {KL.format('target')} + 0.8 * {KL.format('pred')}"
record("generalized_js_divergence:beta=0.2", (rows, soft_rows), f"({each}).mean()", each)
record(
    "js_divergence",
    (rows, soft_rows),
    "(scipy.spatial.distance.jensenshannon(pred, target, axis=1) ** 2).mean()",
    "scipy.spatial.distance.jensenshannon(pred, target, axis=1) ** 2",
)
record(
    "jeffreys",
    (rows, soft_rows),
    "F.kl_div(pred.log(), target, reduction='batchmean') + F.kl_div(target.log(), pred, reduction='batchmean')",
    "(F.kl_div(pred.log(), target, reduction='none') + F.kl_div(target.log(), pred, reduction='none')).sum(1)",
)
record(
    "generalized_kl",
    (10 * rows, 7 * soft_rows),
    "scipy.special.kl_div(target, pred).sum(1).mean()",
    "scipy.special.kl_div(target, pred).sum(1)",
)
for alpha in (2.0, 0.5):  # torch has a logarithm of sums of exponentials, and no such divergence
    each = f"torch.logsumexp({alpha} * target.log() + {1 - alpha} * pred.log(), 1) / {alpha - 1}"
    record(f"renyi:alpha={alpha}", (rows, soft_rows), f"({each}).mean()", each)
