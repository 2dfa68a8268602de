"""A report to text: ``FORMATS`` names the renderers, each one function in a file of its family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from lossctl.errors import UsageError, nearest, quoted
from lossctl.report import Report


@dataclass(frozen=True)
class Style:
    """How a person wants to see it: ``width`` None means no limit (not a terminal).

    ``ascii``: drawings are made of ASCII characters, for want of braille dots.
    """

    width: int | None = None
    color: bool = False
    precision: int = 6
    ascii: bool = False


def percent(share: float) -> str:
    """A fraction as people read it.

    >>> percent(0.12345)
    '12.3 %'
    """
    return f"{100.0 * share:.3g} %"


Renderer: TypeAlias = Callable[[Report, Style], Iterator[str]]

# name: module; the function in it has the same name. Imported when asked for: rich costs 40 ms.
FORMATS = {
    "table": "table",
    "value": "delimited",
    "csv": "delimited",
    "tsv": "delimited",
    "json": "json_document",
    "jsonl": "delimited",
    "markdown": "markdown",
}
# Suffixes of -o FILE that are not themselves the name of a format.
SUFFIXES = {"txt": "table", "md": "markdown", "ndjson": "jsonl"}


def renderer(name: str) -> Renderer:
    """The renderer of a format.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {quoted(name)}: one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    found: Renderer = getattr(import_module(f"lossctl.render.{FORMATS[name]}"), name)
    return found
