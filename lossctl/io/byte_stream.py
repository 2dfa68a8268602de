"""Bytes of text, cut at record ends: UTF-8 whatever the file's own encoding."""

from __future__ import annotations

import codecs
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import BinaryIO, TypeAlias

from lossctl.errors import DataError, UsageError, printable, quoted
from lossctl.io.compression import decompressed

# A piece of text is parsed into Python strings of some 60 bytes a cell, which are best kept in the cache.
# Measured on 100 MB of two columns: 64 KiB 3.9 s and 62 MiB resident, 256 KiB 4.4 s and 73, 1 MiB 5.2 s and 106.
PIECE = 1 << 16
# What polars parses at once. Measured on 79 MB of two columns: 1 MiB 0.31 s, 2 MiB 0.25, 4 MiB 0.23, 16 MiB 0.29,
# the whole 0.37.
CHUNK = 1 << 22
# A record of more characters than this is a file of another format, or one without line ends.
RECORD_LIMIT = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
STDIN = "-"

# Where the last whole record of some text ends; 0: nowhere.
RecordEnd: TypeAlias = Callable[[bytes], int]


def display_name(path: str) -> str:
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
        try:
            # Not through Python's buffer, whose lock a thread that reads ahead would hold when Python ends.
            descriptor = os.dup(sys.stdin.fileno())
        except OSError:  # a stdin that is no file
            return sys.stdin.buffer
        os.set_blocking(descriptor, True)  # what is not there yet is not the end
        return open(descriptor, "rb", buffering=0)
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{display_name(path)}: {reason(error)}") from None
    except ValueError:  # a NUL byte in the path
        raise DataError(f"{display_name(path)}: not a path") from None


def reason(error: OSError) -> str:
    """What the operating system says, in lower case like every other message."""
    if error.errno == errno.EISDIR:
        return "is a directory"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@dataclass
class Reading:
    """How far into a file whoever reads it is; of a pipe nothing is known."""

    at: int = 0
    size: int = 0

    @property
    def share(self) -> float | None:
        """The share of its bytes that has been read."""
        return self.at / self.size if self.size else None


@dataclass(frozen=True)
class Origin:
    """Where bytes come from: a file, a pipe or stdin, compressed or not."""

    path: str
    compression: str | None = None
    reading: Reading = field(default_factory=Reading, compare=False)

    @property
    def where(self) -> str:
        """What messages call it."""
        return display_name(self.path)

    @property
    def seekable(self) -> bool:
        """Whether its bytes can be read where they are, in any order."""
        return self.compression is None and not read_once(self.path)

    def blocks(self) -> Iterator[bytes]:
        """The plain bytes: a piece, which may be all that is looked at, and then more at a time.

        Raises:
            DataError: the file cannot be read or decompressed, or it changed.
        """
        with open_binary(self.path) as file, unchanged(file, self.where):
            known = None if read_once(self.path) else descriptor_state(file.fileno())
            self.reading.size = known[0] if known else 0
            for block in self._blocks(file):
                self.reading.at = file.tell() if known else 0
                yield block

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        if self.compression is not None:
            yield from decompressed(file, self.compression, self.where, PIECE)
            return
        size = PIECE
        while data := file.read(size):
            yield data
            size = CHUNK


def read_once(path: str) -> bool:
    """Whether it is stdin or a pipe, which gives its bytes a single time."""
    return path == STDIN or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


State: TypeAlias = tuple[int, int]


def descriptor_state(descriptor: int) -> State | None:
    """What changes when a regular file is written to: its size, and when it was last written."""
    status = os.fstat(descriptor)
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def path_state(path: str) -> State | None:
    """The same of a path: None where there is no regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def another_file_error(where: str) -> DataError:
    """The error of a path that names another file in the process that has to read it."""
    return DataError(
        f"{where}: not the file that it was where the run began (size or time of writing): every worker "
        "must see the same files, and nobody may write them"
    )


def modified_error(where: str) -> DataError:
    """The error of a file that grew, shrank or was written to: what was read may be half of each."""
    return DataError(f"{where}: changed while it was read: is something still writing it?")


@contextmanager
def unchanged(file: BinaryIO, where: str) -> Iterator[None]:
    """Prove that a file is the same at the end as at the start.

    Raises:
        DataError: it was written to, or the operating system refuses to read it.
    """
    try:
        descriptor = file.fileno()
    except OSError:  # a stdin that is no file
        yield
        return
    try:
        before = descriptor_state(descriptor)
        yield
        if descriptor_state(descriptor) != before:
            raise modified_error(where)
    except OSError as error:
        raise DataError(f"{where}: {reason(error)}") from None


def quoted_record_end(data: bytes) -> int:
    """Where the last whole record of delimited text ends (0: nowhere): after a line end that is not inside quotes."""
    end = _last_line_end(data, len(data))
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        opened = data.rfind(b'"', 0, end)
        before = _last_line_end(data, opened)
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def newline_record_end(data: bytes) -> int:
    r"""Where the last whole line ends (0: nowhere): of formats in which every \n ends a record, quotes or not."""
    return data.rfind(b"\n") + 1


def pieces(origin: Origin, encoding: str | None, record_end: RecordEnd) -> Iterator[bytes]:
    """UTF-8 text without its byte-order mark, cut where a record ends: first a piece, then a chunk at a time.

    The last piece may be a record that never ends: whoever reads it has to refuse an overlong() one.

    Raises:
        DataError: the file cannot be read, or is not in its encoding.
        UsageError: an encoding that Python does not know.
    """
    return _cut(_decoded(origin.blocks(), encoding, origin.where), chain([PIECE], repeat(CHUNK)), record_end)


def split(chunk: bytes, record_end: RecordEnd) -> Iterator[bytes]:
    """The same text in pieces that end where a record ends."""
    blocks = (chunk[at : at + PIECE] for at in range(0, len(chunk), PIECE))
    return _cut(blocks, repeat(PIECE), record_end)


def _cut(blocks: Iterator[bytes], sizes: Iterator[int], record_end: RecordEnd) -> Iterator[bytes]:
    """Text of about these sizes, cut where a record ends.

    A piece without a record end is looked at again when it has doubled, so that the time is linear in its length,
    however small the blocks of a pipe are.
    """
    wanted = next(sizes)
    held: list[bytes] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size < wanted:
            continue
        data = held[0] if len(held) == 1 else b"".join(held)
        if cut := record_end(data):
            yield data[:cut]
            data = data[cut:]
            wanted = next(sizes)
        elif overlong(data):
            yield data  # the grammar says what is wrong: a quote, or a record without end
            return
        else:
            wanted = 2 * size
        held, size = [data], len(data)
    if rest := b"".join(held):
        yield rest


def longest_record() -> int:
    """The most bytes that a record's characters can take: UTF-8 makes up to 4 of each."""
    return 4 * RECORD_LIMIT


def overlong(data: bytes) -> bool:
    """Whether so many bytes are surely more than a record's characters."""
    return len(data) > longest_record()


def _decoded(blocks: Iterator[bytes], encoding: str | None, where: str) -> Iterator[bytes]:
    if encoding is not None and codecs_name(encoding) not in ("utf-8", "utf-8-sig"):
        blocks = _recoded(blocks, encoding, where)
    first = next(blocks, b"")
    for mark, name in _MARKS.items():
        if first.startswith(mark):
            raise DataError(f"{where}: starts with the mark of {name.upper()}; say --encoding {name}")
    yield from chain([first.removeprefix(codecs.BOM_UTF8)], blocks)


def _recoded(blocks: Iterator[bytes], encoding: str, where: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for block in chain(blocks, [b""]):
        try:
            # The empty block at the end: half a character that is left is an error, and not left out.
            data = decoder.decode(block, final=not block).encode()
        except UnicodeError as error:
            cause = error.reason if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else str(error)
            line += error.object.count(b"\n", 0, error.start) if isinstance(error, UnicodeDecodeError) else 0
            raise DataError(f"{where}:{line}: not {printable(encoding)}: {cause}") from None
        line += data.count(b"\n")
        if data:
            yield data


def codecs_name(encoding: str) -> str:
    """The codec that an encoding's name means.

    Raises:
        UsageError: there is none, or it is not one of text.
    """
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise UsageError(f"unknown encoding {quoted(encoding)}; for example utf-8, latin-1, cp1252, utf-16") from None
    if not getattr(info, "_is_text_encoding", True):
        raise UsageError(f"{quoted(encoding)} is not an encoding of text")
    return info.name


def _last_line_end(data: bytes, stop: int) -> int:
    # A \r at the very end may be the first half of \r\n; one after the last \n is a line end of its own,
    # and that \n may stand inside quotes.
    return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, min(stop, len(data) - 1))) + 1
