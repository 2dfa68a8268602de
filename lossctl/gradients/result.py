"""The result of a gradient check, and its text in a failing assertion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.html_repr import html_of
from lossctl.core.parameters import Value
from lossctl.gradients.batch_check import BY_DIRECTION
from lossctl.gradients.tally import CheckedSamples
from lossctl.immutable import immutable

# Number of the worst coordinates in the text.
_SHOWN = 5


@immutable
class GradCheck:
    """The result of a gradient check; true in a condition if the check passed.

    Attributes:
        loss: the loss with its parameters, as a specification.
        name, params: the name of the loss and its parameters.
        what: ``gradient``, or ``second derivative`` for that of an objective that returned one.
        samples: number of samples checked.
        counts: number of coordinates by verdict: ok, kink, wrong, unresolved, undefined.
        passed: no coordinate is wrong and at most 1 % are unresolved.
        worst, worst_row: the largest error relative to the scale of its sample, and the row of this sample.
        hint: how the gradient is wrong, if a simple explanation fits; otherwise None.
        hint_code: name of the explanation, for example ``constant-factor``; None without a hint.
        method: the perturbations, if samples depend on each other; empty if each coordinate was perturbed alone.
        verdict, numeric, error, given: (samples, coordinates) arrays, or None if they were not kept.
        failing: samples with a wrong coordinate, at most 2,000: the first ones and the worst of the others.
        passing: the first samples without a wrong coordinate, at most 2,000.
        notes: remarks on the function that was checked, and on coordinates that are unresolved.
        second: the check of the second derivative, if an objective returned one.
        place: file and line of the user's function whose gradient was checked; None if there is no such function.
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
    hint_code: str | None
    method: str
    failing: CheckedSamples
    passing: CheckedSamples
    verdict: np.ndarray | None
    numeric: Array | None
    error: Array | None
    given: Array | None
    notes: tuple[str, ...] = ()
    second: GradCheck | None = None
    place: tuple[str, int] | None = None

    def __bool__(self) -> bool:
        return self.passed and (self.second is None or self.second.passed)

    @property
    def checked(self) -> int:
        """Number of coordinates checked."""
        return sum(self.counts.values())

    def __repr__(self) -> str:
        checks = [self] if self.second is None else sorted([self, self.second], key=lambda check: check.passed)
        lines = checks[0].lines()
        for check in checks[1:]:
            lines += check.lines()[1 if check.hint and check.hint == checks[0].hint else 0 :]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = {**self.counts, "worst rel err": self.worst, "verdict": "ok" if self else "FAIL"}
        return html_of(f"{self.what} check of {self.loss}", cells, "" if self else repr(self))

    def lines(self) -> list[str]:
        """Return the text of a failing assertion: the hint, the number of coordinates by verdict, the worst ones."""
        counts = ", ".join(f"{n:,} {name}" for name, n in self.counts.items() if n)
        verdict = "ok" if self.passed else "FAIL"
        what = "random directions" if self.method == BY_DIRECTION else "coordinates"
        lines = [self.hint] if self.hint else []
        lines += [f"{self.what} check of {self.loss}: {verdict} ({counts} of {self.checked:,} {what})"]
        lines += [f"  {line}" for line in self.worst_lines()]
        return lines + [f"  note: {note}" for note in self.notes]

    def worst_lines(self) -> list[str]:
        """Return one line for each of the worst wrong coordinates."""
        return [
            f"{'direction' if self.method == BY_DIRECTION else 'sample'} {w.row}"
            f"{f' [{w.index}]' if w.index is not None else ''}: given {w.given:.6g}, "
            f"numeric {w.numeric:.6g} ± {w.error:.1g}"
            for w in self.worst_coordinates(_SHOWN)
        ]

    def worst_coordinates(self, most: int) -> list[Coordinate]:
        """Return the wrong coordinates with the largest relative errors, at most `most`, largest first."""
        failing = self.failing
        error = np.where(failing.wrong, failing.relative_error, -1.0)
        coordinates = []
        for flat in np.argsort(-error, axis=None, kind="stable")[:most]:
            i, j = np.unravel_index(int(flat), error.shape)
            if error[i, j] < 0:
                break
            several = failing.given.shape[1] > 1
            coordinates.append(
                Coordinate(
                    int(failing.row[i]),
                    int(j) if several else None,
                    [_at(np.asarray(a[i]), int(j), failing.given.shape[1]) for a in failing.inputs if a[i].size],
                    float(failing.given[i, j]),
                    float(failing.numeric[i, j]),
                    float(failing.error[i, j]),
                    float(error[i, j]),
                )
            )
        return coordinates


def _at(element: Array, j: int, coordinates: int) -> float | None:
    if element.ndim and element.size != coordinates:
        return None
    return float(element.ravel()[j if element.ndim else 0])


@immutable
class Coordinate:
    """One wrong coordinate.

    Attributes:
        row: row of the sample, or number of the random direction.
        place: index of the coordinate within the sample; None if samples have one coordinate.
        inputs: value of each input at this coordinate; None for an input without one value per coordinate.
        given, numeric, error: gradient under test, reference derivative and its estimated error.
        relative_error: |given − numeric| relative to the scale of the sample.
    """

    row: int
    index: int | None
    inputs: list[float | None]
    given: float
    numeric: float
    error: float
    relative_error: float
