"""Arrays of a .safetensors file: 8 bytes with the length of a JSON header, the header, the bytes of the arrays.

The header maps each name to ``{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}``. NumPy has no bfloat16: its
16 bits are the upper half of a float32, so the array is read as float32, without rounding. The reader is our own
because the package ``safetensors`` reads bfloat16 only into a framework.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lossctl.errors import DataError, UsageError, nearest, printable, quoted
from lossctl.immutable import immutable
from lossctl.io.byte_stream import display_name, file_state, open_binary, path_state, unchanged
from lossctl.io.column_selection import listed

# The limit of the reference implementation.
_HEADER_LIMIT = 100_000_000
# Name of the type, and the type of its bytes, by the name in the header.
_TYPES = {
    "F64": ("float64", "<f8"),
    "F32": ("float32", "<f4"),
    "F16": ("float16", "<f2"),
    "BF16": ("bfloat16", "<u2"),
    "I64": ("int64", "<i8"),
    "I32": ("int32", "<i4"),
    "I16": ("int16", "<i2"),
    "I8": ("int8", "i1"),
    "U64": ("uint64", "<u8"),
    "U32": ("uint32", "<u4"),
    "U16": ("uint16", "<u2"),
    "U8": ("uint8", "u1"),
    "BOOL": ("bool", "?"),
}


@immutable
class Entry:
    """One array of a file, before its bytes are read.

    Attributes:
        dtype: the name of its type, such as ``float32`` or ``bfloat16``.
        shape: its shape.
        stored: the type of its bytes.
        offset: the position of its first byte in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    offset: int


class SafetensorsFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name, in the order of their bytes; each access reads one array.

    Args:
        path: the path.

    Raises:
        DataError: the file cannot be read, or is not a valid file of this format; on access: it has changed.
        UsageError: on access: no array has this name.
    """

    def __init__(self, path: str) -> None:
        self.path, self.display_name = path, display_name(path)
        self._state = path_state(path)
        if self._state is None and os.path.exists(path) and not os.path.isdir(path):
            raise DataError(f"{self.display_name}: a pipe cannot be read at any position: save it to a file first")
        with open_binary(path) as file, unchanged(file, self.display_name):
            size = (file_state(file) or (0, 0))[0]
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise self._invalid(f"a header of {length:,} bytes in a file of {size:,}")
            if length > _HEADER_LIMIT:
                raise self._invalid(f"a header of {length:,} bytes, and at most {_HEADER_LIMIT:,} are allowed")
            header = self._parsed(file.read(length))
        self.entries = self._entries(header, 8 + length, size)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.entries:
            raise UsageError(
                f"{self.display_name}: there is no array {quoted(name)}; it has {listed(tuple(self.entries))}"
                f"{nearest(name, self.entries)}"
            )
        entry = self.entries[name]
        if path_state(self.path) != self._state:
            raise DataError(f"{self.display_name}: changed while it was read: is something still writing it?")
        with open_binary(self.path) as file, unchanged(file, self.display_name):
            file.seek(entry.offset)
            size = math.prod(entry.shape) * entry.stored.itemsize
            data = np.frombuffer(bytearray(file.read(size)), entry.stored)
        if entry.dtype == "bfloat16":
            data = (data.astype(np.uint32) << 16).view(np.float32)
        return data.astype(entry.dtype if entry.dtype != "bfloat16" else "float32", copy=False).reshape(entry.shape)

    def dtype_name(self, name: str) -> str:
        """Return the name of the type of an array, such as ``bfloat16``, which is read as float32."""
        return self.entries[name].dtype

    def _invalid(self, cause: str) -> DataError:
        return DataError(f"{self.display_name}: not a readable safetensors file: {cause}")

    def _parsed(self, text: bytes) -> dict[str, Any]:
        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            entries = dict(pairs)
            if len(entries) < len(pairs):
                raise self._invalid("its header has a name twice")
            return entries

        try:
            header = json.loads(text.decode(), object_pairs_hook=unique)
        except (ValueError, RecursionError):
            raise self._invalid("its header is not JSON") from None
        if not isinstance(header, dict):
            raise self._invalid("its header is not a JSON object")
        header.pop("__metadata__", None)
        if not header:
            raise DataError(f"{self.display_name}: holds no arrays")
        return header

    def _entries(self, header: Mapping[str, Any], start: int, size: int) -> dict[str, Entry]:
        """Check the header, whose arrays must fill the bytes from `start` to `size` without gaps."""
        ranges: dict[str, tuple[int, int]] = {}
        entries: dict[str, Entry] = {}
        for name, record in header.items():
            fields = record if isinstance(record, dict) else {}
            dimensions, offsets = _sizes(fields.get("shape")), _sizes(fields.get("data_offsets"))
            if dimensions is None or offsets is None or len(offsets) != 2:
                raise self._invalid(f"{quoted(name)} has no valid dtype, shape and data_offsets")
            kind = str(fields.get("dtype"))
            if kind not in _TYPES:
                raise DataError(
                    f"{self.display_name}:{printable(name)}: type {printable(kind)}; lossctl reads {', '.join(_TYPES)}"
                )
            dtype, stored = _TYPES[kind]
            shape, (first, last) = tuple(dimensions), offsets
            if last - first != math.prod(shape) * np.dtype(stored).itemsize:
                raise self._invalid(
                    f"{quoted(name)}: shape {shape} of {dtype} is {math.prod(shape) * np.dtype(stored).itemsize:,} "
                    f"bytes, its data_offsets are {last - first:,} apart"
                )
            ranges[name] = (first, last)
            entries[name] = Entry(dtype, shape, np.dtype(stored), start + first)
        names = sorted(entries, key=ranges.__getitem__)
        ends = [0, *(ranges[name][1] for name in names)]
        if [ranges[name][0] for name in names] != ends[:-1]:
            raise self._invalid("its arrays overlap or leave gaps")
        if start + ends[-1] != size:
            what = "truncated" if start + ends[-1] > size else "more bytes than its header declares"
            raise DataError(f"{self.display_name}: {what}: {ends[-1]:,} bytes of arrays, {size - start:,} follow")
        return {name: entries[name] for name in names}


def _sizes(value: object) -> list[int] | None:
    """Return a value of the header if it is a list of whole numbers that are at least 0; otherwise None."""
    return value if isinstance(value, list) and all(type(n) is int and n >= 0 for n in value) else None
