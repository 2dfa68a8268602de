"""Limits on values, ``--fail-above`` and ``--fail-below``: their checks, and their result in every format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lossctl.errors import counted, number
from lossctl.immutable import immutable
from lossctl.report import Cell, Check, Column, Report, Table

# Lines about values beyond a limit: more would hide the result on a screen.
_LINES = 10


@immutable
class Limits:
    """The bounds of a value; None: no bound."""

    above: float | None = None
    below: float | None = None

    def __bool__(self) -> bool:
        return self.above is not None or self.below is not None


@immutable
class Limited:
    """A value with limits.

    Attributes:
        subject: what has the value: a loss, or a loss of a group.
        value: the value; NaN is beyond every limit, None (a group of weight 0) beyond none.
        limits: the bounds.
        place: file and line of the user's function, if the loss is one.
    """

    subject: str
    value: float | None
    limits: Limits
    place: tuple[str, int] | None = None

    def checks(self) -> Iterator[tuple[float, Check]]:
        """Yield each limit with its check; a failure names the value, the limit and the excess."""
        sides = (self.limits.above, "above", "≤", 1.0), (self.limits.below, "below", "≥", -1.0)
        for limit, word, relation, sign in sides:
            if limit is None or (value := self.value) is None:
                continue
            excess = sign * (value - limit)
            failure = ""
            if math.isnan(value):
                failure = f"{self.subject} is NaN: the limit {number(limit)} cannot be kept"
            elif excess > 0:
                by = "" if math.isinf(excess) else f" by {excess:.6g}"
                failure = f"{self.subject} {number(value)} is {word} {number(limit)}{by}"
            yield limit, Check(f"{self.subject} {relation} {number(limit)}", failure, place=self.place)


def limited(report: Report, values: Sequence[Limited], *, by_row: bool = True) -> Report:
    """Return the report with the result of its limits.

    The result is a table ``limits``, ``passed`` in JSON, columns of the first table for csv and jsonl, and lines for
    stderr.

    Args:
        report: the report.
        values: the values; without limits the report stays as it is.
        by_row: the rows of the first table are those of ``values``, in this order, as far as it has them.
    """
    if not any(v.limits for v in values):
        return report
    results = [[*v.checks()] for v in values]
    rows: list[Sequence[Cell]] = [
        (check.name, v.value, limit, not check.failure, "FAIL" if check.failure else "ok")
        for v, checks in zip(values, results, strict=True)
        for limit, check in checks
    ]
    columns = [
        *(Column("check", "text"), Column("value"), Column("limit", minor=True)),
        *(Column("passed", "text", detail=True), Column("result", "verdict")),
    ]
    failures = [check.failure for checks in results for _, check in checks if check.failure]
    more = len(failures) - _LINES
    tables = [*report.tables]
    if by_row:
        tables[0] = _with_result(tables[0], values, results)
    return replace(
        report,
        tables=[*tables, Table("limits", columns, rows, title="limits")],
        facts={**report.facts, "passed": not failures},
        failures=failures[:_LINES] + ([f"{counted(more, 'more value')} beyond a limit"] if more > 0 else []),
        failed=bool(failures),
        checks=[check for checks in results for _, check in checks],
    )


def _with_result(table: Table, values: Sequence[Limited], results: Sequence[Sequence[tuple[float, Check]]]) -> Table:
    """Return the table with the limits of each row and whether they are kept, for formats for programs."""
    columns = [
        Column("fail_above", detail=True),
        Column("fail_below", detail=True),
        Column("passed", "text", detail=True),
    ]
    cells = [
        (v.limits.above, v.limits.below, all(not check.failure for _, check in checks) if checks else None)
        for v, checks in zip(values, results, strict=True)
    ]
    rows = [(*row, *more) for row, more in zip(table.rows, cells, strict=False)]
    return replace(table, columns=[*table.columns, *columns], rows=rows)
