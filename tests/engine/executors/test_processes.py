"""The pool of forked processes: order of results, errors, signals and workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.engine import run
from lossctl.engine.executors import processes
from lossctl.engine.executors.processes import Processes
from lossctl.errors import DataError, LossctlError

# Two tasks, and a row that is alone in the third.
ROWS = 2 * run.TASK_BLOCKS * run.BLOCK + 1
OWN = "import os, numpy as np\n\ndef who(pred, target):\n    return np.full(len(pred), float(os.getpid()))\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of several tasks, and one with a NaN in two tasks."""
    folder = tmp_path_factory.mktemp("processes")
    pred, target = np.random.default_rng(0).normal(size=(2, ROWS)).astype(np.float32)
    np.save(folder / "p.npy", pred)
    np.save(folder / "t.npy", target)
    pred[[ROWS // 3, ROWS - 1]] = np.nan
    np.save(folder / "bad.npy", pred)
    (folder / "own.py").write_text(OWN)
    return folder


@pytest.fixture(autouse=True)
def _worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use processes from two tasks on."""
    monkeypatch.setattr(processes, "_WORTH", 2)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Allow forks although pytest may have threads; return the list of the children forked."""
    born: list[int] = []
    fork = os.fork

    def told() -> int:
        born.append(fork())
        return born[-1]

    monkeypatch.setattr(os, "fork", told)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    return born


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(happens: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def later(number: int) -> tuple[int, int]:
    """A task that takes longer for smaller numbers; returns its number and process."""
    time.sleep(0.05 / (1 + number))
    return number, os.getpid()


def test_results_come_in_the_order_of_tasks_from_several_children() -> None:
    with Processes(3) as executor:
        numbers, pids = zip(*executor.ordered(partial(later, i) for i in range(20)), strict=True)
    assert list(numbers) == list(range(20))
    assert os.getpid() not in pids
    assert len(set(pids)) == 3
    assert not any(map(alive, pids))


def test_few_tasks_are_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_WORTH", 4)
    with Processes(2) as executor:
        assert list(executor.ordered([os.getpid] * 3)) == [os.getpid()] * 3
        assert os.getpid() not in list(executor.ordered([os.getpid] * 4))


def test_a_result_of_any_size_comes_whole() -> None:
    with Processes(2) as executor:
        found = list(executor.ordered(partial(np.full, 1_000_000, i) for i in range(3)))
    assert [(a.shape, set(a.tolist())) for a in found] == [((1_000_000,), {i}) for i in range(3)]


def until_the_error(tasks: Iterable[Callable[[], int]]) -> tuple[list[int], str]:
    """Return the results before an error, and the message of the error."""
    results = []
    try:
        with Processes(2) as executor:
            for value in executor.ordered(tasks):
                results.append(value)  # noqa: PERF402 - they stay where it raises
    except LossctlError as error:
        return results, str(error)
    return results, ""


def failing(number: int) -> int:
    """A task that raises for some numbers."""
    if number in (3, 5):
        raise DataError(f"task {number}")
    return number


def test_the_first_error_comes_where_it_is() -> None:
    assert until_the_error(partial(failing, i) for i in range(9)) == ([0, 1, 2], "task 3")


def test_what_tasks_raise_as_they_are_made_comes_after_them() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield partial(failing, 0)
        yield partial(failing, 1)
        raise DataError("no more")

    assert until_the_error(tasks()) == ([0, 1], "no more")


def ended(number: int) -> int:
    """A task whose process is killed."""
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_child_that_dies_is_told_of() -> None:
    results, told = until_the_error(partial(ended, i) for i in range(9))
    assert results in [list(range(n)) for n in range(5)]
    assert told == "a process of this run has ended by signal 9; --threads 1 uses no processes"


@pytest.mark.parametrize(("call", "allowed"), [("fork", 0), ("fork", 1), ("pipe", 0), ("pipe", 1), ("pipe", 2)])
def test_where_no_more_processes_can_be_had_the_others_do_it(
    call: str, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If fork or pipe fails, the run continues with one child or none, and no descriptor stays open."""
    left, real = [None] * allowed, getattr(os, call)

    def refusing() -> object:
        if not left:
            raise OSError("no more for this user")
        left.pop()
        return real()

    monkeypatch.setattr(os, call, refusing)
    before = os.listdir("/proc/self/fd")
    with Processes(2) as executor:
        pids = list(executor.ordered([os.getpid] * 3))
    assert len(set(pids)) == 1
    assert (pids[0] == os.getpid()) == ((call, allowed) in (("fork", 0), ("pipe", 0), ("pipe", 1)))
    assert os.listdir("/proc/self/fd") == before


def test_who_started_the_process_may_have_children_ignored() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Processes(2) as executor:
            assert os.getpid() not in list(executor.ordered([os.getpid] * 3))
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_who_has_seen_enough_leaves_no_child() -> None:
    with Processes(2) as executor:
        first = next(iter(executor.ordered(partial(later, i) for i in range(100))))
        born = list(executor._children.values())
        assert first[1] in born
    assert not any(map(alive, born))


@pytest.mark.parametrize("options", [["-q"], ["-f", "json"], ["--strict"]], ids=" ".join)
@pytest.mark.slow
def test_the_digits_are_those_of_one_process(
    folder: Path, forks: list[int], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    argv = ["compute", "huber,mse", str(folder / "p.npy"), str(folder / "t.npy"), *options]
    told = []
    for threads in ("1", "2", "5"):
        assert main([*argv, "--threads", threads]) == 0
        told.append(capsys.readouterr())
    assert len(forks) == 0 + 2 + 3
    assert told[0] == told[1] == told[2]


def test_a_gradient_check_is_that_of_one_process(
    folder: Path, forks: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BLOCK", 1000)
    given = np.random.default_rng(1).normal(size=10_000)
    np.save(folder / "few.npy", given)
    np.save(folder / "none.npy", given * 0)
    argv = ["gradcheck", "huber", str(folder / "few.npy"), str(folder / "none.npy"), "-f", "json"]
    told = []
    for threads in ("1", "2"):
        assert main([*argv, "--threads", threads]) == 0
        told.append(capsys.readouterr())
    assert len(forks) == 2
    assert told[0] == told[1]


def test_a_gradient_of_somebody_elses_code_is_not_forked(
    folder: Path, forks: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "grad.py").write_text("def slope(pred, target):\n    return 2 * (pred - target)\n")
    files = [str(folder / "p.npy"), str(folder / "t.npy")]
    assert main(["gradcheck", "mse", *files, "--grad", f"{folder}/grad.py:slope", "--threads", "2"]) == 0
    assert not forks


def test_the_first_row_that_is_wrong_is_told(
    folder: Path, forks: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["compute", "mse", str(folder / "bad.npy"), str(folder / "t.npy"), "--threads", "2"]
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert len(forks) == 2
    assert out == ""
    assert err.startswith(f"lossctl: {folder}/bad.npy: row {ROWS // 3}: nan is not a finite number")


def test_somebody_elses_code_is_not_forked(folder: Path, forks: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """User code may have threads or a GPU context, which do not survive a fork."""
    argv = [f"{folder}/own.py:who", str(folder / "p.npy"), str(folder / "t.npy"), "--threads", "2", "-q"]
    assert main(["compute", *argv]) == 0
    assert float(capsys.readouterr().out) == os.getpid()
    assert not forks


@pytest.mark.parametrize("what", ["nothing", "one thread", "threads", "polars", "text"])
def test_what_does_not_outlive_a_fork_is_not_forked(
    what: str, folder: Path, forks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BLOCK", 10)
    if what == "threads":
        monkeypatch.setattr(threading, "active_count", lambda: 2)
    if what == "polars":
        monkeypatch.setitem(sys.modules, "polars", np)
    for name in ("x", "y"):
        np.save(folder / f"{name}.npy", np.arange(100.0))
        np.savetxt(folder / f"{name}.csv", np.arange(100.0))
    suffix = "csv" if what == "text" else "npy"
    threads = "1" if what == "one thread" else "2"
    files = [str(folder / f"{name}.{suffix}") for name in ("x", "y")]
    assert main(["compute", "mse", *files, "--threads", threads]) == 0
    assert len(forks) == (2 if what == "nothing" else 0)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Two sparse files of eight gigabytes each: seconds of work."""
    for name in ("p", "t"):
        with (tmp_path / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (2_000_000_000,)}
            )
            file.truncate(file.tell() + 8_000_000_000)
    return tmp_path


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_no_child_outlives_a_run_that_is_ended(endless: Path, how: signal.Signals) -> None:
    """Ctrl-C reaches all processes: exit code 130 and no output. SIGKILL reaches the parent only."""
    argv = [sys.executable, "-m", "lossctl", "compute", "mse", "p.npy", "t.npy", "--threads", "2"]
    with subprocess.Popen(
        argv, cwd=endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        until(lambda: len(children(process.pid)) == 2)
        born = children(process.pid)
        if how == signal.SIGINT:
            os.killpg(process.pid, how)
        else:
            process.kill()
        out, err = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert (out, err) == (b"", b"")
    until(lambda: not any(map(alive, born)))
