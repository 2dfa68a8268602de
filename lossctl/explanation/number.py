"""A number as it is written: its value, and one unit of its last digit."""

from __future__ import annotations

import numpy as np

from lossctl.errors import UsageError, quoted
from lossctl.immutable import immutable

# Relative roundoff of a library that sums in double or in single precision.
DOUBLE, SINGLE = 4e-13, 2e-6


@immutable
class WrittenNumber:
    """A number with the digits that it was written with.

    Attributes:
        text: the text.
        value: the number.
        unit: one unit of the last digit of the text.
    """

    text: str
    value: float
    unit: float

    @property
    def significant(self) -> int:
        """The number of significant digits."""
        digits = self.text.rstrip(" %").lower().lstrip("+-").partition("e")[0].replace(".", "").lstrip("0")
        return len(digits)

    def tolerance(self, roundoff: float) -> float:
        """Return the allowed difference: a unit of the last digit and the roundoff."""
        return self.unit + roundoff * abs(self.value)


def read_number(text: str) -> WrittenNumber:
    """Read a number; with a per cent sign, a hundredth of it.

    Raises:
        UsageError: the text is no finite number.

    >>> number = read_number("0.4740")
    >>> number.value, f"{number.unit:g}", number.significant
    (0.474, '0.0001', 4)
    >>> read_number("12.5 %").value
    0.125
    """
    bare = text.strip()
    per_cent = bare.endswith("%")
    bare = bare.removesuffix("%").rstrip()
    try:
        value = None if "_" in bare or not bare.isascii() else float(bare)
    except ValueError:
        value = None
    if value is None:
        raise UsageError(f"{quoted(text)} is not a number")
    if not np.isfinite(value):
        raise UsageError(f"{quoted(text)} is not a finite number: its cause is an input, see: lossctl breakdown")
    mantissa, _, exponent = bare.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return WrittenNumber(text.strip(), value / 100.0, unit / 100.0) if per_cent else WrittenNumber(bare, value, unit)
