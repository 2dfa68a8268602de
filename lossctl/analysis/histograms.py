"""Histograms of the losses of a data set, and of predictions against targets.

The first pass reads the inputs and writes losses, predictions and targets to a spool on disk (8 bytes per number).
The second pass reads the spool and counts the numbers in bins, whose edges depend on all numbers. Every sample counts
once, whatever its weight, and memory does not grow with the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lossctl.analysis.quantiles import order_statistics
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.block import Block
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import DataError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Spool

Counts = npt.NDArray[np.int64]

# Approximate number of bars of a histogram, and the columns and rows of a density: what fits on a screen side by side.
_BARS, _COLUMNS, _ROWS = 14, 30, 15
# A table of classes and the bars above it share 23 lines, of which 7 are titles and headings; at least _LEAST_BARS show
# a shape.
_LINES, _LEAST_BARS = 16, 5
# Bins of the predicted probability of a reliability curve.
_PROBABILITIES = 10
# The least width of a bin, so far from the smallest double that a round number is near it.
LEAST_STEP = 1e-300
# If the range of the losses exceeds _LONG_TAIL times the range up to the _MOST quantile (99 %), the last bar contains
# all losses above that quantile: otherwise one outlier would put all other losses into the first bar.
_MOST, _LONG_TAIL = 0.99, 2.0


@immutable
class Histogram:
    """The count of each bin, half-open intervals between consecutive edges; the last bin includes its upper edge."""

    edges: Array
    counts: Counts


@immutable
class Density:
    """A two-dimensional histogram of pairs: predictions along the rows, targets along the columns."""

    target: Array  # edges
    pred: Array
    counts: Counts


@immutable
class DataPlot:
    """The histograms of a data set; at most one of ``density``, ``margins`` and ``reliability`` is not empty.

    Attributes:
        samples: number of samples that count.
        infinite: for each loss, the number of samples with an infinite or NaN loss, which no bin contains.
        losses: for each loss, the histogram of the finite per-sample losses.
        density: the histogram of (prediction, target) pairs of numbers or of classes.
        classes: the number of classes; 0 for other numbers.
        diagonal: predictions and targets are on one scale, so that a perfect prediction is on the diagonal.
        margins: for targets -1 and 1, the histogram of target times score.
        reliability: for probabilities and logits, (low, high, count, mean predicted probability, mean target) of each
            bin that is not empty.
    """

    samples: int
    infinite: list[int]
    losses: list[Histogram]
    density: Density | None = None
    classes: int = 0
    diagonal: bool = False
    margins: Histogram | None = None
    reliability: list[tuple[float, float, int, float, float]] | None = None


@dataclass
class _Range:
    """The range of the finite numbers seen so far."""

    low: float = np.inf
    high: float = -np.inf

    def take(self, x: Array) -> None:
        finite = x[np.isfinite(x)]
        self.low, self.high = float(finite.min(initial=self.low)), float(finite.max(initial=self.high))


def plot_data(data: Dataset, bound: Sequence[Loss], options: ComputeOptions, workers: ExecutionConfig) -> DataPlot:
    """Compute the histograms of losses, predictions and targets.

    Args:
        data: the data set.
        bound: the losses; the inputs of the first are the predictions and targets.
        options: options of a computation.
        workers: where it runs.

    Raises:
        DataError: a row is invalid (the first one is reported), or no loss is finite.
    """
    plans = [plan_loss(loss, data, options) for loss in bound]
    ranges = [_Range() for _ in bound]
    pred, target = _Range(), _Range()
    infinite = [0] * len(bound)
    with ExitStack() as stack:
        spools = [stack.enter_context(Spool()) for _ in bound]
        pairs, executor = stack.enter_context(Spool()), stack.enter_context(workers.executor_for(data))
        for block in map_blocks(data, plans, options, _numbers, executor):
            for i, (lost, _, _) in enumerate(block):
                spools[i].write(lost)
                ranges[i].take(lost)
                infinite[i] += int(np.count_nonzero(~np.isfinite(lost)))
            pairs.write(*block[0][1:])
            pred.take(block[0][1])
            target.take(block[0][2])
        for plan, range_ in zip(plans, ranges, strict=True):
            if range_.low > range_.high:
                raise DataError(f"{plan.loss.name} is finite for no sample: there is nothing to draw")
        bars = max(_LEAST_BARS, min(_BARS, _LINES - _classes(plans[0])))
        histograms = [
            _histogram(lambda spool=spool: spool.column(0), _loss_edges(spool, range_, n, bars))  # type: ignore[misc]
            for spool, range_, n in zip(spools, ranges, infinite, strict=True)
        ]
        shown = DataPlot(spools[0].rows, infinite, histograms)
        if not (pairs.rows and pred.low <= pred.high and target.low <= target.high):
            return shown
        return _add_pairs(shown, plans[0], pairs, pred, target)


def _add_pairs(shown: DataPlot, plan: LossPlan, pairs: Spool, pred: _Range, target: _Range) -> DataPlot:
    """Add the histogram of predictions and targets that fits the kinds of the inputs."""
    kinds = [i.kind for i in plan.loss.inputs]
    classes = _classes(plan)
    names = [kind.name for kind in kinds[:2]]
    if not classes and names[1] == "Sign":
        reach = max(abs(pred.low), abs(pred.high))
        margins = lambda: (preds * targets for preds, targets in pairs.records())  # noqa: E731 - read once
        return replace(shown, margins=_histogram(margins, _edges(-reach, reach)))
    if not classes and names[1] == "Probability" and names[0] in ("Real", "Probability"):
        return replace(shown, reliability=_reliability(pairs, logits=names[0] == "Real"))
    # Predictions on another scale, such as the logarithm of a rate, have a wider domain than the targets.
    diagonal = not classes and kinds[0].domain.low >= kinds[1].domain.low
    edges = _grid(pred, target, classes, same=diagonal)
    return replace(shown, density=_density(pairs, *edges), classes=classes, diagonal=diagonal)


def _classes(plan: LossPlan) -> int:
    """Return the number of classes of the predictions; 0 if they are numbers."""
    return plan.dims.get("classes", 0) if plan.loss.inputs[0].kind.core else 0


def _reliability(pairs: Spool, *, logits: bool) -> list[tuple[float, float, int, float, float]]:
    """Return (low, high, count, mean prediction, mean target) of each bin of the probability that is not empty."""
    edges = np.linspace(0.0, 1.0, _PROBABILITIES + 1)
    counts, preds, targets = np.zeros((3, _PROBABILITIES))
    for pred, target in pairs.records():
        with np.errstate(over="ignore"):
            p = 1.0 / (1.0 + np.exp(-pred)) if logits else pred
        finite = np.isfinite(p) & np.isfinite(target)
        bins = _place(p[finite], edges)
        counts += np.bincount(bins, minlength=_PROBABILITIES)
        preds += np.bincount(bins, p[finite], _PROBABILITIES)
        targets += np.bincount(bins, target[finite], _PROBABILITIES)
    return [
        (float(edges[i]), float(edges[i + 1]), int(n), float(preds[i] / n), float(targets[i] / n))
        for i, n in enumerate(counts)
        if n
    ]


def _numbers(block: Block, plan: LossPlan) -> tuple[Array, Array, Array]:
    """Return the loss of each sample, and the prediction and target of each element.

    A row of class scores or probabilities is replaced by the index of its maximum. Predictions and targets are empty
    if they are not pairs of numbers.
    """
    elements = block.elements(plan)
    if not len(elements):
        return np.empty(0), np.empty(0), np.empty(0)
    lost = elements.rows.sums(np.ascontiguousarray(plan.loss.evaluate(*elements.arrays)[0]))
    # A copy, because the reader overwrites this block with the next one.
    arrays = [a.copy() if a.ndim == 1 else a.argmax(axis=-1).astype(np.float64) for a in elements.arrays[:2]]
    if len(arrays) < 2 or arrays[0].shape != arrays[1].shape or arrays[0].ndim > 1:  # not pairs of numbers
        arrays = [np.empty(0), np.empty(0)]
    return lost / elements.rows.sums(np.ones(len(elements))), arrays[0], arrays[1]


def _loss_edges(losses: Spool, range_: _Range, infinite: int, bars: int) -> Array:
    rank = int(_MOST * (losses.rows - infinite))
    (most,) = order_statistics(lambda: (x[np.isfinite(x)] for x in losses.column(0)), [rank])
    if range_.high - range_.low <= _LONG_TAIL * (most - range_.low) or most <= range_.low:
        return _edges(range_.low, range_.high, bars)
    edges = _edges(range_.low, most, bars)
    return edges if range_.high <= edges[-1] else np.concatenate([edges, [range_.high]])


def _edges(low: float, high: float, bars: int = _BARS) -> Array:
    """Return equidistant round edges from at most ``low`` to at least ``high``; one bin if no such edges exist.

    There are about as many bins as ``bars``, or fewer.

    There are none if the numbers differ in their last digits only, or are near the largest or the smallest double.
    """
    least = high / bars - low / bars or max(abs(high), 1.0) / bars
    if least >= LEAST_STEP:
        step = round_step(least)
        first, last = np.floor(low / step), np.ceil(high / step)
        with np.errstate(over="ignore"):  # such edges are not taken
            edges: Array = np.arange(first, max(last, first + 1) + 1) * step
        if len(edges) > 1 and np.isfinite(edges).all() and (np.diff(edges) > 0).all():
            return edges
    return np.array([low if low < high else np.nextafter(low, -np.inf), high])


def round_step(least: float, factors: Sequence[float] = (1.0, 2.0, 5.0, 10.0)) -> float:
    """Return the smallest product of a factor and a power of ten that is at least ``least``; the last factor is 10.

    >>> round_step(0.3), round_step(21.0, (1.0, 2.0, 2.5, 5.0, 10.0))
    (0.5, 25.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in factors if factor * power >= least * (1.0 - 1e-9))


def _histogram(numbers: Callable[[], Iterable[Array]], edges: Array) -> Histogram:
    counts = np.zeros(len(edges) - 1, np.int64)
    for x in numbers():
        counts += np.bincount(_place(x[np.isfinite(x)], edges), minlength=len(counts))
    return Histogram(edges, counts)


def _place(x: Array, edges: Array) -> npt.NDArray[np.intp]:
    """Return the bin index of each number. Numbers outside the outer edges, by roundoff, go to the outer bins."""
    return np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)


def _grid(pred: _Range, target: _Range, classes: int, *, same: bool) -> tuple[Array, Array]:
    """Return the target and prediction edges: one cell per class, or as many cells as fit on a screen.

    With ``same``, both axes have one range, so that the diagonal of the cells is the diagonal y = x.
    """
    if 0 < classes <= _ROWS:
        return np.arange(classes + 1.0), np.arange(classes + 1.0)
    if same:
        pred = target = _Range(min(pred.low, target.low), max(pred.high, target.high))
    return _cells(target, _COLUMNS), _cells(pred, _ROWS)


def _cells(range_: _Range, n: int) -> Array:
    low, high = range_.low, range_.high
    if low == high:
        low, high = (low, low + 1.0) if low + 1.0 > low else (low - abs(low) / 2.0, low)
    return np.unique(np.linspace(low / 2.0, high / 2.0, n + 1) * 2.0)  # halves: the range may overflow


def _density(pairs: Spool, x: Array, y: Array) -> Density:
    rows, columns = len(y) - 1, len(x) - 1
    counts = np.zeros(rows * columns, np.int64)
    for preds, targets in pairs.records():
        finite = np.isfinite(preds) & np.isfinite(targets)
        cell = _place(preds[finite], y) * columns + _place(targets[finite], x)
        counts += np.bincount(cell, minlength=len(counts))
    return Density(x, y, counts.reshape(rows, columns))
