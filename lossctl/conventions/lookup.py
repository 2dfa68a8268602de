"""Find conventions by library, function and loss."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from lossctl.conventions.record import Convention
from lossctl.errors import UsageError, nearest, quoted

# The modules with rows, in the order in which they are listed.
_MODULES = ("regression", "binary", "multiclass", "likelihood", "scoring_rules", "segmentation", "preference")


@cache
def conventions() -> tuple[Convention, ...]:
    """Return all conventions, in the order of their modules."""
    return tuple(row for name in _MODULES for row in import_module(f"lossctl.conventions.{name}").ROWS)


@cache
def library_names() -> tuple[str, ...]:
    """Return the names of the libraries."""
    return tuple(dict.fromkeys(row.library.name for row in conventions()))


@cache
def of_loss(name: str) -> tuple[Convention, ...]:
    """Return the conventions of a registered loss, given its name."""
    return tuple(row for row in conventions() if row.loss.partition(":")[0] == name)


def version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison; raise UsageError if it has others than numbers and dots."""
    parts = version.split(".")
    if not all(part.isdecimal() and part.isascii() for part in parts):
        raise UsageError(f"version {quoted(version)}: numbers and dots, such as 1.4")
    return tuple(map(int, parts))


def holds(row: Convention, version: str) -> bool:
    """Return whether a convention is that of a version; "" is the newest version."""
    if not version:
        return not row.before
    key = version_key(version)
    return (not row.since or key >= version_key(row.since)) and (not row.before or key < version_key(row.before))


def split_library(text: str) -> tuple[str, str]:
    """Split ``LIBRARY[@VERSION]`` into the library and the version.

    Raises:
        UsageError: the library is unknown, or the version is none.
    """
    name, at, version = text.partition("@")
    name = {"scikit-learn": "sklearn", "tf": "tensorflow", "pytorch": "torch"}.get(name.lower(), name.lower())
    if name not in library_names():
        raise UsageError(f"--like {quoted(text)}: one of {', '.join(library_names())}{nearest(name, library_names())}")
    if at:
        version_key(version)
    return name, version
