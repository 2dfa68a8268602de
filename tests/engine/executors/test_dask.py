"""The executor on dask.distributed: the digits of a local run, workers that die, and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl.engine.executors.dask as clusters
from lossctl.cli.app import main
from lossctl.engine import run

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

N = 40_000


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """A scheduler with two workers, started as a user would start it."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60, scheduler_port=0
    ) as cluster:
        yield cluster


@pytest.fixture
def address(scheduler: Any) -> str:
    """The address of the scheduler, after killed workers have restarted."""
    scheduler.wait_for_workers(2, timeout=300)
    return str(scheduler.scheduler_address)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that there are many tasks of few rows. Each task contains the grid."""
    monkeypatch.setattr(run, "BLOCK", 512)
    monkeypatch.setattr(clusters, "_GROUPS", 3)
    monkeypatch.setattr(clusters.Cluster, "groups", 3)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The same numbers in a file of each format."""
    rng = np.random.default_rng(0)
    found: dict[str, Path] = {}
    for name in ("p", "t"):
        values = rng.normal(size=N) * 10.0 ** rng.uniform(-3, 3, N)
        np.save(tmp_path / f"{name}.npy", values)
        np.save(tmp_path / f"{name}32.npy", values.astype(np.float32))
        np.savetxt(tmp_path / f"{name}.csv", values, fmt="%.17g")
        found |= {f"{name}.npy": tmp_path / f"{name}.npy", f"{name}.csv": tmp_path / f"{name}.csv"}
    for name, whole in (("w", rng.uniform(0, 2, N)), ("g", rng.integers(0, 9, N))):
        np.save(tmp_path / f"{name}.npy", whole)
        np.savetxt(tmp_path / f"{name}.csv", whole, fmt="%.17g")
        found |= {f"{name}.npy": tmp_path / f"{name}.npy", f"{name}.csv": tmp_path / f"{name}.csv"}
    return found


@pytest.fixture
def small(address: str, files: dict[str, Path]) -> list[object]:
    """Run a command on the cluster."""
    return ["compute", "mse", files["p.npy"], files["t.npy"], "-q", "--cluster", address]


def ran(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command."""
    code = main([str(word) for word in argv])
    return code, *capsys.readouterr()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("suffix", ["npy", "csv"])
@pytest.mark.parametrize(
    "command",
    [
        "compute mse,huber:delta=0.5,pseudo_huber",
        "gradcheck pseudo_huber",
        "breakdown mse -w {w}",
        "breakdown mse --by {g}",
        "breakdown mse --top 20 --sort row",
        "compare mse,mae {w} --resamples 100",
        "plot mae",
    ],
)
def test_the_digits_are_those_of_a_local_run(
    suffix: str, command: str, address: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.format(w=files[f"w.{suffix}"], g=files[f"g.{suffix}"]).split()
    argv = [*words, files[f"p.{suffix}"], files[f"t.{suffix}"], "--format", "json"]
    here = ran(capsys, *argv, "--threads", 1)
    there = ran(capsys, *argv, "--cluster", address)
    assert here[0] == 0
    assert json.loads(here[1])
    assert there == here


def test_a_cluster_of_this_machine(files: dict[str, Path]) -> None:
    """Run as a process: no worker outlives it, and stderr is empty."""
    argv = [sys.executable, "-m", "lossctl", "compute", "mse", str(files["p.npy"]), str(files["t.npy"]), "-q"]
    here = subprocess.run(argv, capture_output=True, text=True, check=True)
    there = subprocess.run([*argv, "--cluster", "local", "--threads", "1"], capture_output=True, text=True, check=True)
    assert (there.stdout, there.stderr) == (here.stdout, "")


KILLER = """
import os, signal
from pathlib import Path

def fragile(pred, target):
    marker = Path({marker!r})
    if not marker.exists() {always}:
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return (pred - target) ** 2, 2 * (pred - target)
"""


@pytest.mark.usefixtures("small_blocks")
def test_a_worker_that_dies_is_survived(
    address: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "died"
    loss = tmp_path / "losses.py"
    loss.write_text(KILLER.format(marker=str(marker), always=""))
    argv = ["compute", f"{loss}:fragile", files["p.npy"], files["t.npy"], "-q"]
    there = ran(capsys, *argv, "--cluster", address)
    assert marker.exists()
    assert there == ran(capsys, *argv)


def test_rows_that_kill_every_worker_are_told(
    address: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = tmp_path / "losses.py"
    loss.write_text(KILLER.format(marker=str(tmp_path / "died"), always="or True"))
    code, out, err = ran(capsys, "compute", f"{loss}:fragile", files["p.npy"], files["t.npy"], "--cluster", address)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"rows 0 to {N - 1} of {files['p.npy']}: no worker has finished them" in err


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_a_bad_row_is_named_as_in_a_local_run(
    suffix: str, address: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.load(files["p.npy"])
    values[[31_234, 39_000]] = np.nan
    bad = tmp_path / f"bad.{suffix}"
    np.save(bad, values) if suffix == "npy" else np.savetxt(bad, values)
    argv = ["compute", "mse", bad, files[f"t.{suffix}"]]
    here = ran(capsys, *argv)
    assert ran(capsys, *argv, "--cluster", address) == here
    assert here[0] == 2
    assert ("row 31234" if suffix == "npy" else ":31235:") in here[2]


def test_a_gradient_function_of_a_file_is_sent(
    address: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("def half(pred, target):\n    return pred - target\n")
    argv = ["gradcheck", "mse", files["p.npy"], files["t.npy"], "--grad", f"{tmp_path}/mine.py:half", "-f", "json"]
    here = ran(capsys, *argv)
    assert here[0] == 1
    assert ran(capsys, *argv, "--cluster", address) == here


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"numpy": "1.0"}, "numpy 2"),
        ({"features": frozenset({"ODD"})}, "its processor lacks ODD, unlike this machine's"),
    ],
)
def test_workers_that_give_other_digits_are_refused(
    other: dict[str, Any],
    told: str,
    small: list[object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = clusters.machine()._replace(**other)
    monkeypatch.setattr(clusters.Cluster, "_here", staticmethod(lambda: here))  # the workers return theirs
    code, out, err = ran(capsys, *small)
    assert (code, out) == (2, "")
    assert told in err
    assert err.endswith("the last digits may differ; --allow-mixed accepts that\n")
    assert ran(capsys, *small, "--allow-mixed")[0] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cluster", "host:8786"], "--cluster 'host:8786': tcp://HOST:PORT, the address of a scheduler, or local"),
        (["--cluster", "tcp://127.0.0.1:1"], "--cluster tcp://127.0.0.1:1: no scheduler answers"),
        (["--cluster", "tcp://h:1", "--threads", "2"], "--threads: set the number of threads where the workers"),
        (["--allow-mixed"], "--allow-mixed needs --cluster"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    options: list[str],
    told: str,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clusters, "_TIMEOUT", 1)
    code, out, err = ran(capsys, "compute", "mse", files["p.npy"], files["t.npy"], *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_without_dask_the_cure_is_told(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, err = ran(capsys, "compute", "mse", files["p.npy"], files["t.npy"], "--cluster", "local")
    assert code == 2
    assert "pip install 'lossctl[cluster]'" in err
