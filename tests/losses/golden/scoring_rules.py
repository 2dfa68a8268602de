"""Values of other libraries for proper scoring rules."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import hard, labels, probability, real, rows, weight

record = Recorder({"crps_ensemble": {"estimator": "energy"}, "interval_score": {"alpha": 0.1}})
rng = np.random.default_rng(29)
sigma = np.round(rng.lognormal(0, 0.7, 10), 3)
members = np.round(rng.normal(0, 2, (10, 6)), 3)
upper = real[0] + np.round(rng.lognormal(0, 0.7, 10), 3)

record("brier", (probability, hard), "sklearn.metrics.brier_score_loss(target, pred)")
record(
    "brier", (probability, hard), "sklearn.metrics.brier_score_loss(target, pred, sample_weight=weight)", weight=weight
)
record(
    "brier",
    (probability, hard),
    "scoringrules.brier_score(target, pred).mean()",
    "scoringrules.brier_score(target, pred)",
)
record("multiclass_brier", (rows, labels), "sklearn.metrics.brier_score_loss(target, pred, scale_by_half=False)")
record(
    "ranked_probability_score",
    (rows, labels),
    "scoringrules.rps_score(target + 1, pred).mean()",
    "scoringrules.rps_score(target + 1, pred)",
)
record(
    "crps_gaussian",
    (*real, sigma),
    "scoringrules.crps_normal(target, pred, sigma).mean()",
    "scoringrules.crps_normal(target, pred, sigma)",
    names=("pred", "target", "sigma"),
)
for spec, theirs in (("crps_ensemble", "nrg"), ("crps_ensemble", "qd"), ("crps_ensemble:estimator=fair", "fair")):
    each = f"scoringrules.crps_ensemble(target, pred, estimator='{theirs}')"
    record(spec, (members, real[1]), f"{each}.mean()", each)
for spec, alpha in (("interval_score", 0.1), ("interval_score:alpha=0.5", 0.5)):
    each = f"scoringrules.interval_score(target, pred, upper, {alpha})"
    record(spec, (real[0], upper, real[1]), f"{each}.mean()", each, names=("pred", "upper", "target"))
