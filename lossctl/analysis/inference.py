"""Statistical inference on paired samples: standard errors, bootstrap intervals and hypothesis tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.analysis.bootstrap import (
    MAX_RESAMPLED_ROWS,
    bootstrap_sums,
    degrees_of_freedom,
    expanded_percentile_interval,
)
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary, sum_losses
from lossctl.engine.exact_sum import exact, exact_sum, rounded
from lossctl.engine.executors.base import Executor
from lossctl.errors import DataError
from lossctl.immutable import immutable
from lossctl.io.spool import Spool

LEVEL = 0.95
POWER = 0.8
# Below this number of samples the interval is that of Student's t, as for clusters. Coverage in % of bootstrap and t
# (tests/benchmarks/compare.py few): of 3 samples 70, 95 (mse of normal errors), 61, 89 (of skewed errors) and 76, 94
# (rmse); of 10 samples 94, 95 and 84, 88 and 96, 94.
FEW = 20
# Maximum number of samples in Wilcoxon's test; a larger data set is reduced to a random subset of this size. The ranks
# are computed in memory, and 500,000 of them take 60 MiB.
MAX_RANKED_ROWS = 500_000


@immutable
class Record:
    """Some samples: for each model the part of the sum, the share of the denominator and the loss, shape (samples,)."""

    parts: tuple[Array, ...]
    shares: tuple[Array, ...]  # empty if all shares are 1
    losses: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.parts[0])


@immutable
class Records:
    """All samples of several models under one loss, on disk; if ``plain``, parts equal losses and shares are 1.

    If ``clustered``, each sample has the number of its cluster.
    """

    spool: Spool
    loss: Loss
    models: int
    plain: bool
    clustered: bool = False

    @property
    def rows(self) -> int:
        """The number of samples."""
        return self.spool.rows

    def __iter__(self) -> Iterator[Record]:
        for arrays in self.spool.records():
            yield self._record(arrays)

    def _record(self, arrays: Sequence[Array]) -> Record:
        k, numbers = self.models, tuple(arrays[:-1] if self.clustered else arrays)
        return Record(numbers[:k], numbers[k : 2 * k], numbers[:k] if self.plain else numbers[2 * k :])

    def clusters(self) -> Records:
        """Return the sums over the samples of each cluster; the losses are the sums, too.

        Samples of a cluster depend on each other. Between independent clusters the sums are what the formulas for
        samples take: the standard error is then the cluster-robust one (Liang and Zeger 1986,
        doi:10.1093/biomet/73.1.13) with the factor G/(G − 1). They are in memory.
        """
        sums = np.zeros((2 * self.models, 0))
        for arrays in self.spool.records():
            record, number = self._record(arrays), arrays[-1].astype(np.intp)
            shares = record.shares or [np.ones(len(number))] * self.models
            count = max(sums.shape[1], int(number.max(initial=-1)) + 1)
            sums = np.pad(sums, ((0, 0), (0, count - sums.shape[1])))
            sums += [np.bincount(number, values, count) for values in (*record.parts, *shares)]
        spool = Spool()
        spool.write(*sums, *sums[: self.models])
        return Records(spool, self.loss, self.models, plain=False)


@immutable
class MeanEstimate:
    """The estimated loss of one model from exact sums: the mean, and ``value`` on the scale of the loss."""

    loss: Loss
    mean: float  # ΣL/ΣW
    weight: float  # ΣW

    @property
    def value(self) -> float:
        """The mean transformed to the scale of the loss, such as its square root for rmse."""
        return self.on_scale(self.mean)

    def on_scale(self, mean: float) -> float:
        """Transform a mean to the scale of the loss."""
        finish = self.loss.finish
        return (finish.value(mean) if finish and mean == mean else mean) + 0.0

    @property
    def slope(self) -> float:
        """The derivative of ``value`` with respect to ΣL."""
        finish = self.loss.finish
        return (finish.derivative(self.mean) if finish else 1.0) / self.weight


def estimate_mean(records: Records, model: int) -> MeanEstimate:
    """Estimate the loss of one model.

    Raises:
        DataError: the denominator ΣW is 0.
    """
    total = Summary()
    for record in records:
        part = record.parts[model]
        weight = exact_sum(record.shares[model]) if record.shares else exact(float(len(part)))
        total += sum_losses(part, part, weight)
    if not total.weight:
        raise DataError(f"{records.loss.name}: the denominator is 0: there is nothing to divide by")
    return MeanEstimate(records.loss, total.mean, rounded(total.weight))


@immutable
class Moments:
    """Second moments of the influences z of the samples, one entry per model.

    Attributes:
        of_values: Σz² of the value of each model.
        of_differences: Σz² of the difference of each model to the first.
        freedom: the effective degrees of freedom of ``of_differences``.
    """

    of_values: list[float]
    of_differences: list[float]
    freedom: list[float]


def moments(records: Records, estimates: Sequence[MeanEstimate]) -> Moments:
    """Compute the moments of the influences.

    The influence of a sample on the value of a model is (L − mean·W)/ΣW, times the derivative of the transform to the
    scale of the loss.
    """
    of_values, of_differences, fourths = ([0.0] * len(estimates) for _ in range(3))
    for influences in _influences(records, estimates):
        for i, z in enumerate(influences):
            differences = z - influences[0]
            of_values[i] += float(np.add.reduce(z * z))
            of_differences[i] += float(np.add.reduce(differences * differences))
    for influences in _influences(records, estimates):
        for i, z in enumerate(influences):
            u = (z - influences[0]) / math.sqrt(of_differences[i] or 1.0)  # Σu² = 1, so that u⁴ does not underflow
            fourths[i] += float(np.add.reduce(u**4))
    return Moments(of_values, of_differences, [degrees_of_freedom(fourth, records.rows) for fourth in fourths])


def _influences(records: Records, estimates: Sequence[MeanEstimate]) -> Iterator[list[Array]]:
    """Yield, for each record, the influences of its samples on the value of each model."""
    for record in records:
        shares: Sequence[Array | float] = record.shares or [1.0] * len(estimates)
        yield [
            (part - estimate.mean * share) * estimate.slope
            for estimate, part, share in zip(estimates, record.parts, shares, strict=True)
        ]


def standard_error(squares: float, n: int) -> float | None:
    """Return the standard error from Σz² of the influences (Cochran 1977, 6.4); for a plain mean it is s/√n."""
    return math.sqrt(squares * (n / (n - 1))) if n > 1 and math.isfinite(squares) else None


def bootstrap_intervals(
    records: Records,
    estimates: Sequence[MeanEstimate],
    spread: Moments,
    *,
    resamples: int,
    seed: int,
    executor: Executor,
) -> list[tuple[float | None, float | None]]:
    """Compute the bootstrap interval of the difference of each further model to the first.

    An interval is (None, None) if a loss is not finite or there is a single sample.
    """
    models, n = len(estimates), records.rows
    if n < 2 or not all(math.isfinite(estimate.value) for estimate in estimates):
        return [(None, None)] * (models - 1)
    parts, shares = _columns(records, seed)
    if all(np.array_equal(share, shares[0]) for share in shares):
        shares = shares[:1]
    # With equal denominators and no transform, the difference of the means is the mean of the differences.
    linear = len(shares) < 2 and estimates[0].loss.finish is None
    drawn = [part - parts[0] for part in parts[1:]] if linear else parts
    sums = bootstrap_sums([*drawn, *shares], resamples, seed, executor)
    weights = sums[len(drawn) :] or [np.full(resamples, float(n))]
    # The denominator of a resample can be 0: the non-finite result is dropped below.
    means = [sums[i] / weights[i if len(weights) > 1 else 0] for i in range(len(drawn))]
    intervals: list[tuple[float | None, float | None]] = []
    for i in range(1, models):
        differences = means[i - 1] if linear else _on_scale(estimates[i], means[i]) - _on_scale(estimates[0], means[0])
        differences = differences[np.isfinite(differences)]
        if not spread.of_differences[i]:  # the difference is the same on every sample
            intervals.append((estimates[i].value - estimates[0].value,) * 2)
        elif len(differences):
            intervals.append(expanded_percentile_interval(differences, n, spread.freedom[i], LEVEL))
        else:
            intervals.append((None, None))
    return intervals


def _on_scale(estimate: MeanEstimate, means: Array) -> Array:
    return means if estimate.loss.finish is None else np.array([estimate.on_scale(mean) for mean in means.tolist()])


def _columns(records: Records, seed: int) -> tuple[list[Array], list[Array]]:
    """Return the columns to resample: the parts of each model, and the shares of each model unless all are 1.

    Above ``MAX_RESAMPLED_ROWS`` samples the rows are the sums of random groups, and shares are always returned.
    """
    n, models = records.rows, records.models
    if n <= MAX_RESAMPLED_ROWS:
        copies = [[a.copy() for a in (*record.parts, *record.shares)] for record in records]
        columns = [np.concatenate(pieces) for pieces in zip(*copies, strict=True)]
        return columns[:models], columns[models:]
    groups = np.zeros((models + (1 if records.plain else models), MAX_RESAMPLED_ROWS))
    rng = np.random.default_rng((seed, n))
    for record in records:
        place = rng.integers(0, MAX_RESAMPLED_ROWS, len(record))
        for i, column in enumerate((*record.parts, *(record.shares or [np.ones(len(record))]))):
            groups[i] += np.bincount(place, column, MAX_RESAMPLED_ROWS)
    return list(groups[:models]), list(groups[models:])


def t_interval(value: float, error: float | None, n: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of Student's t with n − 1 degrees of freedom; (None, None) without a standard error.

    For clusters and for few samples: of 2 to 5 clusters the bootstrap interval covers 49 to 93 %
    (tests/benchmarks/compare.py clusters).
    """
    if error is None or not math.isfinite(value):
        return None, None
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * error
    return value - half, value + half


def t_test_pvalue(value: float, error: float, n: int) -> float:
    """Return the two-sided p-value of the paired t test with n − 1 degrees of freedom."""
    from scipy.special import stdtr

    return 2.0 * float(stdtr(n - 1, -abs(value / error)))


def detectable_difference(error: float, n: int) -> float:
    """Return the smallest true difference that the t test at 5 % finds in 80 % of data sets with this standard error.

    (t₀.₉₇₅ + t₀.₈)·error with n − 1 degrees of freedom: the minimum detectable effect (Bloom 1995,
    doi:10.1177/0193841X9501900504). A smaller true difference is "unclear" in more than one of five data sets.
    """
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.5 + LEVEL / 2) + stdtrit(n - 1, POWER)) * error


def holm(pvalues: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for several tests by Holm's step-down method; None stays None and does not count.

    The chance that any true null hypothesis has an adjusted p-value of at most α is at most α, whatever the dependence
    of the tests (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    adjusted: list[float | None] = [None] * len(pvalues)
    tests = sorted((p, i) for i, p in enumerate(pvalues) if p is not None)
    largest = 0.0
    for k, (p, i) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - k) * p))
        adjusted[i] = largest
    return adjusted


def mcnemar_pvalue(better: int, worse: int) -> float | None:
    """Return the two-sided p-value of the exact McNemar test of two models with losses of 0 and 1.

    Of the samples that one model alone gets right, each model has a half under the null hypothesis: a binomial test
    (McNemar 1947, doi:10.1007/BF02295996). It is None if there is no such sample.

    Args:
        better, worse: the numbers of samples that the second model alone, and the first alone, gets right.

    >>> mcnemar_pvalue(1, 9)
    0.021484375
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else None


def wilcoxon_pvalue(records: Records, model: int, seed: int) -> float | None:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on the paired differences, unweighted.

    Uses the defaults of SciPy: differences of 0 are dropped, and up to 50 differences without ties are tested exactly.
    The result is None if all differences are 0.
    """
    from scipy.stats import wilcoxon

    rng = np.random.default_rng((seed, records.rows, model))
    parts, left, to_draw = [], records.rows, min(MAX_RANKED_ROWS, records.rows)
    for record in records:
        differences = record.losses[model] - record.losses[0]
        # The hypergeometric distribution gives the number of samples of this record in a uniform random subset.
        n = len(differences)
        count = n if to_draw == left else int(rng.hypergeometric(n, left - n, to_draw))
        left, to_draw = left - n, to_draw - count
        parts.append(differences if count == n else rng.choice(differences, count, replace=False))
    differences = np.concatenate(parts)
    return float(wilcoxon(differences).pvalue) if differences.any() else None
