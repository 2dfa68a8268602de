"""What text formats with one record per row share: the file, and the loop over pieces and large chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from lossctl.errors import DataError
from lossctl.io import byte_stream, column_selection, text_decoding, text_polars
from lossctl.io.prefetch import prefetch
from lossctl.io.source import Field, Rows


class RecordFile:
    """Base class of opened files of records, whose first piece has been read.

    A subclass sets ``names`` and ``width`` when it has parsed ``start``.

    Args:
        origin: the bytes.
        encoding: the encoding of the file; None is UTF-8.
        record_end: returns the offset just after the last complete record.
        keep_blank: whether blank lines at the end are records. Default False: they are left out.

    Attributes:
        start: the first piece of text; it ends at a record end.

    Raises:
        DataError: the file is empty, or cannot be read.
        UsageError: Python does not know the encoding.
    """

    names: tuple[str, ...] | None
    width: int

    def __init__(
        self,
        origin: byte_stream.Origin,
        encoding: str | None,
        record_end: text_decoding.RecordEnd,
        *,
        keep_blank: bool = False,
    ) -> None:
        self.display_name, self.reading, self.record_end = origin.display_name, origin.reading, record_end
        text = text_decoding.pieces(origin, encoding, record_end)
        self._later_chunks = text if keep_blank else text_decoding.without_blank_end(text)
        self._ends = not byte_stream.read_once(origin.path)
        start = next(self._later_chunks, None)
        if start is None:
            raise DataError(f"{self.display_name}: empty file")
        self.start = start

    def follow(self) -> Iterator[bytes]:
        """Yield the chunks after the first piece; prefetch the later ones if the first of them is large."""
        later_chunks, self._later_chunks = self._later_chunks, iter(())
        if chunk := next(later_chunks, b""):
            yield chunk
        large = len(chunk) >= byte_stream.CHUNK // 2
        yield from prefetch(later_chunks, ends=self._ends) if large else later_chunks

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return True: any column can be read as text."""
        return True

    def columns_of(self, fields: Sequence[Field]) -> list[list[int]]:
        """Return the indices of the columns of each field; a field without selectors has all columns but the keys."""
        keys = {
            column
            for field in fields
            if field.key
            for column in column_selection.select(field.columns, self.names, self.width, self.display_name)
        }
        return [
            column_selection.resolve_columns(field, keys, self.names, self.width, self.display_name) for field in fields
        ]


class RecordSource(ABC):
    """Base class of the streaming sources of the selected columns of a file of records.

    Args:
        file: the opened file.
        fields: the fields to read.

    Attributes:
        row: number of rows that have been read.
    """

    def __init__(self, file: RecordFile, fields: tuple[Field, ...]) -> None:
        self.display_name, self.reading = file.display_name, file.reading
        self.fields, self.columns, self.names = fields, file.columns_of(fields), file.names
        self.row_shapes: tuple[tuple[int, ...], ...] = tuple((len(columns),) for columns in self.columns)
        self.row = 0
        self._file = file

    @property
    def share(self) -> float | None:
        """The fraction of the file read so far; None for a pipe."""
        return self.reading.share

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows of each piece or chunk of text, in order."""
        yield from self.first_rows()
        large = False
        for chunk in self._file.follow():
            large = self.polars_possible and (large or len(chunk) >= text_polars.WORTH)
            if large and (rows := self.read_with_polars(chunk)) is not None:
                yield rows
            else:
                yield from self.parse_pieces(chunk)

    def parse_pieces(self, chunk: bytes) -> Iterator[Rows]:
        """Yield the rows of a chunk, parsed piece by piece."""
        for piece in text_decoding.split(chunk, self._file.record_end):
            yield self.parse(piece)

    @property
    @abstractmethod
    def polars_possible(self) -> bool:
        """Whether polars can read these fields."""

    @abstractmethod
    def first_rows(self) -> Iterator[Rows]:
        """Yield the rows of the first piece of the file."""

    @abstractmethod
    def parse(self, piece: bytes) -> Rows:
        """Return the rows of a piece of text, and count them in ``row``.

        Raises:
            DataError: a record is malformed, or a cell is invalid.
        """

    @abstractmethod
    def read_with_polars(self, chunk: bytes) -> Rows | None:
        """Return the rows of a chunk, and count them in ``row``; None if ``parse`` must read the chunk."""

    @abstractmethod
    def line(self, row: int) -> str | None:
        """Return the file and the line of a row, ``preds.csv:7``; None if it is not known."""

    def position(self, row: int) -> str:
        """Return the position of a row for messages."""
        return self.line(row) or f"{self.display_name}: row {row}"

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages: ``preds.csv:7: column 'pred'``."""
        columns = self.columns[field]
        if place is None and len(columns) > 1:
            return self.position(row)
        return f"{self.position(row)}: column {column_selection.describe(columns[place or 0], self.names)}"
