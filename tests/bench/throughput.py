"""How fast each kernel is beside plain NumPy: ``python tests/bench/throughput.py [NAME …]``.

For every registered loss, or those that are named: million numbers a second, of one block of the engine's size
on one thread, of its value kernel (parameters at their defaults, inputs as their kinds draw them) and of the
expression that plain/ has for it, which makes no effort to be right at the edges. The two take turns, and
medians are compared; the slowest ratio comes first. The bar of the catalogue is a third.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it

import numpy as np
from plain import Array, expression

from lossctl.engine import BLOCK
from lossctl.executor import keep_pages
from lossctl.kernels.registry import get_loss, registered
from lossctl.kernels.spec import Loss, column_major

# The length of the axes that kinds name: ten of most things, images of 32 × 32, and utterances of some words.
AXES = {"classes": 10, "items": 10, "features": 10, "pixels...": 1024, "frames": 20, "symbols": 8}
# Of a loss whose samples are one batch the time grows with its square: that many rows take about as long as a block.
BATCH = 512
SECONDS = 0.4  # that each of a loss and its expression is given, at least
ROUNDS = 7  # at least


def block(loss: Loss, rng: np.random.Generator) -> list[Array]:
    """One block of inputs, laid out as the engine does."""
    widest = max(math.prod(AXES[axis] for axis in i.kind.core) for i in loss.inputs)
    rows = BATCH if loss.coupled else BLOCK // widest
    arrays = [i.kind.draw(rng, rows, AXES) for i in loss.inputs]
    refused = loss.refused(arrays)
    kept = np.flatnonzero(~refused)
    arrays = [a[np.where(refused, kept[np.arange(rows) % len(kept)], np.arange(rows))] for a in arrays]
    return [np.asarray(a, order="F" if column_major(a) else "C") for a in arrays]


def medians(calls: list[Callable[[], object]]) -> list[float]:
    """Processor seconds of each call, which take turns: what else runs on the machine counts for less in them."""
    times: list[list[float]] = [[] for _ in calls]
    until = time.perf_counter() + SECONDS * len(calls)
    while time.perf_counter() < until or len(times[0]) < ROUNDS:
        for call, taken in zip(calls, times, strict=True):
            start = time.thread_time()
            call()
            taken.append(time.thread_time() - start)
    return [statistics.median(taken) for taken in times]


def measured(loss: Loss) -> tuple[str, float, float]:
    """(name, million numbers a second of the kernel, of plain NumPy: NaN where there is no expression)."""
    arrays, other = block(loss, np.random.default_rng(0)), expression(loss.name)
    calls = [lambda: loss.kernel(*arrays, **loss.params)[0], *([] if other is None else [lambda: other(*arrays)])]
    speeds = [max(a.size for a in arrays) / seconds / 1e6 for seconds in medians(calls)]
    return loss.name, speeds[0], speeds[1] if other else math.nan


def main() -> None:
    """Print a line a loss."""
    keep_pages()
    names = sys.argv[1:] or list(registered())
    with np.errstate(all="ignore"):
        rows = sorted(
            (measured(get_loss(name)) for name in names), key=lambda row: (math.isnan(row[2]), row[1] / row[2])
        )
    print(f"million numbers a second of a block of {BLOCK:,}, one thread, NumPy {np.__version__}\n")
    print(f"{'':34}{'kernel':>9}{'plain':>9}{'ratio':>8}")
    for name, ours, theirs in rows:
        print(f"{name:34}{ours:9.1f}{theirs:9.1f}{ours / theirs:8.2f}")


if __name__ == "__main__":
    main()
