"""JSON lines, one object per line: parsed by the standard library, and in bulk by polars where both agree."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io import byte_stream, text_decoding, text_polars
from lossctl.io.formats import InputFormat
from lossctl.io.polars_guard import absorb_second_interrupt, has_room
from lossctl.io.record_source import RecordFile, RecordSource
from lossctl.io.source import Field, Options, Rows, cell_value
from lossctl.io.text_grammar import WORD, CellError, Dialect, quote_cell

# Keys that are counted one by one: 1 ms per key and chunk. All keys at once take 70 ms.
_COUNTED = 64
_KEY = re.compile(rb'("[^"\\]*")\s*:')
_MINUS_ZERO = re.compile(rb"-0[\s,}]")
_GRAMMAR = Dialect(",")  # parses the text of one number; its delimiter is not used


class _Number(str):
    """The text of a JSON number, parsed later by the same grammar as in other text files."""

    __slots__ = ()


class _Repeating(dict[str, Any]):
    """A JSON object in which some keys are there several times."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    return record if len(record) == len(pairs) else _Repeating(pairs)


def _loads(data: bytes) -> Any:
    return json.loads(
        data.decode(),
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=lambda name: _Number(name.replace("Infinity", "inf")),
        object_pairs_hook=_record,
    )


def parse_document(data: bytes, name: str) -> Any:
    """Parse a whole JSON document, whose numbers stay texts.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return _loads(data.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError) as error:
        lines = "; JSON lines have the suffix .jsonl" if "Extra data" in str(error) else ""
        raise DataError(f"{name}: not JSON: {str(error).splitlines()[0]}{lines}") from None


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> JsonFile:
    """Open a file of JSON lines; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return JsonFile(origin, options)


class JsonFile(RecordFile):
    """An opened file whose first object has been parsed; the keys of that object are the columns."""

    is_text = False  # the shortest digits that identify a double represent it exactly
    text_options = frozenset({"encoding"})

    def __init__(self, origin: byte_stream.Origin, options: Options) -> None:
        super().__init__(origin, options.encoding, text_decoding.newline_record_end)
        self.names: tuple[str, ...] = tuple(self.first_object())
        self.width = len(self.names)

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns, of the objects of the first piece."""
        return self.head_of(self.objects(b"\n".join(self.start.split(b"\n")[:rows]), 1), columns)

    def head_of(self, objects: Sequence[dict[str, Any]], columns: Sequence[int]) -> list[list[float | str]]:
        """Return the cells of columns of some objects."""
        return [[cell_value(_cell(record.get(self.names[column]))) for record in objects] for column in columns]

    def first_object(self) -> dict[str, Any]:
        """Return the first object."""
        return self.objects(self.start[: self.start.find(b"\n") + 1] or self.start, 1)[0]

    def bind(self, fields: tuple[Field, ...]) -> JsonSource:
        """Bind fields to columns and return the source."""
        return JsonSource(self, fields)

    def objects(self, data: bytes, line: int) -> list[dict[str, Any]]:
        """Parse the objects of a piece of text whose first line in the file is ``line``.

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
            record = _loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{at} not JSON: {str(error).splitlines()[0]}") from None
        if not isinstance(record, dict):
            raise DataError(f'{at} not a JSON object, {{"name": number, …}}: {quote_cell(data.decode())}')
        return record


class JsonSource(RecordSource):
    """A streaming source of the selected columns of a JSON lines file.

    A key whose first value is a list of numbers, or of lists of one length, has rows of that shape.
    """

    _file: JsonFile

    def __init__(self, file: JsonFile, fields: tuple[Field, ...]) -> None:
        super().__init__(file, fields)
        self._keys = [[file.names[column] for column in columns] for columns in self.columns]
        self._selected = dict.fromkeys(name for keys in self._keys for name in keys)
        first = file.first_object()
        self._lists = [_shape(first.get(keys[0])) if len(keys) == 1 else () for keys in self._keys]
        self.row_shapes = tuple(lists or shape for lists, shape in zip(self._lists, self.row_shapes, strict=True))

    @property
    def polars_possible(self) -> bool:
        """Whether polars can read these fields: all of them are numbers."""
        return not any(self._lists) and not any(field.text or field.labels for field in self.fields)

    def line(self, row: int) -> str | None:
        """Return the position of a row for messages, ``preds.ndjson:7``: row i is line i + 1."""
        return f"{self.display_name}:{row + 1}"

    def first_rows(self) -> Iterator[Rows]:
        """Yield the rows of the first piece of the file."""
        yield from self.parse_pieces(self._file.start)

    def parse(self, piece: bytes) -> Rows:
        """Return the rows of a piece of text, parsed by the standard library."""
        return self.rows_of(self._file.objects(piece, self.row + 1))

    def rows_of(self, objects: Sequence[dict[str, Any]]) -> Rows:
        """Return the rows of objects, and count them in ``row``."""
        for i, record in enumerate(objects):
            if isinstance(record, _Repeating) and (twice := [n for n in record.repeated if n in self._selected]):
                raise DataError(f"{self.position(self.row + i)}: the key {quote_cell(twice[0])} is there twice")
        rows = tuple(self._values(objects, i) for i in range(len(self.fields)))
        self.row += len(objects)
        return rows

    def read_with_polars(self, chunk: bytes) -> Rows | None:
        """Return the rows of a chunk, parsed by polars, or None if the standard library must parse the chunk.

        None is returned for a null, a NaN, an infinity, an overlong line, a carriage return, a number of rows other
        than that of lines, a key that may be there twice, -0 (which polars reads as 0), or an error of polars.
        """
        if not text_polars.short_lines(chunk, text_decoding.longest_record()) or _MINUS_ZERO.search(chunk):
            return None
        if not has_room():
            return None
        import polars as pl

        names = self._selected
        try:
            with absorb_second_interrupt():
                table = pl.read_ndjson(BytesIO(chunk), schema=dict.fromkeys(names, pl.Float64))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None
        arrays = {name: table[name].to_numpy() for name in names}
        whole = len(table) == chunk.count(b"\n") + (not chunk.endswith(b"\n")) and b"\r" not in chunk
        # No null: each row has each key. If each key is also written once per row, no row has it twice.
        if not whole or not _written_once(names, chunk, len(table)):
            return None
        if not all(np.isfinite(array).all() for array in arrays.values()):
            return None
        self.row += len(table)
        return tuple(np.stack([arrays[name] for name in keys]).T for keys in self._keys)

    def _values(self, objects: Sequence[dict[str, Any]], index: int) -> npt.NDArray[Any]:
        field, keys = self.fields[index], self._keys[index]
        if self._lists[index]:
            return self._list_values(objects, index)
        cells = [_cell(record.get(name)) for record in objects for name in keys]
        texts = ["nan" if c is None and not field.text else str(c or "") for c in cells]
        try:
            if field.text:
                return np.array([text.strip(" \t") for text in texts], object).reshape(len(objects), len(keys))
            values = _GRAMMAR.codes(texts, field.labels) if field.labels else _numbers(cells, texts)
        except CellError as error:
            record, place = divmod(error.index, len(keys))
            hint = field.hint if WORD.fullmatch(texts[error.index]) else ""
            raise DataError(f"{self.locate(self.row + record, index, place)}: {error.cause}{hint}") from None
        return values.reshape(len(objects), len(keys))

    def _list_values(self, objects: Sequence[dict[str, Any]], index: int) -> npt.NDArray[Any]:
        """Return the lists of one key, (objects, *shape).

        Raises:
            DataError: a list has another shape than the first one, or holds something else than numbers.
        """
        shape, key = self._lists[index], self._keys[index][0]
        for i, record in enumerate(objects):
            if _shape(record.get(key)) != shape:
                here = _shape(record.get(key))
                what = f"{f'shape {here}' if here else 'no list of numbers'}, where the first object has shape {shape}"
                raise DataError(f"{self.locate(self.row + i, index, 0)}: {what}")
        cells = [cell for record in objects for cell in _flat(record[key])]
        texts = ["nan" if cell is None else str(cell) for cell in map(_cell, cells)]
        try:
            values = _numbers([_cell(cell) for cell in cells], texts)
        except CellError as error:
            row, place = divmod(error.index, len(cells) // len(objects))
            raise DataError(f"{self.locate(self.row + row, index, 0)}: number {place}: {error.cause}") from None
        return values.reshape(len(objects), *shape)


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape of a list of numbers or of lists of one shape; () for anything else."""
    if not isinstance(value, list) or not value:
        return ()
    inner = {_shape(item) for item in value}
    return (len(value), *inner.pop()) if len(inner) == 1 else ()


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _written_once(names: Iterable[str], chunk: bytes, rows: int) -> bool:
    """Return whether each key is certainly written once per row, without escape sequences."""
    if b"\\u" in chunk or b"\\/" in chunk or not all(name.isprintable() for name in names):
        return False
    keys = [f'"{name}"'.encode() for name in names]
    if len(keys) <= _COUNTED:
        return all(chunk.count(key) == rows for key in keys)
    written = Counter(_KEY.findall(chunk))
    return all(written[key] == rows for key in keys)


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
