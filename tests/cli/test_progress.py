"""The progress line: on a terminal only, after one second, removed at the end."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli import progress
from lossctl.io.arrays import ArraySource
from lossctl.io.dataset import Dataset, FieldRef
from lossctl.io.source import Rows, Source

# 40 blocks of 131,072 rows take two seconds.
SLOW = "import time\n\ndef slow(pred, target):\n    time.sleep(0.05)\n    return (pred - target) ** 2\n"
ROWS = 40 * 131_072


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a slow loss and data for it."""
    folder = tmp_path_factory.mktemp("progress")
    (folder / "slow.py").write_text(SLOW)
    np.save(folder / "p.npy", np.arange(ROWS, dtype=np.float32))
    np.save(folder / "t.npy", np.arange(ROWS, dtype=np.float32) % 1000)
    return folder


def at_terminal(folder: Path, *options: str, ctrl_c_when: str = "") -> tuple[int, bytes, str]:
    """Return exit code, stdout, and stderr on a terminal; press Ctrl-C after a text appears."""
    argv = [sys.executable, "-m", "lossctl", "compute", "slow.py:slow", "p.npy", "t.npy", "--threads", "1", *options]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    ) as p:
        os.close(theirs)
        seen = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                data = os.read(ours, 65_536)
            except OSError:  # no process has the terminal open any more
                break
            if not data:
                break
            seen += data
            if ctrl_c_when and ctrl_c_when.encode() in seen:
                p.send_signal(signal.SIGINT)
                ctrl_c_when = ""
        os.close(ours)
        assert p.stdout is not None
        return p.wait(), p.stdout.read(), seen.decode()


def test_a_long_run_tells_rows_rate_share_and_time_left(folder: Path) -> None:
    code, out, seen = at_terminal(folder, "-f", "json")
    assert code == 0
    assert out.startswith(b"{")
    told = re.findall(r"([\d,]+) rows · [\d.]+ million a second · (\d+) % · \d:\d\d left", seen)
    assert len(told) > 2
    rows = [int(count.replace(",", "")) for count, _ in told]
    assert rows == sorted(rows)
    assert all(abs(100 * n / ROWS - int(share)) <= 1 for n, (_, share) in zip(rows, told, strict=True))
    assert "rows" not in seen[seen.rindex("\x1b[2K") :]  # the line is gone


@pytest.mark.parametrize("options", [["--no-progress"], ["-q"]])
@pytest.mark.slow
def test_it_is_silent_where_nobody_wants_it(options: list[str], folder: Path) -> None:
    code, out, seen = at_terminal(folder, *options)
    assert (code, seen) == (0, "")
    assert out


@pytest.mark.slow
def test_ctrl_c_leaves_no_line_and_no_file(folder: Path) -> None:
    code, out, seen = at_terminal(folder, "-o", "losses.json", ctrl_c_when="left")
    assert (code, out) == (130, b"")
    assert "Traceback" not in seen
    assert seen.count("\x1b[?25h") == seen.count("\x1b[?25l") == 1  # the cursor is back
    assert not [path for path in folder.iterdir() if "losses" in path.name]


@pytest.mark.slow
def test_a_pipe_of_stderr_gets_nothing(folder: Path) -> None:
    argv = [sys.executable, "-m", "lossctl", "compute", "slow.py:slow", "p.npy", "t.npy", "-f", "csv", "--threads", "1"]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, check=True)
    assert ran.stderr == b""


@dataclass(frozen=True)
class Stream:
    """A source with an unknown number of rows."""

    share: float | None = 0.25
    display_name: str = "p"
    row_shapes: tuple[tuple[int, ...], ...] = ((),)

    def chunks(self) -> Iterator[Rows]:
        raise NotImplementedError

    def locate(self, row: int, field: int, place: int | None) -> str:
        raise NotImplementedError

    def line(self, row: int) -> str | None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (ArraySource("p", (np.zeros(4000),)), "1,000 rows · 0.0 million a second · 25 % · 0:06 left"),
        (Stream(), "1,000 rows · 0.0 million a second · 25 % · 0:06 left"),
    ],
)
def test_the_share_of_rows_or_of_bytes(source: Source, told: str) -> None:
    data = Dataset((source,), {"pred": FieldRef(0, 0)})
    assert progress._figures(1000, 2.0, data) == (told, 0.25)


def test_of_a_pipe_no_share_is_known() -> None:
    data = Dataset((Stream(None),), {})
    assert progress._figures(3_000_000, 2.0, data) == ("3,000,000 rows · 1.5 million a second", None)


def test_times() -> None:
    assert [progress._clock(s) for s in (0.4, 59.6, 3599, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]
