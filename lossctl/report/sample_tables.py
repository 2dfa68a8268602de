"""Tables with a row per sample, for ``breakdown`` and ``compare``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from lossctl.analysis.breakdown import AllSamples, Breakdown
from lossctl.analysis.per_sample import SelectedSamples, input_names
from lossctl.engine.plan import LossPlan
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Spool
from lossctl.report import Cell, Column, Table

Field: TypeAlias = tuple[Column, Callable[[SelectedSamples], list[Any]]]  # a column, and its cells


@immutable
class BreakdownView:
    """Display options of a breakdown.

    Attributes:
        people: whether the format is for people (table or markdown): adds bars and limits the number of groups.
        columns: the names of the further columns.
        in_order: sort samples by row and groups by label, instead of by loss.
        labels: the names of the target's classes.
        by: the heading of the column of groups.
        outputs: the names of the output columns.
        ignored_by: the options that leave elements out.
    """

    people: bool
    columns: Sequence[str] = ()
    in_order: bool = False
    labels: Sequence[str] = ()
    by: str = ""
    outputs: Sequence[str] = ()
    ignored_by: str = ""


def fields_of(like: SelectedSamples, breakdown: Breakdown, data: Dataset, asked: BreakdownView) -> list[Field]:
    """Return the columns of a table of samples; ``like`` gives the types of the further columns."""
    job, total = breakdown.plan, total_of(breakdown)
    fields: list[Field] = [
        (Column("sample", "count"), lambda top: top.rows.tolist()),
        *line_fields(data, breakdown.rows),
    ]
    for i, name in enumerate(asked.columns):
        kind = {"O": "text", "i": "count", "u": "count"}.get(like.shown[i].dtype.kind, "number")
        fields.append((Column(name, kind), partial(_shown, i)))
    if job.per_row > 1:
        whole = len(job.loop) == 1 and not asked.outputs
        fields.append(
            (
                Column("output", "count" if whole else "text"),
                lambda top: [output_name(s, job, asked) for s in top.worst_element],
            )
        )
    for i, name in enumerate(input_names(job)):
        labels = labels_of(name, asked.labels)
        kind = "text" if labels else "count" if name.endswith("_class") else "number"
        fields.append((Column(name, kind, label=name.replace("_", " ")), partial(_input, i, labels)))
    if breakdown.weighed:
        fields.append((Column("weight"), lambda top: top.weight.tolist()))
    fields.append((Column("loss"), lambda top: top.loss.tolist()))
    fields.append(
        (
            Column("share", "share", minor=True),
            lambda top: [None] * len(top) if total is None else (top.part / total).tolist(),
        )
    )
    return fields


def _shown(i: int, top: SelectedSamples) -> list[Any]:
    return list(top.shown[i].tolist())


def _input(i: int, labels: Sequence[str], top: SelectedSamples) -> list[Any]:
    values = top.inputs[i].tolist()
    return [class_name(code, labels) for code in values] if labels else list(values)


def labels_of(name: str, labels: Sequence[str]) -> Sequence[str]:
    """Return the names of classes for a column of their codes, none for a column of other numbers."""
    return labels if name == "target" or name.endswith("_class") else ()


def class_name(code: float, labels: Sequence[str]) -> str:
    """Return the name of a class: codes are 0, 1, 2 …, or -1 and 1.

    >>> class_name(-1.0, ["benign", "malignant"]), class_name(1.0, ["benign", "malignant"])
    ('benign', 'malignant')
    """
    return labels[max(int(code), 0)]


def line_fields(data: Dataset, rows: int) -> list[Field]:
    """Return columns for the location of samples: file and line; none for arrays.

    Tables for people omit the file if the first and the last sample are in the same one.
    """
    ends = [data.line(row) for row in (0, rows - 1)]
    if ends[0] is None:
        return []
    same_file = len({str(end).rpartition(":")[0] for end in ends}) == 1
    return [
        (Column("file", "text", detail=same_file), lambda top: [line.rpartition(":")[0] for line in _lines(top, data)]),
        (Column("line", "count"), lambda top: [int(line.rpartition(":")[2]) for line in _lines(top, data)]),
    ]


def rank_columns(top: SelectedSamples, breakdown: Breakdown, asked: BreakdownView) -> list[Field]:
    """Return further columns for selected samples: the cumulative share (if sorted by loss), and a bar for people."""
    total, most = total_of(breakdown), float(np.max(top.part, initial=0.0))
    if total is None:
        return []
    fields: list[Field] = []
    if not asked.in_order:
        fields.append(
            (
                Column("cumulative", "share", label="so far", minor=True),
                lambda top: (np.cumsum(top.part) / total).tolist(),
            )
        )
    if asked.people:
        fields.append((Column("bar", "bar", label=""), lambda top: [bar(p, most) for p in top.part.tolist()]))
    return fields


def _lines(top: SelectedSamples, data: Dataset) -> list[str]:
    return [data.line(row) or "" for row in top.rows.tolist()]


def output_name(spot: int, job: LossPlan, asked: BreakdownView) -> Cell:
    """Return the name of an output of a sample: its column, else its index, for arrays of several axes as ``i,j``."""
    if asked.outputs:
        return asked.outputs[spot]
    return int(spot) if len(job.loop) == 1 else ",".join(str(int(i)) for i in np.unravel_index(spot, job.loop))


def total_of(breakdown: Breakdown) -> float | None:
    """Return the total loss that shares refer to; None if shares are undefined (a negative loss, total 0 or inf)."""
    total = breakdown.total.sum
    return total if breakdown.shares and 0 < total < math.inf else None


def bar(part: float, most: float) -> float:
    """Return the length of a bar as a fraction of the longest one."""
    return part / most if most > 0 else 0.0


def round_error(error: float | None) -> float | None:
    """Round a standard error to three significant digits.

    >>> f"{round_error(28742.7):g}", f"{round_error(0.00123456):g}"
    ('28700', '0.00123')
    """
    return None if error is None else float(f"{error:.3g}")


def every_sample(breakdown: Breakdown, every: AllSamples, data: Dataset, asked: BreakdownView) -> Table:
    """Return a table of all samples that are not left out."""
    fields = fields_of(every.like, breakdown, data, asked)
    return Table("samples", [column for column, _ in fields], _Rows(every, fields), long=True)


@immutable
class _Rows:
    """The rows of all samples, which can be iterated over more than once."""

    every: AllSamples
    fields: Sequence[Field]

    def __iter__(self) -> Iterator[Sequence[Cell]]:
        for part in self.every.parts():
            yield from build_rows(self.fields, part)[1]


def build_rows(fields: Sequence[Field], top: SelectedSamples) -> tuple[list[Column], list[Sequence[Cell]]]:
    """Return the columns, and a row for each sample."""
    return [column for column, _ in fields], list(zip(*(cells(top) for _, cells in fields), strict=True))


def output_names(data: Dataset, job: LossPlan) -> list[str]:
    """Return the names of the columns of the predictions, as error messages spell them; [] without a header."""
    if len(job.loop) != 1:
        return []  # a single output, or an array of several axes
    places = [data.locate("pred", 0, i).rpartition(": column ") for i in range(job.per_row)]
    return [name.strip("'\"") for _, column, name in places if column]


def bare_losses(losses: Spool) -> Table:
    """Return a table of one column: the loss of each sample that is not left out."""
    return Table("losses", [Column("loss")], ((loss,) for part in losses.column(1) for loss in part.tolist()))


def dense_losses(losses: Spool, rows: int) -> Iterator[np.ndarray]:
    """Yield the losses of all rows of the input in order, in blocks; NaN for rows that are left out."""
    begin = 0
    for places, values, _ in losses.records():
        end = int(places[-1]) + 1
        dense = np.full(end - begin, np.nan)
        dense[places - begin] = values
        yield dense
        begin = end
    yield np.full(rows - begin, np.nan)


def cell_types(table: Table) -> dict[str, type]:
    """Return the type of the cells of each column: str, int or float."""
    types = {"text": str, "count": int}
    return {column.name: types.get(column.kind, float) for column in table.columns}
