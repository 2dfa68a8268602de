"""Drawings in SVG and PNG, made by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, BinaryIO

from lossctl.errors import UsageError
from lossctl.report import Bars, Drawing, Panel

# Width and height of a panel in inches; two panels side by side are as wide as a page.
_WIDE, _HIGH = 4.5, 3.2


def require() -> None:
    """Check that matplotlib is installed.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("drawing to a file needs matplotlib: pip install 'lossctl[plot]'")


def figure(rows: Sequence[Sequence[Drawing]], file: BinaryIO, suffix: str) -> None:
    """Draw rows of panels to a file in the format ``suffix`` (svg or png)."""
    os.environ["MPLBACKEND"] = "agg"  # matplotlib refuses to be imported with an unknown one, which no file needs
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    across = max(map(len, rows))
    # Reproducible bytes for the same input: no date, and ids from a fixed salt. fonttype none keeps text as text.
    with rc_context({"svg.hashsalt": "lossctl", "svg.fonttype": "none"}):
        whole = Figure(figsize=(_WIDE * across, _HIGH * len(rows)), layout="constrained")
        grid = whole.subplots(len(rows), across, squeeze=False)
        for axes, row in zip(grid, rows, strict=True):
            for place, panel in zip(axes, row, strict=False):
                _draw(place, panel)
            for unused in axes[len(row) :]:
                unused.remove()
        whole.savefig(file, format=suffix, metadata={"Date": None} if suffix == "svg" else {"Software": None})


def _draw(axes: Any, panel: Drawing) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    if isinstance(panel, Panel):
        axes.plot(panel.x, panel.y)
        low, high = panel.y_range
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.axhline(0.0, color="gray", linewidth=0.5)
    elif isinstance(panel, Bars):
        edges = [*panel.edges]
        step = edges[1] - edges[0]
        if edges[-1] - edges[-2] > 1.5 * step:  # the overflow bin
            axes.set_xlabel(f"the last bar is up to {edges[-1]:.6g}")
            edges[-1] = edges[-2] + step
        axes.stairs(panel.counts, edges, fill=True)
    else:
        axes.set_ylabel(panel.y_label)
        axes.pcolormesh(panel.x_edges, panel.y_edges, panel.counts, norm="symlog", cmap="Blues")
