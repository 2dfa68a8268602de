"""Hints on the gradient as a whole: it is 0, the same everywhere, or not finite."""

from __future__ import annotations

import numpy as np

from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    Evidence,
    Hint,
    hint,
    share_of,
    share_text,
)
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []


@hint(HINTS, "not-computed", of_values=False)
def _zero_everywhere(case: Evidence) -> str | None:
    given = np.concatenate([case.failing.given, case.passing.given])
    if given.any():
        return None
    return "given is 0 everywhere: the gradient was never computed, or was reset"


@hint(HINTS, "same-everywhere", of_values=False)
def _same_everywhere(case: Evidence) -> str | None:
    given = np.concatenate([case.failing.given, case.passing.given])
    if len(given) < ENOUGH or not (given == given[0]).all() or not np.ptp(case.failing.numeric[:, 0]):
        return None
    return f"given is the same at every sample ({number(float(given[0, 0]))}): one element, or a mean, was repeated"


@hint(HINTS, "not-finite", of_values=False)
def _not_finite(case: Evidence) -> str | None:
    """Explain a gradient that is NaN or infinite where the derivative is finite."""
    failing, passing = case.failing, case.passing
    bad = ~np.isfinite(failing.given)
    share = share_of(bad[failing.wrong])
    if share is None:
        return None
    what = (
        "NaN"
        if np.isnan(failing.given[bad]).all()
        else "infinite"
        if np.isinf(failing.given[bad]).all()
        else "NaN or infinite"
    )
    if failing.given.shape[1] == 1:
        good = passing.inputs[0][~np.isin(passing.verdict[:, 0], (Verdict.WRONG, Verdict.UNDEFINED))]
        at, target = failing.inputs[0][bad[:, 0]], failing.inputs[1][bad[:, 0]] if len(failing.inputs) > 1 else None
        if target is not None and target.shape == at.shape and (at == target).all():
            return f"given is {what} where pred equals target{share_text(share)}; the derivative is finite there"
        values = np.unique(at)
        if len(values) <= 3 and not np.isin(good, values).any():
            listed = " or ".join(number(float(v)) for v in values)
            return f"given is {what} where pred is {listed}{share_text(share)}; the derivative is finite there"
    return f"given is {what} at {share[0]:,} of {share[1]:,} wrong coordinates; the derivative is finite there"
