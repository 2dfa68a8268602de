"""Values of scikit-learn for deviances."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder

record = Recorder({"tweedie_deviance": {"power": 1.5}})
rng = np.random.default_rng(19)
pred = np.round(rng.lognormal(0, 1, 12), 3)
positive = np.round(rng.lognormal(0, 1, 12), 3)
count = rng.poisson(1.5, 12).astype(float)
weight = np.round(rng.uniform(0.5, 3, 12), 2)

record("poisson_deviance", (pred, count), "sklearn.metrics.mean_poisson_deviance(target, pred)")
record(
    "poisson_deviance",
    (pred, count),
    "sklearn.metrics.mean_poisson_deviance(target, pred, sample_weight=weight)",
    weight=weight,
)
record("gamma_deviance", (pred, positive), "sklearn.metrics.mean_gamma_deviance(target, pred)")
for spec, power, target in (
    ("tweedie_deviance", 1.5, count),
    ("tweedie_deviance:power=-1", -1.0, count),
    ("tweedie_deviance:power=0", 0.0, count),
    ("tweedie_deviance:power=1", 1.0, count),
    ("tweedie_deviance:power=1.1", 1.1, count),
    ("tweedie_deviance:power=1.9", 1.9, positive),
    ("tweedie_deviance:power=2", 2.0, positive),
    ("tweedie_deviance:power=3", 3.0, positive),
):
    record(spec, (pred, target), f"sklearn.metrics.mean_tweedie_deviance(target, pred, power={power})")
