"""Fast parser for large chunks of text with polars, used only if the result must equal that of the strict grammar.

polars is faster than the grammar but accepts more: short rows become nulls, a carriage return may be a character,
and blank lines are rows. Therefore the text is checked before polars parses it (line ends, quotes, blanks, lengths
of lines), and the table is checked afterwards (rows, cells, nulls, infinities). If a check fails, the grammar parses
the chunk, and its numbers or its error are the result. tests/io/test_delimited_text.py compares the two parsers.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossctl.io import text_decoding
from lossctl.io.polars_guard import absorb_second_interrupt, has_room
from lossctl.io.source import Field, Rows
from lossctl.io.text_grammar import CellError, Dialect

if TYPE_CHECKING:
    import polars as pl

# Minimum bytes of a chunk for polars, 3.5 MiB: for less, the import of polars (0.12 s) costs more than it saves. Time
# of a process on two columns with the grammar and with polars: 0.9 MiB 0.42 s and 0.63 s, 1.9 MiB 0.53 s and 0.71 s,
# 3.7 MiB 1.03 s and 1.15 s, 7.5 MiB 1.40 s and 1.45 s (tests/benchmarks/text.py crossing). Chunks of a longer file have
# 4 MiB minus at most one record.
WORTH = 7 << 19
# Maximum columns for polars. 16 MB with the grammar and with polars: 4,000 columns 3.0 s and 2.0 s, 106 and 175 MiB;
# 20,000 columns 3.0 s and 4.3 s, 178 and 307 MiB.
_WIDEST = 8_000
_PART = 1 << 18
_LINE, _QUOTE = ord("\n"), ord('"')


class PolarsTextReader:
    """The polars parser for the chunks of one file.

    Args:
        dialect: delimiter, decimal separator and missing values.
        width: number of columns of the file.
        fields: the fields to read.
        chosen: the positions of the columns of each field.

    Attributes:
        possible: whether polars can be used for this dialect and these fields.
    """

    def __init__(self, dialect: Dialect, width: int, fields: Sequence[Field], chosen: Sequence[Sequence[int]]) -> None:
        self._dialect, self._width, self._fields, self._chosen = dialect, width, fields, chosen
        delimiter = " " if dialect.delimiter is None else dialect.delimiter
        self._delimiter = delimiter.encode()
        # polars does not keep the number of written digits, which depends on the text of all rows of a piece.
        self.possible = (
            len(self._delimiter) == 1
            and not dialect.thousands
            and width <= _WIDEST
            and not any(f.digits for f in fields)
        )
        as_text = {c: bool(dialect.na_values) for columns in chosen for c in columns}
        for field, columns in zip(fields, chosen, strict=True):
            if field.text or field.labels:
                as_text.update(dict.fromkeys(columns, True))
        # polars reads a column as text if no field uses it, or if a field needs more than its numbers.
        self._is_text = [as_text.get(column, True) for column in range(width)]

    def rows(self, chunk: bytes) -> Rows | None:
        """Parse a chunk that ends at a record end; return its rows, or None if the grammar must parse it."""
        text = self._plain(chunk)
        if text is None or not has_room():
            return None
        import polars as pl

        try:
            with absorb_second_interrupt():
                table = pl.read_csv(
                    text,
                    has_header=False,
                    schema={str(i): pl.String if self._is_text[i] else pl.Float64 for i in range(self._width)},
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

    def _plain(self, chunk: bytes) -> bytes | None:
        r"""Return the text with \n as line ends, or None if polars might read it differently from the grammar."""
        text = chunk
        if b"\r" in chunk:
            text = chunk.replace(b"\r\n", b"\n")
            if b"\r" in text:
                return None
        if b"\0" in text or text.startswith(codecs.BOM_UTF8):
            return None
        if not text.endswith(b"\n"):
            text += b"\n"
        if self._dialect.delimiter is None and not _single_blanks(text):
            return None
        if self._dialect.decimal == "," and b"." in text:  # polars would accept both separators
            return None
        return text if short_lines(text, text_decoding.RECORD_LIMIT) and _utf8(text) else None

    def _is_table(self, text: bytes, rows: int) -> bool:
        """Return whether every line is a row with one cell per column, and all quotes are at cell boundaries.

        polars rejects rows with too many cells. If the number of delimiters is also exactly rows · (width − 1), no row
        has too few cells.
        """
        data = np.frombuffer(text, np.uint8)
        if _count(data, _LINE) != rows:
            return False
        if b'"' not in text:
            # Of numbers alone, a row with too few cells has a null, which _column finds.
            return not any(self._is_text) or _count(data, self._delimiter[0]) == rows * (self._width - 1)
        if self._dialect.delimiter is None or not self._quotes_fit(data):
            return False
        inside = np.cumsum(data == _QUOTE, dtype=np.uint8) & 1  # uint8 overflow keeps the parity
        outside = (data == self._delimiter[0]) & (inside == 0)
        return int(np.count_nonzero(outside)) == rows * (self._width - 1)

    def _quotes_fit(self, data: npt.NDArray[np.uint8]) -> bool:
        """Return whether quotes open at cell starts and close at cell ends; "" in a cell counts as close and open."""
        at = np.flatnonzero(data == _QUOTE)
        if len(at) % 2:
            return False
        edges = np.array([_LINE, _QUOTE, self._delimiter[0]], np.uint8)
        opening = at[::2] if at[0] else at[2::2]
        return bool(np.isin(data[opening - 1], edges).all() and np.isin(data[at[1::2] + 1], edges).all())

    def _values(self, table: pl.DataFrame, index: int) -> npt.NDArray[Any] | None:
        field = self._fields[index]
        columns = [self._column(table[str(c)], field) for c in self._chosen[index]]
        arrays = [array for array in columns if array is not None]
        if len(arrays) < len(columns):
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
        # An empty or too large cell is null or infinite. Written infinities are rare: the grammar can parse them too.
        return None if column.null_count() or np.isinf(values).any() else values

    def _numbers(self, column: pl.Series) -> pl.Series:
        """Return the numbers of a column of text; a cell that is not a number becomes null."""
        import polars as pl

        cells = column.str.strip_chars(" \t")
        missing = cells.is_in(list(self._dialect.na_values))
        if self._dialect.decimal == ",":
            cells = cells.str.replace(",", ".", literal=True)
        return cells.set(missing, "nan").cast(pl.Float64, strict=False)


def _count(data: npt.NDArray[np.uint8], byte: int) -> int:
    """Return how often a byte occurs, counted in parts that fit into the L2 cache: 4 MiB in 0.9 ms."""
    parts = (data[at : at + _PART] for at in range(0, len(data), _PART))
    return sum(int(np.count_nonzero(part == byte)) for part in parts)


def _single_blanks(text: bytes) -> bool:
    """Return whether cells are separated by single spaces (as by np.savetxt) and lines have no outer blanks."""
    return not (text.startswith(b" ") or any(other in text for other in (b"\t", b"  ", b" \n", b"\n ")))


def short_lines(text: bytes, limit: int) -> bool:
    """Return True only if every line has fewer bytes than the limit, because each half of the limit has a line end."""
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
