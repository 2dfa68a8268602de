"""Lists of any length from a column, ``--group``: rows of one group, consecutive or not, become one sample.

Groups of one length are a data set of arrays; the results of the lengths are added. The rows are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Extreme, Summary
from lossctl.engine.all_rows import RowsInMemory, read_rows
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import EXPOSURE, ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.engine.run import summarize
from lossctl.engine.where import WHERE
from lossctl.errors import DataError, UsageError, number, printable
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, FieldRef


@immutable
class ListSource(RowsInMemory):
    """Lists of one length: arrays (lists, length), and the weights (lists,) if there are any.

    Attributes:
        index: (lists, length) the row of each item in ``data``.
    """

    index: npt.NDArray[np.int64]

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of an item in its file."""
        return self.data.locate(self.roles[field], int(self.index[row, place or 0]))

    def line(self, row: int) -> str | None:
        """Return the position of the first item of a list."""
        return self.data.line(int(self.index[row, 0]))


@immutable
class Groups:
    """The rows of a data set in memory, and the groups that they form.

    Attributes:
        data: the data set.
        arrays: (rows,) the values of each input, and of the weights if there are any.
        cells: (groups,) further columns, each with one value in a group.
        first: (groups,) the first row of each group; groups are in the order of their first rows.
        lengths: for each length, the rows (lists, length) of its groups, and the numbers (lists,) of these groups.
        rows: the number of rows of the data set.
    """

    data: Dataset
    arrays: Mapping[str, npt.NDArray[Any]]
    cells: Mapping[str, npt.NDArray[Any]]
    first: npt.NDArray[np.int64]
    lengths: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
    rows: int

    def __len__(self) -> int:
        return len(self.first)

    def data_sets(
        self, loss: Loss, reduction: str
    ) -> Iterator[tuple[Dataset, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield the lists of each length: a data set, the rows of its items, the numbers of its groups.

        Args:
            loss: the loss.
            reduction: "group": lists count the same; otherwise, for a loss that counts items, by their length.

        Raises:
            DataError: a loss of lists has weights that differ in a list.
        """
        for index, numbers in self.lengths:
            fields = {role: array[index] for role, array in self.arrays.items()}
            if loss.row_wise:
                weights = self._of_lists(index)
                if loss.counts_items and reduction != "group":
                    weights = np.full(len(index), float(index.shape[1])) * (1.0 if weights is None else weights)
                fields.pop("weight", None)
                if weights is not None:
                    fields["weight"] = weights
            source = ListSource(self.data, tuple(fields), tuple(fields.values()), index)
            places = {role: FieldRef(0, i) for i, role in enumerate(fields)}
            yield Dataset((source,), places, lists=True), index, numbers

    def _of_lists(self, index: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the weight of each list (lists,); None if there are no weights."""
        weights = self.arrays.get("weight")
        return None if weights is None else _value_of_each(self.data, "weight", weights, index, "a list has one weight")


def read_groups(
    data: Dataset,
    group: str,
    losses: Sequence[Loss],
    options: ComputeOptions,
    *,
    shown: Sequence[str] = (),
    models: int = 1,
) -> tuple[Groups, ComputeOptions]:
    """Read all rows of a data set and find their groups.

    Args:
        data: one item per row.
        group: the role of the column of groups.
        losses: losses of lists, or of single items: then a sample is a group of items.
        options: options of the computation.
        shown: roles of further columns, each with one value in a group; none by default.
        models: number of models, whose predictions are ``pred``, ``pred 2`` and so on; default 1.

    Returns:
        The groups of the rows that count, and the options for them.

    Raises:
        UsageError: an item is more than one number, or a loss compares the samples of the batch.
        DataError: a row is invalid, keys differ, a further column has two values in a group, or no row counts.
    """
    roles = [role for loss in losses for role in loss.roles]
    roles += [f"{role} {model}" for model in range(2, models + 1) for role in roles]
    roles = [role for role in dict.fromkeys([*roles, "weight", EXPOSURE]) if role in data.places]
    if coupled := [loss.name for loss in losses if loss.batch_coupled]:
        raise UsageError(f"--group: {coupled[0]} compares the samples of the whole batch")
    for role in roles:
        if data.row_shape(role):
            raise UsageError(f"--group: {role} has several columns, where each row is one item")
    where = options.where
    columns = dict.fromkeys([*roles, group, *shown, *([] if where is None else [WHERE])])
    values = {role: array.reshape(-1) for role, array in read_rows(data, [*columns]).items()}
    rows = np.arange(len(values[group]))
    if where is not None:
        outside = values[WHERE]
        rows = rows[where.mask(outside if outside.dtype == object else outside.astype(np.float64))]
        if not len(rows):
            raise DataError("--where leaves no row")
    lengths = _lengths(values[group][rows], rows)
    first = np.empty(sum(len(numbers) for _, numbers in lengths), np.int64)
    cells = {role: np.empty(len(first), values[role].dtype) for role in shown}
    for index, numbers in lengths:
        first[numbers] = index[:, 0]
        for role, of_groups in cells.items():
            of_groups[numbers] = _value_of_each(data, role, values[role], index, "name a column of one value in each")
    arrays = {role: values[role] for role in roles}
    return Groups(data, arrays, cells, first, lengths, len(values[group])), replace(options, where=None)


def compute_of_lists(
    groups: Groups, losses: Sequence[Loss], options: ComputeOptions, *, reduction: str, workers: ExecutionConfig
) -> list[Result]:
    """Compute losses whose samples are groups of rows.

    Args:
        groups: the groups.
        losses: losses of lists, or of single items: then a sample is a group of items.
        options: options for all losses.
        reduction: "mean" or "sum".
        workers: configuration of the workers.

    Raises:
        DataError: a row is invalid.
    """
    results = []
    for loss in losses:
        total, bound = Summary(), loss
        for lists, _, numbers in groups.data_sets(loss, reduction):
            plan = plan_loss(loss, lists, options)
            with workers.executor_for(lists, [loss]) as executor:
                (summary,), _ = summarize(lists, [plan], options, executor)
            total, bound = total + _numbered(summary, numbers), plan.loss
        results.append(make_result(bound, total, reduction))
    return results


def _lengths(
    groups: npt.NDArray[Any], rows: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return for each length the rows (lists, length) of its groups, and the numbers (lists,) of these groups.

    Groups are numbered in the order of their first rows.
    """
    _, first, codes, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    order = np.argsort(number[codes], kind="stable")
    lengths = np.empty(len(counts), np.int64)
    lengths[number] = counts
    starts = np.cumsum(lengths) - lengths
    indices = []
    for length in np.unique(lengths):
        numbers = np.flatnonzero(lengths == length)
        indices.append((rows[order[starts[numbers][:, None] + np.arange(length)]], numbers))
    return indices


def _value_of_each(
    data: Dataset, role: str, values: npt.NDArray[Any], index: npt.NDArray[np.int64], why: str
) -> npt.NDArray[Any]:
    """Return the value of each list (lists,) in a column that has one value in each.

    Raises:
        DataError: a list has two values.
    """
    lists = values[index]
    same = lists == lists[:, :1]
    if lists.dtype.kind == "f":
        same |= np.isnan(lists) & np.isnan(lists[:, :1])
    if not same.all():
        row, place = (int(i) for i in np.argwhere(~same)[0])
        here, there = (data.locate(role, int(index[row, i])) for i in (place, 0))
        values_of = [number(x) if isinstance(x, float) else printable(str(x)) for x in lists[row, [place, 0]].tolist()]
        raise DataError(f"{here}: {values_of[0]} where {there} has {values_of[1]}, in one group: {why}")
    return np.asarray(lists[:, 0])


def _numbered(summary: Summary, numbers: npt.NDArray[np.int64]) -> Summary:
    """Return a summary whose extremes name groups by their numbers."""

    def numbered(extreme: Extreme | None) -> Extreme | None:
        return None if extreme is None else replace(extreme, row=int(numbers[extreme.row]))

    return replace(summary, low=numbered(summary.low), high=numbered(summary.high), top=numbered(summary.top))
