"""Whether a user's function returns the same at the same samples, and leaves its inputs as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import UsageError


def check_repeatable(
    name: str, evaluate: Callable[[Sequence[Array]], Mapping[str, Array | None]], arrays: Sequence[Array]
) -> Mapping[str, Array | None]:
    """Evaluate a function twice at the same samples, and at the same samples in reverse order in between.

    Args:
        name: the name of the function in error messages.
        evaluate: returns its results, by what they are.
        arrays: the inputs.

    Returns:
        The results.

    Raises:
        UsageError: they differ.
    """
    first = evaluate(arrays)
    evaluate([a[::-1] for a in arrays])
    second = evaluate(arrays)
    for what, value in first.items():
        if not same_numbers(value, second[what]):
            raise UsageError(
                f"{name}: its {what} differs between two calls at the same point: set its seed, switch dropout off, "
                "keep nothing from one call to the next"
            )
    return first


def changed_inputs(name: str, before: Mapping[str, Array | None], after: Mapping[str, Array | None]) -> list[str]:
    """Return a note for each input that a function changed: `before` and `after` its call, by name."""
    return [
        f"{name} changes its input {key} in place; it got a copy"
        for key, value in after.items()
        if not same_numbers(before[key], value)
    ]


def same_numbers(a: Array | None, b: Array | None) -> bool:
    """Return whether two arrays have the same numbers, or both are None; NaN equals NaN."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))
