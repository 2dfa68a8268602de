"""Drawings in a terminal: curves in braille dots or ASCII, histograms as bars, two-dimensional ones as shades."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from textwrap import wrap
from typing import Any

from plotille import Canvas
from rich.cells import cell_len
from rich.text import Text

from lossctl.errors import printable
from lossctl.render import Style
from lossctl.render.layout import ends_of
from lossctl.report import Bars, Drawing, Grid, Intervals, Panel

# Columns to assume if the output is not a terminal.
_WIDTH = 80
# The fewest columns in which a curve is readable. If two panels do not fit side by side, the second goes below.
_LEAST = 34
_GAP = 3
# A matrix of at most this many classes is printed as numbers.
_FEW = 12
_BLANK = "\N{BRAILLE PATTERN BLANK}"
# The row (0 to 3) of each dot of a braille cell, by its bit, 0 to 7 (Unicode, Braille Patterns).
_ROWS = (0, 1, 2, 0, 1, 2, 3, 3)
# Curves of a panel: their colours, which can be seen on light and on dark, and how often the mark of each is drawn.
_COLORS = ("cyan", "magenta", "green", "blue", "red")
_MARKS = "123456789abcdefghijklmnopqrstuvwxyz"
_TIMES = 3
_NAME = 24  # names of classes and models are shortened to this width


def draw(rows: Sequence[Sequence[Drawing]], style: Style) -> Iterator[Text]:
    """Yield the lines of all panels; panels of a row stand side by side as far as the width allows."""
    width = style.width or _WIDTH
    for i, row in enumerate(rows):
        if i:
            yield Text()
        fit = max(1, min(len(row), (width + _GAP) // (_LEAST + _GAP)))
        each = (width + _GAP) // fit - _GAP
        for start in range(0, len(row), fit):
            yield from _side_by_side([_lines(panel, each, style) for panel in row[start : start + fit]], each)
        yield from _legend(row, width)


def _side_by_side(blocks: Sequence[tuple[list[Text], list[Text]]], width: int) -> Iterator[Text]:
    """Yield the lines of blocks of lines, each a title and a body; bodies start on the same line."""
    titles, bodies = (max(len(block[i]) for block in blocks) for i in (0, 1))
    columns = [
        [Text()] * (titles - len(title)) + title + body + [Text()] * (bodies - len(body)) for title, body in blocks
    ]
    for line in zip(*columns, strict=True):
        whole = Text()
        for i, piece in enumerate(line):
            whole.append(" " * (i * (width + _GAP) - whole.cell_len)).append_text(piece)
        whole.rstrip()
        yield whole


def _legend(row: Sequence[Drawing], width: int) -> Iterator[Text]:
    """Yield the mark and the name of each curve, if a panel has several."""
    names = next((panel.curves for panel in row if isinstance(panel, Panel) and len(panel.curves) > 1), ())
    line = Text()
    for i, (name, _) in enumerate(names):
        entry = Text(f"{_MARKS[i % len(_MARKS)]} {printable(name)}", style=_COLORS[i % len(_COLORS)])
        if line.plain and line.cell_len + _GAP + entry.cell_len > width:
            yield line
            line = Text()
        line.append(" " * _GAP if line.plain else "").append_text(entry)
    if line.plain:
        yield line


def _lines(drawing: Drawing, width: int, style: Style) -> tuple[list[Text], list[Text]]:
    """Return the lines of the title and those of the drawing."""
    draw_one: Any = {Panel: _panel, Bars: _bars, Grid: _grid, Intervals: _intervals}[type(drawing)]
    margin, body = draw_one(drawing, width, style)
    title = [Text(" " * margin + line) for line in wrap(printable(drawing.title), max(width - margin, 1))]
    return title, [line if isinstance(line, Text) else Text(line) for line in body]


def _label(text: str, margin: int, width: int) -> list[str]:
    """Return the label of an axis below it, centred, on as many lines as it needs."""
    return [" " * margin + line.center(width).rstrip() for line in wrap(printable(text), max(width, 1))]


def _bars(bars: Bars, width: int, style: Style) -> tuple[int, list[str]]:
    """Return a line per bin: edges, bar, count."""
    edges, counts = [f"{edge:.6g}" for edge in bars.edges], [f"{count:,}" for count in bars.counts]
    wide, most = max(map(len, edges)), max(1, *bars.counts)
    room = width - 2 * wide - max(map(len, counts)) - 7
    lines = wrap(printable(bars.x_label), width)
    for low, high, count, label in zip(edges, edges[1:], bars.counts, counts, strict=False):
        # Any bin that is not empty has a bar of at least one character; a bar rounded to 0 would read as an empty bin.
        length = max(round(count / most * room), 1) if count else 0
        lines.append(f"{low:>{wide}} to {high:>{wide}}  {('#' if style.ascii else '█') * length} {label}")
    return 0, lines


def _grid(grid: Grid, width: int, style: Style) -> tuple[int, list[str]]:
    """Return a two-dimensional histogram: shades by log(1 + count), or the counts of at most _FEW classes."""
    if grid.names and len(grid.names) <= _FEW:
        return 0, list(_matrix(grid, width))
    shades = " .:*#" if style.ascii else " ░▒▓█"
    most = max(1, *(count for row in grid.counts for count in row))
    ends = [f"{value:.4g}" for value in (grid.y_edges[0], grid.y_edges[-1], grid.x_edges[0], grid.x_edges[-1])]
    margin = max(len(ends[0]), len(ends[1]))
    bar, corner, rule = ("|", "+", "-") if style.ascii else ("│", "└", "─")
    line = "/" if style.ascii else "·"
    lines = wrap(f"{grid.y_label} (up); {shades[-1]} is up to {most:,} samples", width)
    if grid.diagonal:
        lines += [f"{line} is where {grid.y_label} = {grid.x_label}"]
    rows, columns = len(grid.counts), len(grid.counts[0])
    for i, row in enumerate(reversed(grid.counts)):
        label = ends[1] if i == 0 else ends[0] if i == rows - 1 else ""
        cells = [shades[math.ceil(math.log1p(count) / math.log1p(most) * (len(shades) - 1))] for count in row]
        if grid.diagonal:
            on = [j for j in range(columns) if (j + 0.5) * rows // columns == rows - 1 - i]
            cells = [line if j in on and cell == " " else cell for j, cell in enumerate(cells)]
        lines.append(f"{label:>{margin}} {bar}{''.join(cells)}")
    lines.append(f"{'':{margin}} {corner}{rule * columns}")
    gap = max(1, columns - len(ends[2]) - len(ends[3]))  # few columns: targets that differ in their last digits
    lines.append(f"{'':{margin}}  {ends[2]}{'':{gap}}{ends[3]}")
    return 0, lines + _label(grid.x_label, margin + 2, columns)


def _matrix(grid: Grid, width: int) -> Iterator[str]:
    """Yield the counts of classes as a matrix, headed by the names of the classes."""
    cells = [[f"{count:,}" if count else "." for count in row] for row in grid.counts]
    names = [printable(name) for name in grid.names]
    sides = [name if cell_len(name) <= _NAME else ends_of(name, _NAME) for name in names]
    margin = max(map(cell_len, sides))
    least = max(len(cell) for row in cells for cell in row)
    wide = max(least, min(max(map(cell_len, names)), (width - margin) // len(names) - 2))
    heads = [name if cell_len(name) <= wide else ends_of(name, wide) for name in names]
    yield f"{grid.y_label} (down), {grid.x_label} (across)"
    yield " " * margin + "".join(" " * (2 + wide - cell_len(head)) + head for head in heads)
    for side, row in zip(sides, cells, strict=True):
        yield " " * (margin - cell_len(side)) + side + "".join(f"{cell:>{wide + 2}}" for cell in row)


def _intervals(shown: Intervals, width: int, style: Style) -> tuple[int, list[str]]:
    """Return a line for each name: an interval and the value in it."""
    names = [printable(name) for name in shown.names]
    names = [name if cell_len(name) <= _NAME else ends_of(name, _NAME) for name in names]
    margin = max(map(cell_len, names))
    room = width - margin - 1
    drawn = [x for x in (*shown.values, *shown.low, *shown.high, shown.reference) if x is not None]
    finite = [x for x in drawn if math.isfinite(x)] or [0.0]
    low, high = min(finite), max(finite)
    rule, left, right, dot, bar, cross = (
        ("-", "|", "|", "o", ":", "+") if style.ascii else ("─", "├", "┤", "●", "┊", "┼")
    )

    def place(x: float) -> int:
        return round((x - low) / ((high - low) or 1.0) * (room - 1))

    lines = []
    for name, value, start, stop in zip(names, shown.values, shown.low, shown.high, strict=True):
        cells = [" "] * room
        if math.isfinite(start) and math.isfinite(stop):
            i, j = place(start), place(stop)
            cells[i : j + 1] = rule * (j + 1 - i)
            cells[i], cells[j] = left, right
        if shown.reference is not None:
            where = place(shown.reference)
            cells[where] = bar if cells[where] == " " else cross
        if math.isfinite(value):
            cells[place(value)] = dot
        lines.append(" " * (margin - cell_len(name)) + name + " " + "".join(cells))
    texts = f"{low:.4g}", f"{high:.4g}"
    lines.append(f"{'':{margin}} {texts[0]}{'':{room - len(texts[0]) - len(texts[1])}}{texts[1]}")
    return 0, lines + _label(shown.x_label, margin + 1, room)


def _panel(panel: Panel, width: int, style: Style) -> tuple[int, list[Text]]:
    """Return the margin and the lines of a panel: curves, axis, labels of the axis."""
    low, high = panel.y_range
    labels = {panel.lines - 1: f"{low:.3g}", 0: f"{high:.3g}"}
    zero = round(high / (high - low) * (panel.lines - 1)) if low < 0.0 < high else -1
    labels.setdefault(zero, "0")
    margin = max(map(len, labels.values()))
    bar, corner, rule, level = ("|", "+", "-", ".") if style.ascii else ("│", "└", "─", "·")
    room = max(width - margin - 2, 1)
    lines = []
    for i, cells in enumerate(_curves(panel, room, style)):
        # The line y = 0, in every second cell that the curves leave blank.
        row = [(level, "") if i == zero and c == " " and j % 2 else (c, look) for j, (c, look) in enumerate(cells)]
        alike = (("".join(c for c, _ in run), look) for look, run in groupby(row, key=lambda cell: cell[1]))
        lines.append(Text.assemble(f"{labels.get(i, ''):>{margin}} {bar}", *alike))
    lines.append(Text(f"{'':{margin}} {corner}{rule * room}"))
    ends = f"{panel.x[0]:.3g}", f"{panel.x[-1]:.3g}"
    between = room - len(ends[0]) - len(ends[1])
    if len(panel.x_label) <= between - 2:
        lines.append(Text(f"{'':{margin}}  {ends[0]}{panel.x_label:^{between}}{ends[1]}"))
    else:
        lines.append(Text(f"{'':{margin}}  {ends[0]}{'':{between}}{ends[1]}"))
        lines += map(Text, _label(panel.x_label, margin + 2, room))
    return margin + 2, lines


def _curves(panel: Panel, width: int, style: Style) -> list[list[tuple[str, str]]]:
    """Return the rows of a panel, a character and its colour for each cell; several curves have marks."""
    rows = [[(" ", "")] * width for _ in range(panel.lines)]
    several = len(panel.curves) > 1
    marks: dict[tuple[int, int], tuple[str, str]] = {}
    for k, (_, y) in enumerate(panel.curves):
        color = _COLORS[k % len(_COLORS)]
        curve = _curve(panel, y, width)
        for i, cells in enumerate(curve):
            for j, cell in enumerate(cells):
                if cell != _BLANK:
                    before = ord(rows[i][j][0]) - ord(_BLANK) if rows[i][j][0] != " " else 0
                    rows[i][j] = chr(ord(cell) | before) if before > 0 else cell, color
        for time in range(_TIMES * several):
            j = int(width * (time + (k + 0.5) / len(panel.curves)) / _TIMES)
            i = next((i for i, cells in enumerate(curve) if cells[j] != _BLANK), -1)
            if i >= 0:
                marks[i, j] = _MARKS[k % len(_MARKS)], f"bold {color}"
    if style.ascii:
        rows = [[(_ascii(cell) if cell != " " else " ", look) for cell, look in row] for row in rows]
    for (i, j), mark in marks.items():
        rows[i][j] = mark
    return rows


def _curve(panel: Panel, y: Sequence[float], width: int) -> list[str]:
    """Return one curve as rows of braille cells."""
    (low, high), left, right = panel.y_range, panel.x[0], panel.x[-1]
    # plotille excludes the upper ends of its ranges; with ranges one dot longer, the last value is on the last dot.
    dots = 2 * width, 4 * panel.lines
    canvas = Canvas(
        width,
        panel.lines,
        left,
        low,
        left + (right - left) * dots[0] / (dots[0] - 1),
        low + (high - low) * dots[1] / (dots[1] - 1),
    )
    # Values far outside the range are clipped to one range beyond it, because plotille draws lines dot by dot.
    beyond = high - low
    points = [(x, min(max(value, low - beyond), high + beyond)) for x, value in zip(panel.x, y, strict=True)]
    for (x0, y0), (x1, y1) in pairwise(points):
        if not math.isnan(y0) and not math.isnan(y1):
            canvas.line(x0, y0, x1, y1)
        elif not math.isnan(y1):  # a point between gaps
            canvas.point(x1, y1)
    text: str = canvas.plot("\n")
    return text.split("\n")


def _ascii(cell: str) -> str:
    """Return the ASCII character that resembles a braille cell most.

    >>> "".join(map(_ascii, "⠀⠁⠒⣀⡇"))
    " '-_|"
    """
    bits = ord(cell) - ord(_BLANK)
    rows = {row for bit, row in enumerate(_ROWS) if bits >> bit & 1}
    if len(rows) > 2:
        return "|"
    middle = sum(rows) / len(rows) if rows else -1.0
    return " " if middle < 0 else "'" if middle < 1 else "-" if middle < 2.5 else "_"
