"""Which reader a path gets: by its suffix or by --input-format, never by its contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from lossctl.errors import UsageError, nearest, printable
from lossctl.sources import stream
from lossctl.sources.source import Options, Unbound

Reader: TypeAlias = Callable[[str, str, Options, tuple[str, ...]], Unbound]

FORMATS: dict[str, Reader] = {}


def reader(*suffixes: str) -> Callable[[Reader], Reader]:
    """Register a function ``(path, suffix, options, labels) -> Unbound`` for these suffixes."""

    def register(function: Reader) -> Reader:
        FORMATS.update(dict.fromkeys(suffixes, function))
        return function

    return register


@reader(".csv", ".tsv", ".txt")
def _text(path: str, suffix: str, options: Options, labels: tuple[str, ...]) -> Unbound:
    from lossctl.sources.text import DELIMITERS, TextFile

    return TextFile(path, DELIMITERS[suffix], options, labels)


@reader(".npy")
def _npy(path: str, suffix: str, options: Options, labels: tuple[str, ...]) -> Unbound:
    from lossctl.sources.npy import NpyFile

    return NpyFile(path)


def suffix_of(path: str) -> str | None:
    """The suffix that names a format, or None."""
    lower = path.lower()
    return next((suffix for suffix in FORMATS if lower.endswith(suffix)), None)


def open_source(path: str, options: Options, labels: tuple[str, ...] = ()) -> Unbound:
    """Open a path or stdin and read as much as tells its columns.

    ``labels`` are names that a first row of data may hold.

    Raises:
        UsageError: a suffix that names no format.
        DataError: the file cannot be opened, or its start is wrong.
    """
    known = ", ".join(suffix.removeprefix(".") for suffix in FORMATS)
    if options.input_format is not None:
        suffix = "." + options.input_format.lower().removeprefix(".")
        if suffix not in FORMATS:
            name = printable(options.input_format)
            hint = nearest(suffix.removeprefix("."), [f.removeprefix(".") for f in FORMATS])
            raise UsageError(f"--input-format {name!r} is none of {known}{hint}")
    elif path == stream.STDIN:
        suffix = ".csv"
    else:
        found = suffix_of(path)
        if found is None:
            # A path that is not there is better told so than asked for its format.
            stream.open_binary(path).close()
            raise UsageError(
                f"{stream.where(path)}: its name does not tell its format: say --input-format, one of {known}"
            )
        suffix = found
    return FORMATS[suffix](path, suffix, options, labels)
