"""Renderers: format a `Report` as text.

Input: a `lossctl.report.Report` and a `Style` (width, colour, precision). Output: an iterator of pieces of text.
``FORMATS`` has one record for each format; a new format is its record and its renderer.

Reading order: delimited.py (csv, tsv, jsonl, value) and json_document.py for programs; checks.py (junit, github) for
CI; table.py, layout.py (which columns fit a terminal) and markdown.py for people; charts.py (drawings in a terminal)
and figure.py (SVG, PNG and PDF); html_page.py; progress_line.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeAlias

from lossctl.errors import UsageError, nearest, quoted
from lossctl.immutable import immutable
from lossctl.report import Report


@immutable
class Style:
    """Display options for the formats that people read.

    Attributes:
        width: columns of the terminal; None: no limit (stdout is not a terminal).
        color: use ANSI colours.
        precision: significant digits of numbers.
        ascii: draw with ASCII characters, for terminals without braille dots.
        exact_digits: the user chose the precision: no table shows fewer digits to fit the terminal.
    """

    width: int | None = None
    color: bool = False
    precision: int = 6
    ascii: bool = False
    exact_digits: bool = False


# Suffixes of -o FILE that draw the panels of a report (figure.py).
PICTURES = ("svg", "png", "pdf")
# Verdicts in red, and the beginnings of verdicts in green.
BAD = ("FAIL", "wrong", "worse", "error")
GOOD = ("ok", "better", "exact", "as right as ", "right to ")


def percent(share: float) -> str:
    """Format a fraction as percent, to three significant digits.

    >>> percent(0.12345)
    '12.3 %'
    """
    return f"{100.0 * share:.3g} %"


Renderer: TypeAlias = Callable[[Report, Style], Iterator[str]]


@immutable
class Format:
    """An output format: all that any command has to know of it.

    Attributes:
        module: the module of ``lossctl.render`` with the renderer, a function with the name of the format. It is
            imported on first use, because rich takes 40 ms to import.
        suffixes: the suffixes of ``-o FILE`` that select the format.
        for_people: the format shows bars and a screenful of rows; a format for programs has all rows and columns.
        streams_rows: the format can hold one row per sample of a long file, written while the rows come.
        checks_only: the format shows gradient checks and limits, and nothing else of a report.
        draws: the format shows the drawings of a report whether or not they were asked for.
        summary: an environment variable; the report is also appended, as Markdown, to the file that it names.
    """

    module: str
    suffixes: tuple[str, ...] = ()
    for_people: bool = False
    streams_rows: bool = False
    checks_only: bool = False
    draws: bool = False
    summary: str = ""


FORMATS = {
    "table": Format("table", ("txt",), for_people=True),
    "value": Format("delimited"),
    "csv": Format("delimited", ("csv",), streams_rows=True),
    "tsv": Format("delimited", ("tsv",), streams_rows=True),
    "json": Format("json_document", ("json",)),
    "jsonl": Format("delimited", ("jsonl", "ndjson"), streams_rows=True),
    "markdown": Format("markdown", ("md", "markdown"), for_people=True),
    "html": Format("html_page", ("html", "htm"), for_people=True, draws=True),
    "junit": Format("checks", ("xml",), checks_only=True),
    "github": Format("checks", checks_only=True, summary="GITHUB_STEP_SUMMARY"),
}
SUFFIXES = {suffix: name for name, entry in FORMATS.items() for suffix in entry.suffixes}


def renderer(name: str) -> Renderer:
    """Return the renderer of a format.

    Raises:
        UsageError: no format has this name.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {quoted(name)}: one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    render_function: Renderer = getattr(import_module(f"lossctl.render.{FORMATS[name].module}"), name)
    return render_function
