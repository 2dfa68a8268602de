"""Ranges of rows of an NPY file, by positioned reads into a buffer that is used again."""

from __future__ import annotations

import math
import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io import byte_stream

# Rows of Fortran order lie apart, one read a column: strips of this many bytes in all cost 11 ms
# on 20M rows where reads of one block cost 133.
_STRIP = 1 << 22


class NpyLayout(Protocol):
    """Where the numbers of an open NPY file are: what a reader needs to know of it."""

    where: str
    fd: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    state: byte_stream.State | None


def rowwise(file: NpyLayout) -> Any:
    """A reader of the rows of a file in C order."""
    row_shape = file.shape[1:]
    row_bytes = math.prod(row_shape) * file.dtype.itemsize
    buffer = np.empty(0, file.dtype)

    def read(start: int, stop: int) -> npt.NDArray[Any]:
        nonlocal buffer
        if len(buffer) < stop - start or buffer.shape[1:] != row_shape:
            buffer = np.empty((stop - start, *row_shape), file.dtype)
        block = buffer[: stop - start]
        _fill(file, block, file.offset + start * row_bytes)
        _check_same(file)
        return block

    return read


def columnwise(file: NpyLayout, columns: list[int]) -> Any:
    """A reader of the rows of a file in Fortran order, of these columns: the others are not read."""
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
            _check_same(file)
        rows = stop - start
        # Columns of the file are rows of the strip: the last axis of Fortran order is the slowest.
        block = strip[:, start - first : stop - first]
        return block.T.reshape((rows, *file.shape[1:]), order="F") if len(file.shape) > 2 else block.T

    return read


def _fill(file: NpyLayout, block: npt.NDArray[Any], at: int) -> None:
    view = block.view(np.uint8).reshape(-1).data
    done = 0
    while done < len(view):
        # A read may be short (2 GiB at most a call, or a signal); none at all means the file shrank.
        try:
            got = os.preadv(file.fd, [view[done:]], at + done)
        except OSError as error:
            raise DataError(f"{file.where}: {byte_stream.reason(error)}") from None
        if not got:
            raise DataError(f"{file.where}: truncated while it was read: is something still writing it?")
        done += got


def _check_same(file: NpyLayout) -> None:
    """Prove that nobody has written to the file since it was opened."""
    if file.state is not None and byte_stream.descriptor_state(file.fd) != file.state:
        raise byte_stream.modified_error(file.where)
