"""Values of other libraries for losses of language models."""

from __future__ import annotations

import numpy as np

from golden.case import Recorder

record = Recorder({"kl_estimator": {"estimator": "k3"}, "ppo_clip": {"low": 0.2, "high": 0.2}})

_rng = np.random.default_rng(20240614)
documents, units = -np.round(_rng.uniform(20, 400, 10), 3), _rng.integers(5, 90, 10).astype(float)
tokens, others = -np.round(_rng.exponential(1.5, (2, 10)), 4)
others = tokens + np.round(_rng.normal(0, 0.3, 10), 4)
gains = np.round(_rng.normal(size=10), 3)

# no library computes them apart from its models: their definitions in torch
record("perplexity", (documents, units), "torch.exp(-pred.sum() / target.sum())")
record(
    "bits_per_unit",
    (documents, units),
    "-pred.sum() / target.sum() / torch.log(torch.tensor(2.0, dtype=torch.float64))",
)
record("kl_estimator", (others, tokens), "torch.special.expm1(target - pred).sub(target - pred).mean()")
record("kl_estimator:estimator=k1", (others, tokens), "torch.sub(pred, target).mean()", "torch.sub(pred, target)")
record("kl_estimator:estimator=k2", (others, tokens), "F.mse_loss(pred, target) / 2")
for spec, low, high in (("ppo_clip", 0.2, 0.2), ("ppo_clip:low=0.1:high=0.3", 0.1, 0.3)):
    ratio = "(pred - target).exp()"
    each = f"-torch.minimum({ratio} * advantage, {ratio}.clamp({1 - low}, {1 + high}) * advantage)"
    record(spec, (tokens, others, gains), f"({each}).mean()", each, names=("pred", "target", "advantage"))
