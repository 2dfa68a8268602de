"""The loss and the derivatives of a trial at some of its points, by mpmath."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from gradients.trials.data import FAMILIES
from gradients.trials.record import Trial
from mpmath import mp

_DIGITS, _STEP = 130, -40  # the step is 1e-40 of the input; a second difference is 1e-80 of the loss
_EVERY = 8  # of samples with many coordinates so many are skipped, but the first ones and the last are not


@dataclass(frozen=True)
class Truth:
    """The truth at some rows: the loss (m,), and of each coordinate (m, k) its slopes and its curvature.

    Left and right are the slopes from both sides; NaN where a side is outside the domain. Along (m, 2) are those of
    all coordinates of a sample moved together.
    """

    rows: np.ndarray
    loss: np.ndarray
    left: np.ndarray
    right: np.ndarray
    second: np.ndarray
    along: np.ndarray


def truth_at(trial: Trial, points: str) -> Truth:
    """Return the truth of a trial at its data of these points."""
    return _truth(trial.truth, trial.family, points, trial.coupled)


@cache
def _truth(function: Any, family: str, points: str, coupled: bool) -> Truth:
    arrays = list(FAMILIES[family][points].values())
    n = len(arrays[0])
    rows = np.arange(n)
    if arrays[0].ndim > 1 and not coupled:
        rows = rows[(rows < _EVERY) | (rows % _EVERY == 0) | (rows == n - 1)]
    with mp.workdps(_DIGITS):
        if coupled:
            loss, left, right, second, _ = _derivatives(function, [_exact(a) for a in arrays])
            shape = arrays[0].shape
            found = [loss], left.reshape(n, -1), right.reshape(n, -1), second.reshape(n, -1), np.full((n, 2), np.nan)
            assert found[1].size == np.prod(shape)
        else:
            each = [_derivatives(function, [_exact(a[i]) for a in arrays]) for i in rows]
            found = tuple(np.array([e[j] for e in each], dtype=float) for j in range(5))
    return Truth(rows, *(np.asarray(a, dtype=float) for a in found))


def _exact(a: Any) -> Any:
    a = np.asarray(a)
    if a.ndim:
        return [_exact(v) for v in a]
    return int(a) if a.dtype.kind in "iu" else mp.mpf(float(a))


def _derivatives(function: Any, inputs: list[Any]) -> tuple[float, *tuple[np.ndarray, ...]]:
    """The loss, slopes and curvatures with respect to each number of the first input."""
    x, *others = inputs
    places = _places(x)

    def at(place: tuple[int, ...], value: Any) -> Any:
        return function(_replaced(x, place, value), *others)

    middle = function(x, *others)
    found = []
    for place in places:
        value = x
        for i in place:
            value = value[i]
        step = mp.mpf(10) ** _STEP * (abs(value) or 1)
        up, down = at(place, value + step), at(place, value - step)
        found.append(
            [_real((middle - down) / step), _real((up - middle) / step), _real((up - 2 * middle + down) / step**2)]
        )
    step = mp.mpf(10) ** _STEP
    up, down = function(_moved(x, step), *others), function(_moved(x, -step), *others)
    along = np.array([_real((middle - down) / step), _real((up - middle) / step)])
    return (_real(middle), *np.array(found).T, along)


def _moved(x: Any, step: Any) -> Any:
    return [_moved(v, step) for v in x] if isinstance(x, list) else x + step


def _places(x: Any) -> list[tuple[int, ...]]:
    return [(i, *rest) for i, v in enumerate(x) for rest in _places(v)] if isinstance(x, list) else [()]


def _replaced(x: Any, place: tuple[int, ...], value: Any) -> Any:
    if not place:
        return value
    return [_replaced(v, place[1:], value) if i == place[0] else v for i, v in enumerate(x)]


def _real(value: Any) -> float:
    return float("nan") if isinstance(value, mp.mpc) else float(value)
