"""Figures of statsmodels for losses of robust statistics."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder

record = Recorder(
    {
        "tukey_biweight": {"c": 4.685},
        "andrew_wave": {"a": 1.339},
        "hampel": {"a": 2.0, "b": 4.0, "c": 8.0},
        "ramsay": {"a": 0.3},
        "trimmed_mean": {"c": 2.0},
    }
)
rng = np.random.default_rng(13)
wide = (np.round(rng.normal(0, 5, 12), 3), np.round(rng.normal(0, 3, 12), 3))

for spec, norm in (
    ("tukey_biweight", "TukeyBiweight()"),
    ("tukey_biweight:c=2", "TukeyBiweight(c=2)"),
    ("andrew_wave", "AndrewWave()"),
    ("andrew_wave:a=2.5", "AndrewWave(a=2.5)"),
    ("hampel", "Hampel()"),
    ("hampel:a=1:b=2:c=5", "Hampel(a=1.0, b=2.0, c=5.0)"),
    ("ramsay", "RamsayE()"),
    ("ramsay:a=1", "RamsayE(a=1.0)"),
    ("trimmed_mean", "TrimmedMean()"),
    ("trimmed_mean:c=4", "TrimmedMean(c=4.0)"),
):
    each = f"statsmodels.robust.norms.{norm}.rho(pred - target)"
    record(spec, wide, f"{each}.mean()", each)
