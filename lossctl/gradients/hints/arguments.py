"""Hints on a gradient that is right for other arguments: swapped, rounded, of the row before, at another temperature.

Each is compared with the derivative of the loss at these arguments, which the loss itself gives: by its gradient if it
is registered, by central differences if it is not, because then its gradient is under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    fit,
    fits_right_ones,
    hint,
    share_text,
    short,
    tolerance_of,
    visible,
)
from lossctl.gradients.tally import CheckedSamples

HINTS: list[Hint] = []
# Step of a central difference relative to the sample: it is accurate to about 1e-10, far below FITS.
_STEP = 1e-5
# Most coordinates of a sample, and of all samples, at which the loss is evaluated.
_MOST_COORDINATES, _MOST_EVALUATED = 32, 20_000
# Least number of different slopes: those of a margin are the same whole numbers at any temperature.
_LEAST_VALUES = 10
# Temperatures in use.
_TEMPERATURES = (2.0, 0.5, 4.0, 0.25, 3.0, 5.0, 10.0, 0.1, 20.0, 0.05, 0.07, 1.5, 8.0)
_EPSILONS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def derivative(loss: Loss, inputs: Sequence[Array], by: int = 0) -> Array:
    """Return the derivative (n, coordinates) of the loss with respect to an input; NaN if it refuses the arguments."""
    try:
        return _derivative(loss, inputs, by)
    except Exception:  # noqa: BLE001 - these arguments are ours, and may be outside the domain
        return np.full((len(inputs[by]), inputs[by][:1].size), np.nan)


def _derivative(loss: Loss, inputs: Sequence[Array], by: int) -> Array:
    if loss.is_builtin and by == 0:
        thunk = loss.evaluate(*inputs)[1]
        assert thunk is not None
        return np.asarray(thunk()).reshape(len(inputs[0]), -1)
    x = inputs[by]
    flat = x.reshape(len(x), -1).astype(float)
    slopes = np.empty(flat.shape)
    for j in range(flat.shape[1]):
        step = _STEP * np.maximum(np.abs(flat).max(axis=1), _STEP)
        ends = []
        for sign in (-1.0, 1.0):
            moved = flat.copy()
            moved[:, j] += sign * step
            changed = [*inputs[:by], moved.reshape(x.shape), *inputs[by + 1 :]]
            ends.append((moved[:, j], loss.evaluate(*changed)[0]))
        slopes[:, j] = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
    return slopes


def _explained(
    case: Evidence, change: Callable[[CheckedSamples], Sequence[Array]], by: int = 0, factor: float = 1.0
) -> tuple[int, int] | None:
    """Return the share of wrong coordinates at which given is `factor` times the derivative at other arguments."""
    return explained(case, lambda cases: factor * derivative(case.loss, change(cases), by), factor)


def explained(
    case: Evidence, predict: Callable[[CheckedSamples], Array], factor: float = 1.0
) -> tuple[int, int] | None:
    """Return the share of wrong coordinates at which given is what an explanation predicts; None if it does not fit.

    Args:
        case: the evidence.
        predict: a function that returns the predicted gradient (n, coordinates) of some samples.
        factor: multiple of the numeric derivative in the prediction, which scales its error. Default 1.
    """
    failing, passing = (cases[: _MOST_EVALUATED // cases.given.shape[1]] for cases in (case.failing, case.passing))
    share = fit(failing, predict(failing), factor)
    return share if share and (not len(passing) or fits_right_ones(passing, predict(passing))) else None


def can_evaluate(case: Evidence) -> bool:
    """Return whether the loss can be evaluated at other arguments, at few samples and in little time."""
    return not case.loss.batch_coupled and case.failing.given.shape[1] <= _MOST_COORDINATES


@hint(HINTS, "swapped")
def _swapped(case: Evidence) -> str | None:
    """Explain the gradient of the loss with its first two arguments in the other order."""
    inputs = case.loss.inputs
    shapes = [a.shape for a in case.failing.inputs[:2]]
    if len(inputs) < 2 or inputs[0].kind != inputs[1].kind or shapes[0] != shapes[1] or not can_evaluate(case):
        return None
    share = _explained(case, lambda c: (c.inputs[1], c.inputs[0], *c.inputs[2:]))
    return share and f"given is the gradient with prediction and target swapped{share_text(share)}"


@hint(HINTS, "other-input")
def _other_input(case: Evidence) -> str | None:
    """Explain the derivative with respect to another input than the first."""
    if not can_evaluate(case):
        return None
    for i, (role, declared) in enumerate(zip(case.loss.roles, case.loss.inputs, strict=True)):
        width = case.failing.inputs[i][0].size
        if i == 0 or width != case.failing.given.shape[1] or declared.kind.name in ("Label", "Count"):
            continue
        if share := _explained(case, lambda c: c.inputs, by=i):
            return f"given is the derivative with respect to {role}{share_text(share)}"
    return None


@hint(HINTS, "rounded-input")
def _rounded(case: Evidence) -> str | None:
    """Explain a prediction or a target that was turned into whole numbers before the gradient was computed."""
    if not can_evaluate(case):
        return None
    for i, role in enumerate(case.loss.roles[:2]):
        kind = case.loss.inputs[i].kind.name
        x = case.failing.inputs[i]
        if kind not in ("Real", "Probability", "Probabilities") or (x == np.round(x)).all():
            continue
        ways: list[tuple[str, Callable[[Array], Array]]] = [("rounded", np.round), ("cut to whole numbers", np.trunc)]
        if kind == "Probabilities":
            ways = [("replaced by 1 at its largest class and 0 elsewhere", _largest)]
        for words, way in ways:

            def changed(c: CheckedSamples, i: int = i, way: Callable[[Array], Array] = way) -> Sequence[Array]:
                return [way(a) if j == i else a for j, a in enumerate(c.inputs)]

            if share := _explained(case, changed):
                return f"given is the gradient with {role} {words}{share_text(share)}"
    return None


def _largest(rows: Array) -> Array:
    return np.asarray(np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, None], dtype=float)


@hint(HINTS, "other-row")
def _other_row(case: Evidence) -> str | None:
    """Explain a target that is that of the sample before or after, or the mean; all samples have to be at hand."""
    every, loss = case.every, case.loss
    if len(loss.inputs) < 2 or not case.complete or not can_evaluate(case):
        return None
    target = every.inputs[1]
    ways = [("the target of the sample before", np.roll(target, 1, axis=0))]
    ways += [
        ("the target of the sample after", np.roll(target, -1, axis=0)),
        ("the targets in reversed order", target[::-1]),
    ]
    if loss.inputs[1].kind.name == "Real":
        ways += [("the mean of the targets in place of the target", np.full_like(target, target.mean()))]
    if not np.ptp(target):
        return None
    for words, changed in ways:
        predicted = derivative(loss, [every.inputs[0], changed, *every.inputs[2:]])
        wrong = every.wrong.any(axis=1)
        share = fit(every[wrong], predicted[wrong])
        if share and (wrong.all() or fits_right_ones(every[~wrong], predicted[~wrong])):
            return f"given is the gradient with {words}{share_text(share)}"
    return None


@hint(HINTS, "largest-class")
def _largest_class(case: Evidence) -> str | None:
    """Explain a label that is the predicted class."""
    if len(case.loss.inputs) < 2 or case.loss.inputs[1].kind.name != "Label" or not can_evaluate(case):
        return None
    if case.failing.inputs[0].ndim != 2:
        return None
    share = _explained(
        case, lambda c: (c.inputs[0], c.inputs[0].argmax(axis=1).astype(c.inputs[1].dtype), *c.inputs[2:])
    )
    return share and f"given takes the class with the largest prediction for the target{share_text(share)}"


@hint(HINTS, "temperature")
def _temperature(case: Evidence) -> str | None:
    """Explain a gradient at logits that are divided by a temperature, or not, where the loss does the opposite."""
    failing = case.failing
    kinds = [i.kind.name for i in case.loss.inputs]
    logits = kinds[0] == "Logits" or (kinds[0] == "Real" and kinds[1:2] in (["Probability"], ["Sign"]))
    if not logits or not can_evaluate(case):
        return None
    few = failing[: 2 * _MOST_COORDINATES]
    seen = visible(few)
    if np.count_nonzero(seen) < ENOUGH:
        return None
    for t in _TEMPERATURES:
        slopes = derivative(case.loss, (few.inputs[0] / t, *few.inputs[1:]))
        if (
            len(np.unique(slopes.round(6))) < _LEAST_VALUES
        ):  # of a margin the slopes are whole numbers at any temperature
            continue
        factors = (few.given / slopes)[seen & (np.abs(slopes) > 1e-3 * few.scale)]
        factor = float(np.median(factors)) if factors.size else math.nan
        for power in (0.0, 1.0, -1.0, 2.0, -2.0):
            if not abs(factor - t**power) <= VISIBLE * FITS * t**power:
                continue
            if share := _explained(case, partial(_divided, by=t), factor=t**power):
                times = f"{number(short(t**power))} times " if power else ""
                at = f"pred/{number(t)}" if t > 1.0 else f"{number(short(1.0 / t))}·pred"
                return f"given is {times}the gradient at {at}{share_text(share)}: the temperature is wrong"
    return None


@hint(HINTS, "epsilon-added")
def _epsilon_added(case: Evidence) -> str | None:
    """Explain a gradient at pred + ε, or at pred where the loss is of pred + ε."""
    if case.loss.inputs[0].kind.name not in ("Positive", "Probability", "Probabilities") or not can_evaluate(case):
        return None
    few = case.failing[: 2 * _MOST_COORDINATES]
    for epsilon, sign in _signed():
        predicted = derivative(case.loss, (few.inputs[0] + sign * epsilon, *few.inputs[1:]))
        close = (np.abs(few.given - predicted) <= tolerance_of(few))[visible(few)]
        if np.count_nonzero(close) < 0.9 * close.size:
            continue
        if share := _explained(case, partial(_shifted, by=sign * epsilon)):
            only = "only in given" if sign > 0 else "only in the loss"
            return f"an ε of {number(epsilon)} is added to pred {only}{share_text(share)}"
    return None


def _divided(cases: CheckedSamples, by: float) -> Sequence[Array]:
    return (cases.inputs[0] / by, *cases.inputs[1:])


def _shifted(cases: CheckedSamples, by: float) -> Sequence[Array]:
    return (cases.inputs[0] + by, *cases.inputs[1:])


def _signed() -> Iterator[tuple[float, float]]:
    return ((epsilon, sign) for epsilon in _EPSILONS for sign in (1.0, -1.0))
