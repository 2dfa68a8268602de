"""Figures of other libraries for losses to which too much is not as bad as too little."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import real, weight

record = Recorder(
    {
        "quantile": {"tau": 0.5},
        "loglin_quantile": {"tau": 0.5},
        "expectile": {"tau": 0.5},
        "linex": {"a": 1.0},
        "epsilon_insensitive": {"epsilon": 0.1},
        "squared_epsilon_insensitive": {"epsilon": 0.1},
    }
)

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
for name, spec, given in (
    ("EpsilonInsensitive", "epsilon_insensitive", 0.1),
    ("EpsilonInsensitive", "epsilon_insensitive:epsilon=1.5", 1.5),
    ("SquaredEpsilonInsensitive", "squared_epsilon_insensitive", 0.1),
    ("SquaredEpsilonInsensitive", "squared_epsilon_insensitive:epsilon=1.5", 1.5),
):
    each = f"np.vectorize(sklearn.linear_model._sgd_fast.{name}({given}).py_loss)(target, pred)"
    record(spec, real, f"{each}.mean()", each)

for spec, a in (("linex", 1.0), ("linex:a=-0.5", -0.5)):
    record(spec, real, f"sktime.performance_metrics.forecasting.mean_linex_error(target, pred, a={a})")
