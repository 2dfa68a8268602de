"""The layouts in which functions of several predictions per sample take and return arrays, flat or as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.core.user_kernel import as_array
from lossctl.errors import DataError, printable
from lossctl.immutable import immutable

_WANTED = "return the gradient, or (gradient, second derivative), with one number for each prediction"
# Cosine of the angle between two gradients from which on they are the same up to a factor.
SAME_DIRECTION = 0.99
# Number of samples and of classes at which a loss without a gradient is differentiated to recognise a layout, and the
# step relative to the prediction.
_SAMPLES, _CLASSES, _STEP = 64, 16, 1e-6


@immutable
class Layout:
    """How a function of several predictions per sample takes and returns them.

    Attributes:
        taken: order in which it takes flat predictions, ``C`` sample by sample, ``F`` class by class; None: (n, k).
        returned: order of flat results.
        words: the remark on it; empty for the usual one.
    """

    taken: Literal["C", "F"] | None
    returned: Literal["C", "F"]
    words: str = ""


ROWS = Layout(None, "C")
LAYOUTS = (
    ROWS,
    Layout(None, "F", "its result is flat, class by class, as LightGBM reads it and XGBoost does not"),
    Layout("F", "F", "its predictions are flat, class by class, as in LightGBM before version 4"),
    Layout("C", "C", "its predictions are flat, sample by sample"),
)


def derivatives_of(result: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the gradient and the second derivative, or None, of what a function returned."""
    size = int(np.prod(shape))
    if result is None or isinstance(result, dict):
        raise DataError(f"returned {'nothing' if result is None else 'a dict'}: {_WANTED}")
    if isinstance(result, (tuple, list)):
        numbers = all(isinstance(part, (int, float, np.number)) for part in result)
        if not (numbers and len(result) == size):
            if len(result) == 2:
                return result[0], result[1]
            if not (isinstance(result, list) and len(result) == shape[0]):
                raise DataError(f"returned {len(result)} value{'s' * (len(result) != 1)}: {_WANTED}")
    array = as_array(result)
    if array.shape == (2, *shape):
        return array[0], array[1]
    return result, None


def shaped(value: Any, shape: tuple[int, ...], layout: Layout, what: str) -> Array:
    """Return numbers that a function returned as an array of its own in the shape of the predictions."""
    array = as_array(value)
    if array.dtype.kind not in "fiub":
        kind = (
            f"an array of {array.dtype}" if isinstance(value, np.ndarray) else f"a value of type {type(value).__name__}"
        )
        raise DataError(f"{what} is {printable(kind)}: {_WANTED}")
    if array.size != np.prod(shape) or (not array.ndim and array.size != 1):
        returned = "one number" if not array.ndim else f"shape {array.shape}"
        raise DataError(f"{what}: returned {returned} for predictions of shape {shape}: {_WANTED}")
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    flat = layout.returned == "F" and array.shape in ((array.size,), (array.size, 1))
    return array.reshape(-1).reshape(shape, order="F") if flat else array.reshape(shape)


def reference_gradient(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return the gradient of a loss, or differences at some coordinates where it has none; NaN elsewhere."""
    thunk = loss.evaluate(*arrays)[1]
    if thunk is not None:
        return np.asarray(thunk())
    part = [a[:_SAMPLES] for a in arrays]
    slopes = np.full(arrays[0].shape, np.nan)
    for j in np.unique(np.linspace(0, arrays[0].shape[1] - 1, _CLASSES).astype(np.intp)):
        step = np.zeros_like(part[0])
        step[:, j] = _STEP * np.maximum(1.0, np.abs(part[0][:, j]))
        above, below = (loss.evaluate(part[0] + s, *part[1:])[0] for s in (step, -step))
        slopes[: len(part[0]), j] = (above - below) / (2.0 * step[:, j])
    return slopes


def cosine(given: Array, reference: Array) -> float:
    """Return |cos| of the angle between two gradients, over the coordinates where both are finite."""
    known = np.isfinite(given) & np.isfinite(reference)
    a, b = given[known].astype(np.float64), reference[known]
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return abs(float(a @ b)) / size if size > 0 else 0.0
