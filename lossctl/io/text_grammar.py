"""The one strict grammar of text: what a record, a cell and a number are.

Everything here works on a piece of text that is cut at record ends; the reader adds the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossctl.errors import printable, quoted
from lossctl.io import byte_stream

NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)", re.IGNORECASE | re.ASCII)
WORD = re.compile(r"[ \t]*[^\W\d_][\w .-]*")  # what a label looks like
# With nothing but these characters, float() takes just what the grammar takes: what it takes
# besides has an underscore, a digit of another script or a control character in it.
_PLAIN = re.compile(r"[-+0-9.eEinftyaINFTYA \t;]*")
_QUOTED = '"([^"]*(?:""[^"]*)*)"'  # not (?:[^"]|"")*, for which re keeps 100 bytes a character
_BLANKS = " \t"
_DIGITS = re.compile(r"[+-]?(?P<whole>\d*)(?P<point>\.)?(?P<fraction>\d*)(?:[eE](?P<exponent>[+-]?\d+))?", re.ASCII)
# What so many digits leave out is less than what doubles do to a gradient.
_ENOUGH_DIGITS = 15
# How much of a bad cell an error message shows.
_SHOWN = 40


class CellError(Exception):
    """A cell that is no number: its index among the cells given, and the cause."""

    def __init__(self, index: int, cause: str) -> None:
        super().__init__(cause)
        self.index, self.cause = index, cause


class RecordError(Exception):
    """Text that is no record: its line, counted from 0, and the cause."""

    def __init__(self, line: int, cause: str) -> None:
        super().__init__(cause)
        self.line, self.cause = line, cause


@dataclass(frozen=True)
class Dialect:
    """What separates cells (None: runs of blanks), what decimals are written with, what means missing."""

    delimiter: str | None
    decimal: str = "."
    na_values: frozenset[str] = frozenset()

    def number(self, cell: str) -> float | None:
        """The number that a cell writes, or None where it writes none."""
        text = cell.strip(_BLANKS)
        if text in self.na_values:
            return math.nan
        if self.decimal != ".":
            text = text.replace(".", "x").replace(self.decimal, ".")
        return float(text) if NUMBER.fullmatch(text) else None

    def numbers(self, cells: Sequence[str]) -> npt.NDArray[np.float64]:
        """The numbers that the cells write.

        Raises:
            CellError: the first cell that writes none, or one too large for a double.
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
        if self.decimal != "." or self.na_values or not _PLAIN.fullmatch(";".join(cells)):
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
        if self.decimal == "." and re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", text, re.IGNORECASE | re.ASCII):
            return cause + "; a decimal comma wants --decimal ,"
        if text.casefold() in {"na", "n/a", "null", "none", "#n/a", "?", "-", "missing"}:
            return cause + f"; if it means missing, say --na-values {quoted(text)}"
        return cause

    def rounding_units(self, cells: Sequence[str]) -> npt.NDArray[np.float64]:
        """Half a unit of the last digit that was written, 0 for whole numbers and for 15 digits or more.

        With a fixed number of decimals that is one amount; otherwise (%.6g cuts trailing zeros) the
        longest number tells how many digits there were.
        """
        found = [_DIGITS.fullmatch(cell.strip(_BLANKS).replace(self.decimal, ".")) for cell in cells]
        written = [m for m in found if m and (m["point"] or m["exponent"])]
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
        """The place of each cell among the labels: equal as numbers, or as text.

        Raises:
            CellError: the first cell that is no label.
        """
        code_of: dict[str | float, int] = {}
        for code, label in enumerate(labels):
            value = self.number(label)
            code_of[label.strip(_BLANKS) if value is None else value] = code
        seen: dict[str, float] = {}  # few texts, many cells
        codes = np.empty(len(cells))
        for i, cell in enumerate(cells):
            if cell not in seen:
                value = self.number(cell)
                if value is not None and math.isnan(value):
                    seen[cell] = math.nan
                else:
                    found = code_of.get(cell.strip(_BLANKS) if value is None else value)
                    if found is None:
                        raise CellError(i, f"{quote_cell(cell)} is not one of --labels {printable(','.join(labels))}")
                    seen[cell] = found
            codes[i] = seen[cell]
        return codes

    def records(self, text: str) -> tuple[list[list[str]], list[int] | None]:
        """The records of a piece of text, and the line of each, counted from 0 (None: one a line).

        Raises:
            RecordError: a quote where none belongs, or one that is not closed.
        """
        if '"' in text:
            return self._quoted(text)
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        if len(text) > byte_stream.RECORD_LIMIT and max(map(len, lines)) > byte_stream.RECORD_LIMIT:
            raise RecordError(
                next(i for i, line in enumerate(lines) if len(line) > byte_stream.RECORD_LIMIT), _TOO_LONG
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
            found = token.match(text, at)
            if found is None:
                rest = text[at:] if self.delimiter is not None else text[at:].lstrip(_BLANKS)
                raise RecordError(line, _quote_cause(rest))
            quoted, plain, end_of_record = found.groups()
            record.append(plain if quoted is None else quoted.replace('""', '"'))
            line += newlines(quoted) if quoted else 0
            at = found.end()
            if end_of_record is not None:
                if found.start(3) - begun > byte_stream.RECORD_LIMIT:
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
    r"""How many lines end in the text, with \n, \r\n or \r."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _quote_cause(rest: str) -> str:
    if not rest.startswith('"'):
        return 'a quote inside an unquoted cell; write the whole cell in quotes, and " as ""'
    if re.match(_QUOTED, rest):
        return "text after a closing quote"
    return "a quote is opened and never closed" + " within 1 MiB" * (len(rest) > byte_stream.RECORD_LIMIT)


def quote_cell(cell: str) -> str:
    """A cell as an error message quotes it: one line, no terminal codes, not without end."""
    text = printable(cell)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…").replace("\\\\", "\\")


def is_counting(cells: Sequence[str], number: Callable[[str], float | None]) -> bool:
    """Whether a row reads 0, 1, … k−1 with k ≥ 3: what pandas writes for columns without names."""
    return len(cells) >= 3 and all(number(cell) == i for i, cell in enumerate(cells))
