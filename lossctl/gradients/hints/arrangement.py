"""Hints on the order of numbers and of arguments: transposed, shifted, swapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    Evidence,
    Hint,
    fit,
    hint,
    share_of,
    share_text,
    tolerance_of,
)
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []


@hint(HINTS, "transposed")
def _transposed(case: Evidence) -> str | None:
    failing = case.failing
    k = failing.given.shape[1]
    if k < 2 or not case.complete:
        return None
    every = case.every
    other = every.given.reshape(k, case.samples).T
    slack = 10 * FITS * every.scale
    close = np.abs(other - every.numeric) <= slack
    if not _is_far(every, slack):
        return None
    if share := share_of(close[np.isfinite(every.numeric)]):
        if k == case.samples:
            return f"given is transposed: its rows are the columns of the right one{share_text(share)}"
        return f"given is transposed: read as ({k}, {case.samples:,}) it is right{share_text(share)}"
    return None


@hint(HINTS, "moved")
def _moved(case: Evidence) -> str | None:
    """Explain a gradient whose rows or columns are shifted or reversed; all rows have to be at hand for rows."""
    failing = case.failing
    k = failing.given.shape[1]
    if k > 2:
        for words, move in _MOVES:
            if share := fit(failing, move(failing.numeric.T).T):
                return f"given is {words} along the classes{share_text(share)}"
    if not case.complete or len(failing) <= ENOUGH:
        return None
    every = case.every
    mask = every.verdict <= Verdict.WRONG
    for words, move in _MOVES:
        close = np.abs(every.given - move(every.numeric)) <= np.maximum(tolerance_of(every), move(tolerance_of(every)))
        if share := share_of(close[mask]):
            return f"given is {words} along the samples{share_text(share)}"
    return None


_MOVES: Sequence[tuple[str, Callable[[Array], Array]]] = (
    ("shifted by one", lambda a: np.roll(a, 1, axis=0)),
    ("shifted by one", lambda a: np.roll(a, -1, axis=0)),
    ("in reversed order", lambda a: a[::-1]),
)


@hint(HINTS, "row-order")
def _row_order(case: Evidence) -> str | None:
    """Explain rows that hold the right numbers in another order, such as that in which a list was sorted."""
    failing = case.failing
    judged = np.isfinite(failing.numeric).all(axis=1) & np.isfinite(failing.given).all(axis=1)
    if failing.given.shape[1] <= ENOUGH or judged.sum() < ENOUGH:
        return None
    slack = 10.0 * FITS * failing.scale[judged]
    given, numeric = failing.given[judged], failing.numeric[judged]
    if not _is_far(failing[judged], slack):
        return None
    if not share_of((np.abs(np.sort(given, axis=1) - np.sort(numeric, axis=1)) <= slack).ravel()):
        return None
    for role, array in zip(case.loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1)
        if flat.shape != failing.given.shape:
            continue
        for words, key in ((f"falling {role}", -flat), (f"rising {role}", flat)):
            order = np.argsort(key[judged], axis=1, kind="stable")
            if share_of((np.abs(given - np.take_along_axis(numeric, order, axis=1)) <= slack).ravel()):
                return f"given has the right numbers of each row in the order of {words}: they were not put back"
    return "given has the right numbers of each row in another order"


def _is_far(cases: CheckedSamples, slack: Array) -> bool:
    """Return whether half of the wrong coordinates are off by more than the slack: the others fit in any order."""
    return bool(np.mean((np.abs(cases.given - cases.numeric) > slack)[cases.wrong]) >= 0.5)


@hint(HINTS, "cumulative")
def _cumulative(case: Evidence) -> str | None:
    """Explain a cumulative sum along each row from the wrong end."""
    failing = case.failing
    if failing.given.shape[1] <= ENOUGH:
        return None
    zero = np.zeros((len(failing), 1))
    for words, turn in (("first", slice(None)), ("last", slice(None, None, -1))):
        numeric = failing.numeric[:, turn]  # its terms, if it is a cumulative sum from the last column on
        terms = numeric - np.concatenate([numeric[:, 1:], zero], axis=1)
        if share := fit(failing, np.cumsum(terms, axis=1)[:, turn], float(failing.given.shape[1])):
            end = "last" if words == "first" else "first"
            return f"given is a cumulative sum from the {words} column on, not from the {end}{share_text(share)}"
    return None
