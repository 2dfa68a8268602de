"""The bytes of a file or pipe, and UTF-8 text cut at record ends, whatever the encoding of the file."""

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

# Bytes of text parsed at once by the grammar, into Python strings of about 60 bytes per cell: small enough for the
# cache. 100 MB of two columns take 3.9 s and 62 MiB of resident memory with 64 KiB, 4.4 s and 73 MiB with 256 KiB,
# 5.2 s and 106 MiB with 1 MiB.
PIECE = 1 << 16
# Bytes of text parsed at once by polars. 79 MB of two columns take 0.31 s with 1 MiB, 0.25 s with 2 MiB,
# 0.23 s with 4 MiB, 0.29 s with 16 MiB, and 0.37 s as a whole.
CHUNK = 1 << 22
# Maximum characters of a record. A longer record indicates a file of another format, or one without line ends.
RECORD_LIMIT = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before the mark of UTF-16, which is a prefix of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
STDIN = "-"

# Returns the offset just after the last complete record of a text; 0 if there is none.
RecordEnd: TypeAlias = Callable[[bytes], int]


def display_name(path: str) -> str:
    """Return the name of a path in messages."""
    return "stdin" if path == STDIN else printable(path)


def open_binary(path: str) -> BinaryIO:
    """Open a path or stdin for reading bytes.

    Raises:
        DataError: the file cannot be opened, or stdin is closed.
    """
    if path == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise DataError("stdin: it is closed")
        try:
            # A duplicate descriptor, because a prefetch thread would hold the lock of Python's buffer when Python ends.
            descriptor = os.dup(sys.stdin.fileno())
        except OSError:  # stdin is an object without a descriptor
            return sys.stdin.buffer
        os.set_blocking(descriptor, True)  # otherwise a read before data arrive looks like the end of the file
        return open(descriptor, "rb", buffering=0)
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{display_name(path)}: {reason(error)}") from None
    except ValueError:  # a NUL byte in the path
        raise DataError(f"{display_name(path)}: not a path") from None


def reason(error: OSError) -> str:
    """Return the message of the operating system with a lower-case first letter, like all other messages."""
    if error.errno == errno.EISDIR:
        return "is a directory"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@dataclass
class Reading:
    """Progress of reading a file.

    Attributes:
        at: position in the file, in bytes (compressed bytes if it is compressed).
        size: size of the file in bytes; 0 for a pipe, whose size is unknown.
    """

    at: int = 0
    size: int = 0

    @property
    def share(self) -> float | None:
        """The fraction of the bytes read so far, or None if the size is unknown."""
        return self.at / self.size if self.size else None


@dataclass(frozen=True)
class Origin:
    """A file, a pipe or stdin as the origin of bytes.

    Attributes:
        path: the path; ``-`` is stdin.
        compression: suffix of the compression, such as ``.gz``; None (the default) if there is none.
        reading: progress, updated by ``blocks``.
    """

    path: str
    compression: str | None = None
    reading: Reading = field(default_factory=Reading, compare=False)

    @property
    def where(self) -> str:
        """The name of the origin in messages."""
        return display_name(self.path)

    @property
    def seekable(self) -> bool:
        """Whether the bytes can be read at any position: an uncompressed file, not a pipe."""
        return self.compression is None and not read_once(self.path)

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in blocks of bounded size.

        Of an uncompressed file, the first block has at most ``PIECE`` bytes, because a caller may need only the
        start, and the others at most ``CHUNK``. Of a compressed file, each block has at most ``PIECE`` bytes.

        Raises:
            DataError: the file cannot be read or decompressed, or it changed while it was read.
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
    """Return whether a path is stdin or a pipe, whose bytes can be read only once."""
    return path == STDIN or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


State: TypeAlias = tuple[int, int]


def descriptor_state(descriptor: int) -> State | None:
    """Return (size in bytes, time of the last write in ns) of an open regular file; None if it is not regular."""
    status = os.fstat(descriptor)
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def path_state(path: str) -> State | None:
    """Return (size in bytes, time of the last write in ns) of a path; None if it is not a regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def another_file_error(where: str) -> DataError:
    """Return the error for a path that refers to a different file in a worker process."""
    return DataError(
        f"{where}: not the file that it was where the run began (size or time of writing): every worker "
        "must see the same files, and nobody may write them"
    )


def modified_error(where: str) -> DataError:
    """Return the error for a file written to while it was read: the data may mix the old and the new contents."""
    return DataError(f"{where}: changed while it was read: is something still writing it?")


@contextmanager
def unchanged(file: BinaryIO, where: str) -> Iterator[None]:
    """Check that a file does not change within the ``with`` block.

    Raises:
        DataError: the file was written to, or the operating system reports an error.
    """
    try:
        descriptor = file.fileno()
    except OSError:  # stdin is an object without a descriptor
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
    """Return the offset just after the last complete record of delimited text; 0 if there is none.

    A record ends at a line end outside quotes. A line end is outside if an even number of quotes precedes it.
    """
    end = _last_line_end(data, len(data))
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        opened = data.rfind(b'"', 0, end)
        before = _last_line_end(data, opened)
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def newline_record_end(data: bytes) -> int:
    r"""Return the offset just after the last \n, or 0, for formats in which every \n ends a record, even in quotes."""
    return data.rfind(b"\n") + 1


def pieces(origin: Origin, encoding: str | None, record_end: RecordEnd) -> Iterator[bytes]:
    """Yield the text as UTF-8 without its byte-order mark, cut at record ends.

    The first yield has about ``PIECE`` bytes, the others about ``CHUNK``. The last one may be a record that never
    ends: the caller must reject it if it is overlong().

    Args:
        origin: the bytes.
        encoding: the encoding of the file; None is UTF-8.
        record_end: returns the offset just after the last complete record.

    Raises:
        DataError: the file cannot be read, or is not in the encoding.
        UsageError: Python does not know the encoding.
    """
    return _cut(_decoded(origin.blocks(), encoding, origin.where), chain([PIECE], repeat(CHUNK)), record_end)


def split(chunk: bytes, record_end: RecordEnd) -> Iterator[bytes]:
    """Split a chunk into pieces of about ``PIECE`` bytes that end at record ends."""
    blocks = (chunk[at : at + PIECE] for at in range(0, len(chunk), PIECE))
    return _cut(blocks, repeat(PIECE), record_end)


def _cut(blocks: Iterator[bytes], sizes: Iterator[int], record_end: RecordEnd) -> Iterator[bytes]:
    """Join blocks to about the given sizes and cut them at record ends.

    If the bytes contain no record end, the search is repeated after their number has doubled. The time is
    therefore linear in the length of a record, however small the blocks of a pipe are.
    """
    target_size = next(sizes)
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        pending.append(block)
        size += len(block)
        if size < target_size:
            continue
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        if cut := record_end(data):
            yield data[:cut]
            data = data[cut:]
            target_size = next(sizes)
        elif overlong(data):
            yield data  # the grammar reports the cause: an unclosed quote, or a record without end
            return
        else:
            target_size = 2 * size
        pending, size = [data], len(data)
    if remainder := b"".join(pending):
        yield remainder


def longest_record() -> int:
    """Return the maximum bytes of a record: UTF-8 encodes a character in up to 4 bytes."""
    return 4 * RECORD_LIMIT


def overlong(data: bytes) -> bool:
    """Return whether the bytes are more than the longest allowed record can have."""
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
            # The empty block at the end makes an incomplete last character an error.
            data = decoder.decode(block, final=not block).encode()
        except UnicodeError as error:
            cause = error.reason if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else str(error)
            line += error.object.count(b"\n", 0, error.start) if isinstance(error, UnicodeDecodeError) else 0
            raise DataError(f"{where}:{line}: not {printable(encoding)}: {cause}") from None
        line += data.count(b"\n")
        if data:
            yield data


def codecs_name(encoding: str) -> str:
    """Return the normalized name of the codec of an encoding.

    Raises:
        UsageError: the codec does not exist, or is not an encoding of text.
    """
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise UsageError(f"unknown encoding {quoted(encoding)}; for example utf-8, latin-1, cp1252, utf-16") from None
    if not getattr(info, "_is_text_encoding", True):
        raise UsageError(f"{quoted(encoding)} is not an encoding of text")
    return info.name


def _last_line_end(data: bytes, stop: int) -> int:
    # A \r as the last byte is ignored, since it may be the first half of \r\n. Any other \r after the last \n counts,
    # because the \n may be inside quotes.
    return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, min(stop, len(data) - 1))) + 1
