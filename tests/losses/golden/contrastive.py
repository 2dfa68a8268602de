"""Values of other libraries for contrastive losses."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.metric_learning import anchor, positive

record = Recorder(
    {
        "supervised_ntxent": {"temperature": 0.07},
        "circle": {"gamma": 80.0, "margin": 0.4},
        "infonce": {"temperature": 0.07},
    }
)

groups = np.array([0, 1, 2, 0, 1, 0, 3, 0, 1, 2])  # of 4, 3, 2 and 1
SIMILAR = "s := F.normalize(pred, dim=1) @ F.normalize(pred, dim=1).T"

for spec, temperature in (("supervised_ntxent", 0.07), ("supervised_ntxent:temperature=0.5", 0.5)):
    record(spec, (anchor, groups), f"optax.losses.ntxent(pred, target, {temperature})")
    # torch has its parts, and their gradient
    each = (
        f"[{SIMILAR}, s := s / {temperature}, a := target[:, None] == target,"
        " torch.where(a & ~torch.eye(10, dtype=bool),"
        " F.softplus(torch.logsumexp(torch.where(a, -torch.inf, s), 1)[:, None] - s, threshold=100), 0).sum(1)][-1]"
    )
    record(spec, (anchor, groups), f"({each}).sum() / 20", each)
for spec, gamma, margin in (("circle", 80, 0.4), ("circle:gamma=5:margin=0.25", 5, 0.25)):
    given = f"F.normalize(pred, dim=1), gamma={gamma}, margin={margin}"
    record(spec, (anchor, groups), f"keras.losses.circle(target, {given}).mean()", rtol=FLOAT32)
    each = (
        f"[{SIMILAR}, a := target[:, None] == target, F.softplus("
        "torch.logsumexp(torch.where(a & ~torch.eye(10, dtype=bool),"
        f" {gamma} * ((1 - s) ** 2 - {margin}**2), -1e300), 1)"
        f" + torch.logsumexp(torch.where(a, -1e300, {gamma} * F.relu(s + {margin}) * (s - {margin})), 1),"
        " threshold=1000)][-1]"
    )
    record(spec, (anchor, groups), f"({each}).mean()", each)

# as its users write it: torch has its parts
for spec, temperature in (("infonce", 0.07), ("infonce:temperature=0.5", 0.5)):
    cosines = "F.normalize(pred, dim=1) @ F.normalize(target, dim=1).T"
    each = f"F.cross_entropy({cosines} / {temperature}, torch.arange(len(pred)), reduction='none')"
    record(spec, (anchor, positive), f"{each}.mean()", each)
