"""The same numbers give the same digits in every format, from files and pipes, with any number of threads."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lossctl.cli.app import main
from lossctl.engine import run
from lossctl.engine.executors.threads import Threads

distributed = pytest.importorskip("distributed")

N, CLASSES = 30_001, 9
SHARDS = 3
LOSSES = "mse,pseudo_huber:delta=0.3,log_cosh"
ROWWISE = "sparse_softmax_cross_entropy"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60) as found:
        yield str(found.scheduler_address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same numbers in every format: pairs of columns, and rows of classes with labels."""
    folder = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(N, 2)) * 10.0 ** rng.uniform(-6, 6, (N, 2))
    rows = np.column_stack([rng.normal(size=(N, CLASSES)) * 5, rng.integers(0, CLASSES, N)])
    for name, table in (("pairs", pairs), ("rows", rows)):
        np.save(folder / f"{name}.npy", table)
        np.save(folder / f"{name}_f.npy", np.asfortranarray(table))
        header = ",".join(f"c{i}" for i in range(table.shape[1]))
        np.savetxt(folder / f"{name}.csv", table, fmt="%.17g", delimiter=",", header=header, comments="")
        frame = pl.DataFrame({f"c{i}": column for i, column in enumerate(table.T)})
        frame.write_parquet(folder / f"{name}.parquet", row_group_size=7_000)
        frame.write_ipc(folder / f"{name}.arrow")
        (folder / f"{name}_shards").mkdir()
        for i, part in enumerate(np.array_split(table, SHARDS)):
            np.save(folder / f"{name}_shards" / f"part-{i}.npy", part)
    return folder


DOORS = ["npy", "_f.npy", "csv", "parquet", "arrow", "_shards", "pipe of csv", "pipe of npy"]


def answer(folder: Path, name: str, door: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON output of ``compute`` without the names of files."""
    last = CLASSES + 1 if name == "rows" else 2
    columns = [f"--pred=@1-{last - 1}" if name == "rows" else "--pred=@1", f"--target=@{last}"]
    path = str(folder / (f"{name}{door}" if door.startswith("_") else f"{name}.{door}"))
    if door.startswith("pipe"):
        path, suffix = str(folder / "fifo"), door.removeprefix("pipe of ")
        os.mkfifo(path)
        data = (folder / f"{name}.{suffix}").read_bytes()
        threading.Thread(target=lambda: Path(path).write_bytes(data), daemon=True).start()
        columns.append(f"--input-format={suffix}")
    try:
        code = main(["compute", ROWWISE if name == "rows" else LOSSES, path, *columns, "-f", "json", *options])
    finally:
        Path(folder / "fifo").unlink(missing_ok=True)
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    found = json.loads(out)
    del found["sources"]
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a small file has many blocks and tasks."""
    monkeypatch.setattr(run, "BLOCK", 2048)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["pairs", "rows"])
@pytest.mark.slow
def test_the_digits_depend_on_nothing_but_the_numbers(
    name: str, door: str, folder: Path, cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = answer(folder, name, "npy", ["--threads", "1"], capsys)
    assert len(truth["losses"]) == (1 if name == "rows" else 3)
    for options in (["--threads", "1"], ["--threads", "2"], ["--threads", "5"], ["--cluster", cluster]):
        assert answer(folder, name, door, options, capsys) == truth


def test_another_grid_gives_other_digits(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks that the test above can fail: another grid of blocks changes last digits."""
    truth = answer(folder, "pairs", "npy", [], capsys)
    monkeypatch.setattr(run, "BLOCK", 1000)
    assert answer(folder, "pairs", "npy", [], capsys) != truth


def test_where_no_thread_can_be_had_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with Threads(2) as executor:
        assert list(executor.ordered([threading.get_ident] * 3)) == [threading.get_ident()] * 3


@pytest.mark.slow
def test_threads_start_with_the_second_task() -> None:
    """A run with one task starts no threads, because the pool and its import cost more than the run."""
    with Threads(2) as executor:
        assert executor.submit(threading.get_ident).result() == threading.get_ident()
    with Threads(2) as executor:
        tasks = [executor.submit(threading.get_ident) for _ in range(4)]
        assert threading.get_ident() not in {task.result() for task in tasks}
