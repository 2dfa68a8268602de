"""csv, tsv, jsonl and bare numbers, with the shortest digits that read back as the same doubles."""

from __future__ import annotations

import csv as _csv
import io
from collections.abc import Iterator

from lossctl.errors import UsageError, printable
from lossctl.render import Style
from lossctl.render.json_document import dumped
from lossctl.report import Cell, Column, Report, Table

# Rows per write: few enough for a reader to see output early, many enough to make the cost of a write negligible.
_ROWS = 1000


def value(report: Report, style: Style) -> Iterator[str]:
    """Yield bare numbers or texts, one per line."""
    if report.stream is not None and not report.values:
        for row in report.stream.rows:
            yield "".join(f"{float(cell)!r}\n" for cell in row if isinstance(cell, (int, float)))
    elif report.values is not None:
        yield from (f"{printable(x) if isinstance(x, str) else repr(float(x))}\n" for x in report.values)
    else:
        raise UsageError("--format value: this command has no single numbers; use table, csv or json")


def csv(report: Report, style: Style) -> Iterator[str]:
    """Yield the first table as csv with a header, including its ``detail`` columns."""
    yield from _separated(report, ",", style)


def tsv(report: Report, style: Style) -> Iterator[str]:
    """Yield the first table as tab-separated values with a header, including its ``detail`` columns."""
    yield from _separated(report, "\t", style)


def jsonl(report: Report, style: Style) -> Iterator[str]:
    """Yield a JSON object per row."""
    table = report.stream or _first(report)
    names = [column.name for column in table.columns]
    for row in table.rows:
        yield dumped(dict(zip(names, row, strict=True))) + "\n"


def _first(report: Report) -> Table:
    if not report.tables:
        raise UsageError("this command gives no rows: use --format table or json")
    return report.tables[0]


def _separated(report: Report, delimiter: str, style: Style) -> Iterator[str]:
    table = _first(report)
    # Data keep their characters in files and pipes; a terminal would interpret some of them.
    shown_text = str if style.width is None else printable
    shown = [i for i, column in enumerate(table.columns) if column.kind != "object"]
    buffer = io.StringIO()
    writer = _csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow([shown_text(table.columns[i].name) for i in shown])
    for count, row in enumerate(table.rows, 1):
        writer.writerow([shown_text(_text(row[i], table.columns[i])) for i in shown])
        if count % _ROWS == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _text(cell: Cell, column: Column) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"  # as in JSON
    if column.kind in {"number", "share"} and isinstance(cell, (int, float)):
        return repr(float(cell))
    return str(cell)
