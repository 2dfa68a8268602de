"""Find the wrong arrays and entries of a gradient by bisection over parts of a random direction.

The residual of a direction is the sum of the residuals of its parts. One measured half therefore gives the other by
subtraction, and one mistake among n entries takes 2·log₂(n) evaluations.
"""

from __future__ import annotations

import numpy as np

from lossctl.gradients.random_slopes import RATIO, STEPS, SURE, Part, RandomSlopes, Slope
from lossctl.immutable import immutable

# A residual that is inferred is measured again if its error bound is more than this share of it.
_VAGUE = 0.125
# A gap of at most this many units of noise shows no curvature, so that a longer step is as good and less noisy.
_FLAT = 4.0


@immutable
class ArrayPart:
    """One array of the parameters.

    Attributes:
        name: its name.
        shape: its shape.
        part: its range in the vector of all parameters.
    """

    name: str
    shape: tuple[int, ...]
    part: slice

    def place(self, flat: int) -> str:
        """Return the name of an entry, such as ``W1[3, 7]``, from its position in the vector.

        >>> ArrayPart("W1", (4, 10), slice(100, 140)).place(137)
        'W1[3, 7]'
        """
        if not self.shape:
            return self.name
        index = np.unravel_index(flat - self.part.start, self.shape)
        return f"{self.name}[{', '.join(str(int(i)) for i in index)}]"


@immutable
class Entry:
    """One entry of the gradient that was checked by itself.

    Attributes:
        place: its name, such as ``W1[3, 7]``.
        flat: its position in the vector of all parameters.
        given, numeric, error: gradient under test, derivative and the bound of its error.
        wrong: whether they differ by more than the errors.
        kink: whether the one-sided derivatives differ, and the gradient lies between them.
    """

    place: str
    flat: int
    given: float
    numeric: float
    error: float
    wrong: bool
    kink: bool


def wrong_arrays(slopes: RandomSlopes, arrays: list[ArrayPart], k: int, joint: Slope) -> dict[int, Slope]:
    """Return the residuals of the wrong arrays by their numbers, of a direction that is wrong for all together."""
    if not slopes.is_wrong(joint, k, _span(arrays, 0, len(arrays))):
        return {}
    return _split_arrays(slopes, arrays, k, (0, len(arrays)), joint)


def _span(arrays: list[ArrayPart], first: int, last: int) -> slice:
    return slice(arrays[first].part.start, arrays[last - 1].part.stop)


def _split_arrays(
    slopes: RandomSlopes, arrays: list[ArrayPart], k: int, span: tuple[int, int], slope: Slope
) -> dict[int, Slope]:
    first, last = span
    if last - first == 1:
        part = arrays[first].part
        direct = slopes.confirmed(k, part, slopes.slope(k, part))
        return {first: direct} if slopes.is_wrong(direct, k, part) else {}
    middle = (first + last) // 2
    left_part, right_part = _span(arrays, first, middle), _span(arrays, middle, last)
    left = slopes.slope(k, left_part)
    right = slope.minus(left)
    if right.error > _VAGUE * abs(slope.residual):
        right = slopes.slope(k, right_part)
    wrong: dict[int, Slope] = {}
    if slopes.is_wrong(left, k, left_part):
        wrong |= _split_arrays(slopes, arrays, k, (first, middle), left)
    if slopes.is_wrong(right, k, right_part):
        wrong |= _split_arrays(slopes, arrays, k, (middle, last), right)
    return wrong


def wrong_entry(slopes: RandomSlopes, array: ArrayPart, k: int, slope: Slope) -> Entry | None:
    """Return a wrong entry of a wrong array, of whose two halves the one with the larger residual is taken each time.

    Args:
        slopes: the slopes.
        array: the array.
        k: a direction.
        slope: the residual of the array along it.

    Returns:
        The entry, or None if the one that bisection ends at is not wrong by itself.
    """
    first, last, step = array.part.start, array.part.stop, slopes.step
    # Split between rows as long as there are several, so that a wrong row is met as a whole.
    row = int(np.prod(array.shape[1:], dtype=int)) or 1
    while last - first > 1:
        count = last - first
        middle = first + (count // row // 2 * row if count >= 2 * row else count // 2)
        left = _measured(slopes, k, slice(first, middle), step)
        right = slope.minus(left)
        if abs(right.residual) > abs(left.residual) and right.error > _VAGUE * abs(right.residual):
            right = _measured(slopes, k, slice(middle, last), step)
        if abs(left.residual) >= abs(right.residual):
            last, slope = middle, left
        else:
            first, slope = middle, right
        step = _longer(slopes, slope, step)
    entry = check_entry(slopes, array, first, step)
    return entry if entry.wrong else None


def check_entry(slopes: RandomSlopes, array: ArrayPart, flat: int, step: float | None = None) -> Entry:
    """Check one entry by itself, with two evaluations, or four if it looks wrong.

    Args:
        slopes: the slopes.
        array: the array of the entry.
        flat: its position in the vector of all parameters.
        step: the first step. Default: the step of the whole vector, or a longer one.
    """
    part = slice(flat, flat + 1)
    slope = _measured(slopes, 0, part, step or min(RATIO * slopes.step, float(STEPS[0])))
    if slopes.is_wrong(slope, 0, part):
        slope = slopes.confirmed(0, part, slope)
    length, given = float(slopes.directions[0][flat]), float(slopes.gradient[flat])
    is_kink = slope.gap > _FLAT * SURE * slopes.noise / slope.step and slope.gap > abs(given * length) * 2.0**-10
    return Entry(
        array.place(flat),
        flat,
        given,
        given + slope.residual / length,
        slope.error / abs(length),
        slopes.is_wrong(slope, 0, part),
        is_kink,
    )


def _measured(slopes: RandomSlopes, k: int, part: Part, step: float) -> Slope:
    """Measure with a step that is longer than that of the whole vector, and with a shorter one if it crosses kinks."""
    slope = slopes.slope(k, part, step)
    if step > slopes.step and (slope.gap > _FLAT * slopes.noise / step or not np.isfinite(slope.error)):
        return min(slope, slopes.slope(k, part, step / RATIO), key=lambda s: s.error)
    return slope


def _longer(slopes: RandomSlopes, slope: Slope, step: float) -> float:
    """Return the next step: the parts that remain have less curvature, and noise counts less at a longer step."""
    if slope.gap <= _FLAT * slopes.noise / step:
        return min(RATIO * step, float(STEPS[0]))
    return step
