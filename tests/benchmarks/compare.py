"""Speed and coverage of ``compare``: ``python tests/benchmarks/compare.py [speed] [coverage] [few] [clusters]``.

Speed: a process with 10,000 resamples of 100,000 paired samples should take less than 5 s. Coverage: how often the 95 %
interval contains the true difference, for models whose errors have known distributions.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from lossctl import get_loss
from lossctl.analysis import comparison
from lossctl.analysis.inference import LEVEL
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.io.dataset import from_arrays

RUNS, RESAMPLES = 4000, 1000  # 4000 runs measure a coverage of 95 % to ± 0.7 %
ROUNDS = 3


class Case(NamedTuple):
    """A loss, the size of a data set, its errors and weights, and the true difference."""

    loss: str
    n: int
    errors: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    weighted: bool
    truth: float


def normal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw correlated errors of two models; those of the second are larger by a tenth."""
    shared, own = rng.normal(size=(2, n))
    return shared, 1.1 * (0.9 * shared + math.sqrt(1 - 0.81) * own)


def skewed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw errors with log-normal absolute values, some of them large."""
    shared, own = rng.normal(size=(2, n))
    return np.exp(0.7 * shared), 1.1 * np.exp(0.7 * (0.9 * shared + math.sqrt(1 - 0.81) * own))


ABS = math.sqrt(2 / math.pi)  # E|x| of a standard normal
TAIL = math.exp(0.7**2 / 2)  # E e^(0.7x)
CASES = [
    Case("mse", 200, normal, weighted=False, truth=0.21),
    Case("mae", 200, normal, weighted=False, truth=0.1 * ABS),
    Case("rmse", 200, normal, weighted=False, truth=0.1),
    Case("wape", 200, normal, weighted=False, truth=0.1),  # of targets with E|t| = E|x|
    Case("mse", 1000, normal, weighted=False, truth=0.21),
    Case("mse", 200, normal, weighted=True, truth=0.21),
    Case("mse", 1000, normal, weighted=True, truth=0.21),
    Case("mse", 50, normal, weighted=False, truth=0.21),
    Case("mse", 20, normal, weighted=False, truth=0.21),
    Case("mae", 200, skewed, weighted=False, truth=0.1 * TAIL),
    Case("mse", 1000, skewed, weighted=False, truth=0.21 * math.exp(2 * 0.7**2)),
]


def interval(case: Case, run: int) -> tuple[float, float]:
    """Return the interval of a drawn data set."""
    rng = np.random.default_rng(run)
    target = rng.normal(size=case.n)
    data = {"target": target}
    data["pred"], data["pred 2"] = (target + error for error in case.errors(rng, case.n))
    if case.weighted:
        data["weight"] = rng.exponential(size=case.n) + 0.1
    losses, workers = [get_loss(case.loss)], ExecutionConfig(1)
    (found,) = comparison.compare_models(
        from_arrays(data), losses, 2, ComputeOptions(), workers, resamples=RESAMPLES, seed=run, top=0
    )
    (difference,) = found.differences
    if difference.low is None or difference.high is None:
        raise SystemExit(f"{case}: no interval")
    return difference.low, difference.high


def coverage() -> None:
    """Print how often the interval of each case contains the true difference."""
    print(f"coverage of the {100 * LEVEL:.0f} % interval, {RUNS} runs of {RESAMPLES} resamples, ± 0.7 %")
    for case in CASES:
        held = 0
        for run in range(RUNS):
            low, high = interval(case, run)
            held += low <= case.truth <= high
        kind = f"{case.errors.__name__} errors" + ", weighted" * case.weighted
        print(f"  {case.loss:5} n = {case.n:<5} {kind:24} {100 * held / RUNS:5.1f} %")


def few() -> None:
    """Print the coverage of the bootstrap interval and of that of Student's t for few samples."""
    print(f"coverage of the {100 * LEVEL:.0f} % interval of few samples, {RUNS} runs, ± 0.7 %: bootstrap, Student's t")
    for case in (*CASES[:3], CASES[5], *CASES[-2:]):
        for n in (2, 3, 5, 10, 15, 19, 30):
            covered = [0, 0]
            for run in range(RUNS):
                for i, least in enumerate((0, n + 1)):  # the number of samples below which the interval is that of t
                    with mock.patch.object(comparison, "FEW", least):
                        low, high = interval(case._replace(n=n), run)
                    covered[i] += low <= case.truth <= high
            shares = "  ".join(f"{100 * count / RUNS:5.1f} %" for count in covered)
            kind = f"{case.errors.__name__} errors" + ", weighted" * case.weighted
            print(f"  {case.loss:5} n = {n:<3} {kind:24} {shares}", flush=True)


def clusters() -> None:
    """Print the coverage where samples of a cluster share a part of their errors, with and without ``--cluster-by``."""
    print(f"coverage of the {100 * LEVEL:.0f} % interval, {RUNS} runs, ± 0.7 %: by samples, by clusters")
    for count, size in ((2, 10), (5, 10), (20, 10), (20, 30), (50, 10)):
        for loss, truth in (("mse", 0.2625), ("mae", 0.1 * math.sqrt(2.5 / math.pi))):
            covered = [0, 0]
            for run in range(RUNS):
                rng = np.random.default_rng(run)
                doc = np.repeat(np.arange(count), rng.integers(1, 2 * size, count))
                shared = 0.5 * rng.normal(size=(2, count))[:, doc]
                first, second = rng.normal(size=(2, len(doc))) + shared
                target = rng.normal(size=len(doc))
                data = {"pred": target + first, "pred 2": target + 1.1 * second, "target": target, "doc": doc * 1.0}
                for i, cluster in enumerate((None, "doc")):
                    (found,) = comparison.compare_models(
                        from_arrays(data),
                        [get_loss(loss)],
                        2,
                        ComputeOptions(),
                        ExecutionConfig(1),
                        resamples=RESAMPLES,
                        seed=run,
                        top=0,
                        cluster_by=cluster,
                    )
                    (difference,) = found.differences
                    assert difference.low is not None
                    assert difference.high is not None
                    covered[i] += difference.low <= truth <= difference.high
            shares = "  ".join(f"{100 * h / RUNS:5.1f} %" for h in covered)
            print(f"  {loss:5} {count} clusters of {size:<3} {shares}", flush=True)


def speed() -> None:
    """Print the time of 10,000 resamples of 100,000 pairs."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        n = 100_000
        target = rng.normal(size=n)
        for name, array in (("t", target), ("a", target + rng.normal(size=n)), ("b", target + rng.normal(size=n))):
            np.save(Path(folder, f"{name}.npy"), array)
        files = [f"{folder}/{name}.npy" for name in "abt"]
        print("10,000 resamples of 100,000 pairs, as a process")
        for loss in ("mse", "rmse", "mse,mae"):
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                words = [sys.executable, "-m", "lossctl", "compare", loss, *files]
                subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
                times.append(time.perf_counter() - start)
            print(f"  {loss:10} {statistics.median(times):5.2f} s")


FIGURES = {"speed": speed, "coverage": coverage, "few": few, "clusters": clusters}


def main(names: Sequence[str]) -> None:
    """Print the figures that are named, or all."""
    for name in names or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
