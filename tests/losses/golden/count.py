"""Values of other libraries for likelihoods of counts."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder

record = Recorder(
    {
        "poisson_nll": {"full": False},
        "poisson_nll_log_rate": {"full": False},
        "negative_binomial_nll": {"dispersion": 1.0},
    }
)
rng = np.random.default_rng(17)
rate = np.round(rng.lognormal(1, 1, 12), 3)
log_rate = np.round(rng.normal(1, 1, 12), 3)
count = rng.poisson(4.0, 12).astype(float)

record(
    "poisson_nll",
    (rate, count),
    "F.poisson_nll_loss(pred, target, log_input=False, eps=0.0)",
    "F.poisson_nll_loss(pred, target, log_input=False, eps=0.0, reduction='none')",
)
record("poisson_nll", (rate, count), "keras.losses.poisson(target, pred)", rtol=FLOAT32)
record(
    "poisson_nll:full=true",
    (rate, count),
    "-scipy.stats.poisson.logpmf(target, pred).mean()",
    "-scipy.stats.poisson.logpmf(target, pred)",
)
record(
    "poisson_nll_log_rate",
    (log_rate, count),
    "F.poisson_nll_loss(pred, target)",
    "F.poisson_nll_loss(pred, target, reduction='none')",
)
record(
    "poisson_nll_log_rate:full=true",
    (log_rate, count),
    "-scipy.stats.poisson.logpmf(target, np.exp(pred)).mean()",
    "-scipy.stats.poisson.logpmf(target, np.exp(pred))",
)
for spec, a in (
    ("negative_binomial_nll", 1.0),
    ("negative_binomial_nll:dispersion=0.3", 0.3),
    ("negative_binomial_nll:dispersion=0.01", 0.01),
):
    each = f"-scipy.stats.nbinom.logpmf(target, 1 / {a}, 1 / (1 + {a} * pred))"
    record(spec, (rate, count), f"({each}).mean()", each)
