"""Drawings in SVG, PNG and PDF, made by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from textwrap import fill
from typing import Any, BinaryIO
from warnings import catch_warnings, simplefilter

from lossctl.errors import UsageError, printable
from lossctl.render.layout import ends_of
from lossctl.report import Bars, Drawing, Grid, Intervals, Panel

# Width and height of a panel in inches; two panels side by side are as wide as a page.
_WIDE, _HIGH = 4.5, 3.2
# Characters of a line of a title, and of the longest text.
_TITLE, _LONGEST = 45, 120
# Curves of fewer points have a mark at each; names longer than _SHORT are turned; a matrix of at most _NUMBERED classes
# has numbers, which are white in cells above _DARK of the largest count.
_POINTS, _SHORT, _NUMBERED, _DARK = 30, 5, 12, 0.3


def require() -> None:
    """Check that matplotlib is installed.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("drawing to a file needs matplotlib: pip install matplotlib")


def figure(
    rows: Sequence[Sequence[Drawing]], file: BinaryIO, suffix: str, style: Mapping[Any, Any] | None = None
) -> None:
    """Draw rows of panels to a file.

    Args:
        rows: the panels.
        file: the file.
        suffix: svg, png or pdf.
        style: settings of matplotlib; none by default.
    """
    os.environ["MPLBACKEND"] = "agg"  # matplotlib refuses to be imported with an unknown one, which no file needs
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    across = max(map(len, rows))
    # Reproducible bytes for the same input: no date, and ids from a fixed salt. fonttype none keeps text as text.
    with rc_context({"svg.hashsalt": "lossctl", "svg.fonttype": "none", "savefig.dpi": 144, **(style or {})}):
        whole = Figure(figsize=(_WIDE * across, _HIGH * len(rows)), layout="constrained")
        grid = whole.subplots(len(rows), across, squeeze=False)
        for axes, row in zip(grid, rows, strict=True):
            for place, panel in zip(axes, row, strict=False):
                place.set_title(fill(_text(panel.title), _TITLE))
                place.set_xlabel(fill(_text(panel.x_label), _TITLE))
                _DRAW[type(panel)](place, panel)
            for unused in axes[len(row) :]:
                unused.remove()
        with catch_warnings():  # long names may leave no room for the axes; the drawing is complete all the same
            simplefilter("ignore", UserWarning)
            whole.savefig(file, format=suffix, metadata={_DATES[suffix]: None})


# The metadata of each format that would differ between two runs or two versions.
_DATES = {"svg": "Date", "png": "Software", "pdf": "CreationDate"}


def _text(text: str) -> str:
    """Return a text of at most _LONGEST characters that matplotlib does not read as a formula."""
    text = printable(text)
    return (text if len(text) <= _LONGEST else ends_of(text, _LONGEST)).replace("$", r"\$")


def _panel(axes: Any, panel: Panel) -> None:
    for name, y in panel.curves:
        axes.plot(panel.x, y, label=_text(name), marker="." if len(panel.x) < _POINTS else None)
    low, high = panel.y_range
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.axhline(0.0, color="gray", linewidth=0.5)
    if len(panel.curves) > 1:
        axes.legend()


def _bars(axes: Any, bars: Bars) -> None:
    edges = [*bars.edges]
    step = edges[1] - edges[0]
    if edges[-1] - edges[-2] > 1.5 * step:  # the overflow bin
        axes.set_xlabel(f"the last bar is up to {edges[-1]:.6g}")
        edges[-1] = edges[-2] + step
    axes.set_ylabel("samples")
    axes.stairs(bars.counts, edges, fill=True)


def _grid(axes: Any, grid: Grid) -> None:
    axes.set_ylabel(grid.y_label)
    axes.pcolormesh(grid.x_edges, grid.y_edges, grid.counts, norm="symlog", cmap="Blues")
    if grid.diagonal:
        axes.axline((grid.x_edges[0], grid.x_edges[0]), slope=1.0, color="gray", linewidth=0.8)
    if not grid.names:
        return
    names, places = [*map(_text, grid.names)], [i + 0.5 for i in range(len(grid.names))]
    axes.set_xticks(places, names, rotation=45 if max(map(len, names)) > _SHORT else 0)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    if len(names) <= _NUMBERED:
        most = max(map(max, grid.counts))
        for i, row in enumerate(grid.counts):
            for j, count in enumerate(row):
                color = "white" if count > _DARK * most else "black"
                axes.text(j + 0.5, i + 0.5, f"{count:,}" if count else "", ha="center", va="center", color=color)


def _intervals(axes: Any, shown: Intervals) -> None:
    places = [*range(len(shown.names))]
    if shown.reference is not None:
        axes.axvline(shown.reference, color="gray", linewidth=0.8)
    axes.hlines(places, shown.low, shown.high)
    axes.plot(shown.values, places, "o")
    axes.set_yticks(places, [*map(_text, shown.names)])
    axes.set_ylim(-0.5, len(places) - 0.5)
    axes.invert_yaxis()


_DRAW: Mapping[type[Drawing], Any] = {Panel: _panel, Bars: _bars, Grid: _grid, Intervals: _intervals}
