"""Rows that count: a comparison of one column with a constant, ``--where``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import UsageError, quoted
from lossctl.immutable import immutable
from lossctl.io.text_grammar import NUMBER

# The role of the compared column in a data set.
WHERE = "where column"
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_EXPRESSION = re.compile(r"\s*([^=!<>]+?)\s*(==|!=|<=|>=|<|>)\s*([^=!<>]+?)\s*")


@immutable
class Where:
    """A comparison: rows for which it does not hold do not count.

    Attributes:
        column: the name of the column.
        comparison: ``==``, ``!=``, ``<=``, ``>=``, ``<`` or ``>``.
        constant: a number, or a text for the first two.
    """

    column: str
    comparison: str
    constant: float | str

    @property
    def text(self) -> bool:
        """Whether the column is compared as text."""
        return isinstance(self.constant, str)

    def mask(self, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return which of the values (n,) count."""
        return np.asarray(_OPERATORS[self.comparison](values, self.constant), bool)


def parse_where(text: str) -> Where:
    """Parse a comparison of one column with a constant; quotes make a number a text.

    Raises:
        UsageError: it is none.

    >>> parse_where("y != 0"), parse_where("split==test").text, parse_where("zip=='0123'").constant
    (Where(column='y', comparison='!=', constant=0.0), True, '0123')
    """
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise UsageError(f"--where {quoted(text)}: COLUMN==CONSTANT, or !=, <, <=, >, >=: 'y!=0', 'split==test'")
    column, comparison, constant = match.groups()
    if NUMBER.fullmatch(constant):
        return Where(column, comparison, float(constant))
    if comparison not in ("==", "!="):
        raise UsageError(f"--where {quoted(text)}: {quoted(constant)} is not a number; for texts == and !=")
    return Where(column, comparison, constant.strip("'\"") if constant[0] in "'\"" else constant)
