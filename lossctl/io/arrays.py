"""Arrays in memory as a source of rows."""

from __future__ import annotations

from lossctl.immutable import immutable
from lossctl.io.source import Read, Rows


@immutable
class ArraySource:
    """A source over arrays in memory.

    Attributes:
        display_name: the name of the source in messages.
        arrays: one array of shape (rows, *row_shape) for each field.
        names: the name of each array in messages.
        offset: number of the first row of the arrays in the whole data set, default 0.
    """

    display_name: str
    arrays: Rows
    names: tuple[str, ...] = ()
    offset: int = 0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.arrays[0])

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one row of each array."""
        return tuple(a.shape[1:] for a in self.arrays)

    def reader(self) -> Read:
        """Return a reader whose results are slices, without copies."""
        return lambda start, stop: tuple(a[start - self.offset : stop - self.offset] for a in self.arrays)

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of a value: ``pred[3]``, or ``pred[3, 1]`` if a row is an array."""
        at = f"{row}" if place is None or not self.row_shapes[field] else f"{row}, {place}"
        return f"{self.names[field]}[{at}]"

    def line(self, row: int) -> None:
        """Return None: arrays have no lines."""
