"""Results, speed-up and overhead of a cluster on this machine: ``python tests/benchmarks/cluster.py``."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lossctl
from lossctl.cli.open_dataset import open_data
from lossctl.cli.options import InputOptions
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.executors.dask import Cluster
from lossctl.engine.options import ComputeOptions
from lossctl.engine.run import compute_losses

ROWS = 100_000_000
LOSS = "bce_with_logits"
ROUNDS = 5
TASKS = 400


class _Nothing:
    """A task that does nothing; its time is the cost of distributing a task."""

    def __call__(self) -> int:
        return 0


def _write(path: Path, rows: int, rng: np.random.Generator) -> str:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows,)})
        file.writelines(rng.random(1_000_000, np.float32).tobytes() for _ in range(rows // 1_000_000))
    return str(path)


def main() -> None:
    """Print the time on one and on two workers, and the cost of a task."""
    import distributed

    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS
    loss = lossctl.get_loss(LOSS)
    took: dict[int, list[float]] = {1: [], 2: []}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_write(Path(folder) / name, rows, rng) for name in ("p.npy", "t.npy")]
        clusters = {
            n: distributed.LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None, silence_logs=60)
            for n in took
        }
        for _ in range(ROUNDS):
            for n, cluster in clusters.items():
                data = open_data([loss], paths[0], paths[1], InputOptions())
                start = time.perf_counter()
                compute_losses(
                    data,
                    [loss],
                    ComputeOptions(detail=False),
                    "mean",
                    ExecutionConfig(cluster=cluster.scheduler_address),
                )
                took[n].append(time.perf_counter() - start)
        with Cluster(clusters[2].scheduler_address, 2) as executor:
            start = time.perf_counter()
            for task in [executor.submit(_Nothing()) for _ in range(TASKS)]:
                task.result()
            each = (time.perf_counter() - start) / TASKS
        for cluster in clusters.values():
            cluster.close()
    one, two = (statistics.median(took[n]) for n in (1, 2))
    print(f"{LOSS} of {rows:,} float32 pairs of NPY, with connecting: 1 worker {one:.2f} s, 2 workers {two:.2f} s")
    print(f"1 to 2 workers: {one / two:.2f} times as fast; a task that does nothing: {each * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
