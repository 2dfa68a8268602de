"""Compare the backward pass of a function of tensors by name in a lower precision with that in float64.

Differences of a loss of three digits show no slope, so the gradient in float64, which differences have confirmed, is
the reference. It is compared array by array: rounding moves a right one by some ulps, and by what changes of the inputs
by an ulp move the exact gradient, because every intermediate result is rounded as the inputs are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.gradients.model_result import ArrayCheck, ModelCheck
from lossctl.gradients.named_function import Arrays
from lossctl.gradients.named_tensors import TensorFunction
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS
from lossctl.gradients.scalar_check import moved_by_an_ulp

# Changed inputs, how many more if an error is beyond their effect, and the multiple of it that rounding may have.
_CHANGES, _MORE, _SPREAD = 8, 24, 4.0
# A gradient below this share of the median gradient is 0 up to roundoff.
_NOTHING = 1e-9


def compare_precisions(result: ModelCheck, f: TensorFunction, output: Any, dtype: str) -> ModelCheck:
    """Return the check of a backward pass in a lower precision.

    Args:
        result: the check in float64.
        f: the function, with its inputs rounded to the precision.
        output: what it returns.
        dtype: the precision.
    """
    eps = PRECISIONS[dtype].eps
    cotangent = random_cotangent(output, np.random.default_rng(0))

    def pull(arrays: Arrays, precision: str) -> dict[str, np.ndarray]:
        gradients: dict[str, np.ndarray] = f.vjp(precision)(arrays, cotangent)
        return gradients

    exact, rounded = pull(f.arrays, "float64"), pull(f.arrays, dtype)
    sizes = {name: rms(reference) for name, reference in exact.items()}
    least = _NOTHING * float(np.median([size for size in sizes.values() if size > 0.0] or [0.0]))
    errors = {name: rms(rounded[name].astype(np.float64) - reference) for name, reference in exact.items()}
    effects: dict[str, list[float]] = {name: [] for name in exact}

    def change(seeds: range) -> None:
        for seed in seeds:
            moved = pull(moved_by_an_ulp(f.arrays, eps, seed), "float64")
            for name, effect in effects.items():
                effect.append(rms(moved[name] - exact[name]))

    def bound(name: str, effect: float) -> float:
        return ULPS_OF_TERMS * eps * sizes[name] + _SPREAD * effect

    change(range(_CHANGES))
    if any(errors[name] > bound(name, max(effect)) for name, effect in effects.items()):
        change(range(_CHANGES, _CHANGES + _MORE))
    checks = []
    for check in result.arrays:
        if check.name not in exact or check.verdict not in ("ok", "kink"):
            checks.append(check)
            continue
        known = replace(check, dtype=dtype, relative_error=None, visible=None)
        effect = effects[check.name]
        limits = bound(check.name, float(np.median(effect))), bound(check.name, max(effect))
        checks.append(_judged(known, errors[check.name], limits, sizes[check.name], least))
    note = f"comparison of {dtype} with float64, which finite differences confirm"
    return replace(result, arrays=checks, notes=[*result.notes, note])


def random_cotangent(output: Any, rng: np.random.Generator) -> Any:
    """Return random numbers in the structure of the output of a function; None for integers."""
    if isinstance(output, Mapping):
        return {name: random_cotangent(value, rng) for name, value in output.items()}
    if isinstance(output, (tuple, list)):
        return tuple(random_cotangent(value, rng) for value in output)
    if output.dtype.kind != "f":
        return None
    return np.asarray(rng.choice([-1.0, 1.0], output.shape) * rng.uniform(0.5, 1.5, output.shape))


def _judged(check: ArrayCheck, error: float, limits: tuple[float, float], size: float, least: float) -> ArrayCheck:
    """Return the verdict on an array that is right in float64.

    Args:
        check: the array.
        error: of the lower precision.
        limits: errors that the median of the changes explains, and the largest one, which may cross a kink.
        size: RMS of the gradient in float64.
        least: RMS up to which it is 0 but for roundoff.
    """
    if not np.isfinite(error):
        return replace(check, verdict="wrong", reason=f"not finite in {check.dtype}")
    if size <= least:
        return check
    check = replace(check, relative_error=error / size, visible=limits[0] / size)
    if error > limits[1]:
        return replace(check, verdict="wrong", reason=f"{check.dtype} differs from float64")
    if error > limits[0] or limits[0] >= size:
        return replace(check, verdict="unresolved", reason=f"{check.dtype} has too few digits")
    return check
