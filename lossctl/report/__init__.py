"""Results as plain data: tables of typed columns. No formatting: that is the renderers' business."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias

Cell: TypeAlias = float | int | str | bool | Sequence[Any] | Mapping[str, Any] | None


@dataclass(frozen=True)
class Column:
    """A column: ``text``, ``number`` (measured), ``share`` (people see percent), ``count`` or ``object`` (in JSON).

    ``detail`` columns are for programs: a table for people leaves them out.
    """

    name: str
    kind: str = "number"
    detail: bool = False
    label: str | None = None  # the heading where it is not the name
    digits: int | None = None  # for people, of a number that is itself uncertain; None: as --precision says


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns. ``name`` is the key of the rows in JSON."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Cell]]
    detail: bool = False  # only for programs: what people see is drawn
    groups: Sequence[tuple[str, int]] = ()  # for people: headings, and how many rows are under each
    long: bool = False  # more rows than should be held: they are gone through, and more than once


@dataclass(frozen=True)
class Panel:
    """A curve to be drawn, in so many lines of a terminal. Where ``y`` is not finite there is none."""

    title: str
    x_label: str
    x: Sequence[float]
    y: Sequence[float]
    y_range: tuple[float, float]
    lines: int = 10


@dataclass(frozen=True)
class Bars:
    """A histogram: so many between one edge and the next."""

    title: str
    x_label: str
    edges: Sequence[float]
    counts: Sequence[int]


@dataclass(frozen=True)
class Grid:
    """So many in each cell: rows from the lowest ``y`` up."""

    title: str
    x_label: str
    y_label: str
    x_edges: Sequence[float]
    y_edges: Sequence[float]
    counts: Sequence[Sequence[int]]


Drawing: TypeAlias = Panel | Bars | Grid


@dataclass(frozen=True)
class Report:
    """What a command found.

    Attributes:
        schema: what a program that reads the JSON can rely on.
        tables: all of them for people and JSON; the first alone for csv and its kin.
        title, sections, closing: lines for people; sections are headings with lines.
        panels: drawings for people; those of a row belong side by side.
        facts: for programs, beside the tables.
        values: the bare numbers of ``--format value``.
        notes: what goes to stderr.
        advice: the same, of input that is legal but probably not meant.
        failures: lines on stderr, even with -q.
        failed: whether the exit code is 1.
        stream: rows without end, for csv, jsonl and value, if they are not those of the first table.
        files: what writes ``-o FILE`` where that is no text, by its suffix: ``npy``, ``svg``.
    """

    schema: str
    tables: Sequence[Table] = ()
    title: str = ""
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closing: Sequence[str] = ()
    panels: Sequence[Sequence[Drawing]] = ()
    facts: Mapping[str, Cell] = field(default_factory=dict)
    values: Sequence[float] = ()
    notes: Sequence[str] = ()
    advice: Sequence[str] = ()
    failures: Sequence[str] = ()
    failed: bool = False
    stream: Table | None = None
    files: Mapping[str, Callable[[BinaryIO], None]] = field(default_factory=dict)
