"""Time and memory of ``lossctl breakdown`` against ``compute``: ``python tests/benchmarks/breakdown.py [ROWS]``.

The commands alternate, and medians are compared. The limits: 2 × for ``--top 20``, 4 × for exact quantiles, 200 MiB.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL

import numpy as np

ROUNDS = 5
PIECE = 500_000  # rows per write: the peak memory of a child starts at the memory of its parent


def _write(path: Path, rows: int, draw: Callable[[int], np.ndarray]) -> None:
    """Write an NPY file in parts."""
    with path.open("wb") as file:
        header = {"descr": draw(1).dtype.str, "fortran_order": False, "shape": (rows,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.writelines(draw(min(PIECE, rows - start)).tobytes() for start in range(0, rows, PIECE))


def main(rows: int) -> None:
    """Print a line for each command."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for name in ("p", "t", "w"):
            _write(Path(folder, f"{name}.npy"), rows, lambda n: np.abs(rng.normal(size=n)))
        _write(Path(folder, "g.npy"), rows, lambda n: rng.integers(0, 1000, n))
        pair = [f"{folder}/p.npy", f"{folder}/t.npy"]
        commands = {
            "compute": ["compute", "mse", *pair],
            "compute, weighted": ["compute", "mse", *pair, "-w", f"{folder}/w.npy"],
            "breakdown --top 20": ["breakdown", "mse", *pair, "--top", "20"],
            "breakdown": ["breakdown", "mse", *pair],
            "breakdown, weighted": ["breakdown", "mse", *pair, "-w", f"{folder}/w.npy"],
            "breakdown --by, 1000 groups": ["breakdown", "mse", *pair, "--by", f"{folder}/g.npy"],
            "breakdown -o losses.npy": ["breakdown", "mse", *pair, "-o", f"{folder}/l.npy"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        peaks = dict.fromkeys(commands, 0.0)
        for _ in range(ROUNDS):
            for name, words in commands.items():
                start = time.perf_counter()
                process = subprocess.Popen([sys.executable, "-m", "lossctl", *words], stdout=DEVNULL, stderr=DEVNULL)
                _, status, usage = os.wait4(process.pid, 0)
                times[name].append(time.perf_counter() - start)
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    raise SystemExit(f"{words} failed")
                peaks[name] = max(peaks[name], usage.ru_maxrss / 1024)
        base = statistics.median(times["compute"])
        print(f"{rows:,} samples, median of {ROUNDS}; compute takes {base:.2f} s")
        for name, taken in times.items():
            print(f"  {name:28} {statistics.median(taken) / base:5.2f} ×  {peaks[name]:4.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000)
