"""The columns of a table at a width: no row is longer than the terminal, and no number is cut or folded.

What gives way, in this order, until the rows fit: the gap between columns; bars; counts that are 0 in every row; the
beginning of paths that repeats; headings, which take several lines; digits beyond the third; the gap again; columns
that the report calls minor, the last first; the middle of names; further columns, the last first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from rich.cells import cell_len, chop_cells

from lossctl.errors import printable
from lossctl.render import Style, percent
from lossctl.report import Cell, Column, Table

GAP = 3  # blanks between columns, where there is room
LONGEST_BAR = 20
_SHORTEST_BAR = 5
_WIDTH = 80  # bars fill lines of this width if the output is not a terminal
_FEWEST_DIGITS = 3
_HEADING = 8  # a heading is folded to the width of its numbers, but not below this
_NAME = 12  # a name is not shortened below this
_MISSING = "–"


@dataclass
class Shown:
    """A column of the layout.

    Attributes:
        place: the index of the column in a row of the table.
        column: the column.
        heading: the lines of the heading.
        width: the number of characters.
        digits: significant digits of numbers.
        cut: the beginning of each cell that is not shown.
    """

    place: int
    column: Column
    heading: list[str]
    width: int = 0
    digits: int = 6
    cut: str = ""

    def text(self, cell: Cell) -> str:
        """Return a cell as text of at most ``width`` characters; of the middle of a long name only its ends remain."""
        text = cell_text(cell, self.column, self.digits, self.width)
        if self.cut and text.startswith(self.cut):
            text = text[len(self.cut) :]
        return text if cell_len(text) <= self.width else ends_of(text, self.width)


@dataclass
class Layout:
    """The columns that are shown, the blanks between them, and what is left out, in words."""

    columns: list[Shown]
    gap: int = GAP
    left_out: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The length of a row."""
        return sum(shown.width for shown in self.columns) + self.gap * (len(self.columns) - 1)


@dataclass
class _Measure:
    """What a pass over the rows gives for one column."""

    width: int = 0
    zero: bool = True
    common: str | None = None  # the longest common beginning of the cells

    def take(self, text: str, cell: Cell) -> None:
        self.width = max(self.width, cell_len(text))
        self.zero = self.zero and cell == 0
        self.common = text if self.common is None else os.path.commonprefix([self.common, text])  # noqa: RUF071 - of letters

    @property
    def path(self) -> str:
        """The common beginning of paths, up to a ``/`` or the ``:`` before a line number; '' for other text."""
        common = self.common or ""
        return common[: max(common.rfind("/"), common.rfind(":") if "/" in common else -1) + 1]


def cell_text(cell: Cell, column: Column, digits: int, width: int = LONGEST_BAR) -> str:
    """Return a cell as text; a bar has at most ``width`` characters, and at least one unless it is 0."""
    if cell is None:
        return _MISSING
    if isinstance(cell, (int, float)):
        if column.kind == "number":
            return f"{float(cell):.{min(column.digits or digits, digits)}g}"
        if column.kind == "share":
            return percent(cell)
        if column.kind == "bar":
            return "█" * max(round(cell * width), int(cell > 0))
    return printable(str(cell))


def lay_out(table: Table, rows: Iterable[Sequence[Cell]], style: Style) -> Layout:
    """Choose the columns and their widths.

    Args:
        table: the table.
        rows: its rows, read up to five times.
        style: the width of the terminal, None for no limit, and the digits.
    """
    columns = [
        Shown(i, column, [heading_of(column)], digits=style.precision)
        for i, column in enumerate(table.columns)
        if not column.detail
    ]
    layout = Layout(columns)
    measures = _measure(layout, rows)
    bars = [shown for shown in columns if shown.column.kind == "bar"]
    width = style.width or max(_WIDTH, layout.width + _SHORTEST_BAR)
    for shown in bars:
        room = width - layout.width + shown.width
        shown.width = min(max(room, _SHORTEST_BAR), LONGEST_BAR)
    if style.width is None:
        return layout
    for step in _steps(layout, rows, style, measures):
        if layout.width <= style.width:
            break
        step()
    for layout.gap in range(GAP, 1, -1):  # what was left out may leave room between the columns again
        if layout.width <= style.width:
            break
    else:
        layout.gap = 1
    return layout


def heading_of(column: Column) -> str:
    """Return the heading of a column for people."""
    return printable(column.name if column.label is None else column.label)


def _measure(layout: Layout, rows: Iterable[Sequence[Cell]]) -> dict[int, _Measure]:
    """Set the width of each column from its heading and its cells; return a measure for each column by its place."""
    measures = {shown.place: _Measure() for shown in layout.columns}
    for row in rows:
        for shown in layout.columns:
            cell = row[shown.place]
            text = "" if shown.column.kind == "bar" else cell_text(cell, shown.column, shown.digits)
            measures[shown.place].take(text, cell)
    for shown in layout.columns:
        cells = measures[shown.place].width
        if shown.cut:
            cells -= len(shown.cut)
        shown.width = max(cells, *map(cell_len, shown.heading))
    return measures


def _steps(
    layout: Layout, rows: Iterable[Sequence[Cell]], style: Style, measures: dict[int, _Measure]
) -> Iterator[Callable[[], None]]:
    """Yield the steps in the order in which columns give way."""
    left_out, width = layout.left_out, style.width or 0

    def close(gap: int) -> None:
        layout.gap = gap

    def drop(dropped: Sequence[Shown], words: str) -> None:
        layout.columns[:] = [shown for shown in layout.columns if shown not in dropped]
        left_out.append(words)

    def shorten_bars() -> None:
        for shown in bars:
            shown.width = max(shown.width - max(layout.width - width, 0), _SHORTEST_BAR)

    def zeros() -> None:
        zero = [s for s in layout.columns[1:] if s.column.kind == "count" and measures[s.place].zero]
        if zero:
            drop(zero, f"{', '.join(map(_name, zero))} (all 0)")

    def paths() -> None:
        for shown in layout.columns:
            if shown.column.kind == "text" and measures[shown.place].path:
                shown.cut = measures[shown.place].path
                left_out.append(f"{shown.cut.rstrip(':')} of {_name(shown)}")
        measures.update(_measure(layout, rows))

    def break_headings(least: int) -> None:
        for shown in layout.columns:
            cells = measures[shown.place].width - len(shown.cut)
            shown.heading = _folded(heading_of(shown.column), max(cells, least), whole=least == 0)
        measures.update(_measure(layout, rows))

    def fewer_digits(digits: int) -> None:
        for shown in layout.columns:
            shown.digits = digits
        left_out[:] = [words for words in left_out if not words.startswith("digits")]
        left_out.append(f"digits after the {digits}{'rd' if digits == 3 else 'th'}")
        measures.update(_measure(layout, rows))

    bars = [shown for shown in layout.columns if shown.column.kind == "bar"]
    yield partial(close, GAP - 1)
    yield shorten_bars
    if bars:
        yield partial(drop, bars, "bars")
    yield zeros
    yield paths
    yield partial(break_headings, 0)
    if not style.exact_digits:
        for digits in range(style.precision - 1, _FEWEST_DIGITS - 1, -1):
            yield partial(fewer_digits, digits)
    yield partial(break_headings, _HEADING)
    yield partial(close, 1)
    for shown in [shown for shown in layout.columns if shown.column.minor][::-1]:
        yield partial(drop, [shown], _name(shown))
    for shown in sorted((s for s in layout.columns if s.column.kind == "text"), key=lambda s: -s.width):
        yield partial(_shorten, shown, layout, width)
    for shown in layout.columns[:0:-1]:
        yield partial(drop, [shown], _name(shown))


def _shorten(shown: Shown, layout: Layout, width: int) -> None:
    if shown in layout.columns and shown.width > _NAME:
        shown.width = max(shown.width - (layout.width - width), _NAME)
        shown.heading = _folded(heading_of(shown.column), shown.width, whole=False)
        layout.left_out.append(f"the middle of {_name(shown)}")


def _name(shown: Shown) -> str:
    return heading_of(shown.column) or shown.column.name


def _folded(heading: str, width: int, *, whole: bool) -> list[str]:
    """Break a heading at blanks into lines of at most ``width`` characters; words are broken only if not ``whole``."""
    lines: list[str] = []
    for word in heading.split():
        pieces = [word] if whole else chop_cells(word, width)
        if lines and cell_len(f"{lines[-1]} {pieces[0]}") <= width:
            lines[-1] += f" {pieces.pop(0)}"
        lines += pieces
    return lines or [""]


def ends_of(text: str, width: int) -> str:
    """Return the beginning and the end of a text, with ``…`` between them, in at most ``width`` characters."""
    tail = chop_cells(text[::-1], max((width - 1) // 2, 1))[0][::-1]
    head = chop_cells(text, max(width - 1 - cell_len(tail), 1))[0]
    return f"{head}…{tail}"
