"""JSON lines, one object per line: parsed by the standard library, and in bulk by polars where both agree."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io import byte_stream, column_selection, text_decoding, text_polars
from lossctl.io.formats import InputFormat
from lossctl.io.polars_guard import absorb_second_interrupt
from lossctl.io.prefetch import prefetch
from lossctl.io.source import Field, Options, Rows
from lossctl.io.text_grammar import WORD, CellError, Dialect, quote_cell

_GRAMMAR = Dialect(",")  # parses the text of one number; its delimiter is not used


class _Number(str):
    """The text of a JSON number, parsed later by the same grammar as in other text files."""

    __slots__ = ()


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> JsonFile:
    """Open a file of JSON lines; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return JsonFile(origin, options)


class JsonFile:
    """An opened file whose first object has been parsed; the keys of that object are the columns."""

    is_text = False  # the shortest digits that identify a double represent it exactly

    def __init__(self, origin: byte_stream.Origin, options: Options) -> None:
        self.display_name, self.reading = origin.display_name, origin.reading
        self._follow = text_decoding.pieces(origin, options.encoding, text_decoding.newline_record_end)
        data = next(self._follow, None)
        if data is None:
            raise DataError(f"{self.display_name}: empty file")
        self.first = data
        self.names = tuple(self.objects(data[: data.find(b"\n") + 1] or data, 1)[0])
        self.width = len(self.names)
        self._ends = not byte_stream.read_once(origin.path)

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return True: any column can be read as text, since its type is known only when it is read."""
        return True

    def bind(self, fields: tuple[Field, ...]) -> JsonSource:
        """Bind fields to columns and return the source."""
        keys = {
            c
            for f in fields
            if f.key
            for c in column_selection.select(f.columns, self.names, self.width, self.display_name)
        }
        return JsonSource(self, fields, [self._names(f, keys) for f in fields])

    def _names(self, field: Field, keys: Collection[int]) -> list[str]:
        return [
            self.names[c]
            for c in column_selection.resolve_columns(field, keys, self.names, self.width, self.display_name)
        ]

    def follow(self) -> Iterator[bytes]:
        """Return an iterator of the chunks after the first piece, with prefetch."""
        later_chunks, self._follow = self._follow, iter(())
        return prefetch(later_chunks, ends=self._ends)

    def objects(self, data: bytes, line: int) -> list[dict[str, Any]]:
        """Parse the objects of a piece of text whose first line in the file is ``line``.

        If an object repeats a key, the first value is kept.

        Raises:
            DataError: a line is not a JSON object.
        """
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return [self._object(text, line + i) for i, text in enumerate(lines)]

    def _object(self, data: bytes, line: int) -> dict[str, Any]:
        at = f"{self.display_name}:{line}:"
        if text_decoding.overlong(data):
            raise DataError(f"{at} a line of over {text_decoding.longest_record():,} bytes: one object a line is read")
        if not data.strip():
            raise DataError(f"{at} blank line; every line is one sample: remove it")
        try:
            record = json.loads(
                data.decode(),
                parse_int=_Number,
                parse_float=_Number,
                parse_constant=lambda name: _Number(name.replace("Infinity", "inf")),
                object_pairs_hook=lambda pairs: dict(reversed(pairs)),
            )
        except (ValueError, RecursionError) as error:
            raise DataError(f"{at} not JSON: {str(error).splitlines()[0]}") from None
        if not isinstance(record, dict):
            raise DataError(f'{at} not a JSON object, {{"name": number, …}}: {quote_cell(data.decode())}')
        return dict(reversed(record.items()))


class JsonSource:
    """A streaming source of the selected columns of a JSON lines file."""

    def __init__(self, file: JsonFile, fields: tuple[Field, ...], chosen: list[list[str]]) -> None:
        self.display_name = file.display_name
        self._file, self._fields, self._chosen = file, fields, chosen
        self._plain = not any(f.text or f.labels for f in fields)
        self.row_shapes = tuple((len(c),) for c in chosen)

    @property
    def share(self) -> float | None:
        """The fraction of the file read so far; None for a pipe."""
        return self._file.reading.share

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows of each piece or chunk of text, in order."""
        row, large = 0, False
        for rows in self._pieces(self._file.first, row):
            yield rows
            row += len(rows[0])
        for chunk in self._file.follow():
            large = self._plain and (large or len(chunk) >= text_polars.WORTH)
            if large and (numbers := self._bulk(chunk)) is not None:
                yield numbers
                row += len(numbers[0])
                continue
            for rows in self._pieces(chunk, row):
                yield rows
                row += len(rows[0])

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages: ``preds.ndjson:7: column 'pred'``."""
        if place is None and len(self._chosen[field]) > 1:
            return self.line(row)
        return f"{self.line(row)}: column {quote_cell(self._chosen[field][place or 0])}"

    def line(self, row: int) -> str:
        """Return the position of a row for messages, ``preds.ndjson:7``: row i is line i + 1."""
        return f"{self.display_name}:{row + 1}"

    def _pieces(self, chunk: bytes, row: int) -> Iterator[Rows]:
        """Yield the rows of a chunk, parsed by the standard library piece by piece."""
        for data in text_decoding.split(chunk, text_decoding.newline_record_end):
            objects = self._file.objects(data, row + 1)
            yield tuple(self._values(objects, row, i) for i in range(len(self._fields)))
            row += len(objects)

    def _bulk(self, chunk: bytes) -> Rows | None:
        """Return the rows of a chunk, parsed by polars, or None if the standard library must parse the chunk.

        None is returned for a null, a NaN, an infinity, an overlong line, a carriage return, a number of rows other
        than that of lines, or an error of polars.
        """
        if not text_polars.short_lines(chunk, text_decoding.longest_record()):
            return None
        import polars as pl

        names = dict.fromkeys(name for chosen in self._chosen for name in chosen)
        try:
            with absorb_second_interrupt():
                table = pl.read_ndjson(BytesIO(chunk), schema=dict.fromkeys(names, pl.Float64))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None
        arrays = {name: table[name].to_numpy() for name in names}
        whole = len(table) == chunk.count(b"\n") + (not chunk.endswith(b"\n")) and b"\r" not in chunk
        if not whole or not all(np.isfinite(array).all() for array in arrays.values()):
            return None
        return tuple(np.stack([arrays[name] for name in chosen]).T for chosen in self._chosen)

    def _values(self, objects: Sequence[dict[str, Any]], row: int, index: int) -> npt.NDArray[Any]:
        field, chosen = self._fields[index], self._chosen[index]
        cells = [_cell(values.get(name)) for values in objects for name in chosen]
        texts = ["nan" if c is None and not field.text else str(c or "") for c in cells]
        try:
            if field.text:
                return np.array([text.strip(" \t") for text in texts], object).reshape(len(objects), len(chosen))
            values = _GRAMMAR.codes(texts, field.labels) if field.labels else _numbers(cells, texts)
        except CellError as error:
            record, place = divmod(error.index, len(chosen))
            hint = field.hint if WORD.fullmatch(texts[error.index]) else ""
            at = f"{self.line(row + record)}: column {quote_cell(chosen[place])}"
            raise DataError(f"{at}: {error.cause}{hint}") from None
        return values.reshape(len(objects), len(chosen))


def _numbers(cells: Sequence[str | None], texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Parse cells as numbers; a number in quotes is an error.

    Raises:
        CellError: a cell is not a number; the error gives the first such cell.
    """
    words = [i for i, c in enumerate(cells) if c is not None and not isinstance(c, _Number)]
    if words:
        raise CellError(words[0], f"not a number: {quote_cell(texts[words[0]])}")
    return _GRAMMAR.numbers(texts)


def _cell(value: object) -> str | None:
    """Return the text of a JSON value, or None for null.

    Strings and numbers are returned as written, Booleans as 0 or 1, other values as JSON.
    """
    if value is None or isinstance(value, str):
        return value
    return _Number(int(value)) if isinstance(value, bool) else json.dumps(value)
