"""What each sample of a block costs, and which of them cost most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.blocks import Block, Elements
from lossctl.jobs import Job
from lossctl.kernels.kinds import CLASSES, Array
from lossctl.summary import Spread, Summary, exact, exact_sum

Index: TypeAlias = npt.NDArray[np.intp]

# Samples of which the extreme is found at once, on the way to the first few of a block.
_RUN = 128


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The elements of a block that count: the loss of each, its part of the sum, its share of the denominator."""

    elements: Elements
    index: Index  # which they are among all elements of the block
    values: Array
    parts: Array
    scale: Array
    uniform: bool  # whether each element's part is its loss, and its share 1


def evaluated(block: Block, job: Job) -> Evaluated:
    """The loss of each element of a block."""
    elements = block.elements(job)
    n = len(elements)
    index = np.arange(n) if elements.rows.index is None else elements.rows.index
    ones, weights = np.ones(n), elements.weights
    if not n:
        return Evaluated(elements, index, ones, ones, ones, uniform=True)
    values = job.loss.evaluate(*elements.arrays)[0] + 0.0  # + 0.0: a loss of -0.0 reads 0
    denominator = job.loss.denominator
    amounts = None if denominator is None else denominator(*elements.arrays, **job.loss.params)
    scale = weights if amounts is None else amounts if weights is None else amounts * weights
    parts = values if weights is None else values * weights
    return Evaluated(elements, index, values, parts, ones if scale is None else scale, scale is None)


@dataclass(frozen=True, eq=False)
class Costs:
    """The samples of a block that count, in the order of rows.

    ``part`` is what a sample adds to the sum, ``share`` what it adds to what the sum is divided by, and
    ``loss`` the mean over its elements. For one unweighted element they are the loss, 1 and the loss.
    """

    found: Evaluated
    index: Index  # the rows, counted from the start of the block
    loss: Array
    part: Array
    share: Array
    weight: Array  # the mean weight of its elements
    elements: Array  # how many of its elements count

    def __len__(self) -> int:
        return len(self.index)


def costs(job: Job, found: Evaluated) -> Costs:
    """What the samples of a block cost."""
    ones = np.ones(len(found.values))
    weights = ones if found.elements.weights is None else found.elements.weights
    if job.per_row == 1 or not len(ones):
        return Costs(found, found.index, found.values, found.parts, found.scale, weights, ones)
    rows = found.index // job.per_row
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    part, share, weight, count = (np.add.reduceat(a, starts) for a in (found.parts, found.scale, weights, ones))
    return Costs(found, rows[starts], part / weight, part, share, weight / count, count)


def summed(samples: Costs) -> Summary:
    """The sums of samples, with the spread that a standard error is made of."""
    found = samples.found
    n = len(found.values)
    total = float(np.add.reduce(found.values))
    if found.uniform and n == len(samples) and n and math.isfinite(total):  # a third of the passes of the general way
        off = found.values - total / n
        off *= off
        return Summary(
            samples=n,
            elements=n,
            missing=found.elements.missing,
            ignored=found.elements.ignored,
            total=exact(total),
            weight=exact(float(n)),
            spread=Spread(n, total, float(n), float(np.add.reduce(off)), 0.0, float(n)),
        )
    finite = np.isfinite(found.values)
    whole = bool(finite.all())
    lost, share = samples.part, samples.share
    total, weight = float(np.add.reduce(lost)), float(np.add.reduce(share))
    off = lost - (total / weight if weight else 0.0) * share
    moments = (float(np.add.reduce(a)) for a in (off * off, off * share, share * share))
    return Summary(
        samples=len(samples),
        elements=len(found.values),
        missing=found.elements.missing,
        ignored=found.elements.ignored,
        infinite=int(np.count_nonzero(np.isinf(found.values))),
        nans=int(np.count_nonzero(np.isnan(found.values))),
        total=exact_sum(found.parts if whole else found.parts[finite]),
        weight=exact_sum(found.scale),
        special=0.0 if whole else float(np.add.reduce(found.values[~finite])),
        spread=Spread(len(samples), total, weight, *moments) if len(samples) else None,
    )


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some samples, with all that is shown of them: arrays of one length.

    ``spot`` is the sample's worst element where it has several, and ``inputs`` are those of that element, as
    :func:`input_names` calls them. ``shown`` are the cells of further columns.
    """

    rows: Index
    loss: Array
    part: Array
    share: Array
    weight: Array
    spot: Index
    inputs: tuple[Array, ...]
    shown: tuple[npt.NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All of them, side by side."""
        return (self.rows, self.loss, self.part, self.share, self.weight, self.spot, *self.inputs, *self.shown)

    def like(self, arrays: Sequence[npt.NDArray[Any]]) -> Chosen:
        """Other samples of the same kind."""
        rows, loss, part, share, weight, spot, *more = arrays
        n = len(self.inputs)
        return Chosen(rows, loss, part, share, weight, spot, tuple(more[:n]), tuple(more[n:]))

    def take(self, order: Index) -> Chosen:
        """These of them, in this order."""
        return self.like([a[order] for a in self.arrays])

    def __add__(self, other: Chosen) -> Chosen:
        return self.like([np.concatenate(pair) for pair in zip(self.arrays, other.arrays, strict=True)])


def input_names(job: Job) -> list[str]:
    """What is shown of the inputs: a number, or of a row of classes which is the largest, and how large.

    Of what has more axes (an image, a list) nothing is shown.
    """
    names = []
    for role, spec in zip(job.roles, job.loss.inputs, strict=True):
        names += [role] if not spec.kind.core else [f"{role}_class", f"{role}_max"] if spec.kind.core == CLASSES else []
    return names


def choose(block: Block, job: Job, samples: Costs, order: Index, shown: Sequence[str]) -> Chosen:
    """The samples at ``order`` among those that count; ``shown`` are the roles of further columns."""
    index = samples.index[order]
    spot = _worst_spot(block, job, samples.found)[index] if job.per_row > 1 else np.zeros(len(index), np.intp)
    inputs: list[Array] = []
    for role, spec in zip(job.roles, job.loss.inputs, strict=True):
        if spec.kind.core not in ((), CLASSES):
            continue
        whole = block.input(role, spec.kind.core)
        one = whole.reshape(block.count, job.per_row, *whole.shape[1:])[index, spot]
        inputs += [one] if not spec.kind.core else [one.argmax(axis=-1), one.max(axis=-1)]
    return Chosen(
        block.start + index,
        samples.loss[order],
        samples.part[order],
        samples.share[order],
        samples.weight[order],
        spot,
        tuple(inputs),
        tuple(cells(block, role)[index] for role in shown),
    )


def _worst_spot(block: Block, job: Job, found: Evaluated) -> Index:
    """For each row the element that adds most; of equals the first."""
    dense = np.full(block.count * job.per_row, -np.inf)
    dense[found.index] = found.parts
    return np.asarray(dense.reshape(block.count, job.per_row).argmax(axis=1))


def cells(block: Block, role: str) -> npt.NDArray[Any]:
    """A column of one cell a row, as the file has it."""
    place = block.places[role]
    return block.rows[place.source][place.field].reshape(-1)


def foremost(part: Array, top: int, *, least: bool) -> Index:
    """Where the ``top`` samples are that add most to the sum (``least``: least), in order; of equals the first.

    >>> foremost(np.array([1.0, 3.0, 2.0, 3.0]), 3, least=False).tolist()
    [1, 3, 2]
    """
    if not top:
        return np.empty(0, np.intp)
    near = _near(part, top, least=least)
    key = _key(part[near], least)
    if top < len(key):
        limit = np.partition(key, top - 1)[top - 1]
        first = np.concatenate([np.flatnonzero(key < limit), np.flatnonzero(key == limit)[:top]])
        near, key = near[first], key[first]
    return near[np.argsort(key, kind="stable")][:top]


def _near(part: Array, top: int, *, least: bool) -> Index:
    """Where the first ``top`` are among others: what is beyond the extremes of enough runs of samples.

    It is five times as fast as a partition of a block.
    """
    n = len(part) // _RUN * _RUN
    runs = part[:n].reshape(-1, _RUN)
    ends = runs.min(axis=1) if least else runs.max(axis=1)
    if len(ends) <= top or np.isnan(ends).any():
        return np.arange(len(part))
    place = top - 1 if least else len(ends) - top
    limit = np.partition(ends, place)[place]
    found = np.flatnonzero(part[:n] <= limit if least else part[:n] >= limit)
    return np.concatenate([found, np.arange(n, len(part))])


def _key(part: Array, least: bool) -> Array:
    """Smallest for what comes first. NaN, of which the sum is NaN, adds as much as infinity."""
    known = np.where(np.isnan(part), math.inf, part)
    return known if least else -known
