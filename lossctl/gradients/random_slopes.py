"""Slopes of a function of many parameters along random directions, with error bounds that are measured.

The parameters are one vector x; a direction v has entries of random sign and of magnitudes from 0.5 to 1.5 times the
scale of their array, so that two errors of the same size do not cancel. Two evaluations, at x ± h·v, give the

    residual   r = (f(x + h·v) − f(x − h·v))/2h − g·v      g: the gradient under test
    gap        s = (f(x + h·v) + f(x − h·v) − 2·f(x))/2h    half of the difference of the one-sided slopes

r is 0 for a right gradient, up to |s| (curvature, and kinks that the step crosses) and up to the noise of f over h.
Along a first direction the steps are 2⁻³, 2⁻⁷, … 2⁻³⁵: the deviations at steps shorter than a step are the noise at
that step. The bound is the smaller of two:

    |s| + 4·noise/h                                         one step: it suffices for a function with 16 digits
    |s − s₊/16| + 2·|r − r₊|/256 + 4·noise/h                with the step 16·h (s₊, r₊), if f has fewer digits
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, ULPS
from lossctl.gradients.rounding import precision_of
from lossctl.immutable import immutable

# Part of the vector of parameters that is moved: a range, or indices.
Part = slice | npt.NDArray[np.intp]

RATIO = 16.0
STEPS = 2.0 ** -np.arange(3.0, 36.0, 4.0)
# Noise is the largest of at least six deviations; rounding of a step exceeds this multiple of it in no run of
# tests/benchmarks/model_check.py.
_NOISE = 4.0
# A residual beyond this many times its error bound is an error of the gradient.
SURE = 3.0
# The last two steps measure noise and are never used by themselves.
_USABLE = len(STEPS) - 2


@immutable
class Slope:
    """The residual of the gradient along a direction.

    Attributes:
        residual: the slope of the function minus g·v.
        error: bound of its error.
        gap: half of the difference of the one-sided slopes.
        step: the step h.
    """

    residual: float
    error: float
    gap: float
    step: float

    def minus(self, part: Slope) -> Slope:
        """Return the residual along the other part of a direction, of which `part` is a part."""
        return Slope(self.residual - part.residual, self.error + part.error, self.gap - part.gap, part.step)


class RandomSlopes:
    """Measures the slopes of a function along random directions.

    Args:
        value: f of a vector of parameters; it counts as one evaluation.
        x: (n,) the parameters.
        gradient: (n,) the gradient under test, finite.
        scale: (n,) magnitude of the entries of a direction.
        base: f(x).
        magnitude: that of the numbers that f adds up, at least |f(x)|.
        rounding: (n,) how far rounding moves the gradient.
        seed: of the directions.
    """

    def __init__(
        self,
        value: Callable[[Array], float],
        x: Array,
        gradient: Array,
        *,
        scale: Array,
        base: float,
        magnitude: float,
        rounding: Array,
        seed: int,
    ) -> None:
        self.value, self.x, self.gradient, self.scale = value, x, gradient, scale
        self.base, self.rounding = base, rounding
        self._rng = np.random.default_rng(seed)
        self.directions: list[Array] = []
        self.noise = self.sharp_noise = ULPS * EPS * magnitude
        self.step, self.sharp_step = float(STEPS[5]), float(STEPS[3])
        self.kinked = False

    def add_direction(self) -> int:
        """Draw a direction; return its number."""
        sign = self._rng.choice([-1.0, 1.0], len(self.x))
        self.directions.append(sign * self._rng.uniform(0.5, 1.5, len(self.x)) * self.scale)
        return len(self.directions) - 1

    def all(self) -> Part:
        """Return the part that is the whole vector."""
        return slice(0, len(self.x))

    def pair(self, k: int, part: Part, h: float) -> tuple[float, float, list[float]]:
        """Return the residual, the gap and the two values at a step along a part of direction k."""
        above, below = self.x.copy(), self.x.copy()
        move = h * self.directions[k][part]
        above[part] += move
        below[part] -= move
        # The rounded step: it differs from h·v where h·v has fewer digits than x.
        moved = (above[part] - below[part]) / 2.0
        values = [self.value(above), self.value(below)]
        slope = float(self.gradient[part] @ moved)
        with np.errstate(all="ignore"):
            odd = (np.float64(values[0]) - values[1]) / 2.0
            even = (np.float64(values[0]) - self.base) / 2.0 + (np.float64(values[1]) - self.base) / 2.0
            return float(odd - slope) / h, float(even) / h, values

    @np.errstate(all="ignore")
    def calibrate(self) -> Slope:
        """Draw the first direction, take every step along it, and set the noise and the steps for all others."""
        k = self.add_direction()
        pairs = [self.pair(k, self.all(), float(h)) for h in STEPS]
        residual, gap = (np.array([p[i] for p in pairs]) for i in (0, 1))
        values = np.array([self.base, *(v for p in pairs for v in p[2])])
        # A function that returns numbers of a lower precision says so.
        finite = values[np.isfinite(values)]
        if len(np.unique(finite)) > 3 and (np.float32(finite) == finite).all():
            self.noise = max(self.noise, float(precision_eps(finite) * np.abs(finite).max()))
        plateau = np.array([p[2][0] == self.base == p[2][1] for p in pairs])
        usable = np.isfinite(residual) & np.isfinite(gap) & ~(plateau & ~plateau.all())
        errors, quick, noises = (
            a[:, 0] for a in error_bounds(residual[:, None], gap[:, None], usable[:, None], np.array([self.noise]))
        )
        kink = _kink(gap, noises)
        self.kinked = kink != 0.0
        if self.kinked:  # At a longer step the gaps of other kinks may cancel that of the kink.
            errors = quick = np.where(usable, np.abs(gap - kink) + _NOISE * noises / STEPS + abs(kink), np.inf)
        best, fast = int(np.argmin(errors)), int(np.argmin(quick))
        if np.isfinite(errors[best]):
            self.sharp_noise, self.sharp_step = float(noises[best]), float(STEPS[best])
            self.noise, self.step = float(noises[fast]), float(STEPS[fast])
        return Slope(float(residual[best]), float(errors[best]), abs(float(gap[best])), float(STEPS[best]))

    def slope(self, k: int, part: Part, step: float | None = None) -> Slope:
        """Measure the residual along a part of direction k with two evaluations.

        Args:
            k: the direction.
            part: the part of the parameters that moves.
            step: the step. Default: the best for the whole vector.
        """
        h = step or self.step
        residual, gap, _ = self.pair(k, part, h)
        error = abs(gap) + _NOISE * self.noise / h
        return Slope(residual, error if np.isfinite(error + residual) else np.inf, abs(gap), h)

    @np.errstate(all="ignore")
    def sharp_slope(self, k: int, part: Part) -> Slope:
        """Measure as :meth:`slope`, with four evaluations and a bound for smooth functions of few digits."""
        h = self.sharp_step
        longer, (residual, gap, _) = self.pair(k, part, min(RATIO * h, 0.5)), self.pair(k, part, h)
        rounding = _NOISE * self.sharp_noise / h
        smooth = float(_smooth_error(np.array([longer[0], residual]), np.array([longer[1], gap])))
        error = min(abs(gap), smooth) + rounding if np.isfinite(smooth) else abs(gap) + rounding
        return Slope(residual, error if np.isfinite(error + residual) else np.inf, abs(gap), h)

    def confirmed(self, k: int, part: Part, first: Slope) -> Slope:
        """Measure a wrong slope again with a shorter step, which crosses fewer kinks; join both bounds."""
        second = self.slope(k, part, first.step / RATIO)
        if not np.isfinite(second.error):
            return first
        apart = abs(first.residual - second.residual)
        sharper = min(first, second, key=lambda slope: slope.error)
        if apart <= first.error + second.error:
            return sharper
        return Slope(second.residual, max(second.error, apart), second.gap, second.step)

    def allowed(self, k: int, part: Part) -> float:
        """Return how far the rounding of the gradient moves its slope: rounding errors have random signs."""
        return 4.0 * float(np.linalg.norm(self.rounding[part] * self.directions[k][part]))

    def is_wrong(self, slope: Slope, k: int, part: Part) -> bool:
        """Return whether a residual is more than the errors of the slope and the rounding of the gradient."""
        return abs(slope.residual) > SURE * slope.error + self.allowed(k, part)


def _kink(gap: Array, noises: Array) -> float:
    """Return the gap of a kink at x itself, which stays at every shorter step; 0 if there is none.

    Args:
        gap: (steps,) the gap at every step of ``STEPS``.
        noises: (steps,) the noise of the function, infinite where it is not known.
    """
    seen = np.flatnonzero(np.abs(gap) > _NOISE * SURE * noises / STEPS)
    if not len(seen) or not seen[-1]:
        return 0.0
    last = int(seen[-1])
    return float(gap[last]) if abs(gap[last]) > abs(gap[last - 1]) / 4.0 else 0.0


@np.errstate(all="ignore")
def error_bounds(
    residual: Array, gap: Array, usable: npt.NDArray[np.bool_], floor: Array
) -> tuple[Array, Array, Array]:
    """Return bounds of the errors of residuals at every step of ``STEPS``, for m functions at once.

    Args:
        residual, gap: (steps, m) as in the docstring of the module.
        usable: (steps, m) False where a value is not finite, and on a plateau: there the values are equal although
            the function changes at longer steps, and no slope is seen.
        floor: (m,) the least noise of each function.

    Returns:
        Three (steps, m) arrays: the smaller bound, the bound of one step, and the noise of the function.
    """
    errors, quick, noises = (np.full(residual.shape, np.inf) for _ in range(3))
    for i in range(_USABLE):
        deviations = np.maximum(np.abs(residual[i + 1 :] - residual[i]), np.abs(gap[i + 1 :] - gap[i]))
        deviations *= STEPS[i + 1 :, None]
        noises[i] = np.maximum(floor, np.where(np.isfinite(deviations), deviations, 0.0).max(axis=0))
        rounding = _NOISE * noises[i] / STEPS[i]
        quick[i] = np.abs(gap[i]) + rounding
        errors[i] = quick[i]
        if i:
            smooth = _smooth_error(residual[i - 1 : i + 1], gap[i - 1 : i + 1]) + rounding
            errors[i] = np.where(usable[i - 1], np.fmin(errors[i], smooth), errors[i])
    for bound in (errors, quick):
        bound[~usable] = np.inf
    return errors, quick, noises


def precision_eps(values: Array) -> float:
    """Return the precision of float32 numbers, or a lower one that they show."""
    return max(2.0**-23, precision_of(values).eps)


def _smooth_error(residual: Array, gap: Array) -> Array:
    """Return the truncation error of a smooth function at the second of two steps, and what kinks add."""
    return np.asarray(np.abs(gap[1] - gap[0] / RATIO) + 2.0 * np.abs(residual[1] - residual[0]) / RATIO**2)


def scales(x: Sequence[Array], gradients: Sequence[Array]) -> list[float]:
    """Return the length of a direction in each array: the RMS of its numbers, less where its slope would dominate.

    An array of zeros has the median RMS of the others. The slope of no array exceeds the median slope, so that steps
    can be longer and small slopes show.
    """
    sizes = [rms(a) for a in x]
    typical = float(np.median([s for s in sizes if s > 0.0] or [1.0]))
    sizes = [s or typical for s in sizes]
    slopes = [s * rms(g) * float(np.sqrt(g.size)) for s, g in zip(sizes, gradients, strict=True)]
    median = float(np.median([s for s in slopes if s > 0.0] or [0.0]))
    return [s * min(1.0, median / slope) if slope > 0.0 else s for s, slope in zip(sizes, slopes, strict=True)]


def rms(values: Array) -> float:
    """Return the root mean square, without overflow or underflow of the squares."""
    top = float(np.abs(values).max(initial=0.0))
    return top * float(np.sqrt(np.mean(np.square(values / top)))) if top > 0.0 else 0.0
