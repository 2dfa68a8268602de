"""Blocks × kernels on an Executor → Summaries.

Rows lie on a fixed grid of blocks whose size depends on the shape of a row alone, each block is
reduced by itself, and blocks are added in the order of rows: the digits do not depend on threads,
on tasks, on the file format or on what else is computed.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, UsageError, number
from lossctl.executor import Executor, Future
from lossctl.kernels.kinds import SUM_TOLERANCE, Array, Dims
from lossctl.kernels.spec import Loss
from lossctl.sources.aligned import Dataset, Slab
from lossctl.sources.source import BadValueError
from lossctl.summary import Extreme, Spread, Summary, exact, exact_sum

# Numbers in a block: its temporaries (256 KiB each) stay in a 1 MiB L2 cache, and the 40 µs of Python
# a block are a fraction of its work. Time of mse on 20M pairs (tests/bench/run.py blocks), 8k = 1:
# 16k 0.63, 32k 0.44, 64k 0.36, 256k 0.60.
BLOCK = 32_768
# Blocks in a task: long enough that handing it out (50 µs) is nothing, short enough that the last
# one does not leave the other threads idle on a few million rows.
TASK_BLOCKS = 16
# The largest integer below which every integer is a double.
_EXACT_INTEGERS = 2**53


@dataclass(frozen=True)
class Policy:
    """What the engine does that is no loss's business."""

    nan: str = "error"  # or skip, or propagate
    tolerance: float = SUM_TOLERANCE
    normalize: bool = False
    class_axis: int | None = None
    detail: bool = True  # standard error and extremes besides the sum
    labelled: frozenset[str] = frozenset()  # roles that hold codes 0, 1, 2 … of --labels


@dataclass(frozen=True)
class Job:
    """A loss, the roles of its inputs, and how a row splits into elements."""

    loss: Loss
    roles: tuple[str, ...]
    loop: tuple[int, ...]  # the shape of a sample's elements: () for one
    dims: Dims

    @property
    def per_row(self) -> int:
        """Elements of one sample."""
        return math.prod(self.loop)


class RowError(Exception):
    """A value that cannot be used: whose, in which row (and place in it), and why."""

    def __init__(self, role: str, row: int, place: int | None, cause: str) -> None:
        super().__init__(role, row, place, cause)
        self.role, self.row, self.place, self.cause = role, row, place, cause


@dataclass(frozen=True)
class Task:
    """A range of rows and what is to be computed of it."""

    slab: Slab
    places: Mapping[str, Any]
    jobs: tuple[Job, ...]
    policy: Policy
    block_rows: int

    def __call__(self) -> list[tuple[Summary, ...]]:
        """For each block, the summary of each job."""
        with np.errstate(all="ignore"):  # what overflows is told in the result
            return self._blocks()

    def _blocks(self) -> list[tuple[Summary, ...]]:
        readers = [source.reader() for source in self.slab.sources]
        results = []
        for start in range(self.slab.start, self.slab.stop, self.block_rows):
            stop = min(start + self.block_rows, self.slab.stop)
            block = Block(self, start, [self._read(i, r, start, stop) for i, r in enumerate(readers)])
            results.append(tuple(block.summary(job) for job in self.jobs))
        return results

    def _read(self, index: int, read: Any, start: int, stop: int) -> Any:
        try:
            return read(start, stop)
        except BadValueError as bad:
            role = next(r for r, p in self.places.items() if p.source == index and p.field == bad.field)
            raise RowError(role, start + bad.row, bad.place, bad.cause) from None


class Block:
    """The inputs of one block in the shapes that losses want, each made once."""

    def __init__(self, task: Task, start: int, rows: Sequence[Any]) -> None:
        self.task, self.start, self.rows = task, start, rows
        self._made: dict[tuple[str, int], Array] = {}
        self._checked: set[tuple[str, Any]] = set()

    def input(self, role: str, core: int) -> Array:
        """An input as (elements, *core) float64, where the last ``core`` axes of the data are one element."""
        if (role, core) not in self._made:
            place = self.task.places[role]
            raw = self.rows[place.source][place.field]
            axis = self.task.policy.class_axis
            if core and raw.ndim > 2 and axis is not None:
                raw = np.moveaxis(raw, axis, -1)
            if not core:
                raw = raw.reshape(-1)
            elif raw.ndim > 1 + core:
                raw = raw.reshape(-1, *raw.shape[raw.ndim - core :])
            try:
                self._made[role, core] = as_float64(raw)
            except BadValueError as bad:
                per_row = len(raw) // len(self.rows[0][0]) or 1
                spot = bad.place if core else bad.row % per_row
                raise RowError(role, self.start + bad.row // per_row, spot, bad.cause) from None
        return self._made[role, core]

    def summary(self, job: Job) -> Summary:
        """What is kept of one loss over this block."""
        policy, n = self.task.policy, len(self.rows[0][0])
        arrays = [self.input(r, len(i.kind.core)) for r, i in zip(job.roles, job.loss.inputs, strict=True)]
        weights = self._weights(job, n)
        keep = None if weights is None else weights != 0
        missing = None if policy.nan == "error" else _any_nan(arrays)
        skipped = 0
        if missing is not None:
            if keep is not None:
                missing &= keep
            skipped = int(np.count_nonzero(missing))
            keep = ~missing if keep is None else keep & ~missing
        index = None
        if keep is not None and not keep.all():
            index = np.flatnonzero(keep)
            arrays = [a[index] for a in arrays]
            weights = None if weights is None else weights[index]
        if not len(arrays[0]):
            return Summary(missing=skipped, special=self._special(skipped))
        arrays = self._proved(job, arrays, index)
        values = job.loss.evaluate(*arrays)[0]
        denominator = job.loss.denominator
        amounts = None if denominator is None else denominator(*arrays, **job.loss.params)
        scale = weights if amounts is None else amounts if weights is None else amounts * weights
        parts = values if weights is None else values * weights
        rows = _Rows(self.start, n, job.per_row, index)
        kept = replace(
            _sums(values, parts, scale),
            samples=rows.kept,
            missing=skipped,
        )
        kept = replace(kept, special=kept.special + self._special(skipped))
        return _with_detail(kept, parts, weights, scale, rows) if policy.detail else kept

    def _special(self, missing: int) -> float:
        return math.nan if missing and self.task.policy.nan == "propagate" else 0.0

    def _weights(self, job: Job, n: int) -> Array | None:
        """One weight an element: per-sample weights are repeated."""
        if "weight" not in self.task.places:
            return None
        weights = self.input("weight", 0)
        bad = ~(weights >= 0) | (weights == np.inf)
        if bad.any():
            per_row = len(weights) // n
            row, spot = divmod(int(np.argmax(bad)), per_row)
            cause = f"weight {number(weights[bad][0])} is not a finite number of at least 0"
            raise RowError("weight", self.start + row, spot if per_row > 1 else None, cause)
        return np.repeat(weights, job.per_row) if len(weights) < n * job.per_row else weights

    def _proved(self, job: Job, arrays: list[Array], index: npt.NDArray[np.intp] | None) -> list[Array]:
        """The inputs in the loss's own encoding, each element proved to be in its domain."""
        policy, proved = self.task.policy, []
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
        raise BadValueError(0, int(place[0]), spot, f"{raw[place]} {cause}: it would change in silence; round it first")


def _any_nan(arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        nan = np.isnan(array)
        found |= nan if nan.ndim == 1 else nan.any(axis=tuple(range(1, nan.ndim)))
    return found


def _sums(values: Array, parts: Array, scale: Array | None) -> Summary:
    n = len(values)
    weight = exact(float(n)) if scale is None else exact_sum(scale)
    quick = float(np.add.reduce(parts))
    if math.isfinite(quick):
        return Summary(elements=n, total=exact(quick), weight=weight)
    finite = np.isfinite(values)
    return Summary(
        elements=n,
        infinite=int(np.count_nonzero(np.isinf(values))),
        nans=int(np.count_nonzero(np.isnan(values))),
        total=exact_sum(parts[finite]),
        weight=weight,
        special=float(np.add.reduce(values[~finite])) if not finite.all() else 0.0,
    )


@dataclass(frozen=True)
class _Rows:
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


def _with_detail(kept: Summary, parts: Array, weights: Array | None, scale: Array | None, rows: _Rows) -> Summary:
    """Standard error and extremes, of samples: what the elements of a row add up to."""
    ones = np.ones(len(parts))
    lost, share = rows.sums(parts), rows.sums(ones if scale is None else scale)
    plain = weights is None and rows.per_row == 1
    means = lost if plain else lost / rows.sums(ones if weights is None else weights)
    total, weight = float(np.add.reduce(lost)), float(np.add.reduce(share))
    off = lost - (total / weight if weight else 0.0) * share
    spread = Spread(
        len(lost),
        total,
        weight,
        float(np.add.reduce(off * off)),  # NaN where a loss is infinite, which is told as unknown
        0.0 if scale is None and rows.per_row == 1 else float(np.add.reduce(off * share)),
        float(np.add.reduce(share * share)),
    )
    size = np.abs(lost)
    if kept.nans:  # told by their number; the extremes are those of the others
        means, size = np.where(np.isnan(means), means[~np.isnan(means)][:1].sum(), means), np.nan_to_num(size, nan=0.0)
    low, high, top = (int(i) for i in (means.argmin(), means.argmax(), size.argmax()))
    return replace(
        kept,
        spread=spread,
        low=Extreme(float(means[low]) + 0.0, rows.number(low)),  # + 0.0: a loss of -0.0 reads 0
        high=Extreme(float(means[high]) + 0.0, rows.number(high)),
        top=Extreme(float(lost[top]), rows.number(top)),
    )


def make_job(loss: Loss, roles: Sequence[str], data: Dataset, class_axis: int | None) -> Job:
    """How the rows of the data become elements of the loss.

    Raises:
        DataError: shapes that do not fit each other or the loss.
    """
    loops: list[tuple[tuple[int, ...], str]] = []
    dims: dict[str, tuple[int, str]] = {}
    for role, spec in zip(roles, loss.inputs, strict=True):
        tail, core = data.tail(role), spec.kind.core
        if core:
            tail = _classes_last(loss, role, tail, len(core), class_axis)
            for name, length in zip(core, tail[len(tail) - len(core) :], strict=True):
                known = dims.setdefault(name, (length, role))
                if known[0] != length:
                    raise DataError(
                        f"{role} has {length} {name} a row, {known[1]} has {known[0]}: {_shapes(data, roles)}"
                    )
        loops.append((tail[: len(tail) - len(core)], role))
    loop = loops[0][0]
    for other, role in loops[1:]:
        if other != loop:
            raise DataError(_misfit(loss, data, roles, role))
    if "weight" in data.places and data.tail("weight") not in ((), loop):
        raise DataError(
            f"weight has {_shape(data.tail('weight'))}: one a sample or one an element; {_shapes(data, roles)}"
        )
    return Job(loss, tuple(roles), loop, {name: length for name, (length, _) in dims.items()})


def _classes_last(loss: Loss, role: str, tail: tuple[int, ...], core: int, axis: int | None) -> tuple[int, ...]:
    if len(tail) < core:
        raise DataError(f"{role}: one number a row, where {loss.name} takes one for each class: select several columns")
    if core == 1 and len(tail) > 1:
        if axis is None:
            raise UsageError(f"{role} has shape (n, {_inner(tail)}): --class-axis says which axis holds the classes")
        if axis in (0, -len(tail) - 1) or not -len(tail) - 1 < axis <= len(tail):
            raise UsageError(f"--class-axis {axis}: {role} has axes 1 to {len(tail)} besides that of the samples, 0")
        place = axis - 1 if axis > 0 else axis + len(tail)
        return (*tail[:place], *tail[place + 1 :], tail[place])
    return tail


def _inner(tail: tuple[int, ...]) -> str:
    return ", ".join(map(str, tail))


def _shape(tail: tuple[int, ...]) -> str:
    if len(tail) > 1:
        return f"shape (n, {_inner(tail)})"
    return f"{tail[0]} columns" if tail else "1 column"


def _shapes(data: Dataset, roles: Sequence[str]) -> str:
    return ", ".join(f"{r} ({data.sources[data.places[r].source].where}) has {_shape(data.tail(r))}" for r in roles)


def _misfit(loss: Loss, data: Dataset, roles: Sequence[str], role: str) -> str:
    kind = loss.inputs[list(roles).index(role)].kind
    if loss.row_wise and not kind.core:
        cure = f"{loss.name} takes one {kind.name.lower()} a row"
    else:
        cure = "nothing is broadcast: choose columns with --pred and --target"
    return f"{_shapes(data, roles)}: {cure}"


def block_rows(data: Dataset, jobs: Sequence[Job]) -> int:
    """Rows of one block: it depends on nothing but the widest row.

    Raises:
        UsageError: losses of which only some need the whole batch at once.
    """
    coupled = {job.loss.coupled for job in jobs}
    if coupled == {True, False}:
        names = ", ".join(job.loss.name for job in jobs if job.loss.coupled)
        raise UsageError(
            f"{names}: samples depend on each other, so it is computed on the whole batch: ask for it alone"
        )
    if True in coupled:
        return sys.maxsize
    return max(1, BLOCK // max(math.prod(data.tail(role)) for role in data.places))


def tasks(data: Dataset, jobs: Sequence[Job], policy: Policy) -> Iterator[Task]:
    """The work, in the order of rows."""
    rows = block_rows(data, jobs)
    for slab in data.slabs(rows * TASK_BLOCKS if rows < sys.maxsize else rows):
        yield Task(slab, data.places, tuple(jobs), policy, rows)


def run(data: Dataset, jobs: Sequence[Job], policy: Policy, executor: Executor, window: int) -> list[Summary]:
    """The summary of each job over all rows.

    Args:
        executor: where tasks run.
        window: how many tasks are handed out at once; it bounds memory.

    Raises:
        DataError: the first row, in order, that cannot be used.
    """
    totals = [Summary() for _ in jobs]
    pending: deque[Future[list[tuple[Summary, ...]]]] = deque()

    def settle() -> None:
        try:
            blocks = pending.popleft().result()
        except RowError as fault:
            where = data.locate(fault.role, fault.row, fault.place)
            raise DataError(f"{where}: {fault.cause}") from None
        for i in range(len(jobs)):
            totals[i] = reduce(add, (block[i] for block in blocks), totals[i])

    work = tasks(data, jobs, policy)
    while True:
        try:
            task = next(work, None)
        except DataError:
            # Rows that were handed out before the bad one come first, and so do their errors.
            while pending:
                settle()
            raise
        if task is None:
            break
        pending.append(executor.submit(task))
        if len(pending) >= window:
            settle()
    while pending:
        settle()
    return totals
