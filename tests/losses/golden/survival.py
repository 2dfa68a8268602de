"""Values of other libraries for survival losses."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import hard, real

record = Recorder({"cox": {"ties": "breslow", "mean": "rows"}, "aft": {"sigma": 1.0, "distribution": "normal"}})
times = np.array([3.0, 1.0, 2.0, 2.0, 5.0, 4.0, 2.0, 0.5, 3.0, 6.0])  # some of them equal
names = ("pred", "target", "event")

PHREG = "statsmodels.duration.hazard_regression.PHReg(target, pred[:, None], status=event, ties='breslow')"
record("cox", (real[0], times, hard), f"-{PHREG}.loglike(np.ones(1)) / 10", names=names)
record(
    "cox:ties=efron",
    (real[0], times, hard),
    f"-{PHREG.replace('breslow', 'efron')}.loglike(np.ones(1)) / 10",
    names=names,
)
record("cox:mean=events", (real[0], times, hard), f"-{PHREG}.loglike(np.ones(1)) / event.sum()", names=names)
# torch has no such loss, but its parts, and their gradient
AT_RISK = "torch.where(target[None] >= target[:, None], pred[None], -torch.inf)"
each = f"event * (torch.logsumexp({AT_RISK}, 1) - pred)"
record("cox", (real[0], times, hard), f"({each}).mean()", each, names=names)

# times that are known, and others that are not: up to a bound, from one on, between two
ever = 1e300  # as good as inf, which JSON has not
lower = np.array([3.0, 0.0, 2.0, 2.0, 0.0, 4.0, 2.0, 0.5, 3.0, 6.0])
upper = np.array([3.0, 1.0, 2.5, ever, 5.0, 4.0, 2.25, ever, 8.0, 6.0])
near = np.round(real[0] / 4, 4)  # of what is far out, differences of scipy's cdf have no digits
bounds = ("pred", "lower", "upper")
for distribution, law in (("normal", "norm"), ("logistic", "logistic"), ("extreme", "gumbel_l")):
    each = (
        f"np.where(lower == upper, np.log(1.5 * upper) - scipy.stats.{law}.logpdf((np.log(upper) - pred) / 1.5),"
        f" -np.log(scipy.stats.{law}.cdf((np.log(upper) - pred) / 1.5)"
        f" - scipy.stats.{law}.cdf((np.log(np.maximum(lower, 1e-300)) - pred) / 1.5)))"
    )
    record(
        f"aft:sigma=1.5:distribution={distribution}",
        (near, lower, upper),
        f"({each}).mean()",
        each,
        names=bounds,
    )
    # xgboost's metric, asked before it has trained, has a sigma of 1; it rounds to float32
    BOUNDS = "(data.set_float_info('label_lower_bound', lower), data.set_float_info('label_upper_bound', upper))"
    OPTIONS = (
        f"{{'objective': 'survival:aft', 'aft_loss_distribution': '{distribution}', 'eval_metric': 'aft-nloglik'}}"
    )
    record(
        f"aft:distribution={distribution}",
        (near, lower, upper),
        f"[data := xgboost.DMatrix(np.zeros((10, 1)), base_margin=pred), {BOUNDS},"
        f" xgboost.train({OPTIONS}, data, 0).eval(data)][2].split(':')[1]",
        names=bounds,
        rtol=FLOAT32,
    )
