"""Values of other libraries for likelihoods of a real number with a predicted scale or variance."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder
from golden.inputs import real

record = Recorder({"gaussian_nll": {"full": False}})
rng = np.random.default_rng(23)
spread = np.round(rng.lognormal(0, 0.7, 10), 3)
df = np.round(rng.uniform(0.5, 30, 10), 2)

VAR = ("pred", "target", "var")
for spec, full in (("gaussian_nll", False), ("gaussian_nll:full=true", True)):
    record(
        spec,
        (*real, spread),
        f"F.gaussian_nll_loss(pred, target, var, full={full})",
        f"F.gaussian_nll_loss(pred, target, var, full={full}, reduction='none')",
        names=VAR,
    )
record(
    "gaussian_nll:full=true",
    (*real, spread),
    "-scipy.stats.norm.logpdf(target, pred, np.sqrt(var)).mean()",
    "-scipy.stats.norm.logpdf(target, pred, np.sqrt(var))",
    names=VAR,
)
record(
    "laplace_nll",
    (*real, spread),
    "-torch.distributions.Laplace(pred, scale).log_prob(target).mean()",
    "-torch.distributions.Laplace(pred, scale).log_prob(target)",
    names=("pred", "target", "scale"),
)
record(
    "laplace_nll",
    (*real, spread),
    "-scipy.stats.laplace.logpdf(target, pred, scale).mean()",
    "-scipy.stats.laplace.logpdf(target, pred, scale)",
    names=("pred", "target", "scale"),
)
record(
    "student_t_nll",
    (*real, spread, df),
    "-torch.distributions.StudentT(df, pred, scale).log_prob(target).mean()",
    "-torch.distributions.StudentT(df, pred, scale).log_prob(target)",
    names=("pred", "target", "scale", "df"),
)
record(
    "student_t_nll",
    (*real, spread, df),
    "-scipy.stats.t.logpdf(target, df, pred, scale).mean()",
    "-scipy.stats.t.logpdf(target, df, pred, scale)",
    names=("pred", "target", "scale", "df"),
)
