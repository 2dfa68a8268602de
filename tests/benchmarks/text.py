"""Text input of lossctl against other readers: ``python tests/benchmarks/text.py [NAME …]``.

Whole processes alternate, and medians are compared. Tools that are not installed are left out: pandas, scikit-learn
and DuckDB as packages of this interpreter, awk, Miller and datamash as programs.
"""

from __future__ import annotations

import gzip
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from run import peak

ROWS = 2_000_000
LOSSCTL = f"{sys.executable} -m lossctl compute mse -q -p pred -t target"

POLARS = """
import sys, polars as pl
d = pl.read_csv(sys.argv[1], schema={"pred": pl.Float64, "target": pl.Float64})
print(((d["pred"] - d["target"]) ** 2).mean())
"""
LOADTXT = """
import sys, numpy as np
p, t = np.loadtxt(sys.argv[1], delimiter=",", skiprows=1, unpack=True)
print(((p - t) ** 2).mean())
"""
PANDAS = """
import sys, pandas as pd
from sklearn.metrics import mean_squared_error
d = pd.read_csv(sys.argv[1])
print(mean_squared_error(d["target"], d["pred"]))
"""
PLAIN_PANDAS = """
import sys, pandas as pd
d = pd.read_csv(sys.argv[1])
print(((d["pred"] - d["target"]) ** 2).mean())
"""
DUCKDB = """
import sys, duckdb
print(duckdb.sql(f"select avg((pred - target) * (pred - target)) from read_csv('{sys.argv[1]}')").fetchall()[0][0])
"""
AWK = "NR > 1 { r = $1 - $2; s += r * r } END { print s / (NR - 1) }"
MILLER = "$r = ($pred - $target) ** 2"
# What each command needs, beyond a shell.
NEEDS = {"polars": "polars", "pandas + scikit-learn": "sklearn", "pandas": "pandas", "DuckDB": "duckdb"}


def commands(path: Path) -> dict[str, str]:
    """Shell commands that compute the same from a CSV file of two columns, by name."""
    scripts = {"polars": POLARS, "numpy.loadtxt": LOADTXT, "pandas": PLAIN_PANDAS, "DuckDB": DUCKDB}
    scripts["pandas + scikit-learn"] = PANDAS
    found = {"lossctl": f"{LOSSCTL} {path}"}
    for name, script in scripts.items():
        if importlib.util.find_spec(NEEDS.get(name, "numpy")) is not None:
            file = path.with_name(f"with_{name.replace(' ', '')}.py")
            file.write_text(script)
            found[name] = f"{sys.executable} {file} {path}"
    for program in ("mawk", "gawk"):
        if shutil.which(program):
            found[program] = f"{program} -F, '{AWK}' {path}"
    if shutil.which("mlr"):
        found["Miller"] = f"mlr --icsv --ojson put '{MILLER}' then stats1 -a mean -f r {path}"
    if shutil.which("datamash"):  # which takes no differences itself
        found["mawk | datamash"] = f"mawk -F, 'NR > 1 {{ r = $1 - $2; print r * r }}' {path} | datamash mean 1"
    return found


def take_turns(named: dict[str, str], rounds: int) -> dict[str, float]:
    """The median wall time in seconds of each shell command."""
    times: dict[str, list[float]] = {name: [] for name in named}
    for turn in range(rounds + 1):  # the first warms up
        for name, command in named.items():
            start = time.perf_counter()
            subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, check=True)  # noqa: S602 - our own
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def written(path: Path, rows: int) -> Path:
    """A CSV file of normal numbers, each with the digits that its double takes."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("pred,target\n")
        for _ in range(rows // 25_000):
            file.writelines(f"{p!r},{t!r}\n" for p, t in rng.normal(size=(25_000, 2)).tolist())
    return path


def csv(folder: Path) -> None:
    """2M rows of two columns, process against process."""
    path = written(folder / "big.csv", ROWS)
    times = take_turns(commands(path), rounds=7)
    print(f"\nmse of {ROWS:,} rows of CSV ({path.stat().st_size >> 20} MB), median of 7\n")
    for name, seconds in sorted(times.items(), key=lambda item: item[1]):
        print(f"  {name:24} {seconds:6.2f} s   lossctl takes {times['lossctl'] / seconds:5.2f} × of it")


_PARTS = """
import time; begin = time.process_time()
import sys
import lossctl.cli.app as app, lossctl.io.text_polars as reader
import polars
loaded, spent = time.process_time(), {"checks": 0.0, "polars' parse": 0.0}
def timed(owner, name, part):
    function = getattr(owner, name)
    def run(*values, **options):
        start = time.process_time()
        result = function(*values, **options)
        spent[part] += time.process_time() - start
        return result
    setattr(owner, name, run)
for name in ("_plain", "_is_table", "_values"):
    timed(reader.PolarsTextReader, name, "checks")
timed(polars, "read_csv", "polars' parse")
app.main(["compute", "mse", "-q", "-p", "pred", "-t", "target", "--threads", "1", sys.argv[1]])
whole = time.process_time()
spent["imports"] = loaded - begin
spent["reading, cutting and the loss"] = whole - begin - sum(spent.values())
print(*(f"{part} {1e3 * seconds:.0f}" for part, seconds in spent.items()), sep=", ", file=sys.stderr)
"""
_PARTS_OF_POLARS = """
import time; begin = time.process_time()
import sys, polars as pl
loaded = time.process_time()
d = pl.read_csv(sys.argv[1], schema={"pred": pl.Float64, "target": pl.Float64})
((d["pred"] - d["target"]) ** 2).mean()
whole = time.process_time()
print(f"parse and loss {1e3 * (whole - loaded):.0f}, import {1e3 * (loaded - begin):.0f}", file=sys.stderr)
"""


def parts(folder: Path) -> None:
    """CPU time of the parts of a run on 2M and on 8M rows, on one thread."""
    for rows in (ROWS, 4 * ROWS):
        path = written(folder / "big.csv", rows)
        print(f"\n{rows:,} rows of CSV, CPU ms, three runs")
        for name, script in (("lossctl", _PARTS), ("polars", _PARTS_OF_POLARS)) * 3:
            run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
            print(f"  {name:8} {run.stderr.strip()}")


def compressed(folder: Path) -> None:
    """The same compressed and from pipes, against decompressing alone."""
    path = written(folder / "big.csv", ROWS)
    packed = path.with_name("big.csv.gz")
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as file:
        shutil.copyfileobj(plain, file)
    subprocess.run(["zstd", "-q", "-k", str(path)], check=False)
    named = {
        "lossctl big.csv": f"{LOSSCTL} {path}",
        "cat big.csv | lossctl -": f"cat {path} | {LOSSCTL} -",
        "gzip -dc": f"gzip -dc {packed}",
        "lossctl big.csv.gz": f"{LOSSCTL} {packed}",
        "gzip -dc | lossctl -": f"gzip -dc {packed} | {LOSSCTL} -",
    }
    times = take_turns(named, rounds=7)
    print("\nthe same compressed and from pipes, median of 7\n")
    for name, seconds in times.items():
        print(f"  {name:24} {seconds:6.2f} s")
    both = times["gzip -dc"] + times["lossctl big.csv"]
    print(f"  from gzip, of decompressing alone plus plain: {times['lossctl big.csv.gz'] / both:.2f} ×")


def memory(folder: Path) -> None:
    """Peak memory, which must not grow with the file."""
    print("\npeak memory of compute mse -q\n")
    for rows in (ROWS // 4, ROWS, 4 * ROWS):
        path = written(folder / "big.csv", rows)
        mib, seconds = peak([*LOSSCTL.split(), str(path)])
        print(f"  CSV {rows:>10,} rows {mib:6.0f} MiB {seconds:6.2f} s")


def crossing(folder: Path) -> None:
    """From which size on polars is worth its import: the grammar against polars, process against process."""
    print("\nthe grammar against polars, by the size of the file\n")
    for rows in (25_000, 50_000, 100_000, 200_000):
        path = written(folder / "small.csv", rows)
        read = (
            "import sys; import lossctl.io.text_polars as b, lossctl.cli.app as m;"
            "b.WORTH = {}; sys.exit(m.main(sys.argv[1:]))"
        )
        named = {
            name: f"{sys.executable} -c '{read.format(worth)}' compute mse -q -p pred -t target {path}"
            for name, worth in (("grammar", 1 << 60), ("polars", 0))
        }
        times = take_turns(named, rounds=7)
        size = path.stat().st_size / 2**20
        print(f"  {size:5.1f} MiB  grammar {times['grammar']:5.2f} s  polars {times['polars']:5.2f} s")


FIGURES: dict[str, Callable[[Path], None]] = {
    "csv": csv,
    "parts": parts,
    "compressed": compressed,
    "memory": memory,
    "crossing": crossing,
}


def main(names: Sequence[str]) -> None:
    """Print the figures asked for, or all."""
    for name in names or FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            FIGURES[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
