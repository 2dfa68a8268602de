"""Tables, sections and drawings as text for people."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lossctl.errors import printable
from lossctl.render import Style, percent
from lossctl.report import Cell, Column, Report, Table

# A rule below the header and no frame. rich defines a box by eight lines of four characters; only the third line, the
# one below the header, is not blank.
_LIGHT = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
# Width if the output is not a terminal: wider than any table, so that no line is wrapped.
_UNLIMITED = 1_000_000
_INDENT = 13  # the longest heading of `info`, "also called" or "parameters", and a gap
_GAP = 3  # blanks between columns, including the one that the box adds
_BESIDE = 2  # the indent of rows below the heading of their group
_NARROWEST = 10  # the least width of a folded column of text: fits headings and most words


def table(report: Report, style: Style) -> Iterator[str]:
    """Yield a report as lines of text, the same for a terminal and a pipe except for width and colour."""
    console = Console(
        file=io.StringIO(),
        width=style.width or _UNLIMITED,
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        no_color=not style.color,
        legacy_windows=False,
        _environ={},  # `style` already accounts for COLUMNS, FORCE_COLOR and similar variables
    )
    with console.capture() as capture:
        if report.title:
            console.print(Text(printable(report.title), style="bold" if report.sections else ""), soft_wrap=False)
        for heading, lines in report.sections.items():
            _paragraph(console, heading, lines)
        if report.panels:
            _drawing(console, report, style)
        for i, shown in enumerate(table for table in report.tables if not table.detail):
            if report.title or i:
                console.print()
            if shown.long:
                continue
            if shown.groups:
                _grouped(console, shown, style)
                continue
            drawn = _rich(shown, style)
            console.width = max(console.width, _least(drawn))
            console.print(drawn)
        for line in report.closing:
            console.print()
            console.print(Text(printable(line)))
    for line in capture.get().splitlines():
        yield line.rstrip() + "\n"
    for listed in report.tables:
        if listed.long:
            yield from _streamed(listed, style)


def _drawing(console: Console, report: Report, style: Style) -> None:
    from lossctl.render.charts import draw

    if report.title:
        console.print()
    for line in draw(report.panels, style):
        text = Text(line)
        text.highlight_regex("[\u2801-\u28ff]+", "cyan")
        console.print(text, soft_wrap=True)


def _least(drawn: RichTable) -> int:
    """Return the width below which rich would truncate numbers; on a narrower terminal, the terminal wraps lines."""
    return sum((column.min_width or 0) + drawn.padding[1] + 1 for column in drawn.columns)


def _grouped(console: Console, table: Table, style: Style) -> None:
    """Print groups of rows below their headings; each group has its own column widths and no column headings."""
    rows, start = [*table.rows], 0
    for i, (heading, count) in enumerate(table.groups):
        if i:
            console.print()
        console.print(Text(printable(heading), style="cyan"))
        drawn = _rich(replace(table, rows=rows[start : start + count]), style)
        drawn.show_header, drawn.box = False, None
        drawn.padding = (0, _GAP - 1, 0, 0)
        console.width = max(console.width, _BESIDE + _least(drawn))
        console.print(Padding(drawn, (0, 0, 0, _BESIDE)))
        start += count


def _paragraph(console: Console, heading: str, lines: object) -> None:
    grid = RichTable.grid(padding=(0, 0))
    grid.add_column(width=_INDENT, no_wrap=True)
    grid.add_column(overflow="fold")
    for i, line in enumerate(lines if isinstance(lines, (list, tuple)) else []):
        grid.add_row(Text("" if i else heading, style="cyan"), Text(printable(line)))
    console.print(grid)


def _rich(table: Table, style: Style) -> RichTable:
    """Return the table with the widest gap between columns, 3 to 1 blanks, at which its numbers fit the terminal."""
    for gap in range(_GAP, 0, -1):
        drawn = _spaced(table, style, gap)
        if not style.width or _least(drawn) - gap <= style.width:
            break
    return drawn


def _spaced(table: Table, style: Style, gap: int) -> RichTable:
    """Return the table with ``gap`` blanks between columns; with one blank, headings of several words may wrap."""
    close = gap == 1
    shown = [i for i, column in enumerate(table.columns) if not column.detail]
    drawn = RichTable(box=_LIGHT, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold")
    columns = [table.columns[i] for i in shown]
    rows = [[_cell(row[i], column, style) for i, column in zip(shown, columns, strict=True)] for row in table.rows]
    for place, column in enumerate(columns):
        heading = Text(printable(column.name if column.label is None else column.label))
        whole = column.kind != "text" or place == 0
        words = [cell_len(word) for word in heading.plain.split()] if close else [heading.cell_len]
        widest = max(*words, *(row[place].cell_len for row in rows), 0)
        drawn.add_column(
            heading,
            justify="left" if column.kind == "text" else "right",
            no_wrap=whole and not close,
            overflow="fold",
            width=widest if whole and close else None,  # a fixed width, else rich shrinks this column for others
            min_width=widest if whole else min(widest, _NARROWEST),
        )
    for row in rows:
        drawn.add_row(*row)
    return drawn


def _streamed(table: Table, style: Style) -> Iterator[str]:
    """Yield a table of the same layout row by row in two passes: rich holds all rows and takes 200 µs for each."""
    shown = [i for i, column in enumerate(table.columns) if not column.detail]
    columns = [table.columns[i] for i in shown]
    headings = [printable(column.name if column.label is None else column.label) for column in columns]
    widths = [cell_len(heading) for heading in headings]

    def texts(row: Sequence[Cell]) -> list[str]:
        return [_cell(row[i], column, style).plain for i, column in zip(shown, columns, strict=True)]

    def line(cells: Sequence[str]) -> str:
        blanks = [" " * (width - cell_len(text)) for width, text in zip(widths, cells, strict=True)]
        placed = [
            text + blank if column.kind == "text" else blank + text
            for text, blank, column in zip(cells, blanks, columns, strict=True)
        ]
        return (" " * _GAP).join(placed).rstrip() + "\n"

    for row in table.rows:
        widths = [max(width, cell_len(text)) for width, text in zip(widths, texts(row), strict=True)]
    yield line(headings)
    yield "─" * (sum(widths) + _GAP * (len(widths) - 1)) + "\n"
    for row in table.rows:
        yield line(texts(row))


def _cell(cell: Cell, column: Column, style: Style) -> Text:
    if cell is None:
        return Text("–", style="dim")
    if column.kind == "number" and isinstance(cell, (int, float)):
        return Text(f"{float(cell):.{column.digits or style.precision}g}")
    if column.kind == "share" and isinstance(cell, (int, float)):
        return Text(percent(cell))
    return Text(printable(str(cell)))
