"""Streaming decompression, selected by the suffix of a file, never by its contents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from lossctl.errors import DataError, printable

if TYPE_CHECKING:
    import zipfile

# Maximum memory to decompress an .xz file, because its header can require 4 GiB: four times the need of `xz -9`.
_XZ_MEMORY = 1 << 28

Decompressor: TypeAlias = Any  # the common interface of the decompressors of bz2, lzma and zstd


def _gzip() -> Decompressor:
    return _Gzip()


def _bz2() -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)


def _zstd() -> Decompressor:  # needs no memory limit: it rejects windows over 128 MiB by default
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


_STREAMS: dict[str, Callable[[], Decompressor]] = {".gz": _gzip, ".bz2": _bz2, ".xz": _xz, ".zst": _zstd}
ZIP = ".zip"
SUFFIXES = (*_STREAMS, ZIP)
# A member of a zip archive that is no file of the user: macOS adds one for each file.
_NOT_DATA = "__MACOSX/"


class _Gzip:
    """A zlib decompressor with the interface of the bz2, lzma and zstd decompressors."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: with a gzip header and checksum
        self._more = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._more

    def decompress(self, data: bytes, most: int) -> bytes:
        output = self._zlib.decompress(self._zlib.unconsumed_tail + data, most)
        self._more = len(output) == most or bool(self._zlib.unconsumed_tail)
        return output


def decompressed(file: BinaryIO, suffix: str, display_name: str, piece: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file, at most ``piece`` bytes at a time whatever the compression ratio.

    Consecutive streams are decompressed as one file, and zero bytes after a stream are skipped as padding. Any other
    data after a stream are an error; the readers of the standard library ignore them without a message.

    Args:
        file: the compressed bytes.
        suffix: one of ``SUFFIXES``, such as ``.gz``.
        display_name: name of the file in messages.
        piece: maximum bytes of a read and of a yield.

    Raises:
        DataError: a stream is damaged or truncated, or the data are not such a stream.
    """
    if suffix == ZIP:
        yield from _only_member(file, display_name, piece)
        return
    name = suffix.removeprefix(".")
    data = file.read(piece)
    while data:
        stream = _new_decompressor(suffix, display_name)
        while not stream.eof:
            if stream.needs_input and not data and not (data := file.read(piece)):
                raise DataError(f"{display_name}: truncated: its {name} stream breaks off: copy or write it again")
            try:
                output, data = stream.decompress(data, piece), b""
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - zlib.error, OSError, LZMAError, ZstdError: each library has its own
                raise DataError(f"{display_name}: damaged, or not {name}: {str(error).rstrip('.')}") from None
            if output:
                yield output
        data = stream.unused_data.lstrip(b"\0")
        while not data:
            if not (block := file.read(piece)):
                return
            data = block.lstrip(b"\0")


def _new_decompressor(suffix: str, display_name: str) -> Decompressor:
    try:
        return _STREAMS[suffix]()
    except ImportError:
        name = suffix.removeprefix(".")
        raise DataError(f"{display_name}: this Python was built without {name}: decompress the file first") from None


def _only_member(file: BinaryIO, display_name: str, piece: int) -> Iterator[bytes]:
    """Yield the bytes of the only file in a zip archive; its checksum is verified."""
    import zipfile

    if not file.seekable():
        raise DataError(f"{display_name}: a zip archive has its index at the end: save it to a plain file first")
    try:
        with zipfile.ZipFile(file) as archive, archive.open(member_name(archive, display_name)) as member:
            while data := member.read(piece):
                yield data
    except (DataError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - BadZipFile, zlib.error, RuntimeError for a password, NotImplementedError
        raise DataError(f"{display_name}: damaged, or not zip: {str(error).rstrip('.')}") from None


def member_name(archive: zipfile.ZipFile, display_name: str) -> str:
    """Return the name of the only file in a zip archive.

    Raises:
        DataError: it has none, or several.
    """
    names = [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith(_NOT_DATA)]
    if len(names) != 1:
        listed = ", ".join(printable(name) for name in names[:3]) + ", …" * (len(names) > 3)
        hint = f" ({listed}): unzip -p FILE {printable(names[0])} | lossctl … -" if names else ""
        raise DataError(f"{display_name}: a zip archive of one file is read, and it has {len(names)}{hint}")
    return names[0]
