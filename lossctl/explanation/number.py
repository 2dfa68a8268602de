"""A number as it is written: its value, and one unit of its last digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossctl.errors import UsageError, quoted

# Relative roundoff of a library that sums in double or in single precision.
DOUBLE, SINGLE = 4e-13, 2e-6


@dataclass(frozen=True)
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
        digits = self.text.lower().lstrip("+-").partition("e")[0].replace(".", "").lstrip("0")
        return len(digits)

    def tolerance(self, roundoff: float) -> float:
        """Return the allowed difference: a unit of the last digit and the roundoff."""
        return self.unit + roundoff * abs(self.value)


def read_number(text: str) -> WrittenNumber:
    """Read a number.

    Raises:
        UsageError: the text is no finite number.

    >>> number = read_number("0.4740")
    >>> number.value, f"{number.unit:g}", number.significant
    (0.474, '0.0001', 4)
    """
    bare = text.strip()
    try:
        value = float(bare) if "_" not in bare and bare.isascii() else float("nan")
    except ValueError:
        hint = "; write 12.5 % as 0.125 or 12.5" if bare.endswith("%") else ""
        raise UsageError(f"{quoted(text)} is not a number{hint}") from None
    if not np.isfinite(value):
        raise UsageError(f"{quoted(text)} is not a finite number: its cause is an input, see: lossctl breakdown")
    mantissa, _, exponent = bare.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return WrittenNumber(bare, value, 10.0 ** (int(exponent or 0) - decimals))
