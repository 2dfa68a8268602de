"""Parquet, Arrow and JSON lines: values as written, errors for missing or wrong ones, damaged files."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
import pickle
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import COMPRESS, outcome

from lossctl.errors import DataError, LossctlError
from lossctl.io import byte_stream, columnar, text_decoding, text_polars
from lossctl.io.formats import open_source
from lossctl.io.source import Field, Options, Source, StreamingSource

INDEXED = [".parquet", ".arrow", ".feather"]
FORMS = [*INDEXED, ".ndjson", ".jsonl"]
formed = pytest.mark.parametrize("form", FORMS)
indexed = pytest.mark.parametrize("form", INDEXED)


def put(path: Path, **data: Any) -> str:
    """Write a file of these columns, in several row groups if the format has row groups."""
    table = pl.DataFrame(data, strict=False)
    if path.suffix == ".parquet":
        table.write_parquet(path, row_group_size=7)
    elif path.suffix in INDEXED:
        table.write_ipc(path, compression="zstd", record_batch_size=7)
    else:
        table.write_ndjson(path)
    return str(path)


def opened(path: str, *names: str, **how: Any) -> Source:
    return open_source(path, Options(), how.get("labels", ())).bind((Field("pred", names, **how),))


def values(source: Source) -> np.ndarray:
    """Return all rows of a source."""
    if isinstance(source, StreamingSource):
        return np.concatenate([rows[0] for rows in source.chunks()])
    return np.array(source.reader()(0, source.rows)[0])


def told(path: str, *names: str, **how: Any) -> str:
    """Return the error of opening or reading a file."""
    code, out, err = outcome(["compute", "mse", path, path, *(f"-p{n}" for n in names), *(f"-t{n}" for n in names)])
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err.removeprefix("lossctl: ").replace(os.path.dirname(path) + "/", "").rstrip("\n")


NUMERIC = [pl.Int8, pl.UInt8, pl.Int16, pl.UInt16, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64, pl.Float32, pl.Float64]


@indexed
@pytest.mark.parametrize("dtype", NUMERIC, ids=str)
def test_every_type_of_number(dtype: Any, form: str, tmp_path: Path) -> None:
    written = [0, 1, 127, *range(40)] if dtype.is_integer() else [0.5, -0.0, 1e-3, math.inf, *range(40)]
    path = put(
        tmp_path / f"x{form}", a=pl.Series(written, dtype=dtype), b=[True, False, True] + [None] * (len(written) - 3)
    )
    found = values(opened(path, "a"))
    np.testing.assert_array_equal(found.astype(float)[:, 0], pl.Series(written, dtype=dtype).to_numpy().astype(float))
    np.testing.assert_array_equal(values(opened(path, "b")).astype(float)[:4, 0], [1, 0, 1, math.nan])


@formed
def test_nulls_are_missing(form: str, tmp_path: Path) -> None:
    """A null is treated like NaN: an error that names the row, unless --nan is set."""
    path = put(tmp_path / f"x{form}", p=[1.0, None, 3.0], t=[1, 1, None], s=[2, 2, 2])
    np.testing.assert_array_equal(values(opened(path, "p")), [[1], [math.nan], [3]])
    np.testing.assert_array_equal(values(opened(path, "t")), [[1], [1], [math.nan]])
    at = "x.ndjson:2: column 'p'".replace(".ndjson", form) if "json" in form else f"x{form}: row 1, column 'p'"
    assert told(path, "p").startswith(f"{at}: nan is not")
    assert outcome(["compute", "mse", path, "-pp", "-ts", "--nan", "skip", "-q"])[1] == "1.0\n"


@formed
def test_columns_are_chosen_as_in_text(form: str, tmp_path: Path) -> None:
    path = put(tmp_path / f"x{form}", id=["a", "b"], logit_1=[1.0, 2.0], logit_2=[3, 4], y=[5.5, 6.5])
    np.testing.assert_array_equal(values(opened(path, "y", "logit_1")), [[5.5, 1], [6.5, 2]])
    np.testing.assert_array_equal(values(opened(path, "logit_*")), [[1, 3], [2, 4]])
    np.testing.assert_array_equal(values(opened(path, "@2-4")), [[1, 3, 5.5], [2, 4, 6.5]])
    assert "there is no column 'z'; it has 'id', 'logit_1', 'logit_2', 'y'" in told(path, "z")
    said = ":1: column 'id': not a number: 'a'" if "json" in form else ": column 'id': text (String), where numbers are"
    assert told(path, "id").startswith(f"x{form}{said}")


@indexed
@pytest.mark.parametrize("rows", [1, 5, 7, 8, 21, 40])
@pytest.mark.slow
def test_any_range_of_rows(rows: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of any size, forwards and backwards, from a file of several row groups."""
    monkeypatch.setattr(columnar, "_STRIP_ROWS", rows)
    columnar._strip.cache_clear()
    source = opened(put(tmp_path / f"x{form}", a=np.arange(30.0), b=np.arange(30)))
    read, rng = source.reader(), random.Random(rows)  # noqa: S311 - no secret
    for _ in range(40):
        start = rng.randrange(30)
        stop = rng.randrange(start, 31)
        np.testing.assert_array_equal(read(start, stop)[0][:, 0], np.arange(start, stop))


@indexed
def test_columns_of_a_large_file_are_read_one_by_one(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polars holds the whole of each column that it reads."""
    monkeypatch.setattr(columnar, "_LARGE_FILE", 1)
    columnar._strip.cache_clear()
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        columnar, "_exactly", lambda names, exactly=columnar._exactly: asked.append(names) or exactly(names)
    )
    source = opened(put(tmp_path / f"x{form}", a=[1.0, 2.0], b=[3, 4]), "b", "a")
    np.testing.assert_array_equal(values(source), [[3, 1], [4, 2]])
    assert sorted(asked) == [("a",), ("b",)]


@indexed
@pytest.mark.parametrize("kind", [pl.Array(pl.Float32, 3), pl.List(pl.Float64), pl.List(pl.Int16)], ids=str)
def test_a_column_of_arrays_is_as_many_columns(kind: Any, form: str, tmp_path: Path) -> None:
    rows = [[1, 2, 3], [4, 5, None], [7, 8, 9]]
    path = put(tmp_path / f"x{form}", z=pl.Series(rows, dtype=kind), y=[0, 1, 2])
    source = opened(path, "z")
    assert source.row_shapes == ((3,),)
    np.testing.assert_array_equal(values(source), [[1, 2, 3], [4, 5, math.nan], [7, 8, 9]])
    assert source.locate(1, 0, 2).endswith(f"x{form}: row 1, column 'z'[2]")
    assert "arrays, of which one column can be chosen" in told(path, "z", "y")


@indexed
def test_arrays_of_several_lengths(form: str, tmp_path: Path) -> None:
    path = put(tmp_path / f"x{form}", z=[[1.0, 2.0], [1.0], [1.0, 2.0]], n=[[1.0], None, [2.0]])
    assert told(path, "z") == f"x{form}: row 1, column 'z': 1 numbers where the first row has 2"
    assert told(path, "n") == f"x{form}: row 1, column 'n': nothing where the first row has 1"


@indexed
@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([dt.date(2020, 1, 1)], "dates or times (Date)"),
        ([dt.timedelta(1)], "dates or times (Duration"),
        (pl.Series(["1.5"]).cast(pl.Decimal(10, 2)), "decimals (Decimal"),
        (["x"], "text (String)"),
        (pl.Series(["x"], dtype=pl.Categorical), "text (Categorical"),
        ([{"a": 1}], "no real numbers (Struct"),
        ([None], "no real numbers (Null)"),
        ([b"x"], "no real numbers (Binary)"),
        ([[["x"]]], "arrays, of which"),
    ],
    ids=str,
)
def test_what_is_no_number_is_told_by_column_and_type(cells: Any, said: str, form: str, tmp_path: Path) -> None:
    path = put(tmp_path / f"x{form}", d=cells)
    assert told(path, "d").startswith(f"x{form}: column 'd': {said}")
    assert "numbers are needed" in told(path, "d")


@indexed
@pytest.mark.parametrize("null", [False, True])
def test_integers_that_are_no_doubles(null: bool, form: str, tmp_path: Path) -> None:
    """Large integers are read in the same way with and without nulls."""
    path = put(tmp_path / f"x{form}", i=[1, 2**53 + 1, None if null else 3], ok=[2**53, -(2**53), None if null else 3])
    assert told(path, "i").startswith(f"x{form}: row 1, column 'i': 9007199254740993 is beyond 2**53")
    np.testing.assert_array_equal(values(opened(path, "ok"))[:2, 0], [2**53, -(2**53)])


@formed
def test_labels_and_keys(form: str, tmp_path: Path) -> None:
    """Labels and keys can be text columns, as in CSV."""
    path = put(tmp_path / f"x{form}", y=["yes", "no", " yes"], n=[1, 0, 1], p=[1.0, -2.0, 0.5], id=["a", "b", "c"])
    np.testing.assert_array_equal(values(opened(path, "y", labels=("no", "yes"))), [[1], [0], [1]])
    np.testing.assert_array_equal(values(opened(path, "n", labels=("1", "0"))), [[0], [1], [0]])
    assert "'yes' is not one of --labels a,b" in outcome(["compute", "hinge", path, "-pp", "-ty", "--labels", "a,b"])[2]
    assert outcome(["compute", "hinge", path, "-pp", "-ty", "--labels", "no,yes", "-q"])[1] == "0.16666666666666666\n"
    (tmp_path / "k.csv").write_text("id,t\na,1\nb,-2\nx,0.5\n")
    code, _, err = outcome(["compute", "mse", path, str(tmp_path / "k.csv"), "-pp", "-tt", "--on", "id"])
    assert code == 2
    assert "'c' where " in err
    assert "k.csv:4: column 'id' has 'x': not the same sample" in err
    (tmp_path / "k.csv").write_text("id,t\na,1\nb,-2\nc,0.5\n")
    assert outcome(["compute", "mse", path, str(tmp_path / "k.csv"), "-pp", "-tt", "--on", "id", "-q"])[1] == "0.0\n"


@indexed
def test_pipes_and_compression_are_refused(form: str, tmp_path: Path) -> None:
    path = put(tmp_path / f"x{form}", p=[1.0])
    code, _, err = outcome(["compute", "mse", "-", path, "--input-format", form[1:]], Path(path).read_bytes())
    assert (code, err) == (
        2,
        f"lossctl: stdin: {form} files have their index at the end: save it to a plain file first\n",
    )
    os.rename(path, f"{path}.gz")
    assert f"x{form}.gz: its name does not tell its format" in outcome(["compute", "mse", f"{path}.gz", path])[2]


@formed
@pytest.mark.parametrize("change", ["grow", "rewrite", "remove"])
def test_a_file_that_changes(change: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / f"x{form}", p=np.arange(40.0))
    monkeypatch.setattr(byte_stream, "PIECE", 64)
    source = opened(path)
    content = Path(path).read_bytes()
    if change == "remove":
        Path(path).unlink()
    else:
        Path(path).write_bytes(content + b"{}" * (change == "grow"))
        os.utime(path, (0, 0))
    if change == "remove" and "json" in form:
        assert len(values(source)) == 40  # the opened file is read to its end
        return
    with pytest.raises(DataError, match=r"changed while it was read|no such file"):
        values(source)


# Damaged files


@indexed
@pytest.mark.parametrize("content", [b"", b"PAR1", b"ARROW1\0\0", b"hello\n" * 100, bytes(1000)])
def test_what_is_no_such_file(content: bytes, form: str, tmp_path: Path) -> None:
    (tmp_path / f"x{form}").write_bytes(content)
    line = told(str(tmp_path / f"x{form}"), "p")
    assert line.startswith(f"x{form}: " + ("empty file" if not content else f"not a readable {form} file: "))


def spoilt(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        data[rng.randrange(len(data))] = rng.choice([0, 255, rng.randrange(256)])
    if rng.random() < 0.2:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("form", [".parquet", ".arrow"])
@pytest.mark.slow
def test_spoilt_files(form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A corrupted file gives numbers or one error line, without the panic messages of polars."""
    path = put(tmp_path / f"x{form}", p=np.arange(100.0), y=np.arange(100), s=["ab"] * 100)
    content, rng = Path(path).read_bytes(), random.Random(7)  # noqa: S311 - no secret
    codes = set()
    for _ in range(120):
        Path(path).unlink()  # do not overwrite: polars may still map the old file, and would get SIGBUS
        Path(path).write_bytes(spoilt(content, rng))
        code, out, err = outcome(["compute", "mse", path, "-p", "p", "-t", "y"])
        codes.add(code)
        assert code in (0, 2), err
        assert code == 0 or (out == "" and err.count("\n") == 1 and err[:-1].isprintable()), err
    assert codes == {0, 2}
    assert capfd.readouterr().err == ""


def test_a_panic_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The panic text of Rust on descriptor 2 is dropped; other text written there is passed on."""
    path = put(tmp_path / "x.parquet", p=[1.0])

    def panic(table: object) -> None:
        os.write(2, b"thread 'x' panicked at y\n")
        raise pl.exceptions.PanicException("y")

    stored = columnar.ColumnarFile(byte_stream.Origin(path), ".parquet").stored
    with pytest.raises(DataError, match=r"x\.parquet: not a readable \.parquet file: y"):
        stored.query(panic)
    assert capfd.readouterr().err == ""
    assert stored.query(lambda _: os.write(2, b"progress\n")) == 9
    assert capfd.readouterr().err == "progress\n"


@indexed
@pytest.mark.slow
def test_closed_stderr(form: str, tmp_path: Path) -> None:
    """If stderr was closed at the start, descriptor 2 may be another file, which is not touched."""
    path = put(tmp_path / f"x{form}", p=[1.0, 2.0])
    code = (
        "import sys;from lossctl.io.formats import open_source;from lossctl.io.source import Field, Options;"
        "print(sys.stderr, open_source(sys.argv[1], Options()).bind((Field('pred'),)).reader()(0, 2)[0].tolist())"
    )
    command = ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None [[1.0], [2.0]]\n")


# Other processes


@indexed
def test_another_process_reads_the_same_file(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process opens the file by its absolute path, and rejects another file of that name."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / f"x{form}", p=np.arange(20.0))
    packed = pickle.dumps(opened(f"x{form}"))
    assert len(packed) < 1000
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(packed).reader()(3, 6)[0], [[3], [4], [5]])  # noqa: S301 - our own
    os.utime(tmp_path / f"x{form}", (0, 0))
    with pytest.raises(DataError, match="not the file that it was where the run began"):
        pickle.loads(packed)  # noqa: S301 - our own


# JSON lines


def lines(content: str | bytes, *names: str, worth: float = math.inf, chunk: int = 1 << 22, **how: Any) -> Any:
    """Return the values of a file with this content, or the error."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(byte_stream, "PIECE", 16),
        mock.patch.object(byte_stream, "CHUNK", chunk),
        mock.patch.object(text_polars, "WORTH", worth),
    ):
        path = Path(folder) / "x.ndjson"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            found = values(opened(str(path), *names, **how))
            return (
                found.tolist() if found.dtype == object else (np.where(np.isnan(found), np.nan, found) + 0.0).tobytes()
            )
        except LossctlError as error:
            return str(error).replace(str(path), "x")


def piped(blocks: list[bytes], *, size: int = 64, limit: int = 80) -> list[float]:
    """Return the values of p from a pipe that is written in blocks."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), open(writing, "wb", buffering=0) as file:
            file.writelines(blocks)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with (
            mock.patch.multiple(byte_stream, PIECE=size, CHUNK=4 * size),
            mock.patch.object(text_decoding, "RECORD_LIMIT", limit),
            mock.patch.object(text_polars, "WORTH", 0),
        ):
            source = open_source(f"/dev/fd/{reading}", Options(input_format="ndjson")).bind((Field("pred", ("p",)),))
            return [float(value) for rows in source.chunks() for value in rows[0].ravel()]
    finally:
        os.close(reading)
        writer.join()


TEXTS = st.text(st.sampled_from('"\\,{}\r\nab\u00e9'), max_size=30)


@given(st.lists(TEXTS, min_size=1, max_size=60), st.integers(1, 200), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=60)
@pytest.mark.slow
def test_a_pipe_gives_every_row_whatever_its_texts_and_blocks(
    texts: list[str], step: int, end: str, closed: bool
) -> None:
    """Quotes in texts do not hide the end of a line, and the size of writes to the pipe does not matter."""
    records = [{"s": text, "p": i} for i, text in enumerate(texts)] + [{"p": i} for i in range(50)]
    content = end.join(map(json.dumps, records)) + end * closed
    data = content.encode()
    found = piped([data[at : at + step] for at in range(0, len(data), step)])
    assert found == [json.loads(line)["p"] for line in content.split("\n") if line]


def test_a_pipe_written_line_by_line_loses_no_rows() -> None:
    """A text with a quote, then more bytes than a record may have; once only 137,284 of 300,000 rows were read."""
    lines = [b'{"s": "a\\"b", "p": 0, "t": 0}\n', *(b'{"p": %d, "t": 0}\n' % i for i in range(1, 3000))]
    assert piped(lines, size=1 << 10, limit=1 << 10) == list(range(3000))


@pytest.mark.parametrize(
    "blocks", [[b'{"p": 1}\n', b'{"s": "' + b"x" * 400 + b'", "p": 2}\n'], [b'{"p": 1}' + b" " * 400]]
)
def test_a_line_too_long_is_refused_and_not_cut(blocks: list[bytes]) -> None:
    for written in (blocks, [bytes([b]) for b in b"".join(blocks)], [b"".join(blocks)]):
        with pytest.raises(DataError, match="a line of over 256 bytes: one object a line is read"):
            piped(written, limit=64)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"p": "1.5"}', "x:3: column 'p': not a number: '1.5'"),
        ('{"p": [1]}', "x:3: column 'p': not a number: '[\"1\"]'"),
        ('{"p": 1e400}', "x:3: column 'p': '1e400' is too large for a double"),
        ('{"p": 1', "x:3: not JSON: "),
        ("", "x:3: blank line"),
        ("[1]", "x:3: not a JSON object"),
        ('{"p": 1} {"p": 2}', "x:3: not JSON: Extra data"),
        ("{'p': 1}", "x:3: not JSON: "),
        ('{"p": 01}', "x:3: not JSON: "),
        ('{"p": 1, "p": 1}', "x:3: the key 'p' is there twice"),
        ('{"p": 1, "\\u0070": 1}', "x:3: the key 'p' is there twice"),
        ("[" * 100_000, "x:3: not JSON: "),
    ],
)
def test_bad_lines_are_told(line: str, said: str) -> None:
    content = '{"p": 1}\n{"p": 2}\n' + line + '\n{"p": 3}\n'
    for worth in (math.inf, 0):
        assert lines(content, "p", worth=worth).startswith(said)


def test_what_json_lines_may_hold() -> None:
    content = '{"p":1,"q":"x"}\r\n{"q":null,"p":true}\n{"p":NaN}\n{"p":-0.5e1,"z":[{}]}\n{}\n'
    content += '{"p":1,"q":{"p":7},"z":1,"z":2}'
    wanted = np.array([[1], [1], [math.nan], [-5], [math.nan], [1]]).tobytes()
    for worth in (math.inf, 0):
        assert lines(content, "p", worth=worth) == wanted
    assert lines('{"é":1}\n{"é":2}\n'.encode("latin-1"), "@1").startswith("x:1: not JSON: 'utf-8' codec")


SCALARS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**20), 10**20),
    st.none(),
    st.booleans(),
    st.text(max_size=3),
)


@settings(max_examples=300)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=20), st.data())
@pytest.mark.slow
def test_polars_and_the_standard_library_agree(numbers: list[float], data: st.DataObject) -> None:
    """Both readers return the same bits and the same errors."""
    rows = [json.dumps({"a": 1, "p": x, "s": "é"}, ensure_ascii=False) for x in numbers]
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(rows) - 1))
        rows[at] = json.dumps({"p": data.draw(SCALARS)})
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(rows) - 1))
        cut = data.draw(st.integers(0, len(rows[at])))
        stray = data.draw(st.sampled_from(["", " ", ",", "\n", "\r", "}", '"', "1", "\x00", "\ufeff", "-", "e"]))
        rows[at] = rows[at][:cut] + stray + rows[at][cut + data.draw(st.integers(0, 1)) :]
    content, chunk = "\n".join(rows) + "\n" * data.draw(st.integers(0, 2)), data.draw(st.integers(8, 300))
    assert lines(content, "p", worth=0, chunk=chunk) == lines(content, "p", chunk=chunk)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.slow
def test_compressed_json_lines(suffix: str, tmp_path: Path) -> None:
    content = "".join(json.dumps({"p": i / 7, "t": i}) + "\n" for i in range(5000)).encode()
    (tmp_path / f"x.ndjson{suffix}").write_bytes(COMPRESS[suffix](content))
    found = values(opened(str(tmp_path / f"x.ndjson{suffix}"), "p"))
    np.testing.assert_array_equal(found[:, 0], np.arange(5000) / 7)
    done = outcome(
        ["compute", "mse", "-", "-pp", "-tt", "-q", "--input-format", f"jsonl{suffix}"], COMPRESS[suffix](content)
    )
    assert done[:2] == (0, outcome(["compute", "mse", str(tmp_path / f"x.ndjson{suffix}"), "-pp", "-tt", "-q"])[1])


@formed
@pytest.mark.slow
def test_the_same_digits_as_from_text(form: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    p, t = rng.normal(size=(2, 5000))
    path = put(tmp_path / f"x{form}", p=p, t=t)
    np.save(tmp_path / "p.npy", p)
    np.save(tmp_path / "t.npy", t)
    wanted = outcome(["compute", "mse,huber", str(tmp_path / "p.npy"), str(tmp_path / "t.npy"), "-q"])
    for threads in "125":
        assert outcome(["compute", "mse,huber", path, "-pp", "-tt", "-q", "--threads", threads]) == wanted
    assert wanted[0] == 0
