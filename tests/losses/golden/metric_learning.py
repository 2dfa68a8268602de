"""Values of other libraries for losses of distances."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import N, hard, logit, real, sign, soft

record = Recorder(
    {
        "cosine_embedding": {"margin": 0.0},
        "contrastive": {"margin": 1.0},
        "hinge_embedding": {"margin": 1.0},
        "margin_ranking": {"margin": 0.0},
        "triplet": {"margin": 1.0, "p": 2.0, "swap": False},
    }
)

_rng = np.random.default_rng(20240610)
anchor, positive, negative = (np.round(_rng.normal(0, 1, (N, 3)), 3) for _ in range(3))
distance = np.round(_rng.uniform(0.1, 2, N), 3)

record(
    "cosine_distance",
    (anchor, positive),
    "(1 - F.cosine_similarity(pred, target)).mean()",
    "1 - F.cosine_similarity(pred, target)",
)
record(
    "cosine_distance",
    (anchor, positive),
    "optax.losses.cosine_distance(pred, target).mean()",
    "optax.losses.cosine_distance(pred, target)",
)
for margin in (0.0, 0.3):
    record(
        f"cosine_embedding:margin={margin}",
        (anchor, positive, sign),
        f"F.cosine_embedding_loss(pred, x2, target, margin={margin})",
        f"F.cosine_embedding_loss(pred, x2, target, margin={margin}, reduction='none')",
        names=("pred", "x2", "target"),
        rtol=1e-10,  # torch adds 1e-12 to the squared lengths
    )
for margin in (1.0, 0.4):
    record(
        f"hinge_embedding:margin={margin}",
        (logit, sign),
        f"F.hinge_embedding_loss(pred, target, margin={margin})",
        f"F.hinge_embedding_loss(pred, target, margin={margin}, reduction='none')",
    )
    record(
        f"margin_ranking:margin={margin}",
        (*real, sign),
        f"F.margin_ranking_loss(pred, x2, target, margin={margin})",
        f"F.margin_ranking_loss(pred, x2, target, margin={margin}, reduction='none')",
        names=("pred", "x2", "target"),
    )
    for target in (hard, soft):  # of torch's squares: it has no such loss
        each = f"target * pred.square() + (1 - target) * F.relu({margin} - pred).square()"
        record(f"contrastive:margin={margin}", (distance, target), f"({each}).mean()", each)
for spec in ("p=2.0", "p=1.0", "p=3.0:margin=0.5", "swap=true"):
    given = spec.replace(":", ", ").replace("true", "True")
    each = f"F.triplet_margin_loss(pred, target, negative, {given}, eps=0, reduction='none')"
    names = ("pred", "target", "negative")
    record(f"triplet:{spec}", (anchor, positive, negative), f"({each}).mean()", each, names=names)
