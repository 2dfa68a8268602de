"""Renderers: format a `Report` as text.

Input: a `lossctl.report.Report` and a `Style` (width, colour, precision). Output: an iterator of pieces of text.
``FORMATS`` maps the name of each format to the module of its renderer, a function of the same name.

Reading order: delimited.py (csv, tsv, jsonl, value) and json_document.py for programs; table.py and markdown.py for
people; charts.py (drawings in a terminal) and figure.py (SVG and PNG); progress_line.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

from lossctl.errors import UsageError, nearest, quoted
from lossctl.report import Report


@dataclass(frozen=True)
class Style:
    """Display options for the formats that people read.

    Attributes:
        width: columns of the terminal; None: no limit (stdout is not a terminal).
        color: use ANSI colours.
        precision: significant digits of numbers.
        ascii: draw with ASCII characters, for terminals without braille dots.
    """

    width: int | None = None
    color: bool = False
    precision: int = 6
    ascii: bool = False


def percent(share: float) -> str:
    """Format a fraction as percent, to three significant digits.

    >>> percent(0.12345)
    '12.3 %'
    """
    return f"{100.0 * share:.3g} %"


Renderer: TypeAlias = Callable[[Report, Style], Iterator[str]]

# Format name: module; the renderer in the module has the name of the format. Modules are imported on first use because
# rich takes 40 ms to import.
FORMATS = {
    "table": "table",
    "value": "delimited",
    "csv": "delimited",
    "tsv": "delimited",
    "json": "json_document",
    "jsonl": "delimited",
    "markdown": "markdown",
}
# Suffixes of -o FILE that differ from the name of their format.
SUFFIXES = {"txt": "table", "md": "markdown", "ndjson": "jsonl"}


def renderer(name: str) -> Renderer:
    """Return the renderer of a format.

    Raises:
        UsageError: no format has this name.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {quoted(name)}: one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    found: Renderer = getattr(import_module(f"lossctl.render.{FORMATS[name]}"), name)
    return found
