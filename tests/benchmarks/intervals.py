"""Coverage of several bootstrap intervals: ``python tests/benchmarks/intervals.py [RUNS]``.

It prints the figures in the docstring of lossctl/analysis/bootstrap.py: coverage for the cases of
tests/benchmarks/compare.py and for skewed differences, by each method that was considered. lossctl uses ``expanded``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from compare import CASES, Case
from scipy.stats import t as student

from lossctl.analysis.bootstrap import degrees_of_freedom
from lossctl.core.arrays import Array

Interval: TypeAlias = tuple[str, tuple[float, ...]]  # by which way, and its ends

RUNS, RESAMPLES = 2000, 1000  # 2000 runs know a coverage of 95 % to ± 1 %
SMALL = 50
NORMAL = NormalDist()
SKEWED: dict[str, tuple[Callable[[np.random.Generator], Array], float]] = {
    "log-normal": (lambda rng: np.exp(rng.normal(size=SMALL)), math.exp(0.5)),
    "chi squared": (lambda rng: rng.normal(size=SMALL) ** 2, 1.0),
    "exponential": (lambda rng: rng.exponential(size=SMALL), 1.0),
}


def drawn(case: Case, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """What each sample adds to the sums of two models, and to what these are divided by."""
    target = rng.normal(size=case.n)
    errors = case.errors(rng, case.n)
    weight = rng.exponential(size=case.n) + 0.1 if case.weighted else np.ones(case.n)
    first, second = (weight * (e * e if case.loss in ("mse", "rmse") else np.abs(e)) for e in errors)
    return first, second, np.abs(target) if case.loss == "wape" else weight


def ways(first: Array, second: Array, weight: Array, rng: np.random.Generator, *, root: bool) -> Iterator[Interval]:
    """The name and the ends of each interval of the difference of two means, or of their square roots."""
    n = len(first)
    rows = rng.integers(0, n, (RESAMPLES, n))

    def summed(column: Array) -> Array:
        return np.asarray(column.take(rows).sum(axis=1))

    a, b, w = first.sum() / weight.sum(), second.sum() / weight.sum(), summed(weight)
    resampled = summed(second) / w, summed(first) / w
    # The derivative of what is done to a mean.
    slopes = (0.5 / math.sqrt(b), 0.5 / math.sqrt(a)) if root else (1.0, 1.0)
    value = math.sqrt(b) - math.sqrt(a) if root else b - a
    figures = np.sqrt(resampled[0]) - np.sqrt(resampled[1]) if root else resampled[0] - resampled[1]
    z = ((second - b * weight) * slopes[0] - (first - a * weight) * slopes[1]) / weight.sum()
    squares = float((z * z).sum())
    error, skew = math.sqrt(squares), float((z**3).sum()) / (6.0 * squares**1.5)
    # The standard error of each resample, its slopes those of the resample itself.
    own = (0.5 / np.sqrt(resampled[0]), 0.5 / np.sqrt(resampled[1])) if root else (1.0, 1.0)
    zs = own[0][:, None] if root else 1.0, own[1][:, None] if root else 1.0
    off = (second[rows] - resampled[0][:, None] * weight[rows]) * zs[0]
    off -= (first[rows] - resampled[1][:, None] * weight[rows]) * zs[1]
    errors = np.sqrt((off * off).sum(axis=1)) / w
    low, high = np.quantile((figures - value) / np.maximum(errors, 1e-300), [0.025, 0.975])
    wide = math.sqrt(n / (n - 1))
    normal, t = NORMAL.inv_cdf(0.975), wide * student.ppf(0.975, n - 1)
    ours = wide * student.ppf(0.975, degrees_of_freedom(float((z**4).sum()) / squares**2, n))
    bias = NORMAL.inv_cdf(min(max(float(np.mean(figures < value)), 0.5 / RESAMPLES), 1.0 - 0.5 / RESAMPLES))
    yield "expanded", tuple(np.quantile(figures, [NORMAL.cdf(-ours), NORMAL.cdf(ours)]))
    yield "n - 1", tuple(np.quantile(figures, [NORMAL.cdf(-t), NORMAL.cdf(t)]))
    yield "BCa", tuple(np.quantile(figures, accelerated(bias, skew, normal)))
    yield "BCa, as far out", tuple(np.quantile(figures, accelerated(bias, skew, ours)))
    yield "of t", (value - high * error, value - low * error)


def accelerated(bias: float, skew: float, far: float) -> list[float]:
    """The percentiles of BCa (Efron 1987) for a normal quantile."""
    ends = []
    for z in (bias - far, bias + far):
        left = 1.0 - skew * z
        ends.append(NORMAL.cdf(bias + z / left) if left > 0 else float(z > 0))
    return ends


def told(name: str, truth: float, runs: int, draw: Callable[[np.random.Generator], Iterator[Interval]]) -> None:
    """Print how often each interval holds the truth."""
    held: dict[str, int] = {}
    for run in range(runs):
        for way, (low, high) in draw(np.random.default_rng(run)):
            held[way] = held.get(way, 0) + (low <= truth <= high)
    print(f"{name:32}", "  ".join(f"{way} {100 * count / runs:.1f}" for way, count in held.items()))


def main(runs: int) -> None:
    """Print a line for each case."""
    for case in CASES:

        def draw(rng: np.random.Generator, case: Case = case) -> Iterator[Interval]:
            return ways(*drawn(case, rng), rng, root=case.loss == "rmse")

        kind = f"{case.errors.__name__}{', weighted' * case.weighted}"
        told(f"{case.loss} n = {case.n} {kind}", case.truth, runs, draw)
    for name, (make, truth) in SKEWED.items():

        def alone(rng: np.random.Generator, make: Callable[[np.random.Generator], Array] = make) -> Iterator[Interval]:
            return ways(np.zeros(SMALL), make(rng), np.ones(SMALL), rng, root=False)

        told(f"{name}, n = {SMALL}", truth, runs, alone)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
