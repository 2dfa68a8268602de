"""Inputs of several files: shards are paired in the order of their names, and errors name the shard."""

from __future__ import annotations

import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import COMPRESS, npz, outcome

from lossctl.engine import run
from lossctl.errors import DataError, LossctlError
from lossctl.io.dataset import Dataset, FieldRef
from lossctl.io.formats import open_source
from lossctl.io.source import Field, Options, Source

FORMS = ["npy", "npz", "csv", "csv.gz", "txt", "parquet", "arrow", "ndjson"]
CUTS = [0, 300, 301, 700, 1000]


def put(name: str, values: np.ndarray, column: str = "p") -> None:
    """Write a shard in the format of its suffix."""
    path, form = Path(name), Path(name).name.split(".", 1)[1]
    path.parent.mkdir(exist_ok=True)
    text = "".join(f"{v!r}\n" for v in values.tolist())
    table = pl.DataFrame({column: values})
    if form == "npy":
        np.save(path, values)
    elif form == "npz":
        path.write_bytes(npz({column: values}))
    elif form == "parquet":
        table.write_parquet(path)
    elif form == "arrow":
        table.write_ipc(path)
    elif form == "ndjson":
        table.write_ndjson(path)
    elif form == "csv.gz":
        path.write_bytes(COMPRESS[".gz"](f"{column}\n{text}".encode()))
    else:
        path.write_text(text if form == "txt" else f"{column}\n{text}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with predictions and targets, as single files and as shards."""
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", P)
    np.save("t.npy", T)
    for i, (a, b) in enumerate(pairwise(CUTS)):
        for form in FORMS:
            put(f"{form}-p/s-{i:02}.{form}", P[a:b], "p")
            put(f"{form}-t/s-{i:02}.{form}", T[a:b], "t")
    return tmp_path


P, T = np.random.default_rng(5).normal(size=(2, 1000))


def value(*argv: str) -> str:
    code, out, err = outcome(["compute", *argv, "-q"])
    assert code == 0, err
    return out


def told(*argv: str) -> str:
    code, out, err = outcome(["compute", *argv])
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.removeprefix("lossctl: ").rstrip("\n")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.slow
def test_shards_are_one_file(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory or a glob, for any input and any number of threads, gives the digits of single files."""
    monkeypatch.setattr(run, "BLOCK", 128)
    wanted = value("mse,mae", "p.npy", "t.npy")
    for threads in "125":
        assert value("mse,mae", f"{form}-p", f"{form}-t", "--threads", threads) == wanted
    assert value("mse,mae", f"{form}-p/*.{form}", f"./{form}-t/s-0[0-9].{form}") == wanted
    assert value("mse,mae", f"{form}-p/", "t.npy") == wanted
    assert value("mse,mae", "p.npy", f"{form}-t") == wanted


def test_weights_and_keys_in_shards(folder: Path) -> None:
    for i, (a, b) in enumerate(pairwise(CUTS)):
        put(f"w/{i}.npy", np.abs(T[a:b]))
        table = pl.DataFrame({"id": np.arange(a, b), "p": P[a:b], "t": T[a:b]})
        table.write_csv(f"k{i}.csv")
        table.write_csv(f"l{i}.csv")
    np.save("w.npy", np.abs(T))
    wanted = value("mse", "p.npy", "t.npy", "-w", "w.npy")
    assert value("mse", "npy-p", "csv-t", "-w", "w/") == wanted
    assert value("mse", "npy-p", "csv-t", "-w", "w/*.npy") == wanted
    assert value("mse", "k?.csv", "l?.csv", "-pp", "-tt", "--on", "id") == value("mse", "p.npy", "t.npy")
    assert value("mse", "k?.csv", "-pp", "-tt") == value("mse", "p.npy", "t.npy")
    Path("l2.csv").write_text(Path("l2.csv").read_text().replace("\n400,", "\n4000,"))
    said = told("mse", "k?.csv", "l?.csv", "-pp", "-tt", "--on", "id")
    assert said.startswith("k2.csv:101: column 'id': '400' where l2.csv:101: column 'id' has '4000': not the same")


@pytest.mark.parametrize("form", FORMS)
def test_errors_name_the_shard(form: str, folder: Path) -> None:
    """Errors name the shard and the row or line in it."""
    bad = P[301:700].copy()
    bad[7] = np.nan
    put(f"{form}-p/s-02.{form}", bad)
    at = f"s-02.{form}:9: column 'p'" if form in ("csv", "csv.gz") else f"s-02.{form}:8: column "
    if form in ("npy", "npz", "parquet", "arrow"):
        at = f"s-02.{form}{':p' * (form == 'npz')}: row 7" + ", column 'p'" * (form in ("parquet", "arrow"))
    assert told("mse", f"{form}-p", "t.npy").startswith(f"{form}-p/{at}")
    assert outcome(["compute", "mse", f"{form}-p", "t.npy", "--nan", "skip"])[1].startswith("999 samples")


def test_samples_are_numbered_through(folder: Path) -> None:
    """Row numbers count over all shards."""
    worst = P[700:].copy()
    worst[11] = 100
    put("npy-p/s-03.npy", worst)
    out = outcome(["compute", "mse", "npy-p", "npy-t"])[1]
    assert "1,000 samples · npy-p, npy-t · mean" in out
    assert "711" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("csv-p none-*.csv", "none-*.csv: no such file, nor one that it matches"),
        ("empty csv-t", "empty: is a directory, and holds no files"),
        ("mixed/* csv-t", "mixed/*: files of several formats: 'a.csv' and 'b.npy'"),
        ("mixed csv-t", "mixed: files of several formats"),
        ("notes csv-t", "notes: is a directory, and 'README' in it is no data file: say which, 'notes/*.csv'"),
        ("deep csv-t", "deep: is a directory, and 'more' in it is no data file"),
        ("few csv-t", "few/a.csv has 1 row, csv-t has 1,000 rows"),
        ("two csv-t", "two has 2 shards, csv-t has 4: they are paired in the order of their names, one with one"),
        (
            "npy-p short",
            "npy-p/s-02.npy has 399 rows, short/s-02.npy has 398: shards are paired in the order of their names",
        ),
        ("csv-p short", "csv-p/s-02.csv has 399 rows, short/s-02.npy has 398: shards are paired"),
        ("csv-p moved", "csv-p/s-00.csv has 300 rows, moved/s-00.csv has 1: shards are paired"),
        ("ten/*.csv csv-t", "ten/*.csv: 's-10.csv' comes before 's-2.csv', out of the order of their numbers: write"),
        ("names t.npy", "names/b.csv has 'q', names/a.csv has 'p': all shards must have the same columns"),
        ("headless t.npy", "headless/b.csv has 1 column without names, headless/a.csv has 'p': all shards must"),
        ("shapes npy-t", "shapes/b.npy has 2 columns without names, shapes/a.npy has 1 column without names"),
        ("deeper npy-t", "deeper/b.npy has rows of (2, 3), deeper/a.npy has rows of (2, 2): all shards must have"),
        ("npy-p/s-0?.csv npy-t", "npy-p/s-0?.csv: no such file"),
    ],
)
@pytest.mark.slow
def test_shards_that_are_refused(argv: str, said: str, folder: Path) -> None:
    for name in ("empty", "notes", "deep/more", "hidden"):
        (folder / name).mkdir(parents=True)
    for name in ("mixed/a.csv", "mixed/b.npy", "ten/s-2.csv", "ten/s-10.csv", "few/a.csv", "two/a.csv", "two/b.csv"):
        put(name, P[:1])
    put("names/a.csv", P)
    put("names/b.csv", P, "q")
    put("headless/a.csv", P)
    put("notes/a.csv", P)
    Path("notes/README").write_text("hello")
    Path("headless/b.csv").write_text("1\n")
    for name, shape in (
        ("shapes/a.npy", (2, 1)),
        ("shapes/b.npy", (2, 2)),
        ("deeper/a.npy", (2, 2, 2)),
        ("deeper/b.npy", (1, 2, 3)),
    ):
        put(name, np.ones(shape))
    for i, (a, b) in enumerate(pairwise(CUTS)):
        put(f"short/s-{i:02}.npy", T[a : b - (i == 2)])
    for i, (a, b) in enumerate([(0, 1), (1, 301), (301, 700), (700, 1000)]):
        put(f"moved/s-{i:02}.csv", T[a:b], "t")
    assert told("mse", *argv.split()).startswith(said)


def test_what_is_there_under_that_name_is_no_glob(folder: Path) -> None:
    put("x[1].csv", P)
    put("x1.csv", T)
    assert value("mse", "x[1].csv", "t.npy") == value("mse", "p.npy", "t.npy")
    assert value("mse", "x?.csv", "t.npy") == "0.0\n"  # one match is that file


def test_marks_beside_the_shards(folder: Path) -> None:
    """Marker files of Spark and hidden files are not read as shards."""
    for name in ("_SUCCESS", ".crc"):
        Path(f"csv-p/{name}").touch()
    assert value("mse", "csv-p", "csv-t") == value("mse", "p.npy", "t.npy")


def test_input_format_of_shards(folder: Path) -> None:
    for i in range(4):
        os.rename(f"npy-p/s-{i:02}.npy", f"npy-p/s-{i:02}")
    assert value("mse", "npy-p", "npy-t", "--input-format", "npy") == value("mse", "p.npy", "t.npy")
    assert value("mse", "npy-p/*", "npy-t", "--input-format", "npy") == value("mse", "p.npy", "t.npy")


def source(path: str) -> Source:
    return open_source(path, Options()).bind((Field("pred"),))


@settings(max_examples=100)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
@pytest.mark.slow
def test_any_range_of_rows(tmp_path_factory: pytest.TempPathFactory, counts: list[int], data: st.DataObject) -> None:
    """A range of rows can cover several shards."""
    folder = tmp_path_factory.mktemp("shards")
    ends = np.cumsum(counts)
    for i, (end, count) in enumerate(zip(ends, counts, strict=True)):
        np.save(folder / f"s{i}.npy", np.arange(end - count, end, dtype=float))
    read = source(f"{folder}/*.npy").reader()
    for _ in range(5):
        start = data.draw(st.integers(0, ends[-1] - 1))
        stop = data.draw(st.integers(start + 1, ends[-1]))
        np.testing.assert_array_equal(read(start, stop)[0], np.arange(start, stop))


@pytest.mark.parametrize("form", ["npy", "npz", "parquet", "arrow"])
def test_another_process_reads_the_same_shards(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pickle.dumps(source(f"{form}-p"))
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(packed).reader()(290, 320)[0].reshape(-1), P[290:320])  # noqa: S301 - our own
    with (folder / f"{form}-p/s-02.{form}").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"s-02.*: not the file that it was where the run began"):
        pickle.loads(packed).reader()(290, 320)  # noqa: S301 - our own


def test_thousands_of_shards_need_no_thousand_descriptors(folder: Path) -> None:
    for i in range(300):
        put(f"many/{i:03}.npy", P[i : i + 1])
    before = len(os.listdir("/proc/self/fd"))
    opened = source("many")
    read = opened.reader()
    np.testing.assert_array_equal(read(0, 300)[0], P[:300])
    assert len(os.listdir("/proc/self/fd")) - before < 40


def test_shards_of_several_types(folder: Path) -> None:
    """A range over shards of different types does not convert integers to doubles silently."""
    put("types/a.npy", np.array([2**53 + 1]))
    put("types/b.npy", np.array([0.5]))
    with pytest.raises(LossctlError, match=r"types: shards of float64 and int64: write them all as one type"):
        source("types").reader()(0, 2)
    put("types/a.npy", np.array([1.5], np.float32))
    np.testing.assert_array_equal(source("types").reader()(0, 2)[0], [1.5, 0.5])


def test_pairs_are_checked_before_the_end(folder: Path) -> None:
    """If the numbers of rows are known, pairs of shards are checked before the computation."""
    put("short/s-00.npy", P[:299])
    for i, (a, b) in enumerate(pairwise(CUTS[1:]), 1):
        put(f"short/s-{i:02}.npy", P[a:b])
    data = Dataset((source("npy-p"), source("short")), {"pred": FieldRef(0, 0), "target": FieldRef(1, 0)})
    slabs: Any = data.row_ranges(10)
    with pytest.raises(DataError, match=r"s-00\.npy has 300 rows, short/s-00\.npy has 299"):
        next(slabs)
