"""Intervals of real numbers: the domains of inputs and parameters, as data."""

from __future__ import annotations

import math

from lossctl.errors import number
from lossctl.immutable import immutable


@immutable
class Interval:
    """An interval of real numbers with open or closed ends.

    Attributes:
        low, high: the ends.
        open_low, open_high: whether the end is excluded.

    >>> 0.0 in Interval(0, 1), 0.0 in Interval(0, 1, open_low=True)
    (True, False)
    >>> str(Interval(0, 1)), str(Interval(0, math.inf, True, True))
    ('from 0 to 1', 'above 0')
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, x: float) -> bool:
        above = x > self.low if self.open_low else x >= self.low
        below = x < self.high if self.open_high else x <= self.high
        return above and below

    def __str__(self) -> str:
        low = f"above {number(self.low)}" if self.open_low else f"at least {number(self.low)}"
        high = f"below {number(self.high)}" if self.open_high else f"at most {number(self.high)}"
        if math.isinf(self.low) and math.isinf(self.high):
            return "finite" if self.open_low and self.open_high else "any number"
        if math.isinf(self.high):
            return low
        if math.isinf(self.low):
            return high
        if not (self.open_low or self.open_high):
            return f"from {number(self.low)} to {number(self.high)}"
        return f"{low} and {high}"


REAL = Interval(-math.inf, math.inf, open_low=True, open_high=True)
POSITIVE = Interval(0.0, math.inf, open_low=True, open_high=True)
NON_NEGATIVE = Interval(0.0, math.inf, open_high=True)
UNIT = Interval(0.0, 1.0)
OPEN_UNIT = Interval(0.0, 1.0, open_low=True, open_high=True)
