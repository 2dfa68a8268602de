"""``lossctl breakdown``: every figure against NumPy or a direct formula, from every input and in every format."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import RunCommand, RunJson
from hypothesis import given
from hypothesis import strategies as st

import lossctl
from lossctl.analysis import distribution, external_sort, grouping, per_sample, quantiles
from lossctl.analysis.per_sample import top_k
from lossctl.engine import run
from lossctl.io import spool
from lossctl.io.spool import Spool

COMMAND = "breakdown"  # of the lines below
ROOT = Path(__file__).parents[2]
PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
N = 700


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A file of 700 samples with two outputs, weights (some of them 0) and two columns of groups."""
    rng = np.random.default_rng(5)
    data = {
        "pred": rng.normal(size=(N, 2)),
        "target": rng.normal(size=(N, 2)),
        "weight": rng.integers(0, 4, N).astype(float),
        "age": rng.integers(20, 25, N),
        "name": np.array([f"s{i}" for i in range(N)]),
        "town": rng.choice(["Ulm", "[bonn]", ""], N),
    }
    path = tmp_path / "scored.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "town", "age", "w", "p0", "p1", "t0", "t1"])
        for i in range(N):
            numbers = [repr(float(x)) for x in (data["weight"][i], *data["pred"][i], *data["target"][i])]
            writer.writerow([data["name"][i], data["town"][i], data["age"][i], *numbers])
    return path, data


def ranked(parts: np.ndarray) -> np.ndarray:
    """Return row numbers by contribution, largest first, ties in row order."""
    return np.argsort(-parts, kind="stable")


# --- Figures ---------------------------------------------------------------------------------------


def check_worst(rows: Sequence[dict[str, Any]], losses: np.ndarray, parts: np.ndarray, top: int) -> None:
    order = ranked(parts)[:top]
    assert [row["sample"] for row in rows] == order.tolist()
    np.testing.assert_allclose([row["loss"] for row in rows], losses[order], rtol=1e-14)
    np.testing.assert_allclose([row["share"] for row in rows], parts[order] / parts.sum(), rtol=1e-13)
    np.testing.assert_allclose([row["cumulative"] for row in rows], np.cumsum(parts[order]) / parts.sum(), rtol=1e-13)


def check_distribution(document: dict[str, Any], losses: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> None:
    """Check quantiles, histogram and tails of samples without zero weights."""
    n = len(losses)
    (found,) = document["distribution"]
    mean = parts.sum() / shares.sum()
    error = np.sqrt(n / (n - 1) * ((parts - mean * shares) ** 2).sum()) / shares.sum()
    wanted = [mean, error, losses.min(), *np.quantile(losses, [0.5, 0.9, 0.99, 1.0])]
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-12)
    bins = document["histogram"]
    for i, one in enumerate(bins):
        inside = (losses >= one["from"]) & ((losses < one["to"]) if i < len(bins) - 1 else True)
        assert one["samples"] == np.count_nonzero(inside)
        assert one["share"] == one["samples"] / n
    assert sum(one["samples"] for one in bins) == n
    assert bins[-1]["to"] == found["max"]
    order = ranked(parts)
    for tail, fraction in zip(document["tails"], (0.01, 0.1), strict=True):
        k = math.ceil(fraction * n)
        assert (tail["worst"], tail["samples"]) == (fraction, k)
        assert tail["share"] == pytest.approx(parts[order[:k]].sum() / parts.sum(), rel=1e-12)
        assert tail["without"] == pytest.approx(parts[order[k:]].sum() / shares[order[k:]].sum(), rel=1e-12)


def test_plain_losses(run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, data = table
    document = run_json(f"mae {path} -p p0 -t t0")
    losses = np.abs(data["pred"] - data["target"])[:, 0]
    assert document["value"] == float(lossctl.compute("mae", data["pred"][:, 0], data["target"][:, 0]))
    check_worst(document["worst"], losses, losses, 10)
    check_distribution(document, losses, losses, np.ones(N))
    for row in document["worst"]:
        i = row["sample"]
        assert (row["line"], row["file"], row["pred"], row["target"]) == (
            i + 2,
            str(path),
            data["pred"][i, 0],
            data["target"][i, 0],
        )


def test_weights(run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    """The worst samples have the largest w·loss; quantiles count each sample with w > 0 once."""
    path, data = table
    document = run_json(f"mse {path} -p p0 -t t0 -w w --nan skip")
    kept = data["weight"] > 0
    rows, weights = np.flatnonzero(kept), data["weight"][kept]
    losses = ((data["pred"] - data["target"])[:, 0] ** 2)[kept]
    found = [{**row, "sample": int(np.searchsorted(rows, row["sample"]))} for row in document["worst"]]
    check_worst(found, losses, weights * losses, 10)
    assert [row["weight"] for row in document["worst"]] == [data["weight"][r["sample"]] for r in document["worst"]]
    check_distribution(document, losses, weights * losses, weights)
    assert document["denominator"] == weights.sum()
    each = (data["pred"] - data["target"]) ** 2
    for row in run_json(f"mse {path} -p 'p?' -t 't?' -w w")["worst"]:  # of two outputs each
        assert row["loss"] == pytest.approx(each[row["sample"]].mean(), rel=1e-14)


def test_ties_at_the_edge_of_the_worst(run_json: RunJson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of samples with equal contributions the first are among the worst, for any size of records."""
    monkeypatch.setattr(run, "BLOCK", 8)
    monkeypatch.setattr(spool, "ROWS", 8)
    weights = np.tile([1.0, 2.0, 4.0], 40)
    lines = [f"{4 / weight!r},0,{weight!r}\n" for weight in weights.tolist()]
    (tmp_path / "a.csv").write_text("p,t,w\n" + "".join(lines))
    tail = run_json(f"mae {tmp_path}/a.csv -p p -t t -w w")["tails"][1]
    assert (tail["samples"], tail["share"]) == (12, pytest.approx(0.1))
    assert tail["without"] == pytest.approx(4 * 108 / weights[12:].sum())
    (tmp_path / "b.csv").write_text("p,t\n" + "1,0\n" * 120)
    tail = run_json(f"mae {tmp_path}/b.csv -p p -t t")["tails"][1]
    assert (tail["share"], tail["without"]) == (pytest.approx(0.1), 1.0)


def test_outputs(run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    """The loss of a sample is the mean over its outputs; the worst output is shown, and a table by output."""
    path, data = table
    document = run_json(f"mse {path} -p 'p?' -t 't?'")
    each = (data["pred"] - data["target"]) ** 2
    check_worst(document["worst"], each.mean(axis=1), each.sum(axis=1), 10)
    check_distribution(document, each.mean(axis=1), each.sum(axis=1), np.full(N, 2.0))
    for row in document["worst"]:
        spot = int(each[row["sample"]].argmax())
        assert row["output"] == f"p{spot}"
        assert row["pred"] == data["pred"][row["sample"], spot]
    assert [row["output"] for row in document["outputs"]] == ["p0", "p1"]
    np.testing.assert_allclose([row["mean"] for row in document["outputs"]], each.mean(axis=0), rtol=1e-13)
    error = each.std(axis=0, ddof=1) / np.sqrt(N)
    np.testing.assert_allclose([row["std_error"] for row in document["outputs"]], error, rtol=1e-12)
    np.testing.assert_allclose([row["share"] for row in document["outputs"]], each.sum(axis=0) / each.sum(), rtol=1e-13)
    alone = run_json(f"mse {path} -p 'p?' -t 't?' --by output")
    assert alone["outputs"] == sorted(document["outputs"], key=lambda row: -row["mean"])


def test_missing_elements(run_json: RunJson, tmp_path: Path) -> None:
    """If elements are missing, the mean of a sample is over the elements that exist."""
    rng = np.random.default_rng(2)
    pred, target = rng.normal(size=(2, 300, 3))
    pred[rng.random((300, 3)) < 0.4] = np.nan
    pred[7] = np.nan
    np.save(tmp_path / "p.npy", pred)
    np.save(tmp_path / "t.npy", target)
    document = run_json(f"mse {tmp_path}/p.npy {tmp_path}/t.npy --nan skip")
    each = (pred - target) ** 2
    count = np.count_nonzero(~np.isnan(each), axis=1)
    rows = np.flatnonzero(count)
    part = np.nansum(each, axis=1)[rows]
    found = [{**row, "sample": int(np.searchsorted(rows, row["sample"]))} for row in document["worst"]]
    check_worst(found, part / count[rows], part, 10)
    check_distribution(document, part / count[rows], part, count[rows].astype(float))
    assert [row["samples"] for row in document["outputs"]] == np.count_nonzero(~np.isnan(each), axis=0).tolist()


def test_rmse_is_told_on_its_own_scale(run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, data = table
    document = run_json(f"rmse {path} -p p0 -t t0")
    squares = (data["pred"] - data["target"])[:, 0] ** 2
    assert document["value"] == pytest.approx(math.sqrt(squares.mean()), rel=1e-14)
    check_worst(document["worst"], squares, squares, 10)
    rest = np.sort(squares)[: N - math.ceil(0.1 * N)]
    assert document["tails"][1]["without"] == pytest.approx(math.sqrt(rest.mean()), rel=1e-13)
    by_town = run_json(f"rmse {path} -p p0 -t t0 --by town")["groups"]
    for row in by_town:
        own = squares[data["town"] == row["town"]]
        assert row["mean"] == pytest.approx(math.sqrt(own.mean()), rel=1e-13)
        assert row["std_error"] == pytest.approx(
            own.std(ddof=1) / math.sqrt(len(own)) / (2 * math.sqrt(own.mean())), rel=1e-12
        )


def test_a_ratio(run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    """The loss wape divides by Σ|t|, also in groups and without the worst samples."""
    path, data = table
    document = run_json(f"wape {path} -p p0 -t t0")
    losses, amounts = np.abs(data["pred"] - data["target"])[:, 0], np.abs(data["target"][:, 0])
    check_worst(document["worst"], losses, losses, 10)
    check_distribution(document, losses, losses, amounts)
    for row in run_json(f"wape {path} -p p0 -t t0 --by town")["groups"]:
        own = data["town"] == row["town"]
        assert row["mean"] == pytest.approx(losses[own].sum() / amounts[own].sum(), rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("column", ["town", "age"])
def test_groups(
    run_json: RunJson,
    table: tuple[Path, dict[str, np.ndarray]],
    column: str,
    weighted: bool,
) -> None:
    """Count, mean ± standard error and share of each group, largest mean first."""
    path, data = table
    rows = run_json(f"mse {path} -p 'p?' -t 't?' --by {column}" + " -w w" * weighted)["groups"]
    each = (data["pred"] - data["target"]) ** 2
    weights = data["weight"] if weighted else np.ones(N)
    part, share = each.sum(axis=1) * weights, 2 * weights
    assert {row[column] for row in rows} == {str(label) for label in data[column]}
    assert [row["mean"] for row in rows] == sorted((row["mean"] for row in rows), reverse=True)
    for row in rows:
        own = (data[column].astype(str) == row[column]) & (weights > 0)
        n, mean = np.count_nonzero(own), part[own].sum() / share[own].sum()
        assert (row["samples"], row["elements"]) == (n, 2 * n)
        assert row["mean"] == pytest.approx(mean, rel=1e-13)
        off = part[own] - mean * share[own]
        assert row["std_error"] == pytest.approx(math.sqrt(n / (n - 1) * (off**2).sum()) / share[own].sum(), rel=1e-12)
        assert row["share"] == pytest.approx(part[own].sum() / part.sum(), rel=1e-13)


def test_groups_by_class(run_json: RunJson) -> None:
    """The class of a label, of a one-hot row, of a probability that is 0 or 1, of a sign, and of a name."""
    logits, labels = np.load(ROOT / "samples/digits_logits.npy"), np.load(ROOT / "samples/digits_labels.npy")
    losses = lossctl.get_loss("cross_entropy").value(logits.astype(float), labels)
    for line in (
        "cross_entropy samples/digits_logits.npy samples/digits_labels.csv",
        "softmax_cross_entropy samples/digits_logits.npy samples/digits_onehot.npy",
    ):
        rows = run_json(f"{line} --by class --sort row")["groups"]
        assert [row["class"] for row in rows] == [str(k) for k in range(10)]
        np.testing.assert_allclose(
            [row["mean"] for row in rows], [losses[labels == k].mean() for k in range(10)], rtol=1e-10
        )
    by_sign = run_json("hinge samples/cancer_margins.csv samples/cancer_signs.csv --by class --sort row")["groups"]
    by_name = run_json("hinge samples/cancer_margins.csv samples/cancer_names.csv --labels benign,malignant --by class")
    assert [row["class"] for row in by_sign] == ["-1", "1"]
    assert {row["class"] for row in by_name["groups"]} == {"benign", "malignant"}
    assert {row["mean"] for row in by_name["groups"]} == {row["mean"] for row in by_sign}


def test_numbers_that_are_equal_are_one_group(run_json: RunJson, tmp_path: Path) -> None:
    """1, 1.0 and 01 are one group, and groups are sorted as numbers. One text makes all of them texts."""
    path = tmp_path / "a.csv"
    path.write_text("g,p,t\n10,1,0\n1,2,0\n1.0,3,0\n01,4,0\n9,1,0\nnan,5,0\n")
    rows = run_json(f"mae {path} -p p -t t --by g --sort row")["groups"]
    assert [(row["g"], row["samples"], row["mean"]) for row in rows] == [
        ("1", 3, 3.0),
        ("9", 1, 1.0),
        ("10", 1, 1.0),
        ("nan", 1, 5.0),
    ]
    path.write_text(path.read_text() + "x,6,0\n")
    assert len(run_json(f"mae {path} -p p -t t --by g")["groups"]) == 7


def test_large_integers_are_different_groups(run_json: RunJson, tmp_path: Path) -> None:
    """Integers above 2**53, such as ids, are not rounded to doubles."""
    ids = np.array([2**53, 2**53 + 1, 2**53 + 1])
    np.save(tmp_path / "g.npy", ids)
    (tmp_path / "g.csv").write_text("g\n" + "\n".join(map(str, ids)) + "\n")
    (tmp_path / "a.csv").write_text("p,t\n1,0\n2,0\n3,0\n")
    for suffix in ("npy", "csv"):
        rows = run_json(f"mae {tmp_path}/a.csv -p p -t t --by {tmp_path}/g.{suffix} --sort row")["groups"]
        assert [row["samples"] for row in rows] == [1, 2]


# --- Order statistics ------------------------------------------------------------------------------


@given(
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=60),
    st.integers(1, 7),
    st.sampled_from([0, 3, 1 << 21]),
)
@pytest.mark.slow
def test_order_statistics_are_exact(numbers: list[float], pieces: int, gathered: int) -> None:
    """Order statistics are exact for any doubles, in any chunks, with both algorithms."""
    array = np.array(numbers)
    chunks = [c for c in np.array_split(array, pieces) if len(c)]
    before, quantiles._GATHERED = quantiles._GATHERED, gathered
    try:
        found = quantiles.order_statistics(lambda: chunks, range(len(array)))
    finally:
        quantiles._GATHERED = before
    assert found == np.sort(array).tolist()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(numbers: list[float], q: float) -> None:
    spot = quantiles.quantile_position(q, len(numbers))
    found = spot.value(dict(enumerate(sorted(numbers))))
    assert found == pytest.approx(float(np.quantile(numbers, q)), rel=1e-14, abs=1e-300)


def test_quantiles_between_infinities() -> None:
    """Quantiles between infinities; numpy.quantile returns NaN."""
    assert quantiles.quantile_position(0.5, 4).value({1: 2.0, 2: math.inf}) == math.inf
    assert quantiles.quantile_position(0.5, 4).value({1: math.inf, 2: math.inf}) == math.inf
    assert quantiles.quantile_position(0.5, 4).value({1: -1e308, 2: 1.7e308}) == pytest.approx(0.35e308)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, math.inf, math.nan, -1.0]), max_size=600), st.integers(1, 5))
def test_the_foremost_are_in_the_order_of_a_stable_sort(numbers: list[float], top: int) -> None:
    """Ties are in row order, NaN ranks with infinity, for both algorithms."""
    parts = np.array(numbers)
    known = np.where(np.isnan(parts), np.inf, parts)
    with pytest.MonkeyPatch.context() as patched:
        for run in (1, 2, 3, 128):  # a short list has no long runs
            patched.setattr(per_sample, "_RUN", run)
            assert top_k(parts, top, least=False).tolist() == np.argsort(-known, kind="stable")[:top].tolist()
            assert top_k(parts, top, least=True).tolist() == np.argsort(known, kind="stable")[:top].tolist()


def test_bins_are_round_and_hold_all() -> None:
    assert distribution._edges(0.02, 3.7, 12.0) == (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    assert distribution._edges(-3.0, 4.0, 4.0) == (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
    assert distribution._edges(1.0, 1.0, 1.0) == (1.0,)
    assert distribution._edges(1.0, 1.0 + 2**-52, 1.0 + 2**-52) == (1.0,)
    assert distribution._edges(1.0, math.inf, math.inf) == (1.0,)
    assert distribution._decades(0.0, 0.0, 5.0) == ()
    assert distribution._decades(0.0, 1.0, 5.0) == ()


# --- The same whatever way it is computed ----------------------------------------------------------------


@pytest.mark.slow
def test_blocks_spools_and_threads_change_nothing(
    run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of one row, records on disk and more rounds of counting do not change the result."""
    path, _ = table
    options = ("", " --by town", " --bottom", " --all --columns name")
    lines = [f"mse {path} -p 'p?' -t 't?' -w w{more}" for more in options]
    before = [run_json(line) for line in lines]
    monkeypatch.setattr(run, "BLOCK", 16)
    monkeypatch.setattr(spool, "ROWS", 20)
    monkeypatch.setattr(quantiles, "_GATHERED", 0)
    for line, document in zip(lines, before, strict=True):
        assert same(run_json(f"{line} --threads 1"), run_json(f"{line} --threads 3"), exact=True)
        assert same(run_json(line), document, exact=False)


def same(a: Any, b: Any, *, exact: bool) -> bool:
    """Return whether two documents are equal, up to the last bits of sums over other blocks."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], exact=exact) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y, exact=exact) for x, y in zip(a, b, strict=True))
    return bool(a == b or (not exact and isinstance(a, float) and math.isclose(a, b, rel_tol=1e-13)))


@pytest.mark.slow
def test_from_stdin_arrays_and_shards(
    run_command: RunCommand, run_json: RunJson, table: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, data = table
    whole = run_json(f"mse {path} -p p0 -t t0 --columns name")
    lines = path.read_text().splitlines(keepends=True)
    (tmp_path / "part").mkdir()
    for i, start in enumerate(range(1, N + 1, 300)):
        (tmp_path / "part" / f"{i}.csv").write_text("".join([lines[0], *lines[start : start + 300]]))
    shards = run_json(f"mse '{tmp_path}/part/*.csv' -p p0 -t t0 --columns name")
    np.save(tmp_path / "p.npy", data["pred"][:, 0])
    np.save(tmp_path / "t.npy", data["target"][:, 0])
    arrays = run_json(f"mse {tmp_path}/p.npy {tmp_path}/t.npy")
    command = [
        sys.executable,
        "-m",
        "lossctl",
        "breakdown",
        "mse",
        "-",
        *shlex.split("-p p0 -t t0 --columns name -f json"),
    ]
    with path.open() as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True, cwd=ROOT)
    stdin = json.loads(done.stdout)
    for other in (shards, arrays, stdin):
        for key in ("value", "distribution", "histogram", "tails"):
            assert other[key] == whole[key]
        assert [row["loss"] for row in other["worst"]] == [row["loss"] for row in whole["worst"]]
    assert [row["name"] for row in shards["worst"]] == [row["name"] for row in whole["worst"]]
    for row in shards["worst"]:
        shard, place = divmod(row["sample"], 300)
        assert (row["file"], row["line"]) == (f"{tmp_path}/part/{shard}.csv", place + 2)
    assert "line" not in arrays["worst"][0]


# --- What is shown ----------------------------------------------------------------------------------


def test_order_and_number(run_command: RunCommand, tmp_path: Path) -> None:
    """Ties in row order, the best samples, the order of the file, N above the number of samples."""
    path = tmp_path / "a.csv"
    path.write_text("p,t\n1,0\n3,0\n0,0\n3,0\n1,0\n")

    def rows(options: str) -> list[int]:
        code, out, _ = run_command(f"mae {path} -p p -t t -f csv {options}")
        assert code == 0
        return [int(row["sample"]) for row in csv.DictReader(io.StringIO(out))]

    assert rows("--top 3") == [1, 3, 0]
    assert rows("--top 3 --bottom") == [2, 0, 4]
    assert rows("--top 3 --sort row") == [0, 1, 3]
    assert rows("--top 99") == [1, 3, 0, 4, 2]
    assert rows("--all") == [0, 1, 2, 3, 4]


def test_top_leaves_the_distribution_out(run_json: RunJson) -> None:
    assert {"worst", "distribution", "histogram", "tails"} <= run_json(f"mse {PAIR}").keys()
    assert "distribution" not in run_json(f"mse {PAIR} --top 10")
    assert run_json(f"mse {PAIR} --top 10")["worst"] == run_json(f"mse {PAIR}")["worst"]
    assert "best" in run_json(f"mse {PAIR} --bottom")


def test_columns_beside_samples(run_json: RunJson, tmp_path: Path) -> None:
    """Columns by name or position, from PREDS, TARGETS or another file; from both only if it is a key."""
    line = "bce samples/cancer.csv -p prob -t label --top 2"
    rows = run_json(f"{line} --columns id,diagnosis")["worst"]
    assert [(row["id"], row["diagnosis"]) for row in rows] == [("40", "malignant"), ("213", "malignant")]
    assert run_json(f"{line} --columns id --columns @5")["worst"][0]["@5"] == "malignant"
    np.save(tmp_path / "n.npy", np.arange(190) * 2)
    assert run_json(f"{line} --columns {tmp_path}/n.npy")["worst"][0][f"{tmp_path}/n.npy"] == 2 * rows[0]["sample"]
    (tmp_path / "p.csv").write_text("id,p\na,1\nb,2\n")
    (tmp_path / "t.csv").write_text("id,t,more\na,1\u2009,x\nb,0,y\n".replace("\u2009", ""))
    both = f"mae {tmp_path}/p.csv {tmp_path}/t.csv -p p -t t --top 1"
    assert run_json(f"{both} --on id --columns id,more")["worst"][0]["more"] == "y"


def test_infinite_losses_are_told(run_command: RunCommand, run_json: RunJson, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("p,t\n" + "0.5,1\n" * 15 + "0,1\n" + "0.9,1\n" * 4)
    line = f"bce {tmp_path}/a.csv -p p -t t"
    document = run_json(line)
    assert (document["value"], document["infinite"]) == ("Infinity", 1)
    assert document["worst"][0] == {
        "sample": 15,
        "file": f"{tmp_path}/a.csv",
        "line": 17,
        "pred": 0.0,
        "target": 1.0,
        "loss": "Infinity",
        "share": None,
    }
    assert document["tails"][0]["without"] == pytest.approx((15 * math.log(2) - 4 * math.log(0.9)) / 19)
    assert document["distribution"][0]["max"] == "Infinity"
    assert "infinite loss in bce: 1 element, first sample 15" in run_command(line)[2]


def test_groups_with_infinite_losses(run_json: RunJson, tmp_path: Path) -> None:
    """A group with an infinite loss is infinite, others are not; sums above the largest double are exact."""
    (tmp_path / "a.csv").write_text("g,p,t\na,0,1\nb,0.5,1\na,0.9,1\n")
    rows = run_json(f"bce {tmp_path}/a.csv -p p -t t --by g")["groups"]
    assert [(row["g"], row["mean"], row["std_error"], row["share"]) for row in rows] == [
        ("a", "Infinity", None, None),
        ("b", math.log(2), None, None),
    ]
    (tmp_path / "b.csv").write_text("g,p,t\n" + "a,1.7e308,0\n" * 3 + "b,1,0\n")
    rows = run_json(f"mae {tmp_path}/b.csv -p p -t t --by g")["groups"]
    assert [row["mean"] for row in rows] == [1.7e308, 1.0]


def test_weights_beyond_the_largest_double(run_command: RunCommand, run_json: RunJson, tmp_path: Path) -> None:
    """w·loss overflows while Σ w·loss / Σ w does not, overall and in a group."""
    (tmp_path / "a.csv").write_text("p,t,w\n1e308,0,100\n5e307,0,1\n1,0,1\n")
    line = f"mae {tmp_path}/a.csv -p p -t t -w w"
    mean = (100 * 10**308 + 5 * 10**307 + 1) / 102
    assert run_json(line)["value"] == pytest.approx(mean, rel=1e-15)
    groups = run_json(f"{line} --by w")["groups"]
    assert [(group["w"], group["mean"]) for group in groups] == [("100", 1e308), ("1", pytest.approx(2.5e307))]
    assert run_command(f"{line} -q --top 1")[1] == "1e+308\n"
    weights = {"weight": [100.0, 1.0, 1.0]}
    assert float(lossctl.compute("mae", [1e308, 5e307, 1.0], [0.0] * 3, **weights)) == pytest.approx(mean, rel=1e-15)


def test_nan_is_told(run_command: RunCommand, tmp_path: Path) -> None:
    """With NaN losses or inputs no quantiles are shown."""
    (tmp_path / "a.csv").write_text("p,t\n1,0\nnan,0\n3,0\n")
    (tmp_path / "mine.py").write_text("def odd(pred, target):\n    return (pred - 2) ** 0.5\n")
    code, out, err = run_command(f"mse {tmp_path}/a.csv -p p -t t --nan propagate -f json")
    document = json.loads(out)
    assert (code, document["value"]) == (0, "NaN")
    assert "distribution" not in document
    assert "NaN in 1 element makes mse NaN" in err
    code, out, err = run_command(f"{tmp_path}/mine.py:odd {tmp_path}/a.csv -p p -t t --nan skip -f json")
    assert [row["loss"] for row in json.loads(out)["worst"]] == ["NaN", 1.0]
    assert "is NaN in 1 element whose inputs are not" in err


def test_losses_below_0_have_no_shares(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def signed(pred, target):\n    return pred - target\n")
    (tmp_path / "a.csv").write_text("p,t\n1,0\n-3,0\n5,0\n")
    code, out, err = run_command(f"{tmp_path}/mine.py:signed {tmp_path}/a.csv -p p -t t -f json")
    document = json.loads(out)
    assert (code, [row["share"] for row in document["worst"]]) == (0, [None] * 3)
    assert [row["loss"] for row in document["worst"]] == [5.0, 1.0, -3.0]
    assert document["tails"][0] == {"worst": 0.01, "samples": 1, "share": None, "without": -1.0}
    assert "shares of the sum would mean nothing" in err


# --- Every sample -----------------------------------------------------------------------------------


def test_every_sample_in_every_format(
    run_command: RunCommand, table: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All formats, on stdout and in files, have the same rows; .npy has one row per input row."""
    monkeypatch.setattr(spool, "ROWS", 50)
    path, data = table
    line = f"mse {path} -p p0 -t t0 -w w --columns name"
    kept = data["weight"] > 0
    losses = ((data["pred"] - data["target"])[:, 0] ** 2)[kept]
    code, out, _ = run_command(f"{line} --all -f csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [int(row["sample"]) for row in rows] == np.flatnonzero(kept).tolist()
    assert [row["name"] for row in rows] == data["name"][kept].tolist()
    np.testing.assert_allclose([float(row["loss"]) for row in rows], losses, rtol=1e-14)
    parts = losses * data["weight"][kept]
    np.testing.assert_allclose([float(row["share"]) for row in rows], parts / parts.sum(), rtol=1e-13)
    found = [float(row["loss"]) for row in rows]
    assert [json.loads(one)["loss"] for one in run_command(f"{line} --all -f jsonl")[1].splitlines()] == found
    assert [row["loss"] for row in json.loads(run_command(f"{line} --all -f json")[1])["samples"]] == found
    assert [float(one) for one in run_command(f"{line} --all -q")[1].splitlines()] == found
    people = run_command(f"{line} --all")[1].splitlines()
    assert people[2].split() == ["sample", "line", "name", "pred", "target", "weight", "loss", "share"]
    assert [float(one.split()[6]) for one in people[4:]] == [float(f"{loss:.6g}") for loss in found]
    assert len({len(one.rstrip()) - len(one.rstrip().split()[-2]) for one in people[4:]}) <= 9
    for suffix in ("npy", "parquet", "csv", "jsonl"):
        assert run_command(f"{line} -o {tmp_path}/l.{suffix}")[:2] == (0, "")
    whole = np.load(tmp_path / "l.npy")
    assert whole.shape == (N,)
    assert np.array_equal(np.isnan(whole), ~kept)
    assert whole[kept].tolist() == found
    frame = pl.read_parquet(tmp_path / "l.parquet")
    assert frame["loss"].to_list() == found
    assert frame["name"].to_list() == data["name"][kept].tolist()
    assert (tmp_path / "l.csv").read_text() == out
    assert run_command(f"{line} --top 3 -o {tmp_path}/t.csv")[0] == 0
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4


def test_every_sample_by_its_loss(
    run_command: RunCommand, table: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows by loss, ties in row order, through many partitions and records; .npy keeps the input order."""
    monkeypatch.setattr(spool, "ROWS", 50)
    monkeypatch.setattr(external_sort, "_PARTITION_ROWS", 90)
    monkeypatch.setattr(external_sort, "_BUFFERED_ROWS", 30)
    path, data = table
    every = f"mse {path} -p p0 -t t0 -w w --columns name --all"
    line = f"{every} --sort loss"
    kept = np.flatnonzero(data["weight"])
    losses = (data["pred"] - data["target"])[kept, 0] ** 2
    order = ranked(losses * data["weight"][kept])
    rows = list(csv.DictReader(io.StringIO(run_command(f"{line} -f csv")[1])))
    assert [int(row["sample"]) for row in rows] == kept[order].tolist()
    assert [row["name"] for row in rows] == data["name"][kept[order]].tolist()
    np.testing.assert_allclose([float(row["loss"]) for row in rows], losses[order], rtol=1e-14)
    found = [row["loss"] for row in rows]
    assert [repr(json.loads(one)["loss"]) for one in run_command(f"{line} -f jsonl")[1].splitlines()] == found
    assert run_command(f"{line} -q")[1].splitlines() == found
    assert run_command(f"{line} -o {tmp_path}/l.parquet")[0] == 0
    assert list(map(repr, pl.read_parquet(tmp_path / "l.parquet")["loss"].to_list())) == found
    assert run_command(f"{every} --sort row -q")[1].splitlines() == list(map(repr, losses.tolist()))


@given(
    st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, 1.0]), max_size=60),
    st.integers(1, 9),
    st.integers(1, 5),
)
def test_piles_are_a_stable_sort(numbers: list[float], height: int, most: int) -> None:
    """The sort is stable, and no partition is larger than the limit."""
    rows, at_once = Spool(4), []
    for begin in range(0, len(numbers), 7):
        keys = np.array(numbers[begin : begin + 7])
        rows.write(keys, np.arange(begin, begin + len(keys)))
    assert all(len(record[0]) <= 7 for record in rows.records())
    sort = external_sort._sort
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(external_sort, "_PARTITION_ROWS", height)
        patched.setattr(external_sort, "_MAX_PARTITIONS", most)
        patched.setattr(external_sort, "_sort", lambda pile, *more: [at_once.append(pile.rows), sort(pile, *more)])
        found = [
            row for part in external_sort.sort_rows(rows, lambda record: record[0]).column(1) for row in part.tolist()
        ]
    assert found == np.argsort(numbers, kind="stable").tolist()
    assert max(at_once, default=0) <= math.ceil(len(numbers) / min(most, math.ceil(len(numbers) / height) or 1))


def test_json_of_rows_is_what_the_renderer_of_documents_writes(run_command: RunCommand) -> None:
    """Streamed JSON has the same indents as a document."""
    out = run_command(f"mse {PAIR} --all -f json")[1]
    assert out == json.dumps(json.loads(out), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.slow
def test_nothing_is_written_when_the_last_row_is_bad(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("p,t\n" + "1,0\n" * 70_000 + "1,oops\n")
    for options in ("--all -f csv", f"-o {tmp_path}/l.npy", "--by t"):
        code, out, err = run_command(f"mse {tmp_path}/a.csv -p p -t t {options}")
        assert (code, out) == (2, "")
        assert "a.csv:70002: column 't': not a number: 'oops'" in err
    assert not (tmp_path / "l.npy").exists()


# --- People and mistakes --------------------------------------------------------------------------------


def test_many_groups(run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables show twenty groups and a note; programs get all groups, up to a limit."""
    (tmp_path / "a.csv").write_text("g,p,t\n" + "".join(f"g{i},{i},0\n" for i in range(30)))
    line = f"mae {tmp_path}/a.csv -p p -t t --by g"
    assert "10 more groups; all of them: --top 30" in run_command(line)[1]
    assert len(run_command(f"{line} -f csv")[1].splitlines()) == 31
    assert len(run_command(f"{line} -f csv --top 4")[1].splitlines()) == 5
    assert run_command(f"{line} -q --bottom --top 2")[1] == "0.0\n1.0\n"
    monkeypatch.setattr(grouping, "MAX_GROUPS", 29)
    code, out, err = run_command(line)
    assert (code, out) == (2, "")
    assert "column g: more than 29 groups: group by a column of fewer different values" in err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"mse,mae {PAIR}", "breakdown takes a single loss"),
        (f"mse {PAIR} --top 0", "--top 0: at least 1"),
        (f"mse {PAIR} --sort lost", "--sort 'lost': one of loss, row; did you mean 'loss'?"),
        (f"mse {PAIR} --all --top 3", "--all shows every sample: leave out --top"),
        (f"mse {PAIR} --sort loss -o l.npy", "-o FILE.npy holds one loss per row of the input"),
        (f"mse {PAIR} --top 3 -o l.npy", "-o FILE.npy holds every sample"),
        (f"mse {PAIR} --by class", "--by class: the target of mse is a finite number, no class"),
        (f"mse {PAIR} --by output", "--by output: a sample has a single output here"),
        (f"mse {PAIR} --by nowhere", "column 'nowhere' is in neither of"),
        (f"mse {PAIR} --columns predd", "did you mean 'pred'?"),
        (f"mse {PAIR} --by @1", "column '@1': a position needs a single file"),
        ("mse samples/diabetes.csv -p ridge -t target --by group --columns id", "leave out one of them"),
        ("mse samples/diabetes.csv -p ridge -t target --columns @1-2", "'@1-2' selects several columns"),
        (f"mse {PAIR} --by nowhere.csv", "nowhere.csv: no such file"),
        (f"mse {PAIR} -o l.xlsx", ".npy, .parquet, .svg"),
    ],
)
def test_mistakes(run_command: RunCommand, line: str, told: str) -> None:
    code, out, err = run_command(line)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "tsv", "json", "jsonl", "value"])
@pytest.mark.parametrize("options", ["", "--top 3", "--by group", "--all"])
def test_every_format(run_command: RunCommand, form: str, options: str) -> None:
    """Each format is valid: it is not empty and contains no repr of a NumPy number."""
    code, out, _ = run_command(f"mse samples/diabetes.csv -p ridge -t target -f {form} {options}")
    assert code == 0
    assert len(out.splitlines()) >= 2
    assert "np." not in out
    assert out.endswith("\n")


def test_tables_fit_into_80_columns(run_command: RunCommand) -> None:
    for options in ("", "--by group", "--top 3 --columns id"):
        out = run_command(f"mse samples/diabetes.csv -p ridge -t target {options}")[1]
        assert max(map(len, out.splitlines())) <= 80


def test_a_terminal_without_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """With LANG=C the bars consist of #."""
    command = [sys.executable, "-m", "lossctl", "breakdown", "mse", *PAIR.split(), "--top", "2"]
    env = {"PATH": "/usr/bin", "LANG": "C", "TERM": "xterm"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    assert "##########" in done.stdout
    assert done.stdout.isascii()
