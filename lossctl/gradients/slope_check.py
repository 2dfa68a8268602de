"""Check the gradient of a scalar function of named arrays along random directions: all arrays together, then the wrong.

1. The steps, the noise and the first slope come from one direction of all arrays (18 evaluations), two more slopes from
   two other directions. If all agree with the gradient, every array is ok that these slopes could show to be wrong.
2. An array whose slope is small against the errors of these slopes is measured by itself.
3. If a slope is wrong, bisection over the arrays finds the wrong ones, and each is measured along every direction. An
   explanation of these slopes is looked for (``array_hints``), which bisects an array for a wrong entry if none of the
   whole array fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.array_hints import Evidence, Hint, explain
from lossctl.gradients.localize import ArrayPart, Entry, check_entry, wrong_arrays
from lossctl.gradients.model_result import ArrayCheck
from lossctl.gradients.random_slopes import RATIO, STEPS, SURE, RandomSlopes, Slope, rms, scales
from lossctl.immutable import immutable

_DIRECTIONS = 3
# An array is checked if an error of this share of its slope would be seen.
_VISIBLE = 0.05
# A gradient of 0 is checked if a slope of this share of the median slope of the others would be seen.
_ZERO = 1e-3
# A gradient below this share of that median is 0 up to roundoff, such as that of a bias before a normalisation.
_NOTHING = 1e-9
# Evaluations after which no further wrong array is explained.
_BUDGET = 150
# Wrong entries in the result.
_ENTRIES = 5


@immutable
class ScalarProblem:
    """A scalar function of arrays and a gradient of it.

    Attributes:
        value: the function, of float64 arrays by name.
        arrays: (name, array in float64) of the arrays that are moved.
        gradients: the gradient under test of each, in float64.
        rounding: how far rounding moves the entries of each.
        dtypes: the name of the type of each.
        base: the value at the arrays.
        magnitude: the magnitude of the numbers that the function adds up.
        what: what is checked, as in :class:`ArrayCheck`.
        inputs: all arrays that the function takes.
    """

    value: Callable[[Mapping[str, Array]], float]
    arrays: Mapping[str, Array]
    gradients: Mapping[str, Array]
    rounding: Mapping[str, Array]
    dtypes: Mapping[str, str]
    base: float
    magnitude: float
    what: str
    inputs: Mapping[str, Array]


@immutable
class Outcome:
    """Verdicts, wrong entries and explanations."""

    checks: Sequence[ArrayCheck]
    entries: Sequence[Entry]
    hints: Sequence[Hint]


class SlopeCheck:
    """One run of the check.

    Args:
        problem: the function and its gradient.
        seed: of the random directions.
    """

    def __init__(self, problem: ScalarProblem, seed: int) -> None:
        self.problem, self.evaluations = problem, 0
        self.parts: list[ArrayPart] = []
        start = 0
        for name, array in problem.arrays.items():
            self.parts.append(ArrayPart(name, array.shape, slice(start, start + array.size)))
            start += array.size
        names = list(problem.arrays)
        lengths = scales([problem.arrays[n] for n in names], [problem.gradients[n] for n in names])
        self.slopes = RandomSlopes(
            self._value,
            np.concatenate([problem.arrays[n].ravel() for n in names]),
            np.concatenate([problem.gradients[n].ravel() for n in names]),
            scale=np.concatenate([np.full(problem.arrays[n].size, s) for n, s in zip(names, lengths, strict=True)]),
            base=problem.base,
            magnitude=problem.magnitude,
            rounding=np.concatenate([problem.rounding[n].ravel() for n in names]),
            seed=seed,
        )

    def _value(self, vector: Array) -> float:
        self.evaluations += 1
        return self.problem.value({p.name: vector[p.part].reshape(p.shape) for p in self.parts})

    def run(self) -> Outcome:
        """Check all arrays."""
        joint = [self.slopes.calibrate()]
        sharp = joint[0].step != self.slopes.step
        for _ in range(1, _DIRECTIONS):
            k = self.slopes.add_direction()
            joint.append((self.slopes.sharp_slope if sharp else self.slopes.slope)(k, self.slopes.all()))
        wrong = self._wrong(joint)
        checks: list[ArrayCheck] = []
        for i in range(len(self.parts)):
            alone = None if i in wrong else self._alone_if_needed(i, joint)
            if isinstance(alone, ArrayCheck):
                checks.append(alone)
            else:
                wrong |= {i: alone} if alone is not None else {}
                checks.append(self._wrong_check(i, wrong[i]))
        entries, hints = self._explain(wrong)
        return Outcome(checks, entries, hints)

    def _wrong(self, joint: list[Slope]) -> dict[int, list[Slope]]:
        """Return the residuals along every direction of each wrong array, by its number."""
        whole = self.slopes.all()
        for k, slope in enumerate(joint):
            if k and self.slopes.is_wrong(slope, k, whole):
                joint[k] = self.slopes.confirmed(k, whole, slope)
        wrong: dict[int, list[Slope]] = {}
        left = list(joint)
        for k in range(len(joint)):
            # What the arrays that are known to be wrong do not explain, others must.
            for i in wrong_arrays(self.slopes, self.parts, k, left[k]):
                if i not in wrong:
                    wrong[i] = [self.slopes.slope(n, self.parts[i].part) for n in range(len(joint))]
                    left = [slope.minus(part) for slope, part in zip(left, wrong[i], strict=True)]
        return wrong

    def _norm(self, i: int) -> float:
        """Return the size of the slope of an array along a random direction."""
        part = self.parts[i].part
        return rms(self.slopes.gradient[part] * self.slopes.scale[part]) * float(np.sqrt(part.stop - part.start))

    def _check(self, i: int, verdict: str, error: float | None, visible: float | None, reason: str = "") -> ArrayCheck:
        part = self.parts[i]
        size = part.part.stop - part.part.start
        dtype = self.problem.dtypes[part.name]
        return ArrayCheck(part.name, self.problem.what, part.shape, dtype, size, verdict, error, visible, reason)

    def _wrong_check(self, i: int, residuals: list[Slope]) -> ArrayCheck:
        size = max(self._norm(i), *(abs(r.residual) for r in residuals))
        worst = max(abs(r.residual) for r in residuals) / size
        return self._check(i, "wrong", worst, SURE * min(r.error for r in residuals) / size)

    def _alone_if_needed(self, i: int, joint: list[Slope]) -> ArrayCheck | list[Slope]:
        """Return the verdict on an array that no slope of all arrays shows to be wrong; see :meth:`_alone`."""
        norms = [n for n in map(self._norm, range(len(self.parts))) if n > 0.0]
        median = float(np.median(norms or [1.0]))
        size = self._norm(i) if self._norm(i) > _NOTHING * median else 0.0
        enough = _VISIBLE * size if size > 0.0 else _ZERO * median
        error = SURE * float(np.median([slope.error for slope in joint]))
        if error <= enough and not self.slopes.kinked:
            return self._check(i, "ok", None, error / size if size else None)
        return self._alone(i, size, enough)

    def _alone(self, i: int, size: float, enough: float) -> ArrayCheck | list[Slope]:
        """Measure an array by itself, with longer steps as long as they show more.

        Returns:
            The verdict, or its residuals along every direction if it is wrong.
        """
        part, step = self.parts[i].part, self.slopes.step
        slope = self.slopes.slope(0, part, step)
        while SURE * slope.error > enough and step < STEPS[0]:
            step = min(RATIO * step, float(STEPS[0]))
            longer = self.slopes.slope(0, part, step)
            if longer.error < slope.error:
                slope = longer
            elif np.isfinite(slope.error):
                break
        if self.slopes.is_wrong(slope, 0, part):
            slope = self.slopes.confirmed(0, part, slope)
        if self.slopes.is_wrong(slope, 0, part):
            return [slope, *(self.slopes.slope(k, part, slope.step) for k in range(1, _DIRECTIONS))]
        visible = SURE * slope.error / size if size > 0.0 else None
        if self.slopes.kinked and (wrong := self._wrong_beside_kinks(part)):
            return wrong
        if SURE * slope.error <= enough:
            return self._check(i, "ok", None, visible)
        if self.slopes.kinked and slope.gap > 0.5 * slope.error:
            return self._check(i, "kink", None, visible)
        return self._check(i, "unresolved", None, visible, "the loss has too few digits to show its slope")

    def _wrong_beside_kinks(self, part: slice) -> list[Slope]:
        """Return the residuals along every direction of the entries of an array that are not 0, if they are wrong.

        Kinks are where parameters are 0, such as those of a penalty |w|; their sum hides errors of the other entries.
        """
        moved = part.start + np.flatnonzero(self.slopes.x[part])
        if not 0 < len(moved) < part.stop - part.start:
            return []
        residuals = [self.slopes.slope(k, moved) for k in range(_DIRECTIONS)]
        return residuals if any(self.slopes.is_wrong(r, k, moved) for k, r in enumerate(residuals)) else []

    def _explain(self, wrong: dict[int, list[Slope]]) -> tuple[list[Entry], list[Hint]]:
        """Explain the wrong arrays: those that need no evaluation, then others as long as evaluations are left."""
        evidence = {
            i: Evidence(
                self.slopes,
                self.parts[i],
                residuals,
                [(p, j in wrong) for j, p in enumerate(self.parts) if j != i],
                dict(self.problem.inputs),
            )
            for i, residuals in wrong.items()
        }
        hints = {i: explain(e, evaluate=False) for i, e in evidence.items()}
        entries: list[Entry] = []
        for i, e in evidence.items():
            if hints[i] is None and self.evaluations < _BUDGET:
                hints[i] = explain(e, evaluate=True)
            entries += self._worst(e)
        entries.sort(key=lambda entry: -_relative(entry))
        return entries[:_ENTRIES], [hint for hint in hints.values() if hint is not None]

    def _worst(self, evidence: Evidence) -> list[Entry]:
        """Return wrong entries of a wrong array: those of its explanation, and that of the largest gradient."""
        seen = [*evidence.__dict__.get("sample", []), evidence.__dict__.get("entry")]
        largest = evidence.array.part.start + int(np.argmax(np.abs(evidence.given)))
        looks: list[Callable[[], Entry | None]] = [
            lambda: check_entry(self.slopes, evidence.array, largest),
            lambda: evidence.entry,
        ]
        for look in looks:
            if self.evaluations < _BUDGET and not any(entry is not None and entry.wrong for entry in seen):
                seen.append(look())
        return [entry for entry in {e.flat: e for e in seen if e is not None}.values() if entry.wrong]


def _relative(entry: Entry) -> float:
    size = max(abs(entry.given), abs(entry.numeric))
    return abs(entry.given - entry.numeric) / size if size else 0.0
