"""Compressed files, archives, keys and pipes: values, and errors for files that are damaged or of another format."""

from __future__ import annotations

import io
import lzma
import os
import random
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import COMPRESS, fault, headed, mutant, npy, npz, outcome, rounds, spoiled, targets

from lossctl.engine import run
from lossctl.io import byte_stream, compression
from lossctl.io import npy as npy_module

PRED, TARGET = np.array([0.5, 0.25, 1.0]), np.array([1.0, 0.0, 1.0])
MSE = "0.10416666666666667\n"
GOOD = {
    "p.csv": "id,pred\n7,0.5\n8,0.25\n9,1\n",
    "t.csv": "id,target\n7,1\n8,0\n9,1\n",
    "p1.csv": "0.5\n0.25\n1\n",
    "t1.csv": "1\n0\n1\n",
    "p.npy": PRED,
    "t.npy": TARGET,
}


def as_bytes(content: str | bytes | np.ndarray) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return npy(content) if isinstance(content, np.ndarray) else content


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with valid files."""
    monkeypatch.chdir(tmp_path)
    put(GOOD)
    return tmp_path


def put(files: dict[str, str | bytes | np.ndarray]) -> None:
    for name, content in files.items():
        Path(name).write_bytes(as_bytes(content))


def value(command: str, stdin: bytes = b"") -> str:
    """Return stdout of a command that succeeds."""
    code, out, err = outcome(["compute", *command.split(), "-q"], stdin)
    assert code == 0, err
    return out


def check_told(code: int, out: str, err: str, *told: str) -> None:
    """Check for exit code 2, empty stdout, and one line with these parts in this order."""
    assert (code, out) == (2, ""), err
    assert err.startswith("lossctl: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    rest = err
    for part in told:
        assert part in rest, f"{part!r} is not in {rest!r}"
        rest = rest[rest.index(part) + len(part) :]


def refused(command: str, *told: str, stdin: bytes = b"") -> None:
    check_told(*outcome(["compute", *command.split()], stdin), *told)


# Compression

PACKED = [suffix for suffix in COMPRESS if suffix]
FORMS = ["csv", "npy"]
packed = pytest.mark.parametrize("suffix", PACKED)
formed = pytest.mark.parametrize("form", FORMS)


@packed
@formed
@pytest.mark.slow
def test_compressed_files_give_the_same_digits(form: str, suffix: str, folder: Path) -> None:
    """Files of many pieces, read from a file, from a file with another name, and from a pipe."""
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=12_000), rng.normal(size=12_000)
    plain = {"a": as_bytes(pred), "b": as_bytes(target)}
    if form == "csv":
        plain = {name: "".join(f"{v!r}\n" for v in a.tolist()).encode() for name, a in (("a", pred), ("b", target))}
    put({f"{name}.{form}": content for name, content in plain.items()})
    put({f"{name}.{form}{suffix}": COMPRESS[suffix](content) for name, content in plain.items()})
    put({f"a{suffix}": COMPRESS[suffix](plain["a"]), "a.bin": COMPRESS[suffix](plain["a"])})
    wanted = value(f"mse a.{form} b.{form}")
    assert value(f"mse a.{form}{suffix} b.{form}{suffix}") == wanted
    assert value(f"mse a.{form}{suffix} b.{form} --threads 3") == wanted
    assert value(f"mse a.bin b.{form}{suffix} --input-format {form}{suffix}") == wanted
    assert value(f"mse a{suffix} b.{form} --input-format {form}") == wanted
    assert value(f"mse - b.{form} --input-format {form}{suffix}", COMPRESS[suffix](plain["a"])) == wanted


@packed
@formed
def test_streams_that_follow_each_other_are_one_file(form: str, suffix: str, folder: Path) -> None:
    """Concatenated streams, as `cat a.gz b.gz` and pigz write them; zeros between and after them are padding."""
    content = as_bytes(GOOD["p1.csv" if form == "csv" else "p.npy"])
    pack = COMPRESS[suffix]
    for padding in (b"", bytes(4), bytes(200_000)):
        put({f"x.{form}{suffix}": pack(content[:7]) + padding + pack(content[7:]) + padding})
        assert value(f"mse x.{form}{suffix} t1.csv") == MSE


@packed
@formed
@pytest.mark.parametrize("keep", [1, 5, -1, -9, "half"])
def test_a_truncated_stream(keep: int | str, form: str, suffix: str, folder: Path) -> None:
    content = COMPRESS[suffix](as_bytes(GOOD["p1.csv" if form == "csv" else "p.npy"]))
    put({f"x.{form}{suffix}": content[: len(content) // 2 if keep == "half" else keep]})  # type: ignore[misc]
    refused(f"mse x.{form}{suffix} t1.csv", f"lossctl: x.{form}{suffix}: truncated: its {suffix[1:]} stream breaks off")


@packed
@formed
@pytest.mark.parametrize("how", ["plain", "middle", "after"])
def test_a_damaged_stream(how: str, form: str, suffix: str, folder: Path) -> None:
    """Bytes after a stream that are not a stream are an error; the readers of the libraries ignore them."""
    plain = as_bytes(GOOD["p1.csv" if form == "csv" else "p.npy"])
    content = COMPRESS[suffix](plain)
    half = len(content) // 2
    bad = {
        "plain": plain * 9,
        "middle": content[:half] + bytes(9) + content[half + 9 :],
        "after": content + b"rubbish!" * 9,
    }
    put({f"x.{form}{suffix}": bad[how]})
    code, out, err = outcome(["compute", "mse", f"x.{form}{suffix}", "t1.csv"])
    check_told(code, out, err, f"lossctl: x.{form}{suffix}:")
    # The checksum is at the end, and a zstd frame may have none: the decompressed text may be an error before it.
    assert how == "middle" or "damaged, or not" in err


@packed
@formed
def test_an_empty_compressed_file(form: str, suffix: str, folder: Path) -> None:
    for content in (b"", COMPRESS[suffix](b"")):
        put({f"x.{form}{suffix}": content})
        refused(f"mse x.{form}{suffix} t1.csv", f"x.{form}{suffix}: empty file")


def test_an_xz_that_asks_for_much_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_XZ_MEMORY", 1 << 16)
    put({"x.csv.xz": lzma.compress(b"1\n")})  # wants 8 MiB
    refused("mse x.csv.xz t1.csv", "x.csv.xz: damaged, or not xz: Memory usage limit exceeded")


def test_bad_cells_are_told_by_their_line(folder: Path) -> None:
    put({"x.csv.gz": COMPRESS[".gz"](b"pred\n1\noops\n3\n")})
    refused("mse x.csv.gz t1.csv", "x.csv.gz:3: column 'pred': not a number: 'oops'")


BOMB = headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", bytes(200 << 20))


def bomb(suffix: str) -> tuple[str, bytes]:
    if suffix == ".bz2":  # 200 MB take 6 s to compress
        return "x.npy.bz2", COMPRESS[suffix](BOMB[: 20 << 20])
    if suffix == ".npz":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("x.npy"), BOMB, compress_type=zipfile.ZIP_DEFLATED)
        return "x.npz", file.getvalue()
    return f"x.npy{suffix}", COMPRESS[suffix](BOMB)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst", ".npz"])
@pytest.mark.slow
def test_a_bomb_is_spooled_as_far_as_it_declares(suffix: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header declares 8 bytes, and 200 MB follow: these are not decompressed."""
    name, content = bomb(suffix)
    put({name: content})
    spooled: list[int] = []
    taken: list[int] = []

    class Watched:
        """A temporary file that records the number of bytes written."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, data: bytes) -> int:
            spooled.append(len(data))
            return len(data)

        def flush(self) -> None: ...

    spool = npy_module.NpyFile._spool

    def counted(self: npy_module.NpyFile, blocks: object) -> object:
        def count() -> object:
            for block in blocks:  # type: ignore[attr-defined]
                taken.append(len(block))
                yield block

        return spool(self, count())  # type: ignore[arg-type]

    monkeypatch.setattr(npy_module.NpyFile, "_spool", counted)
    monkeypatch.setattr(tempfile, "TemporaryFile", Watched)
    refused(
        f"mse {name} t1.csv", "x.np", "more data than the header declares: shape (1,) of float64 is 8 bytes, more fol"
    )
    assert sum(spooled) <= len(BOMB) - (200 << 20) + 8
    assert sum(taken) <= 2 * byte_stream.PIECE


@packed
def test_text_does_not_grow_memory(suffix: str, folder: Path) -> None:
    """A compressed record without end is an error after the first MiB."""
    put({f"x.csv{suffix}": COMPRESS[suffix](b"1" * (16 << 20))})
    refused(f"mse x.csv{suffix} t1.csv", f"x.csv{suffix}:1: a record of over 1 MiB")


# NPZ

ARCHIVES = {"stored": npz({"p": PRED, "y": TARGET, "w": np.ones(3)})}
ARCHIVES["deflated"] = npz({"p": PRED, "y": TARGET, "w": np.ones(3)}, deflated=True)


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize(
    "command",
    [
        "d.npz -p p -t y",
        "d.npz:p d.npz:y",
        "d.npz:p t1.csv",
        "p1.csv d.npz:y",
        "d.npz t1.csv -p p",
        "p1.csv d.npz -t y",
        "d.npz t.npz -p p",
        "d.npz:p t.npz",
        "d.npz -p p -t y -w w",
        "d.npz:p t1.csv -w d.npz:w",
        "d.npz t1.csv -p p -w w",
        "d.bin -p p -t y --input-format npz",
        "D.NPZ:p t1.csv",
        "./d.npz:p t1.csv -p @1",
        "wide.npz t1.csv -p @2",
        "wide.npz -p @2 -t @1",
    ],
)
def test_archives(command: str, kind: str, folder: Path) -> None:
    wide = npz({"x": np.column_stack([TARGET, PRED])})
    put(dict.fromkeys(("d.npz", "D.NPZ", "d.bin"), ARCHIVES[kind]) | {"t.npz": npz({"y": TARGET}), "wide.npz": wide})
    assert value(f"mse {command}") == MSE


def test_archives_give_the_same_digits_in_any_number_of_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BLOCK", 1024)
    rng = np.random.default_rng(1)
    arrays = {"p": rng.normal(size=(9000, 3)), "y": np.asfortranarray(rng.normal(size=(9000, 3)))}
    put({"d.npz": npz(arrays, deflated=True), "a.npy": arrays["p"], "b.npy": arrays["y"]})
    wanted = value("mse,mae a.npy b.npy --threads 1")
    assert {value(f"mse,mae d.npz -p p -t y --threads {n}") for n in (1, 2, 5)} == {wanted}


def objects() -> bytes:
    file = io.BytesIO()
    np.savez(file, o=np.array([1, None], object))
    return file.getvalue()


def method(number: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", number) as archive:
        archive.writestr(zipfile.ZipInfo("p.npy"), npy(PRED), compress_type=number)  # the same bytes at any time
    return file.getvalue()


@pytest.mark.parametrize(
    ("command", "told", "content"),
    [
        ("d.npz:q t1.csv", ("d.npz: there is no array 'q'; it has 'p', 'y', 'w'",), None),
        ("d.npz -p pp -t y", ("d.npz: there is no array 'pp'; it has 'p', 'y', 'w'; did you mean 'p'?",), None),
        ("d.npz t1.csv", ("d.npz: pred: say which array, --pred KEY; it has 'p', 'y', 'w'",), None),
        ("p1.csv d.npz", ("d.npz: target: say which array, --target KEY; it has",), npz({"a": PRED, "b": PRED})),
        ("p1.csv t1.csv -w d.npz", ("d.npz: weight: say which array, d.npz:KEY; it has",), None),
        ("d.npz", ("d.npz: one file: select its columns with --pred and --target; it has 'p',",), None),
        ("d.npz -p p -p y -t w", ("d.npz: pred: one array for each input, not 2",), None),
        ("d.npz:p", ("d.npz:p: one file of one column: give TARGETS too",), None),
        ("d.npz -p a -t b", ("d.npz:a has 3 rows, d.npz:b has 2 rows",), npz({"a": np.ones(3), "b": np.ones(2)})),
        ("d.npz:a t1.csv", ("d.npz:a: row 1: nan is not a finite number",), npz({"a": np.array([1, np.nan, 1])})),
        ("d.npz -p a -t b", ("d.npz:b: row 1: inf is not",), npz({"a": np.ones(2), "b": np.array([1, np.inf])})),
        ("d.npz:o t1.csv", ("d.npz:o: an array of objects, which only unpickling could read",), objects()),
        ("d.npz:s t1.csv", ("d.npz:s: strings",), npz({"s": np.array(["a"])})),
        ("d.npz t1.csv", ("d.npz: not a readable NPZ (zip) file: ",), b"no zip"),
        ("d.npz t1.csv", ("d.npz: not a readable NPZ (zip) file: ",), b""),
        ("d.npz t1.csv", ("d.npz: not a readable NPZ (zip) file: ",), ARCHIVES["stored"][:-30]),
        (
            "d.npz:p t1.csv",
            ("d.npz:p: not a readable NPZ (zip) file: Bad CRC",),
            ARCHIVES["stored"].replace(b"\xe0?", b"\xe1?"),
        ),
        ("d.npz t1.csv", ("d.npz: holds no arrays",), npz({})),
        ("d.npz t1.csv", ("d.npz:p: compressed in a way that NumPy does not write",), method(zipfile.ZIP_BZIP2)),
        ("none.npz:p t1.csv", ("none.npz: no such file",), None),
        ("- t1.csv --input-format npz", ("stdin: .npz files have their index at the end: save it",), None),
        ("d.npz.gz t1.csv", ("d.npz.gz: ",), None),
    ],
)
def test_archives_that_are_refused(command: str, told: tuple[str, ...], content: bytes | None, folder: Path) -> None:
    put({"d.npz": ARCHIVES["stored"] if content is None else content, "d.npz.gz": b""})
    refused(f"mse {command}", *told)


def test_control_bytes_in_a_key_stay_in_the_file(folder: Path) -> None:
    put({"d.npz": npz({"\x1b[31m": np.full(3, np.nan)})})
    refused("mse d.npz t1.csv", r"d.npz:\x1b[31m: row 0: nan")


# Keys

KEYED = {
    "text": ("p.csv", "t.csv"),
    "gz": ("p.csv.gz", "t.csv"),
    "wide-npy": ("k.npy", "t.csv"),
    "npz": ("k.npz", "t.csv"),
    "both-npz": ("k.npz", "kt.npz"),
}


@pytest.fixture
def keyed(folder: Path) -> None:
    ids = np.array([7, 8, 9])
    put(
        {
            "p.csv.gz": COMPRESS[".gz"](as_bytes(GOOD["p.csv"])),
            "k.npz": npz({"id": ids, "pred": PRED}),
            "kt.npz": npz({"id": ids.astype(float), "target": TARGET}),
            "kw.npy": np.column_stack([ids, PRED]),
        }
    )


@pytest.mark.parametrize(
    "command",
    [
        "p.csv t.csv",
        "p.csv t.csv -p pred -t target",
        "p.csv.gz t.csv",
        "p.csv k.npz -t pred",
        "k.npz t.csv -p pred",
        "k.npz kt.npz -p pred -t target",
        "- t.csv",
        "p.csv -",
    ],
)
def test_keys_that_agree(command: str, keyed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no columns are selected, the key is not used as an input."""
    piped = as_bytes(GOOD["t.csv" if command.endswith("-") else "p.csv"])
    wanted = "0.0\n" if "-t pred" in command else MSE
    for block in (run.BLOCK, 1):
        monkeypatch.setattr(run, "BLOCK", block)
        for threads in (1, 3):
            assert value(f"mse {command} --on id --threads {threads}", piped) == wanted


def test_keys_by_position(keyed: None) -> None:
    assert value("mse kw.npy t.csv --on @1") == MSE
    assert value("mse p.csv t.csv --on @1") == MSE


LACKS = "not the same sample; --join"


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("form", ["csv", "csv.gz", "npz", "stdin"])
def test_the_first_row_whose_keys_differ(
    form: str, threads: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BLOCK", 8)
    monkeypatch.setattr(run, "TASK_BLOCKS", 2)
    ids = np.arange(1000)
    moved = ids.copy()
    moved[[500, 501, 900, 901]] = moved[[501, 500, 901, 900]]
    text = "id,target\n" + "".join(f"{i},1\n" for i in moved)
    put(
        {
            "p.csv": "id,pred\n" + "".join(f"{i},0\n" for i in ids),
            "t.csv": text,
            "t.csv.gz": COMPRESS[".gz"](text.encode()),
        }
    )
    put({"t.npz": npz({"id": moved, "target": np.ones(1000)})})
    path = "-" if form == "stdin" else f"t.{form}"
    there = {"npz": "t.npz:id: row 500 has 501", "stdin": "stdin:502: column 'id' has '501'"}
    wanted = there.get(form, f"t.{form}:502: column 'id' has '501'")
    command = f"mse p.csv {path} -p pred -t target --on id --threads {threads}"
    refused(command, "p.csv:502: column 'id': ", "500", " where " + wanted + ": " + LACKS, stdin=text.encode())


@pytest.mark.parametrize(
    ("keys", "others", "told"),
    [
        ("a b", "a b", None),
        ("1 2", "1 2.0", None),
        ("1 2", "1 2.5", "'2' where t.csv:3: column 'k' has '2.5'"),
        ("1 9007199254740993", "1 9007199254740992", "'9007199254740993' where t.csv:3: column 'k'"),
        ("x y", "x z", "'y' where t.csv:3: column 'k' has 'z'"),
        ("a \x1b[31m", "a b", r"'\x1b[31m' where t.csv:3: column 'k' has 'b'"),
        ("1 nan", "1 nan", None),
    ],
)
def test_keys_of_text_are_texts_or_exact_numbers(keys: str, others: str, told: str | None, folder: Path) -> None:
    for name, written in (("p", keys), ("t", others)):
        put({f"{name}.csv": f"k,{name}\n" + "".join(f"{k},1\n" for k in written.split(" "))})
    if told is None:
        assert value("mse p.csv t.csv --on k") == "0.0\n"
    else:
        refused("mse p.csv t.csv --on k", "p.csv:3: column 'k': " + told)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("p.csv --on id -p pred -t id", "--on compares the rows of two files, PREDS and TARGETS: there is only one"),
        ("p.csv t.csv --on ids", "p.csv: there is no column 'ids'; it has 'id', 'pred'; did you mean 'id'?"),
        ("p.csv t1.csv --on id", "t1.csv: there is no column 'id': it has no header"),
        ("p.csv t.csv --on id --on id", "--on id is given twice"),
        ("p.csv t.csv --on @1-2 -p pred -t target", "a key is one column of each file"),
        ("p1.csv t1.csv --on @1", "p1.csv: nothing but the columns of --on"),
        ("p.csv w.csv --on id --on pred -p id", "w.csv: there is no column 'pred'"),
        ("big.csv big.npz --on k -p p -t p", "big.csv:2: column 'k': 9007199254740994 is beyond 2**53"),
        ("words.csv k.npz --on id -p p -t pred", "words.csv:2: column 'id': not a number: 'x7'"),
    ],
)
def test_keys_that_are_refused(command: str, told: str, folder: Path) -> None:
    put({"w.csv": "id,target\n7,1\n8,0\n9,1\n", "big.csv": f"k,p\n{2**53 + 2},1\n", "words.csv": "id,p\nx7,1\n"})
    put(
        {
            "big.npz": npz({"k": np.array([2**53 + 2]), "p": np.ones(1)}),
            "k.npz": npz({"id": np.ones(1), "pred": np.ones(1)}),
        }
    )
    refused(f"mse {command}", told)


def test_several_keys(folder: Path) -> None:
    put({"a.csv": "g,i,p\na,1,1\na,2,1\nb,1,1\n", "b.csv": "g,i,p\na,1,1\na,2,1\nb,2,1\n"})
    assert value("mse a.csv a.csv --on g --on i -p p -t p".replace("a.csv a.csv", "a.csv ./a.csv")) == "0.0\n"
    refused("mse a.csv b.csv --on g --on i", "a.csv:4: column 'i': '1' where b.csv:4: column 'i' has '2'")


# An index that pandas wrote

INDEX = "say --pred "


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (",p\n0,1\n1,2\n2,3\n", "--header", INDEX + "p"),
        ("Unnamed: 0,p\n0,1\n1,2\n2,3\n", "", INDEX + "p"),
        ("Unnamed: 0,my p\n0,1\n1,2\n2,3\n", "", INDEX + "'my p'"),
        ("Unnamed: 0,a,b\n0,1,1\n1,2,2\n2,3,3\n", "", INDEX + "a --pred b"),
        ("Unnamed: 0,a,b,c,d\n0,1,1,1,1\n", "", INDEX + "@2-5"),
    ],
)
def test_an_index_of_pandas(content: str, options: str, told: str, folder: Path) -> None:
    """The index is reported even if both files have one, where the two would be compared."""
    put({"x.csv": content})
    refused(
        f"mse x.csv t1.csv {options}", "x.csv: its first column, '", "is an index as pandas writes it, no pred: " + told
    )
    refused(f"mse x.csv ./x.csv {options}", told)


def test_an_index_that_is_asked_for(folder: Path) -> None:
    put({"x.csv": "Unnamed: 0,p\n0,1\n", "y.csv": "Unnamed: 0,p\n0,1\n"})
    assert value("mse x.csv y.csv -p @1-2 -t @1-2") == "0.0\n"
    assert value("mse x.csv y.csv -p p -t p") == "0.0\n"
    refused("mse x.csv y.csv -p p", "y.csv", "no target: say --target p")
    refused("mse p1.csv t1.csv -w x.csv", "x.csv", "no weight: leave it out of the file (pandas: index=False)")


# Names, headers, formats


@pytest.mark.parametrize(
    ("content", "options", "wanted"),
    [
        ("yhat,2020\n1,3\n", "-p yhat -t 2020", "4.0\n"),
        ("2019,y\n1,3\n", "-p @1 -t y", "4.0\n"),
        (",yhat,y\n0,1,3\n", "-p yhat -t y", "4.0\n"),
        ("w,1,2\n1,1,3\n", "-p @2 -t @3 -w w", "4.0\n"),
        ("yhat,y\n1,3\n", "-p yhat -t y --header", "4.0\n"),
    ],
)
def test_a_name_that_the_first_row_holds_is_of_a_header(content: str, options: str, wanted: str, folder: Path) -> None:
    put({"x.csv": content})
    assert value(f"mse x.csv {options}") == wanted


def test_what_is_said_of_headers_stands(folder: Path) -> None:
    put({"x.csv": "yhat,2020\n1,3\n", "n.csv": "1,2\n3,4\n"})
    refused("mse x.csv -p yhat -t @2 --no-header", "x.csv: there is no column 'yhat': it has no header")
    # A number can be a position, and a row of numbers would be lost as a header.
    refused("mse n.csv -p 1 -t 2", "n.csv: there is no column '1': it has no header; @1 to @2 name columns")
    refused("mse x.csv -p @1 -t @2", "x.csv:1: the first row mixes a number")


@pytest.mark.parametrize(
    ("command", "piped"),
    [
        ("- t1.csv --input-format npy", "p.npy"),
        ("p.npy - --input-format tsv", "t1.csv"),
        ("p.bin t1.csv --input-format npy", None),
        ("p.bin t.npy -w w.csv --input-format npy", None),
        ("p.npy t1.csv -w ./w --input-format txt", None),
        ("- p.bin --input-format npy", "t.npy"),
        ("p.npy.txt t.npy.txt --input-format npy", None),
    ],
)
def test_the_format_is_of_what_does_not_tell_it(command: str, piped: str | None, folder: Path) -> None:
    """If all names have known suffixes, --input-format applies to all files."""
    put({"p.bin": PRED, "w.csv": "1\n1\n1\n", "w": "1\n1\n1\n", "p.npy.txt": PRED, "t.npy.txt": TARGET})
    assert value(f"mse {command}", as_bytes(GOOD[piped]) if piped else b"") == MSE


# Pipes, and files that change


def written(path: str, content: bytes) -> threading.Thread:
    """Start a thread that writes to a named pipe."""
    thread = threading.Thread(target=lambda: Path(path).write_bytes(content))
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.csv.zst", "x.npy.gz"])
def test_named_pipes(name: str, folder: Path) -> None:
    plain = as_bytes(GOOD["p.npy" if "npy" in name else "p1.csv"])
    content = COMPRESS[os.path.splitext(name)[1] if name.count(".") > 1 else ""](plain)
    os.mkfifo(name)
    thread = written(name, content)
    assert value(f"mse {name} t1.csv") == MSE
    thread.join()


def test_a_pipe_without_a_format_is_not_waited_for(folder: Path) -> None:
    os.mkfifo("x")
    refused("mse x t1.csv", "x: its name does not tell its format: say --input-format, one of csv,")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("mse <(cat p1.csv) t1.csv --input-format csv -q", MSE),
        ("mse <(cat p1.csv) <(cat t1.csv) --input-format csv -q", MSE),
        ("mse <(cat p.npy) t1.csv --input-format npy -q", MSE),
        ("mse <(cat p.npy) <(gzip -c t.npy) --input-format npy -q", None),
        ("mse <(gzip -c p.npy) <(gzip -c t.npy) --input-format npy.gz -q", MSE),
        ("mse /dev/stdin t1.csv --input-format csv -q < p1.csv", MSE),
        ("mse p.csv <(cat t.csv) --on id --input-format csv -q", MSE),
    ],
)
@pytest.mark.slow
def test_process_substitution(words: str, told: str | None, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m lossctl compute {words}"], capture_output=True, text=True, check=False
    )
    if told is None:
        check_told(done.returncode, done.stdout, done.stderr, "/dev/fd/", "not a readable NPY file")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_a_pipe_is_read_once(folder: Path) -> None:
    for command in ("gradcheck mse,mae", "gradcheck mse --grad p1.csv --reduction mean"):
        os.mkfifo("x.csv")
        thread = written("x.csv", b"1\n2\n3\n") if "," in command else None
        check_told(*outcome([*command.split(), "x.csv", "t1.csv"]), "read only once")
        if thread is not None:
            thread.join()
        os.unlink("x.csv")


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.npy"])
@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
@pytest.mark.slow
def test_a_file_that_changes_while_it_is_read(
    change: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is truncated at a row, grows or changes during the run is an error."""
    content = as_bytes(np.ones(30_000)) if name == "x.npy" else b"1.5\n" * 30_000
    if name.endswith(".gz"):
        content = COMPRESS[".gz"](content)
    put({name: content, "y.csv": "1\n" * 30_000})
    os.utime(name, (0, 0))
    spoil: dict[str, Callable[[], object]] = {
        "grow": lambda: Path(name).write_bytes(content + b"1.5\n"),
        "shrink": lambda: os.truncate(name, len(content) - 4),
        "rewrite": lambda: Path(name).write_bytes(content),
    }
    bind, seen = npy_module.NpyFile.bind, []

    def hook() -> None:
        if not seen:
            seen.append(1)
            spoil[change]()

    if name == "x.npy":
        monkeypatch.setattr(npy_module.NpyFile, "bind", lambda self, fields: (bind(self, fields), hook())[0])
    else:
        real = byte_stream.descriptor_state
        calls = []

        def state(descriptor: int) -> object:
            calls.append(real(descriptor))
            if len(calls) == 1:
                hook()
            return calls[-1]

        monkeypatch.setattr(byte_stream, "descriptor_state", state)
    code, out, err = outcome(["compute", "mse", name, "y.csv"])
    check_told(code, out, err, f"{name}: ")
    # A stream that breaks off, or has text after it, says so itself.
    assert any(said in err for said in ("changed while it was read", "truncated", "damaged, or not gz"))


# Common mistakes of new users


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "mse semi.csv -p pred -t target",
            "no column 'pred'; it has 'pred;target'; another delimiter? say --delimiter ';'",
        ),
        ("mse tabs.csv -p pred -t target", r"it has 'pred\ttarget'; another delimiter? say --delimiter tab"),
        ("mse bars.csv -p pred -t target", "it has 'pred|target'; another delimiter? say --delimiter '|'"),
        ("mse commas.txt -p pred -t target", "it has 'pred,target'; another delimiter? say --delimiter ,"),
        ("mse semi.csv -p @1 -t @2", "no column '@2': it has 1, @1 to @1; another delimiter? say --delimiter ';'"),
        ("mse semi.csv", "semi.csv: one file of one column; another delimiter? say --delimiter ';'"),
        ("mse p1.csv", "p1.csv: one file of one column: give TARGETS too, a second file"),
        ("mse p.npy", "p.npy: one file of one column: give TARGETS too, a second file"),
        ("mse p1.csv t1.csv -w @1", "weight column '@1': a position needs a single file, and there are 2: name"),
        (
            "bce p1.csv words.csv",
            "words.csv:2: column 'y': not a number: 'benign'; for names of classes, add --labels NEG,",
        ),
        ("hinge p1.csv words.csv", "'benign'; for names of classes, add --labels NEG,POS"),
        ("nll logs.npy words.csv", "'benign'; for names of classes, add --labels a,b,c"),
    ],
)
def test_errors_with_a_cure(command: str, told: str, folder: Path) -> None:
    put({"semi.csv": "pred;target\n1;2\n", "tabs.csv": "pred\ttarget\n1\t2\n", "bars.csv": "pred|target\n1|2\n"})
    put({"commas.txt": "pred,target\n1,2\n", "words.csv": "y\nbenign\nmalignant\nbenign\n"})
    put({"logs.npy": np.log(np.full((3, 2), 0.5))})
    refused(command, told)


@pytest.mark.parametrize(
    ("command", "never"), [("mse p1.csv words.csv", "--labels"), ("bce p1.csv na.csv", "--labels")]
)
def test_labels_are_not_named_where_they_are_none(command: str, never: str, folder: Path) -> None:
    put({"words.csv": "y\nbenign\n0\n1\n", "na.csv": "y\nNA\n0\n1\n"})
    code, out, err = outcome(["compute", *command.split()])
    check_told(code, out, err, "not a number: ")
    assert never not in err


# Anything at all


@pytest.mark.slow
def test_spoiled_files_of_every_format(tmp_path: Path) -> None:
    """A part of the cases of tests/benchmarks/fuzz.py."""
    count, found = rounds(0, 250, tmp_path)
    assert (count, found) == (250, [])


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200),
    form=st.sampled_from(["csv", "txt", "npy", "npz"]),
    suffix=st.sampled_from([*COMPRESS]),
)
@pytest.mark.slow
def test_any_bytes(content: bytes, form: str, suffix: str, tmp_path: Path) -> None:
    """Random bytes in a file, also in a valid compressed file."""
    targets(tmp_path)
    name = tmp_path / ("p.npz" if form == "npz" else f"p.{form}{suffix}")
    for data in (content, COMPRESS[suffix](content)):
        name.write_bytes(data)
        assert fault(["compute", "mse", str(name), str(tmp_path / "t.csv")]) is None


def test_a_planted_bug_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that the fuzz test detects a traceback, a hang and a bad message."""
    targets(tmp_path)
    argv = ["compute", "mse", str(tmp_path / "t.csv"), str(tmp_path / "t.csv"), "-p", "t", "-t", "t"]
    assert fault(argv) is None

    def bug(*_: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(run, "block_rows", bug)
    assert "exit 3" in str(fault(argv))
    assert spoiled(b"abc", random.Random(1)) != b"abc"  # noqa: S311 - no secret
    assert mutant(random.Random(1), tmp_path)[0][0] == "compute"  # noqa: S311 - no secret
