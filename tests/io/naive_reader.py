"""A second reader, which shares no code with lossctl: the columns of a whole file by the standard library and NumPy."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import zipfile
from typing import Any

import numpy as np

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DELIMITERS = {"csv": ",", "tsv": "\t"}
_BOOLEANS = {"true": 1.0, "false": 0.0}
_DECOMPRESS = {"": bytes, "gz": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress, "zst": zstd.decompress}


def _only_member(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


def columns(form: str, content: bytes, names: tuple[str, ...]) -> list[np.ndarray]:
    """Return columns by name or position (``@2``) as arrays of floats; raise any exception if the file is invalid.

    Args:
        form: a format of lossctl, with its compression: ``csv.gz``.
        content: the bytes of the file.
        names: the columns.
    """
    form, _, compression = form.partition(".")
    content = _only_member(content) if compression == "zip" else _DECOMPRESS[compression](content)
    if form in ("csv", "tsv", "txt"):
        return _of_text(form, content.decode("utf-8-sig"), names)
    if form == "npy":
        return _of_arrays({"": np.load(io.BytesIO(content))}, names)
    if form == "npz":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.namelist() if names[0][0] == "@" else [f"{name}.npy" for name in names]
            arrays = {name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name))) for name in members}
        return _of_arrays(arrays, names)
    if form == "safetensors":
        return _of_safetensors(content, names)
    if form in ("parquet", "arrow", "feather"):
        return _of_polars(form, content, names)
    return _of_objects(form, content, names)


def _of_arrays(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> list[np.ndarray]:
    """Return arrays by name, or the columns of the only array."""
    if names[0][0] != "@":
        return [np.asarray(arrays[name], float) for name in names]
    (array,) = arrays.values()
    return [np.asarray(array[:, int(name[1:]) - 1], float) for name in names]


def _of_text(form: str, text: str, names: tuple[str, ...]) -> list[np.ndarray]:
    if form == "txt":
        rows = [line.split() for line in text.splitlines()]
    else:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[form], strict=True))
    while not rows[-1]:
        del rows[-1]
    header = rows[0] if any(_number(cell) is None for cell in rows[0]) else []
    if header[:1] == ["#"]:
        del header[0]
    at = [int(name[1:]) - 1 if name[0] == "@" else header.index(name) for name in names]
    cells = [[_number(row[i]) for row in rows[bool(header) :]] for i in at]
    assert not any(value is None for column in cells for value in column)
    assert len({len(row) for row in rows[bool(header) :]}) == 1
    return [np.array(column, float) for column in cells]


def _number(cell: str) -> float | None:
    try:
        return _BOOLEANS[cell.strip().lower()]
    except KeyError:
        pass
    try:
        return float(cell)
    except ValueError:
        return None


def _of_objects(form: str, content: bytes, names: tuple[str, ...]) -> list[np.ndarray]:
    text = content.decode("utf-8-sig")
    document = json.loads(text) if form == "json" else [json.loads(row) for row in text.split("\n") if row.strip()]
    if isinstance(document, dict):
        document = [dict(zip(document, row, strict=True)) for row in zip(*document.values(), strict=True)]
    keys = list(document[0])
    chosen = [keys[int(name[1:]) - 1] if name[0] == "@" else name for name in names]
    return [np.array([row.get(key) for row in document], float) for key in chosen]


def _of_safetensors(content: bytes, names: tuple[str, ...]) -> list[np.ndarray]:
    size = int.from_bytes(content[:8], "little")
    entries: dict[str, Any] = json.loads(content[8 : 8 + size])
    arrays = []
    for name in names:
        first, last = entries[name]["data_offsets"]
        assert entries[name]["dtype"] == "F64"
        data = content[8 + size + first : 8 + size + last]
        arrays.append(np.frombuffer(data, "<f8").reshape(entries[name]["shape"]))
    return arrays


def _of_polars(form: str, content: bytes, names: tuple[str, ...]) -> list[np.ndarray]:
    import polars as pl

    schema = list((pl.read_parquet_schema if form == "parquet" else pl.read_ipc_schema)(io.BytesIO(content)))
    chosen = [schema[int(name[1:]) - 1] if name[0] == "@" else name for name in names]
    frame = (pl.read_parquet if form == "parquet" else pl.read_ipc)(io.BytesIO(content), columns=sorted(set(chosen)))
    return [np.array(frame[name].to_list(), float) for name in chosen]
