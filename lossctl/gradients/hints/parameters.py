"""Hints on a gradient that is right for another value of a parameter: its default, 1, its reciprocal."""

from __future__ import annotations

from collections.abc import Iterator

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.core.parameters import Parameter, Value
from lossctl.errors import LossctlError, number
from lossctl.gradients.hints.arguments import can_evaluate, derivative, explained
from lossctl.gradients.hints.evidence import Evidence, Hint, constant_ratio, hint, share_text, short
from lossctl.gradients.tally import CheckedSamples

HINTS: list[Hint] = []
# A value is only named if the gradient at this multiple of it does not fit: a threshold beyond the data has no value.
_BESIDE = 1.01


@hint(HINTS, "other-parameter")
def _other_parameter(case: Evidence) -> str | None:
    """Explain the gradient of the loss with another value of one parameter."""
    loss = case.loss
    if not loss.parameters or not can_evaluate(case) or constant_ratio(case.failing):
        return None
    for parameter in loss.parameters:
        value = loss.params[parameter.name]
        for other in _others(parameter, value):
            share = _fits(case, loss, parameter.name, other)
            if share is None:
                continue
            if isinstance(other, float) and _fits(case, loss, parameter.name, other * _BESIDE or _BESIDE - 1.0):
                continue
            name = f"{parameter.name} = {_text(other)}, not {_text(value)}"
            return f"given is the gradient with {name}{share_text(share)}"
    return None


def _others(parameter: Parameter, value: Value) -> Iterator[Value]:
    """Yield the values that are taken by mistake: the default, another choice, a reciprocal, a square, a complement."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        yield from (choice for choice in parameter.choices if choice != value)
    elif isinstance(value, (int, float)):
        v = float(value)
        default = parameter.default
        values = [float(default)] if isinstance(default, (int, float)) else []
        values += [1.0, 0.0, 0.5, 2.0, 1.0 - v, 2.0 - v, v * v, 0.5 * v, 2.0 * v, -v]
        if v:
            values += [1.0 / v, abs(v) ** 0.5]
        for other in dict.fromkeys(values):
            if other != v:
                yield other


def _fits(case: Evidence, loss: Loss, name: str, value: Value) -> tuple[int, int] | None:
    try:
        other = loss.bind(**{name: value})
    except LossctlError:  # outside the domain of the parameter
        return None

    def predict(cases: CheckedSamples) -> Array:
        return derivative(other, cases.inputs)

    return explained(case, predict)


def _text(value: Value) -> str:
    return number(short(value)) if isinstance(value, float) else str(value).lower()
