"""The reports of ``plot``, and the small curve of ``info``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.analysis.curves import Curve
from lossctl.analysis.histograms import DataPlot
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import counted
from lossctl.report import Bars, Cell, Column, Drawing, Grid, Panel, Report, Table

# Height of a panel in lines, for one row of panels, for several, and beside other drawings; two rows of _LOW fit a
# screen of 24 lines. The numbers are odd so that the 0 of a symmetric curve has a line of its own.
_TALL, _LOW = 13, 7
# The fraction of the axis at each end that is left out of the range of y if the curve is steep there: if y is not
# finite, or the maximum of |y| is more than _STEEP times its maximum between the ends.
_EDGE = 0.02
_STEEP = 3.0


def curves_report(curves: Sequence[Curve]) -> Report:
    """Build the report of ``plot`` without data: curves as drawings for people, a row per point for programs.

    Losses with the same axis are drawn in one panel, their gradients in a panel beside it.
    """
    axes = dict.fromkeys(curve.axis for curve in curves)
    rows = [
        panels([curve for curve in curves if curve.axis == axis], _TALL if len(axes) == 1 else _LOW) for axis in axes
    ]
    return Report(
        schema="lossctl.plot/1",
        tables=[Table("points", _COLUMNS, _points(curves), detail=True)],
        panels=rows,
        notes=[f"{curve.loss.name} has no gradient" for curve in curves if curve.gradient is None],
    )


_COLUMNS = [Column("loss", "text"), Column("axis", "text"), Column("x"), Column("value"), Column("gradient")]


def _points(curves: Sequence[Curve]) -> Iterator[Sequence[Cell]]:
    for curve in curves:
        slopes = [None] * len(curve.x) if curve.gradient is None else curve.gradient.tolist()
        for x, value, slope in zip(curve.x.tolist(), curve.value.tolist(), slopes, strict=True):
            yield curve.loss.spec, curve.axis, x, value, slope


def data_plot_report(shown: DataPlot, losses: Sequence[Loss], sources: Sequence[str], labels: Sequence[str]) -> Report:
    """Build the report of ``plot`` with data: a histogram of each loss, and predictions against targets.

    Args:
        shown: the histograms.
        losses: the losses.
        sources: the names of the files.
        labels: the names of the classes, if they are known.
    """
    names = [loss.finish.per_sample if loss.finish else loss.spec for loss in losses]
    bars: list[Drawing] = [
        Bars(f"samples by {name}", "", h.edges.tolist(), h.counts.tolist())
        for name, h in zip(names, shown.losses, strict=True)
    ]
    below = _against_targets(shown, labels)
    cells = [Table("cells", _CELLS, _cells(shown), detail=True)] if shown.density else []
    bins = [Table("reliability", _RELIABLE, shown.reliability or [], detail=True)] if shown.reliability else []
    infinite = sum(shown.infinite)
    return Report(
        schema="lossctl.plot/1",
        title=f"{counted(shown.samples, 'sample')} · {', '.join(sources)}",
        tables=[Table("bins", _BINS, _bins(shown, losses), detail=True), *cells, *bins],
        panels=[bars, [below]] if shown.classes and below else [[*bars, *([below] if below else [])]],
        facts={"sources": list(sources), "samples": shown.samples, "infinite": infinite},
        notes=[
            f"infinite loss: {counted(n, 'sample')}{f' of {loss.spec}' if len(losses) > 1 else ''}, not drawn"
            for n, loss in zip(shown.infinite, losses, strict=True)
            if n
        ],
    )


def _against_targets(shown: DataPlot, labels: Sequence[str]) -> Drawing | None:
    """Return the drawing of predictions against targets: a matrix, a density, margins or a reliability curve."""
    if (grid := shown.density) is not None:
        edges = grid.target.tolist(), grid.pred.tolist()
        if not shown.classes:
            axes = "predictions by targets", "target", "prediction"
            return Grid(*axes, *edges, grid.counts.tolist(), diagonal=shown.diagonal)
        names = labels if len(labels) == shown.classes else [str(i) for i in range(shown.classes)]
        return Grid("samples by class", "target", "prediction", *edges, grid.counts.tolist(), names)
    if (margins := shown.margins) is not None:
        return Bars("samples by margin, target · score", "", margins.edges.tolist(), margins.counts.tolist())
    if not shown.reliability:
        return None
    pred, observed = zip(*((row[3], row[4]) for row in shown.reliability), strict=True)
    x, gap = [0.0, *pred, 1.0], [math.nan]
    curves = [("observed frequency", [*gap, *observed, *gap]), ("perfect calibration", x)]
    return Panel("frequency of the event by predicted probability", "predicted probability", x, curves, (0.0, 1.0))


_BINS = [Column("of", "text"), Column("low"), Column("high"), Column("count", "count")]
_CELLS = [*(Column(f"{of}_{end}") for of in ("target", "pred") for end in ("low", "high")), Column("count", "count")]
_RELIABLE = [Column("low"), Column("high"), Column("count", "count"), Column("pred"), Column("observed")]


def _bins(shown: DataPlot, losses: Sequence[Loss]) -> Iterator[Sequence[Cell]]:
    """Yield the bins of the histogram of each loss, then those of the margins."""
    histograms = [(loss.spec, h) for loss, h in zip(losses, shown.losses, strict=True)]
    if shown.margins is not None:
        histograms.append(("margin", shown.margins))
    for of, h in histograms:
        edges = h.edges.tolist()
        for low, high, count in zip(edges, edges[1:], h.counts.tolist(), strict=False):
            yield of, low, high, count


def _cells(shown: DataPlot) -> Iterator[Sequence[Cell]]:
    if (grid := shown.density) is None:
        return
    x, y = grid.target.tolist(), grid.pred.tolist()
    for (i, j), count in np.ndenumerate(grid.counts):
        if count:
            yield x[j], x[j + 1], y[i], y[i + 1], int(count)


def panels(curves: Sequence[Curve], lines: int) -> list[Drawing]:
    """Return a panel of losses with the same axis, and a panel of their gradients."""
    sloped = [(c, c.gradient) for c in curves if c.gradient is not None]
    values = _overlay("loss", [(c, c.value) for c in curves], lines)
    return [values, _overlay("gradient", sloped, lines)] if sloped else [values]


def _overlay(what: str, curves: Sequence[tuple[Curve, Array]], lines: int) -> Panel:
    first = curves[0][0]
    ranges = [_range(y) for _, y in curves]
    limits = min(low for low, _ in ranges), max(high for _, high in ranges)
    title = what if len(curves) > 1 else {"loss": _title(first)}.get(what, what)
    return Panel(title, first.axis, first.x.tolist(), [(_title(c), y.tolist()) for c, y in curves], limits, lines)


def _title(curve: Curve) -> str:
    finish = curve.loss.finish
    return f"{curve.loss.spec} ({finish.per_sample})" if finish else curve.loss.spec


# Charts add margins to the range of y.
_HIGHEST = 1e307


def _range(y: Array) -> tuple[float, float]:
    """Return the range of y of a panel: it includes 0, and excludes a steep rise at an end of the axis."""
    edge = int(len(y) * _EDGE)
    inner = y[edge : len(y) - edge]
    inner = inner[np.isfinite(inner)]
    low, high = (float(f(inner, initial=0.0)) for f in (np.min, np.max))
    whole = y[np.isfinite(y)]
    if len(whole) == len(y) and max(whole.max(), -whole.min()) <= _STEEP * max(high, -low):
        low, high = float(whole.min(initial=0.0)), float(whole.max(initial=0.0))
    low, high = max(low, -_HIGHEST), min(high, _HIGHEST)
    return (low, high) if high > low else (low, low + 1.0)
