"""What every source of rows offers, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io.text_grammar import NUMBER

Rows: TypeAlias = tuple[npt.NDArray[Any], ...]  # one array (rows, *tail) for each field
Read: TypeAlias = Callable[[int, int], Rows]  # rows start to stop; valid until the next call


class BadValueError(Exception):
    """A value that cannot be used: its field, its row counted from the start of what was read, why."""

    def __init__(self, field: int, row: int, place: int | None, cause: str) -> None:
        super().__init__(field, row, place, cause)
        self.field, self.row, self.place, self.cause = field, row, place, cause


@dataclass(frozen=True)
class Options:
    """How text is read: every one of them can be said, none is guessed from the contents."""

    delimiter: str | None = None
    header: bool | None = None
    encoding: str | None = None
    decimal: str = "."
    na_values: tuple[str, ...] = ()
    input_format: str | None = None
    named: frozenset[str] = frozenset()  # columns that the user named: a first row that holds one is a header


@dataclass(frozen=True)
class Field:
    """What one input wants of a source: which columns (none named: all), and how cells are read.

    ``labels`` maps cells to the codes 0, 1, 2 … in the order given. With ``digits`` the numbers are not
    the cells' own but half a unit of the last digit that text writes. A ``key`` is compared with that of
    another source, as ``text`` where both are text; it is none of the columns where none is named.
    ``cure`` ends the error about a cell that is a word.
    """

    role: str
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    digits: bool = False
    key: bool = False
    text: bool = False
    cure: str = ""


class Source(Protocol):
    """Rows of numbers, either seekable (``rows`` is known, ``reader``) or sequential (``chunks``)."""

    @property
    def where(self) -> str:
        """What messages call it."""

    @property
    def rows(self) -> int | None:
        """How many rows there are; None until a stream has been read."""

    @property
    def tails(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one row, for each field."""

    @property
    def share(self) -> float | None:
        """Of a stream, how much has been read; None where that is not known."""

    def reader(self) -> Read:
        """A function that reads any range of rows; each task has its own."""

    def chunks(self) -> Iterator[Rows]:
        """All rows in order, in pieces of any size."""

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Where a person finds a value: ``preds.csv:7: column 'pred'``."""

    def line(self, row: int) -> str | None:
        """Where a person finds a row, ``preds.csv:7``; None where rows have no lines."""


class OpenedFile(Protocol):
    """An opened source whose columns are known, and not yet chosen."""

    @property
    def where(self) -> str:
        """What messages call it."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The columns' names, if they have any."""

    @property
    def width(self) -> int:
        """The number of columns."""

    @property
    def is_text(self) -> bool:
        """Whether numbers are written in digits."""

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Whether a column can be had as text, to be compared as it is written."""

    def bind(self, fields: tuple[Field, ...]) -> Source:
        """Bind fields to columns and return the source."""


def length_mismatch(a: Source, rows: int, b: Source, others: int) -> DataError:
    """The error of two sources that differ in how many rows they have."""
    counts = [f"{n:,} row{'s' * (n != 1)}" for n in (rows, others)]
    cure = "every row is one sample, and both must have the same"
    if abs(rows - others) == 1 and None in (a.rows, b.rows):  # one of them is text
        cure += "; is a header taken for data, or data for a header? --header and --no-header say it"
    return DataError(f"{a.where} has {counts[0]}, {b.where} has {counts[1]}: {cure}")


def label_codes(values: npt.NDArray[Any], labels: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The code of each number under ``--labels 0,1`` and the like; -1 where it is no label.

    >>> label_codes(np.array([1.0, 0.0, 7.0]), ("0", "1")).tolist()
    [1.0, 0.0, -1.0]
    """
    codes = np.full(values.shape, -1.0)
    for code, label in enumerate(labels):
        if NUMBER.fullmatch(label):  # no number is equal to a name
            codes[values == float(label)] = code
    return codes
