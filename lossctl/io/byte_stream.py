"""The bytes of a file, a pipe or stdin, and checks that a file does not change while it is read."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from lossctl.errors import DataError, printable
from lossctl.immutable import immutable
from lossctl.io import remote
from lossctl.io.compression import decompressed
from lossctl.io.file_state import State, modified_error
from lossctl.io.remote_address import is_remote, without_query

# Bytes of text parsed at once by the grammar, into Python strings of about 60 bytes per cell: small enough for the
# cache. 100 MB of two columns take 3.9 s and 62 MiB of resident memory with 64 KiB, 4.4 s and 73 MiB with 256 KiB,
# 5.2 s and 106 MiB with 1 MiB.
PIECE = 1 << 16
# Bytes of text parsed at once by polars. 79 MB of two columns take 0.31 s with 1 MiB, 0.25 s with 2 MiB,
# 0.23 s with 4 MiB, 0.29 s with 16 MiB, and 0.37 s as a whole.
CHUNK = 1 << 22
STDIN = "-"


def display_name(path: str) -> str:
    """Return the name of a path in messages."""
    return "stdin" if path == STDIN else printable(without_query(path))


def open_binary(path: str) -> BinaryIO:
    """Open a path, an address or stdin for reading bytes.

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
    if is_remote(path):
        return io.BufferedReader(remote.RemoteFile(path), PIECE)
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


@immutable
class Origin:
    """A file, a remote file, a pipe or stdin as the origin of bytes.

    Attributes:
        path: the path or address; ``-`` is stdin.
        compression: suffix of the compression, such as ``.gz``; None (the default) if there is none.
        reading: progress, updated by ``blocks``.
    """

    path: str
    compression: str | None = None
    reading: Reading = field(default_factory=Reading, compare=False)

    @property
    def display_name(self) -> str:
        """The name of the origin in messages."""
        return display_name(self.path)

    @property
    def seekable(self) -> bool:
        """Whether the bytes can be read at any position: an uncompressed file, not a pipe."""
        if self.compression is not None or read_once(self.path):
            return False
        return not is_remote(self.path) or remote.RemoteFile(self.path).seekable()

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in blocks of bounded size.

        Of an uncompressed file, the first block has at most ``PIECE`` bytes, because a caller may need only the
        start, and the others at most ``CHUNK``. Of a compressed file, each block has at most ``PIECE`` bytes.

        Raises:
            DataError: the file cannot be read or decompressed, or it changed while it was read.
        """
        with open_binary(self.path) as file, unchanged(file, self.display_name):
            known = None if read_once(self.path) else file_state(file)
            self.reading.size = max(known[0], 0) if known else 0
            for block in self._blocks(file):
                self.reading.at = file.tell() if known else 0
                yield block

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        if self.compression is not None:
            yield from decompressed(file, self.compression, self.display_name, PIECE)
            return
        size = PIECE
        while data := file.read(size):
            yield data
            size = CHUNK


def read_once(path: str) -> bool:
    """Return whether a path is stdin or a pipe, whose bytes can be read only once."""
    return path == STDIN or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def descriptor_state(descriptor: int) -> State | None:
    """Return (size in bytes, time of the last write in ns) of an open regular file; None if it is not regular."""
    status = os.fstat(descriptor)
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def file_state(file: BinaryIO) -> State | None:
    """Return the state of an open file; None if it is a pipe.

    Raises:
        OSError: stdin is an object without a descriptor.
    """
    if isinstance(raw := getattr(file, "raw", None), remote.RemoteFile):
        return remote.state(raw.address)
    return descriptor_state(file.fileno())


def path_state(path: str) -> State | None:
    """Return the state of a path or an address; None if it is not a regular file."""
    if is_remote(path):
        return remote.state(path)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def current_state(path: str) -> State | None:
    """Return the state of a file that can be opened, or of an address.

    Raises:
        DataError: it cannot be opened.
    """
    if is_remote(path):
        return remote.state(path)
    with open_binary(path) as file:
        return descriptor_state(file.fileno())


def absolute(path: str) -> str:
    """Return a path that means the same in another working directory; an address as it is."""
    return path if is_remote(path) else os.path.abspath(path)


class PositionedFile(Protocol):
    """An open file that several threads read at any position."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def read_at(self, view: memoryview, at: int) -> int:
        """Read bytes at a position into a buffer; return their number, 0 at the end."""

    def check(self) -> None:
        """Check that the file has not changed since it was opened.

        Raises:
            DataError: it has.
        """


class LocalFile:
    """A file of this machine, by a descriptor that it closes."""

    def __init__(self, descriptor: int, display_name: str) -> None:
        self._descriptor, self._display_name = descriptor, display_name
        self._state = descriptor_state(descriptor)

    def __del__(self) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return os.fstat(self._descriptor).st_size

    def read_at(self, view: memoryview, at: int) -> int:
        """Read bytes at a position into a buffer; return their number, 0 at the end."""
        try:
            return os.preadv(self._descriptor, [view], at)
        except OSError as error:
            raise DataError(f"{self._display_name}: {reason(error)}") from None

    def check(self) -> None:
        """Check that the file has not been written to since it was opened."""
        if descriptor_state(self._descriptor) != self._state:
            raise modified_error(self._display_name)


def open_positioned(path: str) -> PositionedFile:
    """Open a file or an address that can be read at any position.

    Raises:
        DataError: it cannot be opened.
    """
    if is_remote(path):
        return remote.RemoteFile(path)
    with open_binary(path) as file:
        return LocalFile(os.dup(file.fileno()), display_name(path))


@contextmanager
def unchanged(file: BinaryIO, display_name: str) -> Iterator[None]:
    """Check that a file does not change within the ``with`` block.

    Raises:
        DataError: the file was written to, or the operating system reports an error.
    """
    try:
        before = file_state(file)
    except OSError:  # stdin is an object without a descriptor
        yield
        return
    try:
        yield
        if file_state(file) != before:
            raise modified_error(display_name)
    except OSError as error:
        raise DataError(f"{display_name}: {reason(error)}") from None
