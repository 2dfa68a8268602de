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
from typing import TypeVar

from lossctl.core.decorator import Loss
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block, RowError
from lossctl.engine.evaluate import summarize_block
from lossctl.engine.executors.base import Executor
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.plan import ComputeOptions, LossPlan, check_fits_in_memory, plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.engine.task import BlockReducer, KeysDifferError, Task
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import Dataset

# Numbers in a block. The fit of the temporaries (1 MiB each) in the L2 cache is not the only criterion: threads of one
# Python wait for each other between NumPy calls, and longer calls reduce the waits. Milliseconds on 8M pairs with one
# thread and with two, for blocks of 32k; 64k; 128k; 256k numbers: mse 26, 40; 31, 31; 24, 26; 22, 22;
# bce_with_logits 71, 91; 83, 59; 57, 44; 58, 48.
BLOCK = 131_072
# Blocks in a task: enough that submitting it (50 µs) is negligible, few enough that on a few million rows the other
# threads are not idle for long while the last task runs.
TASK_BLOCKS = 4

T = TypeVar("T")


def block_rows(data: Dataset, jobs: Sequence[LossPlan]) -> int:
    """Return the number of rows of one block, which depends only on the widest input of the data.

    Batch-coupled losses get all rows as one block.

    Raises:
        DataError: the losses are batch-coupled, and the batch does not fit in memory.
        UsageError: some losses are batch-coupled, others are not.
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
    """Apply ``measure`` to each block and job, and yield the results block by block, in the order of rows.

    Args:
        data: the data set.
        jobs: the losses; each yielded tuple has one result for each job.
        policy: options for all losses.
        measure: computes the result of one block for one job.
        executor: runs the tasks.
        fold: merges the results of two blocks, given in the order of rows. With it, one tuple is yielded for each
            group of up to ``TASK_BLOCKS`` blocks; default: one for each block.

    Raises:
        DataError: a row is invalid; the message gives the first one in the order of rows.
    """
    rows = block_rows(data, jobs)
    group = None if fold is None else BlockReducer(fold, TASK_BLOCKS)
    tied = data.unpicklable_sources() if executor.remote else ()
    # Rows that this process reads stay in memory until their task is done: keep such tasks to one group of blocks.
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
        diff = f"{here}: {fault.values[0]} where {there} has {fault.values[1]}"
        raise DataError(f"{diff}: not the same sample; sort both files by it, and leave out what one lacks") from None


def run(data: Dataset, jobs: Sequence[LossPlan], policy: ComputeOptions, executor: Executor) -> list[Summary]:
    """Compute the summary of each job over all rows.

    Raises:
        DataError: a row is invalid; the message gives the first one in the order of rows.
    """
    totals = [Summary() for _ in jobs]
    for part in stream(data, jobs, policy, summarize_block, executor, fold=operator.add):
        totals = [total + more for total, more in zip(totals, part, strict=True)]
    return totals


def compute_on(
    data: Dataset, bound: Sequence[Loss], policy: ComputeOptions, reduction: str, workers: ExecutionConfig
) -> list[Result]:
    """Compute several losses in one pass over the data."""
    jobs: list[LossPlan] = [plan_loss(loss, data, policy) for loss in bound]
    with workers.executor_for(data, bound) as executor:
        summaries = run(data, jobs, policy, executor)
    return [make_result(loss, summary, reduction) for loss, summary in zip(bound, summaries, strict=True)]
