"""Diagnosis of a wrong gradient: the first simple explanation that fits the wrong samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossctl.core.loss import Loss
from lossctl.gradients.finite_differences import EPS
from lossctl.gradients.hints import (
    arguments,
    arrangement,
    differences,
    factors,
    parameters,
    places,
    ratios,
    softmax,
    whole,
)
from lossctl.gradients.hints.evidence import ENOUGH, ERROR_FACTOR, Evidence, Hint, visible
from lossctl.gradients.rounding import ULPS_OF_TERMS, precision_of
from lossctl.gradients.tally import CheckedSamples, CheckSummary

# The explanations in the order in which they are tried; the first that fits is returned. Explanations of where the
# gradient is wrong come before those of its values, but for another value of a parameter, which also is one of where.
HINTS: tuple[Hint, ...] = (
    *whole.HINTS,
    *parameters.HINTS,
    *places.HINTS,
    *softmax.HINTS,
    *factors.HINTS,
    *arrangement.HINTS,
    *arguments.HINTS,
    *differences.HINTS,
    *ratios.HINTS,
    *whole.LAST,
    *places.LAST,
)

# Least share of wrong coordinates whose error is well beyond the tolerance of an explanation of values.
_LEAST_VISIBLE = 0.01


def _with_rounding(cases: CheckedSamples, eps: float) -> CheckedSamples:
    """Return samples whose errors are at least those that explain the rounding of a gradient of lower precision."""
    if eps <= EPS:
        return cases
    rounding = ULPS_OF_TERMS / ERROR_FACTOR * eps * np.abs(cases.given)
    return replace(cases, error=np.fmax(cases.error, rounding))


@np.errstate(all="ignore")  # an overflow fits no explanation
def diagnose(
    loss: Loss, summary: CheckSummary, *, second: bool = False, reduction: str = "none"
) -> tuple[str, str] | None:
    """Return the code and the text of the first explanation that fits, or None.

    Args:
        loss: the loss.
        summary: the summary of the check.
        second: whether `summary` is that of a second derivative. Default False.
        reduction: what the user said that the gradient is of. Default ``none``: of each sample's loss.
    """
    eps = precision_of(np.concatenate([summary.failing.given, summary.passing.given])).eps
    failing, passing = (_with_rounding(cases, eps) for cases in (summary.failing, summary.passing))
    wrong = np.count_nonzero(failing.wrong)
    if not wrong:
        return None
    # Every explanation fits errors that are smaller than its tolerance.
    large = np.count_nonzero(visible(failing)) >= max(ENOUGH, _LEAST_VISIBLE * wrong)
    directions = not failing.inputs[0].size  # only a constant factor can be recognised
    evidence = Evidence(loss, failing, passing, summary.samples, reduction)
    for hint in HINTS:
        if (
            (hint.second or not (second or directions))
            and (large or not hint.of_values)
            and (wrong >= ENOUGH or hint.few)
            and (text := hint.explain(evidence))
        ):
            return hint.code, text
    return None
