"""Compute losses over all rows of a data set, block by block, on an executor.

The rows are cut into blocks of a fixed size that depends only on the shape of a row. Each block is evaluated by
itself, and the results of blocks are merged in the order of the rows. Therefore no digit depends on the number of
threads, on the tasks, on the file format or on the other losses of the same run.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from lossctl.core.decorator import Loss
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block
from lossctl.engine.elements import RowError
from lossctl.engine.evaluate import summarize_block
from lossctl.engine.executors.base import Executor
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.memory import check_fits_in_memory
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.engine.task import BlockReducer, KeysDifferError, Task
from lossctl.errors import DataError, UsageError, printable
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, key_column

# Numbers in a block. The fit of the temporaries (1 MiB each) in the L2 cache is not the only criterion: threads of one
# Python wait for each other between NumPy calls, and longer calls reduce the waits. Milliseconds on 8M pairs with one
# thread and with two, for blocks of 32k; 64k; 128k; 256k numbers: mse 26, 40; 31, 31; 24, 26; 22, 22;
# bce_with_logits 71, 91; 83, 59; 57, 44; 58, 48.
BLOCK = 131_072
# Blocks in a task: enough that submitting it (50 µs) is negligible, few enough that on a few million rows the other
# threads are not idle for long while the last task runs.
TASK_BLOCKS = 4

T = TypeVar("T")


class Profile(Protocol):
    """Properties of the inputs of a range of rows; ``a + b`` is the profile of the rows of a followed by those of b."""

    def __add__(self, other: Self, /) -> Self: ...


ProfileT = TypeVar("ProfileT", bound=Profile)


def block_rows(data: Dataset, plans: Sequence[LossPlan]) -> int:
    """Return the number of rows of one block, which depends only on the widest input of the data.

    Batch-coupled losses get all rows as one block.

    Raises:
        DataError: the losses are batch-coupled, and the batch does not fit in memory.
        UsageError: some losses are batch-coupled, others are not.
    """
    coupled = {plan.loss.batch_coupled for plan in plans}
    if coupled == {True, False}:
        names = ", ".join(plan.loss.name for plan in plans if plan.loss.batch_coupled)
        raise UsageError(f"{names}: samples depend on each other, so it needs the whole batch: compute it alone")
    if True in coupled:
        check_fits_in_memory(data, plans)
        return sys.maxsize
    return max(1, BLOCK // max(math.prod(data.row_shape(role)) for role in data.places))


def map_blocks(
    data: Dataset,
    plans: Sequence[LossPlan],
    options: ComputeOptions,
    map_block: Callable[[Block, LossPlan], T],
    executor: Executor,
    *,
    combine: Callable[[T, T], T] | None = None,
) -> Iterator[tuple[T, ...]]:
    """Apply ``map_block`` to each block and loss, and yield the results block by block, in the order of rows.

    Args:
        data: the data set.
        plans: the losses; each yielded tuple has one result for each loss.
        options: options for all losses.
        map_block: computes the result of one block for one loss.
        executor: runs the tasks.
        combine: merges the results of two blocks, in the order of rows. With it, one tuple is yielded for each
            group of up to ``TASK_BLOCKS`` blocks; default: one for each block.

    Raises:
        DataError: a row is invalid; the message gives the first one in the order of rows.
    """
    rows = block_rows(data, plans)
    reducer = None if combine is None else BlockReducer(combine, TASK_BLOCKS)
    unpicklable = data.unpicklable_sources() if executor.remote else ()
    # Rows that this process reads stay in memory until their task is done: keep such tasks to one group of blocks.
    groups = executor.groups if data.seekable and not unpicklable else 1
    ranges = data.row_ranges(rows * TASK_BLOCKS * groups if rows < sys.maxsize else rows, unpicklable)
    tasks = (Task(part, data.places, data.keys, tuple(plans), options, rows, map_block, reducer) for part in ranges)
    try:
        for blocks in executor.ordered(tasks):
            yield from blocks
    except RowError as fault:
        where = data.locate(fault.role, fault.row, fault.place)
        raise DataError(f"{where}: {fault.cause}") from None
    except KeysDifferError as fault:
        here, there = (data.locate(role, fault.row) for role in fault.roles)
        diff = f"{here}: {fault.values[0]} where {there} has {fault.values[1]}"
        join = f"--join {printable(key_column(fault.roles[0]))}"
        raise DataError(
            f"{diff}: not the same sample; {join} matches the rows, --on names another column to compare"
        ) from None


def summarize(
    data: Dataset,
    plans: Sequence[LossPlan],
    options: ComputeOptions,
    executor: Executor,
    profile: Callable[[Block, LossPlan], ProfileT] | None = None,
) -> tuple[list[Summary], list[ProfileT]]:
    """Compute the summary of each loss over all rows and, with ``profile``, the profile of its inputs, in one pass.

    Args:
        data: the data set.
        plans: the losses.
        options: options for all losses.
        executor: runs the tasks.
        profile: computes the profile of the inputs of one block, which may depend only on the roles and the input
            kinds of the loss: losses with the same inputs share a profile. Default: no profiles.

    Returns:
        The summaries and the profiles, one for each loss; no profiles without ``profile``, or without rows.

    Raises:
        DataError: a row is invalid; the message gives the first one in the order of rows.
    """
    first: dict[tuple[tuple[str, str], ...], int] = {}
    for i, plan in enumerate(plans):
        first.setdefault(_inputs(plan), i)
    totals: list[_BlockResult[ProfileT]] = [_BlockResult(Summary(), None) for _ in plans]
    mapper = _BlockMapper(profile, tuple(plans[i] for i in first.values()))
    for results in map_blocks(data, plans, options, mapper, executor, combine=operator.add):
        totals = [total + result for total, result in zip(totals, results, strict=True)]
    profiles = [totals[first[_inputs(plan)]].profile for plan in plans]
    return [total.summary for total in totals], [profile for profile in profiles if profile is not None]


def _inputs(plan: LossPlan) -> tuple[tuple[str, str], ...]:
    """Return the roles and the input kinds of a loss."""
    return tuple((role, spec.kind.name) for role, spec in zip(plan.roles, plan.loss.inputs, strict=True))


@dataclass(slots=True)  # not frozen, like Summary: one is made for every block
class _BlockResult(Generic[ProfileT]):
    """The summary of a range of rows for one loss, and the profile of its inputs; None if another loss has it."""

    summary: Summary
    profile: ProfileT | None

    def __add__(self, other: _BlockResult[ProfileT]) -> _BlockResult[ProfileT]:
        if self.profile is None or other.profile is None:
            profile = other.profile if self.profile is None else self.profile
        else:
            profile = self.profile + other.profile
        return _BlockResult(self.summary + other.summary, profile)


@immutable
class _BlockMapper(Generic[ProfileT]):
    """Compute the summary of one block and, for the losses in ``profiled``, the profile of the inputs."""

    profile: Callable[[Block, LossPlan], ProfileT] | None
    profiled: tuple[LossPlan, ...]

    def __call__(self, block: Block, plan: LossPlan) -> _BlockResult[ProfileT]:
        summary = summarize_block(block, plan)
        if self.profile is None or not any(plan is profiled for profiled in self.profiled):
            return _BlockResult(summary, None)
        return _BlockResult(summary, self.profile(block, plan))


@immutable
class Computation(Generic[ProfileT]):
    """The losses of a data set.

    Attributes:
        results: the result of each loss.
        plans: each loss, bound to its columns.
        profiles: the profile of the inputs of each loss; empty if no profile was requested.
    """

    results: list[Result]
    plans: list[LossPlan]
    profiles: list[ProfileT]


def compute_losses(
    data: Dataset,
    losses: Sequence[Loss],
    options: ComputeOptions,
    reduction: str,
    workers: ExecutionConfig,
    *,
    profile: Callable[[Block, LossPlan], ProfileT] | None = None,
) -> Computation[ProfileT]:
    """Compute several losses in one pass over the data and, with ``profile``, the profiles of their inputs.

    Args:
        data: the inputs, read once.
        losses: the losses.
        options: options for all losses.
        reduction: "mean" or "sum".
        workers: configuration of the workers.
        profile: computes the profile of the inputs of one block, see :func:`summarize`. Default: no profiles.

    Raises:
        UsageError: an input is missing, or an option or the reduction does not fit a loss.
        DataError: a row is invalid (the first one is reported), shapes differ, or no element counts.
    """
    plans = [plan_loss(loss, data, options) for loss in losses]
    with workers.executor_for(data, losses) as executor:
        summaries, profiles = summarize(data, plans, options, executor, profile)
    results = [make_result(plan.loss, summary, reduction) for plan, summary in zip(plans, summaries, strict=True)]
    return Computation(results, plans, profiles)
