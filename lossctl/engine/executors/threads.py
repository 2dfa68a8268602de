"""An executor of threads of this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import TracebackType
from typing import Any, Self

from lossctl.engine.executors.base import Future, T, cores, map_ordered

# Bytes of freed memory that glibc may keep: enough for the temporaries of a few blocks per thread. mallopt(3) documents
# the options.
_KEPT = 1 << 24
# Bytes of the largest array that is kept when it is freed: an array of a block has 1 MiB. Chunks of text are larger
# and would fragment the memory: 20M rows of CSV need 162 MiB, 181 MiB with 16 MiB here.
_LARGEST = 3 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@cache
def retain_freed_memory() -> None:
    """Make glibc keep the memory of freed temporaries in the process for the next block.

    By default, glibc returns every array of more than 128 KiB to the system when it is freed, and the next expression
    requests zeroed memory again. For mse on 4M pairs this costs 11,700 page faults and two thirds of the time (49 ms
    instead of 16 ms).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # only glibc has it
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


class _DeferredTask:
    """A future that runs its task in the thread that calls ``result``, unless the task is in a pool by then."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self.fn: Callable[[], Any] | None = fn
        self.pooled: Future[Any] | None = None
        self.asked = False

    def result(self) -> Any:
        self.asked = True
        return self.take()() if self.pooled is None else self.pooled.result()

    def take(self) -> Callable[[], Any]:
        """Return the task and drop it here, because it may hold megabytes of rows."""
        fn, self.fn = self.fn, None
        assert fn is not None, "a task runs once"
        return fn


class Threads:
    """An executor with a thread pool that starts at the second task; a single task runs without a pool.

    A small input is one task. Starting a pool takes 9 ms including the import, as long as reading and computing such
    an input.

    Args:
        threads: number of threads; None: the number of cores.
    """

    remote = False
    groups = 1  # a task costs 50 µs, and with small tasks all threads end at about the same time

    def __init__(self, threads: int | None = None) -> None:
        self.count = threads or cores()
        self._pool: Any = None
        self._first: _DeferredTask | None = None

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Run tasks and yield their results in submission order."""
        # Two tasks per thread: one runs, and the next one waits.
        return map_ordered(self.submit, 2 * self.count if self.count > 1 else 1, tasks)

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Submit a task to the pool; without a pool it runs when its result is requested."""
        if self._pool is None:
            if self.count == 1 or self._first is None:
                self._first = _DeferredTask(fn)
                return self._first
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.count)
            if not self._first.asked:
                task = self._first.take()
                self._first.pooled = self._pooled(task) or _DeferredTask(task)
        return self._pooled(fn) or _DeferredTask(fn)

    def _pooled(self, fn: Callable[[], T]) -> Future[T] | None:
        try:
            future: Future[T] = self._pool.submit(fn)
        except RuntimeError:  # the limit of threads is reached: run the task in the caller
            return None
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
