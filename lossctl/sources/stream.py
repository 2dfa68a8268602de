"""Bytes of text, cut at record ends: UTF-8 whatever the file's own encoding."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from lossctl.errors import DataError, UsageError, printable

# A piece of text is parsed into Python strings of some 60 bytes a cell: 1 MiB keeps that under 10 MiB,
# and is long enough that its fixed cost (30 µs) is nothing.
PIECE = 1 << 20
# A record longer than this is a file of another format, or one without line ends.
RECORD_LIMIT = 1 << 20
STDIN = "-"


def where(path: str) -> str:
    """A path as messages name it."""
    return "stdin" if path == STDIN else printable(path)


def open_binary(path: str) -> BinaryIO:
    """The file or stdin, to read bytes from.

    Raises:
        DataError: it cannot be opened.
    """
    if path == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise DataError("stdin: it is closed")
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{where(path)}: {reason(error)}") from None
    except ValueError:  # a NUL byte in the path
        raise DataError(f"{where(path)}: not a path") from None


def reason(error: OSError) -> str:
    """What the operating system says, in lower case like every other message."""
    if error.errno == errno.EISDIR:
        return "is a directory"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def pieces(path: str, encoding: str | None) -> Iterator[bytes]:
    """UTF-8 text without its byte-order mark, in pieces that end where a record ends.

    Raises:
        DataError: the file cannot be read, or is not in its encoding.
        UsageError: an encoding that Python does not know.
    """
    rest = b""
    with open_binary(path) as stream:
        for data in _decoded(_read(stream, path), encoding, path):
            rest += data
            cut = _last_record_end(rest)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
            elif len(rest) > 2 * RECORD_LIMIT:
                yield rest  # the grammar says what is wrong: a quote, or a record without end
                return
    if rest:
        yield rest


def _read(stream: BinaryIO, path: str) -> Iterator[bytes]:
    try:
        while data := stream.read(PIECE):
            yield data
    except OSError as error:
        raise DataError(f"{where(path)}: {reason(error)}") from None


def _decoded(blocks: Iterator[bytes], encoding: str | None, path: str) -> Iterator[bytes]:
    first = True
    decoder = None
    if encoding is not None and codecs_name(encoding) not in ("utf-8", "utf-8-sig"):
        decoder = codecs.getincrementaldecoder(encoding)()
    for block in blocks:
        data = block
        if decoder is not None:
            try:
                data = decoder.decode(block).encode("utf-8", "surrogatepass")
            except UnicodeError as error:
                raise DataError(
                    f"{where(path)}: not {encoding}: {error.reason if hasattr(error, 'reason') else error}"
                ) from None
        if first and data:
            first = False
            if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"{where(path)}: starts with the mark of UTF-16; say --encoding utf-16")
            data = data.removeprefix(codecs.BOM_UTF8)
        yield data


def codecs_name(encoding: str) -> str:
    """The codec that an encoding's name means.

    Raises:
        UsageError: there is none, or it is not one of text.
    """
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {printable(encoding)!r}; for example utf-8, latin-1, cp1252, utf-16"
        ) from None
    if not getattr(info, "_is_text_encoding", True):
        raise UsageError(f"{printable(encoding)!r} is not an encoding of text")
    return info.name


def _last_record_end(data: bytes) -> int:
    """Where the last whole record ends (0: nowhere): after a line end that is not inside quotes."""
    end = _last_line_end(data, len(data))
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        opened = data.rfind(b'"', 0, end)
        before = _last_line_end(data, opened)
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def _last_line_end(data: bytes, stop: int) -> int:
    newline = data.rfind(b"\n", 0, stop)
    if newline >= 0:
        return newline + 1
    # Line ends of a lone \r; one at the very end may be the first half of \r\n.
    return data.rfind(b"\r", 0, min(stop, len(data) - 1)) + 1


def size(path: str) -> int | None:
    """The bytes of a regular file, None of anything else."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if os.path.isfile(path) else None
