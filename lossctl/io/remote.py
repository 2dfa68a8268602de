"""Remote files (``https://``, ``s3://``, ``gs://``), read through fsspec by ranges of bytes.

fsspec and the packages of a scheme are imported when an address is opened; without an address there is no network.
"""

from __future__ import annotations

import io
import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lossctl.errors import DataError, UsageError, printable
from lossctl.io.file_state import State, modified_error
from lossctl.io.remote_address import CONNECT, WAIT, errors, without_query

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes of one request, and the number of such ranges in memory: threads read tasks side by side.
RANGE = 1 << 22
_RANGES = 4
_LOGGERS = ("aiohttp", "asyncio", "botocore", "fsspec", "gcsfs", "s3fs")
_TOKENS = ("generation", "ETag", "Last-Modified", "LastModified")  # of the contents, in the information of fsspec


class RemoteFile(io.RawIOBase):
    """A remote file, read at any position by several threads; a stream if the server sends no ranges of it.

    Args:
        address: the address.

    Attributes:
        state: its state when it was opened.

    Raises:
        DataError: it cannot be opened, or, on reading, the connection is lost or the file has changed.
        UsageError: the packages for the scheme are not installed.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.display_name = address, printable(without_query(address))
        self._system = file_system(address)
        self.state = state(address)
        self.size = self.state[0]
        self._position = 0
        self._lock = threading.Lock()
        self._ranges: dict[int, bytes] = {}
        with errors(address):
            self._file, self._ranged = self._opened()

    def _opened(self) -> tuple[Any, bool]:
        """Return the file of fsspec, and whether the server sends ranges of it."""
        if not self.address.lower().startswith("http"):
            return self._system.open(self.address, "rb", cache_type="none"), True
        if self.size > 0:
            file = self._system.open(self.address, "rb", cache_type="none", size=self.size)
            try:
                file.seek(1)
                file.read(1)
            except ValueError:  # fsspec: the server does not support range requests
                pass
            else:
                return file, True
        file = self._system.open(self.address, "rb", block_size=0)
        headers = file.r.headers
        if "Content-Length" not in headers and "chunked" not in headers.get("Transfer-Encoding", ""):
            raise DataError(f"{self.display_name}: the server does not say where the file ends: download it first")
        return file, False

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether the server sends ranges."""
        return self._ranged

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of the next read."""
        if not self._ranged:
            raise io.UnsupportedOperation("the server sends no ranges")
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read bytes into a buffer; return their number, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._ranged:
            count = self.read_at(view, self._position)
        else:
            with errors(self.address):
                data = self._file.read(min(len(view), RANGE))
            count = len(data)
            view[:count] = data
        self._position += count
        return count

    def read_at(self, view: memoryview, at: int) -> int:
        """Read bytes at a position into a buffer; return their number, 0 at the end."""
        if at >= self.size:
            return 0
        index, start = divmod(at, RANGE)
        data = self._range(index)[start : start + len(view)]
        view[: len(data)] = data
        return len(data)

    def _range(self, index: int) -> bytes:
        with self._lock:
            if index not in self._ranges:
                start, stop = index * RANGE, min((index + 1) * RANGE, self.size)
                with errors(self.address):
                    self._file.seek(start)
                    data: bytes = self._file.read(stop - start)
                if state(self.address) != self.state:
                    raise modified_error(self.display_name)
                if len(data) != stop - start:
                    raise DataError(f"{self.display_name}: {len(data)} bytes of {stop - start} came: run it again")
                if len(self._ranges) == _RANGES:
                    del self._ranges[next(iter(self._ranges))]
                self._ranges[index] = data
            return self._ranges[index]

    def check(self) -> None:
        """Do nothing: every range has been checked when it came."""


def state(address: str) -> State:
    """Return the state of a remote file, asked anew.

    Raises:
        DataError: there is no such file, or the server does not answer.
    """
    system = file_system(address)
    with errors(address):
        system.invalidate_cache()
        info = system.info(address)
    if info["type"] == "directory":
        raise DataError(f"{printable(address)}: is a folder: name its files, '{printable(address.rstrip('/'))}/*.csv'")
    size = info["size"]
    return -1 if size is None else int(size), next((str(info[name]) for name in _TOKENS if info.get(name)), "")


def matches(pattern: str) -> list[str]:
    """Return the addresses of the files of a bucket that match a pattern, sorted.

    Raises:
        DataError: the bucket cannot be listed.
    """
    system = file_system(pattern)
    with errors(pattern):
        return sorted(f"{pattern.partition('://')[0]}://{path}" for path in system.glob(pattern))


def polars_options(address: str) -> dict[str, Any]:
    """Return the arguments with which polars opens the address: it reads the ranges of Parquet and Arrow itself.

    Credentials of ``s3://`` are those of s3fs; polars takes those of ``gs://`` from google-auth, as gcsfs does.
    """
    options: dict[str, Any] = {"max_retries": 2}
    if not address.lower().startswith("s3:"):
        return {"storage_options": options}
    system = file_system(address)
    with errors(address):
        client = system.s3.meta
        if "amazonaws.com" not in client.endpoint_url:
            options |= {"aws_endpoint_url": client.endpoint_url, "aws_region": client.region_name or "us-east-1"}
        if system.anon:
            return {"storage_options": options | {"aws_skip_signature": "true"}, "credential_provider": None}
    return {"storage_options": options, "credential_provider": lambda: _credentials(system)}


def _credentials(system: Any) -> tuple[dict[str, str], int | None]:
    from fsspec.asyn import sync

    keys = sync(system.loop, sync(system.loop, system.session.get_credentials).get_frozen_credentials)
    named = {"access_key_id": keys.access_key, "secret_access_key": keys.secret_key, "session_token": keys.token}
    return {f"aws_{name}": value for name, value in named.items() if value}, None


def file_system(address: str) -> Any:
    """Return the file system of fsspec for an address, with limits on the time to connect and to wait.

    Raises:
        UsageError: a package is not installed.
    """
    return _file_system(address.partition("://")[0].lower())


@lru_cache
def _file_system(scheme: str) -> Any:
    import logging  # here, as a start without an address does not need it

    for name in _LOGGERS:  # what goes wrong is said in one line, not on stderr by each library
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        import aiohttp
        import fsspec

        # The default limit of aiohttp, 5 minutes, is that of a whole answer.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=WAIT)
        if scheme == "s3":
            return fsspec.filesystem(scheme, config_kwargs={"connect_timeout": CONNECT, "read_timeout": WAIT})
        if scheme == "gs":
            # Otherwise gcsfs asks for the kind of the bucket by gRPC, which has no limit of time.
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            return fsspec.filesystem(scheme, requests_timeout=timeout)
        # `identity`: a range of compressed bytes is no range of the file. `trust_env`: proxies of the environment.
        headers = {"Accept-Encoding": "identity"}
        return fsspec.filesystem("http", headers=headers, client_kwargs={"timeout": timeout, "trust_env": True})
    except ImportError as error:
        raise UsageError(f"{scheme}:// needs {error.name or 'fsspec'}: pip install 'lossctl[remote]'") from None
