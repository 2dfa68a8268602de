"""Check of the derivative of the transform of a mean, such as the root of RMSE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.judge import check
from lossctl.gradients.result import GradCheck
from lossctl.gradients.verdict import Verdict


def with_finish(result: GradCheck, loss: Loss, rtol: float, seed: int) -> GradCheck:
    """Check the derivative of the transform of the mean at 200 random means, and add its verdicts to the counts."""
    finish = loss.finish
    assert finish is not None
    means = 10.0 ** np.random.default_rng(seed).uniform(-12, 12, 200)

    def f(_rows: np.ndarray | None, x: Array) -> Array:
        return np.array([finish.value(float(v)) for v in x[:, 0]])

    given = np.array([[finish.derivative(float(v))] for v in means])
    checked = check(DerivativeProblem(f, means[:, None], given, np.maximum(means, 1.0), 0.0, np.inf, rtol))
    more = np.bincount(checked.verdict.ravel(), minlength=len(Verdict))
    counts = {name: n + int(m) for (name, n), m in zip(result.counts.items(), more, strict=True)}
    if not more[Verdict.WRONG]:
        return replace(result, counts=counts)
    if result.hint:
        return replace(result, counts=counts, passed=False)
    hint = "the derivative of its finish is wrong"
    return replace(result, counts=counts, passed=False, hint=hint, hint_code="finish")
