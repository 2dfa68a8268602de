"""Results as plain data: tables of typed columns. No formatting: that is the renderers' business."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias

Cell: TypeAlias = float | int | str | bool | Sequence[Any] | Mapping[str, Any] | None


@dataclass(frozen=True)
class Column:
    """A column: ``text``, ``number`` (measured), ``count`` (whole) or ``object`` (only in JSON).

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


@dataclass(frozen=True)
class Report:
    """What a command found.

    Attributes:
        schema: what a program that reads the JSON can rely on.
        tables: all of them for people and JSON; the first alone for csv and its kin.
        title, sections, closing: lines for people; sections are headings with lines.
        facts: for programs, beside the tables.
        values: the bare numbers of ``--format value``.
        notes: what goes to stderr.
        failures: lines on stderr, even with -q.
        failed: whether the exit code is 1.
        stream: rows without end, for csv, jsonl and value, if they are not those of the first table.
        npy: writes the array of ``-o FILE.npy``.
    """

    schema: str
    tables: Sequence[Table] = ()
    title: str = ""
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closing: Sequence[str] = ()
    facts: Mapping[str, Cell] = field(default_factory=dict)
    values: Sequence[float] = ()
    notes: Sequence[str] = ()
    failures: Sequence[str] = ()
    failed: bool = False
    stream: Table | None = None
    npy: Callable[[BinaryIO], None] | None = None
