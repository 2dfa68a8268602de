"""Check the derivative of a vector-valued function along one direction: a jvp, or a Hessian-vector product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import LossctlError
from lossctl.gradients.array_hints import Hint, factor_words
from lossctl.gradients.finite_differences import EPS, ULPS, Bools
from lossctl.gradients.localize import ArrayPart, Entry
from lossctl.gradients.model_result import ArrayCheck
from lossctl.gradients.named_function import Arrays
from lossctl.gradients.random_slopes import STEPS, SURE, error_bounds, rms
from lossctl.gradients.rounding import ULPS_OF_TERMS, precision_of
from lossctl.gradients.scalar_check import moved_by_an_ulp
from lossctl.gradients.slope_check import Outcome
from lossctl.immutable import immutable

# An entry counts if its derivative is known to this share of the RMS derivative.
_KNOWN = 0.05
# A derivative is known well enough to name a ratio.
_SHARP = 1e-3
_ENTRIES = 5


@immutable
class _Problem:
    """A vector-valued function and its derivative along a direction.

    Attributes:
        at: the function at a multiple of the direction, as a vector.
        claimed: (m,) the derivative under test.
        rounding: (m,) how far rounding moves it.
        parts: the arrays that the vector is made of.
        dtypes: the name of the type of each.
        what: ``jvp`` or ``hvp``.
    """

    at: Callable[[float], Array]
    claimed: Array
    rounding: Array
    parts: Sequence[ArrayPart]
    dtypes: Sequence[str]
    what: str


def check_vector(
    arrays: Arrays,
    direction: Arrays,
    function: Callable[[Arrays], Array],
    claimed: Arrays,
    again: Callable[[Arrays], Arrays],
    *,
    what: str,
) -> Outcome:
    """Check the derivative of a vector-valued function along a direction.

    Args:
        arrays: the point.
        direction: the direction, for some of the arrays.
        function: all values of the function, as one vector.
        claimed: the derivative under test, by the names of the results.
        again: the derivative under test at another point.
        what: ``jvp`` or ``hvp``.
    """
    wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
    fixed: Arrays = arrays
    try:
        if np.isfinite(function({n: a.copy() for n, a in wide.items()})).all():
            fixed = wide
    except LossctlError:
        pass  # it takes its own precision only

    def at(step: float) -> Array:
        moved = {n: fixed[n] + step * direction[n].astype(np.float64) for n in direction}
        return function({n: moved[n].astype(a.dtype) if n in moved else a.copy() for n, a in fixed.items()})

    rounding = {n: ULPS_OF_TERMS * precision_of(a).eps * (np.abs(a) + rms(a.astype(float))) for n, a in claimed.items()}
    coarse = max(precision_of(a).eps for a in claimed.values())
    if coarse > EPS:
        changed = again(moved_by_an_ulp(arrays, coarse))
        for n, a in claimed.items():
            rounding[n] = rounding[n] + ULPS_OF_TERMS * rms(changed[n].astype(np.float64) - a)
    parts, start = [], 0
    for name, array in claimed.items():
        parts.append(ArrayPart(name, array.shape, slice(start, start + array.size)))
        start += array.size
    vectors = [np.concatenate([np.ravel(a[n]).astype(np.float64) for n in claimed]) for a in (claimed, rounding)]
    return _check(_Problem(at, vectors[0], vectors[1], parts, [a.dtype.name for a in claimed.values()], what))


@np.errstate(all="ignore")
def _check(problem: _Problem) -> Outcome:
    """Check every entry of the derivative; 18 evaluations and one at the start."""
    base = problem.at(0.0)
    residual, gap = np.empty((2, len(STEPS), len(base)))
    plateau = np.zeros(residual.shape, bool)
    for i, h in enumerate(STEPS):
        above, below = problem.at(float(h)), problem.at(-float(h))
        residual[i] = (above - below) / (2.0 * h) - problem.claimed
        gap[i] = ((above - base) + (below - base)) / (2.0 * h)
        plateau[i] = (above == base) & (below == base)
    usable = np.isfinite(residual) & np.isfinite(gap) & ~(plateau & ~plateau.all(axis=0))
    errors = error_bounds(residual, gap, usable, ULPS * EPS * np.abs(base))[0]
    best = errors.argmin(axis=0)
    at = np.arange(len(base))
    residual, errors = residual[best, at], errors[best, at]
    wrong = np.abs(residual) > SURE * errors + problem.rounding
    wrong |= ~np.isfinite(problem.claimed) & np.isfinite(base)
    numeric = problem.claimed + residual
    checks = [_verdict(problem, i, numeric=numeric, errors=errors, wrong=wrong) for i in range(len(problem.parts))]
    return Outcome(checks, _worst(problem, numeric, errors, wrong), _hints(problem, numeric, errors, wrong))


def _verdict(problem: _Problem, i: int, *, numeric: Array, errors: Array, wrong: Bools) -> ArrayCheck:
    name, p = problem.parts[i].name, problem.parts[i].part
    apart, size = np.abs(problem.claimed - numeric)[p], max(rms(problem.claimed[p]), rms(np.nan_to_num(numeric[p])))
    known = SURE * errors[p] <= _KNOWN * size if size else np.isfinite(errors[p])
    visible = SURE * float(np.median(errors[p])) / size if size else None
    verdict, reason, relative = "ok", "", None
    if wrong[p].any():
        verdict, reason = "wrong", f"{int(wrong[p].sum()):,} of {p.stop - p.start:,} entries"
        relative = float(np.nanmax(apart)) / size if size else None
    elif np.mean(known) < 1.0 - _KNOWN:
        verdict, reason = "unresolved", "the function has too few digits to show its derivative"
    shape, dtype = problem.parts[i].shape, problem.dtypes[i]
    return ArrayCheck(name, problem.what, shape, dtype, p.stop - p.start, verdict, relative, visible, reason)


def _worst(problem: _Problem, numeric: Array, errors: Array, wrong: Bools) -> list[Entry]:
    apart = np.where(wrong, np.nan_to_num(np.abs(problem.claimed - numeric), nan=np.inf), -1.0)
    entries = []
    for flat in np.argsort(-apart, kind="stable")[:_ENTRIES]:
        if apart[flat] < 0:
            break
        part = next(part for part in problem.parts if part.part.start <= flat < part.part.stop)
        place = f"{problem.what} {part.place(int(flat))}"
        entries.append(
            Entry(
                place,
                int(flat),
                float(problem.claimed[flat]),
                float(numeric[flat]),
                float(errors[flat]),
                wrong=True,
                kink=False,
            )
        )
    return entries


def _hints(problem: _Problem, numeric: Array, errors: Array, wrong: Bools) -> list[Hint]:
    """Return an explanation that fits all wrong entries, if there is one."""
    if not wrong.any():
        return []
    what = f"the {problem.what}"
    if not np.any(problem.claimed):
        return [Hint("zero", f"{what} is 0, and the derivative is not")]
    sharp = wrong & (errors <= _SHARP * np.abs(numeric)) & (numeric != 0)
    ratios = problem.claimed[sharp] / numeric[sharp]
    if len(ratios) and np.ptp(ratios) <= 1e-3 * np.abs(ratios).max():
        ratio = float(np.median(ratios))
        where = what if wrong.all() else f"the wrong entries of {what}, {int(wrong.sum()):,} of {wrong.size:,}"
        if ratio:
            return [Hint("constant-factor", factor_words(ratio, where), ratio)]
    if 0 < wrong.sum() <= 0.5 * wrong.size:
        flat = wrong & (np.abs(numeric) <= SURE * errors)
        if flat.sum() == wrong.sum():
            return [
                Hint("flat", f"{what} is wrong only where the derivative is 0: is it cut off where values are clipped?")
            ]
    by_part = {part.name: bool(wrong[part.part].any()) for part in problem.parts}
    if not all(by_part.values()):
        names = [", ".join(name for name, bad in by_part.items() if bad is which) for which in (True, False)]
        return [Hint("some-arrays", f"{what} of {names[0]} is wrong, and that of {names[1]} right")]
    return []
