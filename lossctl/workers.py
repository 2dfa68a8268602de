"""Where a run is computed, as a value: how many threads, or which cluster, and who watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lossctl.executor import Executor, Future, Threads, cores
from lossctl.sources.aligned import Dataset

T = TypeVar("T")

# Called with the rows that are done, whenever some are.
Seen: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Workers:
    """What ``--threads``, ``--cluster`` and ``--no-progress`` say.

    Attributes:
        threads: how many; None: as many as there are cores.
        cluster: the address of a scheduler, or ``local``; None: threads of this process.
        allow_mixed: whether workers may differ in what the last digits depend on.
        watch: shows how far a run over a data set is.
    """

    threads: int | None = None
    cluster: str | None = None
    allow_mixed: bool = False
    watch: Callable[[Dataset], AbstractContextManager[Seen]] | None = None

    @contextmanager
    def on(self, data: Dataset) -> Iterator[Executor]:
        """An executor for one pass over ``data``."""
        with self._executor() as executor:
            if self.watch is None:
                yield executor
                return
            with self.watch(data) as seen:
                yield _Watched(executor, seen)

    def _executor(self) -> Any:
        if self.cluster is None:
            return Threads(self.threads)
        from lossctl.cluster import Cluster

        return Cluster(self.cluster, self.threads or cores(), allow_mixed=self.allow_mixed)


class _Watched:
    """An executor that says how many rows are done."""

    def __init__(self, executor: Executor, seen: Seen) -> None:
        self._executor, self._seen = executor, seen
        self.remote, self.groups = executor.remote, executor.groups

    @property
    def window(self) -> int:
        return self._executor.window

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        return _Told(self._executor.submit(fn), fn, self._seen)


class _Told:
    """A task whose end is told."""

    def __init__(self, future: Future[Any], task: Any, seen: Seen) -> None:
        self._future, self._rows, self._seen = future, task.slab.stop - task.slab.start, seen

    def result(self) -> Any:
        value = self._future.result()
        self._seen(self._rows)
        return value
