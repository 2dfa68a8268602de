"""Parquet and Arrow files (.parquet, .arrow, .feather), read through polars in strips of rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, printable
from lossctl.immutable import immutable
from lossctl.io import byte_stream, column_selection
from lossctl.io.file_state import State, another_file_error, modified_error
from lossctl.io.formats import InputFormat
from lossctl.io.polars_columns import arrays, is_number, is_text, kind_words, numbers
from lossctl.io.polars_guard import absorb_second_interrupt, capture_stderr, require_room
from lossctl.io.remote import polars_options
from lossctl.io.remote_address import is_remote
from lossctl.io.source import Field, Options, Read, Rows, cell_value
from lossctl.io.text_grammar import quote_cell

if TYPE_CHECKING:
    import polars as pl

# Maximum rows and bytes (of doubles) of a strip, the range of rows read at once. Each read locates its rows in the
# file anew, so that short strips are slow: 4M rows of two columns in row groups of 122,880 take 0.14 s with 131,072
# rows per strip, 0.08 s with 524,288, and 0.06 s and much memory with 2,097,152. The bytes limit wide tables.
_STRIP_ROWS = 1 << 19
_STRIP = 1 << 25
# Number of cached strips. Tasks run in the order of their rows, and a strip of a wide table serves several tasks.
_STRIPS = 2
# Bytes of a file, and its columns, up to which columns are read together and one by one. Of more columns a strip has
# fewer rows, and a query for each would be slow.
_LARGE_FILE = 1 << 27
_FEW_COLUMNS = _STRIP // (8 * _STRIP_ROWS)
_READING = threading.Lock()


@immutable
class _Stored:
    """A columnar file and its state (size and time of the last write) when it was opened."""

    path: str
    suffix: str
    state: State | None

    @property
    def display_name(self) -> str:
        return byte_stream.display_name(self.path)

    def query(self, question: Callable[[pl.LazyFrame], Any]) -> Any:
        """Return the result of a query on the lazy table of the file.

        Raises:
            DataError: the file is damaged, or has changed since it was opened.
        """
        import polars as pl

        self.check()
        scan = pl.scan_parquet if self.suffix == ".parquet" else pl.scan_ipc
        try:
            with capture_stderr(), absorb_second_interrupt():
                # An absolute path, because polars would interpret the names ~ and s3: as a home directory and a URL.
                options = polars_options(self.path) if is_remote(self.path) else {}
                answer = question(scan(byte_stream.absolute(self.path), glob=False, **options))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            self.check()
            cause = printable(str(error).partition("\n")[0])[:200].rstrip(".")
            remote_cause = cause.startswith("object-store error: ")
            what = "the server or the connection fails" if remote_cause else f"not a readable {self.suffix} file"
            raise DataError(f"{self.display_name}: {what}: {cause}") from None
        self.check()
        return answer

    def check(self) -> None:
        """Check that the file has not changed since it was opened.

        Raises:
            DataError: the file was written to.
        """
        if byte_stream.current_state(self.path) != self.state:
            raise modified_error(self.display_name)


def _exactly(names: tuple[str, ...]) -> pl.Expr:
    """Return the selector of the columns of these names; ``select`` takes ``^b$`` as a regular expression."""
    from polars import selectors

    return selectors.by_name(*names)


@lru_cache(_STRIPS)
def _strip(stored: _Stored, names: tuple[str, ...], first: int, rows: int) -> pl.DataFrame:
    """Read a range of rows of the named columns, through a cache.

    polars reads the whole column of a row group to decode a part of it. Columns of a large file are therefore read one
    by one: of one row group of 20M pairs, 154 MB a column, both at once take 405 MiB, one by one 270 MiB in the same
    time. In small row groups it takes 10 % more time (tests/benchmarks/run.py parquet).
    """
    import polars as pl

    large = stored.state is not None and stored.state[0] > _LARGE_FILE
    queries = [(name,) for name in names] if large and len(names) <= _FEW_COLUMNS else [names]
    parts = [stored.query(partial(_columns, names=part, first=first, rows=rows)) for part in queries]
    if any(len(part) != rows for part in parts):
        raise modified_error(stored.display_name)
    strip: pl.DataFrame = pl.concat(parts, how="horizontal")
    return strip


def _columns(table: pl.LazyFrame, names: tuple[str, ...], first: int, rows: int) -> pl.DataFrame:
    part: pl.DataFrame = table.select(_exactly(names)).slice(first, rows).collect()
    return part


def open_file(
    entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]
) -> ColumnarFile:
    """Open a Parquet or Arrow file; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return ColumnarFile(origin, entry.suffix)


class ColumnarFile:
    """An opened Parquet or Arrow file with its schema and number of rows."""

    is_text = False
    text_options: frozenset[str] = frozenset()

    def __init__(self, origin: byte_stream.Origin, suffix: str) -> None:
        self.display_name = origin.display_name
        self.stored = _Stored(origin.path, suffix, byte_stream.current_state(origin.path))
        if self.stored.state and self.stored.state[0] == 0:
            raise DataError(f"{self.display_name}: empty file")
        require_room(self.display_name)
        self.types, self.rows = self.stored.query(_schema)
        self.names = tuple(self.types)
        if not self.rows or not self.names:
            raise DataError(f"{self.display_name}: no {'rows' if self.names else 'columns'}")

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.names)

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return whether exactly one column is selected and it is text."""
        chosen = column_selection.select(selectors, self.names, self.width, self.display_name)
        return len(chosen) == 1 and is_text(self.types[self.names[chosen[0]]])

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns; a list is text."""
        names = tuple(self.names[column] for column in columns)
        table = self.stored.query(lambda table: table.select(_exactly(names)).head(rows).collect())
        return [[cell_value(cell) for cell in table[name]] for name in names]

    def bind(self, fields: tuple[Field, ...]) -> ColumnarSource:
        """Bind fields to columns and return the source; a column of arrays of length n counts as n columns."""
        keys = {c for f in fields if f.key for c in self._columns(f, ())}
        return ColumnarSource(self, tuple(self._chosen(f, keys) for f in fields))

    def _columns(self, field: Field, keys: Collection[int]) -> list[int]:
        return column_selection.resolve_columns(field, keys, self.names, self.width, self.display_name)

    def _chosen(self, field: Field, keys: Collection[int]) -> _Chosen:
        names = tuple(self.names[c] for c in self._columns(field, keys))
        if len(names) == 1 and (length := self._length(names[0])) is not None:
            return _Chosen(field, names, length)
        for name in names:
            self._check_type(name, field)
        return _Chosen(field, names, None)

    def _length(self, name: str) -> int | None:
        """Return the length of the arrays of a column, for lists that of the first row; None for a plain column."""
        import polars as pl

        kind, length = self.types[name], None
        if isinstance(kind, pl.Array) and len(kind.shape) == 1 and is_number(kind.inner):
            length = kind.shape[0]
        elif isinstance(kind, pl.List) and is_number(kind.inner):
            first = self.stored.query(lambda table: table.select(_exactly((name,))).head(1).collect())[name]
            length = None if first.null_count() else len(first[0])
        if length == 0:
            raise DataError(f"{self.display_name}: column {quote_cell(name)}: lists of no numbers")
        return length

    def _check_type(self, name: str, field: Field) -> None:
        kind = self.types[name]
        expected = "text or numbers are" if field.labels else "numbers are"
        if is_number(kind) or (is_text(kind) and (field.text or field.labels)):
            return
        hint = field.hint if is_text(kind) else ""
        raise DataError(
            f"{self.display_name}: column {quote_cell(name)}: {kind_words(kind)} ({str(kind)[:40]}), "
            f"where {expected} needed{hint}"
        )


@immutable
class _Chosen:
    """A field and the names of its columns; ``length`` is the array length if it is one column of arrays, else None."""

    field: Field
    names: tuple[str, ...]
    length: int | None

    @property
    def width(self) -> int:
        return len(self.names) if self.length is None else self.length


class ColumnarSource:
    """A seekable source of the selected columns, which can be pickled and reopened in another process."""

    def __init__(self, file: ColumnarFile, chosen: tuple[_Chosen, ...]) -> None:
        self.display_name, self._stored, self._chosen = file.display_name, file.stored, chosen
        self.rows = file.rows
        self.row_shapes = tuple((c.width,) for c in chosen)

    def __getstate__(self) -> dict[str, Any]:
        path = byte_stream.absolute(self._stored.path)  # the other process may have another working directory
        return self.__dict__ | {"_stored": replace(self._stored, path=path)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if byte_stream.path_state(self._stored.path) != self._stored.state:
            raise another_file_error(self.display_name)

    def reader(self) -> Read:
        """Return a function that reads any range of rows and keeps the last strip it read."""
        row_bytes = 8 * sum(c.width for c in self._chosen)
        strip_rows = max(1, min(_STRIP_ROWS, _STRIP // row_bytes))
        names = tuple(dict.fromkeys(name for c in self._chosen for name in c.names))
        at, strip = -1, None

        def part(start: int, stop: int) -> pl.DataFrame:
            """Return rows ``start`` to ``stop``, which must be in one strip."""
            nonlocal at, strip
            if strip is None or at != start // strip_rows:
                at, strip = start // strip_rows, None
                first = at * strip_rows
                with _READING:
                    strip = _strip(self._stored, names, first, min(strip_rows, self.rows - first))
            return strip.slice(start % strip_rows, stop - start)

        def read(start: int, stop: int) -> Rows:
            edges = [start, *range(-(-(start + 1) // strip_rows) * strip_rows, stop, strip_rows), stop]
            parts = [part(a, b) for a, b in pairwise(edges)]
            whole = parts[0]
            for more in parts[1:]:
                whole = whole.vstack(more)
            return tuple(self._values(whole, i) for i in range(len(self._chosen)))

        return read

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages: ``preds.parquet: row 5, column 'pred'``, with rows from 0."""
        chosen = self._chosen[field]
        if chosen.length is not None:
            at = "" if place is None else f"[{place}]"
            return f"{self.display_name}: row {row}, column {quote_cell(chosen.names[0])}{at}"
        if place is None and len(chosen.names) > 1:
            return f"{self.display_name}: row {row}"
        return f"{self.display_name}: row {row}, column {quote_cell(chosen.names[place or 0])}"

    def line(self, row: int) -> None:
        """Return None: columnar files have no lines."""

    def _values(self, part: pl.DataFrame, index: int) -> npt.NDArray[Any]:
        chosen = self._chosen[index]
        if chosen.length is not None:
            return arrays(part[chosen.names[0]], index, chosen.field, chosen.length)
        columns = [numbers(part[name], index, place, chosen.field) for place, name in enumerate(chosen.names)]
        return columns[0].reshape(-1, 1) if len(columns) == 1 else np.stack(columns).T


def _schema(table: pl.LazyFrame) -> tuple[dict[str, Any], int]:
    import polars as pl

    return dict(table.collect_schema()), int(table.select(pl.len()).collect().item())
