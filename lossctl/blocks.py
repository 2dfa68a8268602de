"""One block of rows: the inputs in the shapes that losses want, each proved to be in its domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from lossctl.errors import number
from lossctl.jobs import Job, Policy
from lossctl.kernels.kinds import Array
from lossctl.sources.aligned import Place, Slab
from lossctl.sources.grammar import shown
from lossctl.sources.source import BadValueError, Read, Rows

# The largest integer below which every integer is a double.
_EXACT_INTEGERS = 2**53

T = TypeVar("T")


class RowError(Exception):
    """A value that cannot be used: whose, in which row (and place in it), and why."""

    def __init__(self, role: str, row: int, place: int | None, cause: str) -> None:
        super().__init__(role, row, place, cause)
        self.role, self.row, self.place, self.cause = role, row, place, cause


class KeysDifferError(Exception):
    """A row that is of one sample here and of another there: the roles of the keys, the row, both values."""

    def __init__(self, roles: tuple[str, str], row: int, values: tuple[str, str]) -> None:
        super().__init__(roles, row, values)
        self.roles, self.row, self.values = roles, row, values


@dataclass(frozen=True)
class Task(Generic[T]):
    """A range of rows and what is to be measured of each block of it, for each job."""

    slab: Slab
    places: Mapping[str, Place]
    keys: tuple[tuple[str, str], ...]
    jobs: tuple[Job, ...]
    policy: Policy
    block_rows: int
    measure: Callable[[Block, Job], T]

    def __call__(self) -> list[tuple[T, ...]]:
        """For each block, the measure of each job."""
        with np.errstate(all="ignore"):  # what overflows is told in the result
            return self._blocks()

    def _blocks(self) -> list[tuple[T, ...]]:
        readers = [source.reader() for source in self.slab.sources]
        results = []
        for start in range(self.slab.start, self.slab.stop, self.block_rows):
            stop = min(start + self.block_rows, self.slab.stop)
            block = Block(self, start, [self._read(i, r, start, stop) for i, r in enumerate(readers)])
            for roles in self.keys:
                _agree(block, roles)
            results.append(tuple(self.measure(block, job) for job in self.jobs))
        return results

    def _read(self, index: int, read: Read, start: int, stop: int) -> Rows:
        try:
            return read(start, stop)
        except BadValueError as bad:
            role = next(r for r, p in self.places.items() if p.source == index and p.field == bad.field)
            raise RowError(role, start + bad.row, bad.place, bad.cause) from None


@dataclass(frozen=True)
class Grouping:
    """How the kept elements of a block group into rows."""

    start: int
    count: int
    per_row: int
    index: npt.NDArray[np.intp] | None  # the elements kept; None: all

    @property
    def kept(self) -> int:
        """Rows of which an element is kept."""
        if self.index is None:
            return self.count
        return len(self.index) if self.per_row == 1 else len(np.unique(self.index // self.per_row))

    def number(self, kept: int) -> int:
        """The row number of a kept row."""
        if self.index is None:
            return self.start + kept
        return self.start + int(np.unique(self.index // self.per_row)[kept])

    def sums(self, values: Array) -> Array:
        """The sum over the kept elements of each kept row."""
        if self.per_row == 1:
            return values
        if self.index is None:
            return np.asarray(np.ascontiguousarray(values).reshape(-1, self.per_row).sum(axis=1))
        first = np.unique(self.index // self.per_row, return_index=True)[1]
        return np.add.reduceat(values, first)


@dataclass(frozen=True)
class Elements:
    """What counts of one block for one loss: inputs in the loss's own encoding, and weights.

    ``missing`` elements had a NaN in an input; they are not among the others.
    """

    arrays: list[Array]
    weights: Array | None
    rows: Grouping
    missing: int

    def __len__(self) -> int:
        return len(self.arrays[0])


class Block:
    """The inputs of one block in the shapes that losses want, each made once."""

    def __init__(self, task: Task[Any], start: int, rows: Sequence[Rows]) -> None:
        self.policy, self.places, self.start, self.rows = task.policy, task.places, start, rows
        self.count = len(rows[0][0])
        self._made: dict[tuple[str, int], Array] = {}
        self._checked: set[tuple[str, Any]] = set()

    def input(self, role: str, core: int) -> Array:
        """An input as (elements, *core) float64, where the last ``core`` axes of the data are one element."""
        if (role, core) not in self._made:
            place = self.places[role]
            raw = self.rows[place.source][place.field]
            axis = self.policy.class_axis
            if core and raw.ndim > 2 and axis is not None:
                raw = np.moveaxis(raw, axis, -1)
            if not core:
                raw = raw.reshape(-1)
            elif raw.ndim > 1 + core:
                raw = raw.reshape(-1, *raw.shape[raw.ndim - core :])
            try:
                self._made[role, core] = as_float64(raw)
            except BadValueError as bad:
                per_row = len(raw) // self.count or 1
                spot = bad.place if core else bad.row % per_row
                raise RowError(role, self.start + bad.row // per_row, spot, bad.cause) from None
        return self._made[role, core]

    def elements(self, job: Job) -> Elements:
        """The elements that count: those of weight 0 or with a NaN (unless it is an error) do not."""
        arrays = [self.input(r, len(i.kind.core)) for r, i in zip(job.roles, job.loss.inputs, strict=True)]
        weights = self._weights(job)
        keep = None if weights is None else weights != 0
        skipped = 0
        if self.policy.nan != "error":
            missing = _any_nan(arrays) if keep is None else _any_nan(arrays) & keep
            skipped = int(np.count_nonzero(missing))
            keep = ~missing if keep is None else keep & ~missing
        index = None
        if keep is not None and not keep.all():
            index = np.flatnonzero(keep)
            arrays = [a[index] for a in arrays]
            weights = None if weights is None else weights[index]
        grouping = Grouping(self.start, self.count, job.per_row, index)
        return Elements(self._proved(job, arrays, index), weights, grouping, skipped)

    def _weights(self, job: Job) -> Array | None:
        """One weight an element: per-sample weights are repeated."""
        if "weight" not in self.places:
            return None
        weights = self.input("weight", 0)
        bad = ~(weights >= 0) | (weights == np.inf)
        if bad.any():
            per_row = len(weights) // self.count
            row, spot = divmod(int(np.argmax(bad)), per_row)
            cause = f"weight {number(weights[bad][0])} is not a finite number of at least 0"
            raise RowError("weight", self.start + row, spot if per_row > 1 else None, cause)
        return np.repeat(weights, job.per_row) if len(weights) < self.count * job.per_row else weights

    def _proved(self, job: Job, arrays: list[Array], index: npt.NDArray[np.intp] | None) -> list[Array]:
        """The inputs in the loss's own encoding, each element proved to be in its domain."""
        policy, proved = self.policy, []
        for role, spec, given in zip(job.roles, job.loss.inputs, arrays, strict=True):
            array = spec.kind.encode(given) if role in policy.labelled else given
            array = spec.kind.normalize(array) if policy.normalize else array
            proved.append(array)
            key = (role, spec.kind)
            if index is None and key in self._checked:
                continue  # by another loss of this run
            if fault := spec.kind.find_fault(array, job.dims, policy.tolerance):
                row, spot = divmod(fault.element if index is None else int(index[fault.element]), job.per_row)
                place = (None if job.loop else fault.place) if spec.kind.core else spot if job.loop else None
                raise RowError(role, self.start + row, place, fault.cause)
            if index is None:
                self._checked.add(key)
        return proved


def _agree(block: Block, roles: tuple[str, str]) -> None:
    """Prove that two keys are equal: as text where both files are text, else as numbers."""
    left, right = (_key(block, role) for role in roles)
    differ = left != right
    if differ.any():
        row = int(np.argmax(differ))
        values = [shown(v) if isinstance(v, str) else number(v) for v in (left[row], right[row])]
        raise KeysDifferError(roles, block.start + row, (values[0], values[1]))


def _key(block: Block, role: str) -> npt.NDArray[Any]:
    place = block.places[role]
    raw = block.rows[place.source][place.field]
    if raw.dtype == object:
        return raw.reshape(-1)
    key = block.input(role, 0)
    beyond = np.abs(key) > _EXACT_INTEGERS
    if beyond.any():
        row = int(np.argmax(beyond))
        cause = (
            f"{number(key[row])} is beyond 2**53, where different keys can be the same double: use text in both files"
        )
        raise RowError(role, block.start + row, None, cause)
    return key


def as_float64(raw: npt.NDArray[Any]) -> Array:
    """The same numbers as float64.

    Raises:
        BadValueError: a number that would change.
    """
    if raw.dtype == np.float64 and raw.dtype.isnative:
        return raw
    array = raw.astype(np.float64)
    if raw.dtype.kind in "iu" and raw.dtype.itemsize == 8:
        if raw.size and (int(raw.max()) > _EXACT_INTEGERS or int(raw.min()) < -_EXACT_INTEGERS):
            changed = np.array([int(a) != int(b) for a, b in zip(raw.flat, array.flat, strict=True)]).reshape(raw.shape)
            _refuse(raw, changed, "is beyond 2**53 and no double")
    elif raw.dtype.kind == "f" and raw.dtype.itemsize > 8:
        _refuse(raw, (array != raw) & ~np.isnan(raw), "has more digits than a double holds")
    return array


def _refuse(raw: npt.NDArray[Any], changed: npt.NDArray[np.bool_], cause: str) -> None:
    if changed.any():
        place = np.unravel_index(int(np.argmax(changed)), raw.shape)
        spot = int(place[1]) if len(place) > 1 else None
        raise BadValueError(
            0, int(place[0]), spot, f"{raw[place]!s} {cause}: it would change in silence; round it first"
        )


def _any_nan(arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        nan = np.isnan(array)
        found |= nan if nan.ndim == 1 else nan.any(axis=tuple(range(1, nan.ndim)))
    return found
