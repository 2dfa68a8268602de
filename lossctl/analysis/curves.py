"""Curves of a loss and its gradient along one axis (residual, margin, logit or probability), and their kinks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from lossctl.core.arrays import Array, Dims
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.errors import UsageError, number
from lossctl.immutable import immutable

# Odd, so that the centre of a symmetric range, where most kinks are, is a grid point.
POINTS = 241
# Classes of a row of predictions: with two classes one would be the complement of the other.
_CLASSES = 3
# Target probability of the first class when no class may have probability 0.
_SOFT = 0.8
# Default half-width of an axis of residuals or scores: wide enough to show the beginning of a tail.
_FAR = 3.0
# A second target besides 0, to test whether the loss depends on the residual alone. Not an integer, because a loss
# may treat integers specially.
_ELSEWHERE = 1.75
# _JUMP: a step of the gradient is a candidate jump if it exceeds its neighbours by this factor. _HALVINGS: bisections
# that shrink a grid interval to a millionth of its width.
_JUMP, _HALVINGS = 8.0, 20
# Relative tolerance for the same residual computed from two targets, whose losses differ by roundoff.
_SAME = 1e-9
# Bounds of half the width of a range: charts divide by the width and multiply it.
_LEAST, _MOST = 1e-300, 1e300


@immutable
class Axis:
    """The horizontal axis of a curve.

    Attributes:
        name: the name in words, such as ``residual`` or ``margin``.
        low, high: bounds of the domain.
        default: the range drawn by default.
        inputs: returns the inputs of the loss for an array of positions on the axis.
        place: index of the coordinate that varies in a row of predictions; None if the prediction is one number.
    """

    name: str
    low: float
    high: float
    default: tuple[float, float]
    inputs: Callable[[Array], list[Array]]
    place: int | None = None


@immutable
class Curve:
    """A loss and its gradient with respect to the prediction on a grid; ``gradient`` is None if the loss has none."""

    loss: Loss
    axis: str
    x: Array
    value: Array
    gradient: Array | None


def curve_of(loss: Loss, low: float | None = None, high: float | None = None, points: int = POINTS) -> Curve:
    """Evaluate a loss and its gradient on a uniform grid along its axis.

    Args:
        loss: the loss.
        low, high: the range; if either is None (the default), the default range of the axis.
        points: number of grid points, 241 by default.

    Raises:
        UsageError: the loss has no axis (see :func:`axis_of`), or the range leaves its domain.

    >>> from lossctl import get_loss
    >>> curve = curve_of(get_loss("mae"), -1.0, 1.0, points=3)
    >>> curve.axis, curve.x.tolist(), curve.value.tolist()
    ('residual', [-1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    """
    axis = axis_of(loss)
    start, stop = axis.default if low is None or high is None else (low, high)
    if start < axis.low or stop > axis.high:
        raise UsageError(
            f"{loss.name}: its {axis.name} is from {number(axis.low)} to {number(axis.high)}, "
            f"not from {number(start)} to {number(stop)}"
        )
    half = stop / 2 - start / 2
    if not _LEAST <= half <= _MOST:
        width = "narrow" if half < _LEAST else "wide"
        raise UsageError(f"{loss.name}: the range from {number(start)} to {number(stop)} is too {width} to draw")
    x = np.linspace(start, stop, points)
    value, thunk = loss.evaluate(*axis.inputs(x))
    gradient = None if thunk is None else thunk()
    if gradient is not None and axis.place is not None:
        gradient = gradient[:, axis.place]
    # + 0.0 turns -0.0 into 0.0, and copies the array.
    return Curve(loss, axis.name, x, value + 0.0, None if gradient is None else gradient + 0.0)


def curves_of(losses: Sequence[Loss], low: float | None = None, high: float | None = None) -> list[Curve]:
    """Evaluate losses on grids; losses with the same axis share the range that contains the range of each of them.

    Raises:
        UsageError: a loss has no axis (see :func:`axis_of`), or the range leaves its domain.

    >>> from lossctl import get_loss
    >>> [float(curve.x[-1]) for curve in curves_of([get_loss("mse"), get_loss("huber:delta=4")])]
    [6.0, 6.0]
    """
    axes = [axis_of(loss) for loss in losses]
    curves = []
    for loss, axis in zip(losses, axes, strict=True):
        if low is None or high is None:
            alike = [other.default for other in axes if other.name == axis.name]
            start, stop = max(min(a for a, _ in alike), axis.low), min(max(b for _, b in alike), axis.high)
        else:
            start, stop = low, high
        curves.append(curve_of(loss, start, stop))
    return curves


def axis_of(loss: Loss) -> Axis:
    """Select the axis along which a loss is drawn.

    Raises:
        UsageError: the inputs of the loss cannot be reduced to one number.
    """
    kinds = [i.kind for i in loss.inputs]
    names = [kind.name for kind in kinds]
    nothing = UsageError(f"{loss.name} has no curve: no one number says how far off a prediction is")
    if loss.batch_coupled or len(kinds) < 2 or any(kind.core for kind in kinds[2:]):
        raise nothing
    if kinds[0].core:
        if kinds[0].core != ("classes",) or not (names[1] == "Label" or kinds[1].core == ("classes",)):
            raise nothing
        axis = _of_classes(loss)
    elif kinds[1].core:
        raise nothing
    elif names[0].startswith("Probabilit"):
        axis = Axis("probability, at target 1", 0.0, 1.0, (0.0, 1.0), _against(loss, 1.0))
    elif names[:2] == ["Real", "Sign"] and _turns_with_target(loss):
        axis = Axis("margin", -np.inf, np.inf, (-_FAR, _FAR), _against(loss, 1.0))
    elif names[:2] == ["Real", "Probability"]:
        axis = Axis("logit, at target 1", -np.inf, np.inf, (-2 * _FAR, 2 * _FAR), _against(loss, 1.0))
    else:
        axis = _of_numbers(loss)
    if not _takes(loss, axis):
        raise nothing
    return axis


def _turns_with_target(loss: Loss) -> bool:
    """Return whether loss(s, 1) = loss(-s, -1), so that the loss depends on the margin target · score alone."""
    x = np.linspace(-_FAR, _FAR, 9)
    here, there = (loss.evaluate(*_against(loss, t)(t * x))[0] for t in (1.0, -1.0))
    return np.array_equal(here, there)


def _of_numbers(loss: Loss) -> Axis:
    """Return the residual axis if the loss depends on the residual alone, else the prediction at target 1."""
    domain = loss.inputs[0].kind.domain
    reach = _FAR
    for value in loss.params.values():  # a threshold, such as delta: extend the axis beyond it
        if isinstance(value, float) and np.isfinite(value):
            reach = max(reach, 1.5 * abs(value))
    if np.isinf(domain.low) and np.isinf(loss.inputs[1].kind.domain.low):
        r = np.linspace(-reach, reach, 9)
        here, there = (loss.evaluate(*_against(loss, t)(r + t))[0] for t in (0.0, _ELSEWHERE))
        if np.all(np.abs(here - there) <= _SAME * np.abs(here).max(initial=1.0)):
            name = "residual" if loss.roles[1] == "target" else f"{loss.inputs[0].name} − {loss.inputs[1].name}"
            return Axis(name, -np.inf, np.inf, (-reach, reach), _against(loss, 0.0))
    low = max(domain.low, -_FAR)
    return Axis("prediction, at target 1", domain.low, domain.high, (low, 1.0 + _FAR), _against(loss, 1.0))


def _of_classes(loss: Loss) -> Axis:
    """Return the axis of the score or probability of the true class, which is the first one.

    The other classes have score 0, or equal shares of the remaining probability.
    """
    kind, others = loss.inputs[0].kind, _CLASSES - 1
    scores = np.isinf(kind.domain.low) and np.isinf(kind.domain.high)

    def inputs(x: Array, target: float = 1.0) -> list[Array]:
        other = np.zeros_like(x) if scores else (1.0 - x) / others
        pred = _as(kind, np.stack([x, *[other] * others], axis=1))
        row = _as(loss.inputs[1].kind, np.array([target, *[(1.0 - target) / others] * others]))
        truth = np.tile(row, (len(x), 1)) if loss.inputs[1].kind.core else np.zeros(len(x))
        return [pred, truth, *_others(loss, len(x))]

    if scores:
        name = "logit of true class; others 0"
        return Axis(name, -np.inf, np.inf, (-2 * _FAR, 2 * _FAR), inputs, 0)
    axis = Axis("probability of the true class", 0.0, 1.0, (0.0, 1.0), inputs, 0)
    if _takes(loss, axis):
        return axis
    # Some divergences are infinite where a class has target probability 0.
    soft = partial(inputs, target=_SOFT)
    return replace(axis, name=f"probability of the first class, {_SOFT:g} in the target", inputs=soft)


def _as(kind: Kind, rows: Array) -> Array:
    """Take the logarithm of probabilities if the input kind is log-probabilities."""
    with np.errstate(divide="ignore"):
        return np.log(rows) if kind.domain.high <= 0.0 else rows


def _against(loss: Loss, target: float) -> Callable[[Array], list[Array]]:
    return lambda x: [x, np.full_like(x, target), *_others(loss, len(x))]


def _others(loss: Loss, n: int) -> list[Array]:
    """Return the values of the further inputs: 0 for a real number, 1 for any other kind (a scale, a rate, a sign)."""
    kinds = [i.kind for i in loss.inputs[2:]]
    return [np.full(n, 0.0 if kind.name == "Real" else 1.0) for kind in kinds]


def _takes(loss: Loss, axis: Axis) -> bool:
    """Return whether the inputs of the axis are in the domain of the loss and give finite losses."""
    x = np.linspace(*axis.default, 9)[1:-1]
    arrays = axis.inputs(x)
    dims: Dims = defaultdict(lambda: _CLASSES)
    faults = [i.kind.find_violation(a, dims) for i, a in zip(loss.inputs, arrays, strict=True)]
    return not any(faults) and bool(np.isfinite(loss.evaluate(*arrays)[0]).all())


def kinks(loss: Loss) -> list[float]:
    """Return the positions of the jumps of the gradient, located on a grid and refined by bisection.

    Raises:
        UsageError: the loss has no axis (see :func:`axis_of`).

    >>> from lossctl import get_loss
    >>> kinks(get_loss("hinge")), kinks(get_loss("huber"))
    ([1.0], [])
    """
    axis = axis_of(loss)
    curve = curve_of(loss)
    if curve.gradient is None:
        return []
    with np.errstate(invalid="ignore"):
        steps = np.abs(np.diff(curve.gradient))
    # A steep slope of the gradient gives several large steps, a jump one: larger than the steps two places away.
    around = np.maximum(np.roll(steps, 2), np.roll(steps, -2))
    positions: list[float] = []
    for i in np.flatnonzero((steps > _JUMP * around) & np.isfinite(steps)):
        position = _jump(loss, axis, float(curve.x[i]), float(curve.x[i + 1]), float(steps[i]))
        if position is not None and position not in positions:
            positions.append(position)
    return positions


def _jump(loss: Loss, axis: Axis, low: float, high: float, step: float) -> float | None:
    """Locate by bisection a jump of the gradient by more than half of ``step``, its change from ``low`` to ``high``.

    Returns:
        The position, or None if the change spreads over the interval, that is the gradient is steep but continuous.
    """
    for _ in range(_HALVINGS):
        x = np.array([low, 0.5 * (low + high), high])
        thunk = loss.evaluate(*axis.inputs(x))[1]
        if thunk is None:
            return None
        slope = thunk()
        left, right = np.abs(np.diff(slope if axis.place is None else slope[:, axis.place]))
        low, high = (low, float(x[1])) if left >= right else (float(x[1]), high)
        if max(left, right) < 0.5 * step:
            return None
    return round(0.5 * (low + high), 6) + 0.0
