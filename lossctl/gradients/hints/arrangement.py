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
    close = np.abs(other - every.numeric) <= 10 * FITS * every.scale
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
