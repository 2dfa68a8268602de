"""An executor of threads of this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import TracebackType
from typing import Any, Self

from lossctl.engine.executors.base import Future, T, cores, map_ordered

# What glibc may keep of freed memory: a few blocks' temporaries a thread. mallopt(3) names the options.
_KEPT = 1 << 24
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@cache
def retain_freed_memory() -> None:
    """Let freed temporaries stay in the process, to be the next block's.

    As it comes, glibc gives every array of over 128 KiB back to the system and asks for it again, zeroed, an
    expression later: 11,700 page faults and two thirds of the time of mse on 4M pairs (49 ms against 16).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc's alone
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


class _DeferredTask:
    """A task that is run where its result is asked for, unless a pool has it by then."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn = fn
        self.pooled: Future[Any] | None = None
        self.asked = False

    def result(self) -> Any:
        self.asked = True
        return self.fn() if self.pooled is None else self.pooled.result()


class Threads:
    """A thread pool that starts with the second task: a single one is run without.

    Small inputs are one task, and starting a pool (with the import it takes, 9 ms) costs as much as
    reading and computing them.
    """

    remote = False
    groups = 1  # a task costs 50 µs, and small ones end at the same time

    def __init__(self, threads: int | None = None) -> None:
        self.count = threads or cores()
        self._pool: Any = None
        self._first: _DeferredTask | None = None

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The result of each task, in their order."""
        # Every thread busy, and its next task waiting.
        return map_ordered(self.submit, 2 * self.count if self.count > 1 else 1, tasks)

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Run a task: the first when its result is asked for, with others in the pool."""
        if self._pool is None:
            if self.count == 1 or self._first is None:
                self._first = _DeferredTask(fn)
                return self._first
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.count)
            if not self._first.asked:
                self._first.pooled = self._pooled(self._first.fn)
        return self._pooled(fn) or _DeferredTask(fn)

    def _pooled(self, fn: Callable[[], T]) -> Future[T] | None:
        try:
            future: Future[T] = self._pool.submit(fn)
        except RuntimeError:  # no more threads for this user: it is run where it is asked for
            return None
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
