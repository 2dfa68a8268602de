"""Drawings in a terminal: curves in braille dots or ASCII, histograms as bars, two-dimensional ones as shades."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from plotille import Canvas

from lossctl.render import Style
from lossctl.report import Bars, Drawing, Grid, Panel

# Columns to assume if the output is not a terminal.
_WIDTH = 80
# The fewest columns in which a curve is readable. If two panels do not fit side by side, the second goes below.
_LEAST = 34
_GAP = 3
# A grid of at most this many rows is printed as numbers: enough for the confusion matrix of ten classes.
_FEW = 12
_BLANK = "\N{BRAILLE PATTERN BLANK}"
# The row (0 to 3) of each dot of a braille cell, by its bit, 0 to 7 (Unicode, Braille Patterns).
_ROWS = (0, 1, 2, 0, 1, 2, 3, 3)


def draw(rows: Sequence[Sequence[Drawing]], style: Style) -> Iterator[str]:
    """Yield the lines of all panels; panels of a row stand side by side as far as the width allows."""
    width = style.width or _WIDTH
    for i, row in enumerate(rows):
        if i:
            yield ""
        fit = max(1, min(len(row), (width + _GAP) // (_LEAST + _GAP)))
        each = (width + _GAP) // fit - _GAP
        for start in range(0, len(row), fit):
            beside = [_lines(panel, each, style) for panel in row[start : start + fit]]
            for line in zip(*beside, strict=True):
                yield (" " * _GAP).join(line).rstrip()


def _lines(drawing: Drawing, width: int, style: Style) -> list[str]:
    """Return the lines of a drawing, padded to ``width`` characters."""
    draw_one: Any = {Panel: _panel, Bars: _bars, Grid: _grid}[type(drawing)]
    return [f"{line:{width}}" for line in draw_one(drawing, width, style)]


def _bars(bars: Bars, width: int, style: Style) -> Iterator[str]:
    """Yield a line per bin: edges, bar, count."""
    edges, counts = [f"{edge:.6g}" for edge in bars.edges], [f"{count:,}" for count in bars.counts]
    wide, most = max(map(len, edges)), max(1, *bars.counts)
    room = width - 2 * wide - max(map(len, counts)) - 7
    yield f"{bars.title} {bars.x_label}"[:width]
    for low, high, count, label in zip(edges, edges[1:], bars.counts, counts, strict=False):
        # Any bin that is not empty has a bar of at least one character; a bar rounded to 0 would read as an empty bin.
        length = max(round(count / most * room), 1) if count else 0
        yield f"{low:>{wide}} to {high:>{wide}}  {('#' if style.ascii else '█') * length} {label}"


def _grid(grid: Grid, width: int, style: Style) -> Iterator[str]:
    """Yield a two-dimensional histogram: shades by log(1 + count), or the counts if there are at most _FEW rows."""
    if len(grid.counts) <= _FEW:
        yield from _matrix(grid)
        return
    shades = " .:*#" if style.ascii else " ░▒▓█"
    most = max(1, *(count for row in grid.counts for count in row))
    ends = [f"{value:.4g}" for value in (grid.y_edges[0], grid.y_edges[-1], grid.x_edges[0], grid.x_edges[-1])]
    margin = max(len(ends[0]), len(ends[1]))
    bar, corner, rule = ("|", "+", "-") if style.ascii else ("│", "└", "─")
    caption = f"{grid.y_label} (up) against {grid.x_label}; {shades[-1]} is up to {most:,} {grid.title}"
    yield f"{'':{margin}}  {caption}"
    for i, row in enumerate(reversed(grid.counts)):
        label = ends[1] if i == 0 else ends[0] if i == len(grid.counts) - 1 else ""
        dark = (math.ceil(math.log1p(count) / math.log1p(most) * (len(shades) - 1)) for count in row)
        yield f"{label:>{margin}} {bar}{''.join(shades[shade] for shade in dark)}"
    columns = len(grid.counts[0])
    yield f"{'':{margin}} {corner}{rule * columns}"
    yield f"{'':{margin}}  {ends[2]}{grid.x_label:^{columns - len(ends[2]) - len(ends[3])}}{ends[3]}"


def _matrix(grid: Grid) -> Iterator[str]:
    """Yield the counts of a grid as a matrix, headed by the lower edge of each row and column."""
    cells = [[f"{count:,}" if count else "." for count in row] for row in grid.counts]
    heads, sides = [f"{edge:g}" for edge in grid.x_edges[:-1]], [f"{edge:g}" for edge in grid.y_edges[:-1]]
    wide = max(map(len, [*heads, *(cell for row in cells for cell in row)])) + 2
    margin = max(map(len, sides))
    yield f"{'':{margin}}  {grid.title}: {grid.y_label} (down) and {grid.x_label} (across)"
    yield " " * margin + "".join(f"{head:>{wide}}" for head in heads)
    for side, row in zip(sides, cells, strict=True):
        yield f"{side:>{margin}}" + "".join(f"{cell:>{wide}}" for cell in row)


def _panel(panel: Panel, width: int, style: Style) -> list[str]:
    """Return the lines of a panel: title, curve, axis, labels of the axis."""
    low, high = panel.y_range
    labels = {panel.lines - 1: f"{low:.3g}", 0: f"{high:.3g}"}
    zero = round(high / (high - low) * (panel.lines - 1)) if low < 0.0 < high else -1
    labels.setdefault(zero, "0")
    margin = max(map(len, labels.values()))
    bar, corner, rule, level = ("|", "+", "-", ".") if style.ascii else ("│", "└", "─", "·")
    curve = _curve(panel, max(width - margin - 2, 1))
    lines = [f"{'':{margin}}  {panel.title}"[:width]]
    for i, cells in enumerate(curve):
        row = "".join(_ascii(c) for c in cells) if style.ascii else cells.replace(_BLANK, " ")
        if i == zero:  # the line y = 0, in every second cell that the curve leaves blank
            row = "".join(level if c == " " and j % 2 else c for j, c in enumerate(row))
        lines.append(f"{labels.get(i, ''):>{margin}} {bar}{row}")
    lines.append(f"{'':{margin}} {corner}{rule * (width - margin - 2)}")
    ends = f"{panel.x[0]:.3g}", f"{panel.x[-1]:.3g}"
    room = width - margin - 2 - len(ends[0]) - len(ends[1])
    lines.append(f"{'':{margin}}  {ends[0]}{panel.x_label[: room - 2]:^{room}}{ends[1]}")
    return lines


def _curve(panel: Panel, width: int) -> list[str]:
    """Return the curve as rows of braille cells."""
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
    points = [(x, min(max(y, low - beyond), high + beyond)) for x, y in zip(panel.x, panel.y, strict=True)]
    for (x0, y0), (x1, y1) in pairwise(points):
        if not math.isnan(y0) and not math.isnan(y1):
            canvas.line(x0, y0, x1, y1)
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
