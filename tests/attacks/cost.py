"""Attacks on time and memory: the work for 4n bytes is at most 5 times that for n bytes, counted, not timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attacks.harness import attack, run

from lossctl.io.text_decoding import quoted_record_end


class Counted(bytes):
    """Bytes that count how many of them a search passes."""

    passed = 0

    def rfind(self, sub: bytes, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
        """Search backward."""
        stop = len(self) if stop is None else stop
        found = super().rfind(sub, start, stop)
        Counted.passed += 1 + stop - max(found, start)
        return found

    def count(self, sub: bytes, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
        """Count in a range."""
        stop = len(self) if stop is None else stop
        Counted.passed += stop - start
        return super().count(sub, start, stop)


def _work(data: bytes) -> int:
    Counted.passed = 0
    quoted_record_end(Counted(data))
    return Counted.passed


@attack("cost", b'"0.5","1"\n', b'""\n', b'"x\n"\n', b'"a""b"\r', b'"\n', b"1,2\n")
def a_stray_quote_before_many_lines(folder: Path, line: bytes) -> None:
    few, many = (_work(b'p,t\n"' + line * n) for n in (1_000, 4_000))
    assert many <= 5 * few, (few, many)


@attack("cost")
def an_error_about_100_000_columns_of_one_name(folder: Path) -> None:
    (folder / "p.csv").write_text(",".join(["c"] * 100_000) + "\n" + ",".join(["1"] * 100_000) + "\n")
    ended = run("compute", "mse", "p.csv", "-p", "c", "-t", "@1")
    ended.refused("100000 columns are called 'c'", "@1 and @2", "@10 …")
    assert len(ended.err) < 300


_PEAK = r"""
import re, sys
from lossctl.cli.app import main
code = main(sys.argv[1:])
status = open("/proc/self/status").read()  # the peak that wait4() gives includes the process that forks
print(re.search(r"VmHWM:\s+(\d+)", status)[1], file=sys.stderr)
sys.exit(code)
"""


def _mebibytes(*argv: str) -> int:
    """Run a command in a process of its own; return its peak resident memory in MiB."""
    done = subprocess.run([sys.executable, "-c", _PEAK, *argv], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) >> 10


@attack("cost", slow=True)
def a_table_of_100_000_columns(folder: Path) -> None:
    head = ",".join(f"c{i}" for i in range(100_000))
    (folder / "p.csv").write_text(head + "\n" + (",".join(["0.5"] * 100_000) + "\n") * 50)
    assert _mebibytes("compute", "mse", "p.csv", "-p", "@1-50000", "-t", "@50001-100000", "-q") <= 200


@attack("cost", slow=True)
def long_text(folder: Path) -> None:
    with (folder / "p.csv").open("w") as file:
        file.write("p,t\n")
        for _ in range(100):
            file.write("0.123,1\n" * 50_000)
    assert _mebibytes("compute", "mse", "p.csv", "-p", "p", "-t", "t", "-q") <= 200
