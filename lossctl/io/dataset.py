"""Alignment of several sources: row i of each belongs to sample i, and different lengths are an error."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.frameworks import to_array
from lossctl.immutable import immutable
from lossctl.io.arrays import ArraySource
from lossctl.io.shards import check_shards_aligned
from lossctl.io.source import Rows, SeekableSource, Source, StreamingSource, length_mismatch


@immutable
class RowRange:
    """A range of rows of all sources.

    Attributes:
        start: first row.
        stop: row after the last.
        sources: for each source of the data set, a source that reads these rows: arrays in memory, or the file.
    """

    start: int
    stop: int
    sources: tuple[SeekableSource, ...]


# Roles of the outputs to check and of the gradient of what follows. No input of a loss can have such a name. The role
# of the rounding of an output in a text file has the same name and one more word.
GIVEN_GRADIENT, GIVEN_GRADIENT_ROUNDING = "given gradient", "given gradient rounding"
GIVEN_VALUE, GIVEN_VALUE_ROUNDING = "given value", "given value rounding"
UPSTREAM, BASELINE = "upstream gradient", "baseline output"


def key_role(column: str, file: str) -> str:
    """Return the role of a key column of a file, such as ``--on id of TARGETS``."""
    return f"--on {column} of {file}"


def key_column(role: str) -> str:
    """Return the column of a role of :func:`key_role`.

    >>> key_column(key_role("id", "PREDS 2"))
    'id'
    """
    return role.removeprefix("--on ").rpartition(" of ")[0]


@immutable
class FieldRef:
    """The position of an input: the index of its source, and the index of its field in that source."""

    source: int
    field: int


@immutable
class Dataset:
    """The inputs of a run by role.

    Attributes:
        sources: the sources, whose rows are aligned.
        places: role (``pred``, ``target``, ``weight``, or another input that a loss names) to position.
        keys: pairs of roles whose values must be equal in each row; none by default.
        notes: what a user should know about the choice of the columns; none by default.
        lists: whether a row is a list made of several rows of a file, which may have one item.
    """

    sources: tuple[Source, ...]
    places: Mapping[str, FieldRef]
    keys: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    lists: bool = False

    @property
    def names(self) -> list[str]:
        """The distinct names of the sources."""
        return list(dict.fromkeys(source.display_name for source in self.sources))

    @property
    def rows(self) -> int | None:
        """The number of rows if a source knows it, else None."""
        return next((source.rows for source in self.sources if isinstance(source, SeekableSource)), None)

    @property
    def share(self) -> float | None:
        """The smallest fraction read of any streaming source, or None if no fraction is known."""
        known = [source.share for source in self.sources if isinstance(source, StreamingSource)]
        return min((share for share in known if share is not None), default=None)

    @property
    def seekable(self) -> bool:
        """Whether workers can read the rows themselves: every source is seekable and none is in memory."""
        return all(isinstance(s, SeekableSource) and not isinstance(s, ArraySource) for s in self.sources)

    def row_shape(self, role: str) -> tuple[int, ...]:
        """Return the shape of one row of an input; (1,) is returned as (), so that (n, 1) and (n,) are the same."""
        shape = self.raw_row_shape(role)
        return () if shape == (1,) else shape

    def raw_row_shape(self, role: str) -> tuple[int, ...]:
        """Return the shape of one row of an input as it is stored."""
        place = self.places[role]
        return self.sources[place.source].row_shapes[place.field]

    def locate(self, role: str, row: int, place: int | None = None) -> str:
        """Return the position of a value of an input for messages."""
        at = self.places[role]
        return self.sources[at.source].locate(row, at.field, place)

    def line(self, row: int) -> str | None:
        """Return the position of a sample in the file of its prediction; None if the file has no lines."""
        return self.sources[self.places["pred"].source].line(row)

    def unpicklable_sources(self) -> frozenset[int]:
        """Return the indices of the sources that no other process can read: pipes spooled to a temporary file."""
        return frozenset(
            i for i, s in enumerate(self.sources) if isinstance(s, SeekableSource) and not _is_picklable(s)
        )

    def row_ranges(self, rows: int, read: Collection[int] = ()) -> Iterator[RowRange]:
        """Yield all rows in order, at most ``rows`` at a time.

        Streaming sources and the sources in ``read`` are read here and given as arrays; other sources are given
        as they are.

        Args:
            rows: maximum rows of a range.
            read: indices of the seekable sources to read here; none by default.

        Raises:
            DataError: sources have different lengths; the message gives two of them.
        """
        check_shards_aligned(self.sources)
        # Once, not for each range: isinstance of a protocol takes 20 µs.
        seekable = {i: s for i, s in enumerate(self.sources) if isinstance(s, SeekableSource)}
        known = list(seekable.values())
        for other in known[1:]:
            if other.rows != known[0].rows:
                raise length_mismatch(known[0], known[0].rows, other, other.rows)
        queues = {i: _Queue(s.chunks()) for i, s in enumerate(self.sources) if isinstance(s, StreamingSource)}
        start = 0
        while True:
            ends = [q.available(rows) for q in queues.values()] + [min(rows, s.rows - start) for s in known]
            count = min(ends)
            if count < max(ends):
                raise self._unequal(queues, start)
            if not count:
                check_shards_aligned(self.sources)
                return
            sources: list[SeekableSource] = []
            for i, source in enumerate(self.sources):
                if i in queues:
                    sources.append(ArraySource(source.display_name, queues[i].take(count), offset=start))
                else:
                    sources.append(_read(seekable[i], start, start + count) if i in read else seekable[i])
            yield RowRange(start, start + count, tuple(sources))
            start += count

    def _unequal(self, queues: dict[int, _Queue], start: int) -> DataError:
        """Return the error with the shortest and the longest length, after counting the remaining rows."""
        totals = [
            start + queues[i].drain() if isinstance(s, StreamingSource) else s.rows for i, s in enumerate(self.sources)
        ]
        check_shards_aligned(self.sources)
        short = totals.index(min(totals))
        long = totals.index(max(totals))
        return length_mismatch(self.sources[short], totals[short], self.sources[long], totals[long])


def _is_picklable(source: SeekableSource) -> bool:
    import pickle

    try:
        pickle.dumps(source)
    except DataError:
        return False
    return True


def _read(source: SeekableSource, start: int, stop: int) -> ArraySource:
    arrays = source.reader()(start, stop)
    return ArraySource(source.display_name, tuple(array.copy() for array in arrays), offset=start)


@dataclass
class _Queue:
    """A buffer that turns chunks of any size into ranges of a requested number of rows."""

    chunks: Iterator[Rows]
    buffer: list[Rows] = field(default_factory=list)

    def available(self, rows: int) -> int:
        """Buffer up to ``rows`` rows and return how many can be taken; fewer than ``rows`` only at the end."""
        while (count := self._buffered()) < rows:
            chunk = next(self.chunks, None)
            if chunk is None:
                return count
            self.buffer.append(chunk)
        return rows

    def _buffered(self) -> int:
        return sum(len(chunk[0]) for chunk in self.buffer)

    def take(self, rows: int) -> Rows:
        """Remove and return the next rows, at most as many as available() returned."""
        joined = self.buffer[0] if len(self.buffer) == 1 else _join(self.buffer)
        remainder = tuple(a[rows:] for a in joined)
        self.buffer = [remainder] if len(remainder[0]) else []
        return tuple(a[:rows] for a in joined)

    def drain(self) -> int:
        """Discard the remaining rows and return their number."""
        count = self._buffered()
        self.buffer = []
        return count + sum(len(chunk[0]) for chunk in self.chunks)


def _join(chunks: Sequence[Rows]) -> Rows:
    return tuple(np.concatenate(arrays) for arrays in zip(*chunks, strict=True))


def from_arrays(named: Mapping[str, npt.ArrayLike | None]) -> Dataset:
    """Return a data set of arrays by role; roles whose array is None are absent.

    Raises:
        DataError: a value is not an array of real numbers with at least one sample.
    """
    arrays = {role: _array(role, value) for role, value in named.items() if value is not None}
    return Dataset(
        tuple(ArraySource(role, (array,), (role,)) for role, array in arrays.items()),
        {role: FieldRef(i, 0) for i, role in enumerate(arrays)},
    )


def _array(role: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = to_array(value)
    except ValueError as error:
        raise DataError(f"{role}: not an array: {error}") from None
    except DataError as error:
        raise DataError(f"{role}: {error}") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{role}: an array of {array.dtype}; real numbers are needed")
    if not array.ndim:
        raise DataError(f"{role}: a single number; an array with one for each sample is needed")
    if not len(array):
        raise DataError(f"{role}: shape {array.shape}; at least one sample is needed")
    return array
