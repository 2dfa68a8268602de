"""Values of other libraries for regression losses."""

from __future__ import annotations

from golden.case import FLOAT32, Recorder
from golden.inputs import real, table, weight

record = Recorder(
    {
        "lq": {"q": 1.5},
        "epsilon_insensitive": {"epsilon": 0.1},
        "squared_epsilon_insensitive": {"epsilon": 0.1},
    }
)

record("mse", real, "F.mse_loss(pred, target)", "F.mse_loss(pred, target, reduction='none')")
record("mse", real, "F.mse_loss(pred, target, weight=weight)", weight=weight)
record("mse", table, "F.mse_loss(pred, target)")
record("mse", real, "sklearn.metrics.mean_squared_error(target, pred)")
record("mse", real, "sklearn.metrics.mean_squared_error(target, pred, sample_weight=weight)", weight=weight)
record("mse", table, "sklearn.metrics.mean_squared_error(target, pred, sample_weight=weight)", weight=weight)
record("mse", real, "(2 * optax.losses.l2_loss(pred, target)).mean()", "2 * optax.losses.l2_loss(pred, target)")
record("mse", real, "keras.losses.mean_squared_error(target, pred)", rtol=FLOAT32)

record("rmse", real, "sklearn.metrics.root_mean_squared_error(target, pred)")
record("rmse", real, "sklearn.metrics.root_mean_squared_error(target, pred, sample_weight=weight)", weight=weight)
record("rmse", table, "F.mse_loss(pred, target).sqrt()")

record("mae", real, "F.l1_loss(pred, target)", "F.l1_loss(pred, target, reduction='none')")
record("mae", table, "F.l1_loss(pred, target)")
record("mae", real, "sklearn.metrics.mean_absolute_error(target, pred, sample_weight=weight)", weight=weight)
record("mae", real, "keras.losses.mean_absolute_error(target, pred)", rtol=FLOAT32)

record(
    "half_squared_error",
    real,
    "optax.losses.l2_loss(pred, target).mean()",
    "optax.losses.l2_loss(pred, target)",
)
record(
    "half_squared_error",
    real,
    "sklearn._loss.loss.HalfSquaredError().loss(y_true=target, raw_prediction=pred).mean()",
    "sklearn._loss.loss.HalfSquaredError().loss(y_true=target, raw_prediction=pred)",
)
record("log_cosh", real, "optax.losses.log_cosh(pred, target).mean()", "optax.losses.log_cosh(pred, target)")
record("log_cosh", real, "keras.losses.log_cosh(target, pred)", rtol=FLOAT32)
# no library has it: the power that torch differentiates
record(
    "lq",
    real,
    "(pred - target).abs().pow(1.5).mean() * torch.ones(())",
    "(pred - target).abs().pow(1.5) * torch.ones(())",
)
record("lq:q=3", real, "(torch.norm(pred - target, p=3) ** 3 / len(pred))")
for name, spec, given in (
    ("EpsilonInsensitive", "epsilon_insensitive", 0.1),
    ("EpsilonInsensitive", "epsilon_insensitive:epsilon=1.5", 1.5),
    ("SquaredEpsilonInsensitive", "squared_epsilon_insensitive", 0.1),
    ("SquaredEpsilonInsensitive", "squared_epsilon_insensitive:epsilon=1.5", 1.5),
):
    each = f"np.vectorize(sklearn.linear_model._sgd_fast.{name}({given}).py_loss)(target, pred)"
    record(spec, real, f"{each}.mean()", each)
