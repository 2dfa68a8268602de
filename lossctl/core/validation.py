"""Checks of options that the command line and the Python API share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossctl.errors import UsageError, nearest, quoted

REDUCTIONS = ("mean", "sum")

NAN = ("error", "skip", "propagate")


def check_class_weight(weights: Sequence[float]) -> tuple[float, ...]:
    """Return class weights as floats after a check: each is finite and at least 0, and at least one is positive.

    Raises:
        UsageError: the check fails.
    """
    known = tuple(float(w) for w in weights)
    if any(not 0.0 <= w < math.inf for w in known) or (known and not any(known)):
        raise UsageError(f"class weights {known}: one for each class, finite, at least 0, and not all 0")
    return known


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check that an option has one of the allowed values.

    Raises:
        UsageError: ``value`` is not one of ``choices``.
    """
    if value not in choices:
        raise UsageError(f"{name} {quoted(value)}: one of {', '.join(choices)}{nearest(value, choices)}")
