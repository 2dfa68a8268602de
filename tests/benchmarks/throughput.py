"""Speed of each kernel against plain NumPy: ``python tests/benchmarks/throughput.py [NAME …]``.

For each registered loss, or those that are named: million numbers per second for one block on one thread, with default
parameters and random inputs of its kinds. The columns are the value, value and gradient, and the plain expression in
plain/, which need not be right at the limits of a domain. The three alternate, and medians are compared; the lowest
ratio comes first. The catalogue promises at least a third. The last column is the time of value and gradient divided by
that of the value.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it

import numpy as np
from plain import Array, expression

from lossctl.core.arrays import column_major
from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss, registered
from lossctl.engine.executors.threads import retain_freed_memory
from lossctl.engine.run import BLOCK

# The length of the axes that kinds name: ten of most things, images of 32 × 32, and utterances of some words.
AXES = {"classes": 10, "items": 10, "features": 10, "pixels...": 1024, "frames": 20, "symbols": 8}
# Of a loss whose samples are one batch the time grows with its square: that many rows take about as long as a block.
BATCH = 512
SECONDS = 0.4  # that each of what is measured of a loss is given, at least
ROUNDS = 7  # at least


def block(loss: Loss, rng: np.random.Generator) -> list[Array]:
    """One block of inputs, laid out as the engine does."""
    widest = max(math.prod(AXES[axis] for axis in i.kind.core) for i in loss.inputs)
    rows = BATCH if loss.batch_coupled else BLOCK // widest
    arrays = [i.kind.sample(rng, rows, AXES) for i in loss.inputs]
    invalid = loss.domain.invalid_mask(arrays)
    kept = np.flatnonzero(~invalid)
    arrays = [a[np.where(invalid, kept[np.arange(rows) % len(kept)], np.arange(rows))] for a in arrays]
    return [np.asarray(a, order="F" if column_major(a) else "C") for a in arrays]


def medians(functions: Sequence[Callable[[], object]]) -> list[float]:
    """Processor seconds of each call, which take turns: what else runs on the machine counts for less in them."""
    times: list[list[float]] = [[] for _ in functions]
    until = time.perf_counter() + SECONDS * len(functions)
    while time.perf_counter() < until or len(times[0]) < ROUNDS:
        for call, taken in zip(functions, times, strict=True):
            start = time.thread_time()
            call()
            taken.append(time.thread_time() - start)
    return [statistics.median(taken) for taken in times]


def calls(loss: Loss, arrays: list[Array]) -> list[Callable[[], Array]]:
    """What is measured: the value, the gradient after it, and, where there is an expression, plain NumPy's value."""

    def value() -> Array:
        return np.asarray(loss.kernel(*arrays, **loss.params)[0])

    def gradient() -> Array:
        return np.asarray(loss.kernel(*arrays, **loss.params)[1]())

    other = expression(loss.name)
    return [value, gradient] if other is None else [value, gradient, lambda: other(*arrays)]


@dataclass(frozen=True)
class Speed:
    """Million numbers a second."""

    name: str
    value: float
    both: float
    plain: float = math.nan  # where there is no expression

    @property
    def ratio(self) -> float:
        """Of the value to plain NumPy's."""
        return self.value / self.plain


def measured(loss: Loss) -> Speed:
    """How fast a loss is."""
    arrays = block(loss, np.random.default_rng(0))
    size = max(a.size for a in arrays)
    return Speed(loss.name, *(size / seconds / 1e6 for seconds in medians(calls(loss, arrays))))


def main() -> None:
    """Print a line a loss."""
    retain_freed_memory()
    names = sys.argv[1:] or list(registered())
    with np.errstate(all="ignore"):
        speeds = sorted(
            (measured(get_loss(name)) for name in names), key=lambda speed: (math.isnan(speed.plain), speed.ratio)
        )
    print(f"million numbers a second of a block of {BLOCK:,}, one thread, NumPy {np.__version__}\n")
    print(f"{'':34}{'value':>9}{'plain':>9}{'ratio':>8}{'and gradient':>15}{'times':>8}")
    for speed in speeds:
        told = f"{speed.value:9.1f}{speed.plain:9.1f}{speed.ratio:8.2f}"
        print(f"{speed.name:34}{told}{speed.both:15.1f}{speed.value / speed.both:8.2f}")


if __name__ == "__main__":
    main()
