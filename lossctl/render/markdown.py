"""Markdown tables, for pull requests and notebooks."""

from __future__ import annotations

from collections.abc import Iterator

from lossctl.errors import printable
from lossctl.render import Style
from lossctl.render.layout import cell_text
from lossctl.report import Cell, Column, Report


def markdown(report: Report, style: Style) -> Iterator[str]:
    """Yield GitHub-flavoured Markdown, with numbers to ``style.precision`` digits."""
    if report.title:
        yield f"{_escaped(report.title)}\n"
    for heading, lines in report.sections.items():
        yield f"\n**{heading}**\n\n" + "".join(f"- {_escaped(line)}\n" for line in lines)
    if report.panels:
        from lossctl.render.charts import draw

        yield "\n```text\n" + "".join(f"{line.plain}\n" for line in draw(report.panels, style)) + "```\n"
    for i, table in enumerate(table for table in report.tables if not table.detail):
        shown = [j for j, column in enumerate(table.columns) if not column.detail]
        columns = [table.columns[j] for j in shown]
        yield "\n" if i or report.title else ""
        if table.title:
            yield f"**{_escaped(table.title)}**\n\n"
        yield _line(_escaped(column.name if column.label is None else column.label) for column in columns)
        yield _line("---" if column.kind in ("text", "verdict", "bar") else "---:" for column in columns)
        for row in table.rows:
            yield _line(_cell(row[j], column, style) for j, column in zip(shown, columns, strict=True))
    for line in report.closing:
        yield f"\n{_escaped(line)}\n"


def _line(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(cell: Cell, column: Column, style: Style) -> str:
    return "" if cell is None else _escaped(cell_text(cell, column, style.precision))


def _escaped(text: str) -> str:
    """Escape the characters that Markdown or HTML would interpret as markup."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>|#" else c for c in printable(text))
