"""Exact sums, moments and extremes of per-sample losses, and their merge over blocks of rows.

Sums are Python integers in units of 2⁻²¹⁴⁸; every product of two finite doubles is a multiple of this unit. Their
addition is exact, so that no result depends on the order in which blocks are merged, and cannot overflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lossctl.core.arrays import Array, dot
from lossctl.engine.exact_sum import _UNIT_BITS, exact, exact_sum, ratio, rounded, shifted


@dataclass(frozen=True, slots=True)
class Extreme:
    """A value of one sample and its row number."""

    value: float
    row: int


# ΣL² − (ΣL)²/n cancels where the mean is large. Up to this factor of roundoff it is as good as the sum about the mean,
# and needs no array of the differences: half of the time (tests/benchmarks/passes.py moments).
_CANCELLATION = 16.0
# Sums of squares outside this range may have lost digits to underflow, or have overflowed.
_SAFE = (1e-200, 1e200)


@dataclass(frozen=True, slots=True)
class WeightedMoments:
    """Second moments of the pairs (L, W) of each sample about the line L = cW, with c the centre.

    L is the weighted loss of a sample and W its share of the denominator, so that the mean is ΣL/ΣW. The variance of
    such a ratio is n/(n−1) · Σ(L − mean·W)² / (ΣW)² (Cochran 1977, Sampling Techniques, 6.4); for unweighted
    samples, W = 1, it is s²/n. Moments about a centre near the mean avoid cancellation when the mean is large,
    and the formula that moves them to another centre is exact (Chan et al. 1983).

    Attributes:
        n: the number of samples.
        total: ΣL.
        weight: ΣW.
        squares: Σ (L − cW)².
        cross: Σ (L − cW)·W.
        weights: ΣW².
        loss_exponent, weight_exponent: all of these are in units in which L is a multiple of 2**loss_exponent and W of
            2**weight_exponent, so that squares of tiny and huge numbers have all digits; 0 for ordinary numbers.
    """

    n: int
    total: float
    weight: float
    squares: float
    cross: float
    weights: float
    loss_exponent: int = 0
    weight_exponent: int = 0

    @classmethod
    def of(cls, part: Array, share: Array | None, total: float) -> WeightedMoments:
        """Compute the moments of n samples about their mean.

        Args:
            part: (n,) L of each sample.
            share: (n,) W of each sample; None if each is 1.
            total: the sum of ``part``.
        """
        moments = cls._of(part, share, total)
        if _SAFE[0] < moments.squares < _SAFE[1]:
            return moments
        largest = float(np.abs(part).max())
        if not 0.0 < largest < math.inf:  # every loss is 0, or one is infinite or NaN
            return moments
        exponent = math.frexp(largest)[1]
        part = np.ldexp(part, -exponent)
        return replace(cls._of(part, share, float(np.add.reduce(part))), loss_exponent=exponent)

    @classmethod
    def _of(cls, part: Array, share: Array | None, total: float) -> WeightedMoments:
        n = len(part)
        if share is None:  # W = 1
            mean = total / n
            second = dot(part, part)
            squares = second - total * mean
            if not squares > second / _CANCELLATION:
                off = part - mean
                squares = dot(off, off)
            return cls(n, total, float(n), squares, 0.0, float(n))
        weight = float(np.add.reduce(share))
        off = part - (total / weight if weight else 0.0) * share
        # NaN if a loss is infinite; the standard error is then reported as unknown.
        squares, cross, weights = (float(np.add.reduce(a)) for a in (off * off, off * share, share * share))
        return cls(n, total, weight, squares, cross, weights)

    @property
    def centre(self) -> float:
        """The mean of these samples."""
        return self.total / self.weight if self.weight else 0.0

    def about(self, centre: float) -> tuple[float, float]:
        """Return ``squares`` and ``cross`` about another centre."""
        d = self.centre - centre
        return self.squares + d * (2.0 * self.cross + d * self.weights), self.cross + d * self.weights

    def scaled(self, exponent: int) -> WeightedMoments:
        """Return the moments of L and W, both multiplied by 2**exponent."""
        return replace(
            self,
            loss_exponent=self.loss_exponent + exponent,
            weight_exponent=self.weight_exponent + exponent,
        )

    def _in_units(self, loss_exponent: int, weight_exponent: int) -> WeightedMoments:
        """Return the same moments in units of other powers of two."""
        a, b = self.loss_exponent - loss_exponent, self.weight_exponent - weight_exponent
        return WeightedMoments(
            self.n,
            math.ldexp(self.total, a),
            math.ldexp(self.weight, b),
            math.ldexp(self.squares, 2 * a),
            math.ldexp(self.cross, a + b),
            math.ldexp(self.weights, 2 * b),
            loss_exponent,
            weight_exponent,
        )

    def __add__(self, other: WeightedMoments) -> WeightedMoments:
        if (self.loss_exponent, self.weight_exponent) != (other.loss_exponent, other.weight_exponent):
            # Units in which no number overflows; those that underflow are negligible beside the larger ones.
            both = (self, other)
            loss = max((m.loss_exponent for m in both if m.total or m.squares), default=0)
            weight = max(m.weight_exponent for m in both)
            return self._in_units(loss, weight) + other._in_units(loss, weight)
        joined = WeightedMoments(self.n + other.n, self.total + other.total, self.weight + other.weight, 0.0, 0.0, 0.0)
        a, b = self.about(joined.centre), other.about(joined.centre)
        return WeightedMoments(
            joined.n,
            joined.total,
            joined.weight,
            a[0] + b[0],
            a[1] + b[1],
            self.weights + other.weights,
            self.loss_exponent,
            self.weight_exponent,
        )

    def error_of_mean(self) -> float | None:
        """Estimate the standard error of ΣL/ΣW; None for fewer than two samples, or if it is not finite."""
        if self.n < 2 or not self.weight:
            return None
        error = math.sqrt(max(self.squares, 0.0) * (self.n / (self.n - 1))) / self.weight
        return _finite(error, self.loss_exponent - self.weight_exponent)

    def error_of_sum(self) -> float | None:
        """Estimate the standard error of ΣL; None for fewer than two samples, or if it is not finite."""
        if self.n < 2:
            return None
        mean = self.centre
        about_line = self.squares + mean * (2.0 * self.cross + mean * (self.weights - self.weight**2 / self.n))
        return _finite(math.sqrt(max(about_line, 0.0) * (self.n / (self.n - 1))), self.loss_exponent)


def _finite(x: float, exponent: int) -> float | None:
    """Return x · 2**exponent, or None if it is not finite."""
    try:
        return math.ldexp(x, exponent) if math.isfinite(x) else None
    except OverflowError:
        return None


@dataclass(slots=True)  # not frozen: one is made for every block, and a frozen one takes 3 µs more
class Summary:
    """Sums, moments and extremes of the losses of a range of rows.

    ``a + b`` is the summary of both ranges, where the rows of ``a`` come before those of ``b``.

    Attributes:
        samples: rows with at least one element that counts.
        elements: elements that count.
        missing: elements with a NaN in an input, left out (``nan="skip"``) or let through ("propagate").
        infinite: elements whose loss is infinite.
        nans: elements whose loss is NaN though no input is.
        total: exact Σ wℓ over the finite losses.
        weight: exact Σ w, or the sum of another denominator of the loss.
        nonfinite_sum: the sum of the losses that are not finite; 0 if all are finite. NaN if a NaN is let through.
        spread: moments for the standard error; None without ``ComputeOptions.detail``.
        low, high: the least and the greatest loss of a sample, and the row; None without ``ComputeOptions.detail``.
        top: the sample whose part of the sum is largest in magnitude, and that part.
        ignored: elements with the ignored label.
        reduced: the loss returned one number for all samples.
    """

    samples: int = 0
    elements: int = 0
    missing: int = 0
    infinite: int = 0
    nans: int = 0
    total: int = 0
    weight: int = 0
    nonfinite_sum: float = 0.0
    spread: WeightedMoments | None = None
    low: Extreme | None = None
    high: Extreme | None = None
    top: Extreme | None = None
    ignored: int = 0
    reduced: bool = False

    def __add__(self, other: Summary) -> Summary:
        if not self.elements and not self.missing and not self.ignored:
            return other
        return Summary(
            self.samples + other.samples,
            self.elements + other.elements,
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.nans + other.nans,
            self.total + other.total,
            self.weight + other.weight,
            self.nonfinite_sum + other.nonfinite_sum,
            self.spread + other.spread if self.spread and other.spread else self.spread or other.spread,
            _first(self.low, other.low, -1.0),
            _first(self.high, other.high, 1.0),
            _larger(self.top, other.top),
            self.ignored + other.ignored,
            self.reduced or other.reduced,
        )

    def weighed(self, exponent: int) -> Summary:
        """Return the summary for weights that are 2**exponent times as large."""
        return replace(
            self,
            total=shifted(self.total, exponent),
            weight=shifted(self.weight, exponent),
            spread=self.spread and self.spread.scaled(exponent),
            top=self.top and Extreme(float(np.ldexp(self.top.value, exponent)), self.top.row),
        )

    @property
    def sum(self) -> float:
        """Σ wℓ as a double; infinite or NaN if a loss is."""
        return rounded(self.total) if self.nonfinite_sum == 0.0 else self.nonfinite_sum

    @property
    def mean(self) -> float:
        """Σ wℓ / Σ w as a double; infinite or NaN if a loss is."""
        return ratio(self.total, self.weight) if self.nonfinite_sum == 0.0 else self.nonfinite_sum


def sum_losses(
    values: Array, parts: Array, weight: int, weights: Array | None = None, *, total: float | None = None
) -> Summary:
    """Sum the losses of m elements; losses that are not finite are counted, and summed separately.

    Args:
        values: (m,) the loss of each element.
        parts: (m,) what each element adds to the sum: the loss times its weight.
        weight: exact sum of what the elements add to the denominator.
        weights: (m,) the weights; None if there are none. Used if a product loss times weight overflows.
        total: the sum of ``parts`` in double precision; computed if None.

    >>> sum_losses(np.array([1.0, np.inf]), np.array([2.0, np.inf]), exact(3.0)).nonfinite_sum
    inf
    """
    if total is None:
        with np.errstate(over="ignore", invalid="ignore"):  # then it is summed exactly below
            total = float(np.add.reduce(parts))
    if math.isfinite(total):
        return Summary(elements=len(values), total=exact(total), weight=weight)
    finite = np.isfinite(values)
    finite_parts = parts[finite]
    if weights is None or np.isfinite(finite_parts).all():
        whole = exact_sum(finite_parts)
    else:
        products = zip(values[finite].tolist(), weights[finite].tolist(), strict=True)
        whole = sum(exact(value) * exact(by) >> _UNIT_BITS for value, by in products)
    return Summary(
        elements=len(values),
        infinite=int(np.count_nonzero(np.isinf(values))),
        nans=int(np.count_nonzero(np.isnan(values))),
        total=whole,
        weight=weight,
        nonfinite_sum=0.0 if finite.all() else float(np.add.reduce(values[~finite])),
    )


def _first(a: Extreme | None, b: Extreme | None, sign: float) -> Extreme | None:
    """Return the extreme with the larger sign·value; ``a``, which comes first, if both are equal."""
    if a is None or b is None:
        return a or b
    return b if sign * b.value > sign * a.value else a


def _larger(a: Extreme | None, b: Extreme | None) -> Extreme | None:
    if a is None or b is None:
        return a or b
    return b if abs(b.value) > abs(a.value) else a
