"""Breakdown of a loss by samples, groups and output columns, computed in one pass over the input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lossctl.analysis.distribution import Distribution, distribution
from lossctl.analysis.external_sort import sort_rows
from lossctl.analysis.grouping import GroupBy, Label, check_groups, grouped, merge_groups, sort_groups
from lossctl.analysis.input_profile import InputProfile, profile_block
from lossctl.analysis.per_sample import SelectedSamples, per_sample_losses, rank_key, select_samples, top_k
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block
from lossctl.engine.evaluate import evaluate_block, summarize_elements
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.engine.run import map_blocks
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Record, Spool

# Maximum number of output columns that are broken down without a request: more do not fit on a screen.
_OUTPUTS = 20


@immutable
class BreakdownRequest:
    """The parts of a breakdown that are requested.

    Attributes:
        top: number of worst samples to select; 0 selects none.
        least: select the best samples instead of the worst.
        distribution: compute quantiles, a histogram and the share of the worst samples in the sum.
        by: how samples are grouped; None for no groups.
        groups: number of worst groups to show; None shows as many as fit.
        every: return every sample with its inputs.
        losses: return the loss of every sample without its inputs.
        ranked: sort the samples of ``every`` and ``losses`` by decreasing part of the sum instead of by row.
        shown: roles of further columns to show with each sample.
        profile: whether to profile the inputs (see :class:`InputProfile`).
    """

    top: int = 0
    least: bool = False
    distribution: bool = False
    by: GroupBy | None = None
    groups: int | None = None
    every: bool = False
    losses: bool = False
    ranked: bool = False
    shown: tuple[str, ...] = ()
    profile: bool = False


@immutable
class AllSamples:
    """All samples that count, on disk; ``like`` is an empty ``SelectedSamples`` with the layout of their records."""

    spool: Spool
    like: SelectedSamples

    def parts(self) -> Iterator[SelectedSamples]:
        """Iterate over the samples in their order, one record at a time; can be called repeatedly."""
        return (self.like.like(record) for record in self.spool.records())


@immutable
class Breakdown:
    """A loss with its requested breakdowns; a breakdown that was not requested is None.

    Attributes:
        result: the loss over all samples.
        plan: the loss bound to its columns, with the number of elements per row.
        rows: number of rows of the input, including rows that do not count.
        weighed: whether samples have weights.
        total: the sums from which ``result`` is computed.
        shares: whether shares of the sum are meaningful, that is no sample has a negative part.
        top: the samples with the largest parts of the sum (the smallest for ``BreakdownRequest.least``).
        distribution: the distribution of the per-sample losses; also None if the sum is NaN.
        groups: the sums of each group by label.
        outputs: the sums of each output column by index.
        every: all samples that count.
        losses: row, loss and part of the sum of each sample, on disk.
        profile: the profile of the inputs.
    """

    result: Result
    plan: LossPlan
    rows: int
    weighed: bool
    total: Summary
    shares: bool
    top: SelectedSamples | None
    distribution: Distribution | None
    groups: dict[Label, Summary] | None
    outputs: dict[Label, Summary] | None
    every: AllSamples | None
    losses: Spool | None
    profile: InputProfile | None


@immutable
class _Part:
    """The breakdown of one block."""

    summary: Summary
    rows: int
    weighed: bool
    negative: bool
    top: SelectedSamples | None
    losses: tuple[np.ndarray, ...]
    groups: tuple[dict[Label, Summary], ...]
    every: SelectedSamples | None
    bare: tuple[np.ndarray, ...]
    profile: InputProfile | None


@immutable
class _BreakdownMapper:
    """Compute the requested breakdowns of one block."""

    request: BreakdownRequest
    groupings: tuple[GroupBy, ...]

    def __call__(self, block: Block, plan: LossPlan) -> _Part:
        request, evaluated = self.request, evaluate_block(block, plan)
        samples = per_sample_losses(plan, evaluated)
        top = None
        if request.top:
            order = top_k(samples.part, request.top, least=request.least)
            top = select_samples(block, plan, samples, order, request.shown)
        every = None
        if request.every:
            every = select_samples(block, plan, samples, np.arange(len(samples)), request.shown)
        losses: tuple[np.ndarray, ...] = ()
        if request.distribution:
            # Copies, because the weights are in a buffer that the next block overwrites.
            losses = (
                (samples.loss,) if samples.plain else (samples.loss, np.array(samples.part), np.array(samples.share))
            )
        return _Part(
            summarize_elements(evaluated, block, samples.sums),
            block.count,
            evaluated.elements.weights is not None,
            bool(len(samples)) and bool(np.fmin.reduce(samples.part) < 0),
            top,
            losses,
            tuple(grouped(block, plan, evaluated, by) for by in self.groupings),
            every,
            (block.start + samples.index, samples.loss, samples.part) if request.losses else (),
            profile_block(block, plan) if request.profile else None,
        )


@dataclass
class _Accumulator:
    """Accumulated breakdown of the blocks so far."""

    summary: Summary = field(default_factory=Summary)
    rows: int = 0
    weighed: bool = False
    negative: bool = False
    top: SelectedSamples | None = None
    groups: tuple[dict[Label, Summary], ...] = ()
    like: SelectedSamples | None = None
    profile: InputProfile | None = None


def break_down(
    data: Dataset, loss: Loss, options: ComputeOptions, request: BreakdownRequest, workers: ExecutionConfig
) -> Breakdown:
    """Compute the breakdown of a loss.

    Args:
        data: the inputs, read once. Besides the roles of the loss, it has the roles that ``request`` names.
        loss: the loss to break down.
        options: options of the computation.
        request: the requested parts.
        workers: configuration of the workers.

    Raises:
        UsageError: the loss does not have the requested groups.
        DataError: a row is invalid (the first one is reported), no sample counts, or there are too many groups.
    """
    plan = plan_loss(loss, data, options)
    loss = plan.loss
    if request.by is not None:
        check_groups(request.by, plan)
    groupings = [request.by] if request.by is not None else []
    outputs = request.distribution and 1 < plan.per_row <= _OUTPUTS
    if outputs:
        groupings.append(GroupBy("output"))
    so_far = _Accumulator(groups=tuple({} for _ in groupings))
    losses, every, bare = Spool(), Spool(), Spool()
    with losses:
        with workers.executor_for(data) as executor:
            for (part,) in map_blocks(data, [plan], options, _BreakdownMapper(request, tuple(groupings)), executor):
                _accumulate(so_far, part, request, groupings)
                if part.losses:
                    losses.write(*part.losses)
                if part.bare:
                    bare.write(*part.bare)
                if part.every is not None:
                    so_far.like = part.every.take(np.arange(0))
                    every.write(*part.every.arrays)
        result = make_result(loss, so_far.summary, "mean")
        shares = not so_far.negative
        has_distribution = losses.rows and not math.isnan(so_far.summary.nonfinite_sum)
        spread = distribution(losses, loss, shares=shares) if has_distribution else None
    groups = [sort_groups(unsorted) for unsorted in so_far.groups]
    if request.ranked:
        every, bare = (sort_rows(spool, _rank) for spool in (every, bare))
    return Breakdown(
        result,
        plan,
        so_far.rows,
        so_far.weighed,
        so_far.summary,
        shares,
        so_far.top,
        spread,
        groups[0] if request.by is not None else None,
        groups[-1] if outputs else None,
        AllSamples(every, so_far.like) if so_far.like is not None else None,
        bare if request.losses else None,
        so_far.profile,
    )


def _rank(record: Record) -> Array:
    """Return the sort key of the rows of ``every`` or ``bare``: decreasing part of the sum."""
    return rank_key(record[2], least=False)


def _accumulate(so_far: _Accumulator, part: _Part, request: BreakdownRequest, groupings: Sequence[GroupBy]) -> None:
    so_far.summary += part.summary
    so_far.rows += part.rows
    so_far.weighed |= part.weighed
    so_far.negative |= part.negative
    so_far.profile = so_far.profile + part.profile if so_far.profile and part.profile else part.profile
    if part.top is not None:
        both = part.top if so_far.top is None else so_far.top + part.top
        so_far.top = both.take(top_k(both.part, request.top, least=request.least))
    for by, total, groups in zip(groupings, so_far.groups, part.groups, strict=True):
        merge_groups(total, groups, by.where)
