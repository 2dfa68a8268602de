"""The bootstrap: how a figure would vary over other samples of the same kind.

Samples are drawn again from those there are, as many with replacement, and all models are judged by the
same draw, so that what they have in common cancels. The interval is BCa (Efron 1987, doi:10.1080/01621459.
1987.10478410): percentiles of the resampled differences, moved to correct for bias and for skewness. Plain
percentiles are off by O(1/√n) where losses are skewed, and most are; BCa by O(1/n); and unlike a
bootstrap of t it gives the same interval for rmse as for mse, seen through the square root.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from functools import partial
from statistics import NormalDist

import numpy as np

from lossctl.executor import Executor, Future
from lossctl.kernels.kinds import Array

# Draws that are made at once: an index and a number of each stay in a 1 MiB L2 cache.
_DRAWS = 1 << 16
# Resamples of one task, of which each has a generator of its own: the digits do not depend on threads.
_TASK = 250
# Above this number, samples are put into so many groups at random, and the sums of groups are drawn. Groups of
# independent samples are independent samples themselves: their sums vary as the whole does, and the spread of
# so many is known to 0.3 %.
MOST = 100_000


def resampled(columns: Sequence[Array], resamples: int, seed: int, executor: Executor) -> list[Array]:
    """The sum of each column over each of many resamples of the rows.

    >>> from lossctl.executor import Threads
    >>> (sums,) = resampled([np.ones(5)], 3, 0, Threads(1))
    >>> sums.tolist()
    [5.0, 5.0, 5.0]
    """
    pending: deque[Future[list[Array]]] = deque()
    found: list[list[Array]] = []
    for task in range(math.ceil(resamples / _TASK)):
        count = min(_TASK, resamples - task * _TASK)
        pending.append(executor.submit(partial(_drawn, columns, count, (seed, task))))
        if len(pending) >= executor.window:
            found.append(pending.popleft().result())
    found += [future.result() for future in pending]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _drawn(columns: Sequence[Array], resamples: int, seed: tuple[int, int]) -> list[Array]:
    n = len(columns[0])
    rng = np.random.default_rng(seed)
    at_once = max(1, _DRAWS // n)
    sums = [np.empty(resamples) for _ in columns]
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        parts = np.zeros((len(columns), count))
        # A resample of more rows than are drawn at once is drawn in pieces.
        for begin in range(0, n, _DRAWS):
            rows = rng.integers(0, n, (count, min(_DRAWS, n - begin)))
            for i, column in enumerate(columns):
                parts[i] += column.take(rows, mode="clip").sum(axis=1)  # clip: none is outside, and asking takes longer
        for whole, part in zip(sums, parts, strict=True):
            whole[start : start + count] = part
    return sums


def interval(value: float, resampled: Array, influence: tuple[float, float], level: float) -> tuple[float, float]:
    """The BCa interval of a figure.

    Args:
        value: the figure of the samples themselves.
        resampled: that of each resample.
        influence: Σz² and Σz³ of what each sample contributes to the figure's difference from the truth.
        level: how often the interval is to hold the truth, 0.95 say.
    """
    squares, cubes = influence
    if not squares:
        return value, value
    normal, n = NormalDist(), len(resampled)
    below = np.count_nonzero(resampled < value) + 0.5 * np.count_nonzero(resampled == value)
    # Of a handful of resamples all can lie on one side, which tells no bias of infinity.
    bias = normal.inv_cdf(min(max(below / n, 0.5 / n), 1.0 - 0.5 / n))
    skew = cubes / (6.0 * squares**1.5)
    ends = []
    for probability in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        z = bias + normal.inv_cdf(probability)
        left = 1.0 - skew * z
        ends.append(normal.cdf(bias + z / left) if left > 0 else float(z > 0))
    low, high = np.quantile(resampled, ends).tolist()
    return low, high
