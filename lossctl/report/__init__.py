"""Reports: the result of a command as plain data (tables of typed columns, drawings, lines of text).

Input: results of `engine`, `analysis` and `gradients`. Output: a `Report`, which `render` formats as text, csv or JSON.
Nothing here formats a table.

Reading order: `Column`, `Table` and `Report` below; compute.py (the simplest report); sample_tables.py, which
breakdown.py and compare.py share; gradcheck.py; plot.py; catalogue.py and example_command.py (`list` and `info`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, BinaryIO, TypeAlias

from lossctl.immutable import immutable

Cell: TypeAlias = float | int | str | bool | Sequence[Any] | Mapping[str, Any] | None


@immutable
class Column:
    """A column of a table.

    Attributes:
        name: the key in JSON and the heading in csv.
        kind: ``text``, ``verdict`` (words that are red or green), ``number`` (a measured value), ``share`` (a fraction,
            printed as percent), ``count``, ``bar`` (a fraction of the longest bar; for people only), or ``object``
            (written to JSON and jsonl, omitted from csv).
        detail: machine-readable formats only; tables for people omit the column.
        label: the heading in tables for people; None: the name.
        digits: significant digits in tables for people, for a number that is itself uncertain; None: ``--precision``.
        minor: a terminal too narrow for the table leaves this column out before others.
    """

    name: str
    kind: str = "number"
    detail: bool = False
    label: str | None = None
    digits: int | None = None
    minor: bool = False


@immutable
class Table:
    """A table: columns, and rows with one cell per column.

    Attributes:
        name: the key of the rows in JSON.
        columns: the columns.
        rows: the rows; an iterator if the table is written only once.
        detail: machine-readable formats only; people get a drawing of the same data.
        groups: (heading, number of rows) of each group of rows, in tables for people.
        long: too many rows to hold in memory: renderers iterate over the rows, possibly more than once.
        title: what the table shows, in tables for people; '' if the title of the report says it.
    """

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Cell]]
    detail: bool = False
    groups: Sequence[tuple[str, int]] = ()
    long: bool = False
    title: str = ""


@immutable
class Panel:
    """Curves over one axis, drawn in a terminal ``lines`` lines high.

    ``x`` is (points,), increasing; ``curves`` has the name and the ``y`` (points,) of each curve. A curve has a gap
    where its ``y`` is NaN.
    """

    title: str
    x_label: str
    x: Sequence[float]
    curves: Sequence[tuple[str, Sequence[float]]]
    y_range: tuple[float, float]
    lines: int = 10


@immutable
class Bars:
    """A histogram: ``edges`` (bins + 1,), ``counts`` (bins,)."""

    title: str
    x_label: str
    edges: Sequence[float]
    counts: Sequence[int]


@immutable
class Grid:
    """A two-dimensional histogram: ``counts`` (y bins, x bins), rows by increasing ``y``.

    With ``names``, one for each class, it is a matrix of classes; with ``diagonal`` the line y = x is drawn.
    """

    title: str
    x_label: str
    y_label: str
    x_edges: Sequence[float]
    y_edges: Sequence[float]
    counts: Sequence[Sequence[int]]
    names: Sequence[str] = ()
    diagonal: bool = False


@immutable
class Intervals:
    """A value and an interval for each name, against the line x = ``reference``; NaN is not drawn."""

    title: str
    x_label: str
    names: Sequence[str]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    reference: float | None = None


Drawing: TypeAlias = Panel | Bars | Grid | Intervals


@immutable
class Check:
    """A gradient check or a limit, as a test report shows it.

    Attributes:
        name: what was checked: ``huber:delta=0.5``, ``mae ≤ 45``.
        failure: the reason in one line; empty if the check passed.
        details: further lines about the failure.
        place: file and line of the user's function; None for a loss of the catalogue.
    """

    name: str
    failure: str = ""
    details: Sequence[str] = ()
    place: tuple[str, int] | None = None


@immutable
class Report:
    """The result of a command, ready to be rendered.

    Attributes:
        schema: name and version of the JSON document, such as ``lossctl.compute/1``.
        tables: table, markdown and JSON show all of them; csv, tsv and jsonl show the first.
        title, sections, closing: lines for people; ``sections`` maps each heading to its lines.
        panels: rows of drawings for people; the drawings of a row stand side by side.
        facts: further entries of the JSON document, by key.
        values: the bare numbers, or definitions, of ``--format value``; None if there are none for this command.
        notes: lines for stderr, unless ``-q``.
        advice: notes about input that is valid but probably a mistake; an error with ``--strict``.
        failures: lines for stderr, even with ``-q``.
        failed: whether the exit code is 1.
        checks: the gradient checks or limits of the command, for test reports.
        stream: rows for jsonl and value, if they differ from the first table.
        command: the command line, for a page that says what was run.
        files: functions that write ``-o FILE`` in a binary format, by suffix: ``npy``, ``parquet``, ``svg``, ``png``.
    """

    schema: str
    tables: Sequence[Table] = ()
    title: str = ""
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closing: Sequence[str] = ()
    panels: Sequence[Sequence[Drawing]] = ()
    facts: Mapping[str, Cell] = field(default_factory=dict)
    values: Sequence[float | str] | None = None
    notes: Sequence[str] = ()
    advice: Sequence[str] = ()
    failures: Sequence[str] = ()
    failed: bool = False
    checks: Sequence[Check] = ()
    stream: Table | None = None
    command: str = ""
    files: Mapping[str, Callable[[BinaryIO], None]] = field(default_factory=dict)
