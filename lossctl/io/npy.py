"""NPY files, read by positioned reads into a buffer, without memory maps and without unpickling."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, number, printable
from lossctl.io import byte_stream, column_selection
from lossctl.io.file_state import State, another_file_error
from lossctl.io.formats import InputFormat
from lossctl.io.npy_reader import columnwise, rowwise
from lossctl.io.source import BadValueError, Field, Options, Read, Rows, label_codes
from lossctl.io.text_grammar import quote_cell

# Maximum bytes of a header, which is a line of Python literals. This is the limit of NumPy: a longer header may take
# long to parse.
_HEADER_LIMIT = 10_000
_MAGIC = np.lib.format.MAGIC_PREFIX
_START = _HEADER_LIMIT + 12  # the longest header with magic, version and length
# Files that a worker keeps open between tasks. Decompressing a file again in each task would take most of the time.
_REOPENED = 16
_DIMENSIONS = 64  # the maximum of NumPy 2


class Bytes(Protocol):
    """The origin of the bytes of an array: a file, a pipe, or a member of an archive."""

    @property
    def path(self) -> str:
        """The file that contains the bytes."""

    @property
    def display_name(self) -> str:
        """The name of the origin in messages."""

    def __hash__(self) -> int:
        """Return the same hash for the same file."""

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes in blocks."""


def open_file(entry: InputFormat, origin: byte_stream.Origin, options: Options, labels: tuple[str, ...]) -> NpyFile:
    """Open an NPY file; see :meth:`lossctl.io.formats.InputFormat.open`."""
    return NpyFile(origin)


class NpyFile:
    """An opened NPY file or pipe whose header has been checked against the number of bytes that follow."""

    names: tuple[str, ...] | None = None
    is_text = False
    text_options: frozenset[str] = frozenset()
    bfloat16 = False  # the 16 bits are the upper half of a float32
    file: byte_stream.PositionedFile

    def __init__(self, origin: Bytes) -> None:
        self.display_name, self._origin = origin.display_name, origin
        self._path_state = byte_stream.path_state(origin.path)
        try:
            if isinstance(origin, byte_stream.Origin) and origin.seekable:
                self.file = byte_stream.open_positioned(origin.path)
                start = bytearray(min(_START, self.file.size))
                declared = self._open(bytes(start[: self.file.read_at(memoryview(start), 0)]))
                follow: float = self.file.size - self.offset
            else:
                declared, follow = self._spool(origin.blocks())
        except OSError as error:
            raise DataError(f"{self.display_name}: {byte_stream.reason(error)}") from None
        if declared != follow:
            what = "truncated" if declared > follow else "more data than the header declares"
            follow_text = "more" if isinstance(follow, float) else follow
            raise DataError(
                f"{self.display_name}: {what}: shape {self.shape} of {self.dtype} is {declared} bytes, "
                f"{follow_text} follow"
            )
        if declared == 0:
            raise DataError(f"{self.display_name}: no {'columns' if self.shape[0] else 'rows'} (shape {self.shape})")

    def _open(self, start: bytes) -> int:
        """Parse the header and return the number of bytes of data that it declares."""
        if not start:
            raise DataError(f"{self.display_name}: empty file")
        self.shape, self.fortran, self.dtype, self.offset = self._header(start)
        self._check()
        return math.prod(self.shape) * self.dtype.itemsize

    def _spool(self, blocks: Iterator[bytes]) -> tuple[int, float]:
        """Copy the bytes to an unlinked temporary file, so that they can be read at any position.

        The copy stops once more bytes follow than the header declares, because a pipe may be endless and a few
        compressed bytes can expand to any number.

        Returns:
            The number of bytes of data that the header declares, and the number that follow (infinity if more).
        """
        import tempfile  # here because only pipes need it, and a start is short

        start = next(blocks, b"")
        while len(start) < _START and start.startswith(_MAGIC[: len(start)]) and (block := next(blocks, b"")):
            start += block
        declared = self._open(start)
        left = self.offset + declared
        with tempfile.TemporaryFile() as spool:
            for block in chain([start], blocks):
                spool.write(block[:left])
                left -= len(block)
                if left < 0:
                    return declared, math.inf
            spool.flush()
            self.file = byte_stream.LocalFile(os.dup(spool.fileno()), self.display_name)
        return declared, declared - left

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file by its absolute path; unpickling opens the file again.

        Raises:
            DataError: the file is a pipe, which only this process can read.
        """
        if self._path_state is None:
            raise DataError(f"{self.display_name}: other processes cannot read a pipe: save it to a file first")
        origin: Any = self._origin
        return _reopen, (replace(origin, path=byte_stream.absolute(origin.path)), self._path_state)

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return False: arrays contain numbers."""
        return False

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return []: columns of arrays have no names."""
        return []

    def bind(self, fields: tuple[Field, ...]) -> NpySource:
        """Bind fields to columns and return the source; columns of a 2-d array are selected by position (``@3``)."""
        keys = {c for f in fields if f.key for c in self._columns(f) or ()}
        chosen = [self._columns(f, keys) for f in fields]
        return NpySource(self, fields, chosen)

    @property
    def width(self) -> int:
        """The number of columns: shape[1] of a 2-d array, otherwise 1."""
        return self.shape[1] if len(self.shape) == 2 else 1

    def _columns(self, field: Field, keys: Collection[int] = ()) -> list[int] | None:
        if not field.columns and not keys:
            return None
        if len(self.shape) > 2:
            raise DataError(f"{self.display_name}: columns cannot be chosen of an array of shape {self.shape}")
        chosen = column_selection.select(field.columns, None, self.width, self.display_name)
        return chosen if field.columns else column_selection.all_except(keys, chosen, self.display_name)

    def _header(self, start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        if not start.startswith(_MAGIC):
            raise self._unreadable("it does not start as an NPY file does; --input-format says what it is")
        major, minor = start[6:8].ljust(2, b"\0")
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(
            (major, minor)
        )
        if read is None:  # version (3, 0) is for structured arrays with names outside Latin-1
            raise self._unreadable(f"version {major}.{minor}; 1.0 and 2.0 are what np.save writes of plain arrays")
        first = 8 + 2 * major  # after magic, version and a length of 2 or 4 bytes
        length = int.from_bytes(start[8:first], "little")
        if first + length > len(start) < _START:
            raise self._unreadable("it ends within its header")
        if length > _HEADER_LIMIT:
            raise self._unreadable(f"a header of {length:,} bytes, and at most {_HEADER_LIMIT:,} are safe to parse")
        head = BytesIO(start)
        head.seek(8)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as that of Python 2 integers: only lossctl writes to stderr
                shape, fortran, dtype = read(head, _HEADER_LIMIT)
        except Exception:  # noqa: BLE001 - any error of the parsers of NumPy, ast and tokenize
            text = quote_cell(start[first : first + length].decode("latin-1"))
            raise self._unreadable(f"its header does not describe an array: {text}") from None
        return shape, fortran, dtype, head.tell()

    def _unreadable(self, cause: str) -> DataError:
        return DataError(f"{self.display_name}: not a readable NPY file: {cause}")

    def _check(self) -> None:
        # np.save writes numbers of ml_dtypes.bfloat16 as two bytes without a type; no other numbers are written so.
        if self.dtype.kind == "V" and self.dtype.names is None and self.dtype.itemsize == 2:
            self.dtype, self.bfloat16 = np.dtype("<u2"), True
        if self.dtype.kind not in "fiub":
            refused = _REFUSED.get(self.dtype.kind, "not numbers")
            raise DataError(f"{self.display_name}: {refused} ({self.dtype!s:.40}): {_PLAIN}")
        if len(self.shape) > _DIMENSIONS:
            raise self._unreadable(f"{len(self.shape)} dimensions, and NumPy has at most {_DIMENSIONS}")
        if not all(abs(n) < 1 << 63 for n in self.shape):  # the value is not shown: Python does not format 5000 digits
            raise self._unreadable("its header declares a dimension of 2**63 or more")
        if any(n < 0 or isinstance(n, bool) for n in self.shape):
            raise self._unreadable(f"its header declares the shape {self.shape}")
        if not self.shape:
            raise DataError(
                f"{self.display_name}: a single number (shape ()): at least one dimension of samples is needed"
            )


def _reopen(origin: Bytes, state: State) -> NpyFile:
    """Open a file unpickled from another process, after a check that it is the same file here.

    Raises:
        DataError: the file does not exist, or its size or time of the last write differs.
    """
    if byte_stream.path_state(origin.path) != state:
        raise another_file_error(origin.display_name)
    return _open_cached(origin, state)


@lru_cache(_REOPENED)
def _open_cached(origin: Bytes, state: State) -> NpyFile:
    return NpyFile(origin)


class NpySource:
    """A seekable source of an NPY file or of its selected columns."""

    def __init__(self, file: NpyFile, fields: tuple[Field, ...], chosen: list[list[int] | None]) -> None:
        self.display_name = file.display_name
        self._file, self._fields, self._chosen = file, fields, chosen
        self.rows = file.shape[0]
        whole = file.shape[1:]
        self.row_shapes = tuple(whole if c is None else (len(c),) for c in chosen)

    def reader(self) -> Read:
        """Return a function that reads any range of rows into a buffer of its own."""
        chosen = self._chosen
        if self._file.fortran and len(self._file.shape) > 1:
            every = range(math.prod(self._file.shape[1:]))
            columns = sorted({c for indices in chosen for c in (every if indices is None else indices)})
            whole = columnwise(self._file, columns)
            place = {column: i for i, column in enumerate(columns)}
            chosen = [None if indices is None else [place[c] for c in indices] for indices in chosen]
        else:
            whole = rowwise(self._file)
        if self._file.bfloat16:
            whole = _widened(whole)
        if all(c is None and not f.labels for c, f in zip(chosen, self._fields, strict=True)):
            return lambda start, stop: (whole(start, stop),) * len(self._fields)

        def read(start: int, stop: int) -> Rows:
            block = whole(start, stop)
            return tuple(self._field(block, i, c) for i, c in enumerate(chosen))

        return read

    def _field(self, block: npt.NDArray[Any], index: int, chosen: list[int] | None) -> npt.NDArray[Any]:
        labels = self._fields[index].labels
        if chosen is not None:
            block = block.reshape(len(block), -1)[:, chosen]
        if not labels:
            return block
        codes = label_codes(block, labels)
        codes[np.isnan(block)] = np.nan
        if (bad := codes < 0).any():
            place = np.unravel_index(int(np.argmax(bad)), codes.shape)
            cause = f"{number(block[place])} is not one of --labels {printable(','.join(labels))}"
            raise BadValueError(index, int(place[0]), int(place[1]) if len(place) > 1 else None, cause)
        return codes

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value for messages: ``preds.npy: row 5, column 2``, counted from 0 as in NumPy."""
        row_shape, chosen = self.row_shapes[field], self._chosen[field]
        if place is None or (row_shape in ((), (1,)) and chosen is None):
            return f"{self.display_name}: row {row}"
        if len(row_shape) > 1:
            return f"{self.display_name}: element {[row, *(int(i) for i in np.unravel_index(place, row_shape))]}"
        return f"{self.display_name}: row {row}, column {place if chosen is None else chosen[place]}"

    def line(self, row: int) -> None:
        """Return None: NPY files have no lines."""


def _widened(read: Any) -> Any:
    """Return a reader of float32 numbers from one of the bits of bfloat16 numbers; nothing is rounded."""
    return lambda start, stop: (read(start, stop).astype(np.uint32) << 16).view(np.float32)


_PLAIN = "real numbers are needed, in a plain array"
_REFUSED = {
    "O": "an array of objects, which only unpickling could read and that can run code",
    "c": "complex numbers",
    "U": "strings",
    "S": "strings",
    "M": "dates",
    "m": "time differences",
    "V": "a structured array",
}
