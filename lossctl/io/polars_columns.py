"""What the cells of a column of polars are: numbers, texts, arrays of numbers, or none of them."""

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
    """Whether a type is one of real numbers, or of truths."""
    import polars as pl

    small = (pl.Int128, pl.UInt128)
    return kind == pl.Boolean or ((kind.is_integer() or kind.is_float()) and kind not in small)


def is_text(kind: Any) -> bool:
    """Whether a type is one of texts."""
    import polars as pl

    return kind in (pl.String, pl.Categorical, pl.Enum)


def kind_words(kind: Any) -> str:
    """What a type that is not wanted is."""
    import polars as pl

    if is_text(kind):
        return "text"
    if kind.is_temporal():
        return "dates or times"
    if kind in (pl.List, pl.Array):
        return "arrays, of which one column can be chosen, of numbers and of one length,"
    return "decimals" if kind.is_decimal() else "no real numbers"


def arrays(column: pl.Series, index: int, field: Field, length: int) -> npt.NDArray[Any]:
    """The numbers of a column of arrays, (rows, length)."""
    import polars as pl

    lists = column.cast(pl.List(column.dtype.inner)) if isinstance(column.dtype, pl.Array) else column
    lengths = lists.list.len()
    bad = (lengths != length).fill_null(value=True)
    if bad.any():
        row = bad.arg_max() or 0
        held = "nothing" if lengths[row] is None else f"{lengths[row]} numbers"
        raise BadValueError(index, row, None, f"{held} where the first row has {length}")
    return numbers(lists.explode(), index, 0, field, per_row=length).reshape(-1, length)


def numbers(column: pl.Series, index: int, place: int, field: Field, per_row: int = 1) -> npt.NDArray[Any]:
    """The numbers (or, of a key, the texts) of one column; a null is NaN."""
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
