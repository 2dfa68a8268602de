"""Exact distribution of per-sample losses: quantiles, a histogram, and the share of the worst samples in the sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lossctl.analysis.histograms import LEAST_STEP, round_step
from lossctl.analysis.quantiles import order_statistics, quantile_position
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary, sum_losses
from lossctl.engine.exact_sum import exact, exact_sum, ratio
from lossctl.immutable import immutable
from lossctl.io.spool import Spool

QUANTILES = (0.5, 0.9, 0.99, 1.0)
TAILS = (0.01, 0.1)
_BINS = 10  # few enough to read at once
# Bins are powers of ten if the 99 % quantile exceeds this multiple of the median: ten equal bins would put at least
# half of the losses into the first bin.
_SPREAD = 20.0
_DECADES = 5
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # round bin widths, times a power of ten


@immutable
class Tail:
    """The worst samples: their share of the sum, and the loss without them.

    Attributes:
        fraction: the fraction of all samples, such as 0.01.
        samples: the number of samples.
        share: their share of the sum; None if it is undefined.
        without: the loss of the other samples; None if there are none.
    """

    fraction: float
    samples: int
    share: float | None
    without: float | None


@immutable
class Distribution:
    """The distribution of the per-sample losses; each sample counts once, whatever its weight.

    Attributes:
        quantiles: the quantiles at the levels ``QUANTILES``.
        edges: the lower edge of each bin of the histogram; the last bin has no upper edge.
        counts: the number of losses in each bin.
        low, high: the smallest and the largest loss.
        tails: the worst samples, for each of the fractions ``TAILS``.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    low: float
    high: float
    tails: tuple[Tail, ...]


def distribution(spool: Spool, loss: Loss, *, shares: bool) -> Distribution:
    """Compute the distribution of the losses in a spool.

    Args:
        spool: records (loss) or (loss, part, share) without NaN, where part is the part of the sum and share the
            share of the denominator. Records (loss) mean part = loss and share = 1.
        loss: the loss, whose transform is applied to the mean.
        shares: whether to compute the shares of the tails in the sum.
    """
    n = spool.rows
    weighed = len(next(spool.records())) > 1
    positions = [quantile_position(q, n) for q in QUANTILES]
    sizes = [math.ceil(fraction * n) for fraction in TAILS]
    ranks = sorted({0, *(s.below for s in positions), *(s.above for s in positions)})
    limits = [n - size for size in sizes]
    value = _at(spool, 0, ranks if weighed else [*ranks, *limits])
    limit = _at(spool, 1, limits) if weighed else value
    low, high = value[0], value[n - 1]
    quantiles = tuple(s.value(value) for s in positions)
    edges = _decades(low, *quantiles[:3:2]) or _edges(low, quantiles[2], high)
    tails = _tails(spool, loss, sizes, [limit[n - size] for size in sizes], shares=shares)
    return Distribution(quantiles, edges, _counted(spool, edges), low, high, tails)


def _at(spool: Spool, column: int, ranks: Sequence[int]) -> dict[int, float]:
    return dict(zip(ranks, order_statistics(lambda: spool.column(column), ranks), strict=True))


def _counted(spool: Spool, edges: Sequence[float]) -> tuple[int, ...]:
    """Count the losses in each bin: those at or above its edge minus those at or above the next edge."""
    above = [spool.rows, *(0 for _ in edges[1:]), 0]
    for losses in spool.column(0):
        for i, edge in enumerate(edges[1:], 1):
            above[i] += int(np.count_nonzero(losses >= edge))
    return tuple(a - b for a, b in pairwise(above))


def _edges(low: float, most: float, high: float) -> tuple[float, ...]:
    """Return round, equidistant bin edges from the smallest loss to the 99 % quantile, where the last bin begins.

    >>> _edges(0.02, 3.7, 12.0)
    (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    """
    top = most if math.isfinite(most) and most > low else high
    if not math.isfinite(low) or not math.isfinite(top - low) or (top - low) / _BINS < LEAST_STEP:
        return (low,)
    step = round_step((top - low) / _BINS, _STEPS)
    first, last = math.floor(low / step), math.ceil(top / step)
    edges = [float(f"{i * step:.12g}") + 0.0 for i in range(first, last + 1)]  # 0.3, not 0.1 · 3
    edges = [edge for edge in edges if edge < high]  # the last bin ends at the largest loss
    if len(set(edges)) < len(edges) or not edges:  # the losses differ in their last digits only
        return (low,)
    return tuple(edges)


def _decades(low: float, median: float, most: float) -> tuple[float, ...]:
    """Return powers of ten as bin edges if the losses span several orders of magnitude, else an empty tuple.

    Bins of equal width would show the largest order of magnitude only.

    >>> _decades(1e-9, 0.02, 3.7)
    (0.0, 1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0)
    """
    if low < 0 or not math.isfinite(most) or not 0 < median * _SPREAD < most:
        return ()
    last = math.floor(math.log10(most))
    powers = [float(f"1e{k}") for k in range(last - _DECADES, last + 1)]
    return (0.0, *(power for power in powers if power > low))


def _tails(
    spool: Spool, loss: Loss, sizes: Sequence[int], limits: Sequence[float], *, shares: bool
) -> tuple[Tail, ...]:
    """Compute the tails of ``sizes`` samples with the largest parts of the sum; ties are resolved by row order.

    ``limits`` are the smallest parts within each tail.
    """
    place = min(1, len(next(spool.records())) - 1)
    above = [0 for _ in limits]
    for part in spool.column(place):
        for i, limit in enumerate(limits):
            above[i] += int(np.count_nonzero(part > limit))
    remaining = [size - more for size, more in zip(sizes, above, strict=True)]
    worst, others = [Summary() for _ in limits], [Summary() for _ in limits]
    for record in spool.records():
        part, share = record[place], record[2] if place else None
        for i, limit in enumerate(limits):
            taken = part > limit
            if remaining[i]:
                equal = np.flatnonzero(part == limit)[: remaining[i]]
                taken[equal] = True
                remaining[i] -= len(equal)
            worst[i] += _sums(part, share, taken)
            others[i] += _sums(part, share, ~taken)
    return tuple(
        Tail(fraction, size, _carried(a, a + b) if shares else None, _value(loss, b))
        for fraction, size, a, b in zip(TAILS, sizes, worst, others, strict=True)
    )


def _sums(part: Array, share: Array | None, taken: np.ndarray) -> Summary:
    """Sum the parts and shares of the samples in ``taken``; the others are set to 0, which is faster than indexing."""
    chosen = np.where(taken, part, 0.0)
    n = int(np.count_nonzero(taken))
    weight = exact(float(n)) if share is None else exact_sum(np.where(taken, share, 0.0))
    return replace(sum_losses(chosen, chosen, weight), elements=n)


def _carried(part: Summary, whole: Summary) -> float | None:
    return ratio(part.total, whole.total) if whole.nonfinite_sum == 0.0 and whole.total > 0 else None


def _value(loss: Loss, summary: Summary) -> float | None:
    if not summary.weight:
        return None
    return loss.finish.value(summary.mean) if loss.finish else summary.mean
