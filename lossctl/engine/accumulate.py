"""What is kept of the per-sample losses of some rows, and how two of these become one.

Sums are integers in units of 2⁻¹⁰⁷⁴, of which every double is a whole number: they are exact, so
that no result depends on how rows were grouped, and cannot overflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lossctl.core.arrays import Array
from lossctl.engine.exact_sum import _UNIT_BITS, exact, exact_sum, ratio, rounded


@dataclass(frozen=True, slots=True)
class Extreme:
    """A per-sample value and its row."""

    value: float
    row: int


@dataclass(frozen=True, slots=True)
class WeightedMoments:
    """Second moments of the pairs (L, W) of each sample about the line L = centre·W.

    L is a sample's weighted loss and W its part of the denominator, so that the mean is ΣL/ΣW. The
    variance of such a ratio is n/(n−1) · Σ(L − mean·W)² / (ΣW)² (Cochran 1977, Sampling Techniques,
    6.4); for plain samples, W = 1, it is s²/n. Moments about a centre near the mean lose no digits
    to the size of the mean, and are moved to another centre exactly (Chan et al. 1983).
    """

    n: int
    total: float
    weight: float
    squares: float  # Σ (L − cW)²
    cross: float  # Σ (L − cW)·W
    weights: float  # Σ W²

    @classmethod
    def of(cls, part: Array, share: Array | None, total: float) -> WeightedMoments:
        """That of samples: ``part`` is L, which add up to ``total``, and ``share`` W (None: each is 1)."""
        n = len(part)
        if share is None:  # a third of the passes of the general way
            off = part - total / n
            off *= off
            return cls(n, total, float(n), float(np.add.reduce(off)), 0.0, float(n))
        weight = float(np.add.reduce(share))
        off = part - (total / weight if weight else 0.0) * share
        # (NaN where a loss is infinite, which is told as unknown.)
        squares, cross, weights = (float(np.add.reduce(a)) for a in (off * off, off * share, share * share))
        return cls(n, total, weight, squares, cross, weights)

    @property
    def centre(self) -> float:
        """The mean of these samples."""
        return self.total / self.weight if self.weight else 0.0

    def about(self, centre: float) -> tuple[float, float]:
        """``squares`` and ``cross`` about another centre."""
        d = self.centre - centre
        return self.squares + d * (2.0 * self.cross + d * self.weights), self.cross + d * self.weights

    def __add__(self, other: WeightedMoments) -> WeightedMoments:
        joined = WeightedMoments(self.n + other.n, self.total + other.total, self.weight + other.weight, 0.0, 0.0, 0.0)
        a, b = self.about(joined.centre), other.about(joined.centre)
        return WeightedMoments(
            joined.n, joined.total, joined.weight, a[0] + b[0], a[1] + b[1], self.weights + other.weights
        )

    def error_of_mean(self) -> float | None:
        """The standard error of ΣL/ΣW; None for fewer than two samples."""
        if self.n < 2 or not self.weight:
            return None
        return _finite(math.sqrt(max(self.squares, 0.0) * (self.n / (self.n - 1))) / self.weight)

    def error_of_sum(self) -> float | None:
        """The standard error of ΣL; None for fewer than two samples."""
        if self.n < 2:
            return None
        mean = self.centre
        about_line = self.squares + mean * (2.0 * self.cross + mean * (self.weights - self.weight**2 / self.n))
        return _finite(math.sqrt(max(about_line, 0.0) * (self.n / (self.n - 1))))


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


@dataclass(slots=True)  # made for every block: a frozen one costs 3 µs more
class Summary:
    """What is kept of some rows; ``a + b`` is what is kept of both, a's rows coming first.

    ``spread`` and the extremes are there only if the output shows them.
    """

    samples: int = 0  # rows of which at least one element counts
    elements: int = 0  # elements that count
    missing: int = 0  # elements with a NaN in an input, left out or let through
    infinite: int = 0  # elements whose loss is infinite
    nans: int = 0  # elements whose loss is NaN though no input is
    total: int = 0  # exact Σ wℓ over finite losses
    weight: int = 0  # exact Σ w, or of what else the loss divides by
    special: float = 0.0  # the sum of losses that are not finite
    spread: WeightedMoments | None = None
    low: Extreme | None = None
    high: Extreme | None = None
    top: Extreme | None = None  # the sample that contributes most to the sum, and its part
    ignored: int = 0  # elements with the label that is to be ignored

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
            self.special + other.special,
            self.spread + other.spread if self.spread and other.spread else self.spread or other.spread,
            _first(self.low, other.low, -1.0),
            _first(self.high, other.high, 1.0),
            _larger(self.top, other.top),
            self.ignored + other.ignored,
        )

    @property
    def sum(self) -> float:
        """Σ wℓ."""
        return rounded(self.total) if self.special == 0.0 else self.special

    @property
    def mean(self) -> float:
        """Σ wℓ / Σ w."""
        return ratio(self.total, self.weight) if self.special == 0.0 else self.special


def sum_losses(
    values: Array, parts: Array, weight: int, weights: Array | None = None, *, total: float | None = None
) -> Summary:
    """The sums of some elements.

    Args:
        values: the loss of each; what is not finite is counted, and summed apart.
        parts: what each adds to the sum: the loss times its weight.
        weight: what they add to the denominator, exactly.
        weights: by which the losses were multiplied, for products beyond every double.
        total: the sum of ``parts`` in double precision, if it is known.

    >>> sum_losses(np.array([1.0, np.inf]), np.array([2.0, np.inf]), exact(3.0)).special
    inf
    """
    total = float(np.add.reduce(parts)) if total is None else total
    if math.isfinite(total):
        return Summary(elements=len(values), total=exact(total), weight=weight)
    finite = np.isfinite(values)
    held = parts[finite]
    if weights is None or np.isfinite(held).all():
        whole = exact_sum(held)
    else:
        products = zip(values[finite].tolist(), weights[finite].tolist(), strict=True)
        whole = sum(exact(value) * exact(by) >> _UNIT_BITS for value, by in products)
    return Summary(
        elements=len(values),
        infinite=int(np.count_nonzero(np.isinf(values))),
        nans=int(np.count_nonzero(np.isnan(values))),
        total=whole,
        weight=weight,
        special=0.0 if finite.all() else float(np.add.reduce(values[~finite])),
    )


def _first(a: Extreme | None, b: Extreme | None, sign: float) -> Extreme | None:
    """The larger of sign·value; of equals the one that comes first."""
    if a is None or b is None:
        return a or b
    return b if sign * b.value > sign * a.value else a


def _larger(a: Extreme | None, b: Extreme | None) -> Extreme | None:
    if a is None or b is None:
        return a or b
    return b if abs(b.value) > abs(a.value) else a
