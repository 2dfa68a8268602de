"""The points at which a gradient is checked, as problems of numerical differentiation."""

from __future__ import annotations

import math

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.finite_differences import EPS, DerivativeProblem, Function, Indices
from lossctl.gradients.sampling import data_magnitude, sample_magnitude
from lossctl.immutable import immutable


@immutable
class Points:
    """A loss and some samples of its inputs.

    Attributes:
        loss: the loss.
        arrays: its inputs, (samples, ...) each, predictions first.
        rows: (samples,) their row numbers in the data set.
    """

    loss: Loss
    arrays: list[Array]
    rows: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, chosen: Indices) -> Points:
        """Return some of the samples."""
        return Points(self.loss, [a[chosen] for a in self.arrays], self.rows[chosen])

    @property
    def pred(self) -> Array:
        """The predictions, (samples, coordinates)."""
        pred = self.arrays[0]
        return pred.reshape(len(self), math.prod(pred.shape[1:]))

    @property
    def magnitude(self) -> Array:
        """S, (samples,): the magnitude of the numbers of each sample.

        For a registered loss at least 1: its formula has constants of this size. For a user's function that of the
        inputs alone, at least an eighth of the median: data in other units must give the same verdicts.
        """
        if self.loss.is_builtin:
            return sample_magnitude(self.loss, self.arrays)
        return self.input_size

    @property
    def input_size(self) -> Array:
        """(samples,): the largest input of each sample, at least an eighth of the median; 1 if all are 0."""
        inputs = zip(self.arrays, self.loss.inputs, strict=True)
        size = data_magnitude([a for a, i in inputs if not i.kind.is_code])
        typical = np.median(size[size > 0]) if (size > 0).any() else 1.0
        return np.asarray(np.maximum(size, typical / 8.0))

    def value(self, chosen: Indices | None, x: Array) -> Array:
        """Return the losses (n,) of the samples `chosen` (None: all) at predictions x (n, coordinates)."""
        others = self.arrays[1:] if chosen is None else [a[chosen] for a in self.arrays[1:]]
        return np.asarray(self.loss.evaluate(x.reshape(-1, *self.arrays[0].shape[1:]), *others)[0])

    def problem(
        self, given: Array, atol: Array | float, rtol: float, coordinates: Indices | None = None, eps: float = EPS
    ) -> DerivativeProblem:
        """Return the problem of checking a gradient by differences.

        Args:
            given: the gradient, in the shape of the predictions.
            atol: its allowed absolute difference, a scalar or in the same shape.
            rtol: its allowed difference relative to the scale of a sample.
            coordinates: the coordinates to check. Default: all.
            eps: the precision of the gradient. Default that of float64.
        """
        x = self.pred
        flat, slack = given.reshape(x.shape), np.broadcast_to(atol, given.shape).reshape(x.shape)
        f: Function = self.value
        if coordinates is not None:
            flat, slack = flat[:, coordinates], slack[:, coordinates]
            f = self._along(x, coordinates)
            x = x[:, coordinates]
        return DerivativeProblem(f, x, flat, self.magnitude, *edges(self.loss), rtol, slack, eps)

    def _along(self, whole: Array, coordinates: Indices) -> Function:
        def f(chosen: Indices | None, x: Array) -> Array:
            moved = np.array(whole if chosen is None else whole[chosen])
            moved[:, coordinates] = x
            return self.value(chosen, moved)

        return f


def edges(loss: Loss) -> tuple[float, float]:
    """Return the least and the greatest float64 number of the domain of predictions; open bounds are excluded."""
    domain = loss.inputs[0].kind.domain
    low = np.nextafter(domain.low, np.inf) if domain.open_low and np.isfinite(domain.low) else domain.low
    high = np.nextafter(domain.high, -np.inf) if domain.open_high and np.isfinite(domain.high) else domain.high
    return float(low), float(high)
