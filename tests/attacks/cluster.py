"""Attacks on ``--cluster``: addresses without a scheduler, processes that stop or die, workers with other files."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import cloudpickle
import numpy as np
from attacks.harness import attack, run
from attacks.processes import LOSSCTL, one_line, process

import lossctl.engine.run
from lossctl.cli.open_dataset import open_data
from lossctl.cli.options import InputOptions
from lossctl.core.registry import get_loss
from lossctl.core.user_modules import USERS
from lossctl.engine.executors import dask
from lossctl.errors import LossctlError

FILES = ("a.npy", "b.npy")
ROWS = 3_000_000
LOCAL = ("--cluster", "local", "--threads", "2")


def arrays(rows: int = 1000) -> None:
    """Write two files whose mse is 1."""
    np.save("a.npy", np.arange(float(rows)))
    np.save("b.npy", np.arange(float(rows)) + 1)


@attack("cluster", "silent", "closes", "nobody")
def an_address_without_a_scheduler(folder: Path, how: str) -> None:
    arrays()
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    if how == "closes":
        listener.shutdown(socket.SHUT_RDWR)
    elif how == "nobody":
        listener.close()
    with mock.patch.object(dask, "_TIMEOUT", 0.5):
        run("compute", "mse", *FILES, "--cluster", address).refused(f"--cluster {address}: no scheduler answers: ")
    listener.close()


@attack("cluster", "local", "tcp://127.0.0.1:1")
def few_descriptors_for_a_cluster(folder: Path, address: str) -> None:
    arrays()
    done = process("compute", "mse", *FILES, "--cluster", address, limit="ulimit -n 15")
    one_line(done, f"--cluster {address}: the limit of open files is 15", "ulimit -n ")


def returned(task: bytes) -> Any:
    """Run a pickled task as a worker does; return the error that is sent back."""
    value, error = pickle.loads(dask.run_pickled(task, None))  # noqa: S301
    assert value is None
    return error


@attack("cluster", "absent", "other", "pipe")
def a_file_that_a_worker_does_not_see(folder: Path, how: str) -> None:
    arrays()
    task = cloudpickle.dumps(open_data([get_loss("mse")], "a.npy", "b.npy", InputOptions()).sources)
    if how == "other":
        arrays(999)
    else:
        os.unlink("a.npy")
    if how == "pipe":
        os.mkfifo("a.npy")
    error = returned(task)
    assert isinstance(error, LossctlError)
    assert f"worker {socket.gethostname()}: {folder}/a.npy: " in str(error)


@attack("cluster")
def a_file_of_python_that_a_worker_does_not_see(folder: Path) -> None:
    (folder / "my.py").write_text("def f(pred, target):\n    return pred - target\n")
    task = cloudpickle.dumps(get_loss("my.py:f"))
    os.unlink("my.py")
    for name in [name for name, module in sys.modules.items() if name.startswith(USERS) and module.__file__ == "my.py"]:
        del sys.modules[name]
    error = returned(task)
    assert isinstance(error, LossctlError)
    assert f"worker {socket.gethostname()}: " in str(error)
    assert "my.py: " in str(error)


class _Raises:
    """A task that raises an error."""

    def __init__(self, kind: type[BaseException], *values: Any) -> None:
        self.kind, self.values = kind, values

    def __call__(self) -> None:
        raise self.kind(*self.values)


class _UnpicklableError(Exception):
    """An error that can be pickled, but not unpickled, unless dask is loaded, which pickles errors in its way."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__("text")


@attack("cluster", SystemExit, KeyboardInterrupt, GeneratorExit, _UnpicklableError)
def an_error_that_would_end_a_worker(folder: Path, kind: type[BaseException]) -> None:
    values = (1, 2) if kind is _UnpicklableError else ()
    error = returned(cloudpickle.dumps(_Raises(kind, *values)))
    assert isinstance(error, (LossctlError, kind)), repr(error)


@attack("cluster")
def an_error_that_cannot_be_pickled(folder: Path) -> None:
    assert "lock" in str(returned(cloudpickle.dumps(lambda: (_ for _ in ()).throw(ValueError("lock", _lock())))))


def _lock() -> Any:
    import threading

    return threading.Lock()


@attack("cluster")
def bytes_that_are_no_task(folder: Path) -> None:
    assert isinstance(returned(b"\x80"), LossctlError)


# Processes from here on.

SLOW = """
import os, time
from pathlib import Path

def slow(pred, target):
    Path({begun!r}).write_text(str(os.getpid()))
    time.sleep({seconds})
    return (pred - target) ** 2

def dies_once(pred, target):
    os.write(1, b"NO\\n"), os.write(2, b"NO\\n"), print("NO")
    with open({begun!r}, "a") as file:
        file.write("x")
    if os.path.getsize({begun!r}) < 2:
        os.kill(os.getpid(), 9)
    return (pred - target) ** 2
"""


def user_file(folder: Path, seconds: float = 3600) -> Path:
    """Write the user's losses; return the file that the first call makes."""
    begun = folder / "begun"
    (folder / "my.py").write_text(SLOW.format(begun=str(begun), seconds=seconds))
    return begun


def until(condition: Callable[[], object]) -> None:
    """Wait; the time limit of the attack ends a wait that is too long."""
    while not condition():
        time.sleep(0.02)


@contextmanager
def somebodys_cluster(
    preload: str = "", *, ttl: str = "5 minutes", workers: int = 1
) -> Iterator[tuple[str, subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers as their owner would; yield the address and the processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, words = f"tcp://127.0.0.1:{port}", ["--no-dashboard"]
    Path("preload.py").write_text(preload)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    environ = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": ttl}
    started = [subprocess.Popen([*command, *words], env=environ, **quiet)]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
    words += ["--preload", "preload.py", "--local-directory", "work"]
    started += [subprocess.Popen([*command, *words], **quiet) for _ in range(workers)]
    try:
        from distributed import Client

        with Client(address, timeout=50, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=50)
        yield address, started[0], started[1:]
    finally:
        for process_ in reversed(started):
            process_.kill()
            process_.wait()


def start(*words: str) -> subprocess.Popen[str]:
    """Start a run in a session of its own, so that a signal can go to the whole of it, as Ctrl-C does."""
    return subprocess.Popen(
        [*LOSSCTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(run_: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for the end of a run."""
    out, err = run_.communicate()
    return subprocess.CompletedProcess(run_.args, run_.returncode, out, err)


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return the processes that a process has started, with their commands."""
    found = []
    with suppress(OSError):
        children = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
        for child in map(int, children.split()):
            with suppress(OSError):
                found.append((child, Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")))
            found += descendants(child)
    return found


@attack("cluster", "stopped", "dead", slow=True)
def a_scheduler_that_ends_in_a_run(folder: Path, how: str) -> None:
    arrays()
    begun = user_file(folder, 20)
    with somebodys_cluster() as (address, scheduler, _):
        one = start("compute", "my.py:slow", *FILES, "--cluster", address)
        until(begun.exists)
        scheduler.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
        one_line(ended(one), f"--cluster {address}: ", "scheduler")


@attack("cluster", "None", "(1, 1)", slow=True)
def a_worker_with_other_files_lives(folder: Path, state: str) -> None:
    arrays()
    preload = f"import lossctl.io.byte_stream as b\nb.path_state = lambda path: {state}\n"
    with somebodys_cluster(preload) as (address, _, (worker,)):
        for _ in range(2):
            one_line(process("compute", "mse", *FILES, "--cluster", address), "worker ", "a.npy: not the file")
        assert worker.poll() is None


@attack("cluster", slow=True)
def a_worker_without_lossctl_lives(folder: Path) -> None:
    arrays()
    with somebodys_cluster("import sys\nsys.modules['lossctl'] = None\n") as (address, _, (worker,)):
        one_line(process("compute", "mse", *FILES, "--cluster", address), "a worker cannot run lossctl")
        assert worker.poll() is None


@attack("cluster", slow=True)
def the_last_worker_dies(folder: Path) -> None:
    arrays()
    begun = user_file(folder)
    with somebodys_cluster() as (address, _, (worker,)):
        one = start("compute", "my.py:slow", *FILES, "--cluster", address)
        until(begun.exists)
        worker.kill()
        one_line(ended(one), f"--cluster {address}: all workers have stopped")


@attack("cluster", slow=True)
def all_workers_are_stopped(folder: Path) -> None:
    """Waiting for them ends, though the scheduler has not yet given them up."""
    arrays()
    begun = user_file(folder)
    with somebodys_cluster() as (address, _, (worker,)):

        def stop() -> None:
            until(begun.exists)
            worker.send_signal(signal.SIGSTOP)

        stopper = threading.Thread(target=stop)
        stopper.start()
        with mock.patch.object(dask, "_TIMEOUT", 1):
            done = run("compute", "my.py:slow", *FILES, "--cluster", address)
        stopper.join()
        done.refused(f"--cluster {address}: no worker has answered for 6 s")


@attack("cluster", "null", "3s", slow=True)
def one_of_two_workers_is_stopped(folder: Path, ttl: str) -> None:
    """Its tasks are given to the other one, by the scheduler or, if that waits without a limit, by lossctl."""
    arrays(40)
    begun = user_file(folder, 0.5)

    def stop() -> None:
        until(lambda: begun.exists() and begun.read_text())
        os.kill(int(begun.read_text()), signal.SIGSTOP)

    with somebodys_cluster(ttl=ttl, workers=2) as (address, _, _):
        stopper = threading.Thread(target=stop)
        stopper.start()
        # 20 tasks, of which some are sent when the worker is known to be silent
        with (
            mock.patch.object(dask, "_TIMEOUT", 1),
            mock.patch.object(dask.Cluster, "groups", 1),
            mock.patch.object(lossctl.engine.run, "TASK_BLOCKS", 1),
            mock.patch.object(lossctl.engine.run, "BLOCK", 2),
        ):
            done = run("compute", "my.py:slow", *FILES, "-q", "--cluster", address)
        stopper.join()
    assert (done.code, done.out, done.err) == (0, "1.0\n", ""), done


@attack("cluster", slow=True)
def a_replaced_worker_is_silent(folder: Path) -> None:
    arrays()
    begun = user_file(folder)
    done = process("compute", "my.py:dies_once", *FILES, "-q", *LOCAL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", ""), done
    assert begun.stat().st_size == 2


@attack("cluster", *range(10), slow=True, tested=2)
def a_worker_that_is_killed_at_any_moment(folder: Path, seed: int) -> None:
    """Kill a process as soon as it exists, and later ones at random moments."""
    arrays(ROWS)
    draw = random.Random(seed)  # noqa: S311
    one = start("compute", "mse", *FILES, "-q", *LOCAL)
    killed: set[int] = set()
    while one.poll() is None and len(killed) < 3:
        for pid, command in descendants(one.pid):
            if "dask_worker" in command and pid not in killed and len(killed) < 3:
                time.sleep(draw.choice([0.0, draw.uniform(0, 2)]))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    done = ended(one)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", ""), done


@attack("cluster", slow=True)
def workers_that_cannot_start(folder: Path) -> None:
    arrays()
    one = start("compute", "mse", *FILES, "-q", *LOCAL)
    while one.poll() is None:
        for pid, command in descendants(one.pid):
            if "dask_worker" in command:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    one_line(ended(one), "--cluster local: its processes cannot start")


@attack(
    "cluster",
    *((name, moment) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL") for moment in (0.2, 1.0, 2.0, "in a task")),
    slow=True,
)
def nothing_is_left_of_a_local_cluster(folder: Path, case: tuple[str, float | str]) -> None:
    name, moment = case
    arrays()
    begun = user_file(folder)
    (folder / "tmp").mkdir()
    with mock.patch.dict(os.environ, TMPDIR=str(folder / "tmp")):
        one = start("compute", "my.py:slow", *FILES, "-q", *LOCAL)
    until(begun.exists) if isinstance(moment, str) else time.sleep(moment)
    started = {pid for pid, _ in descendants(one.pid)}
    os.killpg(one.pid, signal.Signals[name])
    done = ended(one)
    assert done.returncode in {128 + signal.Signals[name], -signal.SIGKILL}, done
    assert (done.stdout, done.stderr) == ("", ""), done
    until(lambda: not any(_lives(pid) for pid in started))
    until(lambda: not any((folder / "tmp").iterdir()))
    assert {path.name for path in folder.iterdir()} <= {*FILES, "my.py", "begun", "tmp"}


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
