"""Histograms of the losses of a data set, and of predictions by or against targets.

The first pass reads the inputs and writes losses, predictions and targets to a spool on disk (8 bytes per number).
The second pass reads the spool and counts the numbers in bins, whose edges depend on all numbers. Every sample counts
once, whatever its weight, and memory does not grow with the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossctl.analysis.quantiles import order_statistics
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.block import Block
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.plan import ComputeOptions, LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import DataError
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Spool

Counts = npt.NDArray[np.int64]

# Approximate number of bars of a histogram, and the columns and rows of a density: what fits on a screen.
_BARS, _COLUMNS, _ROWS = 16, 60, 20
# Maximum number of distinct targets for which each target gets a histogram of its own.
_VALUES = 10
# If the range of the losses exceeds _LONG_TAIL times the range up to the _MOST quantile (99 %), the last bar contains
# all losses above that quantile: otherwise one outlier would put all other losses into the first bar.
_MOST, _LONG_TAIL = 0.99, 2.0


@dataclass(frozen=True)
class Histogram:
    """The count of each bin, half-open intervals between consecutive edges; the last bin includes its upper edge."""

    edges: Array
    counts: Counts


@dataclass(frozen=True)
class Density:
    """A two-dimensional histogram of pairs: predictions along the rows, targets along the columns."""

    target: Array  # edges
    pred: Array
    counts: Counts


@dataclass(frozen=True)
class DataPlot:
    """The histograms of a data set.

    Attributes:
        samples: number of samples that count.
        infinite: number of samples with an infinite or NaN loss, which no bin contains.
        losses: the histogram of the finite per-sample losses.
        by_target: for few distinct targets, the histogram of the predictions of each target; else empty.
        density: for many distinct targets or classes, the histogram of (prediction, target) pairs; else None.
    """

    samples: int
    infinite: int
    losses: Histogram
    by_target: dict[float, Histogram]
    density: Density | None


@dataclass
class _Range:
    """The range of the finite numbers seen so far."""

    low: float = np.inf
    high: float = -np.inf

    def take(self, x: Array) -> None:
        finite = x[np.isfinite(x)]
        self.low, self.high = float(finite.min(initial=self.low)), float(finite.max(initial=self.high))


def plot_data(data: Dataset, loss: Loss, options: ComputeOptions, workers: ExecutionConfig) -> DataPlot:
    """Compute the histograms of losses, predictions and targets.

    Raises:
        DataError: a row is invalid (the first one is reported), or no loss is finite.
    """
    plan = plan_loss(loss, data, options)
    loss = plan.loss
    losses_range, pred, target = ranges = _Range(), _Range(), _Range()
    values: set[float] = set()
    infinite = 0
    with Spool() as losses, Spool() as pairs, workers.executor_for(data) as executor:
        for ((values_of_losses, preds, targets),) in map_blocks(data, [plan], options, _numbers, executor):
            losses.write(values_of_losses)
            pairs.write(preds, targets)
            for range_, x in zip(ranges, (values_of_losses, preds, targets), strict=True):
                range_.take(x)
            infinite += int(np.count_nonzero(~np.isfinite(values_of_losses)))
            if len(values) <= _VALUES:
                values.update(np.unique(targets).tolist())
        if losses_range.low > losses_range.high:
            raise DataError(f"{loss.name} is finite for no sample: there is nothing to draw")
        edges = _loss_edges(losses, losses_range, infinite)
        counts = np.zeros(len(edges) - 1, np.int64)
        for x in losses.column(0):
            counts += _count(x, edges)
        classes = plan.dims.get("classes", 0) if loss.inputs[0].kind.core else 0
        few = len(values) <= _VALUES and not classes
        drawable = pairs.rows and pred.low <= pred.high and target.low <= target.high
        return DataPlot(
            losses.rows,
            infinite,
            Histogram(edges, counts),
            _by_target(pairs, pred, sorted(values)) if drawable and few else {},
            _density(pairs, *_grid(pred, target, classes)) if drawable and not few else None,
        )


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


def _loss_edges(losses: Spool, range_: _Range, infinite: int) -> Array:
    rank = int(_MOST * (losses.rows - infinite))
    (most,) = order_statistics(lambda: (x[np.isfinite(x)] for x in losses.column(0)), [rank])
    if range_.high - range_.low <= _LONG_TAIL * (most - range_.low) or most <= range_.low:
        return _edges(range_.low, range_.high)
    edges = _edges(range_.low, most)
    return edges if range_.high <= edges[-1] else np.concatenate([edges, [range_.high]])


def _edges(low: float, high: float) -> Array:
    """Return equidistant round edges from at most ``low`` to at least ``high``."""
    step = round_step((high - low) / _BARS or max(abs(high), 1.0) / _BARS)
    first, last = np.floor(low / step), np.ceil(high / step)
    return np.arange(first, max(last, first + 1) + 1) * step


def round_step(least: float, factors: Sequence[float] = (1.0, 2.0, 5.0, 10.0)) -> float:
    """Return the smallest product of a factor and a power of ten that is at least ``least``; the last factor is 10.

    >>> round_step(0.3), round_step(21.0, (1.0, 2.0, 2.5, 5.0, 10.0))
    (0.5, 25.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in factors if factor * power >= least * (1.0 - 1e-9))


def _count(x: Array, edges: Array) -> Counts:
    return np.bincount(_place(x[np.isfinite(x)], edges), minlength=len(edges) - 1)


def _place(x: Array, edges: Array) -> npt.NDArray[np.intp]:
    """Return the bin index of each number. Numbers outside the outer edges, by roundoff, go to the outer bins."""
    return np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)


def _by_target(pairs: Spool, pred: _Range, values: list[float]) -> dict[float, Histogram]:
    edges = _edges(pred.low, pred.high)
    counts = {value: np.zeros(len(edges) - 1, np.int64) for value in values}
    for preds, targets in pairs.records():
        for value in values:
            counts[value] += _count(preds[targets == value], edges)
    return {value: Histogram(edges, counted) for value, counted in counts.items()}


def _grid(pred: _Range, target: _Range, classes: int) -> tuple[Array, Array]:
    """Return the target and prediction edges: one cell per class, or as many cells as fit on a screen."""
    if 0 < classes <= _ROWS:
        return np.arange(classes + 1.0), np.arange(classes + 1.0)
    x, y = (
        np.linspace(range_.low, range_.high if range_.high > range_.low else range_.low + 1.0, n + 1)
        for range_, n in ((target, _COLUMNS), (pred, _ROWS))
    )
    return x, y


def _density(pairs: Spool, x: Array, y: Array) -> Density:
    rows, columns = len(y) - 1, len(x) - 1
    counts = np.zeros(rows * columns, np.int64)
    for preds, targets in pairs.records():
        finite = np.isfinite(preds) & np.isfinite(targets)
        cell = _place(preds[finite], y) * columns + _place(targets[finite], x)
        counts += np.bincount(cell, minlength=len(counts))
    return Density(x, y, counts.reshape(rows, columns))
