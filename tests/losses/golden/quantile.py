"""Values of other libraries for losses that weight errors above and below the target differently."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import real, weight

record = Recorder(
    {
        "quantile": {"tau": 0.5},
        "weighted_interval_score": {"tau": 0.5},
        "loglin_quantile": {"tau": 0.5},
        "expectile": {"tau": 0.5},
        "linex": {"a": 1.0},
    }
)

quantiles = np.sort(np.stack([real[0], real[0] + 0.6, real[0] - 0.9, real[0] + 2.2, real[0] - 1.7], 1), axis=1)

amounts = (real[0], np.abs(real[1]))

record("quantile", real, "sklearn.metrics.mean_pinball_loss(target, pred)")
record("quantile:tau=0.9", real, "sklearn.metrics.mean_pinball_loss(target, pred, alpha=0.9)")
record(
    "quantile:tau=0.2",
    real,
    "sklearn.metrics.mean_pinball_loss(target, pred, alpha=0.2, sample_weight=weight)",
    weight=weight,
)
record(
    "quantile:tau=0.1",
    real,
    "scoringrules.quantile_score(target, pred, 0.1).mean()",
    "scoringrules.quantile_score(target, pred, 0.1)",
)
# scoringrules adds the median, where its definition has the distance from it
record("weighted_interval_score", real, "F.l1_loss(pred, target)", "F.l1_loss(pred, target, reduction='none')")
record(
    "weighted_interval_score:tau=0.1,0.25,0.5,0.75,0.9",
    (quantiles, real[1]),
    "scoringrules.weighted_interval_score("
    "target, np.abs(target - pred[:, 2]), pred[:, [1, 0]], pred[:, [3, 4]], np.array([0.5, 0.2])).mean()",
)
for tau in (0.5, 0.3):
    # catboost keeps targets in float32
    record(
        f"loglin_quantile:tau={tau}",
        amounts,
        f"catboost.utils.eval_metric(target, pred, 'LogLinQuantile:alpha={tau}')[0]",
        rtol=FLOAT32,
    )
    each = f"{tau} * F.relu(target - pred.exp()) + {1 - tau} * F.relu(pred.exp() - target)"
    record(f"loglin_quantile:tau={tau}", amounts, f"({each}).mean()", each)
# statsmodels halves the square
NORM = "2 * statsmodels.robust.norms.MQuantileNorm({}, statsmodels.robust.norms.LeastSquares()).rho(target - pred)"
record("expectile", real, f"({NORM.format(0.5)}).mean()", NORM.format(0.5))
record("expectile:tau=0.9", real, f"({NORM.format(0.9)}).mean()", NORM.format(0.9))
for spec, a in (("linex", 1.0), ("linex:a=-0.5", -0.5)):
    record(spec, real, f"sktime.performance_metrics.forecasting.mean_linex_error(target, pred, a={a})")
