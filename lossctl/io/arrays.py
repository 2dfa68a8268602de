"""Arrays in memory as a source of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lossctl.io.source import Read, Rows


@dataclass(frozen=True)
class ArraySource:
    """Arrays in memory, of which the first row is row ``offset`` of the whole."""

    where: str
    arrays: Rows
    names: tuple[str, ...] = ()
    offset: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.arrays[0])

    @property
    def tails(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one row of each array."""
        return tuple(a.shape[1:] for a in self.arrays)

    def reader(self) -> Read:
        """Slices: nothing is copied."""
        return lambda start, stop: tuple(a[start - self.offset : stop - self.offset] for a in self.arrays)

    @property
    def share(self) -> float | None:
        """Nothing is read."""
        return None

    def chunks(self) -> Iterator[Rows]:
        """All of it at once."""
        yield self.arrays

    def locate(self, row: int, field: int, place: int | None) -> str:
        """``pred[3]``, or ``pred[3, 1]`` where a row has several numbers."""
        at = f"{row}" if place is None or not self.tails[field] else f"{row}, {place}"
        return f"{self.names[field]}[{at}]"

    def line(self, row: int) -> None:
        """Arrays have no lines."""
