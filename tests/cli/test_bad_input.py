"""Wrong inputs: exit code 2 and one line on stderr with the location, the value and the remedy."""

from __future__ import annotations

import io
import math
import os
import random
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl.engine.run
from lossctl.cli.app import main


@dataclass(frozen=True)
class Case:
    """A command that must fail: its files, its stdin, and the parts of the error message in order."""

    name: str
    argv: tuple[str, ...]
    told: tuple[str, ...]
    files: Mapping[str, bytes]
    stdin: bytes | None = None


# The default files of a case: three valid samples.
GOOD = {"p.csv": "p\n1\n2\n3\n", "t.csv": "t\n1\n0\n1\n", "probs.csv": "a,b\n0.5,0.5\n0.25,0.75\n1,0\n"}
WIDE = "pred,target,w\n1,2,3\n"
ABC = "a,b,c\n1,2,3\n"
DEEP = np.zeros((3, 2, 4))
HALF = np.log(np.full((3, 2), 0.5))


def npy(array: np.ndarray) -> bytes:
    """An array as np.save writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_bytes(content: str | bytes | np.ndarray) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return npy(content) if isinstance(content, np.ndarray) else content


def raw(header: str, data: bytes = bytes(24), version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """An NPY file with any header."""
    text = header.encode("latin-1")
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def described(descr: str = "'<f8'", shape: str = "(3,)", order: str = "False", end: str = "\n") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}{end}"


# Functions that build cases with the same command or file.


def bad(name: str, command: str, *told: str, stdin: Any = None, **files: Any) -> Case:
    """A case with any command; ``p_csv=…`` is the content of p.csv."""
    contents = GOOD | {key.replace("_", "."): value for key, value in files.items()}
    encoded = {file: as_bytes(content) for file, content in contents.items()}
    return Case(name, ("compute", *shlex.split(command)), told, encoded, None if stdin is None else as_bytes(stdin))


def text(name: str, content: str | bytes, cause: str, *more: str, options: str = "") -> Case:
    """Predictions in an invalid CSV file."""
    return bad(f"text-{name}", f"mse p.csv t.csv {options}", "lossctl: p.csv" + cause, *more, p_csv=content)


def cell(written: str, cause: str, *more: str, options: str = "", name: str = "") -> Case:
    """A table with an invalid cell in line 3."""
    content = f"p\n1\n{written}\n3\n"
    return text(f"cell-{name or written}", content, ":3: column 'p': " + cause, *more, options=options)


def column(name: str, options: str, *told: str, content: str = WIDE) -> Case:
    """A selection of columns that a file does not have."""
    return bad(f"column-{name}", f"mse p.csv {options}", *told, p_csv=content)


def array(name: str, content: bytes | np.ndarray, *told: str) -> Case:
    """Predictions in an invalid NPY array."""
    return bad(f"npy-{name}", "mse p.npy t.csv", "lossctl: p.npy: ", *told, p_npy=content)


def unreadable(name: str, content: bytes, cause: str = "its header does not describe an array: ") -> Case:
    """A file with the suffix .npy that is not an NPY file."""
    return array(name, content, "not a readable NPY file: " + cause)


def option(name: str, options: str, *told: str, command: str = "mse p.csv t.csv") -> Case:
    """Invalid options on valid data."""
    return bad(f"option-{name}", f"{command} {options}", *told)


def label(name: str, written: str, cause: str, *more: str, command: str = "nll l.npy t.csv", **files: Any) -> Case:
    """A target in line 3 outside the domain of the loss."""
    given = {"l_npy": HALF, "t_csv": f"t\n1\n{written}\n1\n"} | files
    return bad(f"label-{name}", command, "lossctl: t.csv:3: column 't': " + cause, *more, **given)


def user(name: str, source: str, *told: str, spec: str = "f", options: str = "", **files: Any) -> Case:
    """A user file or function that is not a loss."""
    return bad(f"user-{name}", f"my.py:{spec} p.csv t.csv {options}", *told, my_py=source, **files)


PATHS = [
    bad("path-missing", "mse none.csv t.csv", "lossctl: none.csv: no such file or directory"),
    bad("path-missing-target", "mse p.csv none.npy", "none.npy: no such file or directory"),
    bad("path-missing-unknown-suffix", "mse none.dat t.csv", "none.dat: no such file or directory"),
    bad("path-missing-weight", "mse p.csv t.csv -w none.csv", "none.csv: no such file or directory"),
    bad("path-directory", "mse / t.csv", "/: is a directory"),
    bad("path-directory-csv", "mse dir.csv t.csv", "dir.csv: is a directory"),
    bad("path-directory-npy", "mse p.csv dir.npy", "dir.npy: is a directory"),
    bad("path-through-a-file", "mse p.csv/x.csv t.csv", "p.csv/x.csv: not a directory"),
    bad("path-too-long", f"mse {'x' * 300}.csv t.csv", "file name too long"),
    bad("path-loop", "mse loop.csv t.csv", "loop.csv: too many levels of symbolic links"),
    bad("path-input-output-error", "mse mem.csv t.csv", "mem.csv: input/output error"),
    bad("path-control-bytes", "mse '\x1b[31mred.csv' t.csv", r"\x1b[31mred.csv: no such file"),
    bad("path-other-control-characters", "mse '\x9b\u202e\x7f.csv' t.csv", r"\x9b\u202e\x7f.csv: no such file"),
    bad("path-line-end", "mse 'a\nb.csv' t.csv", "no such file"),
    bad("path-empty", "mse '' t.csv", "no such file or directory"),
    bad("suffix-unknown", "mse p.dat t.csv", "p.dat: its name does not tell its format", "--input-format", p_dat="1\n"),
    bad("suffix-none", "mse p t.csv", "p: its name does not tell its format: say --input-format", p="1\n"),
    option("input-format", "--input-format cvs", "--input-format 'cvs' is none of csv,", "did you mean 'csv'?"),
    option("input-format-npy", "--input-format npy", "p.csv: not a readable NPY file: it does not start as an NPY"),
    text("is-npy", npy(np.arange(3.0)), ":1: byte 0x93 is not UTF-8"),
    bad("endless-text", "mse zero.csv t.csv", "zero.csv:1: a NUL byte: this is not text"),
    bad(
        "endless-array",
        "mse zero.npy t.csv",
        "zero.npy: not a readable NPY file: it does not start as an NPY file does",
    ),
    unreadable("is-npz", b"PK\3\4" + bytes(40), "it does not start as an NPY file does; --input-format says what"),
    unreadable("is-text", b"1\n2\n3\n", "it does not start as an NPY file does; --input-format says what"),
]

TEXT = [
    text("empty", "", ": empty file"),
    text("only-a-mark", b"\xef\xbb\xbf", ": empty file"),
    text("only-a-header", "p\n", ": no rows, only a header; if that row is data, say --no-header"),
    text("only-a-header-without-line-end", "p", ": no rows, only a header"),
    text("only-blank-lines", "\n\n", ": empty file"),
    text("blank-first", "\np\n1\n2\n3\n", ":1: blank line"),
    text("blank-first-header-said", "\n1,2\n", ":1: blank line", options="--header"),
    text("blank-after-header", "p\n\n1\n2\n3\n", ":2: blank line"),
    text("blank-middle", "p\n1\n\n3\n", ":3: blank line; every line is one sample: remove it", "--na-values ''"),
    text("blank-of-blanks", "p\n1\n \t\n3\n", ":3: blank line"),
    text("blank-wide", "p,q\n1,2\n\n3,4\n", ":3: blank line", options="-p p"),
    text("blank-of-blanks-wide", "p,q\n1,2\n  \n3,4\n", ":3: blank line", options="-p p"),
    text("blank-middle-cr", "p,q\r1,2\r\r1,2\r", ":3: blank line", options="-p p"),
    text("blank-runs-of-blanks", "1 2\n\n3 4\n", ":2: blank line", options="-p @1 -d space"),
    text("short-row", "p,q\n1,2\n3\n", ":3: 1 cell where the header has 2", options="-p p"),
    text("long-row", "p,q\n1,2\n3,4,5\n", ":3: 3 cells where the header has 2", options="-p p"),
    text("long-row-no-header", "1\n2,3\n", ":2: 2 cells where the first row has 1"),
    text("trailing-comma", "p\n1,\n2,\n3,\n", ":2: 2 cells where the header has 1"),
    text("truncated-row", "p,q\n1,2\n1,2\n1", ":4: 1 cell where the header has 2", options="-p p"),
    text("ragged-far", "p\n" + "1.5\n" * 60_000 + "1,2\n", ":60002: 2 cells where the header has 1"),
    text("bad-cell-far", "p\n" + "1.5\n" * 60_000 + "x\n", ":60002: column 'p': not a number: 'x'"),
    text("semicolons", "p;q\n1;2\n", ":2: column 'p;q': not a number: '1;2'; another delimiter? say --delimiter"),
    text("semicolons-and-commas", "p;q\n1,5;2,5\n", ":2: 3 cells where the header has 1", "say --delimiter"),
    text("tabs", "p\tq\n1\t2\n", ":2: column 'p\\tq': not a number: '1\\t2'", "say --delimiter"),
    text("latin-1", b"p\n1\n\xe9\n3\n", ":3: byte 0xe9 is not UTF-8; say --encoding, for example latin-1 or cp1252"),
    text("latin-1-cr", b"p\r1\r\xe9\r3\r", ":3: byte 0xe9 is not UTF-8"),
    text("utf-16", "p\n1\n".encode("utf-16"), ": starts with the mark of UTF-16; say --encoding utf-16"),
    text("utf-16-no-mark", "p\n1\n".encode("utf-16-le"), ":1: a NUL byte", "--encoding utf-16"),
    text("utf-32", "p\n1\n".encode("utf-32"), ": starts with the mark of UTF-32; say --encoding utf-32"),
    text("other-encoding", "p\n1\né\n3\n", ":3: not ascii: ordinal not in range(128)", options="--encoding ascii"),
    text("nul", "p\n1\n2\0\n3\n", ":3: a NUL byte: this is not text"),
    text("nul-cr", "p\r1\r2\0\r3\r", ":3: a NUL byte: this is not text"),
    text("quote-unclosed", 'p\n1\n"2\n3\n', ":3: a quote is opened and never closed"),
    text("quote-unclosed-far", 'p\n"' + "1\n" * 3_000_000, ":2: a quote is opened and never closed within 1 MiB"),
    text("quote-unclosed-cut-character", 'p\n"' + "€" * 2_000_000, ":2: a quote is opened and never closed within"),
    text("quote-stray", 'p\n1\n2"\n3\n', ":3: a quote inside an unquoted cell; write the whole cell in quotes, and"),
    text("quote-stray-unselected", 'p,q\n1,5" pipe\n', ":2: a quote inside an unquoted cell", options="-p p"),
    text("quote-after-blank", 'p\n "1"\n', ":2: a quote inside an unquoted cell"),
    text("after-quote", 'p\n1\n"2"x\n3\n', ":3: text after a closing quote"),
    text("after-quote-blank", 'p\n1\n"2" \n3\n', ":3: text after a closing quote"),
    text("bad-cell-after-quoted-lines", 'p,q\n1,"a\nb\n"\nx,2\n', ":5: column 'p': not a number: 'x'", options="-p p"),
    text("no-line-end", "1," * 600_000, ":1: a record of over 1 MiB: not a table of text?"),
    text("no-line-end-long", "1" * 6_000_000, ":1: a record of over 1 MiB"),
    text("long-record", f"p,q\n1,{'x' * 1_100_000}\n2,y\n3,z\n", ":2: a record of over 1 MiB", options="-p p"),
    text("long-record-quoted", f'p,q\n1,"{"x" * 1_100_000}"\n2,y\n', ":2: a record of over 1 MiB", options="-p p"),
    text("many-digits", f"p\n{'9' * 100_000}\n", f":2: column 'p': '{'9' * 40}…' is too large for a double"),
    text("control-bytes-in-a-name", "\x1b[31m\7p\nx\n", r":2: column '\x1b[31m\x07p': not a number: 'x'"),
    text("long-name", "n" * 100_000 + ",q\n", f": there is no column 'c'; it has '{'n' * 40}…', 'q'", options="-p c"),
    text("header-mixed", "a,1\n1,2\n", ":1: the first row mixes a number, '1', and text, 'a': say --header or"),
    text("header-mixed-number-first", "2,x\n1,2\n", ":1: the first row mixes a number, '2', and text, 'x'"),
    text("header-counting", "0,1,2\n1,2,3\n", ":1: the first row is 0, 1, … 2: column names or numbers? say"),
    text("header-pandas-index", ",p\n0,1\n", ":1: the first name is empty, as pandas writes an index", "--pred"),
    text("header-empty-cell", "p,,q\n0,1,2\n", ":1: the first row has an empty cell: a header of names, or data? say"),
    text("header-empty-cell-in-data", "1,,2\n0,1,2\n", ":1: the first row has an empty cell", "--no-header"),
    text("header-said-not", "p\n1\n2\n3\n", ":1: column @1: not a number: 'p'", options="--no-header"),
    text("header-said-loses-a-row", "1\n2\n3\n", " has 2 rows, t.csv has 3 rows", "--no-header", options="--header"),
    text("header-said-of-one-row", "1\n", ": no rows, only a header; if that row is data, say", options="--header"),
    text("header-duplicate", "p,p\n1,2\n", ": 2 columns are called 'p': choose one by position, @1 and @2"),
    text("header-duplicate-chosen", "p,q,p\n1,2,3\n", ": 2 columns are called 'p'", "@1 and @3", options="-p p"),
    text("header-comment-lines", "# a b\n# c d\n1 2\n", ":2: 3 cells where the header has 2", options="-d space -p a"),
    text("header-comment-empty", "#\n1 2\n", ":1: a header without a name; if '#' marks a comment", options="-d space"),
    bad("text-empty-target", "mse p.csv t.csv", "t.csv: empty file", t_csv=""),
    bad("text-only-headers", "mse p.csv t.csv", "p.csv: no rows, only a header", p_csv="p\n", t_csv="t\n"),
    bad("text-stdin-twice", "mse - -", "stdin: one file", stdin="p,t\n1,2\n"),
    bad("text-stdin-empty", "mse - t.csv", "stdin: empty file", stdin=""),
    bad("text-stdin-cell", "mse - t.csv", "stdin:3: column 'p': not a number: 'oops'", stdin="p\n1\noops\n"),
    bad("text-stdin-target", "mse p.csv -", "stdin:2: column @1: not a number: 'oops'", stdin="1\noops\n"),
    bad("text-stdin-npy", "mse - t.npy", "stdin:1: byte 0x93 is not UTF-8", stdin=np.ones(2), t_npy=np.ones(2)),
    bad(
        "text-utf-16-truncated",
        "mse - --encoding utf-16 -p p -t t",
        "stdin:3: not utf-16: truncated data",
        stdin="p,t\n1,2\n3,4".encode("utf-16")[:-1],
    ),
    bad(
        "text-labels-in-first-row",
        "bce p.csv t.csv --labels neg,pos",
        "p.csv has 3 rows, t.csv has 4 rows: every row is one sample, and both must have the same; is a header taken",
        p_csv="p\n1\n0\n1\n",
        t_csv="pos\nneg\npos\nneg\n",
    ),
]

NO = "not a number: "
CELLS = [
    *(cell(word, f"{NO}'{word}'") for word in ("1_000", "0x10", "--1", "1e", ".", "e5", "+", "1.2.3", "1e5.0", "1d5")),
    *(
        cell(word, f"{NO}'{word}'")
        for word in ("$1", "1%", "1/2", "1 2", "tRUE", "infinit", "−1", "١٢", "１２", "½", "²")
    ),
    cell("'1'", NO + "\"'1'\""),
    cell('"1,5"', NO + "'1,5'; a decimal comma wants --decimal ,"),
    cell("1.5", NO + "'1.5'", options="--decimal , -d ;", name="point-for-comma"),
    cell("1\u00a0", NO + r"'1\xa0'", name="no-break-space"),
    cell("1\x0b", NO + r"'1\x0b'", name="vertical-tab"),
    cell("1\x85", NO + r"'1\x85'", name="next-line"),
    cell("1\u2028", NO + r"'1\u2028'", name="line-separator"),
    cell("2\x1a", NO + r"'2\x1a'", name="dos-end-of-file"),
    cell("\x1b[31m1", NO + r"'\x1b[31m1'", name="escape-code"),
    cell("\x9b31m1", NO + r"'\x9b31m1'", name="escape-code-of-one-byte"),
    cell("\u202e1", NO + r"'\u202e1'", name="right-to-left"),
    cell("\ufeff1", NO + r"'\ufeff1'", name="mark-in-the-middle"),
    cell('"1\n"', NO + r"'1\n'", name="quoted-line-end"),
    cell("x" * 100, NO + f"'{'x' * 40}…'", name="long"),
    cell("1e999", "'1e999' is too large for a double (about 1.8e308)"),
    cell("-1e309", "'-1e309' is too large for a double"),
    cell("NA", NO + "'NA'; if it means missing, say --na-values 'NA'"),
    cell("null", NO + "'null'; if it means missing, say --na-values 'null'"),
    cell("N/A", NO + "'N/A'; if it means missing", options="--na-values NA", name="other-missing"),
    cell("inf", "inf is not a finite number"),
    cell("-Infinity", "-inf is not a finite number"),
    text("cell-empty", "p,q\n1,2\n,2\n", ":3: column 'p': empty cell; if it means", "--na-values ''", options="-p p"),
    text("cell-two-in-row", "p\n1\n1,\n3\n", ":3: 2 cells where the header has 1"),
]

COLUMNS = [
    column("none-said", "", "p.csv: one file: select its columns with --pred and --target; it has 'a'", content=ABC),
    column("no-target-said", "-p a", "p.csv: one file", "with --target; it has 'a', 'b', 'c'", content=ABC),
    column("none-said-no-header", "", "with --pred and --target; @1 is its first column", content="1,2\n3,4\n"),
    column("none-said-pandas", "--header", "--pred", "it has '', 'p', 't'", content=",p,t\n0,1,2\n"),
    column("misspelt", "-p prde -t target", "no column 'prde'; it has 'pred', 'target', 'w'; did you mean 'pred'?"),
    column("misspelt-target", "-p pred -t tagret", "there is no column 'tagret'", "did you mean 'target'?"),
    column("misspelt-weight", "-p pred -t target -w x", "there is no column 'x'; it has 'pred', 'target', 'w'"),
    column("semicolons", "-p a -t b", "it has 'a;b'; another delimiter? say --delimiter", content="a;b\n1;2\n"),
    column("decimal-commas", "-p a -t b", "another delimiter? say --delimiter", content="a;b\n1,5;2\n"),
    column("blanks", "-p a -t b", "it has 'a b'; another delimiter? say --delimiter space", content="a b\n1 2\n"),
    column("case", "-p Pred -t target", "there is no column 'Pred'", "did you mean 'pred'?"),
    column("beyond", "-p @9 -t @1", "p.csv: there is no column '@9': it has 3, @1 to @3"),
    column("zero", "-p @0 -t @1", "there is no column '@0': it has 3, @1 to @3"),
    column("range-backwards", "-p @3-2 -t @1", "there is no column '@3-2': it has 3"),
    column("range-beyond", "-p @2-4 -t @1", "there is no column '@2-4': it has 3"),
    column("huge-position", f"-p @{'9' * 5000} -t @1", "there is no column '@9999"),
    column("other-digits", "-p @٣ -t @1", "there is no column '@٣'"),
    column("twice", "-p pred -p pred -t target", "p.csv: column 'pred' is chosen twice"),
    column("twice-by-glob", "-p pred -p p* -t target", "p.csv: column 'pred' is chosen twice"),
    column("no-glob", "-p 'z*' -t target", "there is no column 'z*'; it has 'pred'"),
    column("no-names", "-p pred -t @1", "no column 'pred': it has no header; @1 to @2 name columns", content="1,2\n"),
    column("control-bytes", "-p '\x1b[31m' -t w", r"there is no column '\x1b[31m'"),
    column(
        "of-many", "-p z -t a1", "it has 'a0',", "'a11' … (20 columns)", content=",".join(f"a{i}" for i in range(20))
    ),
    column(
        "descending",
        "-p 'z_*' -t a",
        "'z_*' matches 'z_10' before 'z_2', out of the order of their numbers: choose them by position",
        content="z_10,z_2,a\n1,2,0\n",
    ),
    bad("column-npy-none-said", "mse p.npy", "p.npy: one file", "@1 is its first column", p_npy=np.ones((3, 2))),
    bad("column-npy", "mse p.npy t.csv -p pred", "p.npy: there is no column 'pred'", "@1 to @2", p_npy=np.ones((3, 2))),
    bad("column-npy-beyond", "mse p.npy t.csv -p @3", "p.npy: there is no column '@3'", p_npy=np.ones((3, 2))),
    bad("column-npy-deep", "mse p.npy t.csv -p @1", "columns cannot be chosen of", p_npy=np.ones((3, 2, 2))),
    bad(
        "column-weight-in-both",
        "mse p.csv t.csv -p a -t a -w w",
        "weight column 'w' is in both of p.csv and t.csv: name a separate file",
        p_csv="a,w\n1,2\n",
        t_csv="a,w\n1,2\n",
    ),
    bad(
        "column-weight-in-neither",
        "mse p.csv t.csv -p p -w wieght",
        "weight column 'wieght' is in neither of p.csv and t.csv: they have 'p', 'weight', 't'; or name a "
        "separate file; did you mean 'weight'?",
        p_csv="p,weight\n1,2\n",
    ),
]

WRITERS: dict[str, Callable[[np.ndarray], str | bytes]] = {
    "csv": lambda a: "x\n" + "".join(f"{v}\n" for v in a),
    "tsv": lambda a: "x\r\n" + "".join(f"{v}\r\n" for v in a),
    "txt": lambda a: "".join(f" {v:e}\n" for v in a),
    "npy": npy,
}


def lengths() -> Iterator[Case]:
    """Each pair of formats with different numbers of rows: the error names both numbers."""
    rows = {3: np.arange(3.0), 5: np.arange(5.0)}
    for one, other, (n, m) in product(WRITERS, WRITERS, ((3, 5), (5, 3))):
        files = {f"p_{one}": WRITERS[one](rows[n]), f"t_{other}": WRITERS[other](rows[m])}
        counts = [f"p.{one} has {n} rows", f"t.{other} has {m} rows"]
        if one != "npy" or other != "npy":
            counts.sort(key=lambda told: "5 rows" in told)  # for a longer stream only a lower bound is known
        told = f"{', '.join(counts)}: every row is one sample"
        yield bad(f"length-{one}-{n}-{other}-{m}", f"mse p.{one} t.{other}", told, **files)
    for form in ("csv", "npy"):
        three, five = WRITERS[form](rows[3]), WRITERS[form](rows[5])
        told = ("stdin has 3 rows", f"t.{form} has 5 rows")
        command = f"mse - t.{form} --input-format {form}"
        yield bad(f"length-stdin-{form}", command, *told, stdin=three, **{f"t_{form}": five})
        told = ("has 3 rows", f"w.{form} has 5 rows")
        yield bad(f"length-weight-{form}", f"mse p.csv p.csv -p p -t p -w w.{form}", *told, **{f"w_{form}": five})


LONG = "x\n" + "1\n" * 100_000
SHAPES = [
    *lengths(),
    text("one-row-off", "1\n2\n", " has 2 rows, t.csv has 3 rows", "is a header taken for data, or data for a header?"),
    text("one-row", "1\n", " has 1 row, t.csv has 3 rows"),
    bad("length-long", "mse p.csv t.csv", "t.csv has 100,000 rows, p.csv has 100,001", p_csv=LONG + "1\n", t_csv=LONG),
    bad("shape-text", "mse p.csv t.csv", "pred (p.csv) has 2 columns, target (t.csv) has 1 column", p_csv="a,b\n1,2\n"),
    bad("shape-npy", "mse p.npy t.csv", "pred (p.npy) has 2 columns", "--pred and --target", p_npy=np.ones((3, 2))),
    bad("shape-index", "mse p.csv t.csv --header", "p.csv: its first column", "say --pred p", p_csv=",p\n0,1\n"),
    bad(
        "shape-transposed",
        "mse p.npy t.npy",
        "pred (p.npy) has 2 columns, target (t.npy) has 3 columns",
        p_npy=np.ones((3, 2)),
        t_npy=np.ones((2, 3)),
    ),
    bad(
        "shape-deep",
        "mse p.npy t.npy",
        "pred (p.npy) has shape (n, 2, 2), target (t.npy) has 4 columns",
        p_npy=np.ones((3, 2, 2)),
        t_npy=np.ones((3, 4)),
    ),
    bad(
        "shape-weight",
        "mse p.npy p.npy -p @1-2 -t @1-2 -w w.npy",
        "weight has 3 columns: one per sample or one per element; pred (p.npy) has 2 columns",
        p_npy=np.ones((3, 2)),
        w_npy=np.ones((3, 3)),
    ),
    bad("shape-classes", "kl_divergence probs.csv t.npy", "target has 3 classes a row, pred", t_npy=np.ones((3, 3))),
    bad("shape-no-classes", "softmax_cross_entropy p.csv t.csv", "pred: one number per row", "select several columns"),
    bad("shape-labels-wide", "nll l.npy probs.csv", "nll takes one label a row", l_npy=HALF),
    bad("class-axis-none", "nll l.npy t.npy", "--class-axis says which", l_npy=DEEP, t_npy=np.ones((3, 4))),
    *(
        bad(
            f"class-axis-{axis}",
            f"nll l.npy t.npy --class-axis {axis}",
            f"--class-axis {axis}: pred has axes 1 to 2 besides that of the samples, 0",
            l_npy=DEEP,
            t_npy=np.zeros((3, 4)),
        )
        for axis in (0, 3, 7, -3, -9)
    ),
    bad(
        "class-axis-other",
        "nll l.npy t.npy --class-axis 2",
        "pred (l.npy) has shape (n, 2, 4), target (t.npy) has 4 columns",
        l_npy=DEEP,
        t_npy=np.zeros((3, 4)),
    ),
    option("class-axis-word", "--class-axis last", "'last' is not a valid int"),
]

PLAIN = "real numbers are needed, in a plain array"
ARRAYS = [
    array("empty", b"", "empty file"),
    unreadable("magic-cut", b"\x93NUM", "it does not start as an NPY file does"),
    unreadable("magic-only", b"\x93NUMPY", "version 0.0"),
    unreadable("header-cut", raw(described())[:40], "it ends within its header"),
    unreadable("length-cut", b"\x93NUMPY\1\0\x76", "it ends within its header"),
    unreadable("length-lies", raw(described(), length=60_000), "it ends within its header"),
    unreadable("header-long", raw(described(end=" " * 20_000)), "a header of 20,057 bytes, and at most 10,000 are"),
    unreadable("header-long-2", raw(described(end=" " * 20_000), version=(2, 0)), "a header of 20,057 bytes"),
    *(
        unreadable(f"version-{a}-{b}", raw(described(), version=(a, b)), f"version {a}.{b}; 1.0 and 2.0 are what")
        for a, b in ((3, 0), (9, 9), (0, 0), (1, 7), (255, 255))
    ),
    array("version-2", raw(described(shape="(4,)"), version=(2, 0)), "truncated: shape (4,) of float64 is 32 bytes"),
    unreadable("code", raw("__import__('os').system('touch ran')")),
    unreadable("code-in-shape", raw(described(shape="(__import__('os').system('touch ran'),)"))),
    unreadable("code-in-descr", raw(described("__import__('os').system('touch ran')"))),
    unreadable("open-bracket", raw("{'descr': '<f8', (")),
    unreadable("nested", raw("(" * 4000 + ")" * 4000)),
    unreadable("other-keys", raw("{'a': 1}")),
    unreadable("a-list", raw("[1, 2]")),
    unreadable("control-bytes", raw("\x1b[31m\0\7")),
    unreadable("escape", raw(described("'\\d'"))),
    unreadable("order-no-bool", raw(described(order="3"))),
    unreadable("shape-no-tuple", raw(described(shape="3"))),
    unreadable("shape-of-text", raw(described(shape="('3',)"))),
    unreadable("shape-of-floats", raw(described(shape="(3.0,)"))),
    *(
        unreadable(f"descr-{descr}", raw(described(descr)))
        for descr in ("5", "()", "b'<f8'", "'<f12'", "'|T16'", "'no'", "None", "('<f8', 2000000000000)", "[('a',)]")
    ),
    array("shape-too-big", raw(described(shape="(4,)")), "truncated: shape (4,) of float64 is 32 bytes, 24 follow"),
    array("shape-too-small", raw(described(shape="(2,)")), "more data than the header declares: shape (2,) of float64"),
    array("shape-huge", raw(described(shape=f"({2**62}, 4)")), "truncated", f"{2**67} bytes, 24 follow"),
    array("shape-huge-but-empty", raw(described(shape=f"(0, {2**62})"), b""), f"no rows (shape (0, {2**62}))"),
    unreadable("shape-negative", raw(described(shape="(-3,)")), "its header declares the shape (-3,)"),
    unreadable("shape-negatives", raw(described(shape="(-3, -1)")), "its header declares the shape (-3, -1)"),
    unreadable("shape-65-bits", raw(described(shape=f"({2**64},)")), "its header declares a dimension of 2**63"),
    unreadable("shape-32000-bits", raw(described(shape=f"(0x{'f' * 8000},)")), "its header declares a dimension"),
    unreadable("dimensions", raw(described(shape=f"({'1,' * 99})"), bytes(8)), "99 dimensions, and NumPy has at most"),
    array("shape-0", np.array(3.0), "a single number (shape ()): at least one dimension of samples is needed"),
    array("no-rows", np.empty(0), "no rows (shape (0,))"),
    array("no-rows-wide", np.empty((0, 3)), "no rows (shape (0, 3))"),
    array("no-columns", np.empty((3, 0)), "(shape (3, 0))"),
    array("truncated", npy(np.arange(3.0))[:-1], "truncated: shape (3,) of float64 is 24 bytes, 23 follow"),
    array("no-data", npy(np.arange(3.0))[:-24], "truncated: shape (3,) of float64 is 24 bytes, 0 follow"),
    array("trailing", npy(np.arange(3.0)) + b"\n", "more data than the header declares", "24 bytes, 25 follow"),
    array("two-in-one", npy(np.arange(3.0)) * 2, "more data than the header declares"),
    array("objects", np.array([1, 2, 3], object), "an array of objects, which only unpickling could read", PLAIN),
    array("complex", np.ones(3, complex), "complex numbers (complex128): " + PLAIN),
    array("strings", np.array(["1", "2", "3"]), "strings (<U1): " + PLAIN),
    array("bytes", np.array([b"1", b"2", b"3"]), "strings (|S1): " + PLAIN),
    array("dates", np.array(["2024-01-01"] * 3, "datetime64[D]"), "dates (datetime64[D]): " + PLAIN),
    array("time-differences", np.ones(3, "timedelta64[s]"), "time differences (timedelta64[s]): " + PLAIN),
    array("structured", np.ones(3, [("a", "f8"), ("b", "i4")]), "a structured array ([('a', '<f8'), ('b', '<i4')]): "),
    array("structured-long", np.ones(3, [(f"a{i}", "f8") for i in range(99)]), "a structured array", PLAIN),
    array("void", np.zeros(3, "V8"), "a structured array (|V8): " + PLAIN),
    array("subarray", raw(described("('<f8', (2,))"), bytes(48)), "a structured array (('<f8', (2,))): " + PLAIN),
    array("variable-strings", raw(described("'T'"), bytes(48)), "not numbers (StringDType()): " + PLAIN),
    array("integers", np.array([1, 2**53, 2**53 + 1]), "row 2: 9007199254740993 is beyond 2**53 and no double: round"),
    array("negative-integers", np.array([1, -(2**53) - 1, 1]), "row 1: -9007199254740993 is beyond 2**53"),
    array("unsigned-integers", np.array([2**64 - 1, 0, 0], np.uint64), "row 0: 18446744073709551615 is beyond 2**53"),
    array("long-doubles", 1 + np.finfo(np.longdouble).eps * np.arange(3), "row 1: ", "has more digits than a double"),
    array("infinity", np.array([1, 2, np.inf], np.float32), "row 2: inf is not a finite number"),
    array("float16-infinity", np.array([1, -np.inf, 1], np.float16), "row 1: -inf is not a finite number"),
    *(
        bad(f"npy-stdin-{name}", "mse - t.npy --input-format npy", told, stdin=content, t_npy=np.ones(2))
        for name, content, told in (
            ("text", "1\n2\n", "stdin: not a readable NPY file: it does not start"),
            ("truncated", npy(np.ones(2))[:-3], "stdin: truncated: shape (2,) of float64 is 16 bytes, 13 follow"),
            ("empty", "", "stdin: empty file"),
            ("objects", np.array([1, None]), "stdin: an array of objects"),
        )
    ),
]


def missing() -> Iterator[Case]:
    """A NaN in each input, format and policy that is an error."""
    holed = np.array([1.0, math.nan, 1.0])
    for form, at in (("csv", ":3: column 'x': "), ("npy", ": row 1: ")):
        write = WRITERS[form]
        for role, command in (("p", f"mse p.{form} t.csv"), ("t", f"mse p.csv t.{form}")):
            told = f"{role}.{form}{at}nan is not a finite number; --nan skip leaves such samples out, --nan propagate"
            yield bad(f"nan-{role}-{form}", command, told, **{f"{role}_{form}": write(holed)})
            told, nothing = "every sample has a NaN", write(holed * math.nan)
            yield bad(f"nan-all-{role}-{form}", command + " --nan skip", told, **{f"{role}_{form}": nothing})
        for policy in ("error", "skip", "propagate"):
            told = f"w.{form}{at}weight nan is not a finite number of at least 0"
            command = f"mse p.csv t.csv -w w.{form} --nan {policy}"
            yield bad(f"nan-weight-{form}-{policy}", command, told, **{f"w_{form}": write(holed)})


def weights() -> Iterator[Case]:
    for written in ("-1", "inf", "-inf", "-1e-300"):
        told = f"weight {written} is not a finite number of at least 0"
        for form, at in (("csv", ":3: column 'x': "), ("npy", ": row 1: ")):
            files = {f"w_{form}": WRITERS[form](np.array([1, float(written), 1]))}
            yield bad(f"weight-{written}-{form}", f"mse p.csv t.csv -w w.{form}", f"w.{form}{at}{told}", **files)


THREE = "def f(pred, target, var):\n    return (pred - target) / var\n"
INPUTS = [
    *missing(),
    *weights(),
    cell("?", "nan is not a finite number", "--nan skip", options="--na-values ?", name="nan-value"),
    bad("weight-all-zero", "mse p.csv t.csv -w w.csv", "the weight of every sample is 0", w_csv="w\n0\n0\n0\n"),
    bad("weight-all-zero-npy", "mse p.csv t.csv -w w.npy", "the weight of every sample is 0", w_npy=np.zeros(3)),
    bad("weight-column", "mse p.csv -p p -t t -w w", "p.csv:2: column 'w': weight -0.5 is", p_csv="p,t,w\n1,2,-0.5\n"),
    bad("weight-two-columns", "mse p.csv t.csv -w w.csv", "weight has 2 columns", w_csv="v,w\n1,2\n1,2\n1,2\n"),
    bad("weight-text", "mse p.csv t.csv -w w.csv", "w.csv:2: column 'w': not a number: 'heavy'", w_csv="w\nheavy\n"),
    *(option(f"input-{v}", f"--input '{v}'", f"--input '{v}': NAME=COLUMN or NAME=") for v in ("", "v", "=x", "v=")),
    option("input-unknown", "--input var=x", "--input: mse has no input 'var'; it takes none besides pred and target"),
    option("input-pred", "--input pred=p.csv", "--input: mse has no input 'pred'; it takes none"),
    user("input-needed", THREE, "f needs var (a finite number): --input var=FILE or COLUMN"),
    user("input-misspelt", THREE, "f has no input 'vra'; it takes var; did you mean 'var'?", options="--input vra=p"),
    user("input-twice", THREE, "--input var is given twice", options="--input var=p.csv --input var=t.csv"),
    user("input-no-column", THREE, "var column 'v' is in neither of p.csv and t.csv", options="--input var=v"),
    user("input-length", THREE, "v.npy has 2 rows", "has 3 rows", options="--input var=v.npy", v_npy=np.ones(2)),
    user("target-not-taken", "def f(pred):\n    return pred\n", "f takes no target: leave out TARGETS and --target"),
]

HINGE = "hinge p.csv t.csv"
NLL = "nll l.npy t.npy"
FOUR = "a,b,c,d\n0.5,0.5,1,0\n{},0,1\n0.5,0.5,1,0\n"
CE = "categorical_cross_entropy p.csv -p a -p b -t c -t d"
SOFT = "sparse_softmax_cross_entropy l.npy t.csv"
DOMAINS = [
    label("beyond", "2", "label 2 is not a class: 2 columns are classes 0 to 1; for labels that start at 1, add"),
    label("negative", "-1", "label -1 is not a class", "--ignore-index -1 leaves such samples out"),
    label("not-whole", "0.5", "0.5 is not a whole number, the index of a class"),
    label("infinite", "inf", "label inf is not a class"),
    label("huge", "1e300", "label 1e+300 is not a class"),
    label("nan", "nan", "nan is not a whole number", "--nan skip"),
    label("word", "cat", "not a number: 'cat'"),
    label("of-no-column", "c", "label 2 is not a class: 2 columns", command="nll l.npy t.csv --labels 0,1,c"),
    label("unknown", "maybe", "'maybe' is not one of --labels 0,1", command="nll l.npy t.csv --labels 0,1"),
    label("unknown-number", "7", "'7' is not one of --labels 0,1", command="nll l.npy t.csv --labels 0,1"),
    label("case", "Yes", "'Yes' is not one of --labels 1,yes", command="nll l.npy t.csv --labels 1,yes"),
    *(label(f"sign-{v}", v, f"{v} is not -1 or +1", "--labels", command=HINGE) for v in ("0", "0.5", "2")),
    label("sign-word", "pos", "not a number: 'pos'", command=HINGE),
    *(
        label(f"probability-{v}", v, f"{v} is not a probability, from", command="bce l.npy t.csv", l_npy=np.ones(3))
        for v in ("-0.1", "1.5", "1.0000000000000002", "-1e-300")
    ),
    bad("label-npy", NLL, "t.npy: row 2: label 2 is not a class", l_npy=HALF, t_npy=np.array([0, 1, 2], np.uint8)),
    bad("label-npy-unknown", NLL + " --labels 1,2", "t.npy: row 1: 3 is not", l_npy=HALF, t_npy=np.array([1, 3, 2])),
    bad(
        "label-npy-unknown-after-nan",
        NLL + " --labels 0,1 --nan skip",
        "t.npy: row 2: 7 is not one of --labels 0,1",
        l_npy=HALF,
        t_npy=np.array([math.nan, 1, 7]),
    ),
    *(
        bad(f"labels-{v}", f"bce p.csv t.csv --labels '{v}'", f"--labels '{v}': two or more different names,")
        for v in ("a", "a,a", "1,1.0", ",", "a,", "")
    ),
    bad("labels-three", "bce p.csv t.csv --labels a,b,c", "--labels 'a,b,c': bce has two classes, NEG,POS"),
    option("labels-of-numbers", "--labels a,b", "--labels: the targets of mse are not labels"),
    bad("probability", "bce p.csv t.csv", "p.csv:3: column 'p': 2 is not a probability, from 0 to 1"),
    bad("rows-sum", CE, "p.csv:3: the row sums to 1.25, not to 1 within 0.001: --norm", p_csv=FOUR.format("0.5,0.75")),
    bad("rows-sum-to-0", CE + " --normalize", "p.csv:3: the row sums to 0, not to 1", p_csv=FOUR.format("0,0")),
    bad("rows-tolerance", CE + " --sum-tolerance 0.1", "1.25, not to 1 within 0.1", p_csv=FOUR.format("0.5,0.75")),
    bad("rows-range", CE, "p.csv:3: column 'b': 1.25 is not a probability", p_csv=FOUR.format("0,1.25")),
    bad("rows-nan", CE, "p.csv:3: column 'a': nan is not a probability", p_csv=FOUR.format("nan,1")),
    bad("rows-npy", "kl_divergence probs.csv t.npy", "t.npy: row 0: the row sums to", t_npy=np.full((3, 2), 0.375)),
    bad("logs-above-0", "nll l.npy t.csv", "l.npy: row 0, column 0: 0.5 is not the", l_npy=np.full((3, 2), 0.5)),
    bad("logs-sum", "nll l.npy t.csv", "l.npy: row 0: the row sums to 0.73", l_npy=np.full((3, 2), -1.0)),
    bad("logits-inf", SOFT, "l.npy: row 1, column 1: inf is not a finite number", l_npy=np.diag([0, math.inf, 0])),
    bad("logits-none", SOFT, "l.npy: row 0: every logit of the row is -inf", l_npy=np.full((3, 2), -math.inf)),
    bad("logit-inf", "bce_with_logits p.csv t.csv", "p.csv:2: column 'p': inf is not", p_csv="p\ninf\n1\n1\n"),
]

LOSSES = [
    *(
        bad(f"loss-{name}", f"{spec} p.csv t.csv", told)
        for name, spec, told in (
            ("unknown", "hubr", "unknown loss 'hubr'; did you mean 'huber'?"),
            ("far", "zzzzzz", "unknown loss 'zzzzzz'; see: lossctl list"),
            ("empty", "''", "there is no name; see: lossctl list"),
            ("empty-in-list", "mse,,mae", "there is no name"),
            ("twice", "mse,mae,l2", "loss mse is given twice"),
            ("control-bytes", "'\x1b[31m'", r"unknown loss '\x1b[31m'"),
            ("file-alone", "my.py", "name the function in it: my.py:FUNCTION"),
            ("file-missing", "none.py:f", "none.py: no such file"),
            ("file-a-folder", "dir.py:f", "dir.py"),
            ("param-unknown", "huber:detla=1", "huber has no parameter 'detla'; it takes delta; did you mean 'delta'?"),
            ("param-of-none", "mse:delta=1", "mse has no parameter 'delta'; it takes none"),
            ("param-no-value", "huber:delta", "loss 'huber:delta': 'delta' is not param=value: it takes delta"),
            ("param-value-alone", "huber:0.5", "'0.5' is not param=value: it takes delta; write huber:delta=0.5"),
            ("param-twice", "huber:delta=1:delta=2", "parameter 'delta' is given twice"),
            ("param-smoothing", "bce:label_smoothing=1.5", "parameter 'label_smoothing': '1.5' is not a number"),
        )
    ),
    *(
        bad(f"param-delta-{v}", f"'huber:delta={v}' p.csv t.csv", f"parameter 'delta': '{v}' is not a number above 0")
        for v in ("0", "-1", "inf", "nan", "abc", "1_0", "", "true", "1.5x", "٣")
    ),
    option("param-twice", "-P delta=1 -P delta=2", "'delta' is given twice", command="huber p.csv t.csv"),
    option("param-no-value", "-P delta", "-P 'delta': NAME=VALUE", command="huber p.csv t.csv"),
    option("param-of-two", "-P delta=1", "-P belongs to a single loss: write huber:", command="huber,mse p.csv t.csv"),
    option("param-as-option", "--delta 0.5", "no option --delta: it is a parameter of the loss: write huber:delta="),
]


def body(name: str, returned: str, *told: str) -> Case:
    """A function of the user that returns an invalid loss."""
    return user(name, f"import numpy as np\ndef f(p, t):\n    {returned}\n", *told)


USERS = [
    user("syntax-error", "def f(pred, target:\n    return 1\n", "my.py:1: "),
    user("null-byte", "def f(p, t):\n    return p\0\n", "my.py"),
    bad("user-not-utf-8", "my.py:f p.csv t.csv", "my.py", my_py=b"x = '\xe9'\n"),
    user("raises-at-import", "1 / 0\n", "my.py: cannot be imported: ZeroDivisionError: division by zero"),
    user("imports-nothing", "import no_such_module\n", "my.py: cannot be imported: ModuleNotFoundError"),
    user("raises-control-bytes", "raise ValueError('\\x1b[31m\\nred')\n", r"imported: ValueError: \x1b[31m\nred"),
    user("exits-at-import", "import sys\nsys.exit(0)\n", "my.py: cannot be imported: SystemExit"),
    user("opens-nothing-at-import", "open('no-such-file')\n", "my.py: cannot be imported: FileNotFoundError"),
    user("no-such-function", "def asym(p, t):\n    return p\n", "no function 'asmy'; it has asym", spec="asmy"),
    user("not-a-function", "f = 3\n", "my.py has no function 'f'"),
    user("a-class", "class f:\n    pass\n", "my.py has no function 'f'"),
    user("star-args", "def f(*args):\n    return args[0]\n", "my.py: f: *args: a loss needs named inputs"),
    user("star-kwargs", "def f(p, t, **kw):\n    return p\n", "my.py: f: ", "kw: a loss needs named inputs"),
    user("no-inputs", "def f():\n    return 1\n", "my.py: f: a loss takes at least one input"),
    user("no-default", "def f(p, t, *, alpha):\n    return p\n", "my.py: f: parameter 'alpha' has no default"),
    user("annotations", "def f(p: 'Nope', t):\n    return p\n", "my.py: f: its annotations cannot be read"),
    user("parameter", "def f(p, t, *, alpha=1.0):\n    return p\n", "f: parameter 'alpha': 'x' is", spec="f:alpha=x"),
    body("raises", "raise KeyError('oops')", "my.py:3: f: KeyError: 'oops'"),
    body("numpy-raises", "return p.reshape(7, 7)", "my.py:3: f: ValueError: cannot reshape"),
    body("writes-its-input", "p -= t", "my.py: f: returned nothing: return one loss per sample"),
    body("scalar", "return 1.0", "f: returned shape () instead of (3,): return one loss per sample"),
    body("mean", "return np.mean((p - t) ** 2)", "return one loss per sample"),
    body("wrong-shape", "return p[:2]", "f: returned shape (2,) instead of (3,)"),
    body("matrix", "return p[:, None] - t", "f: returned shape (3, 3) instead of (3,)"),
    body("strings", "return ['a', 'b', 'c']", "f: returned: list instead of an array of numbers"),
    body("digits", "return ['1', '2', '3']", "f: returned"),
    body("complex", "return p + 1j", "f: returned"),
    body("a-dict", "return {}", "f: returned a dict: return one loss per sample"),
    body("none", "pass", "f: returned"),
]

OPTIONS = [
    option("unknown", "--perd p", "no option --perd; did you mean '--pred'"),
    option("short", "-Z", "-Z"),
    option("no-value", "--pred", "--pred"),
    option("no-file", "", "PREDS", command="mse"),
    option("one-file-more", "x.csv", "x.csv"),
    option("reduction", "--reduction avg", "--reduction 'avg'", "mean, sum"),
    option("reduction-of-rmse", "--reduction sum", "rmse is not a plain mean: it has no", command="rmse p.csv t.csv"),
    option("nan", "--nan ignore", "--nan 'ignore'", "error, skip, propagate"),
    option("threads", "--threads 0", "--threads 0: at least 1"),
    option("threads-word", "--threads many", "'many' is not a valid int"),
    option("sum-tolerance", "--sum-tolerance -1", "--sum-tolerance -1: at least 0"),
    option("sum-tolerance-nan", "--sum-tolerance nan", "--sum-tolerance nan: at least 0"),
    option("precision", "--precision 0", "--precision 0: from 1 to 17"),
    option("format", "-f jsn", "unknown format 'jsn'", "did you mean 'json'"),
    option("color", "--color allways", "--color 'allways'", "did you mean 'always'?"),
    *(
        option(f"delimiter-{said!r}", f"-d '{said}'", "--delimiter ", "one character, or tab, or space for runs")
        for said in ("", "ab", "::", "1", "e", '"', "\r", "\n")
    ),
    option("decimal", "--decimal ';'", "--decimal ';': '.' or ','"),
    option("decimal-is-delimiter", "--decimal ,", "--decimal and the delimiter are both ','"),
    option("delimiter-is-decimal", "-d .", "--decimal and the delimiter are both '.'"),
    option("encoding", "--encoding utf-9", "unknown encoding 'utf-9'; for example utf-8, latin-1"),
    option("encoding-empty", "--encoding ''", "unknown encoding ''"),
    option("encoding-no-text", "--encoding hex", "'hex' is not an encoding of text"),
    option("output-no-folder", "-o none/x.csv", "-o none/x.csv: there is no folder 'none'"),
    option("output-a-folder", "-o dir.csv", "-o dir.csv: is a directory"),
    option("output-through-a-file", "-o p.csv/x.csv", "-o p.csv/x.csv: there is no folder 'p.csv'"),
    option("output-suffix", "-o x.xlsx", "-o x.xlsx: its suffix is none of "),
    option("output-full", "-o /dev/full", "-o /dev/full: no space left on device"),
    option("output-too-long", f"-o {'x' * 300}.csv", "file name too long"),
]

LINES = '{"p": 1}\n{"p": 2}\n'
DOORS = [
    bad("parquet-empty", "mse p.parquet t.csv", "lossctl: p.parquet: empty file", p_parquet=b""),
    bad("parquet-none", "mse p.parquet t.csv", "lossctl: p.parquet: not a readable .parquet file: ", p_parquet=b"PAR1"),
    bad("arrow-none", "mse p.arrow t.csv", "lossctl: p.arrow: not a readable .arrow file: ", p_arrow=bytes(99)),
    bad("feather-text", "mse p.feather t.csv", "p.feather: not a readable .feather file: ", p_feather="p\n1\n"),
    bad("parquet-missing", "mse none.parquet t.csv", "lossctl: none.parquet: no such file or directory"),
    bad("parquet-stdin", "mse - t.csv --input-format parquet", "stdin: .parquet files have their index at", stdin=b"x"),
    bad("ndjson-empty", "mse p.ndjson t.csv", "lossctl: p.ndjson: empty file", p_ndjson=b""),
    bad("ndjson-cell", "mse p.ndjson t.csv", "p.ndjson:3: column 'p': not a number: 'x'", p_ndjson=LINES + '{"p":"x"}'),
    bad("ndjson-array", "mse p.ndjson t.csv", "lossctl: p.ndjson:1: not a JSON object", p_ndjson="[1]\n"),
    bad("ndjson-table", "mse p.jsonl t.csv", "lossctl: p.jsonl:1: not JSON: ", p_jsonl="p\n1\n"),
    bad("ndjson-keys", "mse p.ndjson t.csv -p q", "p.ndjson: there is no column 'q'; it has 'p'", p_ndjson=LINES),
    bad("ndjson-no-text", "mse p.ndjson t.csv", "lossctl: p.ndjson:1: not JSON: 'utf-8'", p_ndjson=b"\xff\n"),
    bad("shards-none", "mse 'none*.csv' t.csv", "lossctl: none*.csv: no such file, nor one that it matches"),
    bad("shards-empty", "mse dir.npy t.csv", "lossctl: dir.npy: is a directory, and holds no files"),
    bad("shards-number", "mse 's-*.csv' 't?.csv'", "s-*.csv has 2 shards, t?.csv has 3: they are paired",
        **dict.fromkeys(("s-1_csv", "s-2_csv", "t1_csv", "t2_csv", "t3_csv"), "p\n1\n")),
    bad("shards-rows", "mse 's-*.csv' 'u?.csv'", "s-2.csv has 1 row, u2.csv has 2: shards are paired in the order of",
        **dict.fromkeys(("s-1_csv", "s-2_csv", "u1_csv"), "p\n1\n"), u2_csv="p\n1\n1\n"),
    bad("shards-order", "mse 's-*.csv' t.csv", "s-*.csv: 's-10.csv' comes before 's-9.csv', out of the order of their",
        **dict.fromkeys(("s-9_csv", "s-10_csv"), "p\n1\n")),
    bad("shards-formats", "mse 's*' t.csv", "s*: files of several formats: 's1.csv' and 's2.npy'", s1_csv="p\n1\n",
        s2_npy=np.ones(1)),
    bad("shards-cell", "mse 's?.csv' t.csv", "s2.csv:2: column 'p': not a number: 'x'", s1_csv="p\n1", s2_csv="p\nx"),
]  # fmt: skip

CASES = [*PATHS, *TEXT, *CELLS, *COLUMNS, *SHAPES, *ARRAYS, *INPUTS, *DOMAINS, *LOSSES, *USERS, *OPTIONS, *DOORS]


def put(case: Case, folder: Path) -> list[str]:
    """The case's files, and what no content makes; their names."""
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    for name in ("dir.csv", "dir.npy", "dir.py"):
        (folder / name).mkdir()
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "mem.csv").symlink_to("/proc/self/mem")  # whose first page cannot be read
    for name in ("zero.csv", "zero.npy"):
        (folder / name).symlink_to("/dev/zero")
    return sorted(os.listdir(folder))


def check_refused(code: int, out: bytes, err: bytes, told: tuple[str, ...] = ()) -> None:
    """Check for exit code 2, empty stdout, and one printable line on stderr with these parts in this order."""
    message = err.decode()
    assert code == 2, message
    assert out == b""
    assert message.startswith("lossctl: ")
    assert message.endswith("\n")
    assert message[:-1].isprintable(), "one line, and nothing that a terminal acts on"
    assert "Traceback" not in message
    rest = message
    for part in told:
        assert part in rest, f"{part!r} is not in {rest!r}"
        rest = rest[rest.index(part) + len(part) :]


def test_cases_are_distinct() -> None:
    """No two cases have the same name or the same content."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({(case.argv, tuple(case.files.items()), case.stdin) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One line with location, value and remedy; nothing is written, and no code from a file has run."""
    names = put(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.stdin or b"")))
    code = main(case.argv)
    check_refused(code, *capfdbinary.readouterr(), case.told)
    assert sorted(os.listdir(tmp_path)) == names


# One of each way in which a process differs from a call: stdin, warnings, exit, encodings, threads.
PROCESSES = [
    *(
        "path-missing",
        "path-control-bytes",
        "text-bad-cell-far",
        "text-stdin-empty",
        "text-stdin-cell",
        "text-stdin-npy",
    ),
    *("text-utf-16-truncated", "cell-right-to-left", "npy-code", "npy-objects", "npy-stdin-truncated", "npy-escape"),
    *("length-stdin-npy", "nan-p-npy", "user-raises-control-bytes", "option-output-full"),
]


def run(*argv: str, cwd: Path, **how: Any) -> tuple[int, bytes, bytes]:
    command = [sys.executable, "-m", "lossctl", *argv]
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False, timeout=300, **how)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("case", [case for case in CASES if case.name in PROCESSES], ids=lambda case: case.name)
@pytest.mark.slow
def test_refused_by_a_process(case: Case, tmp_path: Path) -> None:
    """The same in a process, which also shows warnings and errors at exit."""
    put(case, tmp_path)
    check_refused(*run(*case.argv, cwd=tmp_path, input=case.stdin or b""), case.told)


def test_closed_stdin(tmp_path: Path) -> None:
    """With ``<&-`` stdin is closed: an error."""
    (tmp_path / "t.csv").write_text("1\n")
    outcome = run("compute", "mse", "-", "t.csv", cwd=tmp_path, preexec_fn=lambda: os.close(0))
    check_refused(*outcome, ("stdin: it is closed",))


def test_terminal_as_stdin(tmp_path: Path) -> None:
    """``-`` with a terminal as stdin is an error; lossctl does not wait for input."""
    ours, theirs = os.openpty()
    try:
        outcome = run("compute", "mse", "-", "t.csv", cwd=tmp_path, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    check_refused(*outcome, ("stdin is a terminal: pipe a file into it, or name one instead of -",))


@pytest.mark.parametrize(("name", "content"), [("p.npy", npy(np.ones(2))[:-1]), ("p.csv", b"p\n1\n2,")])
def test_writer_that_breaks_off(name: str, content: bytes, tmp_path: Path) -> None:
    """A named pipe whose writer ends in the middle of a row."""
    os.mkfifo(tmp_path / name)
    (tmp_path / "t.csv").write_text("1\n2\n")
    with subprocess.Popen(["sh", "-c", f"cat > {name}"], cwd=tmp_path, stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        writer.stdin.write(content)
        writer.stdin.close()
        outcome = run("compute", "mse", name, "t.csv", cwd=tmp_path)
    check_refused(*outcome, ("p.npy: truncated" if name == "p.npy" else "p.csv:3: 2 cells where the header has 1",))


def compute(folder: Path, command: str, capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[int, bytes, bytes]:
    """Run a command on files in another folder than the current one."""
    argv = [str(folder / word) if (folder / word).exists() else word for word in shlex.split(command)]
    code = main(["compute", *argv])
    return code, *capfdbinary.readouterr()


@pytest.mark.parametrize("role", ["p", "t"])
@pytest.mark.parametrize("form", WRITERS)
def test_missing_values_when_asked_for(
    form: str, role: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """``--nan skip`` leaves the sample out, ``--nan propagate`` computes with it, in every format."""
    for name in ("p", "t"):
        content = WRITERS[form](np.array([3.0, math.nan if name == role else 2.0, 3.0]))
        (tmp_path / f"{name}.{form}").write_bytes(as_bytes(content))
    command = f"mse,mae p.{form} t.{form} -q --nan "
    assert compute(tmp_path, command + "skip", capfdbinary) == (0, b"0.0\n0.0\n", b"")
    assert compute(tmp_path, command + "propagate", capfdbinary) == (0, b"nan\nnan\n", b"")


@pytest.mark.parametrize("form", ["csv", "npy"])
def test_the_first_bad_row_is_told(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The first bad row is reported, even if several threads find bad rows."""
    monkeypatch.setattr(lossctl.engine.run, "BLOCK", 4)
    monkeypatch.setattr(lossctl.engine.run, "TASK_BLOCKS", 1)
    values = np.arange(400.0)
    values[[101, 105, 110, 399]] = math.nan
    for name in ("p", "t"):
        (tmp_path / f"{name}.{form}").write_bytes(as_bytes(WRITERS[form](values if name == "t" else np.zeros(400))))
    told = {"csv": "t.csv:103: column 'x': nan", "npy": "t.npy: row 101: nan"}[form]
    for threads in (1, 2, 7):
        outcome = compute(tmp_path, f"mse p.{form} t.{form} --threads {threads}", capfdbinary)
        check_refused(*outcome, (told,))


def test_integers_in_text_are_decimals(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """In text 2**53 + 1 is read as the nearest double; an NPY integer that changes is an error."""
    (tmp_path / "p.csv").write_text("9007199254740993\n")
    (tmp_path / "t.csv").write_text("0\n")
    assert compute(tmp_path, "mae p.csv t.csv -q", capfdbinary) == (0, b"9007199254740992.0\n", b"")


# Pieces of tables, and typical mistakes in them.
SCRAPS = [
    "1",
    "2.5",
    "-3",
    "1e5",
    "nan",
    "inf",
    ",",
    ",",
    "\n",
    "\n",
    "\r",
    "\r\n",
    '"',
    '""',
    " ",
    "\t",
    ";",
    "p",
    "é",
]
SCRAPS += ["€", "\0", "\x1b", "#", "_", "0", "@", "\ufeff", "\u2028", "x", "1e999", ""]
CHOICES = ["--header", "--no-header", "-d;", "-dspace", "--na-values=", "--encoding=latin-1", "--encoding=utf-16"]
CHOICES += ["--encoding=utf-7", "--encoding=punycode", "--nan=skip", "--nan=propagate", "-p@1", "-pp", "-p*", "-wp"]
CHOICES += ["-t@1", "--labels=1,2", "--normalize", "--class-axis=1", "--class-axis=-1"]
ARRAYS_TO_SPOIL = [np.arange(3.0), np.ones((3, 2), ">f4", order="F"), np.ones((2, 2, 2), order="F"), np.ones(3, bool)]


def spoiled(content: bytes, rng: random.Random) -> bytes:
    """Return the content with a few bytes changed, removed, doubled or inserted."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        how = rng.randrange(4)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del data[at : at + rng.randint(1, 8)]
        elif how == 2:
            data[at:at] = data[at : at + rng.randint(1, 20)]
        else:
            data[at:at] = bytes(rng.choices(b"(){}[]',:0123456789<>|fiubOUSVMmTcL -\\\n\0\"x_", k=rng.randint(1, 6)))
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_no_input_is_a_bug(seed: int, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Any bytes and options give a result or an error of one line."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    (tmp_path / "t.csv").write_text("1\n0\n1\n")
    for _ in range(120):
        if form := rng.choice(["csv", "txt", ""]):
            content = "".join(rng.choices(SCRAPS, k=rng.randint(0, 25))).encode()
        else:
            content = spoiled(npy(rng.choice(ARRAYS_TO_SPOIL)), rng)
        file = tmp_path / f"p.{form or 'npy'}"
        file.write_bytes(content)
        loss = rng.choice(["mse", "bce", "hinge", "sparse_softmax_cross_entropy", "kl_divergence"])
        options = rng.choices(CHOICES, k=rng.randint(0, 2))
        outcome = compute(tmp_path, f"{loss} {file.name} t.csv {shlex.join(options)}", capfdbinary)
        if outcome[0] != 0:
            check_refused(*outcome)


def test_messages_that_a_new_user_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options are named only where they were typed; quotes can be copied; a file of unknown suffix is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("id,p\n1,0.2\n2,nan\n3,0.4\n")
    (tmp_path / "t.csv").write_text("id,t\n1,1\n2,0\n3,1\n")
    (tmp_path / "u.csv").write_text("id,t\n1,1\n2,0\n4,1\n")
    (tmp_path / "g.dat").write_text("1\n2\n3\n")
    for line, code, text in (
        (
            "compute mse,mae,huber p.csv t.csv --join id --nan skip",
            0,
            "1 element with NaN left out of mse, mae, huber\n",
        ),
        ("compute mse,mae p.csv t.csv --join id --where id!=2", 0, "1 element left out of mse, mae by --where\n"),
        ("compute mse p.csv u.csv --join id", 2, "--join id:inner leaves such rows out"),
        (
            "compute bce p.csv t.csv --join id --class-weight 1,2",
            2,
            "bce has no column for each class; for two classes",
        ),
        (
            "compute bce_with_logits p.csv t.csv --join id --class-weight 1,2",
            2,
            "there is bce_with_logits:pos_weight=X",
        ),
        ("gradcheck mse p.csv t.csv -p p -t t --grad g.dat", 2, "the file of that name: ./g.dat --input-format csv"),
    ):
        assert main(line.split()) == code, line
        err = capsys.readouterr().err
        assert text in err
        assert err.count(text.strip()) == 1
