"""Masks: the channels of an image as elements, targets that are maps of labels, pixels that do not count."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.core.arrays import Core
from lossctl.core.kind import flattens_axes, has_channels
from lossctl.core.loss import Loss
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset


@immutable
class MaskLayout:
    """How a loss of masks reads its images.

    Attributes:
        channels: the number of channels, each of which is an element; 0 if an image is one element.
        axis: the axis of the channels, counted with that of the samples as 0; None if an image is one element.
        label_map: whether the target holds the index of a channel in each pixel.
        weights: how the weights of pixels are given: "" (not), "image" (for all channels) or "channels".
        ignores: whether pixels with the ignored label are left out.
    """

    channels: int = 0
    axis: int | None = None
    label_map: bool = False
    weights: str = ""
    ignores: bool = False

    @property
    def weighs_pixels(self) -> bool:
        """Whether the weight of a pixel is an input of the loss."""
        return bool(self.weights) or self.ignores

    def split(self, data: Dataset, role: str, core: Core) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        """Return the loop axis, the channels, and the axes of the pixels of an input."""
        tail = data.raw_row_shape(role)
        whole = self.label_map and role == "target"
        channels, pixels = (self.channels, tail) if whole else channels_first(role, tail, self.axis)
        return (channels,), {core[0]: pixels}


def mask_layout(loss: Loss, data: Dataset, options: ComputeOptions, roles: Sequence[str]) -> MaskLayout | None:
    """Return how a loss of masks reads its images; None for other losses, and if an image is read as it is.

    Raises:
        UsageError: pixels have weights, and the loss takes none.
    """
    core = loss.inputs[0].kind.core
    if not flattens_axes(core):
        return None
    tail = data.raw_row_shape(roles[0])
    channels, pixels = 0, tail
    if has_channels(core, options.class_axis):
        channels, pixels = channels_first(roles[0], tail, options.class_axis)
    elif len(core) > 1:
        pixels = tail[:-1] if options.class_axis is None else channels_first(roles[0], tail, options.class_axis)[1]
    label_map = channels > 0 and len(roles) > 1 and len(data.raw_row_shape(roles[1])) == len(tail) - 1
    weight, weights = data.raw_row_shape("weight") if "weight" in data.places else (), ""
    if weight not in ((), (1,), (channels,)):
        weights = "image" if weight == pixels else "channels" if channels and weight == tail else ""
    if weights and not loss.signature.optional:
        raise UsageError(f"--weight has a number for each pixel, where {loss.name} takes one for each sample")
    ignores = options.ignore_index is not None and loss.neutral is not None
    layout = MaskLayout(channels, options.class_axis if channels else None, label_map, weights, ignores)
    return None if layout == MaskLayout() else layout


def channels_first(role: str, tail: tuple[int, ...], axis: int | None) -> tuple[int, tuple[int, ...]]:
    """Return the number of channels, along an axis counted with that of the samples, and the shape of one channel.

    Raises:
        UsageError: there is no such axis.
    """
    assert axis is not None
    if axis == 0 or not -len(tail) <= axis <= len(tail):
        axes = f"axes 1 to {len(tail)}" if len(tail) > 1 else f"{'only axis 1' if tail else 'no axis'}"
        raise UsageError(f"--class-axis {axis}: {role} has {axes} besides that of the samples, 0")
    place = axis - 1 if axis > 0 else axis + len(tail)
    return tail[place], (*tail[:place], *tail[place + 1 :])
