"""Temporary storage on disk for arrays with one row per sample, so that memory does not grow with the input."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, printable
from lossctl.io.byte_stream import reason

Record = tuple[npt.NDArray[Any], ...]

# Rows of a record: 512 KiB per array of one number per row. Fewer rows than this are never written to disk. A record
# on disk costs about 100 bytes of memory.
ROWS = 1 << 16


class Spool:
    """A sequence of records in an unlinked temporary file; the arrays of a record have the same number of rows.

    Arrays of dtype object must contain strings.

    Args:
        record_rows: number of rows that are collected in memory before they are written as a record, default ``ROWS``.
    """

    def __init__(self, record_rows: int | None = None) -> None:
        self.rows = 0
        self._limit = record_rows or ROWS
        self._file: BinaryIO | None = None
        self._pending: list[Record] = []
        self._pending_rows = 0
        self._layout: list[list[tuple[np.dtype[Any], tuple[int, ...], int]]] = []

    def write(self, *arrays: npt.NDArray[Any]) -> None:
        """Append rows; the spool keeps references, so the caller must not change the arrays afterwards."""
        if not len(arrays[0]):
            return
        self._pending.append(arrays)
        self._pending_rows += len(arrays[0])
        self.rows += len(arrays[0])
        if self._pending_rows >= self._limit:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = temporary_file()
        layout = []
        for array in _joined(self._pending):
            text = array.dtype.hasobject
            data = json.dumps(array.tolist()).encode() if text else np.ascontiguousarray(array).view(np.uint8).data
            layout.append((array.dtype, array.shape, len(data)))
            try:
                self._file.write(data)
            except OSError as error:
                raise _no_room(error) from None
        self._layout.append(layout)
        self._pending, self._pending_rows = [], 0

    def records(self) -> Iterator[Record]:
        """Yield all records in the order of writing; a record is valid until the next one. Can be called again."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                raise _no_room(error) from None
            # One buffer for all records: page faults on new memory take as long as the processing of a record.
            buffer = np.empty(max(sum(size for _, _, size in layout) for layout in self._layout), np.uint8)
            at = 0
            for layout in self._layout:
                whole = buffer[: sum(size for _, _, size in layout)]
                _fill(self._file, whole, at)
                at += len(whole)
                ends = np.cumsum([size for _, _, size in layout])
                yield tuple(
                    _array(data, dtype, shape)
                    for data, (dtype, shape, _) in zip(np.split(whole, ends[:-1]), layout, strict=True)
                )
        if self._pending:
            yield _joined(self._pending)

    def column(self, place: int) -> Iterator[npt.NDArray[Any]]:
        """Return an iterator over the array at position ``place`` of each record."""
        return (record[place] for record in self.records())

    def __enter__(self) -> Self:
        return self

    def __del__(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # the disk is full, and the rest of its buffer is not needed
                self._file.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            with suppress(OSError):  # the disk is full, and the rest of its buffer is not needed
                self._file.close()


def temporary_file() -> BinaryIO:
    """Return a new file without a name.

    Raises:
        DataError: it cannot be made.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise _no_room(error) from None


def _no_room(error: OSError) -> DataError:
    folder = printable(tempfile.tempdir or os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - for the message
    return DataError(f"temporary file in {folder}: {reason(error)}; TMPDIR names the folder")


def _joined(records: Sequence[Record]) -> Record:
    if len(records) == 1:
        return records[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*records, strict=True))


def _fill(file: BinaryIO, whole: npt.NDArray[np.uint8], at: int) -> None:
    done = 0
    while done < len(whole):  # a read may be short
        done += os.preadv(file.fileno(), [whole[done:].data], at + done)


def _array(data: npt.NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if dtype.hasobject:
        return np.array(json.loads(data.tobytes()), object)
    return data.view(dtype).reshape(shape)
