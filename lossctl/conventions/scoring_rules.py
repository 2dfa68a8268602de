"""Conventions of proper scoring rules."""

from __future__ import annotations

from lossctl.conventions.record import scoringrules, torchmetrics

ROWS = (
    scoringrules("crps_normal", "crps_gaussian", "scoringrules.crps_normal(target, pred, sigma).mean()"),
    scoringrules(
        "crps_ensemble",
        "crps_ensemble",
        "scoringrules.crps_ensemble(target, pred).mean()",
        mode="estimator='qd', the default, is the same as 'nrg'",
    ),
    scoringrules(
        "crps_ensemble",
        "crps_ensemble:estimator=fair",
        "scoringrules.crps_ensemble(target, pred, estimator='pwm').mean()",
        mode="estimator='pwm' is the same as 'fair'",
    ),
    scoringrules("interval_score", "interval_score", "scoringrules.interval_score(target, pred, upper, 0.1).mean()"),
    scoringrules(
        "rps_score",
        "ranked_probability_score",
        "scoringrules.rps_score(target + 1, pred).mean()",
        mode="it counts classes from 1",
    ),
    scoringrules("brier_score", "brier", "scoringrules.brier_score(target, pred).mean()"),
    scoringrules("quantile_score", "quantile", "scoringrules.quantile_score(target, pred, 0.5).mean()"),
    scoringrules(
        "logs_normal", "gaussian_nll:full=true", "scoringrules.logs_normal(target, pred, np.sqrt(var)).mean()"
    ),
    scoringrules("logs_laplace", "laplace_nll", "scoringrules.logs_laplace(target, pred, scale).mean()"),
    scoringrules("logs_t", "student_t_nll", "scoringrules.logs_t(target, df, pred, scale).mean()"),
    torchmetrics(
        "continuous_ranked_probability_score",
        "crps_ensemble",
        "torchmetrics.functional.regression.continuous_ranked_probability_score(pred, target)",
    ),
)
