"""Check gradients of a scalar function of named arrays, in the precision that the function takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import LossctlError
from lossctl.gradients.finite_differences import EPS
from lossctl.gradients.given_gradients import GivenGradients
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.rounding import ULPS_OF_TERMS
from lossctl.gradients.slope_check import Outcome, ScalarProblem, SlopeCheck


def check_slopes(
    value: Callable[[Mapping[str, np.ndarray]], float],
    gradients: Callable[[Mapping[str, np.ndarray], Sequence[str]], Mapping[str, np.ndarray]],
    arrays: Mapping[str, np.ndarray],
    given: GivenGradients,
    base: tuple[float, float],
    *,
    seed: int,
    what: str = "gradient",
) -> Outcome:
    """Check gradients of a scalar function.

    Args:
        value: the function of all arrays by name, which it may change.
        gradients: the gradients of these names at other arrays.
        arrays: the arrays.
        given: the gradients under test.
        base: the value at `arrays`, and the magnitude of the numbers that it is the sum of.
        seed: of the random directions.
        what: what is checked. Default ``gradient``.
    """
    if not given.usable:
        return Outcome([], [], [])
    fixed, start = _widened(value, arrays, base[0])
    types = {name: fixed[name].dtype for name in given.usable}

    def moved_value(moved: Mapping[str, Array]) -> float:
        return value({n: moved[n].astype(types[n]) if n in moved else a.copy() for n, a in fixed.items()})

    names = list(given.usable)
    problem = ScalarProblem(
        moved_value,
        {n: arrays[n].astype(np.float64) for n in names},
        given.usable,
        gradient_rounding(given, arrays, gradients),
        {n: arrays[n].dtype.name for n in names},
        start,
        max(base[1], abs(start)),
        what,
        arrays,
    )
    return SlopeCheck(problem, seed).run()


def _widened(
    value: Callable[[Mapping[str, np.ndarray]], float], arrays: Mapping[str, np.ndarray], base: float
) -> tuple[Mapping[str, np.ndarray], float]:
    """Return the arrays in float64 and the value there if the function takes them: differences have more digits."""
    if all(a.dtype == np.float64 for a in arrays.values() if a.dtype.kind == "f"):
        return arrays, base
    wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
    try:
        start = value({n: a.copy() for n, a in wide.items()})
    except LossctlError:
        return arrays, base
    return (wide, start) if np.isfinite(start) else (arrays, base)


def gradient_rounding(
    given: GivenGradients,
    arrays: Mapping[str, np.ndarray],
    gradients: Callable[[Mapping[str, np.ndarray], Sequence[str]], Mapping[str, np.ndarray]],
) -> dict[str, Array]:
    """Return how far rounding moves gradients: some ulps, and in low precision what moving the arrays by one does."""
    amounts: dict[str, Array] = {
        n: ULPS_OF_TERMS * given.precision[n] * (np.abs(g) + rms(g)) for n, g in given.usable.items()
    }
    coarse = max(given.precision.values(), default=0.0)
    if coarse <= EPS:
        return amounts
    changed = gradients(moved_by_an_ulp(arrays, coarse), list(given.usable))
    for n, g in given.usable.items():
        change = rms(changed[n].astype(np.float64).reshape(g.shape) - g) if n in changed else 0.0
        amounts[n] = amounts[n] + (ULPS_OF_TERMS * change if np.isfinite(change) else 0.0)
    return amounts


def moved_by_an_ulp(arrays: Mapping[str, np.ndarray], eps: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Return copies of arrays in which every number is larger or smaller by a share `eps`, at random."""
    rng = np.random.default_rng(seed)
    return {
        n: (a * (1.0 + eps * rng.choice([-1.0, 1.0], a.shape))).astype(a.dtype) if a.dtype.kind == "f" else a.copy()
        for n, a in arrays.items()
    }
