"""NPY files against np.load: every real dtype in every layout, any range, from files and pipes."""

from __future__ import annotations

import errno
import gc
import gzip
import io
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossctl.cli.app import main
from lossctl.errors import DataError
from lossctl.io import npy_reader
from lossctl.io.dataset import Dataset, FieldRef
from lossctl.io.formats import open_source
from lossctl.io.source import Field, Options, Source

KINDS = "? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8".split()  # noqa: SIM905 - reads best so
DTYPES = [f"{order}{kind}" for kind in KINDS for order in ("<>" if kind[-1] not in "?1" else "|")] + ["<g", ">g"]
SHAPES = [(7,), (7, 1), (7, 3), (1, 4), (5, 2, 3), (4, 1, 2, 2)]


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Draw values that are exact in this dtype and in float64, with its limits."""
    made = np.dtype(dtype)
    rng = np.random.default_rng(len(shape))
    if made.kind == "b":
        return rng.integers(0, 2, shape).astype(made)
    if made.kind in "iu":
        info = np.iinfo(made)
        low, high = max(info.min, -(2**53)), min(info.max, 2**53)
        array = rng.integers(low, high, shape, endpoint=True).astype(made)
        array.flat[:2] = low, high
        return array
    array = rng.normal(size=shape).astype(made)
    array.flat[:3] = np.nan, -0.0, -np.inf
    return array


def saved(array: np.ndarray, order: str = "C", version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order=order), version=version)  # type: ignore[call-overload]
    return file.getvalue()


def put(folder: Path, content: bytes, name: str = "x.npy") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def opened(path: str, *columns: str, labels: tuple[str, ...] = (), **options: Any) -> Source:
    return open_source(path, Options(**options)).bind((Field("pred", columns, labels),))


def rows(source: Source, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return a range of rows as float64."""
    end = stop if stop is not None else source.rows or 0
    return source.reader()(start, end)[0].astype(np.float64)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Return whether shapes and bits are equal, apart from the payload of NaN."""
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found)[~np.isnan(found)], np.signbit(expected)[~np.isnan(expected)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_layout_is_what_numpy_loads(dtype: str, tmp_path: Path) -> None:
    for shape, order in product(SHAPES, "CF"):
        path = put(tmp_path, saved(numbers(shape, dtype), order))
        expected = np.load(path).astype(np.float64)
        source = opened(path)
        assert (source.rows, source.row_shapes) == (shape[0], (shape[1:],))
        same(rows(source), expected)
        same(rows(source, shape[0] // 2, shape[0]), expected[shape[0] // 2 :])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("columns", "chosen"),
    [("@1", [0]), ("@2-4", [1, 2, 3]), ("@5 @1", [4, 0]), ("@3 @1-2", [2, 0, 1]), ("@1-5", [0, 1, 2, 3, 4])],
)
@pytest.mark.parametrize("dtype", ["<f8", ">i2", "<f2", "?"])
def test_columns(dtype: str, columns: str, chosen: list[int], order: str, tmp_path: Path) -> None:
    path = put(tmp_path, saved(numbers((9, 5), dtype), order))
    source = opened(path, *columns.split())
    assert source.row_shapes == ((len(chosen),),)
    same(rows(source, 2, 9), np.load(path)[2:9, chosen].astype(np.float64))
    assert source.locate(4, 0, len(chosen) - 1).endswith(f"row 4, column {chosen[-1]}")


def test_the_column_of_one_dimension(tmp_path: Path) -> None:
    path = put(tmp_path, saved(np.arange(4.0)))
    same(rows(opened(path, "@1")), np.arange(4.0).reshape(4, 1))


ARRAYS = st.tuples(
    st.lists(st.integers(1, 5), max_size=3).map(lambda tail: (23, *tail)),
    st.sampled_from(["<f8", ">f8", "<f4", ">i4", "|u1", "<g"]),
    st.sampled_from("CF"),
)
RANGES = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)).map(sorted), min_size=1, max_size=12)


@settings(max_examples=200)
@given(ARRAYS, RANGES, st.integers(1, 2000))
@pytest.mark.slow
def test_any_ranges_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, what: tuple[tuple[int, ...], str, str], ranges: list[Any], strip: int
) -> None:
    """One reader reads overlapping, backward and empty ranges, with strips of any size."""
    shape, dtype, order = what
    path = put(tmp_path_factory.getbasetemp(), saved(numbers(shape, dtype), order))
    expected = np.load(path).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy_reader, "_STRIP", strip)
        read = opened(path).reader()
        for start, stop in ranges:
            same(read(start, stop)[0].astype(np.float64), expected[start:stop])


def test_two_readers_do_not_share_a_buffer(tmp_path: Path) -> None:
    """Two tasks may read at the same time."""
    for order in "CF":
        source = opened(put(tmp_path, saved(np.arange(40.0).reshape(20, 2), order)))
        one, other = source.reader(), source.reader()
        first = one(0, 10)[0]
        other(10, 20)
        same(np.array(first), np.arange(20.0).reshape(10, 2))


@pytest.mark.parametrize("order", ["C", "F"])
def test_fields_of_one_file(order: str, tmp_path: Path) -> None:
    path = put(tmp_path, saved(np.arange(12.0).reshape(4, 3), order))
    source = open_source(path, Options()).bind((Field("pred", ("@1-2",)), Field("target", ("@3",)), Field("weight")))
    pred, target, weight = source.reader()(1, 3)
    same(np.array(pred), np.array([[3.0, 4.0], [6.0, 7.0]]))
    same(np.array(target), np.array([[5.0], [8.0]]))
    same(np.array(weight), np.arange(3.0, 9.0).reshape(2, 3))


@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_may_be_short(order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read may return fewer bytes than requested."""
    whole = os.preadv

    def short(fd: int, buffers: list[memoryview], offset: int) -> int:
        return whole(fd, [buffers[0][:5]], offset)

    source = opened(put(tmp_path, saved(numbers((11, 3), ">f4"), order)))
    expected = rows(source)
    monkeypatch.setattr(os, "preadv", short)
    same(rows(source), expected)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions(version: tuple[int, int], tmp_path: Path) -> None:
    same(rows(opened(put(tmp_path, saved(np.arange(3.0), version=version)))), np.arange(3.0))


def test_header_of_python_2(tmp_path: Path) -> None:
    """Long integers (10L) in the header are read, without NumPy's warning."""
    content = saved(np.arange(3.0)).replace(b"(3,), } ", b"(3L,), }")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(rows(opened(put(tmp_path, content))), np.arange(3.0))


# Pipes


@pytest.mark.parametrize("order", ["C", "F"])
def test_stdin(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is written to a temporary file, which is then read."""
    array = numbers((50_000, 3), "<f4")  # longer than a piece
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(saved(array, order))))
    source = opened("-", input_format="npy")
    assert source.display_name == "stdin"
    same(rows(source, 49_000, 50_000), array[49_000:].astype(np.float64))
    same(rows(source, 0, 3), array[:3].astype(np.float64))


def test_named_pipe(tmp_path: Path) -> None:
    array = numbers((50_000,), ">i8")
    path = str(tmp_path / "p.npy")
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: Path(path).write_bytes(saved(array)))
    writer.start()
    try:
        same(rows(opened(path)), array.astype(np.float64))
    finally:
        writer.join()


def test_what_is_no_array_is_not_spooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe of another format is an error after its first bytes, because it may have no end."""

    class Endless(io.RawIOBase):
        """A stream of zeros without end."""

        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.taken += len(buffer)
            assert self.taken < 1 << 22
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(DataError, match="stdin: not a readable NPY file: it does not start"):
        opened("-", input_format="npy")


# Files that change


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("keep", [0, 1, 3, 100])
def test_a_file_that_shrinks_while_it_is_read(keep: int, order: str, tmp_path: Path) -> None:
    """A file that shrinks after it was opened is an error, and is not read as zeros."""
    path = put(tmp_path, saved(np.arange(60.0).reshape(20, 3), order))
    source = opened(path)
    read = source.reader()
    size = os.path.getsize(path)
    os.truncate(path, size - 480 + keep)
    with pytest.raises(DataError, match=r"x.npy: truncated while it was read"):
        read(0, 20)


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path) -> None:
    """If the file is replaced, the opened file is still read to its end."""
    path = put(tmp_path, saved(np.arange(5.0)))
    source = opened(path)
    os.unlink(path)
    put(tmp_path, saved(np.zeros(5)))
    same(rows(source), np.arange(5.0))


# Labels


@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "f2", "f8", "g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_labels(dtype: str, order: str, tmp_path: Path) -> None:
    path = put(tmp_path, saved(np.array([[1, 0], [0, 0], [1, 1]], dtype), order))
    same(rows(opened(path, labels=("1", "0"))), np.array([[0.0, 1], [1, 1], [0, 0]]))
    same(rows(opened(path, "@2", labels=("cat", "0", "1"))), np.array([[1.0], [1], [2]]))


@pytest.mark.parametrize("labels", [("-1", "1"), ("-1.0", "+1e0"), ("-1", "cat", "1")])
def test_labels_are_equal_as_numbers(labels: tuple[str, ...], tmp_path: Path) -> None:
    path = put(tmp_path, saved(np.array([1, -1, 1], ">i2")))
    same(rows(opened(path, labels=labels)), np.array([1.0, 0, 1]) * (len(labels) - 1))


def test_missing_labels(tmp_path: Path) -> None:
    same(rows(opened(put(tmp_path, saved(np.array([np.nan, 2]))), labels=("1", "2"))), np.array([np.nan, 1]))


# Descriptors


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def reading_npy(folder: Path) -> None:
    rows(opened(str(folder / "good.npy")))


def refusing_npy(folder: Path) -> None:
    for name in ("bad.npy", "short.npy", "none.npy"):
        with pytest.raises(DataError):
            opened(str(folder / name))


def reading_text(folder: Path) -> None:
    list(opened(str(folder / "good.csv")).chunks())


def leaving_text(folder: Path) -> None:
    """Open a file and do not read it, or read it up to an error."""
    opened(str(folder / "good.csv"))
    with pytest.raises(DataError):
        list(opened(str(folder / "bad.csv")).chunks())


def running(folder: Path) -> None:
    assert main(["compute", "mse", str(folder / "good.npy"), str(folder / "bad.csv")]) == 2
    assert main(["compute", "mse", str(folder / "good.npy"), str(folder / "good.npy"), "-p@1", "-t@1", "-q"]) == 0


@pytest.mark.parametrize("use", [reading_npy, refusing_npy, reading_text, leaving_text, running])
@pytest.mark.slow
def test_no_descriptor_is_left_open(use: Callable[[Path], None], tmp_path: Path) -> None:
    """After 200 uses the number of open descriptors is the same."""
    put(tmp_path, saved(np.arange(3.0)), "good.npy")
    put(tmp_path, saved(np.array([None])), "bad.npy")
    put(tmp_path, saved(np.arange(3.0))[:-1], "short.npy")
    long = b"1.2500000000000\n" * 5_000  # more than a piece
    put(tmp_path, b"p\n" + long, "good.csv")
    put(tmp_path, b"p\n1\nx\n" + long, "bad.csv")
    use(tmp_path)
    before = descriptors()
    for _ in range(200 if use is not running else 40):
        use(tmp_path)
    assert descriptors() == before


# Pickles


class Trap:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_no_pickle_is_ever_loaded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Unpickling the trap would create a file; lossctl does not unpickle it."""
    sprung = tmp_path / "sprung"
    path = put(tmp_path, saved(np.array([Trap(str(sprung))] * 3)))
    np.load(path, allow_pickle=True)
    assert sprung.exists()
    sprung.rmdir()
    for argv in ([path, path], ["-p@1", "-t@1", path], [path, path, "--labels", "0,1"]):
        assert main(["compute", "mse", *argv]) == 2
    assert not sprung.exists()
    assert "objects" in capfd.readouterr().err


@pytest.mark.parametrize("form", ["npy", "csv", "txt"])
def test_a_bare_pickle_is_no_data(form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A pickle with a suffix that lossctl reads is an error."""
    path = put(tmp_path, pickle.dumps(Trap(str(tmp_path / "sprung"))), f"x.{form}")
    assert main(["compute", "mse", path, path, "-p@1", "-t@1"]) == 2
    assert not (tmp_path / "sprung").exists()
    assert capfd.readouterr().err.startswith("lossctl: ")


# Side by side with text


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(4, 60))
def test_text_and_arrays_line_up(
    tmp_path_factory: pytest.TempPathFactory, count: int, slab_rows: int, piece: int
) -> None:
    """Row i of each source belongs together, for any pieces of text and any range of rows."""
    folder = tmp_path_factory.getbasetemp()
    paths = [
        put(folder, b"p\n" + b"".join(b"%d\n" % i for i in range(count)), "a.csv"),
        put(folder, saved(np.arange(count)), "b.npy"),
        put(folder, b"".join(b'"%d.0"  %d\r\n' % (i, i * i) for i in range(count)), "c.txt"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossctl.io.byte_stream.PIECE", piece)
        data = Dataset(tuple(map(opened, paths)), {"pred": FieldRef(0, 0)})
        end = 0
        for slab in data.row_ranges(slab_rows):
            assert slab.start == end
            assert slab.stop - slab.start <= slab_rows
            for source in slab.sources:
                found = source.reader()(slab.start, slab.stop)[0].reshape(slab.stop - slab.start, -1)[:, 0]
                np.testing.assert_array_equal(found, np.arange(slab.start, slab.stop))
            end = slab.stop
        assert end == count
        assert data.line(count - 1) == f"{paths[0]}:{count + 1}"


@settings(max_examples=60)
@given(
    one=st.integers(1, 40),
    more=st.integers(1, 40),
    slab_rows=st.integers(1, 20),
    piece=st.integers(4, 60),
    text=st.booleans(),
)
def test_lengths_that_differ(
    tmp_path_factory: pytest.TempPathFactory, *, one: int, more: int, slab_rows: int, piece: int, text: bool
) -> None:
    """The error names both numbers of rows, even if the longer file is not read to its end yet."""
    folder = tmp_path_factory.getbasetemp()
    short = put(folder, b"p\n" + b"1\n" * one, "short.csv")
    rest = b"1 \n" * (one + more) if text else saved(np.ones(one + more))
    long = put(folder, rest, "long.txt" if text else "long.npy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossctl.io.byte_stream.PIECE", piece)
        for paths in ((short, long), (long, short)):
            data = Dataset(tuple(map(opened, paths)), {"pred": FieldRef(0, 0)})
            with pytest.raises(DataError) as told:
                list(data.row_ranges(slab_rows))
            assert f"short.csv has {one} row" in str(told.value)
            assert f"{long} has {one + more} rows: every row is one sample" in str(told.value)


# Other processes


@pytest.mark.parametrize("name", ["x.npy", "x.npy.gz", "x.npz", "f.npy"])
@pytest.mark.slow
def test_another_process_reads_the_same_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process opens the file by its absolute path, and rejects another file of that name."""
    monkeypatch.chdir(tmp_path)
    array = np.arange(60.0).reshape(20, 3)
    content = saved(array, "F" if name == "f.npy" else "C")
    if name.endswith("npz"):
        np.savez_compressed(name, a=array)
    else:
        Path(name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    packed = pickle.dumps(opened(name))
    assert len(packed) < 1500
    monkeypatch.chdir("/")
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).reader()(3, 5)[0].tolist())"
    done = subprocess.run([sys.executable, "-c", code], input=packed, capture_output=True, check=True)
    assert done.stdout.decode() == f"{array[3:5].tolist()}\n"
    same(rows(pickle.loads(packed)), array)  # noqa: S301 - our own
    before = descriptors()
    for _ in range(50):
        same(rows(pickle.loads(packed), 1, 2), array[1:2])  # noqa: S301 - our own
    assert descriptors() == before
    os.utime(tmp_path / name, (0, 0))
    with pytest.raises(DataError, match=f"{name}.*: not the file that it was where the run began"):
        pickle.loads(packed)  # noqa: S301 - our own
    os.unlink(tmp_path / name)
    with pytest.raises(DataError, match="not the file that it was where the run began"):
        pickle.loads(packed)  # noqa: S301 - our own


def test_a_pipe_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(saved(np.arange(3.0)))))
    with pytest.raises(DataError, match="stdin: other processes cannot read a pipe: save it to a file first"):
        pickle.dumps(opened("-", input_format="npy"))


def test_columns_that_are_not_wanted_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Fortran order the unused columns are not read."""
    array = numbers((11, 50), "<f8")
    source = opened(put(tmp_path, saved(array, "F")), "@7", "@3")
    taken = []
    whole = os.preadv

    def counted(fd: int, buffers: list[memoryview], offset: int) -> int:
        taken.append(offset)
        return whole(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    same(rows(source), array[:, [6, 2]])
    assert len(taken) == 2


def test_a_read_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing read, as from a bad disk, is an error."""
    path, other = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    np.save(path, np.zeros(5))
    np.save(other, np.zeros(5))

    def bad(*_args: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", bad)
    assert main(["compute", "mse", path, other]) == 2
    assert capsys.readouterr() == ("", f"lossctl: {path}: input/output error\n")
