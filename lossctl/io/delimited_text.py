"""Delimited text files (.csv, .tsv, .txt), read as a stream.

The strict grammar of ``text_grammar`` defines the result. Large chunks are parsed by polars if ``text_polars`` can
prove that the result is the same.
"""

from __future__ import annotations

import bisect
import codecs
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from lossctl.errors import DataError, UsageError, quoted
from lossctl.io import byte_stream, column_selection, text_decoding, text_polars
from lossctl.io.formats import InputFormat, parse_delimiter
from lossctl.io.prefetch import prefetch
from lossctl.io.source import Field, Options, Rows
from lossctl.io.text_grammar import WORD, CellError, Dialect, RecordError, is_counting, newlines, quote_cell
from lossctl.io.text_polars import PolarsTextReader

_IN_CELLS = ";\t"  # delimiters that a hint may suggest; commas and bars also occur within texts and numbers


@dataclass
class _Piece:
    """The records of one piece of text and their lines in the file.

    Attributes:
        records: the cells of each record.
        lines: offset of the line of each record from ``first_line``; None if record i is at offset i.
        first_line: line of the start of the piece, from 1.
        end_line: line after the piece.
    """

    records: list[list[str]]
    lines: list[int] | None
    first_line: int
    end_line: int

    def line(self, record: int) -> int:
        return self.first_line + (record if self.lines is None else self.lines[record])


@dataclass
class _Lines:
    """A map from rows to lines, with one entry for each row at which (line - row) changes."""

    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def note(self, row: int, line: int) -> None:
        if not self.rows or line - self.lines[-1] != row - self.rows[-1]:
            self.rows.append(row)
            self.lines.append(line)

    def of(self, row: int) -> int:
        i = bisect.bisect_right(self.rows, row) - 1
        return self.lines[i] + row - self.rows[i]


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> TextFile:
    """Open a delimited text file; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return TextFile(origin, entry.delimiter, options, labels)


class TextFile:
    """An opened text file whose first piece has been parsed; its first record is the header or the first row."""

    def __init__(self, origin: byte_stream.Origin, delimiter: str, options: Options, labels: tuple[str, ...]) -> None:
        self.display_name, self.reading = origin.display_name, origin.reading
        self.dialect = _dialect(delimiter, options)
        self.labels, self.named = labels, options.named
        self._follow = text_decoding.pieces(origin, options.encoding, text_decoding.quoted_record_end)
        data = next(self._follow, None)
        if data is None:
            raise DataError(f"{self.display_name}: empty file")
        first = self.parse(data, 1)
        self.is_text = True
        self.names: tuple[str, ...] | None = None
        head = first.records[0]
        self.width = len(head)
        if _is_blank(head) and self.dialect.number(head[0]) is None:
            raise DataError(f"{self.display_name}:1: {_BLANK_LINE}")
        if self._is_header(head, options.header):
            self._take_header(head, first)
        self.first = first
        self._ends = not byte_stream.read_once(origin.path)

    def follow(self) -> Iterator[bytes]:
        """Yield the chunks after the first piece; prefetch the later ones if the first of them is large."""
        if chunk := next(self._follow, b""):
            yield chunk
        if len(chunk) >= byte_stream.CHUNK // 2:
            later_chunks, self._follow = self._follow, iter(())
            yield from prefetch(later_chunks, ends=self._ends)

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return True: every cell is text."""
        return True

    def bind(self, fields: tuple[Field, ...]) -> TextSource:
        """Bind fields to columns and return the source."""
        keys = {
            c
            for f in fields
            if f.key
            for c in column_selection.select(f.columns, self.names, self.width, self.display_name)
        }
        return TextSource(self, fields, [self._columns(f, keys) for f in fields])

    def _columns(self, field: Field, keys: Collection[int]) -> list[int]:
        return column_selection.resolve_columns(field, keys, self.names, self.width, self.display_name)

    def parse(self, data: bytes, line: int) -> _Piece:
        """Parse a piece of text whose first line in the file is ``line``.

        Raises:
            DataError: the bytes are not UTF-8 text, or a record is malformed.
        """
        try:
            # An overlong piece may end inside a character. That is not reported, because the length is the error.
            text = codecs.utf_8_decode(data, "strict", not text_decoding.overlong(data))[0]
        except UnicodeDecodeError as error:
            bad = line + newlines(data[: error.start].decode())
            byte = f"byte 0x{data[error.start]:02x}"
            raise DataError(
                f"{self.display_name}:{bad}: {byte} is not UTF-8; say --encoding, for example latin-1 or cp1252"
            ) from None
        if "\0" in text:
            bad = line + newlines(text[: text.index("\0")])
            raise DataError(f"{self.display_name}:{bad}: a NUL byte: this is not text, or wants --encoding utf-16")
        try:
            records, lines = self.dialect.records(text)
        except RecordError as error:
            raise DataError(f"{self.display_name}:{line + error.line}: {error.cause}") from None
        return _Piece(records, lines, line, line + newlines(text))

    def _is_header(self, head: list[str], said: bool | None) -> bool:
        if said is not None:
            return said
        if self.named.intersection(name.strip(" \t") for name in head):
            return True
        hint = "say --header or --no-header"
        if is_counting(head, self.dialect.number):
            counting = f"0, 1, … {len(head) - 1}"
            raise DataError(f"{self.display_name}:1: the first row is {counting}: column names or numbers? {hint}")
        written = [c for c in head if self.dialect.number(c) is not None or c.strip(" \t") in self.labels]
        if len(written) == len(head):
            return False
        text = next(c for c in head if c not in written)
        blank = [not c.strip(" \t") for c in head if c not in written]
        if not written and not any(blank):
            return True
        if not written and blank == [True] + [False] * (len(head) - 1):
            raise DataError(
                f"{self.display_name}:1: the first name is empty, as pandas writes an index: say --header, and choose "
                "columns with --pred and --target (or --no-header, if this row is data)"
            )
        if any(blank):
            raise DataError(
                f"{self.display_name}:1: the first row has an empty cell: a header of names, or data? {hint}"
            )
        raise DataError(
            f"{self.display_name}:1: the first row mixes a number, {quote_cell(written[0])}, "
            f"and text, {quote_cell(text)}: {hint}"
        )

    def _take_header(self, head: list[str], first: _Piece) -> None:
        if self.dialect.delimiter is None and head[0].startswith("#"):  # a header written by np.savetxt(header=…)
            head = [head[0][1:], *head[1:]] if len(head[0]) > 1 else head[1:]
            if not head:
                raise DataError(
                    f"{self.display_name}:1: a header without a name; if '#' marks a comment, remove that line"
                )
        self.names = tuple(name.strip(" \t") for name in head)
        self.width = len(head)
        second = first.line(1) if len(first.records) > 1 else first.first_line + 1
        first.lines = None if first.lines is None else [n - (second - first.first_line) for n in first.lines[1:]]
        first.first_line = second
        del first.records[0]


class TextSource:
    """A sequential source of the selected columns of a text file."""

    rows: int | None = None
    row_shapes: tuple[tuple[int, ...], ...]

    def __init__(self, file: TextFile, fields: tuple[Field, ...], chosen: list[list[int]]) -> None:
        self.display_name = file.display_name
        self._file, self._fields, self._chosen = file, fields, chosen
        self._lines = _Lines()
        self._bulk = PolarsTextReader(file.dialect, file.width, fields, chosen)
        self.row_shapes = tuple((len(c),) for c in chosen)

    @property
    def share(self) -> float | None:
        """The fraction of the file read so far; None for a pipe."""
        return self._file.reading.share

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows of each piece or chunk of text, in order."""
        file, row = self._file, 0
        if file.first.records:
            yield self._rows(file.first, row)
        row, line = len(file.first.records), file.first.end_line
        large = False
        for chunk in file.follow():
            large = self._bulk.possible and (large or len(chunk) >= text_polars.WORTH)
            if large and (rows := self._bulk.rows(chunk)) is not None:
                self._lines.note(row, line)
                row += len(rows[0])
                line += len(rows[0])
                yield rows
                continue
            for data in text_decoding.split(chunk, text_decoding.quoted_record_end):
                piece = file.parse(data, line)
                yield self._rows(piece, row)
                row += len(piece.records)
                line = piece.end_line
        if row == 0:
            raise DataError(f"{self.display_name}: no rows, only a header; if that row is data, say --no-header")

    def _rows(self, piece: _Piece, row: int) -> Rows:
        """Convert the records of a piece to rows and record their lines; the first record is row ``row``."""
        self._check_width(piece)
        for i in range(len(piece.records) if piece.lines is not None else 1):
            self._lines.note(row + i, piece.line(i))
        return tuple(self._numbers(piece, i) for i in range(len(self._fields)))

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages: ``preds.csv:7: column 'pred'``."""
        at, chosen = self.line(row), self._chosen[field]
        if place is None and len(chosen) > 1:
            return at
        return f"{at}: column {column_selection.describe(chosen[place or 0], self._file.names)}"

    def line(self, row: int) -> str:
        """Return the position of a row for messages: ``preds.csv:7``."""
        return f"{self.display_name}:{self._lines.of(row)}"

    def _check_width(self, piece: _Piece) -> None:
        width = self._file.width
        for i, record in enumerate(piece.records):
            if len(record) != width:
                at = f"{self.display_name}:{piece.line(i)}:"
                if _is_blank(record):
                    raise DataError(f"{at} {_BLANK_LINE}")
                first = "the header" if self._file.names is not None else "the first row"
                cells = "1 cell" if len(record) == 1 else f"{len(record)} cells"
                raise DataError(
                    f"{at} {cells} where {first} has {width}{column_selection.other_delimiter(record, _IN_CELLS)}"
                )

    def _numbers(self, piece: _Piece, index: int) -> np.ndarray:
        chosen, field, records = self._chosen[index], self._fields[index], piece.records
        cells = [record[c] for record in records for c in chosen]
        try:
            if field.text:
                values = np.array([cell.strip(" \t") for cell in cells], object)
            elif field.digits:
                values = self._file.dialect.rounding_units(cells)
            elif field.labels:
                values = self._file.dialect.codes(cells, field.labels)
            else:
                values = self._file.dialect.numbers(cells)
        except CellError as error:
            record, place = divmod(error.index, len(chosen))
            at = f"{self.display_name}:{piece.line(record)}:"
            if _is_blank(records[record]):
                raise DataError(f"{at} {_BLANK_LINE}, or say --na-values '' if it means missing") from None
            column = column_selection.describe(chosen[place], self._file.names)
            hint = column_selection.other_delimiter(records[record], _IN_CELLS) if self._file.width == 1 else ""
            if field.hint and not hint and WORD.fullmatch(cells[error.index]) and "say" not in error.cause:
                hint = field.hint
            raise DataError(f"{at} column {column}: {error.cause}{hint}") from None
        return values.reshape(len(records), len(chosen))


_BLANK_LINE = "blank line; every line is one sample: remove it"


def _is_blank(record: list[str]) -> bool:
    return len(record) == 1 and not record[0].strip(" \t")


def _dialect(default_delimiter: str, options: Options) -> Dialect:
    text = default_delimiter if options.delimiter is None else options.delimiter
    delimiter = parse_delimiter(text)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or delimiter.isalnum()):
        raise UsageError(f"--delimiter {quoted(text)}: one character, or tab, or space for runs of blanks")
    if len(options.decimal) != 1 or options.decimal not in ".,":
        raise UsageError(f"--decimal {quoted(options.decimal)}: '.' or ','")
    if options.decimal == delimiter:
        raise UsageError(f"--decimal and the delimiter are both {delimiter!r}: say --delimiter ';' or another one")
    return Dialect(delimiter, options.decimal, frozenset(v.strip(" \t") for v in options.na_values))
