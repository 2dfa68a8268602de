"""Hints on the order of numbers and of arguments: transposed, shifted, swapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    Evidence,
    Hint,
    fit,
    fits_right_ones,
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
    if k < 2 or len(failing) + len(case.passing) != case.samples or len(case.passing) + len(failing) != case.samples:
        return None
    order = np.argsort(np.concatenate([failing.row, case.passing.row]), kind="stable")
    given = np.concatenate([failing.given, case.passing.given])[order]
    numeric = np.concatenate([failing.numeric, case.passing.numeric])[order]
    scale = np.concatenate([failing.scale, case.passing.scale])[order]
    sure = np.isfinite(numeric)
    other = given.reshape(k, case.samples).T
    if (np.abs(other - numeric)[sure] <= np.broadcast_to(10 * FITS * scale, sure.shape)[sure]).all():
        return f"given is transposed: read as ({k}, {case.samples:,}) it is right"
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
    if len(failing) + len(case.passing) != case.samples or len(failing) <= ENOUGH:
        return None
    every = failing + case.passing
    every = every[np.argsort(every.row, kind="stable")]
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


@hint(HINTS, "swapped")
def _swapped(case: Evidence) -> str | None:
    """Compare with differences of the loss at swapped inputs: the gradient under test may be the same both ways."""
    failing, passing = case.failing, case.passing
    if len(case.loss.inputs) < 2 or case.loss.inputs[0].kind != case.loss.inputs[1].kind or case.loss.batch_coupled:
        return None
    if failing.given.shape[1] > _MOST_COORDINATES:
        return None
    share = fit(failing, _swapped_derivative(case.loss, failing))
    if share is None or (len(passing) and not fits_right_ones(passing, _swapped_derivative(case.loss, passing))):
        return None
    return f"given is the gradient with prediction and target swapped{share_text(share)}"


def _swapped_derivative(loss: Loss, cases: CheckedSamples) -> Array:
    """Return central differences of the loss with respect to its first input, at swapped inputs."""
    x, others = cases.inputs[1], (cases.inputs[0], *cases.inputs[2:])
    flat = x.reshape(len(x), -1)
    derivative = np.empty(flat.shape)
    for j in range(flat.shape[1]):
        step = _STEP * np.maximum(np.abs(flat).max(axis=1), _STEP)
        ends = []
        for sign in (-1.0, 1.0):
            moved = flat.copy()
            moved[:, j] += sign * step
            ends.append((moved[:, j], loss.evaluate(moved.reshape(x.shape), *others)[0]))
        derivative[:, j] = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
    return derivative


# Step of a central difference relative to the sample: it is accurate to about 1e-10, far below FITS.
_STEP = 1e-5
# Most coordinates of a sample at which the loss is evaluated with its arguments swapped.
_MOST_COORDINATES = 32
