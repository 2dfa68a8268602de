"""Type tests for polars columns, and their conversion to NumPy arrays of numbers or texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import number, printable
from lossctl.io.source import BadValueError, Field, label_codes
from lossctl.io.text_grammar import CellError, Dialect

if TYPE_CHECKING:
    import polars as pl

# Every integer of at most this magnitude is exactly a double.
_EXACT_INTEGERS = 2**53
_TEXT = Dialect(",")


def is_number(kind: Any) -> bool:
    """Return whether a polars type holds real numbers or booleans (128-bit integers are not accepted)."""
    import polars as pl

    small = (pl.Int128, pl.UInt128)
    return kind == pl.Boolean or ((kind.is_integer() or kind.is_float()) and kind not in small)


def is_text(kind: Any) -> bool:
    """Return whether a polars type holds text."""
    import polars as pl

    return kind in (pl.String, pl.Categorical, pl.Enum)


def kind_words(kind: Any) -> str:
    """Return the words with which an error message describes a rejected type."""
    import polars as pl

    if is_text(kind):
        return "text"
    if kind.is_temporal():
        return "dates or times"
    if kind in (pl.List, pl.Array):
        return "arrays, of which one column can be chosen, of numbers and of one length,"
    return "decimals" if kind.is_decimal() else "no real numbers"


def arrays(column: pl.Series, index: int, field: Field, length: int) -> npt.NDArray[Any]:
    """Convert a column of arrays or lists to numbers.

    Args:
        column: of type ``pl.Array`` or ``pl.List``.
        index: number of the field, for the error.
        field: the field that selected the column.
        length: required number of elements of each row.

    Returns:
        Array of shape (rows, length).

    Raises:
        BadValueError: a row is null or has another length, or an element is not a number.
    """
    import polars as pl

    lists = column.cast(pl.List(column.dtype.inner)) if isinstance(column.dtype, pl.Array) else column
    lengths = lists.list.len()
    bad = (lengths != length).fill_null(value=True)
    if bad.any():
        row = bad.arg_max() or 0
        length_text = "nothing" if lengths[row] is None else f"{lengths[row]} numbers"
        raise BadValueError(index, row, None, f"{length_text} where the first row has {length}")
    return numbers(lists.explode(), index, 0, field, per_row=length).reshape(-1, length)


def numbers(column: pl.Series, index: int, place: int, field: Field, per_row: int = 1) -> npt.NDArray[Any]:
    """Convert one column to numbers, or to texts if the field is a text key; a null becomes NaN.

    Args:
        column: the cells.
        index: number of the field, for the error.
        place: position of the column in the field, for the error if ``per_row`` is 1.
        field: the field that selected the column; its labels replace cells by class codes.
        per_row: number of consecutive cells that form a row.

    Raises:
        BadValueError: a cell is not a number or not a label, or a null forces a conversion of integers to doubles
            and an integer beyond 2**53 would change.
    """
    import polars as pl

    def refuse(row: int, cause: str) -> BadValueError:
        return BadValueError(index, row // per_row, row % per_row if per_row > 1 else place, cause)

    if is_text(column.dtype):
        cells = column.cast(pl.String)
        if field.text:
            return np.array(["" if c is None else c.strip(" \t") for c in cells.to_list()], object)
        try:
            return _TEXT.codes(["nan" if c is None else c for c in cells.to_list()], field.labels)
        except CellError as error:
            raise refuse(error.index, str(error)) from None
    values: npt.NDArray[Any] = column.to_numpy()
    if column.null_count() and column.dtype.is_integer():
        whole = column.fill_null(0).to_numpy()
        for row in np.flatnonzero((whole > _EXACT_INTEGERS) | (whole < -_EXACT_INTEGERS)).tolist():
            if int(whole[row]) != int(float(whole[row])):
                raise refuse(row, f"{whole[row]} is beyond 2**53 and no double: it would change: round it first")
    if values.dtype == object:  # booleans with nulls
        values = column.cast(pl.Float64).to_numpy()
    if not field.labels:
        return values
    codes = label_codes(values, field.labels)
    codes[np.isnan(values)] = np.nan
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise refuse(row, f"{number(values[row])} is not one of --labels {printable(','.join(field.labels))}")
    return codes
