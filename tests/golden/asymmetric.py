"""Figures of other libraries for losses to which too much is not as bad as too little."""

from __future__ import annotations

from golden.case import Recorder
from golden.inputs import real, weight

record = Recorder(
    {
        "quantile": {"tau": 0.5},
        "expectile": {"tau": 0.5},
        "epsilon_insensitive": {"epsilon": 0.1},
        "squared_epsilon_insensitive": {"epsilon": 0.1},
    }
)

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
