"""Hints on the gradient as a whole: it is 0, the same everywhere, or not finite."""

from __future__ import annotations

import numpy as np

from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    Evidence,
    Hint,
    fit,
    hint,
    share_of,
    share_text,
    tolerance_of,
)
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []
# Tried after those of all modules but the places: on digits, which a factor changes.
LAST: list[Hint] = []
# Least number of different whole numbers.
_LEAST_WHOLE = 3
# Least number of errors that show rounding, and the least share of changes of sign.
_LEAST_ERRORS, _LEAST_CHANGES = 30, 0.3
# Least share of losses below 0, and above, that are taken for gradients.
_BOTH_SIGNS = 0.2
# Distance of 1 to the next number, by type.
_ULPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


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


@hint(HINTS, "not-finite", of_values=False, few=True)
def _not_finite(case: Evidence) -> str | None:
    """Explain a gradient that is NaN or infinite where the derivative is finite."""
    failing, passing = case.failing, case.passing
    bad = np.asarray(~np.isfinite(failing.given))
    share = share_of(bad[failing.wrong], least=1)
    if share is None:
        return None
    what = (
        "NaN"
        if np.isnan(failing.given[bad]).all()
        else "infinite"
        if np.isinf(failing.given[bad]).all()
        else "NaN or infinite"
    )
    same = _equal_input(case, np.asarray(bad.any(axis=1)))
    if same:
        return f"given is {what} where pred equals {same}{share_text(share)}; the derivative is finite there"
    if failing.given.shape[1] == 1:
        good = passing.inputs[0][~np.isin(passing.verdict[:, 0], (Verdict.WRONG, Verdict.UNDEFINED))]
        values = np.unique(failing.inputs[0][bad[:, 0]])
        if len(values) <= 3 and not np.isin(good, values).any():
            listed = " or ".join(number(float(v)) for v in values)
            return f"given is {what} where pred is {listed}{share_text(share)}; the derivative is finite there"
    return f"given is {what} at {share[0]:,} of {share[1]:,} wrong coordinates; the derivative is finite there"


def _equal_input(case: Evidence, rows: np.ndarray) -> str | None:
    """Return the input that equals the predictions in these wrong samples."""
    at = case.failing[rows].inputs
    for role, other in zip(case.loss.roles[1:], at[1:], strict=True):
        if other.shape == at[0].shape and (other == at[0]).all():
            return role
    return None


@hint(HINTS, "loss-returned")
def _loss_returned(case: Evidence) -> str | None:
    """Explain the value of the loss in the place of its gradient, or the gradient in the place of both."""
    failing = case.failing
    if failing.given.shape[1] != 1 or case.loss.batch_coupled:
        return None
    value = np.asarray(case.loss.evaluate(*failing.inputs)[0], dtype=float).reshape(-1, 1)
    share = fit(failing, value)
    if share and not case.loss.is_builtin and min(np.mean(value < 0), np.mean(value > 0)) >= _BOTH_SIGNS:
        return f"the loss and the gradient are the same numbers, of both signs{share_text(share)}: the gradient twice?"
    return share and f"given is the value of the loss, not its gradient{share_text(share)}"


@hint(LAST, "whole-numbers", of_values=False)
def _whole_numbers(case: Evidence) -> str | None:
    """Explain a gradient that was rounded, or computed from labels instead of probabilities."""
    every, failing = case.every, case.failing
    known = np.abs(failing.numeric[failing.informative])
    whole = every.given == np.round(every.given)
    if share_of(whole.ravel()) is None or len(np.unique(every.given)) < _LEAST_WHOLE:
        return None
    if np.count_nonzero(np.abs(known - np.round(known)) > 1e-3) < 0.1 * known.size or not known.size:
        return None
    rounded = share_of((np.abs(failing.given - failing.numeric) <= 0.5 + tolerance_of(failing))[failing.informative])
    ending = "numeric rounded" if rounded else "it was computed in whole numbers, or from signs"
    return f"given holds whole numbers only, and numeric does not: {ending}"


@hint(LAST, "few-digits", of_values=False)
def _few_digits(case: Evidence) -> str | None:
    """Explain errors of both signs, none larger than the rounding of a shorter type explains."""
    failing = case.failing
    mask = failing.informative
    error = (failing.given - failing.numeric)[mask]
    if error.size < _LEAST_ERRORS:
        return None
    relative = np.abs(error / failing.numeric[mask])
    # The error of a formula has one sign along intervals of what it depends on; that of rounding has not.
    orders = [failing.numeric, *(a.reshape(len(a), -1) for a in failing.inputs)]
    if len(failing.inputs) > 1 and failing.inputs[0].shape == failing.inputs[1].shape:
        orders.append((failing.inputs[0] - failing.inputs[1]).reshape(len(failing), -1))
    for order in orders:
        if order.shape[1] in (1, mask.shape[1]):
            signs = np.sign(error)[np.argsort(np.broadcast_to(order, mask.shape)[mask], kind="stable")]
            if np.count_nonzero(signs[1:] != signs[:-1]) < _LEAST_CHANGES * error.size:
                return None
    for name, ulp in _ULPS.items():
        # If samples depend on each other, a small error of a formula changes its sign from sample to sample too.
        if case.loss.batch_coupled and name != "float32":
            return None
        # Of a few roundings the largest error is some ulps, and the typical one is not much smaller.
        if share_of(relative <= 4 * ulp) and np.median(relative) > ulp / 16:
            return f"given has the digits of {name} only: the errors are random and of its rounding"
    return None
