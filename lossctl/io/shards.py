"""Many files that are one: a quoted glob or a directory, in the order of their names."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, UsageError
from lossctl.io import byte_stream, column_selection
from lossctl.io.source import BadValueError, Field, OpenedFile, Read, Rows, Source
from lossctl.io.text_grammar import quote_cell


def expand_shards(path: str, suffix_of: Callable[[str], str | None]) -> list[str] | None:
    """The files that a glob or a directory means, in the order of their names; None for a single path.

    Args:
        path: as the user wrote it. What is there under this very name is no glob.
        suffix_of: which format a name tells, or None.

    Raises:
        UsageError: no files, or an order that is not that of the numbers in their names.
        DataError: a directory of more than data.
    """
    where = byte_stream.display_name(path)
    if path != byte_stream.STDIN and os.path.isdir(path):
        names = sorted(entry.name for entry in _entries(path) if not entry.name.startswith((".", "_")))
        for name in names:
            if suffix_of(name) is None:
                raise DataError(
                    f"{where}: is a directory, and {quote_cell(name)} in it is no data file: say which, '{where}/*.csv'"
                )
        found = [os.path.join(path, name) for name in names]
    elif set(path) & set("*?[") and not os.path.lexists(path):
        import glob

        found = sorted(glob.glob(path))
    else:
        return None
    if not found:
        raise DataError(
            f"{where}: is a directory, and holds no files"
            if os.path.isdir(path)
            else f"{where}: no such file, nor one that it matches"
        )
    if other := [name for name in found if suffix_of(name) != suffix_of(found[0])]:
        raise UsageError(f"{where}: files of several formats: {_named(found[0])} and {_named(other[0])}")
    # Row i is row i of the other side only if both are in one order: the one that every listing shows.
    for before, after in pairwise(found):
        left, right = (_numbers(os.path.basename(name)) for name in (before, after))
        if left and right and left > right:
            raise UsageError(
                f"{where}: {_named(before)} comes before {_named(after)}, out of the order of their numbers: "
                "write them with as many digits (shard-02)"
            )
    return found


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{byte_stream.display_name(path)}: {byte_stream.reason(error)}") from None


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d{1,4000}", name)]  # Python reads no integer of over 4300 digits


def _named(name: str) -> str:
    return quote_cell(os.path.basename(name))


class ShardedFile:
    """Files of the same columns, the first of them opened."""

    def __init__(self, path: str, paths: Sequence[str], opener: Callable[[str], OpenedFile]) -> None:
        self.where, self.paths, self._opener = byte_stream.display_name(path), paths, opener
        self._first: OpenedFile | None = opener(paths[0])
        self.names, self.width, self.is_text = self._first.names, self._first.width, self._first.is_text
        self._holds_text = self._first.holds_text

    def holds_text(self, selectors: tuple[str, ...]) -> bool:
        """Whether a column can be had as text."""
        return self._holds_text(selectors)

    def opened(self, index: int) -> OpenedFile:
        """One of the files, proved to have the columns of the first.

        Raises:
            DataError: it has others.
        """
        if index == 0 and self._first is not None:
            first, self._first = self._first, None  # a stream is read once, and nobody keeps it
            return first
        shard = self._opener(self.paths[index])
        if shard.names != self.names or shard.width != self.width:
            raise DataError(
                f"{shard.where} has {_columns(shard.names, shard.width)}, "
                f"{byte_stream.display_name(self.paths[0])} has {_columns(self.names, self.width)}: "
                "all shards must have the same columns"
            )
        return shard

    def bind(self, fields: tuple[Field, ...]) -> Source:
        """The source of these fields: any range of rows where every file knows its rows, else a stream."""
        first = self.opened(0).bind(fields)
        return ShardStream(self, fields, first) if first.rows is None else ShardSource(self, fields, first)


def _columns(names: tuple[str, ...] | None, width: int) -> str:
    return column_selection.listed(names) if names is not None else f"{width} column{'s' * (width != 1)} without names"


class Shards:
    """What both kinds share: which shard a row is in."""

    where: str
    paths: Sequence[str]
    tails: tuple[tuple[int, ...], ...]
    starts: list[int]  # the first row of each shard, and, once it is known, how many there are in all

    def at(self, row: int) -> tuple[int, int]:
        """The shard that holds a row, and the row in it."""
        index = bisect.bisect_right(self.starts, row) - 1
        return index, row - self.starts[index]

    def check(self, shard: Source) -> None:
        """Prove that a shard has the shape of the first."""
        if shard.tails != self.tails:
            raise DataError(
                f"{shard.where} has rows of {_tails(shard.tails)}, "
                f"{byte_stream.display_name(self.paths[0])} has rows of {_tails(self.tails)}: "
                "all shards must have the same"
            )


def _tails(tails: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(str(tail) if len(tail) > 1 else f"{(*tail, 1)[0]}" for tail in tails)


def check_shards_aligned(sources: Sequence[Source]) -> None:
    """Prove that shards are paired: as many on all sides, and as many rows in each, as far as they are known.

    Raises:
        DataError: the first two that are not.
    """
    sharded = [source for source in sources if isinstance(source, Shards)]
    for other in sharded[1:]:
        a, b = sharded[0], other
        if len(a.paths) != len(b.paths):
            raise DataError(
                f"{a.where} has {len(a.paths)} shards, {b.where} has {len(b.paths)}: they are paired in the order "
                "of their names, one with one"
            )
        for i, (one, two) in enumerate(zip(pairwise(a.starts), pairwise(b.starts), strict=False)):
            if (here := one[1] - one[0]) != (there := two[1] - two[0]):
                first, second = byte_stream.display_name(a.paths[i]), byte_stream.display_name(b.paths[i])
                raise DataError(
                    f"{first} has {here:,} row{'s' * (here != 1)}, {second} has {there:,}: "
                    "shards are paired in the order of their names, and both must have the same"
                )


class ShardStream(Shards):
    """Shards of text, one after the other."""

    rows: int | None = None

    def __init__(self, file: ShardedFile, fields: tuple[Field, ...], first: Source) -> None:
        self.where, self.paths, self._file, self._fields = file.where, file.paths, file, fields
        self.tails, self._shards, self.starts = first.tails, [first], [0]

    @property
    def share(self) -> float | None:
        """How much has been read, of shards of one size."""
        now = self._shards[-1].share
        return None if now is None else (len(self._shards) - 1 + now) / len(self.paths)

    def reader(self) -> Read:
        """Raise NotImplementedError: JSON lines are not seekable."""
        raise NotImplementedError

    def chunks(self) -> Iterator[Rows]:
        """All rows of all shards."""
        row = 0
        for index in range(len(self._file.paths)):
            if index:
                self._shards.append(self._file.opened(index).bind(self._fields))
                self.check(self._shards[index])
            for rows in self._shards[index].chunks():
                yield rows
                row += len(rows[0])
            self.starts.append(row)

    def locate(self, row: int, field: int, place: int | None) -> str:
        """``preds/shard-02.csv:7: column 'pred'``."""
        index, row = self.at(row)
        return self._shards[index].locate(row, field, place)

    def line(self, row: int) -> str | None:
        """``preds/shard-02.csv:7``."""
        index, row = self.at(row)
        return self._shards[index].line(row)


class ShardSource(Shards):
    """Shards of which any range of rows can be read: each is opened when its turn comes.

    They are kept as what other processes get of them, so that thousands need no thousand descriptors.
    """

    share: float | None = None

    def __init__(self, file: ShardedFile, fields: tuple[Field, ...], first: Source) -> None:
        self.where, self.paths, self.tails = file.where, file.paths, first.tails
        import pickle

        self._packed, self.starts = [pickle.dumps(first)], [0, first.rows or 0]
        for index in range(1, len(file.paths)):
            shard = file.opened(index).bind(fields)
            self.check(shard)
            self._packed.append(pickle.dumps(shard))
            self.starts.append(self.starts[-1] + (shard.rows or 0))
        self.rows: int | None = self.starts[-1]

    def _shard(self, index: int) -> Source:
        import pickle

        shard: Source = pickle.loads(self._packed[index])  # noqa: S301 - our own, of this run
        return shard

    def reader(self) -> Read:
        """A reader that holds one shard open."""
        held: tuple[int, Read] | None = None

        def part(start: int, stop: int) -> Rows:
            nonlocal held
            index, row = self.at(start)
            if held is None or held[0] != index:
                held = index, self._shard(index).reader()
            return held[1](row, row + stop - start)

        def read(start: int, stop: int) -> Rows:
            edges = [start, *(s for s in self.starts[1:-1] if start < s < stop), stop]
            if len(edges) == 2:
                return part(start, stop)
            parts = []
            for a, b in pairwise(edges):
                try:
                    parts.append(tuple(np.array(rows) for rows in part(a, b)))  # its buffer is read into again
                except BadValueError as bad:
                    raise BadValueError(bad.field, a - start + bad.row, bad.place, bad.cause) from None
            return tuple(self._joined(arrays) for arrays in zip(*parts, strict=True))

        return read

    def _joined(self, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        kinds = {a.dtype for a in arrays}
        if len(kinds) > 1 and any(kind.kind in "iu" and kind.itemsize == 8 for kind in kinds):
            raise DataError(
                f"{self.where}: shards of {' and '.join(sorted(map(str, kinds)))}: write them all as one type"
            )
        return np.concatenate(arrays)

    def chunks(self) -> Iterator[Rows]:
        """Raise NotImplementedError: the source is seekable, not sequential."""
        raise NotImplementedError

    def locate(self, row: int, field: int, place: int | None) -> str:
        """``preds/shard-02.npy: row 5``."""
        index, row = self.at(row)
        return self._shard(index).locate(row, field, place)

    def line(self, row: int) -> None:
        """None of these formats has lines."""
