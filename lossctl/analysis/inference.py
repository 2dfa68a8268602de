"""How sure a difference between models is: standard errors, bootstrap intervals, and tests, of paired samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lossctl.analysis.bootstrap import MOST, bootstrap_sums, degrees_of_freedom, expanded_percentile_interval
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary, sum_losses
from lossctl.engine.exact_sum import exact, exact_sum, rounded
from lossctl.engine.executors.base import Executor
from lossctl.errors import DataError
from lossctl.io.spool import Spool

LEVEL = 0.95
# Above this many samples Wilcoxon's test ranks so many of them, chosen at random: ranks are made in memory, and
# 500,000 take 60 MiB.
RANKED = 500_000


@dataclass(frozen=True)
class Record:
    """Some samples: of each model the part of the sum, the share of what it is divided by, and the loss."""

    parts: tuple[Array, ...]
    shares: tuple[Array, ...]  # none where each is 1
    losses: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.parts[0])


@dataclass(frozen=True)
class Records:
    """All samples of several models under one loss, on disk; ``plain``: parts are losses, and shares 1."""

    spool: Spool
    loss: Loss
    models: int
    plain: bool

    @property
    def rows(self) -> int:
        """How many samples."""
        return self.spool.rows

    def __iter__(self) -> Iterator[Record]:
        k = self.models
        for arrays in self.spool.records():
            yield Record(arrays[:k], arrays[k : 2 * k], arrays[:k] if self.plain else arrays[2 * k :])


@dataclass(frozen=True)
class MeanEstimate:
    """The loss of one model, from its exact sums: as a mean, and as it is told."""

    loss: Loss
    mean: float  # ΣL/ΣW
    weight: float  # ΣW

    @property
    def value(self) -> float:
        """On the loss's own scale."""
        return self.on_scale(self.mean)

    def on_scale(self, mean: float) -> float:
        """A mean on the loss's own scale."""
        finish = self.loss.finish
        return (finish.value(mean) if finish and mean == mean else mean) + 0.0

    @property
    def slope(self) -> float:
        """How the value moves with ΣL."""
        finish = self.loss.finish
        return (finish.derivative(self.mean) if finish else 1.0) / self.weight


def estimate_mean(records: Records, model: int) -> MeanEstimate:
    """The loss of a model.

    Raises:
        DataError: there is nothing to divide by.
    """
    total = Summary()
    for record in records:
        part = record.parts[model]
        weight = exact_sum(record.shares[model]) if record.shares else exact(float(len(part)))
        total += sum_losses(part, part, weight)
    if not total.weight:
        raise DataError(f"{records.loss.name}: the denominator is 0: there is nothing to divide by")
    return MeanEstimate(records.loss, total.mean, rounded(total.weight))


@dataclass(frozen=True)
class Moments:
    """Σz² of each model's own value, and of its difference to the first. z is the influence of a sample.

    ``freedom``: the degrees of freedom that the second has.
    """

    own: list[float]
    squares: list[float]
    freedom: list[float]


def moments(records: Records, fits: Sequence[MeanEstimate]) -> Moments:
    """The moments of influences: how far the value moves with a sample, (L − mean·W)/ΣW, on the loss's own scale."""
    own, squares, fourths = ([0.0] * len(fits) for _ in range(3))
    for influences in _influences(records, fits):
        for i, z in enumerate(influences):
            apart = z - influences[0]
            own[i] += float(np.add.reduce(z * z))
            squares[i] += float(np.add.reduce(apart * apart))
    for influences in _influences(records, fits):
        for i, z in enumerate(influences):
            u = (z - influences[0]) / math.sqrt(squares[i] or 1.0)  # so scaled that its fourth power is not 0
            fourths[i] += float(np.add.reduce(u**4))
    return Moments(own, squares, [degrees_of_freedom(fourth, records.rows) for fourth in fourths])


def _influences(records: Records, fits: Sequence[MeanEstimate]) -> Iterator[list[Array]]:
    """The influence of each sample of a record, on each model."""
    for record in records:
        shares: Sequence[Array | float] = record.shares or [1.0] * len(fits)
        yield [
            (part - fit.mean * share) * fit.slope for fit, part, share in zip(fits, record.parts, shares, strict=True)
        ]


def standard_error(squares: float, n: int) -> float | None:
    """The standard error of what the influences add up to (Cochran 1977, 6.4); for a plain mean it is s/√n."""
    return math.sqrt(squares * (n / (n - 1))) if n > 1 and math.isfinite(squares) else None


def bootstrap_intervals(
    records: Records, fits: Sequence[MeanEstimate], spread: Moments, *, resamples: int, seed: int, executor: Executor
) -> list[tuple[float | None, float | None]]:
    """The interval of each difference to the first; none where a loss is not finite, or of a single sample."""
    models, n = len(fits), records.rows
    if n < 2 or not all(math.isfinite(fit.value) for fit in fits):
        return [(None, None)] * (models - 1)
    parts, shares = _columns(records, seed)
    if all(np.array_equal(share, shares[0]) for share in shares):
        shares = shares[:1]
    # Where nothing is done to means of one denominator, their difference is the mean of the differences.
    linear = len(shares) < 2 and fits[0].loss.finish is None
    drawn = [part - parts[0] for part in parts[1:]] if linear else parts
    sums = bootstrap_sums([*drawn, *shares], resamples, seed, executor)
    weights = sums[len(drawn) :] or [np.full(resamples, float(n))]
    # A resample can have nothing to divide by: it is left out below.
    means = [sums[i] / weights[i if len(weights) > 1 else 0] for i in range(len(drawn))]
    found: list[tuple[float | None, float | None]] = []
    for i in range(1, models):
        apart = means[i - 1] if linear else _on_scale(fits[i], means[i]) - _on_scale(fits[0], means[0])
        apart = apart[np.isfinite(apart)]
        if not spread.squares[i]:  # the two differ by the same on every sample
            found.append((fits[i].value - fits[0].value,) * 2)
        elif len(apart):
            found.append(expanded_percentile_interval(apart, n, spread.freedom[i], LEVEL))
        else:
            found.append((None, None))
    return found


def _on_scale(fit: MeanEstimate, means: Array) -> Array:
    return means if fit.loss.finish is None else np.array([fit.on_scale(mean) for mean in means.tolist()])


def _columns(records: Records, seed: int) -> tuple[list[Array], list[Array]]:
    """The part of each model, and the share of each where it is not always 1: of samples, or of groups of them."""
    n, models = records.rows, records.models
    if n <= MOST:
        held = [[a.copy() for a in (*record.parts, *record.shares)] for record in records]
        columns = [np.concatenate(pieces) for pieces in zip(*held, strict=True)]
        return columns[:models], columns[models:]
    groups = np.zeros((models + (1 if records.plain else models), MOST))
    rng = np.random.default_rng((seed, n))
    for record in records:
        place = rng.integers(0, MOST, len(record))
        for i, column in enumerate((*record.parts, *(record.shares or [np.ones(len(record))]))):
            groups[i] += np.bincount(place, column, MOST)
    return list(groups[:models]), list(groups[models:])


def t_test_pvalue(value: float, error: float, n: int) -> float:
    """Of a t test on the paired differences, two-sided."""
    from scipy.special import stdtr

    return 2.0 * float(stdtr(n - 1, -abs(value / error)))


def wilcoxon_pvalue(records: Records, model: int, seed: int) -> float | None:
    """Of Wilcoxon's signed-rank test on the paired differences of samples, each counted once, two-sided.

    As SciPy has it: differences of 0 are left out, and up to 50 without ties are tested exactly.
    """
    from scipy.stats import wilcoxon

    rng = np.random.default_rng((seed, records.rows, model))
    parts, left, wanted = [], records.rows, min(RANKED, records.rows)
    for record in records:
        apart = record.losses[model] - record.losses[0]
        # As many of this record as fall to it, so that any samples are as likely to be ranked as any others.
        count = len(apart) if wanted == left else int(rng.hypergeometric(len(apart), left - len(apart), wanted))
        left, wanted = left - len(apart), wanted - count
        parts.append(apart if count == len(apart) else rng.choice(apart, count, replace=False))
    apart = np.concatenate(parts)
    return float(wilcoxon(apart).pvalue) if apart.any() else None
