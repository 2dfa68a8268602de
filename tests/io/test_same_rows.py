"""Every reader gives the rows that a naive reader gives, for any chunks, line ends, compression and slow pipes."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import COMPRESS

from lossctl.io import byte_stream, text_decoding, text_polars
from lossctl.io.formats import open_source
from lossctl.io.source import Field, Options, StreamingSource

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
# Texts that a cut at the wrong place would break: quotes, delimiters, line ends, escapes, characters of several bytes.
TEXTS = st.text(alphabet='a",;\t\n\r\\ {}é☃', max_size=8)
DELIMITERS = {"csv": ",", "tsv": "\t"}
TABLES = st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS), min_size=1, max_size=40)


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at each read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def read(self, size: int = -1) -> bytes:
        self._at += (taken := min(self._size, size))
        return self._data[self._at - taken : self._at]


def trickling(content: bytes, size: int) -> Any:
    """Replace stdin by a pipe that gives ``size`` bytes at each read."""
    stdin = mock.Mock(closed=False, buffer=Trickle(content, size), fileno=mock.Mock(side_effect=OSError))
    return mock.patch.object(sys, "stdin", stdin)


def text_of(form: str, rows: list[tuple[float, str, float]], end: str) -> str:
    """Write the rows in a format; the texts of JSON lines may hold line ends only as escapes."""
    if form == "ndjson":
        return "".join(json.dumps({"p": p, "s": s, "t": t}, ensure_ascii=False) + end for p, s, t in rows)
    file = io.StringIO()
    writer = csv.writer(file, delimiter=DELIMITERS[form], lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([("p", "s", "t"), *rows])
    return file.getvalue()


def naive(form: str, text: str) -> list[tuple[float, float]]:
    """Read the rows with the standard library, all at once."""
    if form == "ndjson":
        return [(row["p"], row["t"]) for row in map(json.loads, text.split("\n")[:-1])]
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[form]))
    return [(float(row[0]), float(row[2])) for row in rows[1:]]


def rows_of(content: bytes, form: str, size: int) -> list[Any]:
    """Read columns p and t through a pipe that gives ``size`` bytes at each read."""
    with trickling(content, size):
        opened = open_source("-", Options(input_format=form))
        source = opened.bind((Field("pred", ("p",)), Field("target", ("t",))))
        assert isinstance(source, StreamingSource)
        chunks = [tuple(np.array(array) for array in rows) for rows in source.chunks()]
    return list(zip(*(np.concatenate(field)[:, 0].tolist() for field in zip(*chunks, strict=True)), strict=True))


@pytest.fixture(params=[0, math.inf], ids=["polars", "grammar"], scope="module")
def worth(request: pytest.FixtureRequest) -> Iterator[None]:
    """Large chunks are those of any size, or none."""
    with mock.patch.object(text_polars, "WORTH", request.param):
        yield


@pytest.mark.parametrize("form", ["csv", "tsv", "ndjson"])
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    rows=TABLES,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    last=st.booleans(),
    compression=st.sampled_from(list(COMPRESS)),
    piece=st.integers(1, 200),
    size=st.sampled_from([1, 2, 7, 64, 1 << 20]),
)
@pytest.mark.slow
def test_rows_do_not_depend_on_chunks(  # noqa: PLR0917 - the ways in which a text can arrive
    worth: None, form: str, rows: list[Any], end: str, last: bool, compression: str, piece: int, size: int
) -> None:
    end = "\n" if form == "ndjson" and end == "\r" else end  # JSON takes \r as a blank
    text = text_of(form, rows, end)
    content = (text if last else text.removesuffix(end)).encode()
    small = mock.patch.multiple(byte_stream, PIECE=piece, CHUNK=2 * piece)
    with small, mock.patch.object(text_decoding, "RECORD_LIMIT", 200):  # no record of these rows is longer
        got = rows_of(COMPRESS[compression](content), form + compression, size)
    assert got == naive(form, text)
    assert len(got) == len(rows)


@settings(max_examples=40)
@given(
    values=st.lists(NUMBERS, min_size=1, max_size=60),
    compression=st.sampled_from(list(COMPRESS)),
    piece=st.integers(1, 200),
    size=st.sampled_from([1, 7, 1 << 20]),
)
def test_an_array_does_not_depend_on_blocks(values: list[float], compression: str, piece: int, size: int) -> None:
    file = io.BytesIO()
    np.save(file, np.array(values))
    with (
        trickling(COMPRESS[compression](file.getvalue()), size),
        mock.patch.multiple(byte_stream, PIECE=piece, CHUNK=2 * piece),
    ):
        source = open_source("-", Options(input_format=f"npy{compression}")).bind((Field("pred"),))
        assert source.reader()(0, source.rows)[0].tolist() == values  # type: ignore[union-attr]
