"""Where tasks run: what the engine asks of an executor, and the threads it has by default."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")
Held_co = TypeVar("Held_co", covariant=True)


class Future(Protocol[Held_co]):
    """A result to come, as in ``concurrent.futures``."""

    def result(self) -> Held_co:
        """Wait for it."""


class Executor(Protocol):
    """The part of ``concurrent.futures.Executor`` that the engine uses, and how much to give it."""

    @property
    def window(self) -> int:
        """How many tasks to hand out at once: it keeps workers busy, and bounds memory."""

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Hand a task out."""


class _Done:
    """A task that has been run already."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: Exception | None = None
        try:
            self._value = fn()
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for, in the order of rows
            self._error = error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


class Threads:
    """A thread pool that starts with the second task: one task is run here and now.

    Small inputs are one task, and starting a pool (with the import it takes, 9 ms) costs as much as
    reading and computing them.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.count = threads or len(os.sched_getaffinity(0))
        self._pool: Any = None
        self._begun = False

    @property
    def window(self) -> int:
        """Every thread busy, and its next task waiting."""
        return 2 * self.count

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Run a task: the first here, the others in the pool."""
        if self.count == 1 or not self._begun:
            self._begun = True
            return _Done(fn)
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.count)
        future: Future[T] = self._pool.submit(fn)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
