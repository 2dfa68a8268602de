"""``ExecutionConfig``: the executor of a run (threads, processes or a cluster) and its progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from lossctl.core.loss import Loss
from lossctl.engine.executors.base import Executor, cores
from lossctl.engine.executors.threads import Threads
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset

# Called with the number of rows of each finished task.
ProgressCallback: TypeAlias = Callable[[int], None]


@immutable
class ExecutionConfig:
    """The settings of ``--threads``, ``--cluster``, ``--allow-mixed`` and ``--no-progress``.

    Attributes:
        threads: number of threads or worker processes; None (default): the number of cores.
        cluster: the address of a scheduler, or ``local``; None (default): threads or forked processes of this machine.
        allow_mixed: whether workers may have other versions or processor features, which can change the last digits
            of a result; default False.
        progress: opens a progress display for a pass over a data set; None (default): no display.
        may_fork: whether lossctl owns this process, so that it may be forked; default False.
    """

    threads: int | None = None
    cluster: str | None = None
    allow_mixed: bool = False
    progress: Callable[[Dataset], AbstractContextManager[ProgressCallback]] | None = None
    may_fork: bool = False

    @contextmanager
    def executor_for(self, data: Dataset, sums: Sequence[Loss] = ()) -> Iterator[Executor]:
        """Provide an executor for one pass over ``data``.

        Args:
            data: the inputs.
            sums: the losses of the pass if the result of each block is small, little more than a sum. If it is not
                empty, the pass may run in forked processes, which have to send each result through a pipe.
        """
        with self._executor(data, sums) as executor:
            if self.progress is None:
                yield executor
                return
            with self.progress(data) as report:
                yield _ReportingExecutor(executor, report)

    def _executor(self, data: Dataset, sums: Sequence[Loss]) -> Any:
        if self.cluster is None:
            count = self.threads or cores()
            if self.may_fork and sums and count > 1:
                from lossctl.engine.executors.processes import Processes, can_fork

                if can_fork(data, sums):
                    return Processes(count)
            return Threads(count)
        from lossctl.engine.executors.dask import Cluster

        return Cluster(self.cluster, self.threads or cores(), allow_mixed=self.allow_mixed)


class _ReportingExecutor:
    """An executor that reports the number of finished rows to a progress callback."""

    def __init__(self, executor: Executor, report: ProgressCallback) -> None:
        self._executor, self._report = executor, report
        self.remote, self.groups = executor.remote, executor.groups

    def ordered(self, tasks: Iterable[Any]) -> Iterator[Any]:
        rows: deque[int] = deque()

        def counted() -> Iterator[Any]:
            for task in tasks:
                rows.append(task.row_range.stop - task.row_range.start)
                yield task

        for value in self._executor.ordered(counted()):
            self._report(rows.popleft())
            yield value
