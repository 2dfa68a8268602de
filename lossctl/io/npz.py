"""NPZ archives, as written by np.savez and np.savez_compressed: named NPY files in a zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from lossctl.errors import DataError, UsageError, nearest, printable
from lossctl.io import byte_stream, column_selection
from lossctl.io.formats import InputFormat
from lossctl.io.npy import NpyFile, NpySource
from lossctl.io.source import BadValueError, Field, Options, Read, length_mismatch
from lossctl.io.text_grammar import quote_cell

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the two methods that NumPy writes


@dataclass(frozen=True)
class _Member:
    """The bytes of one array of an archive."""

    path: str
    info: zipfile.ZipInfo = field(compare=False)  # ZipInfo compares by identity; its name is in ``display_name``
    display_name: str

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the array in blocks; zipfile verifies the checksum of the archive.

        Raises:
            DataError: the archive is damaged, or uses a compression method that NumPy does not write.
        """
        if self.info.compress_type not in _METHODS:
            raise DataError(
                f"{self.display_name}: compressed in a way that NumPy does not write: np.savez_compressed it again"
            )
        with byte_stream.open_binary(self.path) as file, byte_stream.unchanged(file, self.display_name):
            try:
                with zipfile.ZipFile(file) as archive, archive.open(self.info) as member:
                    while data := member.read(byte_stream.PIECE):
                        yield data
            except (MemoryError, DataError):
                raise
            except Exception as error:  # noqa: BLE001 - BadZipFile, zlib.error, EOFError, RuntimeError of a password, …
                raise _damaged(self.display_name, error) from None


def _damaged(display_name: str, error: Exception) -> DataError:
    return DataError(f"{display_name}: not a readable NPZ (zip) file: {str(error).rstrip('.') or 'it breaks off'}")


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> NpzFile:
    """Open an NPZ archive; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return NpzFile(origin.path)


class NpzFile:
    """An opened archive whose list of arrays has been read."""

    is_text = False
    text_options: frozenset[str] = frozenset()

    def __init__(self, path: str) -> None:
        self.display_name, self._path = byte_stream.display_name(path), path
        self._opened: dict[str, NpyFile] = {}
        with byte_stream.open_binary(path) as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    listed = [i for i in archive.infolist() if i.filename.endswith(".npy")]
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - as above, and struct.error, UnicodeDecodeError, …
                raise _damaged(self.display_name, error) from None
        self._members = {i.filename.removesuffix(".npy"): i for i in listed}
        if not listed:
            raise DataError(f"{self.display_name}: holds no arrays")
        if len(self._members) < len(listed):
            raise DataError(f"{self.display_name}: holds two arrays of one name")

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the arrays, which are selected in the same way as columns."""
        return tuple(self._members)

    @property
    def width(self) -> int:
        """The number of arrays; if there is only one array, its number of columns."""
        return len(self._members) if len(self._members) > 1 else self.member(self.names[0]).width

    def member(self, key: str) -> NpyFile:
        """Return the array with the given key.

        Raises:
            UsageError: no array has this key.
        """
        if key not in self._members:
            suggestion = nearest(key, self.names)
            raise UsageError(
                f"{self.display_name}: there is no array {quote_cell(key)}; it has {self._keys}{suggestion}"
            )
        if key not in self._opened:
            self._opened[key] = NpyFile(
                _Member(self._path, self._members[key], f"{self.display_name}:{printable(key)}")
            )
        return self._opened[key]

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return False: arrays contain numbers."""
        return False

    def bind(self, fields: tuple[Field, ...]) -> NpzSource:
        """Return the source of the given fields; each field selects one array by its key."""
        return NpzSource(self.display_name, [self._bound(f) for f in fields])

    def _bound(self, field: Field) -> NpySource:
        if len(self._members) == 1 and all(selector.startswith("@") for selector in field.columns):
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


class NpzSource:
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
