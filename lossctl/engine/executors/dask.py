"""An executor on dask.distributed that accepts only workers whose results have the same digits as local results."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import platform
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from lossctl.core.registry import USERS
from lossctl.engine.executors.base import Future, map_ordered
from lossctl.errors import LossctlError, UsageError, printable, quoted

T = TypeVar("T")

LOCAL = "local"
_SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://", "inproc://")
# Groups of blocks in a task: about 8 million rows or at least 20 ms of work, so that the cost of submitting a task
# (2 to 4 ms, tests/benchmarks/cluster.py) is small.
_GROUPS = 16
# Seconds after which a scheduler that has not answered counts as absent.
_TIMEOUT = 10
# Seconds that the workers of an interrupted run have for a normal shutdown.
_HURRY = 1


class NumericsFingerprint(NamedTuple):
    """The versions and processor features that the last digits of a result depend on, apart from the input.

    Attributes:
        lossctl: version of lossctl.
        numpy: version of NumPy.
        libc: name and version of the C library.
        features: processor features that NumPy has detected.
    """

    lossctl: str
    numpy: str
    libc: str
    features: frozenset[str]


@cache
def machine() -> NumericsFingerprint:
    """Return the versions and processor features of this machine."""
    import numpy as np

    umath: Any = importlib.import_module("numpy._core._multiarray_umath")
    features = frozenset(name for name, there in umath.__cpu_features__.items() if there)
    # NumPy implements exp and log itself; log1p and expm1 come from the C library.
    return NumericsFingerprint(version("lossctl"), np.__version__, " ".join(platform.libc_ver()), features)


class Cluster:
    """An executor on the workers of a dask scheduler, or (``local``) on processes of this machine for one run.

    Args:
        address: the address of a scheduler, or ``local``.
        count: number of processes of a local cluster.
        allow_mixed: accept workers with other versions or processor features, default False.

    Raises:
        UsageError: no scheduler answers, the scheduler has no workers, or the last digits of a worker could differ.
    """

    # A large task needs no more memory than a small one, because a worker reads the rows block by block.
    groups = _GROUPS
    remote = True
    _here = staticmethod(machine)

    def __init__(self, address: str, count: int, *, allow_mixed: bool = False) -> None:
        if address != LOCAL and not address.startswith(_SCHEMES):
            raise UsageError(f"--cluster {quoted(address)}: tcp://HOST:PORT, the address of a scheduler, or local")
        self._address, self._count, self._allow_mixed = address, count, allow_mixed
        self._stack = ExitStack()
        self._client: Any = None
        self._pool: Any = None
        self._slots = 0

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Run tasks and yield their results in submission order."""
        # Two tasks per worker thread: one runs, and the next one waits.
        return map_ordered(self.submit, 2 * self._slots, tasks)

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Submit a task to a worker."""
        sent = fn if self._allow_mixed else _PlatformCheckedTask(fn, self._here())
        return _Remote(self._pool.submit(sent), fn, self._any_left)

    def _any_left(self) -> bool:
        return bool(self._client.scheduler_info(n_workers=-1)["workers"])

    def __enter__(self) -> Self:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError:
            raise UsageError("--cluster needs dask.distributed: pip install 'lossctl[cluster]'") from None
        # Keep dask from writing to stderr: lossctl reports the failures as errors.
        for name in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=r"distributed|tornado")
        try:
            self._connect(distributed)
        except BaseException:
            self._stack.close()
            raise
        return self

    def _connect(self, distributed: Any) -> None:
        try:
            address = self._address if self._address != LOCAL else self._start(distributed)
            self._client = self._stack.enter_context(
                distributed.Client(address, timeout=_TIMEOUT, set_as_default=False, heartbeat_interval=1000)
            )
        except (OSError, TimeoutError) as error:
            raise UsageError(f"--cluster {printable(self._address)}: no scheduler answers: {_said(error)}") from None
        except Exception as error:  # noqa: BLE001 - dask raises many types: other version of dask, bad address
            raise UsageError(f"--cluster {printable(self._address)}: {_said(error)}") from None
        for module in [m for name, m in sys.modules.items() if name.startswith(USERS)]:
            # Workers cannot import a Python file of the user, so its functions are pickled by value.
            importlib.import_module("cloudpickle").register_pickle_by_value(module)
        self._check()
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self._slots = sum(worker["nthreads"] for worker in workers.values())
        self._pool = self._client.get_executor(pure=False)

    def _start(self, distributed: Any) -> Any:
        # Without it, workers import modules of the current folder in place of those of the standard library.
        os.environ["PYTHONSAFEPATH"] = "1"
        with _silent_children():
            try:
                cluster = distributed.LocalCluster(
                    n_workers=self._count,
                    threads_per_worker=1,  # one process per worker: no contention for the GIL
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL + 1,
                )
            except KeyboardInterrupt:
                # A half-started cluster ends with this process. An orderly shutdown by dask would print errors.
                atexit.unregister(distributed.deploy.spec.close_clusters)
                raise
        self._stack.push(lambda kind, *_: _end(cluster, hurry=kind is not None))
        return cluster

    def _check(self) -> None:
        try:
            fingerprints: dict[str, NumericsFingerprint] = self._client.run(machine)
        except Exception as error:  # noqa: BLE001 - any error of the import of lossctl on a worker
            raise UsageError(
                f"--cluster {printable(self._address)}: a worker cannot run lossctl: {_said(error)}"
            ) from None
        if not fingerprints:
            raise UsageError(f"--cluster {printable(self._address)}: it has no workers")
        for worker, there in fingerprints.items():
            if not self._allow_mixed:
                _check_same_platform(self._here(), there, printable(worker))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None and kind is not None:
            self._pool.shutdown(wait=False)  # results that are still pending are not needed
        self._stack.close()


@dataclass(frozen=True)
class _PlatformCheckedTask(Generic[T]):
    """A task that checks the worker before it runs, because workers can join after the check at the start."""

    task: Callable[[], T]
    here: NumericsFingerprint

    def __call__(self) -> T:
        _check_same_platform(self.here, machine(), socket.gethostname())
        return self.task()


class _Remote:
    """The future of a task on a worker; if no worker completes the task, ``result`` raises an error with its rows."""

    def __init__(self, future: Any, task: Any, any_left: Callable[[], bool]) -> None:
        self._future, self._task, self._any_left = future, task, any_left

    def result(self) -> Any:
        while not self._future.done() and futures.wait([self._future], _TIMEOUT).not_done:
            if not self._any_left():
                raise LossctlError("--cluster: all workers have stopped")
        try:
            return self._future.result()
        except LossctlError:
            raise
        except Exception as error:
            if not type(error).__module__.startswith(("distributed", "concurrent", "asyncio")):
                raise
            part = self._task.row_range
            rows = f"rows {part.start} to {part.stop - 1} of {part.sources[0].display_name}"
            raise LossctlError(f"{rows}: no worker has finished them: {_said(error)}") from None


def _end(cluster: Any, *, hurry: bool) -> None:
    # The unfinished tasks of an interrupted run are not needed; by default, dask would wait ten seconds for them.
    with suppress(TimeoutError):
        cluster.close(timeout=_HURRY if hurry else _TIMEOUT)


@contextmanager
def _silent_children() -> Iterator[None]:
    """Redirect stdout and stderr to the null device for the processes that are started inside the context.

    So neither the output of a user's loss nor the tracebacks after Ctrl-C are printed.
    """
    sys.stdout.flush()
    kept = [(fd, os.dup(fd)) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for fd, _ in kept:
            os.dup2(nowhere, fd)
        yield
    finally:
        for fd, copy in kept:
            os.dup2(copy, fd)
            os.close(copy)
        os.close(nowhere)


def _check_same_platform(here: NumericsFingerprint, there: NumericsFingerprint, worker: str) -> None:
    for name, a, b in zip(NumericsFingerprint._fields, here, there, strict=True):
        if a != b:
            difference = _difference(name, here, there)
            raise UsageError(f"worker {worker}: {difference}: the last digits may differ; --allow-mixed accepts that")


def _difference(name: str, here: NumericsFingerprint, there: NumericsFingerprint) -> str:
    if name != "features":
        return f"{name} {getattr(there, name)} where this machine has {getattr(here, name)}"
    lacks, more = sorted(here.features - there.features), sorted(there.features - here.features)
    return f"its processor {'lacks ' + lacks[0] if lacks else 'has ' + more[0]}, unlike this machine's"


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__
