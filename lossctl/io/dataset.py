"""Several sources side by side: row i of each belongs to sample i, or it is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.io.arrays import ArraySource
from lossctl.io.shards import check_shards_aligned
from lossctl.io.source import Rows, Source, length_mismatch


@dataclass(frozen=True)
class RowRange:
    """A range of rows, and for each source where to read them: in memory, or from its file."""

    start: int
    stop: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class FieldRef:
    """Where an input's values are: which source, and which of its fields."""

    source: int
    field: int


@dataclass(frozen=True)
class Dataset:
    """The inputs of a run by role: ``pred``, ``target``, ``weight``, and what a loss names besides."""

    sources: tuple[Source, ...]
    places: Mapping[str, FieldRef]
    keys: tuple[tuple[str, str], ...] = ()  # pairs of roles that must be equal, row by row

    @property
    def names(self) -> list[str]:
        """What the sources are called, each once."""
        return list(dict.fromkeys(source.where for source in self.sources))

    @property
    def rows(self) -> int | None:
        """How many there are, if a source knows."""
        return next((source.rows for source in self.sources if source.rows is not None), None)

    @property
    def share(self) -> float | None:
        """Of streams, how much has been read: of the one that is behind."""
        known = [source.share for source in self.sources if source.rows is None]
        return min((share for share in known if share is not None), default=None)

    @property
    def seekable(self) -> bool:
        """Whether a worker can read its rows itself."""
        return all(source.rows is not None and not isinstance(source, ArraySource) for source in self.sources)

    def tail(self, role: str) -> tuple[int, ...]:
        """The shape of one row of an input: (n, 1) is the same thing as (n,)."""
        tail = self.shape(role)
        return () if tail == (1,) else tail

    def shape(self, role: str) -> tuple[int, ...]:
        """The shape of one row of an input as it is."""
        place = self.places[role]
        return self.sources[place.source].tails[place.field]

    def locate(self, role: str, row: int, place: int | None = None) -> str:
        """Where a person finds a value."""
        at = self.places[role]
        return self.sources[at.source].locate(row, at.field, place)

    def line(self, row: int) -> str | None:
        """Where a sample stands: in the file of its prediction."""
        return self.sources[self.places["pred"].source].line(row)

    def unpicklable_sources(self) -> frozenset[int]:
        """The sources that no other process can read: spooled pipes."""
        return frozenset(i for i, source in enumerate(self.sources) if source.rows is not None and not _travels(source))

    def row_ranges(self, rows: int, read: Collection[int] = ()) -> Iterator[RowRange]:
        """All rows in order, ``rows`` at a time; those of the sources in ``read`` as arrays.

        Raises:
            DataError: sources of different lengths; both are told.
        """
        check_shards_aligned(self.sources)
        known = [s for s in self.sources if s.rows is not None]
        for other in known[1:]:
            if other.rows != known[0].rows:
                raise length_mismatch(known[0], known[0].rows or 0, other, other.rows or 0)
        queues = {i: _Queue(s.chunks()) for i, s in enumerate(self.sources) if s.rows is None}
        start = 0
        while True:
            ends = [q.available(rows) for q in queues.values()] + [min(rows, (s.rows or 0) - start) for s in known]
            count = min(ends)
            if count < max(ends):
                raise self._unequal(queues, start)
            if not count:
                check_shards_aligned(self.sources)
                return
            taken = tuple(
                ArraySource(s.where, queues[i].take(count), offset=start)
                if i in queues
                else _taken(s, start, start + count)
                if i in read
                else s
                for i, s in enumerate(self.sources)
            )
            yield RowRange(start, start + count, taken)
            start += count

    def _unequal(self, queues: dict[int, _Queue], start: int) -> DataError:
        """The error that tells both lengths: whatever is left is counted."""
        totals = [start + queues[i].drain() if i in queues else s.rows or 0 for i, s in enumerate(self.sources)]
        check_shards_aligned(self.sources)
        short = totals.index(min(totals))
        long = totals.index(max(totals))
        return length_mismatch(self.sources[short], totals[short], self.sources[long], totals[long])


def _travels(source: Source) -> bool:
    import pickle

    try:
        pickle.dumps(source)
    except DataError:
        return False
    return True


def _taken(source: Source, start: int, stop: int) -> ArraySource:
    arrays = source.reader()(start, stop)
    return ArraySource(source.where, tuple(array.copy() for array in arrays), offset=start)


@dataclass
class _Queue:
    """Chunks of any size in, ranges of a wanted size out."""

    chunks: Iterator[Rows]
    held: list[Rows] = field(default_factory=list)

    def available(self, rows: int) -> int:
        """How many rows can be taken, up to ``rows``; fewer only at the end."""
        while (count := self._held()) < rows:
            chunk = next(self.chunks, None)
            if chunk is None:
                return count
            self.held.append(chunk)
        return rows

    def _held(self) -> int:
        return sum(len(chunk[0]) for chunk in self.held)

    def take(self, rows: int) -> Rows:
        """The next rows, as many as were said to be available."""
        joined = self.held[0] if len(self.held) == 1 else _join(self.held)
        rest = tuple(a[rows:] for a in joined)
        self.held = [rest] if len(rest[0]) else []
        return tuple(a[:rows] for a in joined)

    def drain(self) -> int:
        """How many rows there still are."""
        count = self._held()
        self.held = []
        return count + sum(len(chunk[0]) for chunk in self.chunks)


def _join(chunks: Sequence[Rows]) -> Rows:
    return tuple(np.concatenate(arrays) for arrays in zip(*chunks, strict=True))


def from_arrays(named: Mapping[str, npt.ArrayLike | None]) -> Dataset:
    """Arrays by role as a data set; those that are None are not there.

    Raises:
        DataError: something that is no array of real numbers.
    """
    arrays = {role: _array(role, value) for role, value in named.items() if value is not None}
    return Dataset(
        tuple(ArraySource(role, (array,), (role,)) for role, array in arrays.items()),
        {role: FieldRef(i, 0) for i, role in enumerate(arrays)},
    )


def _array(role: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{role}: not an array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{role}: an array of {array.dtype}; real numbers are needed")
    if not array.ndim or not len(array):
        raise DataError(f"{role}: shape {array.shape}; at least one sample is needed")
    return array
