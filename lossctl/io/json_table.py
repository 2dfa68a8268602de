"""JSON documents: an array of objects, or an object of arrays, read whole into memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lossctl.errors import DataError
from lossctl.io import byte_stream
from lossctl.io.formats import InputFormat
from lossctl.io.ndjson import JsonFile, JsonSource, parse_document
from lossctl.io.source import Field, Options, Rows

# Objects in a chunk.
_ROWS = 1 << 14


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> JsonTable:
    """Open a JSON document; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return JsonTable(origin)


class JsonTable(JsonFile):
    """An opened document, as its records; the keys of the first record are the columns.

    Raises:
        DataError: it is neither an array of objects nor an object of arrays of one length.
    """

    text_options = frozenset()

    def __init__(self, origin: byte_stream.Origin) -> None:
        self.display_name, self.reading = origin.display_name, origin.reading
        self.records = _records(parse_document(b"".join(origin.blocks()), self.display_name), self.display_name)
        self.names = tuple(self.records[0])
        self.width = len(self.names)

    def first_object(self) -> dict[str, Any]:
        """Return the first record."""
        return self.records[0]

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns."""
        return self.head_of(self.records[:rows], columns)

    def bind(self, fields: tuple[Field, ...]) -> JsonTableSource:
        """Bind fields to columns and return the source."""
        return JsonTableSource(self, fields)


class JsonTableSource(JsonSource):
    """A source of the selected columns of a JSON document."""

    _file: JsonTable

    def line(self, row: int) -> None:
        """Return None: a record has no line of its own."""

    def position(self, row: int) -> str:
        """Return the position of a row for messages, ``preds.json: record 7``, counted from 0."""
        return f"{self.display_name}: record {row}"

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows in order."""
        for start in range(0, len(self._file.records), _ROWS):
            yield self.rows_of(self._file.records[start : start + _ROWS])


def _records(document: object, name: str) -> list[dict[str, Any]]:
    columns = document if isinstance(document, dict) else None
    if columns and all(isinstance(column, list) for column in columns.values()):
        lengths = {key: len(column) for key, column in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{json.dumps(key)} has {length:,}" for key, length in lengths.items())
            raise DataError(f"{name}: arrays of different lengths: {listed}")
        document = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(document, list) or not document or not all(isinstance(record, dict) for record in document):
        raise DataError(f"{name}: neither an array of objects nor an object of arrays: [{{…}}, …] or {{…: […], …}}")
    return document
