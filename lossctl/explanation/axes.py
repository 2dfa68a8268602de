"""Predictions of more than two dimensions whose classes are along an axis, as rows of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.errors import DataError, UsageError


def classes_last(
    pred: npt.NDArray[Any], target: npt.NDArray[Any], axis: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Move the axis of the classes to the end.

    Args:
        pred: the predictions.
        target: the targets, in the shape of ``pred``, or without the axis if they are labels.
        axis: the axis of the classes in ``pred``.

    Raises:
        UsageError: ``pred`` has no such axis.
        DataError: the targets have another shape.
    """
    if pred.ndim < 2 or not -pred.ndim <= axis < pred.ndim:
        raise UsageError(f"--class-axis {axis}: pred has shape {pred.shape}")
    moved = np.moveaxis(pred, axis, -1)
    if target.shape == pred.shape:
        return moved, np.moveaxis(target, axis, -1)
    if target.shape != moved.shape[:-1]:
        raise DataError(
            f"target has shape {target.shape}; with pred {pred.shape} and --class-axis {axis} it is "
            f"{moved.shape[:-1]}, or that of pred"
        )
    return moved, target


def as_elements(array: npt.NDArray[Any], places: tuple[int, ...]) -> npt.NDArray[Any]:
    """Flatten the places of an array; a number for each sample is repeated for each of its places."""
    if array.shape[: len(places)] == places:
        return array.reshape(-1, *array.shape[len(places) :])
    return np.repeat(array, int(np.prod(places[1:])), axis=0)


def as_channels(rows: Array, images: int) -> Array:
    """Turn rows of classes (images·pixels, k) into the channels of the images (images·k, pixels)."""
    channels = rows.reshape(images, -1, rows.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(channels.reshape(images * rows.shape[1], -1))
