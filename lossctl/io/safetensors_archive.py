"""Safetensors files as inputs: ``model.safetensors:key``, or arrays selected by key as those of an NPZ archive."""

from __future__ import annotations

from typing import Any

from lossctl.errors import DataError, printable
from lossctl.io import byte_stream
from lossctl.io.array_archive import ArrayArchive
from lossctl.io.file_state import State, another_file_error
from lossctl.io.formats import InputFormat
from lossctl.io.npy import NpyFile
from lossctl.io.safetensors import Entry, SafetensorsFile
from lossctl.io.source import Options


def open_file(
    entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]
) -> SafetensorsArchive:
    """Open a safetensors file; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return SafetensorsArchive(origin.path)


class SafetensorsArchive(ArrayArchive):
    """An opened file whose header has been read."""

    def __init__(self, path: str) -> None:
        self._file = SafetensorsFile(path)
        super().__init__(self._file.display_name, tuple(self._file))

    def _open(self, key: str) -> SafetensorsArray:
        return SafetensorsArray(self._file.path, key, self._file.entries[key])


class SafetensorsArray(NpyFile):
    """One array of a file, read as an NPY file is; bfloat16 is widened to float32."""

    def __init__(self, path: str, key: str, entry: Entry) -> None:
        self.display_name = f"{byte_stream.display_name(path)}:{printable(key)}"
        self._path, self._key, self._entry = path, key, entry
        self._path_state = byte_stream.path_state(path)
        self.shape, self.fortran, self.dtype, self.offset = entry.shape, False, entry.stored, entry.offset
        self._check()
        self.bfloat16 = entry.dtype == "bfloat16"
        if 0 in self.shape:
            raise DataError(f"{self.display_name}: no {'columns' if self.shape[0] else 'rows'} (shape {self.shape})")
        self.file = byte_stream.open_positioned(path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the array by the absolute path of its file; unpickling opens the file again."""
        return _reopen, (byte_stream.absolute(self._path), self._key, self._entry, self._path_state)


def _reopen(path: str, key: str, entry: Entry, state: State) -> SafetensorsArray:
    """Open an array unpickled from another process, after a check that it is in the same file here.

    Raises:
        DataError: the file does not exist, or its size or time of the last write differs.
    """
    if byte_stream.path_state(path) != state:
        raise another_file_error(byte_stream.display_name(path))
    return SafetensorsArray(path, key, entry)
