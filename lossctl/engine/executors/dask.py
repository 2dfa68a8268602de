"""An executor on dask.distributed that accepts only workers whose results have the same digits as local results."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pickle
import platform
import resource
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from lossctl.core.user_modules import USERS
from lossctl.engine.executors.base import Future, map_ordered
from lossctl.engine.executors.local_cluster import LocalCluster
from lossctl.errors import LossctlError, UsageError, printable, quoted

T = TypeVar("T")

LOCAL = "local"
_SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://", "inproc://")
# Groups of blocks in a task: about 8 million rows or at least 20 ms of work, so that the cost of submitting a task
# (2 to 4 ms, tests/benchmarks/cluster.py) is small.
_GROUPS = 16
# Seconds after which a scheduler that has not answered counts as absent.
_TIMEOUT = 10
# Checks, one each _TIMEOUT, after which a worker without a heartbeat counts as silent. A working one sends one each
# second.
_SILENT_CHECKS = 6
# Seconds for closing the connection. The scheduler drops a client that disappears.
_HURRY = 1
# Descriptors of a connection with its event loop and the files of a run, and of a local worker in its scheduler.
_DESCRIPTORS, _DESCRIPTORS_OF_WORKER = 48, 8


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
        self._slots = 0
        self._heartbeats: Mapping[str, float] = {}
        self._missed: Mapping[str, int] = {}  # checks since the last heartbeat, of each worker
        self._empty_checks = 0

    def ordered(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Run tasks and yield their results in submission order."""
        # Two tasks per worker thread: one runs, and the next one waits.
        return map_ordered(self.submit, 2 * self._slots, tasks)

    def submit(self, fn: Callable[[], T], /) -> Future[T]:
        """Submit a task to a worker."""
        return _Remote(self.send(fn), fn, self)

    def send(self, fn: Callable[[], Any]) -> Any:
        """Send a task to the scheduler and return dask's future; if workers are silent, it is for the others."""
        # An error of unpickling in its event loop ends a worker of dask. So dask sees bytes and a function of the
        # standard library, and the task is unpickled and run in the call.
        pickled = importlib.import_module("cloudpickle").dumps(fn)
        call = pickle.dumps(_Call(pickled, None if self._allow_mixed else self._here()))
        silent = self._silent()
        others = {"workers": [w for w in self._missed if w not in silent], "allow_other_workers": True}
        with self._connection_errors():
            return self._client.submit(pickle.loads, call, pure=False, **(others if silent else {}))

    def workers(self) -> Mapping[str, int]:
        """Ask the scheduler for the number of threads of each worker.

        Raises:
            LossctlError: it does not answer.
        """
        return self._ask("ncores", workers=None)  # type: ignore[no-any-return]

    def is_lost(self, key: str) -> bool:
        """Return whether a task that is not done is at a silent worker; called every ``_TIMEOUT`` seconds.

        The scheduler itself gives the tasks of a silent worker to others only after its ``worker-ttl``, which may be
        set to never.

        Raises:
            LossctlError: the scheduler does not answer, has had no workers at two calls, or all are silent.
        """
        heartbeats = {address: worker["last_seen"] for address, worker in self._ask("identity")["workers"].items()}
        before, self._heartbeats = self._heartbeats, heartbeats
        missed = ((w, self._missed.get(w, 0) + 1 if before.get(w) == seen else 0) for w, seen in heartbeats.items())
        self._missed = dict(missed)
        self._empty_checks = 0 if heartbeats else self._empty_checks + 1
        # An owner may restart its workers; a local worker that dies is replaced.
        if self._empty_checks > 1 and self._address != LOCAL:
            raise self._error("all workers have stopped")
        silent = self._silent()
        if silent and len(silent) == len(heartbeats):
            raise self._error(f"no worker has answered for {_SILENT_CHECKS * _TIMEOUT} s")
        if not silent:
            return False
        at = {worker for worker, keys in self._ask("processing").items() if key in keys}
        at.update(self._ask("who_has", keys=[key])[key])  # a result that cannot be fetched
        return not at.isdisjoint(silent)

    def _silent(self) -> set[str]:
        """Return the workers without a heartbeat for _SILENT_CHECKS checks."""
        return {worker for worker, missed in self._missed.items() if missed >= _SILENT_CHECKS}

    def _ask(self, question: str, **arguments: Any) -> Any:
        """Ask the scheduler.

        Raises:
            LossctlError: it does not answer.
        """
        with self._connection_errors():
            call = getattr(self._client.scheduler, question)
            return self._client.sync(call, callback_timeout=_TIMEOUT, **arguments)

    def _error(self, cause: str) -> LossctlError:
        return LossctlError(f"--cluster {printable(self._address)}: {cause}")

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        try:
            yield
        except LossctlError:
            raise
        except TimeoutError:
            raise self._error(f"the scheduler has not answered for {_TIMEOUT} s") from None
        except Exception as error:  # noqa: BLE001 - dask raises many types: OSError, CommClosedError, RuntimeError
            raise self._error(f"the connection to the scheduler is lost: {_said(error)}") from None

    def __enter__(self) -> Self:
        _check_descriptors(self._address, self._count if self._address == LOCAL else 0)
        try:
            with ExitStack() as stack:
                # It starts while this process imports dask.
                local = stack.enter_context(LocalCluster(self._count)) if self._address == LOCAL else None
                distributed = _distributed()
                self._connect(distributed, stack, local.address() if local else self._address)
                self._stack = stack.pop_all()
        except OSError as error:
            raise UsageError(f"--cluster {printable(self._address)}: {_said(error)}") from None
        return self

    def _connect(self, distributed: Any, stack: ExitStack, address: str) -> None:
        try:
            asyncio.run(asyncio.wait_for(_shake_hands(distributed, address), _TIMEOUT))
            self._client = distributed.Client(address, timeout=_TIMEOUT, set_as_default=False, heartbeat_interval=1000)
        except OSError as error:  # TimeoutError is one
            cause = str(error) or f"not within {_TIMEOUT} s"
            raise UsageError(f"--cluster {printable(self._address)}: no scheduler answers: {cause}") from None
        except Exception as error:  # noqa: BLE001 - dask raises many types: other version of dask, bad address
            raise UsageError(f"--cluster {printable(self._address)}: {_said(error)}") from None
        stack.callback(self._close)
        for module in [m for name, m in sys.modules.items() if name.startswith(USERS)]:
            # Workers cannot import a Python file of the user, so its functions are pickled by value.
            importlib.import_module("cloudpickle").register_pickle_by_value(module)
        self._slots = self._count
        if self._address != LOCAL:
            workers = self.workers()
            if not workers:
                raise UsageError(f"--cluster {printable(self._address)}: it has no workers")
            self._slots = sum(workers.values())

    def _close(self) -> None:
        with suppress(Exception):  # a scheduler that does not answer
            self._client.close(timeout=_HURRY)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()


def _distributed() -> Any:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise UsageError("--cluster needs dask.distributed: pip install 'lossctl[cluster]'") from None
    # Keep dask from writing to stderr: lossctl reports the failures as errors. dask sets the levels of some loggers.
    libraries = ("distributed", "tornado", "asyncio")
    for name in [*libraries, *(name for name in logging.root.manager.loggerDict if name.startswith(libraries))]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"distributed|tornado")
    return distributed


async def _shake_hands(distributed: Any, address: str) -> None:
    """Connect to a scheduler. The client itself waits for the answer of a silent one without an end."""
    arguments = distributed.security.Security().get_connection_args("client")
    comm = await distributed.comm.connect(address, timeout=_TIMEOUT, **arguments)
    await comm.close()


def _check_descriptors(address: str, workers: int) -> None:
    """Check the limit of open files: event loops that cannot open a connection wait without an end."""
    needed, limit = _DESCRIPTORS + _DESCRIPTORS_OF_WORKER * workers, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= limit < needed:
        raise UsageError(
            f"--cluster {printable(address)}: the limit of open files is {limit}, and {needed} are needed: "
            f"ulimit -n {needed}"
        )


class _Call(NamedTuple):
    """A call of ``run_pickled``, made by unpickling."""

    task: bytes
    here: NumericsFingerprint | None

    def __reduce__(self) -> tuple[Callable[..., bytes], tuple[bytes, NumericsFingerprint | None]]:
        return run_pickled, (self.task, self.here)


def run_pickled(task: bytes, here: NumericsFingerprint | None) -> bytes:
    """Run a task on a worker and return the pickled pair of its result and its error, one of which is None.

    Args:
        task: the pickled task.
        here: the platform of the main process, checked before the task runs, because workers can join at any time;
            None: any platform.
    """
    host = printable(socket.gethostname())
    value, failure = None, None
    try:
        if here is not None:
            _check_same_platform(here, machine(), host)
        try:
            call = pickle.loads(task)  # noqa: S301 - from the client, which can run any code here
        except Exception as error:  # noqa: BLE001 - no file, another version of it, no module
            raise LossctlError(f"worker {host}: {_said(error)}") from None
        value = call()
    except BaseException as error:  # noqa: BLE001 - anything that a user's code raises: it must not end the worker
        failure = error
    try:
        outcome: bytes = importlib.import_module("cloudpickle").dumps((value, failure))
        if failure is not None:
            pickle.loads(outcome)  # noqa: S301 - some exceptions can be pickled only
    except Exception as error:  # noqa: BLE001 - an exception of a user's code, or a result that holds one
        return pickle.dumps((None, LossctlError(f"worker {host}: {_said(failure or error)}")))
    return outcome


class _Remote:
    """The future of a task on a worker; if no worker completes the task, ``result`` raises an error with its rows."""

    def __init__(self, future: Any, task: Any, cluster: Cluster) -> None:
        self._future, self._task, self._cluster = future, task, cluster

    def result(self) -> Any:
        value, failure = pickle.loads(self._outcome())  # noqa: S301 - from a worker
        if failure is not None:
            raise failure
        return value

    def _outcome(self) -> bytes:
        while True:
            try:
                return self._future.result(timeout=_TIMEOUT)  # type: ignore[no-any-return]
            except TimeoutError:
                if self._cluster.is_lost(self._future.key):
                    self._future = self._cluster.send(self._task)
            except ImportError as error:
                raise LossctlError(f"--cluster: a worker cannot run lossctl: {_said(error)}") from None
            except Exception as error:  # noqa: BLE001 - of dask: a task raises none
                self._cluster.workers()  # a lost connection is another error
                part = self._task.row_range
                rows = f"rows {part.start} to {part.stop - 1} of {part.sources[0].display_name}"
                raise LossctlError(f"{rows}: no worker has finished them: {_said(error)}") from None


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
