"""Statistics of per-sample losses, and the functions of a statistic that people report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.explanation.definitions import Definition
from lossctl.immutable import immutable

# Sizes of batches over whose means people average.
BATCHES = (8, 10, 16, 20, 32, 50, 64, 100, 128, 256, 512, 1000, 1024)


@immutable(eq=False)
class Weighing:
    """What divides and weighs the losses, beside the samples.

    Attributes:
        weight: (n,) weights of samples; None if there are none.
        class_weight: (n,) the weight of the class of each sample; None if there are none.
        groups: (n,) codes of groups, from 0; None if there are none.
        of_classes: (k,) the weight of each class; empty if there are none.
        places: how many places there are with the padding of sequences; None if there is none.
    """

    weight: Array | None = None
    class_weight: Array | None = None
    groups: npt.NDArray[np.intp] | None = None
    of_classes: tuple[float, ...] = ()
    places: int | None = None


def weigh(
    target: Array,
    weight: Array | None = None,
    class_weight: Sequence[float] = (),
    groups: npt.NDArray[np.intp] | None = None,
    places: int | None = None,
) -> Weighing:
    """Return the weights of targets, which are labels (n,) or rows (n, k)."""
    if not class_weight:
        return Weighing(weight, None, groups, (), places)
    of_classes = np.array(class_weight)
    rows = of_classes[target.astype(np.intp)] if target.ndim == 1 else (target * of_classes).sum(axis=-1)
    return Weighing(weight, rows, groups, tuple(of_classes.tolist()), places)


class Statistic(NamedTuple):
    """A statistic of the losses.

    Attributes:
        text: the departure from the mean; "" for the mean.
        cost: how many departures it counts as.
        value: the statistic.
    """

    text: str
    cost: int
    value: float


def statistics(definition: Definition, values: Array, weighing: Weighing) -> Iterator[Statistic]:
    """Yield the statistics of losses (n,) or (n, m)."""
    rows = values.mean(axis=1) if values.ndim == 2 else values
    if definition.inside and weighing.class_weight is not None:
        yield from _of_inside(definition, rows, weighing.class_weight)
        return
    n, mean = len(rows), float(rows.mean())
    summed = definition.row is not None and definition.row.reduction == "sum"
    counted = definition.row is not None and definition.row.weights == "count"
    weighted = weighing.weight is not None or weighing.class_weight is not None
    unweighted = "leaves out the weights" if weighted else ""
    yield Statistic(both("is the mean" if summed else "", unweighted), summed + weighted, mean)
    yield Statistic(both("" if summed else "is the sum", unweighted), (not summed) + weighted, mean * n)
    if values.ndim == 2:
        m = values.shape[1]
        yield Statistic(both("sums over columns", unweighted), 1 + weighted, mean * m)
        yield Statistic(both("is the sum over rows and columns", unweighted), 1 + weighted, mean * m * n)
    for text, cost, weights in weights_of(weighing):
        total, product = float(weights.sum()), float((rows * weights).sum())
        divided = "divides the weighted sum by the sum of the weights" if counted else ""
        yield Statistic(both(text, divided), cost + counted, product / total)
        divided = "" if counted else "divides the weighted sum by the count"
        yield Statistic(both(text, divided), cost + (not counted), product / n)
        yield Statistic(both(text, "is the weighted sum"), cost + 1, product)


def uncommon(definition: Definition, values: Array, weighing: Weighing, room: int) -> Iterator[Statistic]:
    """Yield the median, the greatest loss, the mean of n − 1, and means over batches and groups.

    Args:
        definition: the definition.
        values: its losses, (n,) or (n, m).
        weighing: groups of the samples.
        room: the most departures of a statistic.
    """
    rows = values.mean(axis=1) if values.ndim == 2 else values
    if definition.inside or room < 1 or len(rows) == 1:
        return
    if room > 1:
        low, high = (len(rows) - 1) // 2, len(rows) // 2
        ordered = np.partition(rows, (low, high, -1))  # np.median would import numpy.ma; NaN comes last
        greatest = float(ordered[-1])
        median = math.nan if math.isnan(greatest) else float(ordered[low] + ordered[high]) / 2.0
        yield Statistic("is the median", 2, median)
        yield Statistic("is the greatest", 2, greatest)
    yield Statistic("divides by n − 1", 1, float(rows.sum()) / (len(rows) - 1))
    yield from _of_batches(rows)
    if weighing.groups is not None:
        sums, sizes = np.bincount(weighing.groups, rows), np.bincount(weighing.groups)
        yield Statistic("averages the means of groups", 1, float((sums / sizes).mean()))
        yield Statistic("averages the sums of groups", 1, float(sums.mean()))
        most = int(sizes.max())
        yield Statistic(f"divides the sums of groups by the greatest size, {most}", 1, float(sums.mean()) / most)
    if weighing.places is not None:
        yield Statistic("divides by all places, padding too", 1, float(rows.sum()) / weighing.places)


def _of_inside(definition: Definition, rows: Array, class_weight: Array) -> Iterator[Statistic]:
    """Yield the statistics of losses that have class weights within the sum over the classes."""
    assert definition.row is not None
    of_labels = definition.row.class_weights == "label"
    text = "with class weights within the sum over the classes"
    by_count = "" if not of_labels else "divides by the count"
    by_labels = "" if of_labels else "divides by the sum of the weights of the labels"
    yield Statistic(both(text, by_labels), not of_labels, float(rows.sum() / class_weight.sum()))
    yield Statistic(both(text, by_count), of_labels, float(rows.mean()))
    yield Statistic(both(text, "is the sum"), 1, float(rows.sum()))


@immutable(eq=False)
class Sample:
    """A sample of the rows: extreme rows, each of which counts once, then random ones of the others.

    Attributes:
        rows: the rows.
        census: how many of them are extreme.
        count: the number of all rows.
    """

    rows: npt.NDArray[np.intp]
    census: int
    count: int

    def mean(self, values: Array) -> tuple[float, float]:
        """Estimate the mean over all rows from the values of the sample, and the standard error."""
        drawn = values[self.census :]
        mean = float(drawn.sum()) / len(drawn)
        off = drawn - mean
        share = 1.0 - self.census / self.count
        estimate = float(values[: self.census].sum()) / self.count + share * mean
        return estimate, share * math.sqrt(float(off @ off)) / len(drawn)


def sampled(
    definition: Definition, values: Array, weighing: Weighing, sample: Sample, room: int
) -> Iterator[tuple[float, float, int]]:
    """Yield estimates of the statistics from the losses of a sample, their standard errors and costs.

    Means over batches are within the error of the mean. The median and the greatest loss are not estimated.

    Args:
        definition: the definition.
        values: its losses of the sample, (n,) or (n, m).
        weighing: weights of all samples.
        sample: the sample.
        room: the most departures of a statistic.
    """
    rows = values.mean(axis=1) if values.ndim == 2 else values
    columns = values.shape[1] if values.ndim == 2 else 1
    summed = definition.row is not None and definition.row.reduction == "sum"
    weighted = weighing.weight is not None or weighing.class_weight is not None
    count = sample.count
    mean, error = sample.mean(rows)
    scales = ((1, summed), (count, not summed), (columns, 1), (columns * count, 1))
    yield from ((mean * scale, error * scale, cost + weighted) for scale, cost in scales if cost + weighted <= room)
    if not weighted:
        return
    chosen_weights = Weighing(_chosen(weighing.weight, sample.rows), _chosen(weighing.class_weight, sample.rows))
    for _, cost, weights in weights_of(chosen_weights):
        average, _ = sample.mean(weights)
        mean, error = sample.mean(rows * weights)
        if cost <= room:
            yield from ((mean * scale, error * scale, cost) for scale in (1.0, 1.0 / average, count))


def _chosen(weights: Array | None, rows: npt.NDArray[np.intp]) -> Array | None:
    return None if weights is None else weights[rows]


def both(*texts: str) -> str:
    """Join the departures that are not empty."""
    return ", ".join(text for text in texts if text)


def weights_of(weighing: Weighing) -> Iterator[tuple[str, int, Array]]:
    """Yield (departure, cost, weights (n,)): the product of the weights, and each alone; nothing without weights."""
    w, c = weighing.weight, weighing.class_weight
    if w is not None and c is not None:
        yield "", 0, w * c
        yield "leaves out the weights of classes", 1, w
        yield "leaves out the weights of samples", 1, c
    elif w is not None or c is not None:
        yield "", 0, w if w is not None else c  # type: ignore[misc]


def _of_batches(rows: Array) -> Iterator[Statistic]:
    n, total = len(rows), float(rows.sum())
    tails = rows[: -max(BATCHES) : -1].cumsum()  # the sum of the last 1, 2, 3, … losses
    for size in BATCHES:
        left = n % size
        if size >= n or not left:
            continue
        last = float(tails[left - 1])
        means = (total - last) / size + last / left
        yield Statistic(f"averages the means of batches of {size}", 1, means / (n // size + 1))
        yield Statistic(f"leaves out the last, incomplete batch of {size}", 1, (total - last) / (n - left))


def roots(definition: Definition, values: Array, weighing: Weighing) -> Iterator[Statistic]:
    """Yield the means of the roots of columns and of rows, of losses (n, m) of which the root is taken."""
    finish = definition.loss.finish
    if values.ndim != 2 or finish is None or finish.value is not math.sqrt:
        return
    per_column = definition.row is not None and definition.row.per_column
    for text, cost, weights in [*weights_of(weighing)] or [("", 0, np.ones(len(values)))]:
        of_columns = np.sqrt(np.average(values, axis=0, weights=weights))
        said = "" if per_column else "takes the root for each column, and averages the roots"
        yield Statistic(both(text, said), cost + (not per_column), float(of_columns.mean()))
        of_rows = np.sqrt(values.mean(axis=1))
        said = "takes the root for each row, and averages the roots"
        yield Statistic(both(text, said), cost + 1, float(np.average(of_rows, weights=weights)))


@immutable
class Transform:
    """A function of a statistic, monotone where it is defined.

    Attributes:
        text: the departure; "" for the statistic itself.
        forward, inverse: the function and its inverse, of arrays.
    """

    text: str
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]

    @property
    def cost(self) -> int:
        """How many departures it counts as."""
        return 1 if self.text else 0


def _times(factor: float, text: str) -> Transform:
    return Transform(text, lambda x: x * factor, lambda y: y / factor)


def transforms(classes: int | None) -> list[Transform]:
    """Return the functions; ``classes`` is the number of classes or columns, None if there is one."""
    chosen = [
        _times(1.0, ""),
        _times(-1.0, "is the negative"),
        _times(0.5, "is half of it"),
        _times(2.0, "is twice it"),
        _times(100.0, "is in per cent, 100 times it"),
        _times(1.0 / math.log(2.0), "is in bits"),
        _times(1.0 / math.log(10.0), "takes log10 for the logarithm"),
        Transform("is its exponential, a perplexity", np.exp, np.log),
        Transform("is 2 to the power of it, a perplexity from bits", np.exp2, np.log2),
        Transform("is its square root", np.sqrt, np.square),
        Transform("is 1 minus it", lambda x: 1.0 - x, lambda y: 1.0 - y),
    ]
    if classes is not None and classes > 1:
        chosen += [
            _times(float(classes), f"is {classes} times it, the number of classes"),
            _times(1.0 / classes, f"is divided by {classes} as well, the number of classes"),
        ]
    return chosen
