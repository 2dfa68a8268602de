"""A user's gradient function as one of arrays: its argument order, its shapes, its second derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import DataError, UsageError, printable

# (inputs, sample weights or None) -> (gradient, Hessian diagonal or None)
Gradient: TypeAlias = Callable[[Sequence[Array], Array | None], tuple[Array, Array | None]]

# Orders of the arguments of a gradient function; the user has to say which, since it cannot be detected.
SIGNATURES = ("pred,target", "target,pred", "pred,dataset")


def wrap_gradient_function(function: Callable[..., Any], signature: str, where: str) -> Gradient:
    """Wrap a user's function of (pred, target) that returns the gradient or (gradient, Hessian diagonal).

    Args:
        function: the user's function. Its arguments are copies.
        signature: order of its arguments. With ``pred,dataset`` the second argument has ``get_label()``, as
            the data sets of XGBoost and LightGBM do.
        where: name of the function in error messages.

    Raises:
        UsageError: by the wrapped function, if `function` raises.
        DataError: by the wrapped function, if the result has the wrong size or type.
    """

    def gradient(arrays: Sequence[Array], weights: Array | None) -> tuple[Array, Array | None]:
        pred, *others = (a.copy() for a in arrays)
        given: tuple[Any, ...] = (pred, *others)
        if signature == "target,pred":
            given = (others[0], pred, *others[1:])
        elif signature == "pred,dataset":
            given = (pred, _Labelled(others[0]))
        try:
            result = function(*given)
        except Exception as error:  # whatever the user's own function raises
            raise UsageError(f"{where}: {type(error).__name__}: {printable(str(error))}") from error
        first, second = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        return _shaped(first, pred, where), None if second is None else _shaped(second, pred, where)

    return gradient


def _shaped(value: Any, pred: Array, where: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.size != pred.size:
        raise DataError(f"{where}: returned shape {array.shape} for predictions of shape {pred.shape}")
    return array.reshape(pred.shape) if array.dtype.kind == "f" else array.reshape(pred.shape).astype(np.float64)


class _Labelled:
    """The methods of a data set that an objective of XGBoost or LightGBM calls."""

    def __init__(self, target: Array) -> None:
        self._target = target

    def get_label(self) -> Array:
        """Return the targets."""
        return self._target

    def get_weight(self) -> Array:
        """Return an empty array, as XGBoost does for data without weights."""
        return np.empty(0)
