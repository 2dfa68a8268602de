"""The derivative of a function of unknown precision, from polynomial fits to symmetric differences.

Difference quotients with a step near S·2⁻²² are right for a function that is accurate to a few ulps of its value.
A function may have far fewer digits: √(1 + r²) − 1 and log Σ exp z − z[y] lose those of the numbers that they
subtract, and a function that computes in float32 has 7. Its values then lie on a grid of spacing q, which can be
much larger than eps·|f|; at steps with |f'|·h < q the values are equal, and a quotient is 0 with no visible error.

Here q is measured. The values at x ± h for h = S/2, S/4, … S·2⁻⁴⁰ give the odd part Δ(h) = (f(x + h) − f(x − h))/2
and the even part ε(h) = (f(x + h) + f(x − h))/2 − f(x). For every level K, a polynomial is fitted to the window of the
8 steps from h_K on:

    Δ(h) ≈ c₁·h + c₃·h³ + c₅·h⁵        ε(h) ≈ a·h + e₂·h² + e₄·h⁴

c₁ estimates the derivative, a half of the jump of the derivative at a kink. The largest residual of *all* steps
h ≤ h_K, not of the window alone, bounds the noise of f together with the truncation error of the fit; a multiple of it,
divided by h_K, bounds the error of c₁. The level with the smallest bound is used. A structure finer than h_K leaves
residuals at the smaller steps, so that a long step cannot hide it.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, TINY, ULPS, DerivativeProblem, Indices
from lossctl.gradients.rounding import precision_of
from lossctl.immutable import immutable

# Steps from S/2 to S·2⁻⁴⁰: below these the rounding of x + h changes the step itself by more than 2⁻¹².
_LEVELS = 40
_WINDOW = 8
# The error of c₁ over the largest residual/h_K: noise is amplified by at most 9 (the sum of |weights| of the fit), a
# term h⁷ gives 13 times its residual.
_ODD_FACTOR = 16.0
# As _ODD_FACTOR, for the term a·h of the even part: the sum of |weights| is 15.
_EVEN_FACTOR = 24.0
# A jump of the derivative counts from this many times its error on: one in 30 fits of pure noise exceeds the error.
_SURE = 4.0
# The level from which on the residuals show noise and no curvature: h ≤ S·2⁻²⁸, unless the loss has structure of
# this size.
_FINE = 27
# Number of levels that are long against the noise of a float32 function.
_LONG = 6
# The grid step of a function in ulps of its values: those of the numbers that it subtracts can be larger.
_GRID_ULPS = 64.0
# At twice the step at which a function first leaves its grid point it has moved by at most so many grid steps; one that
# moves further was flat, and has left the flat part. A cubic moves by 8, and the noise adds some.
_GRID_GROWTH = 16.0
# A fit explains all steps if its largest residual is at most this share of the change over its longest step.
_EXPLAINS = 2.0**-12
# Number of rows that are measured at once: 80 evaluations of 40 levels take 0.6 KB a row.
_ROWS = 20_000


@immutable
class NoisyDerivative:
    """Derivatives of some samples with bounds of their errors; every array is (samples,).

    Attributes:
        derivative: the estimate of the derivative; at a kink the mean of the one-sided derivatives.
        error: the bound of its error; inf where no step is usable.
        half_jump: half of the difference of the one-sided derivatives; 0 where the function is smooth up to noise.
        curvature: the largest second difference at steps from S/8 to S/64.
        nearby_slope: the largest mean slope between x and x ± h for h from S/2 to S/64.
        fine_noise: the largest residual from the tangent at steps of S·2⁻²⁸ and less, in units of f: the noise of f.
    """

    derivative: Array
    error: Array
    half_jump: Array
    curvature: Array
    nearby_slope: Array
    fine_noise: Array


def measure(p: DerivativeProblem, j: int, rows: Indices, value: Array, unit: float = 0.0) -> NoisyDerivative:
    """Measure the derivative in coordinate j of some samples.

    Args:
        p: the problem.
        j: the coordinate.
        rows: (n,) the indices of the samples.
        value: (n,) their values at x.
        unit: the magnitude of the numbers that the function adds up, such as its largest value. Default 0: unknown.
    """
    parts = [
        _measure(p, j, rows[i : i + _ROWS], value[i : i + _ROWS], unit) for i in range(0, max(len(rows), 1), _ROWS)
    ]
    return NoisyDerivative(*(np.concatenate(arrays) for arrays in zip(*(vars(m).values() for m in parts), strict=True)))


@np.errstate(all="ignore")
def _measure(p: DerivativeProblem, j: int, rows: Indices, value: Array, unit: float) -> NoisyDerivative:
    x = p.x[rows, j]
    # Next to an edge of the domain the distance to it is the length scale. A power of two, so that x ± h is exact
    # wherever x has few enough digits.
    limit = np.minimum(p.magnitude[rows], p.bound_distance(j, rows))
    largest = np.exp2(np.floor(np.log2(limit))) / 2.0
    h = largest[:, None] * 2.0 ** -np.arange(_LEVELS)
    # On an edge, and at subnormal steps, nothing is evaluated.
    usable = (h > 2.0**10 * np.finfo(np.float64).tiny) & np.isfinite(h)
    odd, even = np.zeros_like(h), np.zeros_like(h)
    whole = np.array(p.x[rows], order="F")
    for level in range(_LEVELS):
        step = np.where(usable[:, level], h[:, level], 0.0)
        above, below = x + step, x - step
        whole[:, j] = above
        at_above = p.f(rows, whole)
        whole[:, j] = below
        at_below = p.f(rows, whole)
        # The difference belongs to the floating-point step, which differs from h by the rounding of x ± h.
        taken = (above - below) / (2.0 * step)
        odd[:, level] = (at_above - at_below) / 2.0 / taken
        even[:, level] = (at_above - value) / 2.0 + (at_below - value) / 2.0
    usable &= np.isfinite(odd) & np.isfinite(even)
    largest = np.abs(value) + np.where(usable, np.abs(odd) + np.abs(even), 0.0)[:, 2:].max(axis=1)
    precision = precision_of(value)
    if precision.eps > EPS:  # the numbers that it subtracts are about as large as its inputs
        largest = np.fmax(largest, p.magnitude[rows])
    spacing = _spacing(np.where(usable, np.abs(odd), 0.0), largest, precision.eps, value == 0)
    spacing = np.fmax(spacing, ULPS * (EPS * np.abs(value) + np.where(largest > 0, TINY, 0.0)))
    # Numbers larger than the inputs, such as the largest of many exponentials, belong to other samples.
    floor = ULPS * precision.eps * np.fmax(np.abs(value), np.fmin(unit, p.magnitude[rows]))
    derivative, error = _fit(h, odd, usable, (spacing, floor), powers=(1, 3, 5), factor=_ODD_FACTOR)
    jump, jump_error = _fit(h, even, usable, (spacing, floor), powers=(1, 2, 4), factor=_EVEN_FACTOR)
    half_jump = np.where(np.abs(jump) > _SURE * jump_error, np.abs(jump), 0.0)
    tangent = np.abs(odd - h * derivative[:, None])[:, _FINE:]
    fine_noise = np.where(usable[:, _FINE:], tangent, 0.0).max(axis=1)
    curvature = np.where(usable, 2.0 * np.abs(even) / h / h, 0.0)[:, 2:_LONG].max(axis=1)
    slopes = np.where(usable, (np.abs(odd) + np.abs(even)) / h, 0.0)[:, :_LONG]
    return NoisyDerivative(derivative, error, half_jump, curvature, slopes.max(axis=1), fine_noise)


def _spacing(odd: Array, largest: Array, eps: float, zero: np.ndarray) -> Array:
    """Return the spacing of the values of a function, (samples,).

    On a plateau all residuals are 0, and the least change that is not 0 is one grid step of the function. It is at most
    some ulps of the values, in the precision of the function: a larger one can be a kink within reach of a step on flat
    ground.

    Args:
        odd: (samples, levels) magnitudes of the odd part; 0 where it was not measured.
        largest: (samples,) the largest value of the function at the shorter steps.
        eps: the precision of the function, as far as its values show it.
        zero: (samples,) whether the function is 0: then its flat part is exact, without noise that moves it further.
    """
    least = np.where(odd > 0, odd, np.inf).min(axis=1)
    # A smooth function changes at the shortest steps too, however steep it is.
    plateau = (odd[:, -_WINDOW:] == 0).any(axis=1)
    first = np.where(odd > 0, odd, np.inf).argmin(axis=1)
    further = odd[np.arange(len(odd)), np.maximum(first - 1, 0)]
    is_grid = (
        plateau & (least <= _GRID_ULPS * max(eps, 2.0**-23) * largest) & ~(zero & (further > _GRID_GROWTH * least))
    )
    return np.where(is_grid & np.isfinite(least), least, 0.0)


def _fit(
    h: Array, y: Array, usable: np.ndarray, noises: tuple[Array, Array], *, powers: tuple[int, ...], factor: float
) -> tuple[Array, Array]:
    """Return the coefficient of h and the bound of its error, at the best level of each sample."""
    spacing, floor = noises
    t = 2.0 ** -np.arange(_LEVELS)
    fit = np.linalg.pinv(np.stack([t[:_WINDOW] ** p for p in powers], axis=1))
    n = len(h)
    y = np.where(usable, y, 0.0)
    levels = _LEVELS - _WINDOW
    slope, residual = np.zeros((2, levels, n))
    fits = np.zeros((levels, n), bool)
    for k in range(levels):
        coefficients = y[:, k : k + _WINDOW] @ fit.T
        model = sum(coefficients[:, i, None] * t[: _LEVELS - k] ** p for i, p in enumerate(powers))
        slope[k] = coefficients[:, 0] / h[:, k]
        residual[k] = np.where(usable[:, k:], np.abs(y[:, k:] - model), 0.0).max(axis=1)
        fits[k] = usable[:, k : k + _WINDOW].all(axis=1)
    # If the function does not change at the shortest steps although a fit at longer ones explains them all, the
    # residual of that fit is the noise: a grid coarser than the changes.
    change = np.abs(slope) * h[:, :levels].T
    plateau = (y[:, -_WINDOW:] == 0).all(axis=1) & (fits & (residual <= _EXPLAINS * change)).any(axis=0)
    explained = np.where(fits & (residual <= _EXPLAINS * change), residual, np.inf).min(axis=0)
    noise = np.fmax(spacing, np.where(plateau, explained, 0.0))
    error = np.where(fits, factor * np.fmax(residual, noise) / h[:, :levels].T, np.inf)
    # Where a function rounds a part of itself, such as log Σ exp z ≈ 0, to the precision of numbers of another size,
    # that part is a plateau at the shortest steps, and only the longer ones see its slope.
    cautious = factor * np.fmax(residual, np.fmax(noise, floor)) / h[:, :levels].T
    best = np.where(fits, cautious, np.inf).argmin(axis=0)
    at = np.arange(n)
    return slope[best, at], error[best, at]
