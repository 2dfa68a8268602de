"""Tables, sections and drawings as text for people."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lossctl.errors import printable
from lossctl.render import BAD, GOOD, Style
from lossctl.render.layout import Layout, Shown, lay_out
from lossctl.report import Cell, Column, Report, Table

# Width if the output is not a terminal: wider than any line, so that none is wrapped.
_UNLIMITED = 1_000_000
_INDENT = 13  # the longest heading of `info`, "also called" or "parameters", and a gap
_BESIDE = 2  # the indent of rows below the heading of their group
_COLORS = {"bold": "1", "dim": "2", "bad": "1;31", "good": "32"}


def table(report: Report, style: Style) -> Iterator[str]:
    """Yield a report as lines of text, the same for a terminal and a pipe except for width and colour."""
    if report.title:
        yield from _wrapped(report.title, style, "bold" if report.sections else "")
    for heading, lines in report.sections.items():
        yield from _paragraph(heading, lines, style)
    if report.panels:
        yield from _drawing(report, style)
    left_out: list[str] = []
    shown = [table for table in report.tables if not table.detail]
    for i, drawn in enumerate(shown):
        if report.title or i:
            yield "\n"
        if drawn.title:
            yield from _wrapped(drawn.title, style, "bold")
        if drawn.groups:
            yield from _grouped(drawn, style)
        else:
            yield from _table(drawn, style, left_out)
    if left_out:
        words = f"not shown at {style.width} columns: {'; '.join(dict.fromkeys(left_out))}; -f json shows all"
        yield "\n"
        yield from _wrapped(words, style, "dim")
    for line in report.closing:
        yield "\n"
        yield from _wrapped(line, style)


def _console(style: Style) -> Console:
    return Console(
        file=io.StringIO(),
        width=style.width or _UNLIMITED,
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        no_color=not style.color,
        legacy_windows=False,
        _environ={},  # `style` already accounts for COLUMNS, FORCE_COLOR and similar variables
    )


def _lines(drawn: object, style: Style, *, wrap: bool = True) -> Iterator[str]:
    console = _console(style)
    with console.capture() as capture:
        console.print(drawn, soft_wrap=not wrap)
    yield from (line.rstrip() + "\n" for line in capture.get().splitlines())


def _wrapped(text: str, style: Style, look: str = "") -> Iterator[str]:
    return _lines(Text(printable(text), style=look), style)


def _drawing(report: Report, style: Style) -> Iterator[str]:
    from lossctl.render.charts import draw

    if report.title:
        yield "\n"
    for line in draw(report.panels, style):
        yield from _lines(line, style, wrap=False)


def _grouped(table: Table, style: Style) -> Iterator[str]:
    """Yield groups of rows below their headings; the last column is prose, which folds."""
    rows, start = [*table.rows], 0
    shown = [i for i, column in enumerate(table.columns) if not column.detail]
    for i, (heading, count) in enumerate(table.groups):
        if i:
            yield "\n"
        yield from _wrapped(heading, style, "cyan")
        drawn = RichTable.grid(padding=(0, 2, 0, 0))
        for place in shown:
            drawn.add_column(no_wrap=place != shown[-1], overflow="fold")
        for row in rows[start : start + count]:
            drawn.add_row(*(Text(printable(str(row[place]))) for place in shown))
        yield from _lines(Padding(drawn, (0, 0, 0, _BESIDE)), style)
        start += count


def _paragraph(heading: str, lines: Iterable[str], style: Style) -> Iterator[str]:
    grid = RichTable.grid(padding=(0, 0))
    grid.add_column(width=_INDENT, no_wrap=True)
    grid.add_column(overflow="fold")
    for i, line in enumerate(lines):
        grid.add_row(Text("" if i else heading, style="cyan"), Text(printable(line)))
    yield from _lines(grid, style)


def _table(table: Table, style: Style, left_out: list[str]) -> Iterator[str]:
    """Yield a header, a rule and the rows; add what the width leaves out to ``left_out``."""
    rows: Iterable[Sequence[Cell]] = table.rows if table.long else [*table.rows]
    layout = lay_out(table, rows, style)
    left_out += layout.left_out
    height = max(len(shown.heading) for shown in layout.columns)
    for i in range(height):
        words = [["", *shown.heading][max(i - height + len(shown.heading) + 1, 0)] for shown in layout.columns]
        yield _line(layout, words, ["bold"] * len(words), style)
    yield "─" * layout.width + "\n"
    for row in rows:
        cells = [row[shown.place] for shown in layout.columns]
        texts = [shown.text(cell) for shown, cell in zip(layout.columns, cells, strict=True)]
        yield _line(layout, texts, map(_look, cells, layout.columns), style)


def _line(layout: Layout, texts: Sequence[str], looks: Iterable[str], style: Style) -> str:
    placed = []
    for shown, text, look in zip(layout.columns, texts, looks, strict=True):
        blank = " " * (shown.width - cell_len(text))
        painted = f"\x1b[{_COLORS[look]}m{text}\x1b[0m" if style.color and look and text else text
        placed.append(painted + blank if _left(shown.column) else blank + painted)
    return (" " * layout.gap).join(placed).rstrip() + "\n"


def _left(column: Column) -> bool:
    return column.kind in ("text", "bar", "verdict")


def _look(cell: Cell, shown: Shown) -> str:
    """Return the look of a cell: words of a verdict are red or green, a missing number is dim."""
    if cell is None:
        return "dim"
    if not isinstance(cell, str) or shown.column.kind != "verdict":
        return ""
    return "bad" if cell in BAD else "good" if cell.startswith(GOOD) else ""
