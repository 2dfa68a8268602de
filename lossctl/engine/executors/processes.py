"""A pool of forked worker processes, for tasks whose results are small.

Threads contend for the GIL between NumPy calls, and a core that waits goes to sleep; forked workers do not contend.
Speed-up of two threads and of two processes over one thread on 32M numbers (tests/benchmarks/inside.py threads): mse
1.04, 1.11; huber 0.90, 1.14; bce_with_logits 1.14, 1.23; categorical_cross_entropy 1.24, 1.44; kl_divergence 1.22,
1.71.

Workers inherit the task list and the open files through fork, so only task numbers go to them, and pickled results
come back. The pool is used only if results are small and lossctl owns the process, because fork is unsafe otherwise.
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

# Minimum number of tasks for processes. The forks and the page faults of the workers take about 10 ms. On 8M pairs (16
# tasks), processes take up to 6 ms more than threads with mse and up to 9 ms less with kl_divergence
# (tests/benchmarks/inside.py threads), and a gradient check gains seconds. On 20M pairs, for commands without start-up
# time, processes take 0.5 of the time of threads with mse, 0.9 with huber and 0.8 with bce_with_logits (run.py
# marginal).
_WORTH = 16
# Bytes of a task number and of the length of a result. A pipe transfers 8 bytes completely or not at all.
_NUMBER = 8


def can_fork(data: Dataset, losses: Sequence[Loss]) -> bool:
    """Return whether forked workers can compute the losses: the data is seekable and all losses are lossctl's own.

    Threads or GPU contexts of other code do not survive a fork. polars has threads, so it must not be loaded.
    """
    return (
        sys.platform == "linux"  # on other systems, system libraries do not survive a fork
        and data.seekable
        and not any(loss.source for loss in losses)
        and threading.active_count() == 1
        and "polars" not in sys.modules
    )


class Processes:
    """An executor that runs many tasks in forked processes, and few tasks in threads.

    Args:
        count: number of processes or threads.
    """

    remote = False
    groups = 1

    def __init__(self, count: int) -> None:
        self._threads = Threads(count)
        self._children: dict[int, int] = {}  # process id of the worker behind each result pipe
        self._task_pipe = -1  # write end of the pipe with the task numbers
        self._done: dict[int, Any] = {}  # (value, error) of tasks that finished early
        self._sigchld: Any = None  # the previous SIGCHLD handler

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Run tasks and yield their results in submission order; can be called once."""
        task_list: list[Callable[[], T]] = []
        fault: LossctlError | None = None
        try:
            for task in tasks:
                task_list.append(task)  # noqa: PERF402 - keeps the tasks before an error
        except LossctlError as error:  # concerns rows after those of the tasks in the list
            fault = error
        if len(task_list) >= _WORTH:
            self._fork(task_list)
        yield from self._collected(len(task_list)) if self._children else self._threads.ordered(task_list)
        if fault is not None:
            raise fault

    def _collected(self, tasks: int) -> Iterator[Any]:
        submitted, window = 0, 2 * len(self._children)  # two per worker: one runs, one waits
        for number in range(tasks):
            while submitted < min(number + window, tasks):
                with suppress(BrokenPipeError):  # no worker is left: _result raises
                    os.write(self._task_pipe, submitted.to_bytes(_NUMBER))
                submitted += 1
            if submitted == tasks:
                self._close_task_pipe()
            yield self._result(number)

    def _fork(self, tasks: Sequence[Callable[[], object]]) -> None:
        try:
            task_pipe, self._task_pipe = os.pipe()
        except OSError:  # no more files for this user: threads run the tasks
            return
        # The parent process may have set SIGCHLD to be ignored. The exit status of a worker would then be lost.
        self._sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # SIGINT is blocked in the workers: the main process alone handles Ctrl-C.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(min(self._threads.count, len(tasks))):
                self._spawn_worker(tasks, task_pipe)
        except OSError:  # no more processes or files for this user: the workers forked so far run the tasks, or threads
            pass
        finally:
            os.close(task_pipe)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _spawn_worker(self, tasks: Sequence[Callable[[], object]], task_pipe: int) -> None:
        results, write_end = os.pipe()
        try:
            child = os.fork()
            if not child:
                _worker_loop(tasks, task_pipe, write_end, [self._task_pipe, results, *self._children])
            self._children[results] = child
        except OSError:
            os.close(results)
            raise
        finally:
            os.close(write_end)

    def _result(self, number: int) -> Any:
        poll = select.poll()
        for results in self._children:
            poll.register(results, select.POLLIN)
        while number not in self._done:
            for results, _ in poll.poll():
                length = int.from_bytes(_read(results, _NUMBER))
                payload = _read(results, length)
                if length and len(payload) == length:
                    at, value, error = pickle.loads(payload)  # noqa: S301 - from a worker
                    self._done[at] = (value, error)
                else:
                    poll.unregister(results)
                    self._end(results)
        value, error = self._done.pop(number)
        if error is not None:
            raise error
        return value

    def _end(self, results: int) -> None:
        """Wait for a worker whose result pipe is at its end.

        Raises:
            LossctlError: the worker was killed by a signal or has a nonzero exit status.
        """
        os.close(results)
        code = os.waitstatus_to_exitcode(os.waitpid(self._children.pop(results), 0)[1])
        if code:
            exit_text = f"by signal {-code}" if code < 0 else f"with status {code}"
            raise LossctlError(f"a process of this run has ended {exit_text}; --threads 1 uses no processes")

    def _close_task_pipe(self) -> None:
        if self._task_pipe >= 0:
            os.close(self._task_pipe)
            self._task_pipe = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.__exit__(kind, error, at)
        self._close_task_pipe()
        for results, child in self._children.items():
            os.close(results)
            os.kill(child, signal.SIGKILL)  # nothing to clean up, and its pending results are not needed
            os.waitpid(child, 0)
        self._children.clear()
        if self._sigchld is not None:
            signal.signal(signal.SIGCHLD, self._sigchld)


def _worker_loop(
    tasks: Sequence[Callable[[], object]], task_pipe: int, result_pipe: int, others: Iterable[int]
) -> NoReturn:
    """Read task numbers from a pipe, run each task and write its pickled result to another pipe; exit at end of file.

    Args:
        tasks: all tasks, inherited through fork.
        task_pipe: read end of the pipe with the task numbers.
        result_pipe: write end of the pipe for the results.
        others: inherited descriptors that the worker must close.
    """
    status = 1
    try:
        for descriptor in others:  # an open copy would keep the pipe from reaching its end
            os.close(descriptor)
        while sent := os.read(task_pipe, _NUMBER):
            number = int.from_bytes(sent)
            value, error = None, None
            try:
                value = tasks[number]()
            except Exception as raised:  # noqa: BLE001 - raised again in the main process
                error = raised
            data = pickle.dumps((number, value, error), pickle.HIGHEST_PROTOCOL)
            left = memoryview(len(data).to_bytes(_NUMBER) + data)
            while left:
                left = left[os.write(result_pipe, left) :]
        status = 0
    finally:
        os._exit(status)  # skips the exit handlers and buffers inherited from the parent


def _read(descriptor: int, size: int) -> bytes:
    """Read ``size`` bytes from a descriptor; the result is shorter or empty at end of file."""
    parts = []
    while size and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
