"""Interfaces of the sources of rows (``OpenedFile``, ``SeekableSource``, ``StreamingSource``), fields and options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, counted
from lossctl.immutable import immutable
from lossctl.io.text_grammar import NUMBER

Rows: TypeAlias = tuple[npt.NDArray[Any], ...]  # for each field an array of shape (rows, *row_shape)
Read: TypeAlias = Callable[[int, int], Rows]  # (start, stop) to rows start … stop − 1, valid until the next call


class BadValueError(Exception):
    """A value that cannot be used.

    Attributes:
        field: number of the field.
        row: number of the row, counted from the start of the range that was read.
        place: position of the value in the row; None if the row is one number, or if the row as a whole is wrong.
        cause: the reason, for the error message.
    """

    def __init__(self, field: int, row: int, place: int | None, cause: str) -> None:
        super().__init__(field, row, place, cause)
        self.field, self.row, self.place, self.cause = field, row, place, cause


@immutable
class Options:
    """Options for reading text; the user can set each of them, and none is guessed from the contents."""

    delimiter: str | None = None
    header: bool | None = None
    encoding: str | None = None
    decimal: str = "."
    na_values: tuple[str, ...] = ()
    thousands: str = ""
    input_format: str | None = None
    named: frozenset[str] = frozenset()  # columns named by the user: a first row with one of them is a header


# The fields of Options that have an effect on some formats only.
TEXT_OPTIONS = frozenset({"delimiter", "header", "encoding", "decimal", "na_values", "thousands"})


@immutable
class Field:
    """The columns of a source that one input reads, and the way in which their cells are read.

    Attributes:
        role: the input, such as ``pred``.
        columns: selectors of the columns. If empty, the field reads all columns without those that are keys.
        labels: if not empty, cells are replaced by class codes: the first label by 0, the second by 1, and so on.
        digits: read half a unit of the last written digit of each cell instead of its number.
        key: the field is compared with the key of another source.
        text: compare the key as text, which is the case if both keys are text.
        hint: advice that ends the error message about a cell that is a word.
    """

    role: str
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    digits: bool = False
    key: bool = False
    text: bool = False
    hint: str = ""


class _Rows(Protocol):
    """What the two kinds of sources have in common."""

    @property
    def display_name(self) -> str:
        """The name of the source in messages."""

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one row, for each field."""

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages, such as ``preds.csv:7: column 'pred'``."""

    def line(self, row: int) -> str | None:
        """Return the position of a row, such as ``preds.csv:7``; None if the rows have no lines."""


@runtime_checkable
class SeekableSource(_Rows, Protocol):
    """Rows of numbers that can be read in any order: arrays in memory and binary files."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def reader(self) -> Read:
        """Return a function that reads any range of rows; each task needs its own."""


@runtime_checkable
class StreamingSource(_Rows, Protocol):
    """Rows of numbers that can be read once, in order: text, where the offset of a row is unknown."""

    @property
    def share(self) -> float | None:
        """The fraction of the source that has been read; None if it is not known."""

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows in order, in chunks of any size."""


Source: TypeAlias = SeekableSource | StreamingSource


class OpenedFile(Protocol):
    """An opened source whose columns are known but not yet selected."""

    @property
    def display_name(self) -> str:
        """The name of the source in messages."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the columns; None if the columns have no names."""

    @property
    def width(self) -> int:
        """The number of columns."""

    @property
    def is_text(self) -> bool:
        """Whether numbers are stored as decimal text."""

    @property
    def text_options(self) -> frozenset[str]:
        """The names in ``TEXT_OPTIONS`` of the options that have an effect on this source."""

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return whether the selected columns can be read as text, for keys that are compared as written."""

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns: a list for each column, of at most ``rows`` numbers and texts.

        Arrays without names, which nobody asks, return [].
        """

    def bind(self, fields: tuple[Field, ...]) -> Source:
        """Return the source of the given fields."""


class Archive(OpenedFile, Protocol):
    """An opened file of several members, each of which is a file."""

    def member(self, key: str) -> OpenedFile:
        """Return the member with the given key.

        Raises:
            UsageError: no member has this key.
        """


def length_mismatch(a: Source, rows: int, b: Source, others: int) -> DataError:
    """Return the error for two sources with different numbers of rows.

    Args:
        a: the first source.
        rows: number of rows of ``a``.
        b: the second source.
        others: number of rows of ``b``.
    """
    hint = "every row is one sample, and both must have the same"
    if abs(rows - others) == 1 and (isinstance(a, StreamingSource) or isinstance(b, StreamingSource)):
        hint += "; is a header taken for data, or data for a header? --header and --no-header say it"
    return DataError(
        f"{a.display_name} has {counted(rows, 'row')}, {b.display_name} has {counted(others, 'row')}: {hint}"
    )


def cell_value(cell: object) -> float | str:
    """Return a cell as a number if it is one, else as text; a missing cell is the text ''.

    >>> cell_value("1.0"), cell_value(" a"), cell_value(True), cell_value(None)
    (1.0, 'a', 1.0, '')
    """
    if isinstance(cell, (bool, int, float)):
        return float(cell)
    text = "" if cell is None else str(cell).strip(" \t")
    return float(text) if NUMBER.fullmatch(text) else text


def label_codes(values: npt.NDArray[Any], labels: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return the class code of each number for numeric labels such as ``--labels 0,1``; -1 if it is not a label.

    >>> label_codes(np.array([1.0, 0.0, 7.0]), ("0", "1")).tolist()
    [1.0, 0.0, -1.0]
    """
    codes = np.full(values.shape, -1.0)
    for code, label in enumerate(labels):
        if NUMBER.fullmatch(label):  # a label that is not a number equals no value
            codes[values == float(label)] = code
    return codes
