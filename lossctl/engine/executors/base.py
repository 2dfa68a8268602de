"""The executor interface of the engine, and the order of results that every executor keeps."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from lossctl.errors import LossctlError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Future(Protocol[T_co]):
    """A pending result, as in ``concurrent.futures``."""

    def result(self) -> T_co:
        """Wait for the task; return its result or raise its error."""


class Executor(Protocol):
    """A way of running tasks, with the preferred size of a task."""

    @property
    def remote(self) -> bool:
        """Whether tasks are pickled and sent to other processes."""

    @property
    def groups(self) -> int:
        """The number of groups of blocks in a task whose rows the worker itself reads."""

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Run tasks and yield their results in submission order.

        If a task raises, the results of the tasks before it are yielded first.
        """


def map_ordered(
    submit: Callable[[Callable[[], T]], Future[T]], window: int, tasks: Iterable[Callable[[], T]]
) -> Iterator[T]:
    """Submit tasks lazily and yield their results in submission order.

    Args:
        submit: starts a task and returns its future.
        window: maximum number of tasks in flight; it keeps the workers busy and bounds memory.
        tasks: the tasks. If this iterator raises a LossctlError, the results of the submitted tasks are yielded first.
    """
    pending: deque[Future[T]] = deque()
    task_iterator = iter(tasks)
    while True:
        try:
            task = next(task_iterator, None)
        except LossctlError:
            # The results and the errors of the tasks that were submitted before this error come first.
            while pending:
                yield pending.popleft().result()
            raise
        if task is None:
            break
        pending.append(submit(task))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))
