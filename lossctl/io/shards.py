"""Shards: the files of a quoted glob or a directory, read in the order of their names as one source."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, UsageError, counted
from lossctl.io import byte_stream, column_selection, remote
from lossctl.io.remote_address import is_remote
from lossctl.io.source import BadValueError, Field, OpenedFile, Read, Rows, SeekableSource, Source, StreamingSource
from lossctl.io.text_grammar import quote_cell


def expand_shards(path: str, suffix_of: Callable[[str], str | None]) -> list[str] | None:
    """Return the files of a glob or a directory in the order of their names, or None for a single path.

    Args:
        path: the path as the user wrote it. If a file of exactly this name exists, the path is not a glob.
        suffix_of: maps a file name to its format suffix, or to None if the name has none.

    Raises:
        UsageError: the files have several formats, or the order of the names is not the order of their numbers.
        DataError: no file matches, or the directory is empty or contains a file that is not a data file.
    """
    display_name = byte_stream.display_name(path)
    if path != byte_stream.STDIN and os.path.isdir(path):
        # Files such as _SUCCESS and .part-0.csv.crc are no data; a hidden file that is data is not left out unsaid.
        names = sorted(e.name for e in _entries(path) if suffix_of(e.name) or not e.name.startswith((".", "_")))
        for name in names:
            if name.startswith((".", "_")):
                raise DataError(
                    f"{display_name}: is a directory, and {quote_cell(name)} in it is named like a hidden file: "
                    f"remove it, or say which, '{display_name}/[!_]*.csv'"
                )
            if suffix_of(name) is None:
                raise DataError(
                    f"{display_name}: is a directory, and {quote_cell(name)} in it is no data file: "
                    f"say which, '{display_name}/*.csv'"
                )
        shard_paths = [os.path.join(path, name) for name in names]
    elif is_remote(path):
        if not path.lower().startswith(("s3:", "gs:")) or not set(path) & set("*?["):  # a list of files is no HTTP
            return None
        shard_paths = remote.matches(path)
    elif set(path) & set("*?[") and not os.path.lexists(path):
        import glob

        shard_paths = sorted(glob.glob(path))
    else:
        return None
    if not shard_paths:
        raise DataError(
            f"{display_name}: is a directory, and holds no files"
            if os.path.isdir(path)
            else f"{display_name}: no such file, nor one that it matches"
        )
    if other := [name for name in shard_paths if suffix_of(name) != suffix_of(shard_paths[0])]:
        raise UsageError(f"{display_name}: files of several formats: {_named(shard_paths[0])} and {_named(other[0])}")
    for name in shard_paths:
        if byte_stream.read_once(name):
            raise DataError(f"{byte_stream.display_name(name)}: is a pipe, and a shard is a file: save it to one first")
    # Rows of two sources are paired by position, so both need the same order: that of a sorted listing of the names.
    for before, after in pairwise(shard_paths):
        left, right = (_numbers(os.path.basename(name)) for name in (before, after))
        if left and right and left > right:
            raise UsageError(
                f"{display_name}: {_named(before)} comes before {_named(after)}, out of the order of their numbers: "
                "write them with as many digits (shard-02)"
            )
    return shard_paths


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{byte_stream.display_name(path)}: {byte_stream.reason(error)}") from None


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d{1,4000}", name)]  # int() rejects more than 4300 digits


def _named(name: str) -> str:
    return quote_cell(os.path.basename(name))


class ShardedFile:
    """Several files with the same columns; only the first file is opened at construction."""

    def __init__(self, path: str, paths: Sequence[str], opener: Callable[[str], OpenedFile]) -> None:
        self.display_name, self.paths, self._opener = byte_stream.display_name(path), paths, opener
        self._first: OpenedFile | None = opener(paths[0])
        self.names, self.width, self.is_text = self._first.names, self._first.width, self._first.is_text
        self._holds_text, self.text_options = self._first.holds_text, self._first.text_options
        self._head = self._first.head

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Return whether the selected columns can be read as text."""
        return self._holds_text(selectors)

    def head(self, columns: Sequence[int], rows: int) -> list[list[float | str]]:
        """Return the first cells of columns of the first file."""
        return self._head(columns, rows)

    def opened(self, index: int) -> OpenedFile:
        """Open the file with the given index and check that it has the columns of the first file.

        Raises:
            DataError: the names or the number of the columns differ.
        """
        if index == 0 and self._first is not None:
            first, self._first = self._first, None  # hand over the reference: a stream can be read once
            return first
        shard = self._opener(self.paths[index])
        if shard.names != self.names or shard.width != self.width:
            raise DataError(
                f"{shard.display_name} has {_columns(shard.names, shard.width)}, "
                f"{byte_stream.display_name(self.paths[0])} has {_columns(self.names, self.width)}: "
                "all shards must have the same columns"
            )
        return shard

    def bind(self, fields: tuple[Field, ...]) -> Source:
        """Return the source of the given fields, of the same kind as that of the first file."""
        first = self.opened(0).bind(fields)
        if isinstance(first, StreamingSource):
            return ShardStream(self, fields, first)
        return ShardSource(self, fields, first)


def _columns(names: tuple[str, ...] | None, width: int) -> str:
    return column_selection.listed(names) if names is not None else f"{counted(width, 'column')} without names"


class Shards:
    """Base class of sharded sources: maps a row to its shard."""

    display_name: str
    paths: Sequence[str]
    row_shapes: tuple[tuple[int, ...], ...]
    starts: list[int]  # the first row of each shard, then, once it is known, the total number of rows

    def at(self, row: int) -> tuple[int, int]:
        """Return the index of the shard that contains a row, and the number of the row within the shard."""
        index = bisect.bisect_right(self.starts, row) - 1
        return index, row - self.starts[index]

    def check(self, shard: Source) -> None:
        """Check that the rows of a shard have the shapes of the rows of the first shard.

        Raises:
            DataError: a shape differs.
        """
        if shard.row_shapes != self.row_shapes:
            raise DataError(
                f"{shard.display_name} has rows of {_widths(shard.row_shapes)}, "
                f"{byte_stream.display_name(self.paths[0])} has rows of {_widths(self.row_shapes)}: "
                "all shards must have the same"
            )


def _widths(row_shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(str(shape) if len(shape) > 1 else f"{(*shape, 1)[0]}" for shape in row_shapes)


def check_shards_aligned(sources: Sequence[Source]) -> None:
    """Check that all sharded sources have the same number of shards, with the same numbers of rows as far as known.

    Raises:
        DataError: two sources differ; the message names the first pair that differs.
    """
    sharded = [source for source in sources if isinstance(source, Shards)]
    for other in sharded[1:]:
        a, b = sharded[0], other
        if len(a.paths) != len(b.paths):
            raise DataError(
                f"{a.display_name} has {len(a.paths)} shards, {b.display_name} has {len(b.paths)}: "
                "they are paired in the order of their names, one with one"
            )
        for i, (a_number, b_number) in enumerate(zip(_counters(a.paths), _counters(b.paths), strict=False)):
            if a_number != b_number:
                first, second = byte_stream.display_name(a.paths[i]), byte_stream.display_name(b.paths[i])
                raise DataError(
                    f"{first} would be paired with {second}, and their numbers differ: shards are paired in the order "
                    "of their names: rename the files of one side"
                )
        for i, (a_rows, b_rows) in enumerate(zip(pairwise(a.starts), pairwise(b.starts), strict=False)):
            if (here := a_rows[1] - a_rows[0]) != (there := b_rows[1] - b_rows[0]):
                first, second = byte_stream.display_name(a.paths[i]), byte_stream.display_name(b.paths[i])
                raise DataError(
                    f"{first} has {counted(here, 'row')}, {second} has {there:,}: "
                    "shards are paired in the order of their names, and both must have the same"
                )


def _counters(paths: Sequence[str]) -> list[int]:
    """Return the number of each shard: the only number in the names that counts; [] if no or several numbers change.

    >>> _counters(["v2-08.csv", "v2-09.csv"]), _counters(["2024-01-31.csv", "2024-02-01.csv"])
    ([8, 9], [])
    """
    numbers = [_numbers(os.path.basename(path)) for path in paths]
    if len({len(of_path) for of_path in numbers}) > 1:
        return []
    changing = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    return list(changing[0]) if len(changing) == 1 else []


class ShardStream(Shards):
    """A streaming source that reads shards of text one after the other."""

    def __init__(self, file: ShardedFile, fields: tuple[Field, ...], first: StreamingSource) -> None:
        self.display_name, self.paths, self._file, self._fields = file.display_name, file.paths, file, fields
        self.row_shapes, self._shards, self.starts = first.row_shapes, [first], [0]

    @property
    def share(self) -> float | None:
        """The fraction that has been read, assuming that all shards have the same size; None if it is not known."""
        now = self._shards[-1].share
        return None if now is None else (len(self._shards) - 1 + now) / len(self.paths)

    def chunks(self) -> Iterator[Rows]:
        """Yield the rows of all shards in order."""
        row = 0
        for index in range(len(self._file.paths)):
            if index:
                # All shards have the format of the first.
                self._shards.append(cast(StreamingSource, self._file.opened(index).bind(self._fields)))
                self.check(self._shards[index])
            for rows in self._shards[index].chunks():
                yield rows
                row += len(rows[0])
            self.starts.append(row)

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value, such as ``preds/shard-02.csv:7: column 'pred'``."""
        index, row = self.at(row)
        return self._shards[index].locate(row, field, place)

    def line(self, row: int) -> str | None:
        """Return the position of a row, such as ``preds/shard-02.csv:7``."""
        index, row = self.at(row)
        return self._shards[index].line(row)


class ShardSource(Shards):
    """A seekable source over shards, which are opened when a reader reaches them.

    The shards are stored pickled, as they are sent to other processes, so that thousands of shards do not need
    thousands of file descriptors.
    """

    def __init__(self, file: ShardedFile, fields: tuple[Field, ...], first: SeekableSource) -> None:
        self.display_name, self.paths, self.row_shapes = file.display_name, file.paths, first.row_shapes
        import pickle

        self._packed, self.starts = [pickle.dumps(first)], [0, first.rows]
        for index in range(1, len(file.paths)):
            shard = cast(SeekableSource, file.opened(index).bind(fields))
            self.check(shard)
            self._packed.append(pickle.dumps(shard))
            self.starts.append(self.starts[-1] + shard.rows)
        self.rows = self.starts[-1]

    def _shard(self, index: int) -> SeekableSource:
        import pickle

        shard: SeekableSource = pickle.loads(self._packed[index])  # noqa: S301 - pickled by this run
        return shard

    def reader(self) -> Read:
        """Return a reader that keeps one shard open at a time."""
        open_shard: tuple[int, Read] | None = None

        def part(start: int, stop: int) -> Rows:
            nonlocal open_shard
            index, row = self.at(start)
            if open_shard is None or open_shard[0] != index:
                open_shard = index, self._shard(index).reader()
            return open_shard[1](row, row + stop - start)

        def read(start: int, stop: int) -> Rows:
            edges = [start, *(s for s in self.starts[1:-1] if start < s < stop), stop]
            if len(edges) == 2:
                return part(start, stop)
            parts = []
            for a, b in pairwise(edges):
                try:
                    parts.append(tuple(np.array(rows) for rows in part(a, b)))  # copy: the buffer is reused
                except BadValueError as bad:
                    raise BadValueError(bad.field, a - start + bad.row, bad.place, bad.cause) from None
            return tuple(self._joined(arrays) for arrays in zip(*parts, strict=True))

        return read

    def _joined(self, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        kinds = {a.dtype for a in arrays}
        if len(kinds) > 1 and any(kind.kind in "iu" and kind.itemsize == 8 for kind in kinds):
            raise DataError(
                f"{self.display_name}: shards of {' and '.join(sorted(map(str, kinds)))}: write them all as one type"
            )
        return np.concatenate(arrays)

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value, such as ``preds/shard-02.npy: row 5``."""
        index, row = self.at(row)
        return self._shard(index).locate(row, field, place)

    def line(self, row: int) -> None:
        """Return None: these formats have no lines."""
