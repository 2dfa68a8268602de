"""Open the training file of ``--training``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossctl.cli.data_files import column_role
from lossctl.cli.options import GroupOptions, InputOptions
from lossctl.cli.settings import check_range
from lossctl.errors import DataError, UsageError, printable
from lossctl.io.formats import open_source
from lossctl.io.source import Field, OpenedFile, Options

if TYPE_CHECKING:
    from lossctl.core.loss import Loss
    from lossctl.io.dataset import Dataset


def with_training(data: Dataset, losses: Sequence[Loss], grouping: GroupOptions, inputs: InputOptions) -> Dataset:
    """Return the data set with the scale from the training file; the data set itself without ``--training``.

    Args:
        data: the data set.
        losses: the losses to compute.
        grouping: the options of the training file and of the column of series.
        inputs: how text is read, and the name of the column of the targets.

    Raises:
        UsageError: a loss takes no scale, or the losses take different ones; a column is not named.
        DataError: a row is invalid, or a series has no scale.
    """
    if grouping.training is None:
        if grouping.season != 1:
            raise UsageError("--season belongs to --training FILE")
        return data
    check_range("--season", grouping.season, 1)
    scales = {loss.training_scale for loss in losses}
    if others := [loss.name for loss in losses if loss.training_scale is None]:
        raise UsageError(f"--training: {others[0]} takes no scale of a training series; mase and rmsse do")
    if len(scales) > 1:
        raise UsageError(f"--training: {losses[0].name} and {losses[1].name} have different scales: take one")
    if "scale" in data.places:
        raise UsageError("--training and --input scale both give the scale: leave out one")
    from lossctl.engine.training_scale import SERIES, VALUE, with_scale
    from lossctl.io.dataset import Dataset as Opened
    from lossctl.io.dataset import FieldRef

    options = Options(
        delimiter=inputs.delimiter,
        header=inputs.header,
        encoding=inputs.encoding,
        decimal=inputs.decimal,
        thousands=inputs.thousands,
        na_values=tuple(inputs.na_values),
    )
    opened = open_source(grouping.training, options)
    fields = [Field(VALUE, (_value_column(opened, grouping, inputs),))]
    if grouping.group is not None:
        columns = (grouping.group,)
        fields.append(Field(SERIES, columns, text=opened.holds_text(columns)))
    else:
        _check_one_series(opened)
    source = opened.bind(tuple(fields))
    training = Opened((source,), {field.role: FieldRef(0, i) for i, field in enumerate(fields)})
    (scale,) = scales
    assert scale is not None  # checked above
    return with_scale(
        data, training, scale, grouping.season, None if grouping.group is None else column_role(grouping.group)
    )


def _check_one_series(opened: OpenedFile) -> None:
    """Raise UsageError if a column of text has few values, each for several rows: the file holds several series."""
    from lossctl.engine.all_rows import read_rows
    from lossctl.io.dataset import Dataset as Opened
    from lossctl.io.dataset import FieldRef

    for name in opened.names or ():
        if opened.holds_text((name,)):
            source = opened.bind((Field(name, (name,), text=True),))
            texts = read_rows(Opened((source,), {name: FieldRef(0, 0)}), [name])[name].reshape(-1).tolist()
            if 1 < len(set(texts)) <= len(texts) / 2:
                series = f"column {name!r} names {len(set(texts))} series"
                raise UsageError(f"{opened.display_name}: {series}: add --group {printable(name)}")


def _value_column(opened: OpenedFile, grouping: GroupOptions, inputs: InputOptions) -> str:
    """Return the column of the values: the only one beside that of the series, or that of the target."""
    if opened.names is None:
        if opened.width == 1 and grouping.group is None:
            return "@1"
        raise UsageError(f"{opened.display_name}: --training takes a file with names of columns")
    others = [name for name in opened.names if name != grouping.group]
    if len(others) == 1:
        return others[0]
    if len(inputs.target) == 1 and inputs.target[0] in others:
        return inputs.target[0]
    raise DataError(
        f"{opened.display_name}: its values are in the column that -t names; it has {', '.join(map(repr, others))}"
    )
