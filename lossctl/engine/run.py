"""Blocks × losses on an Executor.

Rows lie on a fixed grid of blocks whose size depends on the shape of a row alone, each block is
measured by itself, and what is kept of blocks is added in the order of rows: the digits do not
depend on threads, on tasks, on the file format or on what else is computed.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lossctl.core.decorator import Loss
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block, RowError
from lossctl.engine.evaluate import summarize_block
from lossctl.engine.executors.base import Executor
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.plan import ComputeOptions, LossPlan, bind_plan, check_fits_in_memory, roles_of
from lossctl.engine.result import Result, make_result
from lossctl.engine.task import BlockReducer, KeysDifferError, Task
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import Dataset

# Numbers in a block. Temporaries (1 MiB each) and their L2 cache are not all that counts: threads of one Python
# wait for each other between NumPy calls, and long calls wait less. Milliseconds of mse on 8M pairs (one thread, two):
# 32k 26, 40; 64k 31, 31; 128k 24, 26; 256k 22, 22; of bce_with_logits 71, 91; 83, 59; 57, 44; 58, 48.
BLOCK = 131_072
# Blocks in a task: long enough that handing it out (50 µs) is nothing, short enough that the last
# one does not leave the other threads idle on a few million rows.
TASK_BLOCKS = 4

T = TypeVar("T")


def block_rows(data: Dataset, jobs: Sequence[LossPlan]) -> int:
    """Rows of one block: it depends on nothing but the widest row.

    Raises:
        UsageError: losses of which only some need the whole batch at once.
    """
    coupled = {job.loss.batch_coupled for job in jobs}
    if coupled == {True, False}:
        names = ", ".join(job.loss.name for job in jobs if job.loss.batch_coupled)
        raise UsageError(
            f"{names}: samples depend on each other, so it is computed on the whole batch: ask for it alone"
        )
    if True in coupled:
        check_fits_in_memory(data, jobs)
        return sys.maxsize
    return max(1, BLOCK // max(math.prod(data.tail(role)) for role in data.places))


def stream(
    data: Dataset,
    jobs: Sequence[LossPlan],
    policy: ComputeOptions,
    measure: Callable[[Block, LossPlan], T],
    executor: Executor,
    *,
    fold: Callable[[T, T], T] | None = None,
) -> Iterator[tuple[T, ...]]:
    """The measure of each job, block after block in the order of rows.

    Args:
        measure: what is kept of one block for one job.
        executor: where tasks run.
        fold: what the measures of two blocks make, the first rows first; groups of blocks then come as one.

    Raises:
        DataError: the first row, in order, that cannot be used.
    """
    rows = block_rows(data, jobs)
    group = None if fold is None else BlockReducer(fold, TASK_BLOCKS)
    tied = data.unpicklable_sources() if executor.remote else ()
    # Rows that are read here are in memory until they are done.
    groups = executor.groups if data.seekable and not tied else 1
    slabs = data.row_ranges(rows * TASK_BLOCKS * groups if rows < sys.maxsize else rows, tied)
    tasks = (Task(slab, data.places, data.keys, tuple(jobs), policy, rows, measure, group) for slab in slabs)
    try:
        for blocks in executor.ordered(tasks):
            yield from blocks
    except RowError as fault:
        where = data.locate(fault.role, fault.row, fault.place)
        raise DataError(f"{where}: {fault.cause}") from None
    except KeysDifferError as fault:
        here, there = (data.locate(role, fault.row) for role in fault.roles)
        told = f"{here}: {fault.values[0]} where {there} has {fault.values[1]}"
        raise DataError(f"{told}: not the same sample; sort both files by it, and leave out what one lacks") from None


def run(data: Dataset, jobs: Sequence[LossPlan], policy: ComputeOptions, executor: Executor) -> list[Summary]:
    """The summary of each job over all rows.

    Raises:
        DataError: the first row, in order, that cannot be used.
    """
    totals = [Summary() for _ in jobs]
    for part in stream(data, jobs, policy, summarize_block, executor, fold=operator.add):
        totals = [total + more for total, more in zip(totals, part, strict=True)]
    return totals


def compute_on(
    data: Dataset, bound: Sequence[Loss], policy: ComputeOptions, reduction: str, workers: ExecutionConfig
) -> list[Result]:
    """The results of several losses in one pass over the data."""
    jobs: list[LossPlan] = [bind_plan(loss, roles_of(loss, data), data, policy) for loss in bound]
    with workers.executor_for(data, bound) as executor:
        summaries = run(data, jobs, policy, executor)
    return [make_result(loss, summary, reduction) for loss, summary in zip(bound, summaries, strict=True)]
