"""Selection of the reader of a path by its suffix or by --input-format, never by its contents."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from lossctl.errors import DataError, UsageError, nearest, printable
from lossctl.io.byte_stream import STDIN, Origin, display_name, reason
from lossctl.io.compression import SUFFIXES
from lossctl.io.shards import ShardedFile, expand_shards
from lossctl.io.source import OpenedFile, Options

Reader: TypeAlias = Callable[[Origin, str, Options, tuple[str, ...]], OpenedFile]

FORMATS: dict[str, Reader] = {}
_INDEXED: set[str] = set()  # suffixes of formats with an index at the end, which cannot be compressed as a whole
_MEMBER = re.compile(r"(.+\.npz):(.+)", re.IGNORECASE | re.DOTALL)  # an archive and the name of one array


def reader(*suffixes: str, indexed: bool = False) -> Callable[[Reader], Reader]:
    """Return a decorator that registers a function ``(origin, suffix, options, labels) -> Unbound``.

    Args:
        suffixes: suffixes of the format, such as ``.csv``.
        indexed: the format has its index at the end and cannot be read as a stream; False by default.
    """

    def register(function: Reader) -> Reader:
        FORMATS.update(dict.fromkeys(suffixes, function))
        _INDEXED.update(suffixes if indexed else ())
        return function

    return register


@reader(".csv", ".tsv", ".txt")
def _text(origin: Origin, suffix: str, options: Options, labels: tuple[str, ...]) -> OpenedFile:
    from lossctl.io.delimited_text import DELIMITERS, TextFile

    return TextFile(origin, DELIMITERS[suffix], options, labels)


@reader(".npy")
def _npy(origin: Origin, suffix: str, options: Options, labels: tuple[str, ...]) -> OpenedFile:
    from lossctl.io.npy import NpyFile

    return NpyFile(origin)


@reader(".npz", indexed=True)
def _npz(origin: Origin, suffix: str, options: Options, labels: tuple[str, ...]) -> OpenedFile:
    from lossctl.io.npz import NpzFile

    if member := _MEMBER.fullmatch(origin.path):
        return NpzFile(member[1]).member(member[2])
    return NpzFile(origin.path)


@reader(".parquet", ".arrow", ".feather", indexed=True)
def _columnar(origin: Origin, suffix: str, options: Options, labels: tuple[str, ...]) -> OpenedFile:
    from lossctl.io.columnar import ColumnarFile

    return ColumnarFile(origin, suffix)


@reader(".ndjson", ".jsonl")
def _ndjson(origin: Origin, suffix: str, options: Options, labels: tuple[str, ...]) -> OpenedFile:
    from lossctl.io.ndjson import JsonFile

    return JsonFile(origin, options)


def suffix_of(path: str) -> str | None:
    """Return the suffix of the format of a path with that of its compression (``.csv.gz``), or None if unknown."""
    if _MEMBER.fullmatch(path):
        return ".npz"
    stem, compression = _split(path.lower())
    format_suffix = next((suffix for suffix in FORMATS if stem.endswith(suffix)), None)
    return None if format_suffix is None or (compression and format_suffix in _INDEXED) else format_suffix + compression


def tells_format(path: str) -> bool:
    """Return whether the name of a path determines its format; stdin does not."""
    return path != STDIN and suffix_of(path) is not None


def _split(name: str) -> tuple[str, str]:
    """Split a name into the part before the suffix of a compression and that suffix, or ''."""
    compression = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(compression), compression


def open_source(path: str, options: Options, labels: tuple[str, ...] = ()) -> OpenedFile:
    """Open a path, a glob, a directory or stdin, and read its columns.

    Args:
        path: the path; ``-`` is stdin.
        options: how to read text, and the format if the name does not determine it. The default format of stdin
            is CSV.
        labels: class names, which do not make a first row of text a header; none by default.

    Raises:
        UsageError: the suffix or ``--input-format`` is not a format.
        DataError: the file cannot be opened, or its start is malformed.
    """
    known = [suffix.removeprefix(".") for suffix in FORMATS]
    listed = f"{', '.join(known)} (and {', '.join(SUFFIXES)} after it, if it is compressed)"
    if options.input_format is not None:
        suffix = suffix_of("." + options.input_format.lower().removeprefix("."))
        if suffix is None or suffix != "." + options.input_format.lower().removeprefix("."):
            name = printable(options.input_format)
            raise UsageError(
                f"--input-format {name!r} is none of {listed}{nearest(options.input_format.lower(), known)}"
            )
    elif path == STDIN:
        suffix = ".csv"
    else:
        suffix = suffix_of(path)
    if path != STDIN and (shards := expand_shards(path, (lambda _: suffix) if options.input_format else suffix_of)):
        opener = partial(open_source, options=options, labels=labels)
        return opener(shards[0]) if len(shards) == 1 else ShardedFile(path, shards, opener)
    if suffix is None:
        _check_there(path)
        raise UsageError(
            f"{display_name(path)}: its name does not tell its format: say --input-format, one of {listed}"
        )
    # With `--input-format csv`, the compression of preds.gz still follows from its name.
    form, compression = _split(suffix)
    return FORMATS[form](Origin(path, compression or _split(path.lower())[1] or None), form, options, labels)


def _check_there(path: str) -> None:
    """Check that a path of unknown format exists and is not a directory, to report that error first.

    The path is not opened, because opening a pipe would wait for its writer.

    Raises:
        DataError: the path does not exist, is a directory, or is not a valid path.
    """
    try:
        if os.path.isdir(path):
            raise DataError(f"{display_name(path)}: is a directory")
        os.stat(path)
    except OSError as error:
        raise DataError(f"{display_name(path)}: {reason(error)}") from None
    except ValueError:  # a NUL byte in the path
        raise DataError(f"{display_name(path)}: not a path") from None
