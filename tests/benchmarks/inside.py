"""Measurements behind the constants of the engine: ``python tests/benchmarks/inside.py [NAME …]``.

Times are medians of alternating rounds in one process; times of two threads need two idle cores.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it

import numpy as np
import polars as pl

import lossctl
from lossctl.analysis import bootstrap
from lossctl.cli.app import main as main_of_lossctl
from lossctl.core.loss import Loss
from lossctl.engine import run
from lossctl.engine.block import as_float64
from lossctl.engine.executors.processes import Processes
from lossctl.engine.executors.threads import Threads
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.io import byte_stream, columnar, text_polars
from lossctl.io.dataset import from_arrays
from lossctl.losses.numerics.elementary import select

PAIRS = 8_000_000
ROUNDS = 7


def alternating(functions: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median milliseconds of each function; the functions alternate."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(t) for name, t in times.items()}


def _pairs(name: str, rng: np.random.Generator, count: int = PAIRS) -> tuple[np.ndarray, np.ndarray]:
    pred, target = rng.normal(size=(2, count))
    return pred, (target > 0) * 1.0 if name == "bce_with_logits" else target


def blocks() -> None:
    """engine/run.BLOCK: time of a loss in memory by the size of a block, with one thread and with two."""
    rng = np.random.default_rng(0)
    print(f"\n{PAIRS:,} pairs, ms by the numbers in a block: one thread, two\n")
    for name in ("mse", "bce_with_logits"):
        pairs = _pairs(name, rng)
        told = []
        for size in (1 << 15, 1 << 16, 1 << 17, 1 << 18):
            run.BLOCK = size
            runs = {str(n): partial(lossctl.compute, name, *pairs, threads=n) for n in (1, 2)}
            told.append(f"{size >> 10}k " + ", ".join(f"{t:.0f}" for t in alternating(runs).values()))
        print(f"  {name:16} " + "   ".join(told))


def threads() -> None:
    """executors: the speed-up of a second thread and of a second process.

    Beside them what a thread gains where nothing but one NumPy call on a cached block is run.
    """
    for numbers in (PAIRS, 4 * PAIRS):
        _gains(numbers, np.random.default_rng(0))
    for length in (1 << 13, 1 << 17, 1 << 20):
        one, two = alternating({str(n): partial(_exponentials, n, length) for n in (1, 2)}).values()
        print(f"  np.exp of {length >> 10:>4}k numbers    {one / two:.2f} ×")


def _gains(numbers: int, rng: np.random.Generator) -> None:
    print(f"\n{numbers:,} numbers in memory: how many times as fast two threads are as one, and two processes\n")
    for name in ("mse", "huber", "bce_with_logits", "categorical_cross_entropy", "kl_divergence"):
        if name in ("categorical_cross_entropy", "kl_divergence"):
            pairs: Sequence[np.ndarray] = rng.dirichlet(np.ones(10), (2, numbers // 10))
        else:
            pairs = _pairs(name, rng, numbers)
        ways = {"one": partial(Threads, 1), "two": partial(Threads, 2), "forked": partial(Processes, 2)}
        runs = {way: partial(_summed, name, pairs, start) for way, start in ways.items()}
        one, two, forked = alternating(runs).values()
        print(f"  {name:26} {one / two:.2f} × {one / forked:.2f} ×   ({one:.0f} ms, {two:.0f}, {forked:.0f})")


def _summed(name: str, pairs: Sequence[np.ndarray], start: Callable[[], Threads | Processes]) -> None:
    """Compute as ``compute -q`` does."""
    loss = lossctl.get_loss(name)
    data = from_arrays(dict(zip(("pred", "target"), pairs, strict=True)))
    with start() as executor:
        run.summarize(data, [plan_loss(loss, data, ComputeOptions())], ComputeOptions(detail=False), executor)


def _exponentials(count: int, length: int) -> None:
    def work(share: int) -> None:
        x, out = np.linspace(-1, 1, length), np.empty(length)
        for _ in range(share):
            np.exp(x, out=out)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, [(1 << 25) // length // count] * count))


_WITHOUT_PAGES = """
import sys, time
import numpy as np
import lossctl
from lossctl.engine import task
if sys.argv[1] == "out":
    task.retain_freed_memory = lambda: None
p, t = np.random.default_rng(0).normal(size=(2, 4_000_000))
times = []
for _ in range(9):
    start = time.perf_counter()
    lossctl.compute("mse", p, t, threads=1)
    times.append(time.perf_counter() - start)
print(sorted(times)[4] * 1e3)
"""


def pages() -> None:
    """executors/threads.retain_freed_memory: mse on 4M pairs with freed memory retained, and with glibc's defaults."""
    print("\nmse on 4M pairs in memory, one thread, ms\n")
    for how in ("with", "out"):
        run = subprocess.run([sys.executable, "-c", _WITHOUT_PAGES, how], capture_output=True, text=True, check=True)
        print(f"  {'freed pages kept' if how == 'with' else 'given back':18} {float(run.stdout):.0f}")


def where() -> None:
    """numerics/elementary.select against np.where, on a block with a random mask."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, run.BLOCK))
    mask = a > 0
    for name, ms in alternating(
        {"choose": lambda: select(mask, a, b), "where": lambda: np.where(mask, a, b)}, 99
    ).items():
        print(f"  {name:8} {ms:.2f} ms")


def clips() -> None:
    """robust.huber: np.clip against np.minimum; binary.bce_with_logits: t − [x > 0] against select."""
    x, t = np.random.default_rng(0).normal(size=(2, run.BLOCK))
    a, t = np.abs(x), (t > 0) * 1.0
    ways = {
        "np.minimum": lambda: np.minimum(a, 1.0),
        "np.clip": lambda: np.clip(a, 0.0, 1.0),
        "choose": lambda: select(x > 0, t - 1.0, t),
        "t - [x > 0]": lambda: t - (x > 0),
    }
    for name, ms in alternating(ways, 99).items():
        print(f"  {name:14} {ms * 1e3:.0f} µs")


def proofs() -> None:
    """propagates_nonfinite: mse of pairs in memory on one thread, with inputs checked by the loss and before it."""
    data = from_arrays(dict(zip(("pred", "target"), _pairs("mse", np.random.default_rng(0)), strict=True)))

    def summed(loss: Loss) -> None:
        with Threads(1) as executor:
            run.summarize(data, [plan_loss(loss, data, ComputeOptions())], ComputeOptions(detail=False), executor)

    mse = lossctl.get_loss("mse")
    ways = {
        "by its values": partial(summed, mse),
        "beforehand": partial(summed, replace(mse, propagates_nonfinite=False)),
    }
    for name, ms in alternating(ways).items():
        print(f"  {name:14} {ms:.0f} ms")


def sums() -> None:
    """as_float64: the row sums of a block of ten classes, in C and in Fortran order."""
    rows = np.random.default_rng(0).dirichlet(np.ones(10), run.BLOCK // 10)
    columns = np.asfortranarray(rows)
    ways = {"rows": lambda: rows.sum(axis=-1), "columns": lambda: columns.sum(axis=-1)}
    for name, ms in alternating(ways, 99).items():
        print(f"  {name:8} {ms * 1e3:.0f} µs")


def casts() -> None:
    """as_float64 of a float32 block of ten classes, and in two steps: to float64, then to Fortran order."""
    z = np.random.default_rng(0).normal(size=(run.BLOCK // 10, 10)).astype(np.float32)
    two = lambda: np.asfortranarray(z.astype(np.float64))  # noqa: E731
    for name, ms in alternating({"one step": lambda: as_float64(z), "two": two}, 99).items():
        print(f"  {name:8} {ms * 1e3:.0f} µs")


def order() -> None:
    """COLUMN_MAJOR_CLASSES: log-sum-exp of 16k numbers in either memory order, by the number of classes."""
    rng = np.random.default_rng(0)
    print("\ncolumn-major against row-major blocks: how many times as fast a log-sum-exp is\n")
    for k in (2, 10, 100, 128, 256, 500, 1000):
        z = rng.normal(size=(16_384 // k, k))
        rows, columns = alternating({"C": partial(_lse, z), "F": partial(_lse, np.asfortranarray(z))}, 199).values()
        print(f"  {k:5} classes {rows / columns:5.2f} ×")


def _lse(z: np.ndarray) -> np.ndarray:
    return np.exp(z - z.max(axis=-1, keepdims=True)).sum(axis=-1)


def draws() -> None:
    """analysis/bootstrap._DRAWS: 1000 resamples of 100,000 rows on two threads, by the number of draws at once."""
    column = np.random.default_rng(0).normal(size=100_000)
    print("\n1000 resamples of 100,000 rows, two threads, ms\n")
    for size in (1 << 16, 1 << 18, 1 << 20):
        bootstrap._DRAWS = size
        with Threads(2) as executor:
            took = alternating({"": partial(bootstrap.bootstrap_sums, [column], 1000, 0, executor)}, 3)[""]
        print(f"  {size:>9,} at once {took:6.0f}")


def strips() -> None:
    """io/columnar._STRIP_ROWS: 4M rows of two columns of Parquet in row groups of 122,880, by the rows read at once."""
    rng = np.random.default_rng(0)
    print("\nmse of 4M rows of Parquet, ms\n")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.parquet"
        frame = pl.DataFrame({"pred": rng.normal(size=4_000_000), "target": rng.normal(size=4_000_000)})
        frame.write_parquet(path, row_group_size=122_880)
        for size in (1 << 17, 1 << 19, 1 << 21):
            columnar._STRIP_ROWS = size
            print(f"  {size:>9,} rows {alternating({'': partial(_command, path)}, 5)['']:6.0f}")


def pieces() -> None:
    """io/byte_stream.CHUNK, which polars parses at once, and PIECE, for the grammar: 2M rows of text."""
    print("\nmse of 2M rows of CSV, ms\n")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.csv"
        table = np.random.default_rng(0).normal(size=(2_000_000, 2))
        np.savetxt(path, table, fmt="%.17g", delimiter=",", header="pred,target", comments="")
        text_polars.WORTH = 0
        for size in (1 << 20, 1 << 21, 1 << 22, 1 << 24):
            byte_stream.CHUNK = size
            print(f"  polars  {size >> 10:>6} KiB {alternating({'': partial(_command, path)}, 5)['']:6.0f}")
        text_polars.WORTH = sys.maxsize
        for size in (1 << 16, 1 << 18, 1 << 20):
            byte_stream.CHUNK = byte_stream.PIECE = size
            print(f"  grammar {size >> 10:>6} KiB {alternating({'': partial(_command, path)}, 1)['']:6.0f}")


def _command(path: str) -> None:
    columnar._strip.cache_clear()  # drop the rows that the run before has read
    with contextlib.redirect_stdout(io.StringIO()):
        main_of_lossctl(["compute", "mse", path, "-p", "pred", "-t", "target", "-q"])


FIGURES = {
    f.__name__: f for f in (blocks, threads, pages, where, clips, proofs, sums, casts, order, draws, strips, pieces)
}


def main(names: Sequence[str]) -> None:
    """Print the figures that are named, or all."""
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {len(os.sched_getaffinity(0))} cores")
    for name in names or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
