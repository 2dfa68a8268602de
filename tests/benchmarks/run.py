"""Start-up, time and memory of whole processes: ``python tests/benchmarks/run.py [NAME …]``.

Times are ratios within one run: the commands alternate, and medians are compared. Run it in an environment in which
lossctl is installed as a wheel, not in editable mode, because a wheel has compiled byte code.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it

import numpy as np

LOSSCTL = [sys.executable, "-m", "lossctl"]
ROWS = 20_000_000


def take_turns(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """The median wall time in seconds of each command."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for argv in commands.values():  # once unmeasured: files into the page cache
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    for _ in range(rounds):
        for name, argv in commands.items():
            start = time.perf_counter()
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def peak(argv: Sequence[str]) -> tuple[float, float]:
    """(peak resident MiB, wall seconds) of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv} failed")
    return usage.ru_maxrss / 1024, time.perf_counter() - start


def startup(folder: Path) -> None:
    """Small runs against ``import numpy``."""
    rng = np.random.default_rng(0)
    for name in ("p", "t"):
        values = rng.normal(size=1000)
        np.save(folder / f"{name}.npy", values)
        np.savetxt(folder / f"{name}.csv", values, fmt="%.17g")
    npy, csv = ([str(folder / f"{n}.{suffix}") for n in "pt"] for suffix in ("npy", "csv"))
    script = str(Path(sys.executable).with_name("lossctl"))
    times = take_turns(
        {
            "python -c 'import numpy'": [sys.executable, "-c", "import numpy"],
            "lossctl --help": [script, "--help"],
            "compute -q, 1000-row NPY": [script, "compute", "mse", *npy, "-q"],
            "compute, 1000-row NPY": [script, "compute", "mse", *npy],
            "compute -q, 1000-row CSV": [script, "compute", "mse", *csv, "-q"],
            "compute, 1000-row CSV": [script, "compute", "mse", *csv],
        },
        rounds=25,
    )
    base = times["python -c 'import numpy'"]
    print(f"\nstart-up, median of 25, as a multiple of importing NumPy ({base * 1e3:.0f} ms)\n")
    for name, seconds in times.items():
        print(f"  {name:28} {seconds / base:5.2f} ×")


def completion(folder: Path) -> None:
    """What a shell waits for at a TAB against ``import numpy``; the aim is at most 1.5."""
    (folder / "scored.csv").write_text("id,pred,target\n1,0.5,1\n")
    script = str(Path(sys.executable).with_name("lossctl"))
    lines = {
        "commands": "lossctl ",
        "losses": "lossctl compute mse,hub",
        "parameters": "lossctl compute huber:",
        "columns": f"lossctl compute mse {folder}/scored.csv --pred ",
        "options": "lossctl compute mse --",
        "a package's loss": "lossctl compute nobody",
    }
    ask = {"_LOSSCTL_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    env = [f"{name}={value}" for name, value in ask.items()]
    numpy = "python -c 'import numpy'"
    times = take_turns(
        {numpy: ["env", sys.executable, "-c", "import numpy"]}
        | {name: ["env", *env, f"_TYPER_COMPLETE_ARGS={line}", script] for name, line in lines.items()},
        rounds=25,
    )
    print(f"\ncompletion, median of 25, as a multiple of importing NumPy ({times[numpy] * 1e3:.0f} ms)\n")
    for name, seconds in times.items():
        print(f"  {name:28} {seconds / times[numpy]:5.2f} ×")


def _write(path: str, rows: int, rng: np.random.Generator) -> None:
    """An NPY file, made in parts: a child's peak memory starts at what its parent has."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (rows,)})
        file.writelines(rng.normal(size=500_000).tobytes() for _ in range(rows // 500_000))


def memory(folder: Path) -> None:
    """Peak memory of NPY and of text, which must not grow with the file."""
    rng = np.random.default_rng(0)
    print("\npeak memory and time of compute (with the table)\n")
    for rows in (ROWS // 40, ROWS // 4, ROWS):
        paths = [str(folder / f"{name}{rows}.npy") for name in "pt"]
        for path in paths:
            _write(path, rows, rng)
        for loss in ("mse", "huber", "mse,mae,huber,pseudo_huber"):
            mib, seconds = peak([*LOSSCTL, "compute", loss, *paths])
            print(f"  NPY {rows:>10,} pairs  {loss:28} {mib:6.0f} MiB {seconds:6.2f} s")
        for path in paths:
            os.unlink(path)
    for rows in (100_000, 1_000_000, 4_000_000):
        path = folder / "scored.csv"
        with path.open("w") as file:
            file.write("pred,target\n")
            for _ in range(rows // 100_000):
                np.savetxt(file, rng.normal(size=(100_000, 2)), delimiter=",", fmt="%.17g")
        mib, seconds = peak([*LOSSCTL, "compute", "mse", str(path), "-p", "pred", "-t", "target"])
        print(f"  CSV {rows:>10,} pairs  {'mse':28} {mib:6.0f} MiB {seconds:6.2f} s")
        path.unlink()


_WRITE_PARQUET = """
import sys, numpy as np, polars as pl
rng, rows = np.random.default_rng(0), int(sys.argv[2])
frame = pl.DataFrame({"pred": rng.normal(size=rows), "target": rng.normal(size=rows)})
frame.write_parquet(sys.argv[1], row_group_size=int(sys.argv[3]))
"""


def parquet(folder: Path) -> None:
    """Peak memory and time of Parquet, in row groups of the usual size and in one."""
    print(f"\npeak memory and time of compute -q on {ROWS:,} pairs of Parquet\n")
    path = str(folder / "scored.parquet")
    for group in (122_880, 1_000_000, ROWS):
        # In a process of its own: a child's peak memory starts at what its parent has.
        subprocess.run([sys.executable, "-c", _WRITE_PARQUET, path, str(ROWS), str(group)], check=True)
        for _ in range(3):
            mib, seconds = peak([*LOSSCTL, "compute", "mse", path, "-p", "pred", "-t", "target", "-q"])
            print(f"  row groups of {group:>10,}  {mib:6.0f} MiB {seconds:6.2f} s")


# Of each loss its kinds of inputs, and the loss in whole-array NumPy of p and t.
_WHOLE = {
    "mse": ("xy", "r = p - t; print((r * r).mean())"),
    "huber": ("xy", "r = p - t; a = np.abs(r); print(np.where(a <= 1, 0.5 * r * r, a - 0.5).mean())"),
    "bce_with_logits": ("xb", "print((np.maximum(p, 0) - p * t + np.log1p(np.exp(-np.abs(p)))).mean())"),
    "sparse_softmax_cross_entropy": (
        "zl",
        "m = p.max(1); print((np.log(np.exp(p - m[:, None]).sum(1)) + m - p[np.arange(len(t)), t]).mean())",
    ),
}
_READ = """
import sys
buffer = bytearray(1 << 20)
for path in sys.argv[1:]:
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
"""
# As compute does it where it cannot fork.
_THREADS = (
    "import lossctl.engine.executors.processes as p; p.can_fork = lambda *_: False; "
    "from lossctl.__main__ import run; run()"
)


def marginal(folder: Path) -> None:
    """20M numbers of NPY, start-up taken off: against whole-array NumPy, and against reading the files."""
    rng = np.random.default_rng(0)
    made = {
        "x": lambda: rng.normal(size=ROWS),
        "y": lambda: rng.normal(size=ROWS),
        "b": lambda: rng.integers(0, 2, ROWS).astype(np.float64),
        "z": lambda: rng.normal(size=(ROWS // 10, 10)).astype(np.float32),
        "l": lambda: rng.integers(0, 10, ROWS // 10),
    }
    for name, make in made.items():
        np.save(folder / f"{name}.npy", make())
        np.save(folder / f"{name}1.npy", np.zeros(1000))
    print("\n20M numbers of NPY, ms beyond start-up, median of 11, and how many times whole-array NumPy's\n")
    for loss, (kinds, formula) in _WHOLE.items():
        files = [str(folder / f"{kind}.npy") for kind in kinds]
        whole = f"import sys, numpy as np; p, t = map(np.load, sys.argv[1:]); {formula}"
        small = [str(folder / f"{kind}1.npy") for kind in "xy"]
        ours = ["compute", loss, *files]
        times = take_turns(
            {
                "start": [*LOSSCTL, "compute", "mse", *small, "-q"],
                "import": [sys.executable, "-c", "import numpy"],
                "bare": [sys.executable, "-c", "pass"],
                "NumPy": [sys.executable, "-c", whole, *files],
                "reading": [sys.executable, "-c", _READ, *files],
                "-q": [*LOSSCTL, *ours, "-q"],
                "in threads": [sys.executable, "-c", _THREADS, *ours, "-q"],
                "one thread": [*LOSSCTL, *ours, "-q", "--threads", "1"],
                "with table": [*LOSSCTL, *ours],
            },
            rounds=11,
        )
        base = {"NumPy": times.pop("import"), "reading": times.pop("bare")}
        start = times.pop("start")
        own = {name: 1e3 * (seconds - base.get(name, start)) for name, seconds in times.items()}
        told = "   ".join(f"{name} {ms:.0f} ({ms / own['NumPy']:.2f} ×)" for name, ms in own.items())
        print(f"  {loss:30} {told}")


FIGURES = {"startup": startup, "completion": completion, "memory": memory, "parquet": parquet, "marginal": marginal}


def main(names: Sequence[str]) -> None:
    """Print the figures asked for, or all."""
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {len(os.sched_getaffinity(0))} cores")
    for name in names or FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            FIGURES[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
