"""Delimited text files (.csv, .tsv, .txt), read as a stream.

The strict grammar of ``text_grammar`` defines the result. Large chunks are parsed by polars if ``text_polars`` can
prove that the result is the same.
"""

from __future__ import annotations

import bisect
import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lossctl.errors import DataError, UsageError, quoted
from lossctl.io import byte_stream, column_selection, text_decoding
from lossctl.io.formats import InputFormat, parse_delimiter
from lossctl.io.record_source import RecordFile, RecordSource
from lossctl.io.source import TEXT_OPTIONS, Field, Options, Rows
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


class TextFile(RecordFile):
    """An opened text file whose first piece has been parsed; its first record is the header or the first row."""

    is_text = True
    text_options = TEXT_OPTIONS

    def __init__(self, origin: byte_stream.Origin, delimiter: str, options: Options, labels: tuple[str, ...]) -> None:
        self.dialect = _dialect(delimiter, options)
        self.labels, self.named = labels, options.named
        keep_blank = "" in self.dialect.na_values  # a blank line is then a missing number
        super().__init__(origin, options.encoding, text_decoding.quoted_record_end, keep_blank=keep_blank)
        first = self.parse(self.start, 1)
        self.names = None
        head = first.records[0]
        self.width = len(head)
        if _is_blank(head) and self.dialect.number(head[0]) is None:
            raise DataError(f"{self.display_name}:1: {_BLANK_LINE}")
        if self._is_header(head, options.header):
            self._take_header(head, first)
        self.first = first

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns, of the rows of the first piece."""
        whole = [record for record in self.first.records[:rows] if len(record) == self.width]
        return [[self._cell(record[column]) for record in whole] for column in columns]

    def _cell(self, cell: str) -> float | str:
        number = self.dialect.number(cell)
        return cell.strip(" \t") if number is None else number

    def bind(self, fields: tuple[Field, ...]) -> TextSource:
        """Bind fields to columns and return the source."""
        return TextSource(self, fields)

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

    def _is_header(self, head: list[str], option: bool | None) -> bool:
        if option is not None:
            return option
        if self.named.intersection(name.strip(" \t") for name in head):
            return True
        hint = "say --header or --no-header, or --header-of FILE if only one file has one"
        if is_counting(head, self.dialect.number):
            counting = f"0, 1, … {len(head) - 1}"
            raise DataError(f"{self.display_name}:1: the first row is {counting}: column names or numbers? {hint}")
        if len(head) > 1 and not head[0].strip(" \t") and not any(self._is_value(c) for c in head[1:]):
            raise DataError(
                f"{self.display_name}:1: the first name is empty, as pandas writes an index: say --header, and choose "
                "columns with --pred and --target (or --no-header, if this row is data)"
            )
        written = [c for c in head if self.dialect.number(c) is not None or c.strip(" \t") in self.labels]
        if len(written) == len(head):
            return False
        text = next(c for c in head if c not in written)
        blank = [not c.strip(" \t") for c in head if c not in written]
        if not written and not any(blank):
            return True
        if any(blank):
            raise DataError(
                f"{self.display_name}:1: the first row has an empty cell: a header of names, or data? {hint}"
            )
        raise DataError(
            f"{self.display_name}:1: the first row mixes a number, {quote_cell(written[0])}, "
            f"and text, {quote_cell(text)}: {hint}"
        )

    def _is_value(self, cell: str) -> bool:
        """Return whether a cell is blank, a number or a label, and so no name of a column."""
        return not cell.strip(" \t") or self.dialect.number(cell) is not None or cell.strip(" \t") in self.labels

    def _has_row_names(self, records: list[list[str]], width: int) -> bool:
        """Return whether rows are one cell longer than the header, as R's write.table writes them.

        The first cells are then text, or 1, 2, 3, …: any other number may as well be a value.
        """
        names = [self.dialect.number(r[0]) for r in records]
        counted = names == list(range(1, len(names) + 1))
        longer = all(len(r) == width + 1 and r[-1].strip(" \t") for r in records)
        return bool(records) and longer and (counted or names == [None] * len(names))

    def _take_header(self, head: list[str], first: _Piece) -> None:
        if self.dialect.delimiter is None and head[0].startswith("#"):  # a header written by np.savetxt(header=…)
            head = [head[0][1:], *head[1:]] if len(head[0]) > 1 else head[1:]
            if not head:
                raise DataError(
                    f"{self.display_name}:1: a header without a name; if '#' marks a comment, remove that line"
                )
        elif head[0].startswith("# "):
            head = [head[0][2:], *head[1:]]
        following = first.records[1:9]
        widths = [len(r) for r in following[-2:] if r[-1].strip(" \t")]  # more lines of a comment may come before
        titled = len(head) == 1 and len(widths) == 2 and widths[0] == widths[1] > 1
        if self._has_row_names(following, len(head)):
            head = ["", *head]
        elif titled and not column_selection.other_delimiter(head):
            title = quote_cell(first.records[0][0])
            raise DataError(
                f"{self.display_name}:1: {title} is no header of the {widths[0]} columns that follow: remove a "
                "title or a comment, for example with tail -n +2"
            )
        self.names = tuple(name.strip(" \t") for name in head)
        self.width = len(head)
        second = first.line(1) if len(first.records) > 1 else first.first_line + 1
        first.lines = None if first.lines is None else [n - (second - first.first_line) for n in first.lines[1:]]
        first.first_line = second
        del first.records[0]


class TextSource(RecordSource):
    """A streaming source of the selected columns of a text file."""

    _file: TextFile

    def __init__(self, file: TextFile, fields: tuple[Field, ...]) -> None:
        super().__init__(file, fields)
        self._lines, self._next_line = _Lines(), 1
        self._polars = PolarsTextReader(file.dialect, file.width, fields, self.columns)

    @property
    def polars_possible(self) -> bool:
        """Whether polars can read these fields."""
        return self._polars.possible

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows of each piece or chunk of text, in order.

        Raises:
            DataError: the file has a header and no rows.
        """
        yield from super().chunks()
        if self.row == 0:
            raise DataError(f"{self.display_name}: no rows, only a header; if that row is data, say --no-header")

    def first_rows(self) -> Iterator[Rows]:
        """Yield the rows of the first piece of the file, without its header."""
        if self._file.first.records:
            yield self._rows(self._file.first)
        self._next_line = self._file.first.end_line

    def parse(self, piece: bytes) -> Rows:
        """Return the rows of a piece of text, parsed by the grammar."""
        return self._rows(self._file.parse(piece, self._next_line))

    def read_with_polars(self, chunk: bytes) -> Rows | None:
        """Return the rows of a chunk, or None if the grammar must parse it; a row that polars reads is a line."""
        rows = self._polars.rows(chunk)
        if rows is not None:
            self._lines.note(self.row, self._next_line)
            self.row += len(rows[0])
            self._next_line += len(rows[0])
        return rows

    def _rows(self, piece: _Piece) -> Rows:
        """Convert the records of a piece to rows and record their lines."""
        self._check_width(piece)
        for i in range(len(piece.records) if piece.lines is not None else 1):
            self._lines.note(self.row + i, piece.line(i))
        rows = tuple(self._numbers(piece, i) for i in range(len(self.fields)))
        self.row += len(piece.records)
        self._next_line = piece.end_line
        return rows

    def line(self, row: int) -> str | None:
        """Return the file and the line of a row, ``preds.csv:7``; None if this source was not read itself."""
        return f"{self.display_name}:{self._lines.of(row)}" if self._lines.rows else None

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
        chosen, field, records = self.columns[index], self.fields[index], piece.records
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
    if options.thousands and (len(options.thousands) != 1 or options.thousands not in ",.' _\u00a0\u202f"):
        raise UsageError(f"--thousands {quoted(options.thousands)}: one of , . ' _ and blank")
    if options.thousands == options.decimal:
        raise UsageError(f"--thousands and --decimal are both {options.thousands!r}: say --decimal as well")
    return Dialect(delimiter, options.decimal, frozenset(v.strip(" \t") for v in options.na_values), options.thousands)
