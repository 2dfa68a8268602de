"""Diagnosis of a wrong gradient: the first simple explanation that fits the wrong samples."""

from __future__ import annotations

import numpy as np

from lossctl.core.loss import Loss
from lossctl.gradients.hints import arrangement, differences, factors, places, softmax, whole
from lossctl.gradients.hints.evidence import ENOUGH, FITS, VISIBLE, Evidence, Hint
from lossctl.gradients.tally import CheckSummary

# The explanations in the order in which they are tried; the first that fits is returned. Explanations of where the
# gradient is wrong come before those of its values.
HINTS: tuple[Hint, ...] = (
    *whole.HINTS,
    *places.HINTS,
    *softmax.HINTS,
    *factors.HINTS,
    *arrangement.HINTS,
    *differences.HINTS,
)


@np.errstate(all="ignore")  # an overflow fits no explanation
def diagnose(loss: Loss, summary: CheckSummary, *, second: bool = False) -> tuple[str, str] | None:
    """Return the code and the text of the first explanation that fits, or None.

    Args:
        loss: the loss.
        summary: the summary of the check.
        second: whether `summary` is that of a second derivative. Default False.
    """
    failing = summary.failing
    wrong = failing.wrong
    if np.count_nonzero(wrong) < ENOUGH:
        return None
    # Every explanation fits errors that are smaller than its tolerance.
    large = (
        np.median(failing.relative_error[wrong]) > VISIBLE * FITS and np.count_nonzero(failing.informative) >= ENOUGH
    )
    directions = not failing.inputs[0].size  # only a constant factor can be recognised
    evidence = Evidence(loss, failing, summary.passing, summary.samples)
    for hint in HINTS:
        if (hint.second or not (second or directions)) and (large or not hint.of_values):
            text = hint.explain(evidence)
            if text:
                return hint.code, text
    return None
