"""Tables and paragraphs for people."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.box import Box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lossctl.errors import printable
from lossctl.render import Style
from lossctl.report import Cell, Column, Report, Table

# A header, one rule, no frame: eight lines of four characters, of which only the third, the one
# under the header, is drawn.
_LIGHT = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
# Off a terminal nothing is wrapped, however long: wider than any table.
_UNLIMITED = 1_000_000
_INDENT = 13  # the longest heading of `info`, "parameters", with some air


def table(report: Report, style: Style) -> Iterator[str]:
    """What a terminal shows, and a pipe in the same shape."""
    console = Console(
        file=io.StringIO(),
        width=style.width or _UNLIMITED,
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        no_color=not style.color,
        legacy_windows=False,
        _environ={},  # COLUMNS, FORCE_COLOR and their kin have been answered already
    )
    with console.capture() as capture:
        if report.title:
            console.print(Text(printable(report.title), style="bold" if report.sections else ""), soft_wrap=False)
        for heading, lines in report.sections.items():
            _paragraph(console, heading, lines)
        if report.table is not None:
            if report.title:
                console.print()
            console.print(_rich(report.table, style))
    for line in capture.get().splitlines():
        yield line.rstrip() + "\n"


def _paragraph(console: Console, heading: str, lines: object) -> None:
    grid = RichTable.grid(padding=(0, 0))
    grid.add_column(width=_INDENT, no_wrap=True)
    grid.add_column(overflow="fold")
    for i, line in enumerate(lines if isinstance(lines, (list, tuple)) else []):
        grid.add_row(Text("" if i else heading, style="cyan"), Text(printable(line)))
    console.print(grid)


def _rich(table: Table, style: Style) -> RichTable:
    shown = [i for i, column in enumerate(table.columns) if not column.detail]
    drawn = RichTable(box=_LIGHT, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i in shown:
        column = table.columns[i]
        text = column.kind == "text"
        drawn.add_column(
            Text(column.label or column.name),
            justify="left" if text else "right",
            no_wrap=not text or i == 0,
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(*(_cell(row[i], table.columns[i], style) for i in shown))
    return drawn


def _cell(cell: Cell, column: Column, style: Style) -> Text:
    if cell is None:
        return Text("–", style="dim")
    if column.kind == "number" and isinstance(cell, (int, float)):
        return Text(f"{float(cell):.{style.precision}g}")
    return Text(printable(str(cell)))
