"""How far rounding alone can move a right gradient: the precision of its numbers and the terms of its formula.

A gradient in a precision with machine epsilon ε is off by a few ε times its *terms*, the magnitudes of the numbers
that its formula subtracts: p and t in p − t, not their difference. A float32 softmax row that is right to 1e-10
at a class of probability 1 would need digits that float32 does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossctl.core.array_kinds import FlagsKind, LengthKind, WholeKind
from lossctl.core.arrays import Array
from lossctl.core.input_kinds import Kind, LabelKind, ProbabilitiesKind, ProbabilityKind, SignKind
from lossctl.core.loss import Loss

# Allowed error in units of ε·terms. The gradients of PyTorch and JAX in float64, float32, bfloat16 and float16 are
# off by at most 2; a gradient that is off by 0.1 % is at 8,389 in float32.
ULPS_OF_TERMS = 8.0
# Kinds of input whose numbers stand for something else: a change of one by a few ε means nothing.
_CODES = (LabelKind, SignKind, FlagsKind, WholeKind, LengthKind)
# A precision below that of the array is taken as seen only if so many different numbers use its digits, in so many
# powers of two. Gradients such as −1, 0 and 0.5 are numbers of every precision.
_USED, _BINADES = 16, 3
# float32 and bfloat16 end at 2¹²⁸.
_LARGEST_EXPONENT = 128


@dataclass(frozen=True)
class Precision:
    """A floating-point precision.

    Attributes:
        name: the name of its type, such as ``float32``.
        eps: the distance from 1 to the next larger number.
        tiny: the smallest positive number.
    """

    name: str
    eps: float
    tiny: float


PRECISIONS = {
    "float64": Precision("float64", 2.0**-52, 2.0**-1074),
    "float32": Precision("float32", 2.0**-23, 2.0**-149),
    "bfloat16": Precision("bfloat16", 2.0**-7, 2.0**-133),
    "float16": Precision("float16", 2.0**-10, 2.0**-24),
}


def precision_of(array: np.ndarray[Any, np.dtype[Any]]) -> Precision:
    """Return the precision in which numbers were computed: that of their type, or a lower one that all of them show.

    Args:
        array: numbers of any shape and real type; integers count as float64.

    >>> precision_of(np.float32([1 / 3, 0.5])).name, precision_of(np.float64(np.float32(np.arange(1, 99) / 7))).name
    ('float32', 'float32')
    """
    of_type = PRECISIONS.get(array.dtype.name, PRECISIONS["float64"])
    values = array[np.isfinite(array)] if array.dtype.kind == "f" else np.empty(0)
    for name in ("bfloat16", "float16", "float32"):
        seen = PRECISIONS[name]
        if seen.eps > of_type.eps and _all_in(values.astype(np.float64), seen):
            return seen
    return of_type


def _all_in(values: Array, precision: Precision) -> bool:
    """Return whether all numbers are of this precision and use its digits, so that it is no chance."""
    mantissa, exponent = np.frexp(values)
    digits = int(1.0 - np.log2(precision.eps))
    units = np.ldexp(mantissa, digits)  # in units of the last digit
    fits = (np.abs(values) >= precision.tiny) | (values == 0)
    if (units != np.floor(units)).any() or not fits.all() or exponent.max(initial=0) > _LARGEST_EXPONENT:
        return False
    if precision.name == "float32":
        # Differences of float32 numbers end in zeros: they need not use the last digit, but half of all digits.
        used = np.ldexp(mantissa, digits // 2)
        return len(np.unique(values[used != np.floor(used)])) >= _USED
    # Whole numbers and multiples of 0.25 use the last digit within one power of two only; rounded numbers in each.
    last = np.mod(units, 2.0) != 0.0
    return len(np.unique(values[last])) >= _USED and len(np.unique(exponent[last])) >= _BINADES


def estimated_terms(gradient: Array, magnitude: Array) -> Array:
    """Estimate the terms of a gradient whose formula is not known: the largest entry of the row, or the RMS of all.

    The RMS counts only up to the magnitude of the inputs: exp(100) in one sample is no term of another.

    Args:
        gradient: (samples, coordinates).
        magnitude: (samples,) that of the inputs.

    Returns:
        (samples, 1).
    """
    size = np.where(np.isfinite(gradient), np.abs(gradient), 0.0)
    top = size.max(initial=0.0)
    rms = top * np.sqrt(np.mean(np.square(size / top))) if top > 0 else 0.0
    return np.asarray(np.maximum(size.max(axis=1, initial=0.0), np.minimum(rms, magnitude))[:, None])


def reference_slack(loss: Loss, arrays: Sequence[Array], reference: Array, precision: Precision) -> Array:
    """Return how far rounding can move the gradient of a registered loss, in the shape of the predictions.

    Three amounts are added: ε·|g|; the largest change of g when the inputs change by a few ε, in six patterns of
    signs; and ε times the difference between g and its value at the opposite target, for a loss of logits. The last one
    is the 1 of p − 1, which no change of the inputs shows.

    Args:
        loss: the loss.
        arrays: its inputs.
        reference: its gradient, in the shape of the predictions.
        precision: that of the numbers to judge.
    """
    amount = ULPS_OF_TERMS * precision.eps
    slack: Array = amount * np.abs(reference) + ULPS_OF_TERMS * precision.tiny
    rng = np.random.default_rng(0)
    kinds = [i.kind for i in loss.inputs]
    for pattern in range(6):
        moved = [_moved(a, kind, amount, pattern, rng) for a, kind in zip(arrays, kinds, strict=True)]
        change = np.abs(_gradient(loss, moved) - reference)
        # Where the loss is not defined at a changed input, a change shows nothing.
        slack = np.fmax(slack, amount * np.abs(reference) + np.where(np.isnan(change), 0.0, change))
    unbounded = np.isinf(kinds[0].domain.low) and np.isinf(kinds[0].domain.high)
    if unbounded and len(arrays) > 1 and (other := _opposite(arrays, kinds)) is not None:
        change = np.abs(_gradient(loss, [arrays[0], other, *arrays[2:]]) - reference)
        slack = slack + amount * np.where(np.isfinite(change), change, 0.0)
    return np.asarray(slack)


def _gradient(loss: Loss, arrays: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        thunk = loss.evaluate(*arrays)[1]
        assert thunk is not None
        return np.asarray(thunk())


def _moved(array: Array, kind: Kind, amount: float, pattern: int, rng: np.random.Generator) -> Array:
    """Return the input with each number changed by a share `amount` up or down, within its domain."""
    if isinstance(kind, _CODES):
        return array
    # All up, all down, then random signs for each number.
    signs = (1.0, -1.0)[pattern] if pattern < 2 else rng.choice([-1.0, 1.0], array.shape)
    low, high = kind.domain.low, kind.domain.high
    return np.asarray(np.clip(array * (1.0 + amount * signs), low, high))


def _opposite(arrays: Sequence[Array], kinds: Sequence[Kind]) -> Array | None:
    """Return the targets with every label changed: the next class, the other sign, 1 − t; None for other kinds."""
    target, kind = arrays[1], kinds[1]
    if isinstance(kind, LabelKind):
        return np.asarray(np.mod(target + 1.0, arrays[0].shape[-1]))
    if isinstance(kind, SignKind):
        return -target
    if isinstance(kind, (ProbabilityKind, FlagsKind)):
        return 1.0 - target
    if isinstance(kind, ProbabilitiesKind):
        return np.roll(target, 1, axis=-1)
    return None
