"""How the losses of samples are distributed, exactly: quantiles, a histogram, and what the worst carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lossctl.analysis.quantiles import order_statistics, spot
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary, sum_losses
from lossctl.engine.exact_sum import exact, exact_sum, ratio
from lossctl.io.spool import Spool

QUANTILES = (0.5, 0.9, 0.99, 1.0)
TAILS = (0.01, 0.1)
_BINS = 10  # as many as a glance takes in
# The median and what 99 % do not exceed: where they are so far apart, half of the losses are in the first of ten bins.
_SPREAD = 20.0
_DECADES = 5
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # what people count in


@dataclass(frozen=True)
class Tail:
    """The worst samples: what they carry of the sum, and what the loss would be without them."""

    fraction: float
    samples: int
    share: float | None
    without: float | None


@dataclass(frozen=True)
class Distribution:
    """Of the per-sample losses, each sample counted once, whatever its weight.

    The last bin of the histogram is open: ``edges`` are where bins begin, and ``high`` is the largest loss.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    low: float
    high: float
    tails: tuple[Tail, ...]


def distribution(spool: Spool, loss: Loss, *, shares: bool) -> Distribution:
    """What the records (loss) or (loss, part, share) of a spool tell, none of them NaN.

    Args:
        spool: each sample's loss and, where they are not the loss and 1, its part of the sum and of what that is
            divided by.
        loss: for what is done to its mean.
        shares: whether shares of the sum mean something.
    """
    n = spool.rows
    weighed = len(next(spool.records())) > 1
    spots = [spot(q, n) for q in QUANTILES]
    sizes = [math.ceil(fraction * n) for fraction in TAILS]
    ranks = sorted({0, *(s.below for s in spots), *(s.above for s in spots)})
    limits = [n - size for size in sizes]
    value = _at(spool, 0, ranks if weighed else [*ranks, *limits])
    limit = _at(spool, 1, limits) if weighed else value
    low, high = value[0], value[n - 1]
    quantiles = tuple(s.value(value) for s in spots)
    edges = _decades(low, *quantiles[:3:2]) or _edges(low, quantiles[2], high)
    tails = _tails(spool, loss, sizes, [limit[n - size] for size in sizes], shares=shares)
    return Distribution(quantiles, edges, _counted(spool, edges), low, high, tails)


def _at(spool: Spool, column: int, ranks: Sequence[int]) -> dict[int, float]:
    return dict(zip(ranks, order_statistics(lambda: spool.column(column), ranks), strict=True))


def _counted(spool: Spool, edges: Sequence[float]) -> tuple[int, ...]:
    """How many losses each bin has: of those from each edge on, less those from the next."""
    above = [spool.rows, *(0 for _ in edges[1:]), 0]
    for losses in spool.column(0):
        for i, edge in enumerate(edges[1:], 1):
            above[i] += int(np.count_nonzero(losses >= edge))
    return tuple(a - b for a, b in pairwise(above))


def _edges(low: float, most: float, high: float) -> tuple[float, ...]:
    """Round numbers from the least loss to what 99 % do not exceed, where the last bin begins.

    >>> _edges(0.02, 3.7, 12.0)
    (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    """
    top = most if math.isfinite(most) and most > low else high
    if not math.isfinite(low) or not math.isfinite(top - low) or top == low:
        return (low,)
    power = 10.0 ** math.floor(math.log10((top - low) / _BINS))
    step = next(s * power for s in _STEPS if s * power * _BINS >= (top - low) * (1.0 - 1e-9))
    first, last = math.floor(low / step), math.ceil(top / step)
    edges = [float(f"{i * step:.12g}") + 0.0 for i in range(first, last + (top < high))]  # 0.3, and not 0.1 · 3
    if len(set(edges)) < len(edges):  # losses that differ in their last digits alone
        return (low,)
    return tuple(edges)


def _decades(low: float, median: float, most: float) -> tuple[float, ...]:
    """Powers of ten for losses of several sizes, of which equal bins would show one alone; none for others.

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
    """The ``sizes`` samples that add most, of which the last add ``limits``; of equals the first rows."""
    place = min(1, len(next(spool.records())) - 1)
    above = [0 for _ in limits]
    for part in spool.column(place):
        for i, limit in enumerate(limits):
            above[i] += int(np.count_nonzero(part > limit))
    left = [size - more for size, more in zip(sizes, above, strict=True)]
    worst, rest = [Summary() for _ in limits], [Summary() for _ in limits]
    for record in spool.records():
        part, share = record[place], record[2] if place else None
        for i, limit in enumerate(limits):
            taken = part > limit
            if left[i]:
                equal = np.flatnonzero(part == limit)[: left[i]]
                taken[equal] = True
                left[i] -= len(equal)
            worst[i] += _sums(part, share, taken)
            rest[i] += _sums(part, share, ~taken)
    return tuple(
        Tail(fraction, size, _carried(a, a + b) if shares else None, _value(loss, b))
        for fraction, size, a, b in zip(TAILS, sizes, worst, rest, strict=True)
    )


def _sums(part: Array, share: Array | None, taken: np.ndarray) -> Summary:
    """The sums of those taken. The others are made zeros: they would take longer to leave out."""
    chosen = np.where(taken, part, 0.0)
    n = int(np.count_nonzero(taken))
    weight = exact(float(n)) if share is None else exact_sum(np.where(taken, share, 0.0))
    return replace(sum_losses(chosen, chosen, weight), elements=n)


def _carried(part: Summary, whole: Summary) -> float | None:
    return ratio(part.total, whole.total) if whole.special == 0.0 and whole.total > 0 else None


def _value(loss: Loss, rest: Summary) -> float | None:
    if not rest.weight:
        return None
    return loss.finish.value(rest.mean) if loss.finish else rest.mean
