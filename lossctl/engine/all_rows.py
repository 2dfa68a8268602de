"""All rows of a data set in memory, and sources of arrays that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, key_column
from lossctl.io.source import BadValueError, Read

_ROWS = 1 << 16  # rows that are read at a time


@immutable
class RowsInMemory:
    """A source of arrays whose rows are made of rows of a data set; subclasses say where each value stands.

    Attributes:
        data: the data set.
        roles: the role of each field.
        arrays: (rows, …) of each role.
    """

    data: Dataset
    roles: tuple[str, ...]
    arrays: tuple[npt.NDArray[Any], ...]

    @property
    def display_name(self) -> str:
        """The names of the files."""
        return ", ".join(self.data.names)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.arrays[0])

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of a row of each role."""
        return tuple(array.shape[1:] for array in self.arrays)

    def reader(self) -> Read:
        """Return a reader of the rows."""
        return lambda start, stop: tuple(array[start:stop] for array in self.arrays)


def read_rows(data: Dataset, roles: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return all rows of inputs as arrays, (rows, …) by role.

    Raises:
        DataError: a file is invalid, or the keys of two files differ.
    """
    parts: dict[str, list[npt.NDArray[Any]]] = {role: [] for role in roles}
    for part in data.row_ranges(_ROWS):
        rows = []
        for index, source in enumerate(part.sources):
            try:
                rows.append(source.reader()(part.start, part.stop))
            except BadValueError as bad:
                role = next(r for r, at in data.places.items() if (at.source, at.field) == (index, bad.field))
                where = data.locate(role, part.start + bad.row, bad.place)
                raise DataError(f"{where}: {bad.cause}") from None
        values = {role: rows[place.source][place.field] for role, place in data.places.items()}
        for left, right in data.keys:
            differ = values[left].reshape(-1) != values[right].reshape(-1)
            if differ.any():
                row = part.start + int(np.argmax(differ))
                here, there = data.locate(left, row), data.locate(right, row)
                raise DataError(
                    f"{here} is not that of {there}: not the same sample; --join {key_column(left)} matches the rows"
                )
        for role, arrays in parts.items():
            arrays.append(np.array(values[role]))
    return {role: np.concatenate(arrays) for role, arrays in parts.items()}
