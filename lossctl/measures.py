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
        return Summary(missing=elements.missing, special=special)
    arrays, weights, rows = elements.arrays, elements.weights, elements.rows
    values = job.loss.evaluate(*arrays)[0]
    denominator = job.loss.denominator
    amounts = None if denominator is None else denominator(*arrays, **job.loss.params)
    scale = weights if amounts is None else amounts if weights is None else amounts * weights
    parts = values if weights is None else values * weights
    kept = _sums(values, parts, scale)
    kept = replace(kept, samples=rows.kept, missing=elements.missing, special=kept.special + special)
    return _with_detail(kept, parts, weights, scale, rows) if policy.detail else kept


def _sums(values: Array, parts: Array, scale: Array | None) -> Summary:
    n = len(values)
    weight = exact(float(n)) if scale is None else exact_sum(scale)
    quick = float(np.add.reduce(parts))
    if math.isfinite(quick):
        return Summary(elements=n, total=exact(quick), weight=weight)
    finite = np.isfinite(values)
    return Summary(
        elements=n,
        infinite=int(np.count_nonzero(np.isinf(values))),
        nans=int(np.count_nonzero(np.isnan(values))),
        total=exact_sum(parts[finite]),
        weight=weight,
        special=float(np.add.reduce(values[~finite])) if not finite.all() else 0.0,
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
