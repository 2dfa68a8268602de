"""Lines for other programs: numbers that read back as the same doubles."""

from __future__ import annotations

import csv as _csv
import io
from collections.abc import Iterator

from lossctl.errors import UsageError
from lossctl.render import Style
from lossctl.report import Cell, Column, Report


def value(report: Report, style: Style) -> Iterator[str]:
    """Bare numbers, one a line."""
    if not report.values:
        raise UsageError("--format value: this command has no single numbers; use table, csv or json")
    for number in report.values:
        yield f"{float(number)!r}\n"


def csv(report: Report, style: Style) -> Iterator[str]:
    """A header and rows, with the columns that a table for people leaves out."""
    yield from _separated(report, ",")


def _separated(report: Report, delimiter: str) -> Iterator[str]:
    if report.table is None:
        raise UsageError("this command gives no rows: use --format table or json")
    shown = [i for i, column in enumerate(report.table.columns) if column.kind != "object"]
    columns = report.table.columns
    buffer = io.StringIO()
    writer = _csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow([columns[i].name for i in shown])
    for row in report.table.rows:
        writer.writerow([_text(row[i], columns[i]) for i in shown])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _text(cell: Cell, column: Column) -> str:
    if cell is None:
        return ""
    return repr(float(cell)) if column.kind == "number" and isinstance(cell, (int, float)) else str(cell)
