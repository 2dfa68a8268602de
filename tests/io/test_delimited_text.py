"""Delimited text against the standard library's csv and float(): values, names and line numbers at any chunk size."""

from __future__ import annotations

import csv
import fnmatch
import gc
import gzip
import io
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lossctl.errors import DataError, LossctlError, UsageError
from lossctl.io import byte_stream, column_selection, text_decoding, text_polars
from lossctl.io.formats import open_source
from lossctl.io.prefetch import prefetch
from lossctl.io.source import Field, Options
from lossctl.io.text_grammar import CellError, Dialect

LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass
class Text:
    """The contents of a file: names, the numbers of one field, the location of each row."""

    names: tuple[str, ...] | None
    values: np.ndarray
    lines: list[str | None] = field(default_factory=list)


def read(
    content: str | bytes, *chosen: str, suffix: str = ".csv", labels: tuple[str, ...] = (), **options: Any
) -> Text:
    """Read a file with this content through the source."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        opened = open_source(str(path), Options(**options), labels)
        source = opened.bind((Field("pred", chosen, labels),))
        values = np.concatenate([rows[0] for rows in source.chunks()])
        lines = [(source.line(row) or "").replace(f"{path}:", "") for row in range(len(values))]
        return Text(opened.names, values, lines)


def fault(content: str | bytes, *chosen: str, **how: Any) -> str:
    """Return the error for a file with this content, without the folder."""
    with pytest.raises(LossctlError) as told:
        read(content, *chosen, **how)
    return re.sub(r"^.*?/x\.\w+", "x", str(told.value))


@contextmanager
def cut(piece: int, limit: int = 1 << 20) -> Iterator[None]:
    """Read ``piece`` bytes at a time, and allow records of ``limit`` characters."""
    with mock.patch.object(byte_stream, "PIECE", piece), mock.patch.object(text_decoding, "RECORD_LIMIT", limit):
        yield


def same(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Return whether arrays are equal to the bit, apart from the payload of NaN."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    return np.array_equal(x, y, equal_nan=True) and bool((np.isnan(x) | (np.signbit(x) == np.signbit(y))).all())


# Numbers


def plain_float(cell: str) -> float | None:
    """Return float() of ASCII text without underscores, with only spaces and tabs around it."""
    text = cell.strip(" \t")
    if not text.isascii() or "_" in text or text != text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


LETTERS = st.text("0123456789+-.eEinfatyINFATY_ \t\n\r\x0b\x1f,;x\u0661\uff11\u00a0\u00b2", max_size=12)
WRITTEN = st.one_of(
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).flatmap(
        lambda x: st.sampled_from([f"{x:.17g}", f"{x:+.25e}", f"{x:E}", f"{x:.3f}"])
    ),
    st.from_regex(
        re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?"), fullmatch=True
    ),
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["inf", "-Infinity", "+iNf", "NaN", "-nan", "4.9e-324", "2e-324", "1.7976931348623157e308", "1."]),
)
BLANKS = st.text(" \t", max_size=2)


@settings(max_examples=500)
@given(st.one_of(LETTERS, WRITTEN, st.tuples(BLANKS, WRITTEN, BLANKS).map("".join)))
@pytest.mark.slow
def test_a_cell_is_a_number_where_float_says_so(cell: str) -> None:
    """Forms that only Python accepts are not numbers: 1_000, digits of other scripts, other blanks."""
    found, expected = Dialect(",").number(cell), plain_float(cell)
    assert (found is None) == (expected is None)
    assert found is None or same(found, expected)


@settings(max_examples=300)
@given(st.lists(st.one_of(WRITTEN, LETTERS), min_size=1, max_size=5))
@pytest.mark.slow
def test_many_cells_are_read_as_one_is(cells: list[str]) -> None:
    """Fast and slow parser agree on values and on the first cell that is not a number."""
    expected = [plain_float(cell) for cell in cells]
    bad = [
        value is None or (math.isinf(value) and any(c.isdigit() for c in cell))
        for cell, value in zip(cells, expected, strict=True)
    ]
    if any(bad):
        with pytest.raises(CellError) as told:
            Dialect(",").numbers(cells)
        assert told.value.index == bad.index(True)
    else:
        assert same(Dialect(",").numbers(cells), np.array(expected, float))


@given(st.floats())
def test_what_repr_writes_is_read_back(x: float) -> None:
    assert same(Dialect(",").numbers([repr(x)]), [x])


@given(st.one_of(LETTERS, WRITTEN))
@pytest.mark.slow
def test_decimal_comma(cell: str) -> None:
    """``--decimal ,`` reads 1,5 as 1.5, and a point is an error."""
    swapped = cell.translate({ord("."): ",", ord(","): "."})
    found, expected = Dialect(";", decimal=",").number(swapped), plain_float(cell)
    assert (found is None) == (expected is None)
    assert found is None or same(found, expected)


@pytest.mark.parametrize("cell", ["1e309", "-1e309", "9" * 400, "1" + "0" * 309 + ".5e0", "1.8e308"])
def test_what_is_too_large_is_no_infinity(cell: str) -> None:
    assert fault(f"p\n1\n{cell}\n").startswith("x:3: column 'p': '")
    assert "is too large for a double" in fault(f"p\n1\n{cell}\n")
    assert "is too large for a double" in fault(f"p\n1\n{cell}\n", na_values=("none",))


# Tables


@dataclass(frozen=True)
class Table:
    """A text, its records, and which columns contain numbers."""

    text: str
    records: list[list[str]]
    lines: list[int]
    numeric: list[int]
    delimiter: str
    longest: int  # characters of the longest record, without its line end

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.strip(" \t") for name in self.records[0])


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def written(
    records: list[list[str]], delimiter: str, end: str, quotes: list[bool], *, last: bool
) -> tuple[str, list[int], int]:
    """Return the text of records, the line of each record, the length of the longest."""
    text, lines, longest = "", [], 0
    choice = iter(quotes * sum(map(len, records)))
    for record in records:
        lines.append(1 + len(LINE_END.findall(text)))
        must = [any(c in cell for c in ('"', "\r", "\n", delimiter)) for cell in record]
        row = delimiter.join(quoted(c) if next(choice) or m else c for c, m in zip(record, must, strict=True))
        longest = max(longest, len(row))
        text += row + end
    return (text if last else text[: -len(end)]), lines, longest


ANY = st.text(st.sampled_from('ab1,;"\n\r\t |é€😀\u2028\x0b\x85#'), max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a header and rows, with columns of numbers and text, random quotes and any line ends."""
    delimiter = draw(st.sampled_from(",;\t|:^]\\§€"))
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    numeric = draw(st.lists(st.integers(0, width - 1), min_size=1, unique=True))
    # Not "# n0", which is the name n0 as np.savetxt writes it.
    names = [f"{draw(ANY).strip().removeprefix('# ')}n{i}" for i in range(width)]
    rows = [[draw(WRITTEN) if i in numeric else draw(ANY) for i in range(width)] for _ in range(height)]
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quotes = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    text, lines, longest = written([names, *rows], delimiter, end, quotes, last=draw(st.booleans()))
    return Table(text, [names, *rows], lines, numeric, delimiter, longest)


def positions(table: Table) -> list[str]:
    return [f"@{i + 1}" for i in table.numeric]


def values_of(records: list[list[str]], chosen: list[int]) -> np.ndarray:
    return np.array([[float(record[i].strip(" \t")) for i in chosen] for record in records])


@settings(max_examples=150)
@given(tables(), st.booleans(), st.integers(4, 40))
@pytest.mark.slow
def test_a_table_is_read_as_csv_reads_it(table: Table, mark: bool, piece: int) -> None:
    """Values, names and lines agree with csv, in one piece and in small pieces, with and without a BOM."""
    expected = list(csv.reader(io.StringIO(table.text, newline=""), delimiter=table.delimiter))
    assert expected == table.records
    content = b"\xef\xbb\xbf" * mark + table.text.encode()
    how = {"delimiter": table.delimiter, "header": True}
    whole = read(content, *positions(table), **how)
    with cut(piece):
        pieces = read(content, *positions(table), **how)
    for found in (whole, pieces):
        assert found.names == table.names
        assert same(found.values, values_of(expected[1:], table.numeric))
        assert found.lines == [str(line) for line in table.lines[1:]]


BAD = ["oops", "1_000", "0x1", "", "1e", "--1", "1e400", "٣", "1,5", "1 2"]


@settings(max_examples=120)
@given(tables(), st.data(), st.integers(4, 40))
@pytest.mark.slow
def test_one_bad_cell_is_told_by_file_line_and_column(table: Table, data: st.DataObject, piece: int) -> None:
    row = data.draw(st.integers(1, len(table.records) - 1))
    column = data.draw(st.sampled_from(table.numeric))
    bad = data.draw(st.sampled_from(BAD))
    records = [list(record) for record in table.records]
    records[row][column] = bad
    text, lines, _ = written(records, table.delimiter, "\n", [True], last=True)
    where = f"x:{lines[row]}: "
    name = column_selection.describe(column, table.names)
    if bad or len(table.names) > 1:
        where += f"column {name}: "
    how: dict[str, Any] = {"delimiter": table.delimiter, "header": True}
    assert fault(text, *positions(table), **how).startswith(where)
    with cut(piece):
        assert fault(text, *positions(table), **how).startswith(where)


@settings(max_examples=120)
@given(tables(), st.data(), st.integers(4, 40))
@pytest.mark.slow
def test_one_ragged_row_is_told_by_file_and_line(table: Table, data: st.DataObject, piece: int) -> None:
    row = data.draw(st.integers(1, len(table.records) - 1))
    records = [list(record) for record in table.records]
    records[row].append("1")
    assume(len(records) > 2)  # the only row could have a name before its values, as R writes it
    text, lines, _ = written(records, table.delimiter, "\r\n", [True], last=True)
    width = len(table.names)
    with cut(piece):
        told = fault(text, *positions(table), delimiter=table.delimiter, header=True)
    assert told.startswith(f"x:{lines[row]}: {width + 1} cells where the header has {width}")


@settings(max_examples=120)
@given(tables(), st.integers(4, 40))
@pytest.mark.slow
def test_a_record_is_too_long_wherever_it_is_cut(table: Table, piece: int) -> None:
    """Whether a record is too long does not depend on the pieces in which it is read."""
    how: dict[str, Any] = {"delimiter": table.delimiter, "header": True}
    with cut(piece, limit=table.longest):
        assert len(read(table.text, *positions(table), **how).values) == len(table.records) - 1
    if table.longest > 1:
        with cut(piece, limit=table.longest - 1):
            assert re.match(
                r"x:\d+: (a record of over 1 MiB|a quote is opened and never closed within 1 MiB)",
                fault(table.text, *positions(table), **how),
            )


@settings(max_examples=100)
@given(
    st.lists(st.lists(WRITTEN, min_size=2, max_size=2), min_size=1, max_size=6),
    st.lists(st.text(" \t", min_size=1, max_size=3), min_size=1),
    st.booleans(),
    st.integers(4, 40),
)
@pytest.mark.slow
def test_runs_of_blanks(rows: list[list[str]], gaps: list[str], quote: bool, piece: int) -> None:
    """.txt: cells between runs of blanks, with blanks at both ends."""
    gap = gaps * (3 * len(rows))
    cells = [[quoted(c) if quote else c for c in row] for row in rows]
    text = "".join(f"{gap[3 * i]}{a}{gap[3 * i + 1]}{b}{gap[3 * i + 2]}\n" for i, (a, b) in enumerate(cells))
    with cut(piece):
        found = read(text, suffix=".txt", header=False)
    assert same(found.values, values_of(rows, [0, 1]))
    assert found.lines == [str(i + 1) for i in range(len(rows))]


def test_old_line_ends_and_new_ones_inside_quotes() -> None:
    """A lone carriage return ends a record; a line feed inside quotes does not."""
    text = 'p,q\r1,"a\nb"\r' + "2,c\r" * 500
    with cut(16, limit=64):
        found = read(text, "p")
    assert len(found.values) == 501
    assert found.lines[:3] == ["2", "4", "5"]


@pytest.mark.slow
def test_lines_far_into_a_file() -> None:
    """Line numbers are right in the second and third MiB, after quoted line ends."""
    rows = ["1.25,xx\n"] * 150_000
    rows[100] = '1,"a\r\nb\n"\n'
    text = "p,q\n" + "".join(rows)
    assert len(text) > byte_stream.PIECE
    assert fault(text + "oops,y\n", "p") == "x:150004: column 'p': not a number: 'oops'"
    assert fault(text + "1\n", "p") == "x:150004: 1 cell where the header has 2"
    assert fault(text + '1,y"\n', "p").startswith("x:150004: a quote inside an unquoted cell")
    assert fault(text.encode() + b"1,\xff\n", "p").startswith("x:150004: byte 0xff is not UTF-8")
    assert fault(text + "1,\0\n", "p").startswith("x:150004: a NUL byte")


# Parsing by polars, and parsing by the grammar alone

NEARLY = [
    *(" 1", "1 ", " 1 ", "\t2", "+1", "-.5", "1.", "1_0", "0x1p3", "1e5", "1E+05", "1e400", "-1e-400", "1d5", "1f"),
    *("nan", "NaN", "-nan", "+NAN", "nan(1)", "inf", "-Infinity", "infinit", "", " ", '""', '"', "NA", "null", "None"),
    *('"1"', '" 1"', '"1" ', ' "1"', '"1"2', '1"2', "1\x0b", "\xa01", "\ufeff1", "\u0661", "1,5", "1.5", "1,5,6", "x"),
    *("#1", "1\x002", "true", "-", ".", "1e", "9" * 20, "0.1000000000000000055511151231257827021181583404541015625"),
    *('"a""b"', '"a,b"', '"a\nb"', '"a;b c"', "é", "a'b", "yes", " no", "yes ", "5e-324", "2.47032822920623e-324"),
    *('"\ufeff"', "\ufeffa", 'a"b', '"a\n\nb"', '""""', '"a"b', "a\x00b", "a b", " a", "\udcff"),
]  # fmt: skip
STRAY = [
    "\n",
    "\r",
    "\r\n",
    ",",
    ";",
    " ",
    "\t",
    '"',
    "\ufeff",
    "\x00",
    "1",
    "-",
    "é",
    "\udcff",
    "#",
    "_",
    "\n\n",
    "  ",
]


@dataclass(frozen=True)
class Case:
    """A valid or invalid file, the columns selected, and the sizes of chunks."""

    content: bytes
    fields: tuple[Field, ...]
    how: dict[str, Any]
    piece: int
    chunk: int
    limit: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw tables that are mostly plain, with a few unusual cells and characters."""
    kind = draw(st.sampled_from([",", ",", ",", ";", "\t", "|", "-", ".", "e", "1", " ", None, None]))
    delimiter = " " if kind is None else kind
    decimal = draw(st.sampled_from([".", ".", ".", ","])) if delimiter not in ".," else "." if kind == "," else ","
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    rng = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - more even than what hypothesis draws
    quote = draw(st.sampled_from([0.0, 0.0, 0.3, 1.0]))
    notes = {c for c in range(width) if rng.random() < draw(st.sampled_from([0.0, 0.5]))}
    odd = draw(st.sampled_from([0.0, 0.0, 0.05, 0.2]))
    words = draw(st.sampled_from([["yes", "no"], ["1", "0", "1.0"], ["a b", "é", "", "x;y", "k"], ["0.5", "-3"]]))

    def cell(column: int) -> str:
        if column in notes:
            if rng.random() < odd:
                return rng.choice(NEARLY)
            text = rng.choice(words)
        else:
            text = rng.choice(["{:.3f}", "{!r}", "{:.17g}", "{:.0f}", "{:+e}"]).format(
                rng.gauss(0, 10.0 ** rng.randint(-9, 9))
            )
            text = text.replace(".", decimal)
        return quoted(text) if rng.random() < quote or delimiter in text else text

    rows = [[cell(c) for c in range(width)] for _ in range(height)]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        rows[rng.randrange(height)][rng.randrange(width)] = rng.choice(NEARLY)
    if rng.random() < 0.1:
        rows[rng.randrange(height)].append("1")
    if rng.random() < 0.1:
        rows[rng.randrange(height)].pop()
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"]))
    text = end.join(delimiter.join(row) for row in rows) + end * rng.choice([0, 1, 1, 1, 2])
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(STRAY) + text[at + rng.randrange(2) :]
    if draw(st.booleans()):
        text = delimiter.join(f"n{c}" for c in range(width)) + end + text
        header: bool | None = True
    else:
        header = draw(st.sampled_from([None, False]))
    plain = [c for c in range(1, width + 1) if c - 1 not in notes] * draw(st.sampled_from([0, 1, 1, 1]))
    chosen = draw(st.permutations(plain or range(1, width + 1)))[: draw(st.integers(1, width))]
    fields = [Field("pred", tuple(f"@{c}" for c in chosen))]
    more = draw(st.sampled_from(["", "", "", "key", "labels", "digits"]))
    if more:
        labels = ("no", "yes") if "yes" in words else ("0", "1", "a b", "é")
        column = (f"@{draw(st.integers(1, width))}",)
        fields.append(
            Field("target", column, labels if more == "labels" else (), more == "digits", more == "key", more == "key")
        )
    na_values = draw(st.sampled_from([(), (), (), ("NA", "-999"), ("", "null"), ("0.5", " x ")]))
    how = {"delimiter": "space" if kind is None else kind, "decimal": decimal, "header": header, "na_values": na_values}
    limit = draw(st.sampled_from([1 << 20, 1 << 20, 60, 20]))
    content = text.encode("utf-8", "surrogateescape")
    return Case(content, tuple(fields), how, draw(st.integers(4, 40)), draw(st.integers(4, 600)), limit)


def bits(values: np.ndarray) -> Any:
    """Return the bits of values, with one value for all NaN."""
    return values.tolist() if values.dtype == object else np.where(np.isnan(values), np.nan, values).tobytes()


def answer(case: Case, worth: float) -> Any:
    """Return names, bits of values and lines, or the error; and the number of chunks that polars read."""
    taken = []
    read_rows = text_polars.PolarsTextReader.rows

    def counted(self: text_polars.PolarsTextReader, chunk: bytes) -> Any:
        found = read_rows(self, chunk)
        taken.append(found is not None)
        return found

    with (
        tempfile.TemporaryDirectory() as folder,
        cut(case.piece, case.limit),
        mock.patch.object(byte_stream, "CHUNK", case.chunk),
        mock.patch.object(text_polars, "WORTH", worth),
        mock.patch.object(text_polars.PolarsTextReader, "rows", counted),
    ):
        path = Path(folder) / "x.csv"
        path.write_bytes(case.content)
        try:
            source = open_source(str(path), Options(**case.how)).bind(case.fields)
            values = [np.concatenate(arrays) for arrays in zip(*source.chunks(), strict=True)]
            lines = [(source.line(row) or "").removeprefix(folder) for row in range(len(values[0]))]
            return (source.row_shapes, [bits(v) for v in values], lines), taken
        except LossctlError as error:
            return str(error).replace(folder, ""), taken


TAKEN = {True: 0, False: 0}


@settings(max_examples=300)
@given(cases())
@pytest.mark.slow
def test_polars_and_the_grammar_agree(case: Case) -> None:
    """Polars and the grammar agree on values, errors, names and lines for all chunks; fuzz.py runs longer."""
    wanted, none = answer(case, math.inf)
    found, taken = answer(case, 0)
    assert found == wanted
    assert not none
    for how in taken:
        TAKEN[how] += 1


def taken(content: str, *chosen: str, **how: Any) -> bool:
    """Return whether polars reads all lines except the first."""
    fields = (Field("pred", chosen, how.pop("labels", ()), text=how.pop("text", False)),)
    first = len(content[: content.find("\n") + 1].encode())  # the grammar always reads the first line
    case = Case(content.encode(), fields, {"header": False} | how, first or 4, 1 << 22, 1 << 20)
    wanted, found = answer(case, math.inf)[0], answer(case, 0)
    assert found[0] == wanted
    return found[1] == [True]


@pytest.mark.parametrize(
    ("rows", "how"),
    [
        ("1.5,2", {}),
        ("1.5,2", {"end": "\r\n"}),
        ('"1.5","2"', {}),
        (" 1.5,+2e5", {}),
        ("nan,2", {}),
        ("1.5;2", {"delimiter": ";"}),
        ("1,5;2", {"delimiter": ";", "decimal": ","}),
        ("1.5 2", {"delimiter": "space"}),
        ("NA,2", {"na_values": ("NA",)}),
        ("yes,no", {"labels": ("yes", "no")}),
        ("a b,é", {"text": True}),
        (" a,", {"text": True}),
        ("1.5,note", {"chosen": "@1"}),
        ("1.5,", {"chosen": "@1"}),
        ('1.5,"a, ""b"""', {"chosen": "@1"}),
    ],
)
def test_what_polars_reads(rows: str, how: dict[str, Any]) -> None:
    """Common tables do not use the fallback parser, which is ten times slower."""
    options = dict(how)
    end, chosen = options.pop("end", "\n"), options.pop("chosen", "@1-2")
    assert taken((rows + end) * 50, chosen, **options)
    assert taken(((rows + end) * 50)[: -len(end)], chosen, **options)


@pytest.mark.parametrize(
    ("rows", "how"),
    [
        ("1.5,2 ", {"chosen": "@2"}),  # right, but not for polars
        ("1.5,2", {"end": "\r"}),
        ("inf,2", {}),
        ("1.5  2", {"delimiter": "space"}),
        ('1.5,"a\nb"', {"chosen": "@1"}),
        ("1.5,a.b", {"delimiter": ",", "decimal": ".", "piece": "x\0"}),
        ("1§2", {"delimiter": "§"}),
        ("1.5,2", {"chosen": "@1-2", "piece": "3\n"}),  # an error: polars has a null for the cell that is not there
        ("1.5,2", {"chosen": "@1-2", "piece": "\n3,4\n"}),
        ("1.5,2", {"chosen": "@1-2", "piece": "3,\n"}),
    ],
)
def test_what_the_grammar_reads(rows: str, how: dict[str, Any]) -> None:
    options = dict(how)
    end, chosen, stray = options.pop("end", "\n"), options.pop("chosen", "@1"), options.pop("piece", "")
    assert not taken((rows + end) * 50 + stray, chosen, **options)


# Reading ahead


def threads() -> int:
    return sum("reads ahead" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("stop", ["end", "error", "left", "unread"])
@pytest.mark.slow
def test_no_thread_is_left(stop: str, suffix: str, tmp_path: Path) -> None:
    """No thread is left after the end of the file, after an error, or if reading stops early."""
    text = "p\n" + "1.25\n" * 2_000_000 + "oops\n" * (stop == "error")
    path = tmp_path / f"x.csv{suffix}"
    path.write_bytes(text.encode() if not suffix else gzip.compress(text.encode(), 1))
    source = open_source(str(path), Options()).bind((Field("pred"),))
    chunks: Any = source.chunks()
    if stop == "end":
        assert sum(len(rows[0]) for rows in chunks) == 2_000_000
    elif stop == "error":
        with pytest.raises(DataError, match=r"csv(\.gz)?:2000002: column 'p': not a number: 'oops'"):
            list(chunks)
    elif stop == "left":
        for _ in range(2 + len(text[: byte_stream.PIECE]) // byte_stream.PIECE):
            next(chunks)
        assert threads() == 1 or not suffix
        chunks.close()
    del chunks, source
    gc.collect()
    assert threads() == 0


def test_what_is_read_ahead_is_bounded() -> None:
    """At most two chunks are prefetched, even if the consumer is slow."""
    made = []

    def chunks() -> Iterator[bytes]:
        for i in range(50):
            made.append(i)
            yield b"x"

    source = prefetch(chunks(), ends=True)
    for taken in range(1, 20):
        next(source)
        time.sleep(0.002)
        assert len(made) <= taken + 2
    source.close()  # type: ignore[attr-defined]
    assert len(made) <= 22
    assert threads() == 0


def test_what_is_raised_ahead_is_raised_in_its_place() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        yield b"y"
        raise DataError("z")

    source = prefetch(chunks(), ends=True)
    assert [next(source), next(source)] == [b"x", b"y"]
    with pytest.raises(DataError, match="z"):
        next(source)
    assert threads() == 0


@pytest.mark.parametrize("name", ["-", "x.csv.gz"])
@pytest.mark.slow
def test_interrupted(name: str, tmp_path: Path) -> None:
    """Ctrl-C while waiting for a pipe or decompressing a long file: exit code 130, empty stdout."""
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"p,t\n" + b"1.25,2.5\n" * 20_000_000, 1))
    command = [sys.executable, "-m", "lossctl", "compute", "mse", name, "-p", "p", "-t", "t"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    if name == "-":
        process.stdin.write(b"p,t\n" + b"1.25,2.5\n" * 2_000_000)
        process.stdin.flush()
    status = Path(f"/proc/{process.pid}/status")
    for _ in range(1000):  # until it reads ahead
        if "Threads:\t1\n" not in status.read_text():
            break
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, b""), err
    assert b"Traceback" not in err
    assert b"Fatal" not in err


def test_a_pipe_that_does_not_wait(tmp_path: Path) -> None:
    """A non-blocking pipe without data is not at its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    command = [sys.executable, "-m", "lossctl", "compute", "mse", "-", "-p", "@1", "-t", "@2", "-q"]
    process = subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, cwd=tmp_path)
    time.sleep(0.5)
    os.write(writer, b"1,2\n")
    time.sleep(0.1)
    os.write(writer, b"1,4\n")
    os.close(writer)
    os.close(reader)
    assert process.communicate(timeout=300)[0] == b"5.0\n"


# Files written by other programs


@pytest.mark.parametrize("how", [{}, {"fmt": "%.4f"}, {"fmt": "%10.3e"}, {"delimiter": "\t"}, {"newline": "\r\n"}])
@pytest.mark.parametrize("header", ["", "a b c"])
@pytest.mark.parametrize("shape", [(5, 3), (1, 3)])
def test_savetxt(how: dict[str, str], header: str, shape: tuple[int, int]) -> None:
    """A .txt file of np.savetxt is read, also with its commented header."""
    file = io.BytesIO()
    np.savetxt(file, np.random.default_rng(0).normal(size=shape), header=header, **how)
    found = read(file.getvalue(), suffix=".txt")
    file.seek(0)
    assert same(found.values, np.loadtxt(file).reshape(shape))
    assert found.names == (("a", "b", "c") if header else None)


def test_savetxt_of_one_column() -> None:
    file = io.BytesIO()
    np.savetxt(file, np.array([0.1, -2.0, math.nan, math.inf]))
    assert same(read(file.getvalue(), suffix=".txt").values[:, 0], [0.1, -2.0, math.nan, math.inf])


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_csv_writer(line_end: str, quoting: int) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=line_end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([["p", "note, long"], [0.1, 'a "b"\nc'], [1e-5, ""]])
    found = read(file.getvalue(), "p")
    assert found.names == ("p", "note, long")
    assert found.values.tolist() == [[0.1], [1e-5]]
    assert found.lines == ["2", "4"]


@pytest.mark.parametrize(
    ("said", "separator"),
    [
        *(("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("space", "  "), ("blank", " \t"), (" ", " ")),
        *(("comma", ","), ("semicolon", ";"), (";", ";"), ("|", "|"), (":", ":"), (".", "."), ("^", "^"), ("]", "]")),
    ],
)
def test_delimiter_names(said: str, separator: str) -> None:
    decimal = "," if said == "." else "."
    found = read(f"a{separator}b\n1{separator}-2\n", delimiter=said, decimal=decimal)
    assert found.names == ("a", "b")
    assert found.values.tolist() == [[1, -2]]


def test_suffixes_choose_the_delimiter() -> None:
    assert read("1\t2\n", suffix=".tsv").values.tolist() == [[1, 2]]
    assert read("1,2\n", suffix=".CSV").values.tolist() == [[1, 2]]
    assert read("1 2\n", suffix=".txt").values.tolist() == [[1, 2]]
    assert read("1;2\n", suffix=".txt", delimiter=";").values.tolist() == [[1, 2]]
    assert read("1,5;2\n", delimiter=";", decimal=",").values.tolist() == [[1.5, 2]]
    assert read("1\t2\n", suffix=".dat", input_format="tsv").values.tolist() == [[1, 2]]


ENCODINGS = ["latin-1", "cp1252", "cp037", "utf-8", "U8", "utf-8-sig", "utf-7", "utf-32", "utf-16"]
ENCODINGS += ["utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("piece", [4, 5, 7, 1 << 20])
def test_encodings(encoding: str, piece: int) -> None:
    """Tables in any encoding, with characters that are split between two pieces."""
    text = 'é,"ü\nñ"\n' + "".join(f"{i}.5,é\n" for i in range(9))
    with cut(piece):
        found = read(text.encode(encoding), "é", encoding=encoding)
        assert found.names == ("é", "ü\nñ")
        assert found.values[:, 0].tolist() == [i + 0.5 for i in range(9)]
        assert found.lines == [str(i) for i in range(3, 12)]
        assert fault((text + "x,é\n").encode(encoding), "é", encoding=encoding) == "x:12: column 'é': not a number: 'x'"


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "euc_kr", "iso2022_jp"])
@pytest.mark.parametrize("piece", [4, 5, 7])
def test_encodings_of_many_bytes(encoding: str, piece: int) -> None:
    text = "一,日\n1,人\n2,日\n"
    with cut(piece):
        assert read(text.encode(encoding), "一", encoding=encoding).values.tolist() == [[1], [2]]


@pytest.mark.parametrize("piece", [4, 5, 7, 1 << 20])
def test_half_a_character_at_the_end(piece: int) -> None:
    """A file that ends inside a character is an error."""
    with cut(piece):
        assert fault("1\n2\n3".encode("utf-16")[:-1], encoding="utf-16") == "x:3: not utf-16: truncated data"
        assert fault("p,q\n1,€".encode()[:-1], "p").startswith("x:2: byte 0xe2 is not UTF-8")
        assert fault(b"p,q\n1,a\n2,\xff\xff", "p", encoding="utf-7").startswith("x:3: not utf-7: ")


# Header rules


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("1,2", None),
        ("nan,inf", None),
        ("0,1", None),  # two columns may well be data
        ("1,0,2", None),
        ("-0.5, 1e3", None),
        ("a,b", ("a", "b")),
        (" a ,\tb", ("a", "b")),
        ('"a","b"', ("a", "b")),
        ('"1","2"', None),
        ("a b,c,d", ("a b", "c", "d")),
        ("e5,1x", ("e5", "1x")),
    ],
)
def test_a_first_row_without_numbers_is_a_header(first: str, names: tuple[str, ...] | None) -> None:
    count = first.count(",") + 1
    found = read(f"{first}\n{','.join(['7'] * count)}\n")
    assert found.names == names
    assert len(found.values) == (2 if names is None else 1)


@pytest.mark.parametrize("first", ["0,1,2", "0,1,2,3,4", "0.0,1e0,2", '"0","1","2"'])
def test_counting_names_are_asked_about(first: str) -> None:
    """A first row 0, 1, 2, …, as pandas writes it, is an error without --header or --no-header."""
    row = ",".join(["7"] * len(first.split(",")))
    assert fault(f"{first}\n{row}\n").startswith("x:1: the first row is 0, 1, … ")
    assert len(read(f"{first}\n{row}\n", header=True).values) == 1
    assert len(read(f"{first}\n{row}\n", header=False).values) == 2


def test_a_first_row_of_labels_is_data() -> None:
    assert read("pos\nneg\n", labels=("neg", "pos")).values.tolist() == [[1], [0]]
    assert read("class\npos\n", labels=("neg", "pos")).names == ("class",)


# Labels and missing values


@pytest.mark.parametrize(
    ("cells", "labels", "codes"),
    [
        ("no yes no", ("no", "yes"), [0, 1, 0]),
        ("0 1 1.0", ("0", "1"), [0, 1, 1]),
        ("-1 1 +1", ("-1", "1"), [0, 1, 1]),
        ("1 0", ("1", "0"), [0, 1]),
        ("c a b", ("a", "b", "c"), [2, 0, 1]),
        ("3 1e0 2", ("1", "2", "3"), [2, 0, 1]),
        ("True False", ("False", "True"), [1, 0]),
        ("nan b", ("a", "b"), [math.nan, 1]),
    ],
)
def test_labels(cells: str, labels: tuple[str, ...], codes: list[float]) -> None:
    """A cell is matched with labels as a number, otherwise as text."""
    text = "".join(f" {cell}\t\n" for cell in cells.split())
    assert same(read(text, labels=labels, header=False).values[:, 0], codes)


def test_a_label_in_another_case_is_another_label() -> None:
    assert fault("t\nYes\n", labels=("no", "yes")) == "x:2: column 't': 'Yes' is not one of --labels no,yes"


def test_na_values() -> None:
    """Declared missing values and empty cells are NaN; blanks around them are ignored, case matters."""
    found = read("p,q\n NA ,1\n,2\n-999,x\n3,4\n", "p", na_values=("NA", "", "-999"))
    assert same(found.values[:, 0], [math.nan, math.nan, math.nan, 3])
    assert fault("p\nna\n", na_values=("NA",)).startswith("x:2: column 'p': not a number: 'na'")
    assert same(read("p\n1\n\n2\n", na_values=("",)).values[:, 0], [1, math.nan, 2])


# Columns

NAMES = ("id", "logit_1", "logit_2", "logit_10", "@1", "a*", "y")


@pytest.mark.parametrize(
    ("selectors", "chosen"),
    [
        ((), [0, 1, 2, 3, 4, 5, 6]),
        (("y",), [6]),
        (("y", "id"), [6, 0]),
        (("@3",), [2]),
        (("@2-4",), [1, 2, 3]),
        (("@7-7",), [6]),
        (("logit_*",), [1, 2, 3]),
        (("logit_?",), [1, 2]),
        (("logit_[12]",), [1, 2]),
        (("@1",), [4]),  # a name first
        (("a*",), [5]),
        (("[!l]*", "logit_1"), [0, 4, 5, 6, 1]),
    ],
)
def test_selection(selectors: tuple[str, ...], chosen: list[int]) -> None:
    assert column_selection.select(selectors, NAMES, len(NAMES), "x.csv") == chosen


@given(
    st.lists(st.text("ab_", min_size=1, max_size=3), min_size=1, max_size=6, unique=True),
    st.text("ab*?[]!_", min_size=1, max_size=4),
)
def test_globs_match_as_fnmatch_does(names: list[str], pattern: str) -> None:
    """Columns are in the order of the file; an exact name has precedence over a pattern."""
    expected = [i for i, name in enumerate(names) if name == pattern] or [
        i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)
    ]
    if expected and (pattern in names or set(pattern) & set("*?[")):
        assert column_selection.select((pattern,), tuple(names), len(names), "x") == expected
    else:
        with pytest.raises(UsageError, match="there is no column"):
            column_selection.select((pattern,), tuple(names), len(names), "x")


@given(st.permutations([1, 2, 3, 10, 11]))
def test_numbered_columns_must_ascend(order: list[int]) -> None:
    """Numbered columns in another order than their numbers are an error, as a silent mix-up of classes."""
    names = tuple(f"p{n}" for n in order)
    if order == sorted(order):
        assert column_selection.select(("p*",), names, 5, "x") == [0, 1, 2, 3, 4]
    else:
        with pytest.raises(UsageError, match="out of the order of their numbers"):
            column_selection.select(("p*",), names, 5, "x")
    assert column_selection.select(("@1-5",), names, 5, "x") == [0, 1, 2, 3, 4]


def test_unselected_columns_may_hold_anything() -> None:
    text = 'id,p,note\nx7,1,"a,\n""b"""\n,2,\n'
    assert read(text, "p").values.tolist() == [[1], [2]]


@pytest.mark.slow
def test_many_columns_take_no_time() -> None:
    """Checking and selecting 50,000 names takes no quadratic time."""
    names = ",".join(f"c{i}" for i in range(50_000))
    row = ",".join(["1"] * 50_000)
    for chosen in ((), ("c*",), ("@1-50000",)):
        assert read(f"{names}\n{row}\n", *chosen).values.shape == (1, 50_000)
    with pytest.raises(DataError, match="2 columns are called 'c0'"):
        read(f"{names},c0\n{row},1\n")


# Memory


def peak(rows: int, folder: Path) -> int:
    """Return the peak resident memory in KiB of a run on text with this number of rows."""
    (folder / "big.csv").write_text("p,t\n" + "0.123456789,0.987654321\n" * rows)
    # VmHWM, since ru_maxrss counts the process that started this one.
    # With small blocks the queue of waiting tasks is full soon, so memory reaches its maximum early.
    code = (
        "import sys, lossctl.cli.app as cli, lossctl.engine.run as engine; assert engine.BLOCK; engine.BLOCK = 1024;"
        "cli.main(sys.argv[1:]);"
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    argv = [sys.executable, "-c", code, "compute", "mse", "big.csv", "-p", "p", "-t", "t", "-q", "--threads", "1"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-2])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """66 MB more of text, with 48 MB of numbers, need no more memory; with the grammar and with polars."""
    small, large = peak(20_000, tmp_path), peak(140_000, tmp_path)
    # Below text_polars.WORTH the whole text is one chunk, here of 3.3 MiB, held as bytes and as characters.
    assert large - small < 12 * 1024, (small, large)
    small, large = peak(1_500_000, tmp_path), peak(4_500_000, tmp_path)
    assert large - small < 16 * 1024, (small, large)
    assert large < 200 * 1024
