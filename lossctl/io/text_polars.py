"""A large chunk of text through polars, where it can be proved to be read as the grammar reads it.

polars is the faster and the laxer parser: short rows become nulls, a carriage return may be a character,
blank lines are rows. What it is given is therefore checked first (line ends, quotes, blanks, the length of
lines), and what it makes of it afterwards (rows, cells, nulls, infinities). Whatever does not pass is the
grammar's, whose answer stands, be it numbers or an error. tests/test_text.py holds the two together.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossctl.io import byte_stream
from lossctl.io.polars_guard import absorb_second_interrupt
from lossctl.io.source import Field, Rows
from lossctl.io.text_grammar import CellError, Dialect

if TYPE_CHECKING:
    import polars as pl

# Below this the import of polars (0.12 s) costs more than it saves. A process on two columns, grammar against
# polars: 0.9 MiB 0.42 s against 0.63, 1.9 MiB 0.53 against 0.71, 3.7 MiB 1.03 against 1.15, 7.5 MiB 1.40 against
# 1.45 (tests/bench/text.py crossing). Chunks of a longer file are 4 MiB, or as much less as a record has.
WORTH = 7 << 19
_LINE, _QUOTE = ord("\n"), ord('"')


class PolarsTextReader:
    """How chunks of one file are read: the dialect, the columns of each field, how many there are."""

    def __init__(self, dialect: Dialect, width: int, fields: Sequence[Field], chosen: Sequence[Sequence[int]]) -> None:
        self._dialect, self._width, self._fields, self._chosen = dialect, width, fields, chosen
        delimiter = " " if dialect.delimiter is None else dialect.delimiter
        self._delimiter = delimiter.encode()
        # How many digits were written is a matter of the text, and of all rows of a piece.
        self.possible = len(self._delimiter) == 1 and not any(f.digits for f in fields)

    def rows(self, chunk: bytes) -> Rows | None:
        """The rows of a chunk that ends where a record ends; None where the grammar must be asked."""
        text = self._plain(chunk)
        if text is None:
            return None
        import polars as pl

        try:
            with absorb_second_interrupt():
                table = pl.read_csv(
                    text,
                    has_header=False,
                    schema={str(i): pl.String if self._is_text(i) else pl.Float64 for i in range(self._width)},
                    separator=self._delimiter.decode(),
                    decimal_comma=self._dialect.decimal == ",",
                    empty_string_is_null=False,
                )
            if not self._is_table(text, len(table)):
                return None
            fields = [self._values(table, i) for i in range(len(self._fields))]
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, CellError):
            return None
        return None if any(field is None for field in fields) else tuple(f for f in fields if f is not None)

    def _is_text(self, column: int) -> bool:
        """Whether a column is read as it is written: it is not chosen, or not for its numbers alone."""
        users = [f for f, chosen in zip(self._fields, self._chosen, strict=True) if column in chosen]
        return not users or bool(self._dialect.na_values) or any(f.text or f.labels for f in users)

    def _plain(self, chunk: bytes) -> bytes | None:
        r"""The same text with \n for line ends, if nothing is in it that polars reads in another way."""
        text = chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk
        if b"\r" in text or b"\0" in text or text.startswith(codecs.BOM_UTF8):
            return None
        if not text.endswith(b"\n"):
            text += b"\n"
        if self._dialect.delimiter is None and not _single_blanks(text):
            return None
        if self._dialect.decimal == "," and b"." in text:  # polars would take both
            return None
        return text if short_lines(text, byte_stream.RECORD_LIMIT) and _utf8(text) else None

    def _is_table(self, text: bytes, rows: int) -> bool:
        """Whether every line is a row of as many cells as there are columns, with quotes where they belong.

        polars refuses long rows; with as many delimiters as all rows need, there are no short ones either.
        """
        data = np.frombuffer(text, np.uint8)
        if np.count_nonzero(data == _LINE) != rows:
            return False
        delimiters = data == self._delimiter[0]
        if b'"' in text:
            if self._dialect.delimiter is None or not self._quotes_fit(data):
                return False
            inside = np.cumsum(data == _QUOTE, dtype=np.uint8) & 1  # uint8 wraps at an even number
            delimiters &= inside == 0
        return int(np.count_nonzero(delimiters)) == rows * (self._width - 1)

    def _quotes_fit(self, data: npt.NDArray[np.uint8]) -> bool:
        """Whether quotes open at the start of a cell and close at its end; "" in a cell closes and opens."""
        at = np.flatnonzero(data == _QUOTE)
        if len(at) % 2:
            return False
        edges = np.array([_LINE, _QUOTE, self._delimiter[0]], np.uint8)
        opening = at[::2] if at[0] else at[2::2]
        return bool(np.isin(data[opening - 1], edges).all() and np.isin(data[at[1::2] + 1], edges).all())

    def _values(self, table: pl.DataFrame, index: int) -> npt.NDArray[Any] | None:
        field = self._fields[index]
        made = [self._column(table[str(c)], field) for c in self._chosen[index]]
        arrays = [array for array in made if array is not None]
        if len(arrays) < len(made):
            return None
        return arrays[0].reshape(-1, 1) if len(arrays) == 1 else np.stack(arrays).T

    def _column(self, column: pl.Series, field: Field) -> npt.NDArray[Any] | None:
        import polars as pl

        if field.text:
            return np.array(column.str.strip_chars(" \t").to_list(), object)
        if field.labels:
            texts = column.unique()
            codes = self._dialect.codes(texts.to_list(), field.labels)
            return column.replace_strict(texts, codes, return_dtype=pl.Float64).to_numpy()
        if column.dtype == pl.String:
            column = self._numbers(column)
        values = column.to_numpy()
        # A cell that is empty or too large has no number; what else is infinite is rare enough to be asked for.
        return None if column.null_count() or np.isinf(values).any() else values

    def _numbers(self, column: pl.Series) -> pl.Series:
        """The numbers of a column of text; a null where there is none."""
        import polars as pl

        cells = column.str.strip_chars(" \t")
        missing = cells.is_in(list(self._dialect.na_values))
        if self._dialect.decimal == ",":
            cells = cells.str.replace(",", ".", literal=True)
        return cells.set(missing, "nan").cast(pl.Float64, strict=False)


def _single_blanks(text: bytes) -> bool:
    """Whether cells lie between single blanks, as np.savetxt writes them, and none is before or after them."""
    return not (text.startswith(b" ") or any(other in text for other in (b"\t", b"  ", b" \n", b"\n ")))


def short_lines(text: bytes, limit: int) -> bool:
    """Whether every line surely has fewer bytes than this limit: in every half of it a line ends."""
    half = max(1, limit // 2)
    return all(text.find(b"\n", at, at + half) >= 0 for at in range(0, len(text), half))


def _utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
