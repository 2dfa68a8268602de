"""What each sample of a block costs, and which of them cost most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import CLASSES
from lossctl.engine.block import Block
from lossctl.engine.evaluate import Evaluated, PerSampleSums, aggregate_rows
from lossctl.engine.plan import LossPlan

Index: TypeAlias = npt.NDArray[np.intp]

# Samples of which the extreme is found at once, on the way to the first few of a block.
_RUN = 128


@dataclass(frozen=True, eq=False)
class PerSampleLosses:
    """The samples of a block that count, in the order of rows.

    ``part`` is what a sample adds to the sum, ``share`` what it adds to what the sum is divided by, and
    ``loss`` the mean over its elements. For one unweighted element they are the loss, 1 and the loss.
    """

    found: Evaluated
    sums: PerSampleSums
    index: Index  # the rows, counted from the start of the block
    loss: Array
    part: Array
    share: Array
    weight: Array  # the mean weight of its elements
    elements: Array  # how many of its elements count

    def __len__(self) -> int:
        return len(self.index)

    @property
    def plain(self) -> bool:
        """Whether each is one element and counts once."""
        return self.found.scale is None and self.found.elements.rows.per_row == 1


def per_sample_losses(job: LossPlan, found: Evaluated) -> PerSampleLosses:
    """What the samples of a block cost."""
    sums, rows = aggregate_rows(found), found.elements.rows
    ones = np.ones(len(found.values))
    weights = ones if found.elements.weights is None else found.elements.weights
    loss = sums.loss + 0.0  # + 0.0: a loss of -0.0 reads 0
    part = loss if sums.part is sums.loss else sums.part + 0.0
    if job.per_row == 1 or not len(ones):
        return PerSampleLosses(found, sums, found.index, loss, part, found.shares, weights, ones)
    count = rows.sums(ones)
    share = count if sums.share is None else sums.share
    places = np.arange(rows.count) if rows.index is None else np.unique(rows.index // job.per_row)
    return PerSampleLosses(found, sums, places, loss, part, share, rows.sums(weights) / count, count)


@dataclass(frozen=True, eq=False)
class SelectedSamples:
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

    def like(self, arrays: Sequence[npt.NDArray[Any]]) -> SelectedSamples:
        """Other samples of the same kind."""
        rows, loss, part, share, weight, spot, *more = arrays
        n = len(self.inputs)
        return SelectedSamples(rows, loss, part, share, weight, spot, tuple(more[:n]), tuple(more[n:]))

    def take(self, order: Index) -> SelectedSamples:
        """These of them, in this order."""
        return self.like([a[order] for a in self.arrays])

    def __add__(self, other: SelectedSamples) -> SelectedSamples:
        return self.like([np.concatenate(pair) for pair in zip(self.arrays, other.arrays, strict=True)])


def input_names(job: LossPlan) -> list[str]:
    """What is shown of the inputs: a number, or of a row of classes which is the largest, and how large.

    Of what has more axes (an image, a list) nothing is shown.
    """
    names = []
    for role, spec in zip(job.roles, job.loss.inputs, strict=True):
        names += [role] if not spec.kind.core else [f"{role}_class", f"{role}_max"] if spec.kind.core == CLASSES else []
    return names


def select_samples(
    block: Block, job: LossPlan, samples: PerSampleLosses, order: Index, shown: Sequence[str]
) -> SelectedSamples:
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
    return SelectedSamples(
        block.start + index,
        samples.loss[order],
        samples.part[order],
        samples.share[order],
        samples.weight[order],
        spot,
        tuple(inputs),
        tuple(cells(block, role)[index] for role in shown),
    )


def _worst_spot(block: Block, job: LossPlan, found: Evaluated) -> Index:
    """For each row the element that adds most; of equals the first."""
    dense = np.full(block.count * job.per_row, -np.inf)
    dense[found.index] = found.parts
    return np.asarray(dense.reshape(block.count, job.per_row).argmax(axis=1))


def cells(block: Block, role: str) -> npt.NDArray[Any]:
    """A column of one cell a row, as the file has it."""
    place = block.places[role]
    return block.rows[place.source][place.field].reshape(-1)


def top_k(part: Array, top: int, *, least: bool) -> Index:
    """Where the ``top`` samples are that add most to the sum (``least``: least), in order; of equals the first.

    >>> foremost(np.array([1.0, 3.0, 2.0, 3.0]), 3, least=False).tolist()
    [1, 3, 2]
    """
    if not top:
        return np.empty(0, np.intp)
    near = _near(part, top, least=least)
    key = rank_key(part[near], least=least)
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


def rank_key(part: Array, *, least: bool) -> Array:
    """Smallest for what comes first. NaN, of which the sum is NaN, adds as much as infinity."""
    known = np.where(np.isnan(part), math.inf, part)
    return known if least else -known
