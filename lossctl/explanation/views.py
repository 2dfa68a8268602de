"""The ways to read predictions and targets: as they are, after a softmax, swapped, labels as one-hot rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, kernel_layout
from lossctl.core.loss import Loss
from lossctl.errors import DataError
from lossctl.explanation.axes import as_channels
from lossctl.immutable import immutable

DECISIONS = "takes decisions, the class of the greatest score"


@immutable(eq=False)
class View:
    """Predictions and targets as a loss may get them.

    Attributes:
        shape: ``element`` if each number of the predictions has a target, ``row`` if a row of predictions is an
            element, ``image`` if all rows together are one, ``list`` if each group of numbers is one.
        pred, target: the arrays.
        texts: the departures of this reading.
        probabilities: whether the predictions are probabilities.
        plain: whether parameters of losses are searched, too.
        groups: (n,) the group of each number of a ``list``, from 0; None for other shapes.
        extremes: the ranges of the arrays, computed once.
        samples: some rows of the arrays by their number, chosen once.
        evaluated: the loss that was evaluated last and its values, by the number of rows.
    """

    shape: str
    pred: Array
    target: Array
    texts: tuple[str, ...] = ()
    probabilities: bool = False
    plain: bool = False
    groups: npt.NDArray[np.intp] | None = None
    extremes: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    samples: dict[int, tuple[Array, Array]] = field(default_factory=dict, init=False)
    evaluated: dict[int, tuple[Loss, Array]] = field(default_factory=dict, init=False)

    @property
    def cost(self) -> int:
        """The number of departures."""
        return len(self.texts)

    @cached_property
    def lists(self) -> list[npt.NDArray[np.intp]]:
        """The rows of the groups: an array (groups, size) for each size of a group."""
        if self.groups is None:
            return []
        order, sizes = np.argsort(self.groups, kind="stable"), np.bincount(self.groups)
        starts = np.cumsum(sizes) - sizes
        return [order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes[sizes > 0])]

    @cached_property
    def laid_out(self) -> tuple[Array, Array]:
        """The predictions and targets as kernels read them."""
        return kernel_layout(self.pred), kernel_layout(self.target)

    def sample(self, rows: npt.NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the predictions and targets of some rows, as kernels read them; the numbers of rows differ."""
        if len(rows) not in self.samples:
            self.samples[len(rows)] = (kernel_layout(self.pred[rows]), kernel_layout(self.target[rows]))
        return self.samples[len(rows)]

    def range_of(self, name: str) -> tuple[float, float]:
        """Return the least and the greatest number of ``pred`` or ``target``."""
        if name not in self.extremes:
            array = self.pred if name == "pred" else self.target
            self.extremes[name] = (float(array.min()), float(array.max()))
        return self.extremes[name]


def softmax(x: Array) -> Array:
    """Return the softmax of each row."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def sigmoid(x: Array) -> Array:
    """Return 1/(1 + e^−x)."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def as_pair(pred: npt.NDArray[Any], target: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Return predictions and targets as float64 arrays of one or two dimensions.

    Raises:
        DataError: the numbers of rows differ, a shape fits no loss, or a number is not finite.
    """
    arrays = []
    for name, array in (("pred", pred), ("target", target)):
        x = np.asarray(array, np.float64)
        x = x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x
        arrays.append(x if x.ndim <= 2 else x.reshape(len(x), -1))
        if np.isnan(x).any():
            raise DataError(
                f"{name}[{int(np.isnan(x.reshape(len(x), -1)).any(axis=1).argmax())}]: NaN has no explanation"
            )
    p, t = arrays
    if len(p) != len(t):
        raise DataError(f"pred has {len(p)} rows, target {len(t)}")
    if p.shape != t.shape and t.ndim != 1:
        hint = "; --class-axis says which axis holds the classes" if pred.ndim > 2 else ""
        raise DataError(f"pred has shape {pred.shape}, target {target.shape}: no loss takes them{hint}")
    return p, t


def is_distribution(x: Array) -> bool:
    """Return whether the rows are probabilities that sum to 1."""
    return x.ndim == 2 and bool((x >= 0).all()) and bool((np.abs(x.sum(axis=-1) - 1.0) <= 1e-3).all())


def views(
    pred: Array, target: Array, groups: npt.NDArray[np.intp] | None = None, images: int | None = None
) -> list[View]:
    """Return all readings, those with fewer departures first.

    Args:
        pred, target: the arrays.
        groups: (n,) the groups, of which the numbers are lists. Default: none.
        images: how many images the rows of classes are the pixels of; each channel of one is a mask. Default: none.
    """
    if pred.ndim == 1:
        readings = list(_scalars(pred, target))
        if groups is not None:
            readings.append(View("list", pred, target, plain=True, groups=groups))
    elif target.ndim == 1:
        readings = list(_labels(pred, target))
    else:
        readings = list(_tables(pred, target))
    if images is not None:
        readings += _masks(pred, target, images)
    return sorted(readings, key=lambda view: view.cost)


def _scalars(pred: Array, target: Array) -> Iterator[View]:
    likely = bool(((pred >= 0) & (pred <= 1)).all())

    def view(x: Array, *texts: str, t: Array = target, plain: bool = False) -> View:
        return View("element", x, t, texts, bool(((x >= 0) & (x <= 1)).all()), plain)

    yield view(pred, plain=True)
    yield View("image", pred[None, :], target[None, :], (), likely, plain=True)
    yield view(target, "predictions and targets are swapped", t=pred)
    with np.errstate(all="ignore"):
        if likely:
            yield view(1.0 - pred, "takes 1 − p, the probability of the other class")
            yield view(np.log(pred / (1.0 - pred)), "takes the logit of the predictions")
            yield view((pred >= 0.5).astype(float), "takes decisions, p ≥ 0.5")
        else:
            yield view((pred > 0).astype(float), "takes decisions, pred > 0")
        yield view(sigmoid(pred), "applies a sigmoid to the predictions")
        yield view(np.exp(pred), "takes the exponential of the predictions")
        if pred.min() > 0:
            yield view(np.log(pred), "takes the logarithm of the predictions")
        if pred.min() > 0 and target.min() > 0:
            yield view(np.log(pred), "takes the logarithm of predictions and targets", t=np.log(target))
            yield view(np.log10(pred), "takes log10 of predictions and targets", t=np.log10(target))
        if pred.min() > -1 and target.min() > -1:
            yield view(np.log1p(pred), "takes log(1 + x) of predictions and targets", t=np.log1p(target))


def _row_readings(pred: Array) -> Iterator[tuple[Array, tuple[str, ...]]]:
    """Yield the readings of rows of predictions with their departures."""
    yield pred, ()
    with np.errstate(all="ignore"):
        likely = is_distribution(pred)
        if not likely and pred.max() <= 0 and is_distribution(np.exp(pred)):
            yield np.exp(pred), ()
        yield softmax(pred), ("applies a softmax to the probabilities" if likely else "applies a softmax first",)
        if not likely:
            yield softmax(softmax(pred)), ("applies a softmax twice",)
            yield sigmoid(pred), ("applies a sigmoid to the predictions",)
            if pred.min() >= 0:
                yield pred / pred.sum(axis=-1, keepdims=True), ("divides rows by their sum",)
        yield np.log(pred) if likely else np.log(softmax(pred)), ("takes the logarithm of the probabilities",)
        top = np.eye(pred.shape[1])[pred.argmax(axis=-1)]
        yield top, (DECISIONS,)


def _masks(pred: Array, target: Array, images: int) -> Iterator[View]:
    k = pred.shape[1]
    if target.ndim == 1 and not _are_labels(target, k):
        return
    masks = as_channels(np.eye(k)[target.astype(np.intp)] if target.ndim == 1 else target, images)
    for i, (x, texts) in enumerate(_row_readings(pred)):
        likely = bool(((x >= 0) & (x <= 1)).all())
        yield View("image", as_channels(x, images), masks, texts, likely, plain=i == 0)


def _are_labels(target: Array, classes: int) -> bool:
    return bool(target.min() >= 0 and target.max() < classes and (target == np.floor(target)).all())


def _labels(pred: Array, target: Array) -> Iterator[View]:
    k = pred.shape[1]
    if not _are_labels(target, k):
        return
    one_hot = np.eye(k)[target.astype(np.intp)]
    for i, (x, texts) in enumerate(_row_readings(pred)):
        likely = is_distribution(x)
        yield View("row", x, target, texts, likely, plain=i == 0 or not texts)
        yield View("element", x, one_hot, (*texts, "takes targets as one-hot rows, element by element"), likely)
        if k == 2:
            text = "takes the column of class 1"
            yield View("element", x[:, 1], target, (*texts, text), likely)


def _tables(pred: Array, target: Array) -> Iterator[View]:
    one_hot = is_distribution(target) and bool(((target == 0) | (target == 1)).all())
    for i, (x, texts) in enumerate(_row_readings(pred)):
        likely = bool(((x >= 0) & (x <= 1)).all())
        yield View("element", x, target, texts, likely, plain=i == 0)
        if one_hot:
            yield View("row", x, target.argmax(axis=-1).astype(float), texts, is_distribution(x), plain=i == 0)
        yield View("row", x, target, texts, is_distribution(x), plain=i == 0)
        if i == 0:
            yield View("image", x.reshape(1, -1), target.reshape(1, -1), ("takes the batch as one image",), likely)
    yield View("element", target, pred, ("predictions and targets are swapped",))
    yield View("row", target, pred, ("predictions and targets are swapped",), is_distribution(target))
