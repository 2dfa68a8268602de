"""Changes of the inputs that libraries make before they compute a loss, each with the chain rule of its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.immutable import immutable

# From the gradient with respect to the changed predictions to that with respect to the predictions.
Backward: TypeAlias = Callable[[Array], Array]


@immutable
class Step:
    """A change of the inputs; the base changes nothing."""

    @property
    def says(self) -> str:
        """The departure in words."""
        raise NotImplementedError

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        """Return the changed predictions, and the chain rule."""
        return pred, lambda gradient: gradient

    def other(self, name: str, array: Array) -> Array:
        """Return another input, changed."""
        return array


@immutable
class Single(Step):
    """Rounds the inputs to single precision.

    Attributes:
        targets_only: whether predictions stay as they are.
    """

    targets_only: bool = False

    @property
    def says(self) -> str:
        return "stores targets in single precision" if self.targets_only else "computes in single precision"

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        return pred if self.targets_only else single(pred), lambda gradient: gradient

    def other(self, name: str, array: Array) -> Array:
        return single(array)


def single(array: Array) -> Array:
    """Round to single precision."""
    return array.astype(np.float32).astype(np.float64)


@immutable
class Normalize(Step):
    """Divides rows of predictions by their sum.

    Attributes:
        target: whether rows of targets are divided, too.
    """

    target: bool = False

    @property
    def says(self) -> str:
        return "divides rows of probabilities by their sum"

    def other(self, name: str, array: Array) -> Array:
        return array / array.sum(axis=-1, keepdims=True) if self.target and name == "target" else array

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        sums = pred.sum(axis=-1, keepdims=True)
        scaled = pred / sums

        def backward(gradient: Array) -> Array:
            return np.asarray((gradient - (gradient * scaled).sum(axis=-1, keepdims=True)) / sums)

        return scaled, backward


@immutable
class Clip(Step):
    """Clips predictions, and with ``target`` targets as well, into an interval.

    Attributes:
        low, high: the interval.
        single: whether its ends are rounded to single precision.
        target: whether targets are clipped, too.
        pred_too: whether predictions are clipped.
    """

    low: float
    high: float
    single: bool = False
    target: bool = False
    pred_too: bool = True

    @property
    def says(self) -> str:
        mirrored = abs(1.0 - self.high - self.low) < 1e-15
        high = f"1 − {self.low:.3g}" if mirrored else f"{self.high:g}"
        what = (
            "predictions and targets" if self.target and self.pred_too else "targets" if self.target else "predictions"
        )
        if self.high == np.inf:
            return f"clips {what} at {self.low:.3g} at least"
        return f"clips {what} to [{self.low:.3g}, {high}]"

    def _ends(self) -> tuple[float, float]:
        ends = np.array([self.low, self.high])
        low, high = single(ends) if self.single else ends
        return float(low), float(high)

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        if not self.pred_too:
            return super().pred(pred)
        low, high = self._ends()
        inside = (pred >= low) & (pred <= high)
        return np.clip(pred, low, high), lambda gradient: np.where(inside, gradient, 0.0)

    def other(self, name: str, array: Array) -> Array:
        return np.clip(array, *self._ends()) if self.target and name == "target" else array


@immutable
class Floor(Step):
    """Raises another input than the predictions to a least value.

    Attributes:
        name: the input.
        low: the least value.
    """

    name: str
    low: float

    @property
    def says(self) -> str:
        return f"clips {self.name} at {self.low:g} at least"

    def other(self, name: str, array: Array) -> Array:
        return np.maximum(array, self.low) if name == self.name else array


@immutable
class Signs(Step):
    """Turns targets 0 and 1 into −1 and +1."""

    @property
    def says(self) -> str:
        return "turns targets 0 and 1 into −1 and +1"

    def other(self, name: str, array: Array) -> Array:
        return np.where(array == 0.0, -1.0, array) if name == "target" else array


@immutable
class Shift(Step):
    """Adds a number to predictions, and with ``target`` to targets.

    Attributes:
        epsilon: the number.
        target: whether it is added to targets, too.
    """

    epsilon: float
    target: bool

    @property
    def says(self) -> str:
        return f"adds {self.epsilon:g} to predictions{' and targets' if self.target else ''}"

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        return pred + self.epsilon, lambda gradient: gradient

    def other(self, name: str, array: Array) -> Array:
        return array + self.epsilon if self.target and name == "target" else array


@immutable
class Sigmoid(Step):
    """Applies a sigmoid to predictions."""

    @property
    def says(self) -> str:
        return "applies a sigmoid, as it does if a prediction is outside [0, 1]"

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        e = np.exp(-np.abs(pred))
        p = np.where(pred < 0, e, 1.0) / (1.0 + e)
        return p, lambda gradient: gradient * p * (1.0 - p)


@immutable
class Softmax(Step):
    """Applies a softmax to rows of predictions."""

    @property
    def says(self) -> str:
        return "applies a softmax, as it does if a prediction is outside [0, 1]"

    def pred(self, pred: Array) -> tuple[Array, Backward]:
        e = np.exp(pred - pred.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)

        def backward(gradient: Array) -> Array:
            return np.asarray(p * (gradient - (gradient * p).sum(axis=-1, keepdims=True)))

        return p, backward
