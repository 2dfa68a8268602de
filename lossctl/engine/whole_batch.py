"""Losses of images with the whole batch as one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossctl.core.kind import flattens_axes
from lossctl.core.loss import Loss
from lossctl.engine.all_rows import RowsInMemory, read_rows
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, FieldRef


@immutable
class BatchSource(RowsInMemory):
    """A source of one row: all rows of a data set, as arrays (1, rows, …)."""

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value in its file."""
        if place is None:
            return f"{self.display_name}: {self.roles[field]}"
        image, pixel = divmod(place, self.arrays[field][0, 0].size)
        return self.data.locate(self.roles[field], image, pixel)

    def line(self, row: int) -> str | None:
        """Return None: the row has several lines."""
        return None


def as_one_image(data: Dataset, losses: Sequence[Loss], options: ComputeOptions) -> tuple[Dataset, ComputeOptions]:
    """Return the data set with the whole batch as one image, in memory, and the options for it.

    Args:
        data: a data set with one image per row.
        losses: losses of images.
        options: options of the computation.

    Raises:
        UsageError: a loss is none of images, an image has a weight, or rows are left out.
    """
    if others := [loss.name for loss in losses if not flattens_axes(loss.inputs[0].kind.core)]:
        raise UsageError(f"--reduction batch takes losses of images, such as dice; {others[0]} is none")
    if options.where is not None:
        raise UsageError("--where with --reduction batch: leave the images out of the file")
    if "weight" in data.places and not data.row_shape("weight"):
        raise UsageError("--weight has one number for each image, and the batch is one image: give one for each pixel")
    arrays = {role: array[None] for role, array in read_rows(data, list(data.places)).items()}
    source = BatchSource(data, tuple(arrays), tuple(arrays.values()))
    axis = options.class_axis
    if axis is not None and axis > 0:
        axis += 1
    whole = Dataset((source,), {role: FieldRef(0, i) for i, role in enumerate(arrays)}, notes=data.notes)
    return whole, replace(options, class_axis=axis)
