"""Nanoseconds a number of the passes of NumPy over a block: ``python tests/benchmarks/passes.py [NAME …]``.

CPU times, the least of alternating rounds, so that other load on the machine changes them little.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it

import numpy as np
from peers import LOSSES, drawn, ours

import lossctl
from lossctl.core.arrays import dot
from lossctl.engine.block import as_float64
from lossctl.engine.executors.threads import retain_freed_memory
from lossctl.engine.run import BLOCK
from lossctl.immutable import immutable
from lossctl.losses.numerics.elementary import log1p

PAIRS = 3_000_000
ROUNDS = 25


def least(functions: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least CPU time of each function, in nanoseconds; the functions alternate."""
    times = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time_ns()
            function()
            times[name] = min(times[name], time.process_time_ns() - start)
    return times


def _print(functions: Mapping[str, Callable[[], object]], count: int, unit: str = "ns", scale: float = 1.0) -> None:
    for name, taken in least(functions).items():
        print(f"  {name:44} {taken / count * scale:7.2f} {unit}")


def profile() -> None:
    """What the bare value of a loss consists of, on one thread: the passes that no way of writing it avoids."""
    print(f"\n{PAIRS:,} numbers in memory, ns a number\n")
    names = ("engine", "conversion", "kernel", "sum", "log", "exp", "reading")
    print(f"  {'':40}" + "".join(f"{name:>11}" for name in names))
    for loss in ("mse", "huber", "bce", "bce_with_logits", "sparse_softmax_cross_entropy"):
        for dtype in (np.float64, np.float32):
            pred, target = (drawn(kind, PAIRS, dtype) for kind in LOSSES[loss]["inputs"])
            rows = BLOCK // pred[0].size
            p, t = as_float64(pred[:rows]), as_float64(target[:rows])
            kernel = lossctl.get_loss(loss).evaluate
            values, positive = kernel(p, t)[0], np.abs(p) + 0.5
            took = least(
                {
                    "conversion": lambda a=pred[:rows], b=target[:rows]: (as_float64(a), as_float64(b)),
                    "kernel": partial(kernel, p, t),
                    "sum": partial(np.add.reduce, values),
                    "log": partial(np.log, positive),
                    "exp": partial(np.exp, p),
                }
            )
            whole = least(
                {
                    "engine": partial(ours, loss, pred, target, detail=False, threads=1),
                    "reading": lambda a=pred, b=target: (np.add.reduce(a, axis=None), np.add.reduce(b, axis=None)),
                },
                9,
            )
            cells = {name: ns / p.size for name, ns in took.items()} | {
                name: ns / pred.size for name, ns in whole.items()
            }
            print(f"  {loss + ' ' + dtype.__name__:40}" + "".join(f"{cells[name]:11.2f}" for name in names), flush=True)


def passes() -> None:
    """One pass of each kind over a block, in place."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.01, 0.99, (2, BLOCK))
    single, out = a.astype(np.float32), np.empty(BLOCK)
    print(f"\na block of {BLOCK:,} numbers\n")
    ways = {
        "a − b": lambda: np.subtract(a, b, out=out),
        "|a|": lambda: np.abs(a, out=out),
        "a / b": lambda: np.divide(a, b, out=out),
        "max(a, 1/2)": lambda: np.maximum(a, 0.5, out=out),
        "sum": lambda: np.add.reduce(a),
        "dot": lambda: dot(a, b),
        "float32 to float64": lambda: single.astype(np.float64),
        "log": lambda: np.log(a, out=out),
        "exp": lambda: np.exp(a, out=out),
    }
    _print(ways, BLOCK)


def sizes() -> None:
    """Kernels by the numbers in a call: whether blocks that stay in the L1 or L2 cache gain more than calls cost."""
    lengths, count = (1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17), 1 << 20
    print(f"\nkernel of {count:,} numbers, ns a number, by the numbers in a call\n")
    print(f"  {'':34}" + "".join(f"{length >> 10:>7}k" for length in lengths))
    for loss in ("mse", "huber", "bce", "bce_with_logits", "sparse_softmax_cross_entropy"):
        pred, target = (as_float64(drawn(kind, count, np.float64)) for kind in LOSSES[loss]["inputs"])
        kernel = lossctl.get_loss(loss).evaluate

        def called(length: int, p: np.ndarray = pred, t: np.ndarray = target, kernel=kernel) -> None:
            rows = length // p[0].size
            for start in range(0, len(p), rows):
                kernel(p[start : start + rows], t[start : start + rows])

        took = least({str(length): partial(called, length) for length in lengths}, 9)
        print(f"  {loss:34}" + "".join(f"{ns / count:8.2f}" for ns in took.values()), flush=True)


def singles() -> None:
    """The mse of float32 pairs, converted and subtracted in double precision; of float64 pairs by a sum and by dot."""
    p, t = (drawn(kind, PAIRS, np.float64) for kind in "xy")
    single_p, single_t = p.astype(np.float32), t.astype(np.float32)
    blocks = [slice(i, i + BLOCK) for i in range(0, PAIRS, BLOCK)]

    def by(difference: Callable[[slice], np.ndarray], *, product: bool = False) -> None:
        for block in blocks:
            r = difference(block)
            if product:
                dot(r, r)
            else:
                r *= r
                np.add.reduce(r)

    def converted(block: slice) -> np.ndarray:
        return as_float64(single_p[block]) - as_float64(single_t[block])

    def doubled(block: slice) -> np.ndarray:
        return np.subtract(single_p[block], single_t[block], dtype=np.float64)

    print(f"\nmse of {PAIRS:,} pairs in NumPy\n")
    ways = {
        "float32, both converted": partial(by, converted),
        "float32, subtract(dtype=float64)": partial(by, doubled),
        "float64, square and sum": partial(by, lambda block: p[block] - t[block]),
        "float64, dot": partial(by, lambda block: p[block] - t[block], product=True),
    }
    _print(ways, PAIRS)


def logarithms() -> None:
    """numerics/elementary.log1p against that of NumPy and its log, and the test for hard targets in binary._entropy."""
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0.0, 1.0, BLOCK), (rng.random(BLOCK) < 0.5) * 1.0
    not_t = 1.0 - t
    print("\nlogarithms\n")
    ways = {
        "np.log": lambda: np.log(x),
        "np.log1p": lambda: np.log1p(x),
        "log1p": lambda: log1p(x),
        "any(t * not_t)": lambda: np.any(t * not_t),
        "dot(t, not_t)": lambda: dot(t, not_t),
    }
    _print(ways, BLOCK)


def moments() -> None:
    """accumulate.WeightedMoments: the sum of squares less that of the mean, and the sum about the mean."""
    part = np.random.default_rng(0).normal(size=BLOCK)
    total = float(np.add.reduce(part))
    print("\nsecond moment of a block\n")

    def about_the_mean() -> float:
        off = part - total / BLOCK
        return dot(off, off)

    _print({"Σx² − (Σx)²/n": lambda: dot(part, part) - total * total / BLOCK, "Σ(x − mean)²": about_the_mean}, BLOCK)


def squares() -> None:
    """regression._squares: r*r in the array of r, and in a second one; with the sum."""
    p, t = np.random.default_rng(0).normal(size=(2, PAIRS))
    blocks = [slice(i, i + BLOCK) for i in range(0, PAIRS, BLOCK)]

    def in_place() -> None:
        for block in blocks:
            r = p[block] - t[block]
            r *= r
            np.add.reduce(r)

    def in_a_second() -> None:
        for block in blocks:
            r = p[block] - t[block]
            np.add.reduce(r * r)

    print(f"\nkernel and sum of {PAIRS:,} pairs\n")
    _print({"in place": in_place, "a second array": in_a_second}, PAIRS)


def classes() -> None:
    """immutable: the definition of a class of eight fields, and of an object."""
    names = [f"f{i}" for i in range(8)]
    frozen, shared = (
        make(type("Point", (), {"__annotations__": dict.fromkeys(names, float)}))
        for make in (dataclass(frozen=True), immutable)
    )

    def define(make: Callable[[type], type]) -> None:
        for _ in range(20):
            make(type("Point", (), {"__annotations__": dict.fromkeys(names, float)}))

    def create(cls: type) -> None:
        for _ in range(1000):
            cls(*range(8))

    print("\na class of eight fields\n")
    ways = {"dataclass(frozen=True)": partial(define, dataclass(frozen=True)), "immutable": partial(define, immutable)}
    _print(ways, 20, "ms", 1e-6)
    print("\nan object of it\n")
    _print({"dataclass(frozen=True)": partial(create, frozen), "immutable": partial(create, shared)}, 1000, "µs", 1e-3)


FIGURES = {f.__name__: f for f in (profile, passes, sizes, singles, logarithms, moments, squares, classes)}


def main(names: Sequence[str]) -> None:
    """Print the figures that are named, or all."""
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}")
    retain_freed_memory()
    for name in names or FIGURES:
        with np.errstate(all="ignore"):
            FIGURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
