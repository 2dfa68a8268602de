"""Values of other libraries for losses for samples with any number of classes."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import logits, weight

record = Recorder({})

_rng = np.random.default_rng(20240608)
flags = _rng.integers(0, 2, logits.shape).astype(float)
chances = np.round(_rng.uniform(0, 1, logits.shape), 3)
# torch's targets: the indices of the classes, then -1
indices = np.array([[*np.flatnonzero(row), *[-1] * int(4 - row.sum())] for row in flags])

record(
    "multilabel_margin",
    (logits, flags),
    f"F.multilabel_margin_loss(pred, torch.tensor({indices.tolist()})) + 0 * target.sum()",
    f"F.multilabel_margin_loss(pred, torch.tensor({indices.tolist()}), reduction='none')",
)
for target in (flags, chances):
    record(
        "multilabel_soft_margin",
        (logits, target),
        "F.multilabel_soft_margin_loss(pred, target)",
        "F.multilabel_soft_margin_loss(pred, target, reduction='none')",
    )
# with scores that are equal; scikit-learn gives the loss of one row as that of a table of one
coarse = np.round(logits)
for spec, name in (("label_ranking", "label_ranking_loss"), ("coverage", "coverage_error")):
    record(
        spec,
        (coarse, flags),
        f"sklearn.metrics.{name}(target, pred)",
        f"np.array([sklearn.metrics.{name}(t[None], p[None]) for p, t in zip(pred, target)])",
    )
    record(spec, (coarse, flags), f"sklearn.metrics.{name}(target, pred, sample_weight=weight)", weight=weight)
