"""What a gradient check has to know of a user's loss: reductions, changed inputs, random results, objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.points import Points
from lossctl.gradients.repeatability import changed_inputs, check_repeatable
from lossctl.gradients.rounding import PRECISIONS, Precision, precision_of

# Share of the samples with a negative and with a positive loss from which on a loss looks like a gradient.
_BOTH_SIGNS = 0.2


def without_reduction(loss: Loss, reduction: str) -> Loss:
    """Return a loss whose gradient is that of the sum of its losses, of one that returns the gradient of a mean.

    Args:
        loss: the loss. It returns the losses of all samples, or one number, their mean or sum.
        reduction: ``mean`` or ``sum``: the function whose gradient it returns; ``none``: the loss stays as it is.
    """
    if reduction == "none" or loss.is_builtin or loss.takes_tensors:  # of tensors, one number is seen as such
        return loss
    kernel = loss.kernel

    @wraps(kernel)
    def summed(*arrays: Array, **params: Any) -> tuple[Any, Any]:
        n = len(arrays[0])
        result = kernel(*arrays, **params)
        value, gradient = result if isinstance(result, (tuple, list)) and len(result) == 2 else (result, None)
        factor = float(n) if reduction == "mean" else 1.0
        if np.ndim(value) == 0 and value is not None:
            value = np.full(n, np.asarray(value, dtype=np.float64) * factor / n)
        return value, None if gradient is None else lambda: _evaluated(gradient) * factor

    return replace(loss, kernel=summed)


def _evaluated(gradient: object) -> Any:
    return np.asarray(gradient() if callable(gradient) else gradient)


def observe(loss: Loss, arrays: Sequence[Array]) -> tuple[str, ...]:
    """Return notes on a user's loss: that it changes its inputs.

    Raises:
        UsageError: it returns different values at the same point.
    """
    check_repeatable(loss.name, lambda inputs: _results(loss, inputs), arrays)
    inputs = [i.name for i in loss.inputs]
    after = _inputs_after(loss, arrays)
    return tuple(changed_inputs(loss.name, dict(zip(inputs, arrays, strict=True)), after))


def gradient_precision(loss: Loss, arrays: Sequence[Array], given: Array) -> Precision:
    """Return the precision of the gradient that a user's loss returns: of its type, or a lower one that it shows.

    Args:
        loss: the loss, which converts the gradient to float64.
        arrays: its inputs.
        given: the converted gradient.
    """
    names: list[str] = []

    def spy(*inputs: Array, **params: Any) -> Any:
        result = loss.kernel(*inputs, **params)
        if isinstance(result, (tuple, list)) and len(result) == 2:
            names.append(_evaluated(result[1]).dtype.name)
        return result

    replace(loss, kernel=spy).evaluate(*arrays)
    of_type = PRECISIONS.get(names[0], PRECISIONS["float64"]) if names else PRECISIONS["float64"]
    return max(of_type, precision_of(given), key=lambda precision: precision.eps)


def _results(loss: Loss, arrays: Sequence[Array]) -> dict[str, Array | None]:
    value, thunk = loss.evaluate(*arrays)
    return {"loss": value, "gradient": None if thunk is None else thunk()}


def _inputs_after(loss: Loss, arrays: Sequence[Array]) -> dict[str, Array]:
    """Return the inputs that the kernel got, by name, as it left them."""
    seen: list[Array] = []

    def spy(*inputs: Array, **params: Any) -> Any:
        result = loss.kernel(*inputs, **params)
        if isinstance(result, (tuple, list)) and len(result) == 2 and callable(result[1]):
            result = result[0], result[1]()
        seen.extend(inputs)
        return result

    replace(loss, kernel=spy).evaluate(*arrays)
    return {loss.inputs[i].name: array for i, array in zip(loss.signature.kernel_order, seen, strict=True)}


def looks_like_objective(points: Points, given: Array) -> bool:
    """Return whether a user's loss and its gradient look like the gradient and the second derivative of an objective.

    The gradient of a loss has both signs, and its derivative is never negative: such a pair would pass as a loss and
    its gradient.

    Args:
        points: the samples.
        given: the gradient that the loss returns.
    """
    if points.pred.shape[1] != 1 or len(points.loss.inputs) < 2 or len(points) < 10:
        return False
    value = points.loss.evaluate(*points.arrays)[0]
    both = min(np.mean(value < 0), np.mean(value > 0)) >= _BOTH_SIGNS
    return bool(both and np.nanmin(given) >= 0 and np.nanmax(given) > 0)
