"""The elements of one block that count for a loss, and how they group into rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array


class RowError(Exception):
    """An invalid value: the role of its input, its row, its place in the row (None if it has none) and the cause."""

    def __init__(self, role: str, row: int, place: int | None, cause: str) -> None:
        super().__init__(role, row, place, cause)
        self.role, self.row, self.place, self.cause = role, row, place, cause


@dataclass(slots=True)  # not frozen: one is made for every block, and a frozen one takes 1 µs more
class RowIndex:
    """How the kept elements of a block group into rows.

    Attributes:
        start: the number of the first row of the block.
        count: the number of rows of the block.
        per_row: elements in each row.
        index: (kept elements,) the positions of the kept elements; None if all are kept.
    """

    start: int
    count: int
    per_row: int
    index: npt.NDArray[np.intp] | None

    @property
    def kept(self) -> int:
        """The number of rows with at least one kept element."""
        if self.index is None:
            return self.count
        return len(self.index) if self.per_row == 1 else len(np.unique(self.index // self.per_row))

    def number(self, kept: int) -> int:
        """Return the row number in the data set of the kept row with index ``kept``."""
        if self.index is None:
            return self.start + kept
        return self.start + int(np.unique(self.index // self.per_row)[kept])

    def sums(self, values: Array) -> Array:
        """Sum the values of the kept elements within each kept row: (kept elements,) to (kept rows,)."""
        if self.per_row == 1:
            return values
        if self.index is None:
            first = np.arange(0, len(values), self.per_row)
        else:
            first = np.unique(self.index // self.per_row, return_index=True)[1]
        # Not a sum over an axis: it adds in another order, so the roundoff of a row would depend on whether another
        # row has a gap.
        return np.add.reduceat(values, first)


@dataclass(slots=True)
class Elements:
    """The elements of one block that count for one loss: inputs in the encoding of the loss, and weights.

    Attributes:
        arrays: the inputs, each (m, *core) for m elements that count.
        weights: (m,) weights; None if there are none.
        rows: how the elements group into rows.
        missing: the number of elements with a NaN in an input; ``arrays`` does not contain them.
        ignored: the number of elements with the ignored label; ``arrays`` does not contain them.
        domain_check_deferred: whether the finiteness check of some inputs is left to the loss: see ``Block.elements``.
    """

    arrays: list[Array]
    weights: Array | None
    rows: RowIndex
    missing: int
    ignored: int
    domain_check_deferred: bool = False

    def __len__(self) -> int:
        return len(self.arrays[0])
