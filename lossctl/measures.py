"""From the elements of a block to what is kept of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lossctl.blocks import Block, Grouping
from lossctl.jobs import Job
from lossctl.kernels.kinds import Array
from lossctl.summary import Extreme, Spread, Summary, exact, exact_sum


def summarise(block: Block, job: Job) -> Summary:
    """What is kept of one loss over one block."""
    policy, elements = block.policy, block.elements(job)
    special = math.nan if elements.missing and policy.nan == "propagate" else 0.0
    if not len(elements):
        return Summary(missing=elements.missing, special=special, ignored=elements.ignored)
    arrays, weights, rows = elements.arrays, elements.weights, elements.rows
    values = job.loss.evaluate(*arrays)[0]
    denominator = job.loss.denominator
    amounts = None if denominator is None else denominator(*arrays, **job.loss.params)
    scale = weights if amounts is None else amounts if weights is None else amounts * weights
    parts = values if weights is None else values * weights
    total = float(np.add.reduce(parts))
    odd = None if math.isfinite(total) else _odd(values, parts)
    kept = Summary(
        samples=rows.kept,
        elements=len(values),
        missing=elements.missing,
        infinite=odd.infinite if odd else 0,
        nans=odd.nans if odd else 0,
        total=odd.total if odd else exact(total),
        weight=exact(float(len(values))) if scale is None else exact_sum(scale),
        special=odd.special + special if odd else special,
        ignored=elements.ignored,
    )
    if not policy.detail:
        return kept
    if scale is None and rows.per_row == 1 and not kept.nans:
        return _plain_detail(kept, values, total, rows)
    return _with_detail(kept, parts, weights, scale, rows)


def _odd(values: Array, parts: Array) -> Summary:
    """The sums of a block in which a loss is not finite, or its sum no double."""
    finite = np.isfinite(values)
    return Summary(
        infinite=int(np.count_nonzero(np.isinf(values))),
        nans=int(np.count_nonzero(np.isnan(values))),
        total=exact_sum(parts[finite]),
        special=float(np.add.reduce(values[~finite])) if not finite.all() else 0.0,
    )


def _plain_detail(kept: Summary, values: Array, total: float, rows: Grouping) -> Summary:
    """Standard error and extremes where each element is a sample and counts once: in half the passes."""
    n = len(values)
    low, high = int(values.argmin()), int(values.argmax())
    off = values - total / n
    off *= off
    least, most = float(values[low]) + 0.0, float(values[high]) + 0.0  # + 0.0: a loss of -0.0 reads 0
    first, last = Extreme(least, rows.number(low)), Extreme(most, rows.number(high))
    return replace(
        kept,
        spread=Spread(n, total, float(n), float(np.add.reduce(off)), 0.0, float(n)),
        low=first,
        high=last,
        # of equals the one that comes first
        top=min(first, last, key=lambda e: (-abs(e.value), e.row)),
    )


def _with_detail(kept: Summary, parts: Array, weights: Array | None, scale: Array | None, rows: Grouping) -> Summary:
    """Standard error and extremes, of samples: what the elements of a row add up to."""
    ones = np.ones(len(parts))
    lost, share = rows.sums(parts), rows.sums(ones if scale is None else scale)
    plain = weights is None and rows.per_row == 1
    means = lost if plain else lost / rows.sums(ones if weights is None else weights)
    total, weight = float(np.add.reduce(lost)), float(np.add.reduce(share))
    off = lost - (total / weight if weight else 0.0) * share
    spread = Spread(
        len(lost),
        total,
        weight,
        float(np.add.reduce(off * off)),  # NaN where a loss is infinite, which is told as unknown
        0.0 if scale is None and rows.per_row == 1 else float(np.add.reduce(off * share)),
        float(np.add.reduce(share * share)),
    )
    size = np.abs(lost)
    if kept.nans:  # told by their number; the extremes are those of the others
        means, size = np.where(np.isnan(means), means[~np.isnan(means)][:1].sum(), means), np.nan_to_num(size, nan=0.0)
    low, high, top = (int(i) for i in (means.argmin(), means.argmax(), size.argmax()))
    return replace(
        kept,
        spread=spread,
        low=Extreme(float(means[low]) + 0.0, rows.number(low)),  # + 0.0: a loss of -0.0 reads 0
        high=Extreme(float(means[high]) + 0.0, rows.number(high)),
        top=Extreme(float(lost[top]), rows.number(top)),
    )
