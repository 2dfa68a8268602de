"""Readers of row ranges of an NPY file, by positioned reads into a reused buffer."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io import byte_stream

# Bytes of all columns that are read ahead from a file in Fortran order. The numbers of a row are not adjacent there,
# so every range needs one read per column. On 20M rows, strips of 4 MiB cost 11 ms, reads of single blocks 133 ms.
_STRIP = 1 << 22


class NpyLayout(Protocol):
    """The layout of the numbers in an open NPY file, as far as a reader needs it."""

    display_name: str
    file: byte_stream.PositionedFile
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


def rowwise(file: NpyLayout) -> Any:
    """Return a reader of row ranges of a file in C order; the next call overwrites the array that it returned."""
    row_shape = file.shape[1:]
    row_bytes = math.prod(row_shape) * file.dtype.itemsize
    buffer = np.empty(0, file.dtype)

    def read(start: int, stop: int) -> npt.NDArray[Any]:
        nonlocal buffer
        if len(buffer) < stop - start or buffer.shape[1:] != row_shape:
            buffer = np.empty((stop - start, *row_shape), file.dtype)
        block = buffer[: stop - start]
        _fill(file, block, file.offset + start * row_bytes)
        file.file.check()
        return block

    return read


def columnwise(file: NpyLayout, columns: list[int]) -> Any:
    """Return a reader of row ranges of a file in Fortran order that reads only the given columns.

    The array that it returns is valid until the next call.
    """
    n, width, item = file.shape[0], len(columns), file.dtype.itemsize
    strip_rows = max(1, _STRIP // (width * item))
    strip = np.empty((width, 0), file.dtype)
    first = 0

    def read(start: int, stop: int) -> npt.NDArray[Any]:
        nonlocal strip, first
        if not (first <= start and stop <= first + strip.shape[1]):
            first, rows = start, min(max(strip_rows, stop - start), n - start)
            if strip.shape[1] != rows:
                strip = np.empty((width, rows), file.dtype)
            for row, column in zip(strip, columns, strict=True):
                _fill(file, row, file.offset + (column * n + first) * item)
            file.file.check()
        rows = stop - start
        # A column of the file is a row of the strip, because in Fortran order the last axis varies slowest.
        block = strip[:, start - first : stop - first]
        return block.T.reshape((rows, *file.shape[1:]), order="F") if len(file.shape) > 2 else block.T

    return read


def _fill(file: NpyLayout, block: npt.NDArray[Any], at: int) -> None:
    view = block.view(np.uint8).reshape(-1).data
    done = 0
    while done < len(view):
        # A read may be short (a call reads at most 2 GiB, or a signal interrupts it). 0 bytes: the file was truncated.
        got = file.file.read_at(view[done:], at + done)
        if not got:
            raise DataError(f"{file.display_name}: truncated while it was read: is something still writing it?")
        done += got
