"""Conventions of regression losses."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossctl.conventions.kernels import (
    floored_mape,
    floored_smape,
    overflowing_log_cosh,
    shrunk_mae,
    shrunk_quantile,
)
from lossctl.conventions.record import (
    catboost,
    keras,
    kornia,
    lightgbm,
    optax,
    sklearn,
    statsmodels,
    tensorflow,
    torch,
    torchmetrics,
    xgboost,
)
from lossctl.conventions.steps import Clip, Floor

_LEAST = float(np.finfo(np.float64).eps)  # by which scikit-learn divides at least
_MAPE_FROM_1 = partial(floored_mape, floor=1.0)
_SHRUNK = "takes 1e-6 off the absolute residual"
_FLOOR = "divides by 1.17e-6 at least"  # of torchmetrics
_MSE_TEXT = "sklearn.metrics.mean_squared_error(target, pred, sample_weight=weight)"

ROWS = (
    torch("mse_loss", "mse", "F.mse_loss(pred, target, weight=weight)", weights="sum", all_pairs=True),
    keras("MeanSquaredError", "mse", "keras.losses.MeanSquaredError()(target, pred, sample_weight=weight)"),
    tensorflow("MeanSquaredError", "mse", "tf.keras.losses.MeanSquaredError()(target, pred, sample_weight=weight)"),
    sklearn("mean_squared_error", "mse", _MSE_TEXT),
    optax("squared_error", "mse", "optax.losses.squared_error(pred, target).mean()", all_pairs=True),
    optax("l2_loss", "half_squared_error", "optax.losses.l2_loss(pred, target).mean()", all_pairs=True),
    optax("l2_loss", "mse", "optax.losses.l2_loss(pred, target).mean()", factor=0.5, all_pairs=True),
    lightgbm("l2", "mse", "metric='l2'"),
    statsmodels("mse", "mse", "statsmodels.tools.eval_measures.mse(pred, target)"),
    sklearn(
        "HalfSquaredError",
        "half_squared_error",
        "sklearn._loss.loss.HalfSquaredError()(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    statsmodels(
        "LeastSquares",
        "half_squared_error",
        "statsmodels.robust.norms.LeastSquares().rho(pred - target).mean()",
        reduction="none",
    ),
    tensorflow("l2_loss", "half_squared_error", "tf.nn.l2_loss(pred - target)", reduction="sum"),
    sklearn(
        "root_mean_squared_error",
        "rmse",
        "sklearn.metrics.root_mean_squared_error(target, pred, sample_weight=weight)",
        per_column=True,
    ),
    xgboost("rmse", "rmse", "eval_metric='rmse'"),
    lightgbm("rmse", "rmse", "metric='rmse'"),
    catboost("RMSE", "rmse", "eval_metric(target, pred, 'RMSE', weight)"),
    statsmodels("rmse", "rmse", "statsmodels.tools.eval_measures.rmse(pred, target)"),
    torch("l1_loss", "mae", "F.l1_loss(pred, target, weight=weight)", weights="sum", all_pairs=True),
    keras("MeanAbsoluteError", "mae", "keras.losses.MeanAbsoluteError()(target, pred, sample_weight=weight)"),
    tensorflow("MeanAbsoluteError", "mae", "tf.keras.losses.MeanAbsoluteError()(target, pred, sample_weight=weight)"),
    sklearn("mean_absolute_error", "mae", "sklearn.metrics.mean_absolute_error(target, pred, sample_weight=weight)"),
    sklearn(
        "AbsoluteError",
        "mae",
        "sklearn._loss.loss.AbsoluteError()(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    xgboost("mae", "mae", "eval_metric='mae'"),
    lightgbm("l1", "mae", "metric='l1'"),
    catboost("MAE", "mae", "eval_metric(target, pred, 'MAE', weight)", kernel=shrunk_mae, says=(_SHRUNK,)),
    statsmodels("meanabs", "mae", "statsmodels.tools.eval_measures.meanabs(pred, target)"),
    torch("huber_loss", "huber", "F.huber_loss(pred, target, weight=weight)", weights="count", all_pairs=True),
    keras("Huber", "huber", "keras.losses.Huber()(target, pred, sample_weight=weight)"),
    tensorflow("Huber", "huber", "tf.keras.losses.Huber()(target, pred, sample_weight=weight)"),
    optax("huber_loss", "huber", "optax.losses.huber_loss(pred, target).mean()", all_pairs=True),
    sklearn(
        "HuberLoss",
        "huber",
        "sklearn._loss.loss.HuberLoss(quantile=0.9, delta=1)(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    lightgbm("huber", "huber:delta=0.9", "metric='huber'"),
    catboost("Huber", "huber", "eval_metric(target, pred, 'Huber:delta=1', weight)"),
    statsmodels(
        "HuberT",
        "huber:delta=1.345",
        "statsmodels.robust.norms.HuberT().rho(pred - target).mean()",
        reduction="none",
    ),
    torch("smooth_l1_loss", "smooth_l1", "F.smooth_l1_loss(pred, target)", all_pairs=True),
    torch("smooth_l1_loss", "huber", "F.smooth_l1_loss(pred, target)", says=("is divided by delta",), all_pairs=True),
    xgboost("mphe", "pseudo_huber", "eval_metric='mphe'"),
    lightgbm("fair", "fair", "metric='fair'"),
    catboost("FairLoss", "fair", "eval_metric(target, pred, 'FairLoss:smoothness=1', weight)"),
    keras("LogCosh", "log_cosh", "keras.losses.LogCosh()(target, pred, sample_weight=weight)"),
    tensorflow("LogCosh", "log_cosh", "tf.keras.losses.LogCosh()(target, pred, sample_weight=weight)"),
    optax("log_cosh", "log_cosh", "optax.losses.log_cosh(pred, target).mean()", all_pairs=True),
    catboost("Lq", "lq:q=1.5", "eval_metric(target, pred, 'Lq:q=1.5', weight)"),
    sklearn(
        "PinballLoss",
        "quantile",
        "sklearn._loss.loss.PinballLoss()(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    sklearn("mean_pinball_loss", "quantile", "sklearn.metrics.mean_pinball_loss(target, pred, sample_weight=weight)"),
    lightgbm("quantile", "quantile:tau=0.9", "metric='quantile'"),
    catboost(
        "Quantile",
        "quantile",
        "eval_metric(target, pred, 'Quantile', weight)",
        kernel=shrunk_quantile,
        says=(_SHRUNK,),
    ),
    catboost("Expectile", "expectile", "eval_metric(target, pred, 'Expectile', weight)"),
    keras(
        "MeanAbsolutePercentageError",
        "mape",
        "keras.losses.MeanAbsolutePercentageError()(target, pred, sample_weight=weight)",
        kernel=partial(floored_mape, floor=1e-7),
        says=("divides by 1e-7 at least",),
        factor=100.0,
    ),
    tensorflow(
        "MeanAbsolutePercentageError",
        "mape",
        "tf.keras.losses.MeanAbsolutePercentageError()(target, pred, sample_weight=weight)",
        kernel=partial(floored_mape, floor=1e-7),
        says=("divides by 1e-7 at least",),
        factor=100.0,
    ),
    sklearn(
        "mean_absolute_percentage_error",
        "mape",
        "sklearn.metrics.mean_absolute_percentage_error(target, pred, sample_weight=weight)",
        kernel=partial(floored_mape, floor=_LEAST),
        says=(f"divides by {_LEAST:.2g} at least",),
    ),
    xgboost("mape", "mape", "eval_metric='mape'"),
    lightgbm("mape", "mape", "metric='mape'", kernel=_MAPE_FROM_1, says=("divides by 1 at least",)),
    catboost(
        "MAPE",
        "mape",
        "eval_metric(target, pred, 'MAPE', weight)",
        kernel=_MAPE_FROM_1,
        says=("divides by 1 at least",),
    ),
    catboost("SMAPE", "smape", "eval_metric(target, pred, 'SMAPE', weight)", factor=100.0),
    keras(
        "MeanSquaredLogarithmicError",
        "msle",
        "keras.losses.MeanSquaredLogarithmicError()(target, pred, sample_weight=weight)",
        steps=(Clip(1e-7, np.inf, single=True, target=True),),
    ),
    tensorflow(
        "MeanSquaredLogarithmicError",
        "msle",
        "tf.keras.losses.MeanSquaredLogarithmicError()(target, pred, sample_weight=weight)",
        steps=(Clip(1e-7, np.inf, single=True, target=True),),
    ),
    sklearn(
        "mean_squared_log_error", "msle", "sklearn.metrics.mean_squared_log_error(target, pred, sample_weight=weight)"
    ),
    sklearn(
        "root_mean_squared_log_error",
        "rmsle",
        "sklearn.metrics.root_mean_squared_log_error(target, pred, sample_weight=weight)",
        per_column=True,
    ),
    xgboost("rmsle", "rmsle", "eval_metric='rmsle'"),
    torch("gaussian_nll_loss", "gaussian_nll", "F.gaussian_nll_loss(pred, target, var)", steps=(Floor("var", 1e-6),)),
    *(
        kornia(f"{name}_loss", loss, f"kornia.losses.{name}_loss(pred, target).mean()", reduction="none")
        for name, loss in (
            ("charbonnier", "pseudo_huber"),
            ("cauchy", f"cauchy:c={2.0**0.5!r}"),
            ("geman_mcclure", "geman_mcclure"),
            ("welsch", "welsch"),
        )
    ),
    *(
        torchmetrics(name, loss, f"torchmetrics.functional.{name}(pred, target)", **departures)
        for name, loss, departures in (
            ("mean_squared_error", "mse", {}),
            ("mean_absolute_error", "mae", {}),
            ("mean_squared_log_error", "msle", {}),
            (
                "mean_absolute_percentage_error",
                "mape",
                {"kernel": partial(floored_mape, floor=1.17e-6), "says": (_FLOOR,)},
            ),
            (
                "symmetric_mean_absolute_percentage_error",
                "smape",
                {"kernel": partial(floored_smape, floor=1.17e-6), "says": (_FLOOR,)},
            ),
            ("weighted_mean_absolute_percentage_error", "wape", {}),
            ("log_cosh_error", "log_cosh", {"kernel": overflowing_log_cosh, "says": ("is infinite beyond |r| = 710",)}),
        )
    ),
    *(
        statsmodels(name, spec, f"statsmodels.robust.norms.{name}().rho(pred - target).mean()", reduction="none")
        for name, spec in (
            ("TukeyBiweight", "tukey_biweight"),
            ("TukeyQuartic", "tukey_quartic"),
            ("AndrewWave", "andrew_wave"),
            ("RamsayE", "ramsay"),
            ("Hampel", "hampel"),
            ("TrimmedMean", "trimmed_mean"),
        )
    ),
)
