"""The reports of ``plot``, and the small curve of ``info``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.analysis.curves import Curve
from lossctl.analysis.histograms import DataPlot
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import counted
from lossctl.report import Bars, Cell, Column, Drawing, Grid, Panel, Report, Table

# Height of a panel in lines, for one row of panels and for several; two rows of _LOW fit a screen of 24 lines. The
# numbers are odd so that the 0 of a symmetric curve has a line of its own.
_TALL, _LOW = 13, 7
# The fraction of the axis at each end that is left out of the range of y if the curve is steep there: if y is not
# finite, or the maximum of |y| is more than _STEEP times its maximum between the ends.
_EDGE = 0.02
_STEEP = 3.0


def curves_report(curves: Sequence[Curve]) -> Report:
    """Build the report of ``plot`` without data: curves as drawings for people, a row per point for programs."""
    rows = panels(curves, _TALL if len(curves) == 1 else _LOW)
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


def data_plot_report(shown: DataPlot, loss: Loss, sources: Sequence[str]) -> Report:
    """Build the report of ``plot`` with data: a histogram of losses, and predictions by target.

    Predictions are shown as a histogram per target value if the targets have few values, else as a two-dimensional
    histogram.
    """
    below: list[Drawing] = [
        Bars(f"predictions where the target is {value:g}", "", h.edges.tolist(), h.counts.tolist())
        for value, h in shown.by_target.items()
    ]
    if (grid := shown.density) is not None:
        edges = grid.target.tolist(), grid.pred.tolist()
        below.append(Grid("samples", "target", "prediction", *edges, grid.counts.tolist()))
    name = loss.finish.per_sample if loss.finish else loss.spec
    bars = Bars(f"samples by their {name}", "", shown.losses.edges.tolist(), shown.losses.counts.tolist())
    return Report(
        schema="lossctl.plot/1",
        title=f"{shown.samples:,} samples · {', '.join(sources)}",
        tables=[Table("bins", _BINS, _bins(shown), detail=True), Table("cells", _CELLS, _cells(shown), detail=True)],
        panels=[[bars], *([below] if below else [])],
        facts={"sources": list(sources), "loss": loss.spec, "samples": shown.samples, "infinite": shown.infinite},
        notes=[f"infinite loss: {counted(shown.infinite, 'sample')}, not drawn"] if shown.infinite else [],
    )


_BINS = [Column("of", "text"), Column("target"), Column("low"), Column("high"), Column("count", "count")]
_CELLS = [*(Column(f"{of}_{end}") for of in ("target", "pred") for end in ("low", "high")), Column("count", "count")]


def _bins(shown: DataPlot) -> Iterator[Sequence[Cell]]:
    """Yield the bins of the histogram of losses, then of the histograms of predictions by target value."""
    histograms = [("loss", None, shown.losses), *(("pred", t, h) for t, h in shown.by_target.items())]
    for of, target, h in histograms:
        edges = h.edges.tolist()
        for low, high, count in zip(edges, edges[1:], h.counts.tolist(), strict=False):
            yield of, target, low, high, count


def _cells(shown: DataPlot) -> Iterator[Sequence[Cell]]:
    if (grid := shown.density) is None:
        return
    x, y = grid.target.tolist(), grid.pred.tolist()
    for (i, j), count in np.ndenumerate(grid.counts):
        if count:
            yield x[j], x[j + 1], y[i], y[i + 1], int(count)


def panels(curves: Sequence[Curve], lines: int) -> list[list[Drawing]]:
    """Arrange panels: one loss beside its gradient; several losses in a row, their gradients in the row below."""
    values = _row(curves, [c.value for c in curves], "", lines)
    sloped = [c for c in curves if c.gradient is not None]
    slopes = _row(sloped, [c.gradient for c in sloped if c.gradient is not None], "gradient", lines)
    return [[*values, *slopes]] if len(curves) == 1 else [row for row in (values, slopes) if row]


def _row(curves: Sequence[Curve], arrays: Sequence[Array], what: str, lines: int) -> list[Drawing]:
    """Return panels side by side; if all curves have the same axis, the panels share one range of y."""
    if not curves:
        return []
    ranges = [_range(a) for a in arrays]
    if len({c.axis for c in curves}) == 1:
        ranges = [(min(low for low, _ in ranges), max(high for _, high in ranges))] * len(ranges)
    return [
        Panel(" ".join(filter(None, (_title(c), what))), c.axis, c.x.tolist(), a.tolist(), limits, lines)
        for c, a, limits in zip(curves, arrays, ranges, strict=True)
    ]


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
