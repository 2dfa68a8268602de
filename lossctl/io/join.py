"""Match the rows of several sources by a key: each source is spooled, and read again in the order of the first.

polars joins the keys. Values and row numbers are on disk, and keys that are too many for memory are joined in parts by
their hash: the memory of a join is that of ``_PART`` keys, however many rows there are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, counted, number, printable
from lossctl.io.dataset import Dataset
from lossctl.io.source import BadValueError, Rows, SeekableSource, Source, StreamingSource
from lossctl.io.spool import Spool, temporary_file
from lossctl.io.text_grammar import quote_cell

if TYPE_CHECKING:
    import polars as pl

# Keys of both sources that are joined at once: 300 MiB for numbers, 1 GiB for texts of 40 characters.
_PART = 1 << 23
_ROWS = 1 << 16
# Keys of a source that are in memory as they are read; more are written to disk.
_KEYS = 1 << 20
# Every whole number of at most this magnitude is exactly a double.
EXACT_INTEGERS = 2**53
# Keys that a message names.
_NAMED = 3


def join(data: Dataset, column: str, *, inner: bool) -> Dataset:
    """Return a data set whose rows are those of its first source, each with the rows of equal key of the others.

    Args:
        data: sources whose last field is the key.
        column: the name of the key, for messages.
        inner: leave out rows whose key another source lacks, and add a note with their number.

    Raises:
        DataError: a key is in a source twice or, unless ``inner``, in one source only.
    """
    stores = [_Store.of(source) for source in data.sources]
    order = np.arange(stores[0].rows)
    indices = [order, *(_partners(stores[0], store, column, inner=inner) for store in stores[1:])]
    if inner:
        kept = np.flatnonzero(np.logical_and.reduce([index >= 0 for index in indices]))
        if not len(kept):
            raise DataError(f"--join {quote_cell(column)}: no key is in all of {', '.join(data.names)}")
        indices = [index[kept] for index in indices]
    notes = [
        f"--join: {counted(store.rows - len(index), 'row')} of {store.source.display_name} left out: another file "
        f"lacks {'its' if store.rows - len(index) == 1 else 'their'} {quote_cell(column)}"
        for store, index in zip(stores, indices, strict=True)
        if len(index) < store.rows
    ]
    sources = tuple(JoinedSource(store, index) for store, index in zip(stores, indices, strict=True))
    return Dataset(sources, data.places, data.keys, (*data.notes, *notes))


class JoinedSource:
    """A streaming source of the rows of another source in a given order."""

    share: float | None = None

    def __init__(self, store: _Store, index: npt.NDArray[np.int64]) -> None:
        self._store, self._index = store, index
        self.display_name = store.source.display_name
        self.row_shapes = store.source.row_shapes[:-1]

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows in the order of the join."""
        for start in range(0, len(self._index), _ROWS):
            yield self._store.rows_at(self._index[start : start + _ROWS])

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value in the file."""
        return self._store.source.locate(int(self._index[row]), field, place)

    def line(self, row: int) -> str | None:
        """Return the position of a row in the file."""
        return self._store.source.line(int(self._index[row]))


@dataclass
class _Store:
    """The rows of a source on disk, to be read in any order, and its keys.

    Attributes:
        source: the source.
        columns: the fields without the key; texts are in memory.
        keys: records of the keys and the row numbers.
        rows: number of rows.
    """

    source: Source
    columns: list[_Numbers | _Texts] = field(default_factory=list)
    keys: Spool = field(default_factory=lambda: Spool(_KEYS))
    rows: int = 0

    @classmethod
    def of(cls, source: Source) -> _Store:
        """Read a source.

        Raises:
            DataError: a row is invalid, or there is no room on disk.
        """
        store = cls(source)
        for rows in _chunks(source):
            *arrays, key = rows
            if not store.columns:
                store.columns = [_Texts() if a.dtype == object else _Numbers(a.dtype, a.shape[1:]) for a in arrays]
            for column, array in zip(store.columns, arrays, strict=True):
                column.append(array)
            count = len(key)
            texts = key.dtype == object
            missing = np.array([text in {None, ""} for text in key.ravel()]) if texts else np.isnan(key).ravel()
            if missing.any():
                where = source.locate(store.rows + int(np.argmax(missing)), len(arrays), None)
                raise DataError(f"--join: {where}: the key is missing: each row needs a key of its own")
            if key.dtype != object and (np.abs(key) > EXACT_INTEGERS).any():
                row = store.rows + int(np.argmax(np.abs(key).ravel() > EXACT_INTEGERS))
                where = source.locate(row, len(arrays), None)
                raise DataError(f"{where}: beyond 2**53, where different keys can be the same double: use text")
            store.keys.write(key.reshape(count).copy(), np.arange(store.rows, store.rows + count))
            store.rows += count
        return store

    def rows_at(self, index: npt.NDArray[np.int64]) -> Rows:
        """Return the rows of these numbers."""
        return tuple(column.at(index) for column in self.columns)


class _Numbers:
    """An array with one row per sample in an unlinked file."""

    def __init__(self, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> None:
        self._dtype, self._row_shape = dtype, row_shape
        self._file: BinaryIO = temporary_file()
        self._map: npt.NDArray[Any] | None = None

    def __del__(self) -> None:
        with suppress(OSError):
            self._file.close()

    def append(self, array: npt.NDArray[Any]) -> None:
        if array.dtype != self._dtype:
            raise DataError(f"--join: rows of {self._dtype} and of {array.dtype}: write them all as one type")
        self._file.write(np.ascontiguousarray(array).view(np.uint8).data)

    def at(self, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if self._map is None:
            self._file.flush()
            self._map = np.memmap(self._file, self._dtype, "r").reshape(-1, *self._row_shape)
        return np.asarray(self._map[index])


class _Texts:
    """A column of texts in memory, as compact as polars holds them."""

    def __init__(self) -> None:
        self._parts: list[pl.Series] = []
        self._whole: pl.Series | None = None

    def append(self, array: npt.NDArray[Any]) -> None:
        import polars as pl

        self._parts.append(pl.Series(array.reshape(-1).tolist(), dtype=pl.String))

    def at(self, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        import polars as pl

        if self._whole is None:
            self._whole = pl.concat(self._parts)
        return np.array(self._whole.gather(index).to_list(), object).reshape(-1, 1)


def _chunks(source: Source) -> Iterator[Rows]:
    if isinstance(source, StreamingSource):
        yield from source.chunks()
        return
    assert isinstance(source, SeekableSource)
    read = source.reader()
    for start in range(0, source.rows, _ROWS):
        try:
            yield read(start, min(start + _ROWS, source.rows))
        except BadValueError as bad:
            raise DataError(f"{source.locate(start + bad.row, bad.field, bad.place)}: {bad.cause}") from None


def _partners(left: _Store, right: _Store, column: str, *, inner: bool) -> npt.NDArray[np.int64]:
    """Return for each row of ``left`` the row of ``right`` with the same key; -1 if there is none.

    Raises:
        DataError: a key is twice in a source or, unless ``inner``, in one source only.
    """
    count = -(-(left.rows + right.rows) // _PART)
    index = np.full(left.rows, -1, np.int64)
    used = np.zeros(right.rows, np.bool_)
    lacking: list[tuple[int, str]] = []
    extra: list[tuple[int, str]] = []
    for lefts, rights in zip(_parts(left.keys, count), _parts(right.keys, count), strict=True):
        pairs = lefts.join(rights, on="key", how="left", suffix=" of right", nulls_equal=True)
        rows, partners = pairs["row"].to_numpy(), pairs["row of right"].fill_null(-1).to_numpy()
        index[rows] = partners
        matched = partners[partners >= 0]
        used[matched] = True
        if len(pairs) > len(lefts) or np.count_nonzero(used[rights["row"].to_numpy()]) < len(matched):
            _refuse_twice(right, rights)
            _refuse_twice(left, lefts)
        if not inner:
            lacking += _first(lefts, index[lefts["row"].to_numpy()] < 0)
            extra += _first(rights, ~used[rights["row"].to_numpy()])
    if inner:
        return index
    without, unused = int(np.count_nonzero(index < 0)), int(np.count_nonzero(~used))
    if without or unused:
        names = left.source.display_name, right.source.display_name
        texts = [_lacks(names[0], names[1], without, lacking), _lacks(names[1], names[0], unused, extra)]
        raise DataError(
            f"--join {quote_cell(column)}: {'; '.join(filter(None, texts))}; --join "
            f"{shlex.quote(printable(column + ':inner'))} leaves such rows out"
        )
    return index


def _parts(keys: Spool, count: int) -> Iterator[pl.DataFrame]:
    """Yield the keys and row numbers in ``count`` parts: all equal keys are in the same part."""
    import polars as pl

    if count <= 1:
        frames = [_frame(*record) for record in keys.records()]
        yield pl.concat(frames)
        return
    spools = [Spool() for _ in range(count)]
    for record in keys.records():
        part = (_frame(*record)["key"].hash(0) % count).to_numpy()
        for i, spool in enumerate(spools):
            spool.write(*(np.array(array[part == i]) for array in record))
    for spool in spools:
        with spool:
            frames = [_frame(*record) for record in spool.records()]
            yield pl.concat(frames) if frames else _frame(*(np.array(array[:0]) for array in record))


def _frame(keys: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Return a table of keys and row numbers; 1.0 in a file of text is the key 1."""
    import polars as pl

    if keys.dtype != object:
        return pl.DataFrame({"key": np.array(keys, np.float64), "row": rows.copy()})
    texts = pl.Series(keys.tolist(), dtype=pl.String)
    if texts.str.ends_with(".0").any():
        texts = texts.str.replace(r"^(-?\d+)\.0$", "$1")
    return pl.DataFrame({"key": texts, "row": rows.copy()})


def _refuse_twice(store: _Store, part: pl.DataFrame) -> None:
    """Raise DataError if a key of the part is there twice."""
    import polars as pl

    twice = part.filter(pl.col("key").is_duplicated()).sort("row")
    if twice.is_empty():
        return
    key = twice["key"][0]
    rows = twice.filter(pl.col("key").eq_missing(key))["row"].to_list()
    places = " and ".join(store.source.locate(row, len(store.columns), None) for row in rows[:2])
    more = twice["key"].n_unique() - 1
    raise DataError(
        f"--join: {places}: the key {_shown(key)} is there {'twice' if len(rows) == 2 else f'{len(rows)} times'}"
        + (f", and {counted(more, 'more key')} several times" if more else "")
        + ": each row needs a key of its own"
    )


def _first(part: pl.DataFrame, mask: npt.NDArray[np.bool_]) -> list[tuple[int, str]]:
    rows = part.filter(mask).sort("row").head(_NAMED)
    return [(row, _shown(key)) for key, row in rows.iter_rows()]


def _lacks(name: str, other: str, count: int, keys: Sequence[tuple[int, str]]) -> str:
    if not count:
        return ""
    shown = ", ".join(key for _, key in sorted(keys)[:_NAMED]) + ", …" * (count > _NAMED)
    return f"{counted(count, 'key')} of {name} {'is' if count == 1 else 'are'} not in {other}: {shown}"


def _shown(key: object) -> str:
    return quote_cell(key) if isinstance(key, str) else number(float(str(key)))
