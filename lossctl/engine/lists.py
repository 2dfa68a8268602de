"""Lists of any length from a column, ``--group``: rows of one group, consecutive or not, become one sample.

Groups of one length are a data set of arrays; the results of the lengths are added. The rows are in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Extreme, Summary
from lossctl.engine.all_rows import RowsInMemory, read_rows
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.engine.run import summarize
from lossctl.errors import UsageError
from lossctl.io.dataset import Dataset, FieldRef


@dataclass(frozen=True)
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


def compute_of_lists(
    data: Dataset,
    group: str,
    losses: Sequence[Loss],
    options: ComputeOptions,
    *,
    reduction: str,
    workers: ExecutionConfig,
) -> list[Result]:
    """Compute losses whose samples are groups of rows.

    Args:
        data: one item per row.
        group: the role of the column of groups.
        losses: losses of lists, or of single items: then a sample is a group of items.
        options: options for all losses.
        reduction: "mean", "sum" or "group": the mean over groups of their means.
        workers: configuration of the workers.

    Raises:
        UsageError: an item is more than one number, or there are weights.
        DataError: a row is invalid, or keys differ.
    """
    roles = tuple(dict.fromkeys(role for loss in losses for role in loss.roles))
    if "weight" in data.places:
        raise UsageError("--weight has no meaning with --group")
    if options.where is not None:
        raise UsageError("--where with --group: leave the rows out of the file")
    if coupled := [loss.name for loss in losses if loss.batch_coupled]:
        raise UsageError(f"--group: {coupled[0]} compares the samples of the whole batch")
    for role in roles:
        if role in data.places and data.row_shape(role):
            raise UsageError(f"--group: {role} has several columns, where each row is one item")
    values = read_rows(data, [*(role for role in roles if role in data.places), group])
    arrays = {role: values[role].reshape(-1) for role in roles if role in values}
    groups = values[group].reshape(-1)
    indices = _indices(groups)
    results = []
    for loss in losses:
        total, bound = Summary(), loss
        for index, numbers in indices:
            lists = _dataset(data, arrays, index, _scale(loss, reduction, index.shape[1]))
            plan = plan_loss(loss, lists, options)
            with workers.executor_for(lists, [loss]) as executor:
                (summary,), _ = summarize(lists, [plan], options, executor)
            total, bound = total + _numbered(summary, numbers), plan.loss
        result = make_result(bound, total, "mean" if reduction == "group" else reduction)
        results.append(replace(result, reduction=reduction))
    return results


def _scale(loss: Loss, reduction: str, length: int) -> float:
    """Return the weight of a list (of an element of it, for a loss of single items)."""
    if not loss.row_wise:
        return 1.0 / length if reduction == "group" else 1.0
    return float(length) if loss.counts_items and reduction != "group" else 1.0


def _indices(groups: npt.NDArray[Any]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
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
        indices.append((order[starts[numbers][:, None] + np.arange(length)], numbers))
    return indices


def _dataset(data: Dataset, arrays: dict[str, npt.NDArray[Any]], index: npt.NDArray[np.int64], scale: float) -> Dataset:
    fields = {role: array[index] for role, array in arrays.items()}
    if scale != 1.0:
        fields["weight"] = np.full(len(index), scale)
    source = ListSource(data, tuple(fields), tuple(fields.values()), index)
    return Dataset((source,), {role: FieldRef(0, i) for i, role in enumerate(fields)}, lists=True)


def _numbered(summary: Summary, numbers: npt.NDArray[np.int64]) -> Summary:
    """Return a summary whose extremes name groups by their numbers."""

    def numbered(extreme: Extreme | None) -> Extreme | None:
        return None if extreme is None else replace(extreme, row=int(numbers[extreme.row]))

    return replace(summary, low=numbered(summary.low), high=numbered(summary.high), top=numbered(summary.top))
