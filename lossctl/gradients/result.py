"""What a gradient check found, and the lines that a failing assertion shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.parameters import Value
from lossctl.gradients.block_check import BY_DIRECTION
from lossctl.gradients.tally import CheckedSamples

# How many of the worst coordinates a person is shown.
_SHOWN = 5


@dataclass(frozen=True)
class GradCheck:
    """What finite differences say of a gradient; true if it passed.

    Attributes:
        loss: the loss with its parameters.
        what: ``gradient``, or ``second derivative`` of an objective that returned one.
        samples: samples looked at.
        counts: coordinates by verdict: ok, kink, wrong, unresolved, undefined.
        passed: nothing is wrong and at most 1 % unresolved.
        worst: the largest error relative to the scale of its sample, and its row.
        hint: how the gradient is wrong, where a simple explanation fits.
        how: what was moved, where it was not each coordinate by itself.
        verdict, numeric, error, given: arrays of the shape (samples, coordinates), if they were kept.
        bad, good: samples with something wrong, the first and the worst; samples without.
        second: the check of the second derivative, where an objective returned one.
    """

    loss: str
    name: str
    params: Mapping[str, Value]
    what: str
    samples: int
    counts: Mapping[str, int]
    passed: bool
    worst: float
    worst_row: int | None
    hint: str | None
    how: str
    bad: CheckedSamples
    good: CheckedSamples
    verdict: np.ndarray | None
    numeric: Array | None
    error: Array | None
    given: Array | None
    second: GradCheck | None = None

    def __bool__(self) -> bool:
        return self.passed and (self.second is None or self.second.passed)

    @property
    def checked(self) -> int:
        """Coordinates looked at."""
        return sum(self.counts.values())

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {name}" for name, n in self.counts.items() if n)
        verdict = "ok" if self.passed else "FAIL"
        what = "random directions" if self.how == BY_DIRECTION else "coordinates"
        lines = [f"{self.what} check of {self.loss}: {verdict} ({counts} of {self.checked:,} {what})"]
        lines += [f"  {line}" for line in self.worst_lines()]
        lines += [f"  hint: {self.hint}"] if self.hint else []
        lines += [repr(self.second)] if self.second is not None else []
        return "\n".join(lines)

    def worst_lines(self) -> list[str]:
        """The worst wrong coordinates, one line each."""
        return [
            f"{'direction' if self.how == BY_DIRECTION else 'sample'} {w.row}"
            f"{f' [{w.place}]' if w.place is not None else ''}: given {w.given:.6g}, "
            f"numeric {w.numeric:.6g} ± {w.error:.1g}"
            for w in self.worst_coordinates(_SHOWN)
        ]

    def worst_coordinates(self, most: int) -> list[Coordinate]:
        """The wrong coordinates that are furthest off."""
        bad = self.bad
        off = np.where(bad.wrong, bad.off, -1.0)
        found = []
        for flat in np.argsort(-off, axis=None, kind="stable")[:most]:
            i, j = np.unravel_index(int(flat), off.shape)
            if off[i, j] < 0:
                break
            several = bad.given.shape[1] > 1
            found.append(
                Coordinate(
                    int(bad.row[i]),
                    int(j) if several else None,
                    [_at(np.asarray(a[i]), int(j), bad.given.shape[1]) for a in bad.inputs if a[i].size],
                    float(bad.given[i, j]),
                    float(bad.numeric[i, j]),
                    float(bad.error[i, j]),
                    float(off[i, j]),
                )
            )
        return found


def _at(element: Array, j: int, coordinates: int) -> float | None:
    if element.ndim and element.size != coordinates:
        return None
    return float(element.ravel()[j if element.ndim else 0])


@dataclass(frozen=True)
class Coordinate:
    """One coordinate that is wrong."""

    row: int
    place: int | None
    inputs: list[float | None]  # those that are numbers, or have one for each coordinate; None for others
    given: float
    numeric: float
    error: float
    off: float
