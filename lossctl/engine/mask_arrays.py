"""The inputs of losses of masks in the shapes that these take."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lossctl.core.array_kinds import PIXEL_WEIGHT
from lossctl.core.arrays import Array, Core
from lossctl.engine.elements import RowError
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan
from lossctl.errors import number


class ReadBlock(Protocol):
    """What is read here of a :class:`lossctl.engine.block.Block`."""

    options: ComputeOptions
    start: int
    count: int

    def input(self, role: str, core: Core = (), channels: int | None = None) -> Array: ...

    def checked_weights(self) -> Array: ...


def mask_array(block: ReadBlock, plan: LossPlan, role: str) -> Array:
    """Return one input of a loss of masks, (elements, pixels) or (elements, pixels, classes).

    Args:
        block: the block.
        plan: the loss and its inputs, with the layout of its masks.
        role: the role of the input.

    Raises:
        RowError: a target is none of the channels, or the weight of a pixel is invalid.
    """
    assert plan.masks is not None
    layout = plan.masks
    if role == PIXEL_WEIGHT:
        return _pixel_weights(block, plan)
    if role != plan.target:
        return _masks(block, plan, role)
    if layout.label_map:
        return _one_hot(block, plan)
    target = _masks(block, plan, plan.target)
    return np.where(target == block.options.ignore_index, 0.0, target) if layout.ignores else target


def _masks(block: ReadBlock, plan: LossPlan, role: str) -> Array:
    """Return an input as it is, (elements, *core)."""
    return block.input(role, plan.loss.inputs[plan.roles.index(role)].kind.core, plan.channel_axis)


def _label_map(block: ReadBlock, plan: LossPlan) -> Array:
    return block.input(plan.target).reshape(block.count, -1)


def _one_hot(block: ReadBlock, plan: LossPlan) -> Array:
    """Return the mask (elements, pixels) of each channel of a map of labels."""
    assert plan.masks is not None
    labels, channels = _label_map(block, plan), np.arange(float(plan.masks.channels))
    known = np.isin(labels, channels) | np.isnan(labels)
    if plan.masks.ignores:
        known |= labels == block.options.ignore_index
    if not known.all():
        row, pixel = (int(i) for i in np.argwhere(~known)[0])
        count, label = len(channels), float(labels[row, pixel])
        cause = f"label {number(label)} is not a class: {count} channels are classes 0 to {count - 1}"
        hint = "" if plan.masks.ignores else f"; --ignore-index {number(label)} leaves its pixels out"
        raise RowError(plan.target, block.start + row, pixel, cause + hint)
    masks: Array = (labels[:, None, :] == channels[:, None]).astype(np.float64)
    masks += np.where(np.isnan(labels), np.nan, 0.0)[:, None, :]
    return masks.reshape(block.count * len(channels), -1)


def _pixel_weights(block: ReadBlock, plan: LossPlan) -> Array:
    """Return the weight (elements, pixels) of each pixel: 0 where the target is the label to leave out."""
    assert plan.masks is not None
    layout, repeats = plan.masks, plan.masks.channels or 1
    weights = np.ones((1, 1))
    if layout.weights:
        flat = block.checked_weights()
        weights = np.repeat(flat.reshape(block.count, -1), repeats, axis=0)
        if layout.weights == "channels":
            weights = block.input("weight", plan.loss.inputs[0].kind.core, plan.channel_axis)
    if not layout.ignores:
        return weights
    if layout.label_map:
        labels = np.repeat(_label_map(block, plan), repeats, axis=0)
    else:
        labels = _masks(block, plan, plan.target)
    return np.asarray(np.where(labels == block.options.ignore_index, 0.0, weights))
