"""How far rounding alone can move a right gradient: the precision of its numbers and the terms of its formula.

A gradient in a precision with machine epsilon ε is off by a few ε times its *terms*, the magnitudes of the numbers
that its formula subtracts: p and t in p − t, not their difference. A float32 softmax row that is right to 1e-10
at a class of probability 1 would need digits that float32 does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.array_kinds import AmountsKind, FlagsKind, LengthKind, WholeKind
from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind, ProbabilitiesKind, ProbabilityKind, SignKind
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.frameworks import widened_from
from lossctl.immutable import immutable

# Allowed error in units of ε·terms. The gradients of PyTorch and JAX in float64, float32, bfloat16 and float16 are
# off by at most 2; a gradient that is off by 0.1 % is at 8,389 in float32.
ULPS_OF_TERMS = 8.0
# Kinds of input whose numbers stand for something else: a change of one by a few ε means nothing.
_CODES = (LabelKind, SignKind, FlagsKind, WholeKind, LengthKind)
# A precision below that of the array is taken as seen only if so many different numbers use its digits, in so many
# powers of two. Gradients such as −1, 0 and 0.5 are numbers of every precision.
_USED, _BINADES = 16, 3
# Next to a reference that is not of a lower precision, fewer numbers show it: so many magnitudes of which all are of
# it, or one that uses more than half of its digits.
_MAGNITUDES = 8
# Random patterns of signs in which the inputs of a row are changed. By chance no change shows in any of them at one
# coordinate in 10¹⁰.
_RANDOM_PATTERNS = 14
# Of numbers of a higher precision these first ones already show it.
_HEAD = 1024


@immutable
class Precision:
    """A floating-point precision.

    Attributes:
        name: the name of its type, such as ``float32``.
        eps: the distance from 1 to the next larger number.
        tiny: the smallest positive number.
        largest: the largest finite number.
    """

    name: str
    eps: float
    tiny: float
    largest: float

    def contains(self, other: Precision) -> bool:
        """Whether every number of a lower precision is one of this; float16 has no room for those of bfloat16."""
        return other.eps > self.eps and other.largest <= self.largest


PRECISIONS = {
    "float64": Precision("float64", 2.0**-52, 2.0**-1074, float(np.finfo(np.float64).max)),
    "float32": Precision("float32", 2.0**-23, 2.0**-149, (2.0 - 2.0**-23) * 2.0**127),
    "bfloat16": Precision("bfloat16", 2.0**-7, 2.0**-133, (2.0 - 2.0**-7) * 2.0**127),
    "float16": Precision("float16", 2.0**-10, 2.0**-24, 65504.0),
}


def precision_of(array: np.ndarray[Any, np.dtype[Any]]) -> Precision:
    """Return the precision in which numbers were computed: that of their type, or a lower one that all of them show.

    Args:
        array: numbers of any shape and real type; integers count as float64.

    >>> precision_of(np.float32([1 / 3, 0.5])).name, precision_of(np.float64(np.float32(np.arange(1, 99) / 7))).name
    ('float32', 'float32')
    """
    of_type = PRECISIONS.get(widened_from(array) or array.dtype.name, PRECISIONS["float64"])
    if array.dtype.kind != "f":
        return of_type
    head = array.ravel()[:_HEAD].astype(np.float64)
    for name in ("bfloat16", "float16", "float32"):
        seen = PRECISIONS[name]
        if of_type.contains(seen) and _fits(head, seen).all():
            values = array[np.isfinite(array)].astype(np.float64)
            if _all_in(values, seen):
                return seen
    return of_type


def precision_of_number(value: np.ndarray[Any, np.dtype[Any]]) -> Precision:
    """Return the precision of one number: that of its type, or a lower one of which it uses more than half the digits.

    >>> precision_of_number(np.array(np.float64(np.float32(1 / 3)))).name, precision_of_number(np.array(0.5)).name
    ('float32', 'float64')
    """
    of_type = PRECISIONS.get(value.dtype.name, PRECISIONS["float64"])
    number = np.array([float(value)])
    for name in ("bfloat16", "float16", "float32"):
        seen = PRECISIONS[name]
        if seen.eps > of_type.eps and np.isfinite(number[0]) and _fits(number, seen)[0]:
            half = np.ldexp(np.frexp(number)[0], _digits(seen) // 2)
            if half[0] != np.floor(half[0]):
                return seen
    return of_type


def precision_seen(given: Array, reference: Array, pred: Array, of_type: Precision) -> Precision:
    """Return the precision that numbers show next to those that they should be.

    Differences end in zeros and means of ±1 have one magnitude, so that such numbers alone do not show their precision.
    They do where the reference is not of it, or where the predictions show it.

    Args:
        given: the numbers as they were computed.
        reference: what they should be, in the same shape.
        pred: the predictions.
        of_type: the precision if they show no lower one.
    """
    for name in ("bfloat16", "float16"):
        seen = PRECISIONS[name]
        if not of_type.contains(seen):
            continue
        with np.errstate(all="ignore"):
            if not _fits(given.ravel()[:_HEAD], seen).all() or not _fits(given, seen).all():
                continue
            rounded = given[np.isfinite(given) & (given != 0) & ~_fits(reference, seen)]
        magnitudes = np.unique(np.abs(rounded))
        half = np.ldexp(np.frexp(magnitudes)[0], _digits(seen) // 2)
        if len(magnitudes) >= _MAGNITUDES or (half != np.floor(half)).any() or precision_of(pred) == seen:
            return seen
    return of_type


def _digits(precision: Precision) -> int:
    return int(1.0 - np.log2(precision.eps))


def round_to(values: Array, precision: Precision) -> Array:
    """Round float64 numbers to a precision, half to even; beyond its largest number to infinity.

    >>> round_to(np.array([1.0 + 2.0**-8, 1.004, 4e38]), PRECISIONS["bfloat16"]).tolist()
    [1.0, 1.0078125, inf]
    """
    if precision.name == "float64":
        return values
    unit = 2.0 * half_unit(values, precision)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.where(np.isfinite(values), np.rint(values / unit) * unit, values)
    return np.where(np.abs(rounded) > precision.largest, np.copysign(np.inf, rounded), rounded)


def half_unit(values: Array, precision: Precision) -> Array:
    """Return half the distance between numbers of this precision next to each value."""
    exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))[1]
    unit = np.where(values == 0.0, precision.tiny, np.ldexp(1.0, exponent - _digits(precision)))
    return np.asarray(np.maximum(unit, precision.tiny) / 2.0)


def _fits(values: Array, precision: Precision) -> npt.NDArray[np.bool_]:
    """Return which numbers are of this precision, or not finite."""
    units = np.ldexp(np.frexp(values)[0], _digits(precision))  # in units of the last digit
    size = np.abs(values)
    in_range = ((size >= precision.tiny) & (size <= precision.largest)) | (values == 0) | ~np.isfinite(values)
    return np.asarray(((units == np.floor(units)) | ~np.isfinite(values)) & in_range)


def _all_in(values: Array, precision: Precision) -> bool:
    """Return whether all numbers are of this precision and use its digits, so that it is no chance."""
    if not _fits(values, precision).all():
        return False
    mantissa, exponent = np.frexp(values)
    digits = _digits(precision)
    if precision.name == "float32":
        # Differences of float32 numbers end in zeros: they need not use the last digit, but half of all digits.
        used = np.ldexp(mantissa, digits // 2)
        return len(np.unique(values[used != np.floor(used)])) >= _USED
    # Whole numbers and multiples of 0.25 use the last digit within one power of two only; rounded numbers in each.
    last = np.mod(np.ldexp(mantissa, digits), 2.0) != 0.0
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


def reference_slack(
    loss: Loss, arrays: Sequence[Array], reference: Array, precision: Precision, factor: Array | float = 1.0
) -> Array:
    """Return how far rounding can move the gradient of a registered loss, in the shape of the predictions.

    The amounts are ε·|g|; the largest change of g when the inputs change by a few ε, in several patterns of signs; and
    ε times the terms that no small change of the inputs shows:

    - for a loss of logits, scores or vectors, the difference between g and its value at the opposite target: the 1 of
      p − 1;
    - for a loss of an angle, the unit vectors that are subtracted, and the products of lengths that underflow;
    - for a loss of a residual, g at a target so far away that g no longer changes: the delta of
      delta − (delta − r), by which a framework differentiates Huber's loss as a sum of two parts, and the 1 of log-cosh
      as a difference of two sigmoids.

    Underflow moves p − t by the smallest number, and g by this times the difference of g between two targets.

    Args:
        loss: the loss.
        arrays: its inputs.
        reference: its gradient, in the shape of the predictions.
        precision: that of the numbers to judge.
        factor: number by which they were multiplied after they were computed, or one for each of them. Default 1.
    """
    amount = ULPS_OF_TERMS * precision.eps
    tiny = ULPS_OF_TERMS * precision.tiny * np.abs(factor)
    slack: Array = amount * np.abs(reference) + tiny
    kinds = [i.kind for i in loss.inputs]
    for of, moved in chain(
        ((loss, m) for m in moved_inputs(loss, arrays, amount)), _other_margins(loss, arrays, amount)
    ):
        g = _gradient(of, moved)
        change = np.abs(g - reference) + amount * np.fmax(np.abs(g), np.abs(reference))
        slack = np.fmax(slack, change)  # NaN, where the loss is not defined at a changed input, shows nothing
    unbounded = bool(np.isinf(kinds[0].domain.low) and np.isinf(kinds[0].domain.high))
    if len(arrays) > 1 and (other := opposite_target(arrays, kinds)) is not None:
        change = np.abs(_gradient(loss, [arrays[0], other, *arrays[2:]]) - reference)
        slack = slack + (amount * unbounded + tiny) * np.where(np.isfinite(change), change, 0.0)
    for i, kind in enumerate(kinds[1:], 1):
        if kind.name == "Direction":
            slack = slack + _direction_slack(loss, arrays, i, amount=amount, tiny=tiny)
    if len(arrays) > 1 and kinds[0].name == kinds[1].name == "Real" and not loss.batch_coupled:
        slack = slack + amount * _tail_slope(loss, arrays)
    return np.asarray(slack)


def _other_margins(loss: Loss, arrays: Sequence[Array], amount: float) -> Iterator[tuple[Loss, Sequence[Array]]]:
    """Yield the loss with its margin changed by a share `amount`: a sum is rounded to the digits of its margin."""
    margin = loss.params.get("margin")
    if loss.is_builtin and isinstance(margin, float) and margin:
        for sign in (1.0, -1.0):
            yield loss.bind(margin=margin * (1.0 + amount * sign)), arrays


def _direction_slack(loss: Loss, arrays: Sequence[Array], i: int, *, amount: float, tiny: Array | float) -> Array:
    """Return how far rounding can move the gradient of a loss of the angle between the predictions and input i.

    The gradient is proportional to v − (u·v)·u of unit vectors u and v, whose elements are its terms. The factor is the
    length of the gradient at a vector of 45° to u: at one nearer to u or farther from it, a loss may be flat. The
    numbers in between are products of squared lengths, x·x·y·y: if their gradient underflows, g is off by the smallest
    number times 2·|x|·y·y.
    """
    x, y = arrays[0], arrays[i]
    u, v = _unit(x), _unit(y)
    across = np.arange(x.shape[-1]) == np.abs(u).argmin(axis=-1, keepdims=True)
    across = _unit(across - u * np.where(across, u, 0.0).sum(axis=-1, keepdims=True))
    other = (u + across) * np.sqrt(_squared(y) / 2.0)
    g = _gradient(loss, [*arrays[:i], other, *arrays[i + 1 :]])
    factor = np.sqrt(2.0 * _squared(np.where(np.isfinite(g), g, 0.0)))
    return np.asarray(amount * factor * (np.abs(u) + np.abs(v)) + tiny * 2.0 * np.abs(x) * _squared(y))


def _unit(x: Array) -> Array:
    """Return each vector divided by its length; vectors of 0 stay as they are."""
    top = np.abs(x).max(axis=-1, keepdims=True)
    x = x / np.where(top > 0.0, top, 1.0)  # its square does not overflow
    length = np.sqrt(_squared(x))
    return np.asarray(x / np.where(length > 0.0, length, 1.0))


def _squared(x: Array) -> Array:
    """Return the squared length of each vector, with its axis kept."""
    return np.asarray(np.square(x).sum(axis=-1, keepdims=True))


def _tail_slope(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return the magnitude of the gradient far away on the same side of the target; 0 where it grows without end."""
    pred, target = arrays[:2]
    short, far = (
        np.abs(_gradient(loss, [pred, distant_target(pred, target, d), *arrays[2:]])) for d in (2.0**20, 2.0**24)
    )
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(short - far) <= 1e-3 * far, far, 0.0)


def distant_target(pred: Array, target: Array, distance: float) -> Array:
    """Return targets on their side of the predictions at distance·(1 + |pred|); unchanged for an infinite ``pred``."""
    side = np.where(pred >= target, 1.0, -1.0)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(pred), pred - side * distance * (1.0 + np.abs(pred)), target)


def _gradient(loss: Loss, arrays: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        thunk = loss.evaluate(*arrays)[1]
        assert thunk is not None
        return np.asarray(thunk())


def moved_inputs(loss: Loss, arrays: Sequence[Array], amount: float) -> Iterator[list[Array]]:
    """Yield the inputs with each number changed by a share `amount` up or down, within its domain.

    Rows of scores that are compared with a margin change by at least this share of it: of 1 + z − z[y] small scores are
    rounded to the digits of the 1, and become equal.
    """
    kinds = [i.kind for i in loss.inputs]
    margin = loss.params.get("margin", 0.0) if kinds[0].name == "ClassScores" else 0.0
    least = abs(margin) if isinstance(margin, float) else 0.0
    numbers = [i for i, kind in enumerate(kinds) if not isinstance(kind, _CODES)]
    patterns: Iterable[Sequence[Any]]
    if all(a.ndim == 1 for a in arrays) and not loss.batch_coupled:
        patterns = product((1.0, -1.0), repeat=len(numbers))  # all there are
    else:
        rng = np.random.default_rng(0)
        patterns = chain(
            ([sign] * len(numbers) for sign in (1.0, -1.0)),
            ([sign * _alternating(arrays[i]) for i in numbers] for sign in (1.0, -1.0)),
            ([rng.choice([-1.0, 1.0], arrays[i].shape) for i in numbers] for _ in range(_RANDOM_PATTERNS)),
        )
    for signs in patterns:
        moved = list(arrays)
        for i, sign in zip(numbers, signs, strict=True):
            changed = arrays[i] * (1.0 + amount * sign)
            if i == 0 and least:
                changed = np.where(np.abs(arrays[i]) < least, arrays[i] + amount * sign * least, changed)
            moved[i] = np.clip(changed, kinds[i].domain.low, kinds[i].domain.high)
        yield moved


def _alternating(x: Array) -> Array:
    """Return signs that alternate from each number of a row to the next larger one: the two largest change places.

    Random signs leave two numbers in their order in 2 % of all rows.
    """
    return np.asarray(1.0 - 2.0 * (x.argsort(axis=-1).argsort(axis=-1) % 2))


def opposite_target(arrays: Sequence[Array], kinds: Sequence[Kind]) -> Array | None:
    """Return the targets with every label changed: the next class, the other sign, 1 − t; None for other kinds.

    A vector is mirrored at the prediction, which keeps the distance between them.
    """
    target, kind = arrays[1], kinds[1]
    if isinstance(kind, LabelKind):
        return np.asarray(np.mod(target + 1.0, arrays[0].shape[-1]))
    if isinstance(kind, SignKind):
        return -target
    if isinstance(kind, (ProbabilityKind, FlagsKind)):
        return 1.0 - target
    if kind.name == "Vector" and target.shape == arrays[0].shape:
        return 2.0 * arrays[0] - target
    if isinstance(kind, (ProbabilitiesKind, AmountsKind)):
        return np.roll(target, 1, axis=-1)
    return None
