"""The scale of MASE and RMSSE from the training series, ``--training``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lossctl.core.arrays import Array
from lossctl.engine.all_rows import RowsInMemory, read_rows
from lossctl.errors import DataError, printable
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, FieldRef

# The roles of a training file.
VALUE, SERIES = "training value", "training series"


@immutable
class ScaledSource(RowsInMemory):
    """All rows of a data set, with the scale of the series of each row."""

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value in its file; of a scale, that of the prediction."""
        role = self.roles[field]
        return self.data.locate(role if role in self.data.places else "pred", row, place)

    def line(self, row: int) -> str | None:
        """Return the position of a row in the file of its prediction."""
        return self.data.line(row)


def with_scale(
    data: Dataset, training: Dataset, scale_of: Callable[[Array], float], season: int, group: str | None
) -> Dataset:
    """Return a data set with an input ``scale``, in memory.

    Args:
        data: the forecasts and the targets.
        training: the past of the series, in the order of time: role ``VALUE``, and ``SERIES`` if there are several.
        scale_of: returns the scale of a series from its differences to the values a season before.
        season: the length of a season, in rows.
        group: the role in ``data`` of the series of each row; None if there is one series.

    Raises:
        DataError: a row is invalid; a series is not in the training file, is too short, or does not change.
    """
    past = read_rows(training, [*training.places])
    values = past[VALUE].reshape(-1).astype(np.float64)
    arrays = read_rows(data, [*data.places])
    rows = len(arrays["pred"])
    if group is None:
        scales = np.full(rows, _scale(values, scale_of, season, training.names[0]))
    else:
        names, codes = np.unique(arrays[group].reshape(-1), return_inverse=True)
        series = past[SERIES].reshape(-1)
        of_series = []
        for name in names.tolist():
            where = f"{training.names[0]}: series {printable(str(name))}"
            chosen = series == name
            if not chosen.any():
                raise DataError(f"{where} is missing")
            of_series.append(_scale(values[chosen], scale_of, season, where))
        scales = np.array(of_series)[codes]
    arrays["scale"] = scales
    source = ScaledSource(data, tuple(arrays), tuple(arrays.values()))
    places = {role: FieldRef(0, i) for i, role in enumerate(arrays)}
    return Dataset((source,), places, notes=data.notes)


def _scale(values: Array, scale_of: Callable[[Array], float], season: int, where: str) -> float:
    if len(values) <= season:
        raise DataError(f"{where} has {len(values)} values: a season of {season} needs more")
    if np.isnan(values).any():
        raise DataError(f"{where} has a NaN")
    scale = scale_of(values[season:] - values[:-season])
    if not 0.0 < scale < np.inf:
        raise DataError(f"{where}: the error of the naive forecast is {scale:g}: there is no scale")
    return scale
