"""How far rounding alone can move a right loss value: the terms that its formula sums.

As for a gradient (:mod:`lossctl.gradients.rounding`), the error of a value in a precision with machine epsilon ε is a
few ε times its *terms*: |log-sum-exp| and |z_y| of a cross entropy, not their difference.

A mean of n values adds the error of the accumulation: log₂ n · ε times the mean magnitude, the bound of pairwise
summation (Higham 2002, Accuracy and Stability of Numerical Algorithms, 4.3). Values of 16 bits are accumulated in
float32, as PyTorch and JAX do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.gradients.rounding import (
    PRECISIONS,
    ULPS_OF_TERMS,
    Precision,
    distant_target,
    moved_inputs,
    opposite_target,
)

# Distances from the target, relative to 1 + |pred|, at which the tail of a loss of a residual is a straight line.
_FAR = (2.0**20, 2.0**21)
# Number of other classes at which a loss of a label is evaluated.
_MOVES = 3


def value_slack(loss: Loss, arrays: Sequence[Array], values: Array, precision: Precision) -> Array:
    """Return how far rounding can move the values of a registered loss, (n,).

    The amount is 8·ε times the sum of

    - |f|;
    - the largest change of f, per ε, when each input changes by ε, in several patterns of signs: what f subtracts;
    - for a loss of logits or scores, the difference between f and its value at the opposite target: z_k − z_y of a
      cross entropy, at least the 1 in log(1 + e^−z);
    - for a loss of an angle, the same with the opposite direction: the 1 of 1 − cos;
    - for a loss of a residual whose tail is a straight line, the height of that line at the target: the log 2 of
      log-cosh, the δ² of pseudo-Huber's δ²(√(1 + (r/δ)²) − 1), the 1 of 1 − e^(−r²).

    Underflow adds the smallest numbers.

    Args:
        loss: the loss.
        arrays: its inputs.
        values: (n,) its values.
        precision: that of the numbers to judge.
    """
    change = np.zeros_like(values)
    for moved in moved_inputs(loss, arrays, precision.eps):
        with np.errstate(invalid="ignore"):  # an infinite loss
            difference = np.abs(_values(loss, moved) - values)
        # Where the loss is not defined at a changed input, a change shows nothing.
        change = np.fmax(change, np.where(np.isfinite(difference), difference, 0.0))
    terms = np.abs(values)
    kinds = [i.kind for i in loss.inputs]
    away = np.zeros_like(values)
    for other in _other_inputs(arrays, kinds):
        with np.errstate(invalid="ignore"):
            difference = np.abs(_values(loss, other) - values)
        away = np.fmax(away, np.where(np.isfinite(difference), difference, 0.0))
    terms = terms + away
    if len(arrays) > 1 and kinds[0].name == kinds[1].name == "Real" and not loss.batch_coupled:
        terms = terms + _tail_height(loss, arrays)
    return np.asarray(ULPS_OF_TERMS * (precision.eps * terms + change + precision.tiny))


def _other_inputs(arrays: Sequence[Array], kinds: Sequence[Kind]) -> Iterator[list[Array]]:
    """Yield the inputs with the opposite target, if predictions are unbounded, and with each direction reversed."""
    unbounded = bool(np.isinf(kinds[0].domain.low) and np.isinf(kinds[0].domain.high))
    if len(arrays) > 1 and unbounded and kinds[1].name != "Vector":
        other, moves = opposite_target(arrays, kinds), 1
        if isinstance(kinds[1], LabelKind):  # a class next to the target may have the logit −inf
            moves = min(arrays[0].shape[-1] - 1, _MOVES)
        for _ in range(moves):
            if other is not None:
                yield [arrays[0], other, *arrays[2:]]
                other = opposite_target([arrays[0], other], kinds)
    for i, kind in enumerate(kinds[1:], 1):
        if kind.name == "Direction":
            yield [*arrays[:i], -arrays[i], *arrays[i + 1 :]]


def accumulation_slack(precision: Precision, samples: int, magnitude: float) -> float:
    """Return the error of a sum of `samples` values with the sum of magnitudes `magnitude`, by pairwise summation."""
    accumulator = min(precision.eps, PRECISIONS["float32"].eps)
    return accumulator * math.log2(max(samples, 2)) * magnitude


def _tail_height(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return |c| if the loss at a distance R from the target is c + s·R for large R, else 0."""
    pred, target = arrays[:2]
    first, second, far = (
        _values(loss, [pred, distant_target(pred, target, d), *arrays[2:]]) for d in (*_FAR, 2.0 * _FAR[1])
    )
    with np.errstate(all="ignore"):
        # On a line through three distances 1, 2, 4 (in units of the first) the steps are in the ratio 1 : 2.
        straight = np.abs((far - second) - 2.0 * (second - first)) <= 1e-6 * np.abs(first) + 1e-6
        height = np.abs(2.0 * first - second)
    return np.where(straight & np.isfinite(height), height, 0.0)


def _values(loss: Loss, arrays: Sequence[Array]) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(loss.evaluate(*arrays)[0])
