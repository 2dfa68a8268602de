"""Corrupted files of every format, for io/test_formats.py (some hundred) and benchmarks/fuzz.py (any number)."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import naive_reader
import numpy as np

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from lossctl.cli import app as cli
from lossctl.io import byte_stream


def _archive(data: bytes) -> bytes:
    """A zip archive with the data as its only file; unlike the others it cannot be read from a pipe."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("data"), data)
    return file.getvalue()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, 1, mtime=0),
    ".bz2": bz2.compress,
    # 4 KiB of dictionary: the 8 MiB that it would otherwise set aside take longer than all the rest.
    ".xz": lambda data: lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]),
    ".zst": zstd.compress,
}
ARRAYS = [
    np.arange(3.0),
    np.ones((3, 2), ">f4", order="F"),
    np.ones((2, 2, 2)),
    np.ones(3, bool),
    np.arange(4000.0),
    np.array(["a", "b"]),
]
TABLES = [
    "id,p,t\n1,0.5,1\n2,0.25,0\n3,1,1\n",
    "0.5\n0.25\n1\n",
    '"a ""b""",c\r\n"1",2\r\n3,4\r\n5,6\r\n',
    "p\tt\n1\t2\n3\t4\n5\t6\n",
    ",p\n0,1\n1,2\n2,3\n",
    "# a b\n1.0e+00 2\n3 4\n5 6\n",
    "p;t\n1,5;2\n3,5;4\n1,1;1\n",
    "p\n" + "0.5\n" * 3_000,
]
OPTIONS = [
    *("--header", "--no-header", "-d;", "-dspace", "--na-values=", "--encoding=latin-1", "--encoding=utf-16"),
    *("--encoding=utf-7", "--nan=skip", "-p@1", "-pp", "-p*", "-wp", "-w@2", "-t@1", "-tt", "--labels=1,2"),
    *("--on=id", "--on=@1", "--on=p", "--decimal=,", "--normalize", "--class-axis=1", "--threads=2"),
    *("--join=id", "--join=id:inner", "--join=p", "--where=p!=1", "--where=t==1", "--where=id<3", "--thousands=,"),
    *("--clip=0.1", "--ignore-index=1", "--group=id", "--group=p", "--allow-negative-weights"),
]
COMMANDS = ["compute", "compute", "compute", "breakdown", "grad", "plot"]
LOSSES = ["mse", "mse", "bce", "hinge", "sparse_softmax_cross_entropy", "kl_divergence"]
DOCUMENTS = [
    '[{"id": 1, "p": 0.5, "t": 1}, {"id": 2, "p": 0.25, "t": 0}, {"id": 3, "p": 1, "t": 1}]',
    '{"p": [0.5, 0.25, 1], "t": [1, 0, 1], "s": ["a", "\\u00e9", null]}\n',
    '[{"p": [0.1, 0.9], "t": 1}, {"p": [0.5, 0.5], "t": 0}]',
]
RECORDS = [
    '{"id": 1, "p": 0.5, "t": 1}\n{"id": 2, "p": 0.25, "t": 0}\n{"id": 3, "p": 1, "t": 1}\n',
    '{"p": 0.5, "s": "a\\"b"}\n{"s": "", "p": 1e-3}\r\n{"p": -0, "s": "\\u00e9"}\n',
    '{"p": [0.1, 0.9], "t": 1}\n{"p": [0.5, 0.5], "t": 0}\n',
    '{"p": 1, "t": 0}\n' * 3_000,
]
FORMATS = [
    "csv",
    "tsv",
    "txt",
    "npy",
    "npy",
    "npz",
    "npz",
    "json",
    "ndjson",
    "jsonl",
    "parquet",
    "arrow",
    "feather",
    "safetensors",
]
# Formats whose index is at the end or in the middle: they are neither compressed nor read from a pipe.
_FILES = {"npz", "parquet", "arrow", "feather", "safetensors"}


def npy(array: np.ndarray) -> bytes:
    """An array as np.save writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(arrays: dict[str, np.ndarray], *, deflated: bool = False) -> bytes:
    """Arrays as np.savez and np.savez_compressed write them."""
    file = io.BytesIO()
    (np.savez_compressed if deflated else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as the library safetensors writes them."""
    entries, data = {}, b""
    for name, array in arrays.items():
        part = np.ascontiguousarray(array, "<f8").tobytes()
        ends = [len(data), len(data) + len(part)]
        entries[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": ends}
        data += part
    head = json.dumps(entries).encode()
    return len(head).to_bytes(8, "little") + head + data


@cache
def columnar(form: str, number: int) -> bytes:
    """One of three tables as a Parquet or Arrow file."""
    import polars as pl

    frame = pl.DataFrame(
        [
            {"id": [1, 2, 3], "p": [0.5, 0.25, 1.0], "t": [1, 0, 1]},
            {"p": [[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]], "t": [0, 1, None]},
            {"p": ["a", "b", "a"], "t": [True, False, True], "^b$": [1.0, float("nan"), 3.0]},
        ][number]
    )
    file = io.BytesIO()
    (frame.write_parquet if form == "parquet" else frame.write_ipc)(file)
    return file.getvalue()


def headed(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """An NPY file with any header."""
    size = len(header) if length is None else length
    return b"\x93NUMPY\x02\0" + (size % 2**32).to_bytes(4, "little") + header + data


def spoiled(content: bytes, rng: random.Random) -> bytes:
    """Return the content with a few bytes changed, removed, doubled or inserted."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        how = rng.randrange(6)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del data[at : at + rng.randint(1, 8)]
        elif how == 2:
            data[at:at] = data[at : at + rng.randint(1, 20)]
        elif how == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 9))
        elif how == 4 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        else:
            data[at:at] = bytes(rng.choices(b"(){}[]',:0123456789<>|fiubOUSVMm -\\\n\0\"x_;\t.eL", k=rng.randint(1, 6)))
    return bytes(data)


def content_of(form: str, rng: random.Random) -> bytes:
    """Return a file of this format: valid, corrupted, with a huge header, or random bytes."""
    how = rng.randrange(10)
    if how == 0:
        return rng.randbytes(rng.randrange(300))
    if form == "npz":
        arrays = {"p": rng.choice(ARRAYS), "t": rng.choice(ARRAYS), "id": np.arange(3)}
        good = npz(
            dict(rng.sample(sorted(arrays.items(), key=lambda item: item[0]), rng.randint(1, 3))), deflated=how > 5
        )
        if how == 1:  # a good archive of bad arrays
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", rng.choice([0, 8, 12, 14])) as archive:
                archive.writestr("p.npy", spoiled(npy(rng.choice(ARRAYS)), rng))
            return file.getvalue()
    elif form == "npy":
        good = npy(rng.choice(ARRAYS))
        if how == 1:
            shape = ",".join(str(rng.choice([0, 1, 3, 10**9, 2**62, -1])) for _ in range(rng.randint(1, 4)))
            header = f"{{'descr': '<f8', 'fortran_order': {rng.random() < 0.5}, 'shape': ({shape},), }}"
            blanks = " " * rng.choice([0, 100, 20_000])
            length = rng.choice([None, None, 2**31, 2**32 - 1])
            return headed((header + blanks).encode(), bytes(rng.choice([0, 24, 100_000])), length)
    elif form == "safetensors":
        good = safetensors({"p": rng.choice(ARRAYS[:5]), "t": rng.choice(ARRAYS[:5])})
    elif form in _FILES:
        good = columnar(form, rng.randrange(3))
    elif form == "json":
        good = rng.choice(DOCUMENTS).encode()
    elif form in ("ndjson", "jsonl"):
        good = rng.choice(RECORDS).encode()
    else:
        good = rng.choice(TABLES).encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16"]))
        if how == 1:
            return rng.choice([b"1,", b'"', b"\xff", b"9", b"a\t"]) * rng.choice([10, 2_000_000])
    return good if how in (2, 3, 4) else spoiled(good, rng)


def mutant(rng: random.Random, folder: Path) -> tuple[list[str], bytes]:
    """Write a file; return a command that reads it, and the stdin of the command."""
    form, compression = rng.choice(FORMATS), rng.choice([*COMPRESS, ".zip"])
    if form in _FILES:
        compression = ""
    compress = _archive if compression == ".zip" else COMPRESS[compression]
    content = compress(content_of(form, rng))
    if compression and rng.random() < 0.3:
        content = spoiled(content, rng)
    path = folder / f"p.{form}{compression}"
    if rng.random() < (0.1 if form == "npy" else 0.4):  # nothing but the file can be wrong
        path.write_bytes(content)
        columns = ("@1", "@2") if form == "npy" else rng.choice([("p", "t"), ("@1", "@2"), ("@2", "@2"), ("p", "p")])
        return ["compute", "mse", str(path), "-p", columns[0], "-t", columns[1], *_EXACT], content
    argv = [rng.choice(COMMANDS), rng.choice(LOSSES)]
    if rng.random() < 0.1:
        argv += ["-", str(folder / "t.csv"), "--input-format", form + compression]
    else:
        path.write_bytes(content)
        key = f":{rng.choice(['p', 't', 'q'])}" if form in ("npz", "safetensors") and rng.random() < 0.5 else ""
        argv.append(f"{path}{key}")
        if rng.random() < 0.8:
            argv.append(str(folder / rng.choice(["t.csv", "t.npy", "t.npz:t"])))
    return [*argv, *rng.choices(OPTIONS, k=rng.randint(0, 2))], content


def targets(folder: Path) -> None:
    """Write the valid files that the commands use as well."""
    (folder / "t.csv").write_text("id,t\n1,1\n2,0\n3,1\n")
    (folder / "t.npy").write_bytes(npy(np.array([1, 0, 1])))
    (folder / "t.npz").write_bytes(npz({"t": np.array([1.0, 0, 1]), "id": np.arange(3)}))


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Raise an error if a block takes longer than the limit."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"over {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class _Chunks(io.RawIOBase):
    """A pipe whose reads give any number of bytes."""

    def __init__(self, data: bytes, rng: random.Random) -> None:
        self._file, self._rng = io.BytesIO(data), rng

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._rng.choice([1, 7, 100, 10_000])))
        buffer[: len(data)] = data
        return len(data)


def outcome(argv: list[str], stdin: bytes = b"", chunks: random.Random | None = None) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command that runs in this process.

    Args:
        argv: the command.
        stdin: the bytes of stdin.
        chunks: draws the lengths of the reads of stdin; None: it is read at once.
    """
    before = sys.stdin
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    pipe = io.BytesIO(stdin) if chunks is None else io.BufferedReader(_Chunks(stdin, chunks), 1)
    sys.stdin = io.TextIOWrapper(pipe)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.main(argv)
    finally:
        sys.stdin = before
    said = []
    for file in (out, err):
        file.flush()
        said.append(file.buffer.getvalue().decode())
    return code, said[0], said[1]


def fault(argv: list[str], stdin: bytes = b"") -> str | None:
    """Return what is wrong with the outcome of a command, which must be a result or an error of one line."""
    try:
        with patience(20):
            code, out, err = outcome(argv, stdin)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    if code == 0:
        return None if out else "exit 0 and nothing on stdout"
    if code != 2:
        return f"exit {code}: {err}"
    if out:
        return f"exit 2, and on stdout: {out}"
    if not (err.startswith("lossctl: ") and err.endswith("\n") and err[:-1].isprintable()):
        return f"not one printable line: {err!r}"
    return None


def _differs_in_chunks(argv: list[str], content: bytes, rng: random.Random) -> str | None:
    """Read the file again from a pipe in random chunks; return how the outcome differs.

    The lengths of pieces in which text is parsed are random, too.
    """
    form = argv[2].rpartition("/")[2].removeprefix("p.")
    if argv[2] == "-" or form.partition(".")[0] not in _STREAMED or form.endswith(".zip"):
        return None
    piped = [*argv[:2], "-", *argv[3:], "--input-format", form]
    with mock.patch.multiple(byte_stream, PIECE=rng.choice([64, 1000, 1 << 16]), CHUNK=rng.choice([200, 1 << 22])):
        code, out, err = outcome(piped, content, rng)
    whole = outcome(argv, content)
    same = (code, out.replace("stdin", "")) == (whole[0], whole[1].replace(argv[2], ""))
    return None if same else f"in chunks: {code} {out}{err}; as a file: {whole[0]} {whole[1]}{whole[2]}"


_STREAMED = {"csv", "tsv", "txt", "ndjson", "jsonl", "npy"}


_EXACT = ["--nan", "propagate", "-f", "json"]


def _differs_from_naive(argv: list[str], content: bytes) -> str | None:
    """Return how the number of rows or the loss differs from those of the rows that a second reader reads."""
    if argv[-4:] != _EXACT:
        return None
    code, out, _ = outcome(argv, content)
    if code:
        return None
    form = argv[2].rpartition("/")[2].removeprefix("p.")
    try:
        pred, target = naive_reader.columns(form, content, (argv[4], argv[6]))
    except Exception as error:  # noqa: BLE001 - a reader of a corrupted file raises whatever it raises
        return f"a second reader refuses it ({type(error).__name__}: {error}), and not lossctl: {out.split('[')[-1]}"
    result = json.loads(out)["losses"][0]
    with np.errstate(all="ignore"):
        value = np.mean(np.square(pred - target))
    same = np.isclose(float(result["value"]), value, rtol=1e-12, atol=0, equal_nan=True)
    rows = result["count"] + result["missing"]
    return None if same and rows == len(pred) else f"{result}, and with a second reader {value}, {len(pred)} rows"


def rounds(seed: int, count: int, folder: Path) -> tuple[int, list[tuple[list[str], str, bytes]]]:
    """Return the number of commands run, and those with a wrong outcome: argv, fault, content."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    targets(folder)
    found = []
    for _ in range(count):
        argv, content = mutant(rng, folder)
        wrong = fault(argv, content) or _differs_in_chunks(argv, content, rng) or _differs_from_naive(argv, content)
        if wrong:
            found.append((argv, wrong, content))
        for name in os.listdir(folder):
            if name.startswith("p."):
                os.unlink(folder / name)
    return count, found
