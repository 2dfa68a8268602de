"""Values of other libraries for losses of sequences."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder

record = Recorder({"ctc": {"blank": 0, "per_symbol": False, "zero_infinity": False}})

_rng = np.random.default_rng(20240612)
N, TIME, CLASSES, SYMBOLS = 6, 8, 5, 4
frames = np.log(_rng.dirichlet(np.ones(CLASSES), (N, TIME)))
frames -= np.log(np.exp(frames).sum(axis=-1, keepdims=True))
symbols = _rng.integers(1, CLASSES, (N, SYMBOLS))
symbols[:3, 1] = symbols[:3, 0]  # equal ones need a blank between
input_lengths, target_lengths = np.array([8, 7, 8, 5, 8, 6]), np.array([4, 3, 2, 4, 0, 1])
NAMES = ("pred", "target", "input_lengths", "target_lengths")

# torch's gradient is by logits: no figure
for blank, target in ((0, symbols), (4, symbols - 1)):
    record(
        f"ctc:blank={blank}",
        (frames, target, input_lengths, target_lengths),
        f"F.ctc_loss(pred.transpose(0, 1), target, input_lengths, target_lengths, {blank}, reduction='sum') / {N}",
        names=NAMES,
    )
    record(
        f"ctc:blank={blank}:per_symbol=true",
        (frames, target, input_lengths, target_lengths),
        f"F.ctc_loss(pred.transpose(0, 1), target, input_lengths, target_lengths, {blank})",
        names=NAMES,
    )
    record(
        f"ctc:blank={blank}:zero_infinity=true",
        (frames, target, np.minimum(input_lengths, 3), target_lengths),
        "F.ctc_loss(pred.transpose(0, 1), target, input_lengths, target_lengths,"
        f" {blank}, reduction='sum', zero_infinity=True) / {N}",
        names=NAMES,
    )
    padding = "({0}_lengths[:, None] <= jax.numpy.arange({1})).astype(float)"
    record(
        f"ctc:blank={blank}",
        (frames, target, input_lengths, target_lengths),
        f"optax.losses.ctc_loss(pred, {padding.format('input', TIME)}, target,"
        f" {padding.format('target', SYMBOLS)}, blank_id={blank}).mean()",
        names=NAMES,
        rtol=1e-6,  # optax counts paths that cannot be with e^-100000, and rounds on the way
    )
