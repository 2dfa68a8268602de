"""Children of this process: as many Pythons as cores, of which none waits for another's.

Threads of one Python wait for each other between NumPy calls, and a core that waits falls asleep. How many times as
fast two threads are as one on 32M numbers, and two processes (tests/bench/inside.py threads): mse 1.04, 1.11; huber
0.90, 1.14; bce_with_logits 1.14, 1.23; categorical_cross_entropy 1.24, 1.44; kl_divergence 1.22, 1.71.

A child is a copy of the process as it was: it has the tasks and the open files without being sent them, and it sends
back what it makes of them. That is for small results, and for a process that is lossctl's own.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from lossctl.core.loss import Loss
from lossctl.engine.executors.threads import Threads
from lossctl.errors import LossctlError
from lossctl.io.dataset import Dataset

T = TypeVar("T")

# Tasks from which on children pay. To fork them, and the pages that they are the first to touch, take some 10 ms: of
# 8M pairs, which are 16 tasks, processes take up to 6 ms more than threads with mse and up to 9 less with kl_divergence
# (tests/bench/inside.py threads), and a gradient check gains seconds; of 20M pairs, as commands with start-up taken
# off, they take 0.5 of the time of threads with mse, 0.9 with huber, 0.8 with bce_with_logits (run.py marginal).
_WORTH = 16
# Bytes of the number of a task, and of the length of a result. (A pipe gives so few of them whole or not at all.)
_NUMBER = 8


def can_fork(data: Dataset, losses: Sequence[Loss]) -> bool:
    """Whether children can do the work: they read the rows themselves, and run nothing but lossctl's own losses.

    What somebody else's code holds (threads, a GPU) does not outlive a fork; nor does polars, which has threads.
    """
    return (
        sys.platform == "linux"  # elsewhere system libraries do not outlive one either
        and data.seekable
        and not any(loss.source for loss in losses)
        and threading.active_count() == 1
        and "polars" not in sys.modules
    )


class Processes:
    """An executor whose workers are forked, where there are many tasks; few are left to threads."""

    remote = False
    groups = 1

    def __init__(self, count: int) -> None:
        self._threads = Threads(count)
        self._children: dict[int, int] = {}  # the process of each pipe that results come from
        self._tickets = -1  # where children take the numbers of tasks from
        self._done: dict[int, Any] = {}  # what came before its turn
        self._sigchld: Any = None  # what was done at the end of a child before

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """The result of each task, in their order: once."""
        held: list[Callable[[], T]] = []
        fault: LossctlError | None = None
        try:
            for task in tasks:
                held.append(task)  # noqa: PERF402 - those before an error stay
        except LossctlError as error:  # of rows that come after those of the tasks that are there
            fault = error
        if len(held) >= _WORTH:
            self._fork(held)
        yield from self._collected(len(held)) if self._children else self._threads.ordered(held)
        if fault is not None:
            raise fault

    def _collected(self, tasks: int) -> Iterator[Any]:
        given, ahead = 0, 2 * len(self._children)  # the next task of each waits for it
        for number in range(tasks):
            while given < min(number + ahead, tasks):
                with suppress(BrokenPipeError):  # no child is left: the next result tells
                    os.write(self._tickets, given.to_bytes(_NUMBER))
                given += 1
            if given == tasks:
                self._close_tickets()
            yield self._result(number)

    def _fork(self, tasks: Sequence[Callable[[], object]]) -> None:
        try:
            taken, self._tickets = os.pipe()
        except OSError:  # as below
            return
        # Whoever started this process may have it ignore the end of children: nobody could ask how they ended.
        self._sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Children never hear Ctrl-C: the parent does, and is the one to say so.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(min(self._threads.count, len(tasks))):
                self._spawn_worker(tasks, taken)
        except OSError:  # no more processes or files for this user: those that there are do it, or threads
            pass
        finally:
            os.close(taken)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _spawn_worker(self, tasks: Sequence[Callable[[], object]], taken: int) -> None:
        results, told = os.pipe()
        try:
            child = os.fork()
            if not child:
                _worker_loop(tasks, taken, told, [self._tickets, results, *self._children])
            self._children[results] = child
        except OSError:
            os.close(results)
            raise
        finally:
            os.close(told)

    def _result(self, number: int) -> Any:
        poll = select.poll()
        for results in self._children:
            poll.register(results, select.POLLIN)
        while number not in self._done:
            for results, _ in poll.poll():
                length = int.from_bytes(_read(results, _NUMBER))
                told = _read(results, length)
                if length and len(told) == length:
                    at, value, error = pickle.loads(told)  # noqa: S301 - a child's
                    self._done[at] = (value, error)
                else:
                    poll.unregister(results)
                    self._end(results)
        value, error = self._done.pop(number)
        if error is not None:
            raise error
        return value

    def _end(self, results: int) -> None:
        """A child that has no more to tell."""
        os.close(results)
        code = os.waitstatus_to_exitcode(os.waitpid(self._children.pop(results), 0)[1])
        if code:
            told = f"by signal {-code}" if code < 0 else f"with status {code}"
            raise LossctlError(f"a process of this run has ended {told}; --threads 1 does without")

    def _close_tickets(self) -> None:
        if self._tickets >= 0:
            os.close(self._tickets)
            self._tickets = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.__exit__(kind, error, at)
        self._close_tickets()
        for results, child in self._children.items():
            os.close(results)
            os.kill(child, signal.SIGKILL)  # it holds nothing, and nobody wants what it has not told
            os.waitpid(child, 0)
        self._children.clear()
        if self._sigchld is not None:
            signal.signal(signal.SIGCHLD, self._sigchld)


def _worker_loop(tasks: Sequence[Callable[[], object]], taken: int, told: int, others: Iterable[int]) -> NoReturn:
    """The life of a child."""
    status = 1
    try:
        for descriptor in others:  # else the end of a pipe would never come
            os.close(descriptor)
        while ticket := os.read(taken, _NUMBER):
            number = int.from_bytes(ticket)
            value, error = None, None
            try:
                value = tasks[number]()
            except Exception as raised:  # noqa: BLE001 - it is raised where the result is asked for
                error = raised
            data = pickle.dumps((number, value, error), pickle.HIGHEST_PROTOCOL)
            left = memoryview(len(data).to_bytes(_NUMBER) + data)
            while left:
                left = left[os.write(told, left) :]
        status = 0
    finally:
        os._exit(status)  # nothing of the parent's is flushed, closed or told twice


def _read(descriptor: int, size: int) -> bytes:
    """So many bytes; none at the end."""
    parts = []
    while size and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
