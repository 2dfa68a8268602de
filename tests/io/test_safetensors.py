"""Safetensors files: every type, and files that are wrong."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossctl.errors import DataError, UsageError
from lossctl.io.safetensors import SafetensorsFile

RECORDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def written(folder: Path, header: Any, data: bytes = b"") -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def entry(dtype: str, shape: list[int], first: int, last: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_every_type_is_read_as_it_was_written(tmp_path: Path) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, stored in RECORDS.items():
        array = np.arange(6).reshape(2, 3).astype(stored)
        header[name] = entry(name, [2, 3], len(data), len(data) + array.nbytes)
        data += array.tobytes()
    file = SafetensorsFile(written(tmp_path, header, data))
    assert list(file) == list(RECORDS)
    for name, stored in RECORDS.items():
        np.testing.assert_array_equal(file[name], np.arange(6).reshape(2, 3).astype(stored))
        assert file[name].dtype.name == file.dtype_name(name)
        assert file[name].flags.writeable


def test_bfloat16_is_widened_without_rounding(tmp_path: Path) -> None:
    """The truth: 1, −2, 1/3 rounded to 8 bits, the largest finite number, the smallest subnormal, infinity, NaN."""
    bits = [0x3F80, 0xC000, 0x3EAB, 0x7F7F, 0x0001, 0x7F80, 0x7FC0]
    file = SafetensorsFile(written(tmp_path, {"w": entry("BF16", [7], 0, 14)}, struct.pack("<7H", *bits)))
    expected = [1.0, -2.0, 171 / 512, 255 * 2.0**120, 2.0**-133, np.inf, np.nan]
    np.testing.assert_array_equal(file["w"], np.array(expected, np.float32))
    assert file.dtype_name("w") == "bfloat16"
    assert file["w"].dtype == np.float32


def test_scalars_and_empty_arrays(tmp_path: Path) -> None:
    header = {"b": entry("F32", [], 0, 4), "a": entry("F32", [0, 3], 4, 4)}
    file = SafetensorsFile(written(tmp_path, header, struct.pack("<f", 2.5)))
    assert file["b"] == 2.5
    assert file["a"].shape == (0, 3)


@pytest.mark.parametrize(
    ("header", "data", "cause"),
    [
        (b"{", b"", "its header is not JSON"),
        (b"[" * 100_000, b"", "its header is not JSON"),
        (b"[1]", b"", "its header is not a JSON object"),
        (b"{}", b"", "holds no arrays"),
        (b'{"a": 1}', b"", "'a' has no valid dtype, shape and data_offsets"),
        ({"a": entry("F32", [-1], 0, 4)}, bytes(4), "'a' has no valid dtype, shape and data_offsets"),
        ({"a": entry("F32", [True], 0, 4)}, bytes(4), "'a' has no valid dtype, shape and data_offsets"),
        ({"a": entry("F8_E4M3", [4], 0, 4)}, bytes(4), "a: type F8_E4M3; lossctl reads F64"),
        ({"a": entry("F32", [2], 0, 4)}, bytes(4), "shape (2,) of float32 is 8 bytes, its data_offsets are 4 apart"),
        ({"a": entry("F32", [1], 4, 8)}, bytes(8), "its arrays overlap or leave gaps"),
        ({"a": entry("F32", [1], 0, 4)}, bytes(3), "truncated: 4 bytes of arrays, 3 follow"),
        ({"a": entry("F32", [1], 0, 4)}, bytes(5), "more bytes than its header declares: 4 bytes of arrays, 5 follow"),
        (
            b'{"a": %b, "a": %b}' % ((json.dumps(entry("F32", [1], 0, 4)).encode(),) * 2),
            bytes(4),
            "its header has a name twice",
        ),
    ],
)
def test_a_wrong_file_is_one_clear_error(header: Any, data: bytes, cause: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        SafetensorsFile(written(tmp_path, header, data))
    assert cause in str(error.value)
    assert "\n" not in str(error.value)


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    for content in (b"", b"abc", struct.pack("<Q", 2**60) + b"{}"):
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a readable safetensors file: a header of"):
            SafetensorsFile(str(path))


def test_unknown_names_and_changed_files(tmp_path: Path) -> None:
    path = written(tmp_path, {"weight": entry("F32", [1], 0, 4)}, bytes(4))
    file = SafetensorsFile(path)
    with pytest.raises(UsageError, match="there is no array 'wieght'; it has 'weight'; did you mean 'weight'"):
        file["wieght"]
    written(tmp_path, {"weight": entry("F32", [2], 0, 8)}, bytes(8))
    with pytest.raises(DataError, match="changed while it was read"):
        file["weight"]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(DataError, match="save it to a file first"):
        SafetensorsFile(str(tmp_path / "pipe.safetensors"))
