"""The strict grammar of delimited text: records, cells and numbers.

All functions work on a piece of text that is cut at record ends. The reader of the file adds the file name and the
line number to errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lossctl.errors import printable, quoted
from lossctl.immutable import immutable
from lossctl.io import text_decoding

NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE | re.ASCII)
WORD = re.compile(r"[ \t]*[^\W\d_][\w .-]*")  # the form of a label
# If cells contain only these characters, float() accepts exactly the numbers of the grammar. The other inputs that
# float() accepts contain an underscore, a digit of another script or a control character.
_PLAIN = re.compile(r"[-+0-9.eEinftyaINFTYA \t;]*")
_QUOTED = '"([^"]*+(?:""[^"]*+)*+)"'  # possessive: otherwise re needs 100 bytes per pair of quotes to backtrack
_BLANKS = " \t"
_DIGITS = re.compile(r"[+-]?(?P<whole>\d*)(?P<point>\.)?(?P<fraction>\d*)(?:[eE](?P<exponent>[+-]?\d+))?", re.ASCII)
# With 15 significant digits, the rounding error of the text is below the roundoff of doubles in a gradient.
_ENOUGH_DIGITS = 15
# How pandas, R and spreadsheets write Booleans.
_BOOLEANS = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}
# Maximum characters of a bad cell that an error message shows.
SHOWN = 40


class CellError(Exception):
    """A cell that is not a valid number or label.

    Attributes:
        index: position of the cell in the sequence of cells that was given.
        cause: the reason, for the error message.
    """

    def __init__(self, index: int, cause: str) -> None:
        super().__init__(cause)
        self.index, self.cause = index, cause


class RecordError(Exception):
    """Text that is not a valid record.

    Attributes:
        line: number of the line, counted from 0.
        cause: the reason, for the error message.
    """

    def __init__(self, line: int, cause: str) -> None:
        super().__init__(cause)
        self.line, self.cause = line, cause


@immutable
class Dialect:
    """The conventions of a text file.

    Attributes:
        delimiter: the separator of cells; None: runs of spaces and tabs.
        decimal: the decimal separator, default ".".
        na_values: cells that mean a missing value and are read as NaN, default none.
        thousands: the mark between groups of three digits, default "" for none.
    """

    delimiter: str | None
    decimal: str = "."
    na_values: frozenset[str] = frozenset()
    thousands: str = ""

    def number(self, cell: str) -> float | None:
        """Parse a cell; return its number, or None if the cell is not a number."""
        text = cell.strip(_BLANKS)
        if text in self.na_values:
            return math.nan
        if self.thousands and self.thousands in text:
            text = self._without_marks(text)
        if self.decimal != ".":
            text = text.replace(".", "x").replace(self.decimal, ".")
        return float(text) if NUMBER.fullmatch(text) else _BOOLEANS.get(text)

    def _without_marks(self, text: str) -> str:
        """Return a number without its marks of thousands; a text in which they are at other places stays as it is."""
        mark, point = re.escape(self.thousands), re.escape(self.decimal)
        grouped = rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?"
        return text.replace(self.thousands, "") if re.fullmatch(grouped, text, re.ASCII) else text

    def numbers(self, cells: Sequence[str]) -> npt.NDArray[np.float64]:
        """Parse cells and return their numbers, shape (cells,).

        Raises:
            CellError: a cell is not a number, or its number is too large for a double; the first such cell.
        """
        values = self._fast(cells)
        if values is None:
            return np.array([self._checked(i, cell) for i, cell in enumerate(cells)])
        for i in np.flatnonzero(np.isinf(values)).tolist():
            self._checked(i, cells[i])
        return values

    def _checked(self, index: int, cell: str) -> float:
        value = self.number(cell)
        if value is None:
            raise CellError(index, self._cause(cell))
        if math.isinf(value) and any(c.isdigit() for c in cell):
            raise CellError(index, f"{quote_cell(cell)} is too large for a double (about 1.8e308)")
        return value

    def _fast(self, cells: Sequence[str]) -> npt.NDArray[np.float64] | None:
        if self.decimal != "." or self.na_values or self.thousands or not _PLAIN.fullmatch(";".join(cells)):
            return None
        try:
            return np.array([float(cell) for cell in cells])
        except ValueError:
            return None

    def _cause(self, cell: str) -> str:
        text = cell.strip(_BLANKS)
        if not text:
            return "empty cell; if it means missing, say --na-values ''"
        cause = f"not a number: {quote_cell(cell)}"
        if re.fullmatch(r"[+-]?\d{1,3}(,\d{3}){2,}(\.\d*)?|[+-]?\d{1,3}(,\d{3})+\.\d*", text, re.ASCII):
            return cause + "; marks of thousands want --thousands ,"
        if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d*", text, re.ASCII):
            comma = "a decimal comma wants --decimal , and " if self.decimal == "." else ""
            return cause + f"; {comma}marks of thousands want --thousands ."
        if self.decimal == "." and re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", text, re.IGNORECASE | re.ASCII):
            return cause + "; a decimal comma wants --decimal , and marks of thousands --thousands ,"
        sign = next((c for c in text if c in "$€£¥%"), "")
        if sign and re.fullmatch(r"[$€£¥]?[+-]?[$€£¥]?\s?[\d.,]+\s?[$€£¥%]?", text, re.ASCII):
            return cause + f"; remove the {sign}, for example with tr -d '{sign}'"
        if text.casefold() in {"na", "n/a", "null", "none", "#n/a", "?", "-", "missing"}:
            return cause + f"; if it means missing, say --na-values {quoted(text)}"
        return cause

    def rounding_units(self, cells: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return half a unit of the last written digit of each cell, shape (cells,).

        It is 0 if all cells are whole numbers, or if numbers have 15 digits or more. If all numbers with a decimal
        point have the same number of decimals, and none has an exponent, every cell has the same value. Otherwise the
        longest number gives the number of significant digits, because formats such as %.6g drop trailing zeros.
        """
        matches = [_DIGITS.fullmatch(cell.strip(_BLANKS).replace(self.decimal, ".")) for cell in cells]
        written = [m for m in matches if m and (m["point"] or m["exponent"])]
        quanta = np.zeros(len(cells))
        if not written:
            return quanta
        decimals = {len(m["fraction"] or "") for m in written}
        if len(decimals) == 1 and not any(m["exponent"] for m in written):
            places = decimals.pop()
            return quanta if places >= _ENOUGH_DIGITS else np.full(len(cells), 0.5 * 10.0**-places)
        digits = max(len((m["whole"] + (m["fraction"] or "")).lstrip("0")) for m in written)
        if digits < _ENOUGH_DIGITS:
            sizes = np.abs(self.numbers(cells))
            usable = (sizes > 0) & np.isfinite(sizes)
            quanta[usable] = 0.5 * 10.0 ** (np.floor(np.log10(sizes[usable])) - digits + 1)
        return quanta

    def codes(self, cells: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the position of each cell among the labels, compared as numbers or as text, shape (cells,).

        A cell that is NaN has the code NaN.

        Raises:
            CellError: a cell is not a label; the first such cell.
        """
        code_of: dict[str | float, int] = {}
        for code, label in enumerate(labels):
            value = self.number(label)
            code_of[label.strip(_BLANKS) if value is None else value] = code
        seen: dict[str, float] = {}  # cells have few distinct texts
        codes = np.empty(len(cells))
        for i, cell in enumerate(cells):
            if cell not in seen:
                value = self.number(cell)
                if value is not None and math.isnan(value):
                    seen[cell] = math.nan
                else:
                    label_code = code_of.get(cell.strip(_BLANKS) if value is None else value)
                    if label_code is None:
                        raise CellError(i, f"{quote_cell(cell)} is not one of --labels {printable(','.join(labels))}")
                    seen[cell] = label_code
            codes[i] = seen[cell]
        return codes

    def records(self, text: str) -> tuple[list[list[str]], list[int] | None]:
        """Split a piece of text into records.

        Returns:
            The cells of each record, and the line of each record, counted from 0 (None: each line is a record).

        Raises:
            RecordError: a quote is misplaced or not closed, or a record is too long.
        """
        if '"' in text:
            return self._quoted(text)
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        if len(text) > text_decoding.RECORD_LIMIT and max(map(len, lines)) > text_decoding.RECORD_LIMIT:
            raise RecordError(
                next(i for i, line in enumerate(lines) if len(line) > text_decoding.RECORD_LIMIT), _TOO_LONG
            )
        if self.delimiter is None:
            return [re.split(r"[ \t]+", line.strip(_BLANKS)) for line in lines], None
        return [line.split(self.delimiter) for line in lines], None

    def _quoted(self, text: str) -> tuple[list[list[str]], list[int] | None]:
        between = r"[ \t]+" if self.delimiter is None else re.escape(self.delimiter)
        blank = r"[ \t]*" if self.delimiter is None else ""
        stop = r" \t" if self.delimiter is None else re.escape(self.delimiter)
        token = re.compile(rf'{blank}(?:{_QUOTED}|([^"\r\n{stop}]*))(?:({blank}(?:\r\n|\n|\r|\Z))|{between})')
        records: list[list[str]] = []
        lines: list[int] = []
        record: list[str] = []
        at = line = started = begun = 0
        while at < len(text) or record:
            token_match = token.match(text, at)
            if token_match is None:
                unparsed = text[at:] if self.delimiter is not None else text[at:].lstrip(_BLANKS)
                raise RecordError(line, _quote_cause(unparsed))
            quoted, plain, end_of_record = token_match.groups()
            record.append(plain if quoted is None else quoted.replace('""', '"'))
            line += newlines(quoted) if quoted else 0
            at = token_match.end()
            if end_of_record is not None:
                if token_match.start(3) - begun > text_decoding.RECORD_LIMIT:
                    raise RecordError(started, _TOO_LONG)
                begun = at
                records.append(record)
                lines.append(started)
                record = []
                line += 1
                started = line
        return records, lines


_TOO_LONG = "a record of over 1 MiB: not a table of text?"


def newlines(text: str) -> int:
    r"""Return the number of line ends (\n, \r\n or \r) in a text."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _quote_cause(unparsed: str) -> str:
    if not unparsed.startswith('"'):
        return 'a quote inside an unquoted cell; write the whole cell in quotes, and " as ""'
    if re.match(_QUOTED, unparsed):
        return "text after a closing quote"
    return "a quote is opened and never closed" + " within 1 MiB" * (len(unparsed) > text_decoding.RECORD_LIMIT)


def quote_cell(cell: str) -> str:
    """Quote a cell for an error message: on one line, without terminal control codes, at most 40 characters."""
    text = printable(cell)
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…").replace("\\\\", "\\")


def is_counting(cells: Sequence[str], number: Callable[[str], float | None]) -> bool:
    """Return whether a row reads 0, 1, …, k−1 with k ≥ 3, which is the header that pandas writes by default."""
    return len(cells) >= 3 and all(number(cell) == i for i, cell in enumerate(cells))
