"""Hints on the difference between the gradient and its reference, and on its digits."""

from __future__ import annotations

import numpy as np

from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    FITS,
    Evidence,
    Hint,
    class_of_target,
    fit,
    hint,
    share_text,
    short,
)

HINTS: list[Hint] = []


@hint(HINTS, "constant-offset")
def _offset(case: Evidence) -> str | None:
    """Explain a constant difference at every wrong coordinate, for example a forgotten one-hot target."""
    failing = case.failing
    amount = float(np.median((failing.given - failing.numeric)[failing.informative]))
    if not np.isfinite(amount) or not np.ptp(failing.numeric[failing.informative]):
        return None
    share = fit(failing, failing.numeric + amount)
    if share is None:
        return None
    target_class = class_of_target(failing)
    where = f"{share[0]:,} of {share[1]:,} wrong coordinates" if share[0] < share[1] else "every wrong coordinate"
    if target_class is not None and (target_class == failing.wrong).all():
        where = "the target's own class, and right at the others"
    elif target_class is not None and (target_class == ~failing.wrong).all():
        where = "every class but the target's"
    return f"given − numeric is {number(short(amount))} at {where}"


@hint(HINTS, "input-added")
def _input_added(case: Evidence) -> str | None:
    """Explain a difference that is an input, for example a forgotten target."""
    failing = case.failing
    for role, array in zip(case.loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1).astype(float)
        if flat.shape[1] != failing.given.shape[1] or len(np.unique(flat)) < 2:
            continue
        for sign, words in ((1.0, "one too much"), (-1.0, "one is missing")):
            if share := fit(failing, failing.numeric + sign * flat):
                return f"given − numeric is {'' if sign > 0 else '−'}{role}{share_text(share)}: {words}"
    return None


@hint(HINTS, "constant-along-rows")
def _along_rows(case: Evidence) -> str | None:
    failing = case.failing
    if failing.given.shape[1] < 2:
        return None
    difference = failing.given - failing.numeric
    usable = np.isfinite(difference) & (failing.error <= FITS * failing.scale)
    middle = np.array(
        [np.median(row[use]) if use.any() else np.nan for row, use in zip(difference, usable, strict=True)]
    )
    if (
        np.abs(difference - middle[:, None])[usable] <= np.broadcast_to(FITS * failing.scale, usable.shape)[usable]
    ).all():
        return "given is off by one constant along each row: the gradient of a loss that renormalises its rows"
    return None


@hint(HINTS, "whole-numbers")
def _whole_numbers(case: Evidence) -> str | None:
    """Explain a gradient that was rounded, or computed from labels instead of probabilities."""
    given = np.concatenate([case.failing.given, case.passing.given])
    numeric = case.failing.numeric[case.failing.informative]
    if (
        not (given == np.round(given)).all()
        or len(np.unique(given)) < 2
        or (np.abs(numeric - np.round(numeric)) < 1e-3).mean() > 0.5
    ):
        return None
    return "given holds whole numbers only, and numeric does not: it was rounded, or computed in whole numbers"
