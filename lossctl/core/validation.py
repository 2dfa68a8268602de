"""Checks of options that the command line and the Python API share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossctl.errors import UsageError, nearest, quoted

REDUCTIONS = ("mean", "sum")

NAN = ("error", "skip", "propagate")


def check_class_weight(weights: Sequence[float]) -> tuple[float, ...]:
    """Class weights as numbers, each finite and at least 0, and not all of them 0.

    Raises:
        UsageError: they are not.
    """
    known = tuple(float(w) for w in weights)
    if any(not 0.0 <= w < math.inf for w in known) or (known and not any(known)):
        raise UsageError(f"class weights {known}: one for each class, finite and at least 0, and not all of them 0")
    return known


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        raise UsageError(f"{name} {quoted(value)}: one of {', '.join(choices)}{nearest(value, choices)}")
