"""Addresses of remote files, and the one-line messages about what goes wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from lossctl.errors import DataError, UsageError, printable

# Seconds to connect, and to wait for the next bytes of an answer.
CONNECT, WAIT = 10, 60
_ADDRESS = re.compile(r"(https?|s3|gs)://", re.IGNORECASE)
_CREDENTIALS = {
    "s3": "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public bucket",
    "gs": "run gcloud auth application-default login, or set FSSPEC_GS_TOKEN=anon for a public bucket",
    "http": "is the address public? https://USER:PASSWORD@… gives a password, a signed address its own key",
}


def is_remote(path: str) -> bool:
    """Return whether a path is the address of a remote file.

    >>> is_remote("s3://bucket/preds.npy"), is_remote("preds.npy")
    (True, False)
    """
    return _ADDRESS.match(path) is not None


def without_query(path: str) -> str:
    """Return the address of a remote file without a query and a password, which are secret; other paths as they are.

    >>> without_query("https://me:secret@example.org/preds.csv?signature=1"), without_query("what?.csv")
    ('https://me@example.org/preds.csv', 'what?.csv')
    """
    if not path.lower().startswith("http") or not is_remote(path):
        return path
    address = re.sub(r"[?#].*", "", path, flags=re.DOTALL)
    return re.sub(r"^(https?://[^/@:]*):[^/@]*@", r"\1@", address, flags=re.IGNORECASE)


@contextmanager
def errors(address: str) -> Iterator[None]:
    """Turn an exception of a library for remote files into one line.

    Raises:
        DataError: the line.
    """
    try:
        yield
    except (DataError, UsageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - aiohttp, botocore, google and fsspec have no common class
        chain = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and isinstance(cause, Exception):
            chain.append(cause)
        raise DataError(f"{printable(without_query(address))}: {_cause(address, chain)}") from None


def _cause(address: str, chain: list[Exception]) -> str:
    """Return what went wrong, for an exception and its causes."""
    import socket  # here, as a start without an address does not need it

    names = {type(error).__name__ for error in chain}
    status = next(filter(None, map(_status, chain)), 0)
    scheme = address.partition("://")[0].lower().removesuffix("s")
    credentials = _CREDENTIALS["gs" if scheme == "g" else "http" if scheme == "http" else "s3"]
    host = printable(urlsplit(without_query(address)).hostname or "")
    if names & {"ClientPayloadError", "ServerDisconnectedError", "ClientOSError", "ConnectionResetError"}:
        return "the connection was lost: run it again, or download the file first"
    if names & {"NoCredentialsError", "DefaultCredentialsError", "RefreshError"}:
        return f"no credentials: {credentials}"
    if status in {401, 403} or any(isinstance(error, PermissionError) for error in chain):
        return f"access denied: {credentials}"
    if any(isinstance(error, socket.gaierror) for error in chain) or names & {"ClientConnectorDNSError"}:
        return f"no host is called {host}" if scheme == "http" else "the host of the object store is not known"
    if status in {404, 410}:
        return "no such file"
    if status:
        return f"the server answers with HTTP status {status}"
    if names & {"ConnectionTimeoutError", "ConnectTimeoutError"}:
        return f"no connection within {CONNECT} seconds"
    if any(isinstance(error, TimeoutError) for error in chain) or "ReadTimeoutError" in names:
        return f"no answer within {WAIT} seconds"
    if names & {"ClientConnectorError", "ClientConnectorCertificateError", "EndpointConnectionError"}:
        return f"no connection: {_text(chain)}"
    if isinstance(chain[0], FileNotFoundError):
        return "no such file"
    return _text(chain)


def _status(error: Exception) -> int:
    """Return the HTTP status that an exception of aiohttp, botocore or gcsfs carries, or 0."""
    response = getattr(error, "response", None)
    code = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    code = str(code or getattr(error, "status", None) or getattr(error, "code", None))
    return int(code) if code.isdigit() else 0


def _text(chain: list[Exception]) -> str:
    """Return the first line of the innermost message."""
    text = next((str(error) for error in reversed(chain) if str(error)), type(chain[0]).__name__)
    return printable(text.partition("\n")[0])[:200].rstrip(".")
