"""Where a run is computed, as a value: how many threads, or which cluster, and who watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from lossctl.core.loss import Loss
from lossctl.engine.executors.base import Executor, cores
from lossctl.engine.executors.threads import Threads
from lossctl.io.dataset import Dataset

# Called with the rows that are done, whenever some are.
Seen: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class ExecutionConfig:
    """What ``--threads``, ``--cluster`` and ``--no-progress`` say.

    Attributes:
        threads: how many; None: as many as there are cores.
        cluster: the address of a scheduler, or ``local``; None: this machine, in threads or processes.
        allow_mixed: whether workers may differ in what the last digits depend on.
        watch: shows how far a run over a data set is.
        own: whether this process is lossctl's own, which may be forked.
    """

    threads: int | None = None
    cluster: str | None = None
    allow_mixed: bool = False
    progress: Callable[[Dataset], AbstractContextManager[Seen]] | None = None
    may_fork: bool = False

    @contextmanager
    def executor_for(self, data: Dataset, sums: Sequence[Loss] = ()) -> Iterator[Executor]:
        """An executor for one pass over ``data``.

        Args:
            data: the inputs.
            sums: the losses of a pass that keeps little more than a sum of each block: a child can send that.
        """
        with self._executor(data, sums) as executor:
            if self.progress is None:
                yield executor
                return
            with self.progress(data) as seen:
                yield _Watched(executor, seen)

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


class _Watched:
    """An executor that says how many rows are done."""

    def __init__(self, executor: Executor, seen: Seen) -> None:
        self._executor, self._seen = executor, seen
        self.remote, self.groups = executor.remote, executor.groups

    def ordered(self, tasks: Iterable[Any]) -> Iterator[Any]:
        rows: deque[int] = deque()

        def counted() -> Iterator[Any]:
            for task in tasks:
                rows.append(task.slab.stop - task.slab.start)
                yield task

        for value in self._executor.ordered(counted()):
            self._seen(rows.popleft())
            yield value
