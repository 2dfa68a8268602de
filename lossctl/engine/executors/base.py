"""Where tasks run: what the engine asks of an executor, and the threads it has by default."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from lossctl.errors import LossctlError

T = TypeVar("T")
Held_co = TypeVar("Held_co", covariant=True)


class Future(Protocol[Held_co]):
    """A result to come, as in ``concurrent.futures``."""

    def result(self) -> Held_co:
        """Wait for it."""


class Executor(Protocol):
    """Where tasks run, and how much to give it."""

    @property
    def remote(self) -> bool:
        """Whether tasks are sent to other processes."""

    @property
    def groups(self) -> int:
        """How many groups of blocks make a task whose rows the worker reads itself."""

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The result of each task, in their order; an error comes where the first to raise one is."""


def map_ordered(
    submit: Callable[[Callable[[], T]], Future[T]], window: int, tasks: Iterable[Callable[[], T]]
) -> Iterator[T]:
    """The result of each task, of which so many are handed out at once: it keeps workers busy, and bounds memory."""
    pending: deque[Future[T]] = deque()
    made = iter(tasks)
    while True:
        try:
            task = next(made, None)
        except LossctlError:
            # Tasks that were handed out before it come first, and so do their errors.
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
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
