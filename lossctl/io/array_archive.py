"""Files of several arrays with names: the selection of arrays by key, and the source of their rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from lossctl.errors import UsageError, nearest
from lossctl.io import column_selection
from lossctl.io.npy import NpyFile, NpySource
from lossctl.io.source import BadValueError, Field, Read, length_mismatch
from lossctl.io.text_grammar import quote_cell


class ArrayArchive(ABC):
    """An opened file of several arrays.

    Attributes:
        display_name: the name of the file in messages.
        names: the keys of the arrays, which are selected in the same way as columns.
    """

    is_text = False
    text_options: frozenset[str] = frozenset()

    def __init__(self, display_name: str, names: tuple[str, ...]) -> None:
        self.display_name = display_name
        self.names = names
        self._opened: dict[str, NpyFile] = {}

    @property
    def width(self) -> int:
        """The number of arrays; if there is only one array, its number of columns."""
        return len(self.names) if len(self.names) > 1 else self.member(self.names[0]).width

    @abstractmethod
    def _open(self, key: str) -> NpyFile:
        """Open an array of the archive."""

    def member(self, key: str) -> NpyFile:
        """Return the array with the given key.

        Raises:
            UsageError: no array has this key.
        """
        if key not in self.names:
            suggestion = nearest(key, self.names)
            raise UsageError(
                f"{self.display_name}: there is no array {quote_cell(key)}; it has {self._keys}{suggestion}"
            )
        if key not in self._opened:
            self._opened[key] = self._open(key)
        return self._opened[key]

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return False: arrays contain numbers."""
        return False

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return []: arrays are chosen by their keys."""
        return []

    def bind(self, fields: tuple[Field, ...]) -> ArchiveSource:
        """Return the source of the given fields; each field selects one array by its key."""
        return ArchiveSource(self.display_name, [self._bound(f) for f in fields])

    def _bound(self, field: Field) -> NpySource:
        if len(self.names) == 1 and all(selector.startswith("@") for selector in field.columns):
            return self.member(self.names[0]).bind((field,))  # columns of the only array
        if not field.columns:
            option = {"pred": "--pred KEY", "target": "--target KEY"}.get(field.role, f"{self.display_name}:KEY")
            raise UsageError(f"{self.display_name}: {field.role}: say which array, {option}; it has {self._keys}")
        if len(field.columns) > 1:
            raise UsageError(f"{self.display_name}: {field.role}: one array for each input, not {len(field.columns)}")
        return self.member(field.columns[0]).bind((replace(field, columns=()),))

    @property
    def _keys(self) -> str:
        return column_selection.listed(self.names)


class ArchiveSource:
    """A seekable source over several arrays of one archive, one array per field."""

    def __init__(self, display_name: str, parts: list[NpySource]) -> None:
        self.display_name, self._parts = display_name, parts
        self.rows = parts[0].rows
        self.row_shapes = tuple(part.row_shapes[0] for part in parts)
        for part in parts:
            if part.rows != self.rows:
                raise length_mismatch(parts[0], self.rows, part, part.rows)

    def reader(self) -> Read:
        """Return a reader with buffers of its own."""
        reads = [part.reader() for part in self._parts]
        return lambda start, stop: tuple(_read(i, read, start, stop) for i, read in enumerate(reads))

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value, such as ``data.npz:p: row 5, column 2``."""
        return self._parts[field].locate(row, 0, place)

    def line(self, row: int) -> None:
        """Return None: arrays have no lines."""


def _read(field: int, read: Read, start: int, stop: int) -> npt.NDArray[Any]:
    try:
        return read(start, stop)[0]
    except BadValueError as bad:
        raise BadValueError(field, bad.row, bad.place, bad.cause) from None
