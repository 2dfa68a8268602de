"""Values of other libraries for losses of relative errors."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import real, weight

record = Recorder({})
rng = np.random.default_rng(11)
amounts = (np.round(rng.lognormal(0, 1.5, 10), 3), np.round(rng.lognormal(0, 1.5, 10), 3))
negative = (amounts[0] - 0.9, amounts[1] - 0.9)  # above −1

record("msle", amounts, "sklearn.metrics.mean_squared_log_error(target, pred)")
record("msle", negative, "sklearn.metrics.mean_squared_log_error(target, pred, sample_weight=weight)", weight=weight)
record("msle", amounts, "keras.losses.mean_squared_logarithmic_error(target, pred)", rtol=FLOAT32)
record("rmsle", amounts, "sklearn.metrics.root_mean_squared_log_error(target, pred)")
record("mape", real, "sklearn.metrics.mean_absolute_percentage_error(target, pred)")
record("mape", real, "keras.losses.mean_absolute_percentage_error(target, pred) / 100", rtol=FLOAT32)
record("smape", real, "2 * F.l1_loss(pred, target, reduction='none').div(pred.abs() + target.abs()).mean()")
record("wape", real, "sklearn.metrics.mean_absolute_error(target, pred) / np.abs(target).mean()")
record(
    "wape",
    real,
    "sklearn.metrics.mean_absolute_error(target, pred, sample_weight=weight)"
    " / np.average(np.abs(target), weights=weight)",
    weight=weight,
)
scales = np.round(np.abs(real[1]) + 0.5, 3)
SCALED = ("pred", "target", "scale")
record("mase", (*real, scales), "F.l1_loss(pred / scale, target / scale)", names=SCALED)
record("rmsse", (*real, scales), "F.mse_loss(pred / scale, target / scale).sqrt()", names=SCALED)
