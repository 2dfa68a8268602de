"""Values of other libraries for redescending losses and for wing."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder

record = Recorder(
    {
        "tukey_biweight": {"c": 4.685},
        "tukey_quartic": {"c": 3.61752},
        "andrew_wave": {"a": 1.339},
        "hampel": {"a": 2.0, "b": 4.0, "c": 8.0},
        "ramsay": {"a": 0.3},
        "trimmed_mean": {"c": 2.0},
        "wing": {"width": 5.0, "curvature": 0.5},
    }
)
rng = np.random.default_rng(13)
wide = (np.round(rng.normal(0, 5, 12), 3), np.round(rng.normal(0, 3, 12), 3))

for spec, norm in (
    ("tukey_biweight", "TukeyBiweight()"),
    ("tukey_biweight:c=2", "TukeyBiweight(c=2)"),
    ("tukey_quartic", "TukeyQuartic()"),
    ("tukey_quartic:c=2", "TukeyQuartic(c=2)"),
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

for spec, given in (("wing", ""), ("wing:width=10:curvature=2", ", width=10.0, curvature=2.0")):
    each = f"pytorch_toolbelt.losses.functional.wing_loss(pred, target{given}, reduction='none')"
    record(spec, wide, f"{each}.mean()", each)
