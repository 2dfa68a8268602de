"""Run N corrupted files on all cores; store and print wrong outcomes: ``python tests/benchmarks/fuzz.py N [SEED]``."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from mutants import rounds

BATCH = 500
Found = list[tuple[list[str], str, bytes]]


def batch(seed: int) -> tuple[int, Found, int]:
    """Run one batch in a temporary folder; return the count, the wrong outcomes and the peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        count, found = rounds(seed, BATCH, Path(folder))
    return count, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> int:
    """Run all batches; return 1 if an outcome is wrong."""
    wanted, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began, done, wrong, peak = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for count, found, memory in pool.map(batch, range(first, first + -(-wanted // BATCH))):
            done, peak = done + count, max(peak, memory)
            for argv, how, content in found:
                wrong += 1
                kept = Path(tempfile.mkdtemp(prefix="lossctl-fuzz-")) / "content"
                kept.write_bytes(content)
                print(f"{how}\n  lossctl {' '.join(argv)}\n  {kept}", flush=True)
            if done % 10_000 == 0:
                print(f"{done:,} files, {wrong} wrong, {time.monotonic() - began:.0f} s, {peak} MiB", flush=True)
    print(f"{done:,} files, {wrong} wrong, {time.monotonic() - began:.0f} s, at most {peak} MiB resident")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
