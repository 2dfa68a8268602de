"""Per-sample losses of a block, and selection of the samples with the largest losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.kind import CLASSES
from lossctl.engine.block import Block
from lossctl.engine.evaluate import Evaluated, PerSampleSums, aggregate_rows, refuse_reduced
from lossctl.engine.plan import LossPlan
from lossctl.immutable import immutable

Index: TypeAlias = npt.NDArray[np.intp]

# Samples per run: `_candidates` compares the extremes of runs before single samples.
_RUN = 128


@immutable(eq=False)
class PerSampleLosses:
    """Losses of the samples of a block that count, in row order.

    For one unweighted element per sample, ``part`` equals ``loss`` and ``share`` is 1. Arrays have shape (samples,).

    Attributes:
        evaluated: the losses of the elements of the block.
        sums: the sums over the elements of each sample.
        index: row of each sample, relative to the start of the block.
        loss: mean loss over the elements of each sample.
        part: contribution of each sample to the sum.
        share: contribution of each sample to the denominator of the mean.
        weight: mean weight of the elements of each sample.
        elements: number of elements of each sample that count.
    """

    evaluated: Evaluated
    sums: PerSampleSums
    index: Index
    loss: Array
    part: Array
    share: Array
    weight: Array
    elements: Array

    def __len__(self) -> int:
        return len(self.index)

    @property
    def plain(self) -> bool:
        """Whether each sample has one element and a share of 1."""
        return self.evaluated.scale is None and self.evaluated.elements.rows.per_row == 1


def per_sample_losses(plan: LossPlan, evaluated: Evaluated) -> PerSampleLosses:
    """Compute the per-sample losses of a block.

    Raises:
        UsageError: the loss returned one number for all samples.
    """
    refuse_reduced(evaluated, plan.loss)
    sums, rows = aggregate_rows(evaluated), evaluated.elements.rows
    ones = np.ones(len(evaluated.values))
    weights = ones if evaluated.elements.weights is None else evaluated.elements.weights
    loss = sums.loss + 0.0  # -0.0 becomes 0.0
    part = loss if sums.part is sums.loss else sums.part + 0.0
    if plan.per_row == 1 or not len(ones):
        return PerSampleLosses(evaluated, sums, evaluated.index, loss, part, evaluated.shares, weights, ones)
    count = rows.sums(ones)
    share = count if sums.share is None else sums.share
    places = np.arange(rows.count) if rows.index is None else np.unique(rows.index // plan.per_row)
    return PerSampleLosses(evaluated, sums, places, loss, part, share, rows.sums(weights) / count, count)


@immutable(eq=False)
class SelectedSamples:
    """Selected samples with the values to show; all arrays have shape (samples,).

    Attributes:
        rows: row of each sample in the input.
        loss, part, share, weight: as in :class:`PerSampleLosses`.
        worst_element: index of the worst element of each sample; 0 if it has one element.
        inputs: the inputs of that element, named by :func:`input_names`.
        shown: the cells of further columns.
    """

    rows: Index
    loss: Array
    part: Array
    share: Array
    weight: Array
    worst_element: Index
    inputs: tuple[Array, ...]
    shown: tuple[npt.NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All arrays in the order of the attributes."""
        return (self.rows, self.loss, self.part, self.share, self.weight, self.worst_element, *self.inputs, *self.shown)

    def like(self, arrays: Sequence[npt.NDArray[Any]]) -> SelectedSamples:
        """Build a selection with the same layout from ``arrays``, ordered as in :attr:`arrays`."""
        rows, loss, part, share, weight, worst_element, *more = arrays
        n = len(self.inputs)
        return SelectedSamples(rows, loss, part, share, weight, worst_element, tuple(more[:n]), tuple(more[n:]))

    def take(self, order: Index) -> SelectedSamples:
        """Return the samples at the indices ``order``, in this order."""
        return self.like([a[order] for a in self.arrays])

    def __add__(self, other: SelectedSamples) -> SelectedSamples:
        return self.like([np.concatenate(pair) for pair in zip(self.arrays, other.arrays, strict=True)])


def input_names(plan: LossPlan) -> list[str]:
    """Return the names of the input values that are shown for a sample.

    A number is shown itself, a row of classes by the index and the value of its maximum. Inputs with other axes (an
    image, a list) are not shown.
    """
    names = []
    for role, spec in zip(plan.roles, plan.loss.inputs, strict=True):
        names += [role] if not spec.kind.core else [f"{role}_class", f"{role}_max"] if spec.kind.core == CLASSES else []
    return names


def select_samples(
    block: Block, plan: LossPlan, samples: PerSampleLosses, order: Index, shown: Sequence[str]
) -> SelectedSamples:
    """Select samples of a block and collect the values to show.

    Args:
        block: the block.
        plan: the loss bound to its columns.
        samples: the samples of the block that count.
        order: indices into ``samples``, in the order of the result.
        shown: roles of further columns to show.
    """
    index = samples.index[order]
    worst_element = (
        _worst_elements(block, plan, samples.evaluated)[index] if plan.per_row > 1 else np.zeros(len(index), np.intp)
    )
    inputs: list[Array] = []
    for i, spec in enumerate(plan.loss.inputs):
        if spec.kind.core not in ((), CLASSES):
            continue
        whole = block.array(plan, i)
        worst = whole.reshape(block.count, plan.per_row, *whole.shape[1:])[index, worst_element]
        inputs += [worst] if not spec.kind.core else [worst.argmax(axis=-1), worst.max(axis=-1)]
    return SelectedSamples(
        block.start + index,
        samples.loss[order],
        samples.part[order],
        samples.share[order],
        samples.weight[order],
        worst_element,
        tuple(inputs),
        tuple(cells(block, role)[index] for role in shown),
    )


def _worst_elements(block: Block, plan: LossPlan, evaluated: Evaluated) -> Index:
    """Return for each row of the block the index of the element with the largest part; the first one of ties."""
    dense = np.full(block.count * plan.per_row, -np.inf)
    dense[evaluated.index] = evaluated.parts
    return np.asarray(dense.reshape(block.count, plan.per_row).argmax(axis=1))


def cells(block: Block, role: str) -> npt.NDArray[Any]:
    """Return a column with one cell per row, in the type in which the file stores it."""
    place = block.places[role]
    return block.rows[place.source][place.field].reshape(-1)


def top_k(part: Array, top: int, *, least: bool) -> Index:
    """Return the indices of the ``top`` largest parts in decreasing order; ties are resolved by position.

    If ``least``, return the smallest parts in increasing order. NaN counts as infinity.

    >>> top_k(np.array([1.0, 3.0, 2.0, 3.0]), 3, least=False).tolist()
    [1, 3, 2]
    """
    if not top:
        return np.empty(0, np.intp)
    candidates = _candidates(part, top, least=least)
    key = rank_key(part[candidates], least=least)
    if top < len(key):
        limit = np.partition(key, top - 1)[top - 1]
        first = np.concatenate([np.flatnonzero(key < limit), np.flatnonzero(key == limit)[:top]])
        candidates, key = candidates[first], key[first]
    return candidates[np.argsort(key, kind="stable")][:top]


def _candidates(part: Array, top: int, *, least: bool) -> Index:
    """Return the indices of a superset of the ``top`` most extreme parts.

    The threshold is the ``top``-th most extreme of the extremes of runs of ``_RUN`` samples, so that at least ``top``
    samples reach it. This is five times as fast as a partition of the whole block.
    """
    n = len(part) // _RUN * _RUN
    runs = part[:n].reshape(-1, _RUN)
    ends = runs.min(axis=1) if least else runs.max(axis=1)
    if len(ends) <= top or np.isnan(ends).any():
        return np.arange(len(part))
    place = top - 1 if least else len(ends) - top
    limit = np.partition(ends, place)[place]
    extreme = np.flatnonzero(part[:n] <= limit if least else part[:n] >= limit)
    return np.concatenate([extreme, np.arange(n, len(part))])


def rank_key(part: Array, *, least: bool) -> Array:
    """Return sort keys, smallest first. NaN counts as infinity, because it makes the sum NaN."""
    known = np.where(np.isnan(part), math.inf, part)
    return known if least else -known
