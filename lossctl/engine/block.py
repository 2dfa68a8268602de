"""One block of rows: the inputs in the shapes that losses want, each proved to be in its domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Core, Order
from lossctl.core.input_kinds import as_elements, has_class_axis
from lossctl.core.loss import column_major, likely_cause
from lossctl.engine.plan import ComputeOptions, LossPlan, classes_of
from lossctl.errors import number
from lossctl.io.dataset import FieldRef
from lossctl.io.source import BadValueError, Rows

# The largest integer below which every integer is a double.
EXACT_INTEGERS = 2**53


class RowError(Exception):
    """A value that cannot be used: whose, in which row (and place in it), and why."""

    def __init__(self, role: str, row: int, place: int | None, cause: str) -> None:
        super().__init__(role, row, place, cause)
        self.role, self.row, self.place, self.cause = role, row, place, cause


@dataclass(slots=True)  # made for every block: a frozen one costs a microsecond more
class RowIndex:
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
            first = np.arange(0, len(values), self.per_row)
        else:
            first = np.unique(self.index // self.per_row, return_index=True)[1]
        # Not the sum over an axis: it rounds in another order, and a row would cost less where another one has a gap.
        return np.add.reduceat(values, first)


@dataclass(slots=True)
class Elements:
    """What counts of one block for one loss: inputs in the loss's own encoding, and weights.

    ``missing`` elements had a NaN in an input, ``ignored`` ones the label to be ignored; they are not
    among the others.
    """

    arrays: list[Array]
    weights: Array | None
    rows: RowIndex
    missing: int
    ignored: int
    suspended: bool = False  # whether some are yet to be proved finite, by the loss: see ``Block.elements``

    def __len__(self) -> int:
        return len(self.arrays[0])


class Block:
    """The inputs of one block in the shapes that losses want, each made once."""

    def __init__(
        self, policy: ComputeOptions, places: Mapping[str, FieldRef], start: int, rows: Sequence[Rows]
    ) -> None:
        self.policy, self.places, self.start, self.rows = policy, places, start, rows
        self.count = len(rows[0][0])
        self._made: dict[tuple[str, Core], Array] = {}
        self._checked: set[tuple[str, int]] = set()

    def input(self, role: str, core: Core = ()) -> Array:
        """An input as (elements, *core) float64."""
        if (role, core) not in self._made:
            place = self.places[role]
            raw = as_elements(self.rows[place.source][place.field], core, self.policy.class_axis)
            try:
                self._made[role, core] = as_float64(raw)
            except BadValueError as bad:
                per_row = len(raw) // self.count or 1
                spot = bad.place if core else bad.row % per_row
                raise RowError(role, self.start + bad.row // per_row, spot, bad.cause) from None
        return self._made[role, core]

    def elements(self, job: LossPlan, *, suspend: bool = False) -> Elements:
        """The elements that count: those of weight 0 or with a NaN (unless it is an error) do not.

        Args:
            job: whose inputs.
            suspend: leave to whoever asks what finite losses prove, and call ``prove`` where they are not.
        """
        arrays = [self.input(r, i.kind.core) for r, i in zip(job.roles, job.loss.inputs, strict=True)]
        weights, ignored = self._weights(job, arrays)
        keep = None if weights is None else weights != 0
        skipped = 0
        if self.policy.nan != "error":
            missing = _any_nan(arrays) if keep is None else _any_nan(arrays) & keep
            skipped = int(np.count_nonzero(missing))
            keep = ~missing if keep is None else keep & ~missing
        index = None
        if keep is not None and not keep.all():
            index = np.flatnonzero(keep)
            arrays = [_taken(a, index) for a in arrays]
            weights = None if weights is None else weights[index]
        grouping = RowIndex(self.start, self.count, job.per_row, index)
        suspend = suspend and job.loss.propagates_nonfinite
        return Elements(self._proved(job, arrays, index, suspend), weights, grouping, skipped, ignored, suspend)

    def check_domain(self, job: LossPlan, elements: Elements) -> None:
        """Prove what was suspended."""
        for i, array in enumerate(elements.arrays):
            self._prove(job, i, array, elements.rows.index)

    def _weights(self, job: LossPlan, arrays: Sequence[Array]) -> tuple[Array | None, int]:
        """One weight an element, of its sample and of its class; how many are 0 since their label is to be ignored."""
        policy, weights, ignored = self.policy, self._given_weights(job), 0
        if not policy.class_weight and policy.ignore_index is None:
            return weights, 0
        target = classes_of(job.loss)
        assert target is not None
        own = arrays[job.roles.index(target[0])]
        more = np.ones(len(own))
        if policy.class_weight:
            rows = target[1].normalize(own) if policy.normalize else own
            # Rows of logarithms, which are at most 0, weigh by what they stand for.
            more = weights_of(np.exp(rows) if target[1].domain.high == 0 else rows, policy.class_weight)
        if policy.ignore_index is not None:
            ignored = int(np.count_nonzero(own == policy.ignore_index))
            more = np.where(own == policy.ignore_index, 0.0, more)
        return more if weights is None else weights * more, ignored

    def _given_weights(self, job: LossPlan) -> Array | None:
        """One weight an element: per-sample weights are repeated."""
        if "weight" not in self.places:
            return None
        weights = self.input("weight")
        bad = ~(weights >= 0) | (weights == np.inf)
        if bad.any():
            per_row = len(weights) // self.count
            row, spot = divmod(int(np.argmax(bad)), per_row)
            cause = f"weight {number(weights[bad][0])} is not a finite number of at least 0"
            raise RowError("weight", self.start + row, spot if per_row > 1 else None, cause)
        return np.repeat(weights, job.per_row) if len(weights) < self.count * job.per_row else weights

    def _proved(
        self, job: LossPlan, arrays: list[Array], index: npt.NDArray[np.intp] | None, suspend: bool
    ) -> list[Array]:
        """The inputs in the loss's own encoding, each element proved to be in its domain."""
        policy, proved = self.policy, []
        for i, (role, spec, given) in enumerate(zip(job.roles, job.loss.inputs, arrays, strict=True)):
            array = spec.kind.encode(given) if role in policy.labelled else given
            array = spec.kind.normalize(array) if policy.normalize else array
            proved.append(array)
            if suspend and spec.kind.implied_by_finite_loss:
                continue
            try:
                self._prove(job, i, array, index)
            except RowError:
                for j in range(i):  # what was suspended is told first, as without
                    self._prove(job, j, proved[j], index)
                raise
        if refused := job.loss.first_violation(proved, policy.tolerance):
            name, element, cause = refused
            role = next(r for r, i in zip(job.roles, job.loss.inputs, strict=True) if i.name == name)
            row = (element if index is None else int(index[element])) // job.per_row
            raise RowError(role, self.start + row, None, cause)
        return proved

    def _prove(self, job: LossPlan, i: int, array: Array, index: npt.NDArray[np.intp] | None) -> None:
        policy, role, kind = self.policy, job.roles[i], job.loss.inputs[i].kind
        key = (role, id(kind))  # kinds are constants, and hashing one takes as long as checking it
        if index is None and key in self._checked:
            return  # by another loss of this run
        if fault := kind.find_fault(array, job.dims, policy.tolerance):
            row, spot = divmod(fault.element if index is None else int(index[fault.element]), job.per_row)
            moved = policy.class_axis is not None and has_class_axis(kind.core)
            place = (None if job.loop or moved else fault.place) if kind.core else spot if job.loop else None
            raise RowError(role, self.start + row, place, fault.cause + likely_cause(job.loss, i, array, fault))
        if index is None:
            self._checked.add(key)


def _taken(array: Array, index: npt.NDArray[np.intp]) -> Array:
    """Some elements, in the memory order of all: what is proved and computed next wants it, and a copy costs more."""
    return np.take(array.T, index, axis=1).T if column_major(array) else array[index]


def weights_of(target: Array, class_weight: Sequence[float]) -> Array:
    """The weight of each label, or of each row of classes: the mean of its classes' weights.

    What is no class weighs 1, so that it is still there to be refused.

    >>> weights_of(np.array([2.0, 0.0]), (0.5, 1.0, 2.0)).tolist()
    [2.0, 0.5]
    >>> weights_of(np.array([[0.0, 0.5, 0.5]]), (0.5, 1.0, 2.0)).tolist()
    [1.5]
    """
    weights = np.asarray(class_weight)
    if target.ndim == 1:
        known = np.isin(target, np.arange(len(weights)))
        return np.where(known, weights[np.where(known, target, 0).astype(np.intp)], 1.0)
    # Class after class, and not as a product of matrices: no digit depends on how the rows lie in memory.
    total = np.zeros(len(target))
    for column, weight in enumerate(class_weight):
        total += weight * target[:, column]
    return np.where(np.isnan(total) | np.isinf(total), 1.0, total)


def as_float64(raw: npt.NDArray[Any]) -> Array:
    """The same numbers as float64, in the memory order that kernels want.

    Before anything else looks at them: the sums of a block of rows of 10 classes, which proving them takes, cost
    254 µs where it lies row after row and 29 where column after column (tests/bench/inside.py sums).

    Raises:
        BadValueError: a number that would change.
    """
    order: Order = "F" if column_major(raw) else "C"
    if raw.dtype == np.float64 and raw.dtype.isnative:
        return np.asarray(raw, order=order)
    # In one step into that order: 61 µs for a block of 10 classes, and in two 218.
    array = raw.T.astype(np.float64, order="C").T if order == "F" else raw.astype(np.float64, order="C")
    if raw.dtype.kind in "iu" and raw.dtype.itemsize == 8:
        if raw.size and (int(raw.max()) > EXACT_INTEGERS or int(raw.min()) < -EXACT_INTEGERS):
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
