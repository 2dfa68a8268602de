"""JSON lines: one object a line, read by the standard library, and in bulk by polars where the two agree."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io import byte_stream, column_selection, text_polars
from lossctl.io.polars_guard import absorb_second_interrupt
from lossctl.io.prefetch import prefetch
from lossctl.io.source import Field, Options, Read, Rows, Source
from lossctl.io.text_grammar import WORD, CellError, Dialect, quote_cell

_GRAMMAR = Dialect(",")  # what a number is, once its text has been found


class _Number(str):
    """The text of a number, which is read as in any other file."""

    __slots__ = ()


class JsonFile:
    """An opened file, its first object read: its keys are the columns."""

    is_text = False  # the shortest digits that tell a double are all of it

    def __init__(self, origin: byte_stream.Origin, options: Options) -> None:
        self.where, self.reading = origin.where, origin.reading
        self._follow = byte_stream.pieces(origin, options.encoding, byte_stream.newline_record_end)
        data = next(self._follow, None)
        if data is None:
            raise DataError(f"{self.where}: empty file")
        self.first = data
        self.names = tuple(self.objects(data[: data.find(b"\n") + 1] or data, 1)[0])
        self.width = len(self.names)
        self._ends = not byte_stream.read_once(origin.path)

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Whether a column can be had as text: what it holds is seen when it is read."""
        return True

    def bind(self, fields: tuple[Field, ...]) -> Source:
        """The source of these fields."""
        keys = {
            c for f in fields if f.key for c in column_selection.select(f.columns, self.names, self.width, self.where)
        }
        return JsonSource(self, fields, [self._names(f, keys) for f in fields])

    def _names(self, field: Field, keys: Collection[int]) -> list[str]:
        return [
            self.names[c] for c in column_selection.resolve_columns(field, keys, self.names, self.width, self.where)
        ]

    def follow(self) -> Iterator[bytes]:
        """What comes after the first piece, in chunks, read ahead."""
        rest, self._follow = self._follow, iter(())
        return prefetch(rest, ends=self._ends)

    def objects(self, data: bytes, line: int) -> list[dict[str, Any]]:
        """The objects of a piece of text that starts at this line; of a key that is there twice, the first.

        Raises:
            DataError: a line that is none.
        """
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return [self._object(text, line + i) for i, text in enumerate(lines)]

    def _object(self, data: bytes, line: int) -> dict[str, Any]:
        at = f"{self.where}:{line}:"
        if byte_stream.overlong(data):
            raise DataError(f"{at} a line of over {byte_stream.longest_record():,} bytes: one object a line is read")
        if not data.strip():
            raise DataError(f"{at} blank line; every line is one sample: remove it")
        try:
            found = json.loads(
                data.decode(),
                parse_int=_Number,
                parse_float=_Number,
                parse_constant=lambda name: _Number(name.replace("Infinity", "inf")),
                object_pairs_hook=lambda pairs: dict(reversed(pairs)),
            )
        except (ValueError, RecursionError) as error:
            raise DataError(f"{at} not JSON: {str(error).splitlines()[0]}") from None
        if not isinstance(found, dict):
            raise DataError(f'{at} not a JSON object, {{"name": number, …}}: {quote_cell(data.decode())}')
        return dict(reversed(found.items()))


class JsonSource:
    """Rows of the chosen columns, as a stream."""

    rows: int | None = None

    def __init__(self, file: JsonFile, fields: tuple[Field, ...], chosen: list[list[str]]) -> None:
        self.where = file.where
        self._file, self._fields, self._chosen = file, fields, chosen
        self._plain = not any(f.text or f.labels for f in fields)
        self.tails = tuple((len(c),) for c in chosen)

    @property
    def share(self) -> float | None:
        """How much of the file has been read."""
        return self._file.reading.share

    def reader(self) -> Read:
        """Not seekable."""
        raise NotImplementedError

    def chunks(self) -> Iterator[Rows]:
        """The numbers of each piece of text."""
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
        """``preds.ndjson:7: column 'pred'``."""
        if place is None and len(self._chosen[field]) > 1:
            return self.line(row)
        return f"{self.line(row)}: column {quote_cell(self._chosen[field][place or 0])}"

    def line(self, row: int) -> str:
        """``preds.ndjson:7``: a row is a line."""
        return f"{self.where}:{row + 1}"

    def _pieces(self, chunk: bytes, row: int) -> Iterator[Rows]:
        """The rows of a chunk by the standard library, a piece at a time."""
        for data in byte_stream.split(chunk, byte_stream.newline_record_end):
            objects = self._file.objects(data, row + 1)
            yield tuple(self._values(objects, row, i) for i in range(len(self._fields)))
            row += len(objects)

    def _bulk(self, chunk: bytes) -> Rows | None:
        """The rows of a chunk by polars; None where a null, an infinity or an error asks for the other."""
        if not text_polars.short_lines(chunk, byte_stream.longest_record()):
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
        cells = [_cell(found.get(name)) for found in objects for name in chosen]
        texts = ["nan" if c is None and not field.text else str(c or "") for c in cells]
        try:
            if field.text:
                return np.array([text.strip(" \t") for text in texts], object).reshape(len(objects), len(chosen))
            values = _GRAMMAR.codes(texts, field.labels) if field.labels else _numbers(cells, texts)
        except CellError as error:
            record, place = divmod(error.index, len(chosen))
            cure = field.cure if WORD.fullmatch(texts[error.index]) else ""
            at = f"{self.line(row + record)}: column {quote_cell(chosen[place])}"
            raise DataError(f"{at}: {error.cause}{cure}") from None
        return values.reshape(len(objects), len(chosen))


def _numbers(cells: Sequence[str | None], texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """What the cells write, none of which may be a number in quotes.

    Raises:
        CellError: the first cell that is none.
    """
    words = [i for i, c in enumerate(cells) if c is not None and not isinstance(c, _Number)]
    if words:
        raise CellError(words[0], f"not a number: {quote_cell(texts[words[0]])}")
    return _GRAMMAR.numbers(texts)


def _cell(value: object) -> str | None:
    """What a cell says: a number's own text, a truth as a number, anything else as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    return _Number(int(value)) if isinstance(value, bool) else json.dumps(value)
