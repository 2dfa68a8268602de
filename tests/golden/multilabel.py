"""Figures of other libraries for losses of any number of classes at once."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import logits

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
