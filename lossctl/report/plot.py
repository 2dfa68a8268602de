"""What ``plot`` prints of a loss, and the small curve of ``info``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.analysis.curves import Curve
from lossctl.analysis.histograms import DataPlot
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.report import Bars, Cell, Column, Drawing, Grid, Panel, Report, Table

# Lines of a panel: for one row of them, and for several, of which two fit on a screen of 24 lines. Odd: the 0 of
# what is symmetric has a line of its own.
_TALL, _LOW = 13, 7
# Parts of an axis at each end that do not decide how high a panel is, where the curve leaves it there.
_EDGE = 0.02
_STEEP = 3.0


def curves_report(curves: Sequence[Curve]) -> Report:
    """The curves: for people drawn, for programs a row a point."""
    rows = panels(curves, _TALL if len(curves) == 1 else _LOW)
    return Report(
        schema="lossctl.plot/1",
        tables=[Table("points", _COLUMNS, _points(curves), detail=True)],
        panels=rows,
        notes=[f"{curve.loss.name} gives no gradient" for curve in curves if curve.gradient is None],
    )


_COLUMNS = [Column("loss", "text"), Column("axis", "text"), Column("x"), Column("value"), Column("gradient")]


def _points(curves: Sequence[Curve]) -> Iterator[Sequence[Cell]]:
    for curve in curves:
        slopes = [None] * len(curve.x) if curve.gradient is None else curve.gradient.tolist()
        for x, value, slope in zip(curve.x.tolist(), curve.value.tolist(), slopes, strict=True):
            yield curve.loss.spec, curve.axis, x, value, slope


def data_plot_report(shown: DataPlot, loss: Loss, sources: Sequence[str]) -> Report:
    """The histogram of losses, and predictions by the values of the target or against it."""
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
        notes=[f"{shown.infinite:,} samples cost inf, and are not drawn"] if shown.infinite else [],
    )


_BINS = [Column("of", "text"), Column("target"), Column("low"), Column("high"), Column("count", "count")]
_CELLS = [*(Column(f"{of}_{end}") for of in ("target", "pred") for end in ("low", "high")), Column("count", "count")]


def _bins(shown: DataPlot) -> Iterator[Sequence[Cell]]:
    """Of losses and, where targets have few values, of predictions for each of them."""
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
    """A loss and its gradient side by side; of several, the losses beside each other, and below them the gradients."""
    values = _row(curves, [c.value for c in curves], "", lines)
    sloped = [c for c in curves if c.gradient is not None]
    slopes = _row(sloped, [c.gradient for c in sloped if c.gradient is not None], "gradient", lines)
    return [[*values, *slopes]] if len(curves) == 1 else [row for row in (values, slopes) if row]


def _row(curves: Sequence[Curve], arrays: Sequence[Array], what: str, lines: int) -> list[Drawing]:
    """Panels of one height of scale, to be compared by eye, where their axes are the same."""
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


def _range(y: Array) -> tuple[float, float]:
    """From where to where a panel goes: 0 is always there, what shoots up at an end of the axis is not."""
    edge = int(len(y) * _EDGE)
    inner = y[edge : len(y) - edge]
    inner = inner[np.isfinite(inner)]
    low, high = (float(f(inner, initial=0.0)) for f in (np.min, np.max))
    whole = y[np.isfinite(y)]
    if len(whole) == len(y) and max(whole.max(), -whole.min()) <= _STEEP * max(high, -low):
        low, high = float(whole.min(initial=0.0)), float(whole.max(initial=0.0))
    return (low, high) if high > low else (low, low + 1.0)
