"""A loss taken apart by samples: in one pass over the input, what is asked for of each."""

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
from lossctl.engine.plan import ComputeOptions, LossPlan, bind_plan, roles_of
from lossctl.engine.result import Result, make_result
from lossctl.engine.run import stream
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Record, Spool

# Output columns that are told of without being asked for: as many as a screen holds.
_OUTPUTS = 20


@dataclass(frozen=True)
class BreakdownRequest:
    """What of a loss is asked for.

    Attributes:
        top: how many of the worst samples.
        least: the best instead.
        distribution: quantiles, a histogram, what the worst carry.
        by: what tells groups.
        groups: how many of the worst groups to show; None: what there is room for.
        every: every sample.
        losses: the loss of every sample, and nothing else of it.
        ranked: of every sample or its loss those first that add most, instead of in the order of rows.
        shown: the roles of columns to show beside each sample.
        traits: what the inputs look like.
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
    traits: bool = False


@dataclass(frozen=True)
class AllSamples:
    """Every sample that counts, on disk; ``like`` is none of them, and of their kind."""

    spool: Spool
    like: SelectedSamples

    def parts(self) -> Iterator[SelectedSamples]:
        """All of them in their order, any number of times."""
        return (self.like.like(record) for record in self.spool.records())


@dataclass(frozen=True)
class Breakdown:
    """A loss and its parts, as far as they were asked for.

    Attributes:
        result: the loss of everything.
        job: how a row splits into elements.
        rows: those of the input, whether they count or not.
        weighed: whether samples have weights.
        total: the sums behind it.
        shares: whether parts of the sum mean something: none is below 0.
        top: the samples that add most.
        distribution: None, too, where the sum is NaN.
        groups: their sums by label.
        every: every sample.
        losses: the row, the loss and the part of every sample, on disk.
        traits: what the inputs look like.
    """

    result: Result
    job: LossPlan
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
    traits: InputProfile | None


@dataclass(frozen=True)
class _Part:
    """What is kept of one block."""

    summary: Summary
    rows: int
    weighed: bool
    negative: bool
    top: SelectedSamples | None
    losses: tuple[np.ndarray, ...]
    groups: tuple[dict[Label, Summary], ...]
    every: SelectedSamples | None
    bare: tuple[np.ndarray, ...]
    traits: InputProfile | None


@dataclass(frozen=True)
class _BreakdownMapper:
    """The measure of a block: what is wanted of it."""

    wanted: BreakdownRequest
    groupings: tuple[GroupBy, ...]

    def __call__(self, block: Block, job: LossPlan) -> _Part:
        wanted, found = self.wanted, evaluate_block(block, job)
        samples = per_sample_losses(job, found)
        top = None
        if wanted.top:
            order = top_k(samples.part, wanted.top, least=wanted.least)
            top = select_samples(block, job, samples, order, wanted.shown)
        every = None
        if wanted.every:
            every = select_samples(block, job, samples, np.arange(len(samples)), wanted.shown)
        losses: tuple[np.ndarray, ...] = ()
        if wanted.distribution:
            # Copies: weights are in a buffer that is used again.
            losses = (
                (samples.loss,) if samples.plain else (samples.loss, np.array(samples.part), np.array(samples.share))
            )
        return _Part(
            summarize_elements(found, block, samples.sums),
            block.count,
            found.elements.weights is not None,
            bool(len(samples)) and bool(np.fmin.reduce(samples.part) < 0),
            top,
            losses,
            tuple(grouped(block, job, found, by) for by in self.groupings),
            every,
            (block.start + samples.index, samples.loss, samples.part) if wanted.losses else (),
            profile_block(block, job) if wanted.traits else None,
        )


@dataclass
class _Accumulator:
    """What is kept of the blocks so far."""

    summary: Summary = field(default_factory=Summary)
    rows: int = 0
    weighed: bool = False
    negative: bool = False
    top: SelectedSamples | None = None
    groups: tuple[dict[Label, Summary], ...] = ()
    like: SelectedSamples | None = None
    traits: InputProfile | None = None


def break_down(
    data: Dataset, loss: Loss, policy: ComputeOptions, wanted: BreakdownRequest, workers: ExecutionConfig
) -> Breakdown:
    """Take a loss apart.

    Args:
        data: the inputs, read once; besides those of the loss it has the roles that ``wanted`` names.
        loss: which.
        policy: what the engine does.
        wanted: what is asked for.
        workers: where it runs.

    Raises:
        UsageError: groups that the loss does not have.
        DataError: the first row that cannot be used, nothing that counts, or too many groups.
    """
    job = bind_plan(loss, roles_of(loss, data), data, policy)
    if wanted.by is not None:
        check_groups(wanted.by, job)
    groupings = [wanted.by] if wanted.by is not None else []
    outputs = wanted.distribution and 1 < job.per_row <= _OUTPUTS
    if outputs:
        groupings.append(GroupBy("output"))
    so_far = _Accumulator(groups=tuple({} for _ in groupings))
    losses, every, bare = Spool(), Spool(), Spool()
    with losses:
        with workers.executor_for(data) as executor:
            for (part,) in stream(data, [job], policy, _BreakdownMapper(wanted, tuple(groupings)), executor):
                _accumulate(so_far, part, wanted, groupings)
                if part.losses:
                    losses.write(*part.losses)
                if part.bare:
                    bare.write(*part.bare)
                if part.every is not None:
                    so_far.like = part.every.take(np.arange(0))
                    every.write(*part.every.arrays)
        result = make_result(loss, so_far.summary, "mean")
        shares = not so_far.negative
        told = losses.rows and not math.isnan(so_far.summary.special)
        spread = distribution(losses, loss, shares=shares) if told else None
    groups = [sort_groups(found) for found in so_far.groups]
    if wanted.ranked:
        every, bare = (sort_rows(spool, _rank) for spool in (every, bare))
    return Breakdown(
        result,
        job,
        so_far.rows,
        so_far.weighed,
        so_far.summary,
        shares,
        so_far.top,
        spread,
        groups[0] if wanted.by is not None else None,
        groups[-1] if outputs else None,
        AllSamples(every, so_far.like) if so_far.like is not None else None,
        bare if wanted.losses else None,
        so_far.traits,
    )


def _rank(record: Record) -> Array:
    """Where a row of ``every`` or ``bare`` belongs among those that are ranked by their part of the sum."""
    return rank_key(record[2], least=False)


def _accumulate(so_far: _Accumulator, part: _Part, wanted: BreakdownRequest, groupings: Sequence[GroupBy]) -> None:
    so_far.summary += part.summary
    so_far.rows += part.rows
    so_far.weighed |= part.weighed
    so_far.negative |= part.negative
    so_far.traits = so_far.traits + part.traits if so_far.traits and part.traits else part.traits
    if part.top is not None:
        both = part.top if so_far.top is None else so_far.top + part.top
        so_far.top = both.take(top_k(both.part, wanted.top, least=wanted.least))
    for by, total, groups in zip(groupings, so_far.groups, part.groups, strict=True):
        merge_groups(total, groups, by.where)
