"""Results as plain data: tables of typed columns. No formatting: that is the renderers' business."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # `lossctl --help` names reports and needs no NumPy
    from lossctl.kernels.spec import Loss
    from lossctl.result import Result

Cell: TypeAlias = float | int | str | bool | Sequence[Any] | Mapping[str, Any] | None

# A sample that carries more than this share of a loss is worth a note: without it the value would
# be less than half. Among fewer samples than this it is no surprise.
_MOST, _FEW = 0.5, 5


@dataclass(frozen=True)
class Column:
    """A column: ``text``, ``number`` (measured), ``count`` (whole) or ``object`` (only in JSON).

    ``detail`` columns are for programs: a table for people leaves them out.
    """

    name: str
    kind: str = "number"
    detail: bool = False
    label: str = ""  # the heading where it is not the name


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns. ``name`` is the key of the rows in JSON."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Report:
    """What a command found.

    ``title`` and ``sections`` (heading to lines) are for people, ``facts`` for programs; ``values``
    are the bare numbers of ``--format value``; ``notes`` go to stderr.
    """

    schema: str
    table: Table | None = None
    title: str = ""
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, Cell] = field(default_factory=dict)
    values: Sequence[float] = ()
    notes: Sequence[str] = ()


def computed(results: Sequence[Result], sources: Sequence[str], line: Callable[[int], str | None]) -> Report:
    """What ``compute`` prints; ``line`` tells where a sample stands in a text file."""
    first = results[0]
    columns = [
        Column("loss", "text"),
        Column("name", "text", detail=True),
        Column("params", "object", detail=True),
        Column("value"),
        Column("std_error", label="std err"),
        Column("min"),
        Column("max"),
        Column("argmin", "count", detail=True),
        Column("argmax", "count", label="at sample"),
        Column("count", "count", detail=True),
        Column("elements", "count", detail=True),
        Column("denominator", detail=True),
        Column("infinite", "count", detail=not any(r.infinite for r in results)),
        Column("missing", "count", detail=not any(r.missing for r in results)),
    ]
    rows: list[Sequence[Cell]] = [
        (
            *(r.loss, r.name, dict(r.params), r.value, r.std_error, r.min, r.max, r.argmin, r.argmax),
            *(r.count, r.elements, r.denominator, r.infinite, r.missing),
        )
        for r in results
    ]
    samples = _many(first.count, "sample")
    if first.elements != first.count:
        samples += f" of {first.elements:,} elements"
    weighted = first.denominator is not None and first.denominator != first.elements and len(results) == 1
    denominator = f" · denominator {first.denominator:.6g}" if weighted else ""
    return Report(
        schema="lossctl.compute/1",
        table=Table("losses", columns, rows),
        title=f"{samples} · {', '.join(sources)} · {first.reduction}{denominator}",
        facts={"sources": list(sources), "reduction": first.reduction},
        values=[r.value for r in results],
        notes=[note for r in results for note in _notes(r, line)],
    )


def _many(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _notes(r: Result, line: Callable[[int], str | None]) -> list[str]:
    def sample(row: int | None) -> str:
        place = None if row is None else line(row)
        return f"sample {row}" + (f" ({place})" if place else "")

    notes = []
    if r.per_sample:
        notes.append(f"{r.loss}: min and max are of {r.per_sample}, its per-sample value")
    if r.infinite:
        notes.append(
            f"{_many(r.infinite, 'element')} cost inf in {r.loss}, first {sample(r.argmax)}; nothing is clipped"
        )
    if r.nans:
        notes.append(f"{r.loss} is NaN in {_many(r.nans, 'element')} whose inputs are not")
    if r.missing and r.value != r.value:
        notes.append(f"NaN in {_many(r.missing, 'element')} makes {r.loss} NaN")
    elif r.missing:
        notes.append(f"{_many(r.missing, 'element')} with NaN left out of {r.loss}")
    if r.top_share is not None and r.top_share > _MOST and r.count >= _FEW:
        notes.append(f"{sample(r.top)} carries {100 * r.top_share:.0f} % of {r.loss}")
    return notes


def catalogue(losses: Sequence[Loss]) -> Report:
    """What ``list`` prints."""
    columns = [
        Column("name", "text"),
        Column("family", "text"),
        Column("inputs", "text"),
        Column("params", "text", label="parameters"),
        Column("summary", "text", label="what it is"),
        Column("aliases", "text", detail=True),
    ]
    rows = [
        (
            entry.name,
            entry.family,
            ", ".join(i.kind.name for i in entry.inputs),
            " ".join(f"{p.name}={p.show(p.default)}" for p in entry.parameters),
            _plain(entry.summary),
            ", ".join(entry.aliases),
        )
        for entry in losses
    ]
    return Report(schema="lossctl.list/1", table=Table("losses", columns, rows))


def described(entry: Loss, example: str) -> Report:
    """What ``info`` prints."""
    inputs = [f"{i.name}: {i.kind.words}{_row(i.kind.core)}" for i in entry.inputs]
    parameters = [f"{p.name}={p.show(entry.params[p.name])}: {p.help}; {p.expects}" for p in entry.parameters]
    sections = {
        "formula": [entry.formula],
        "inputs": inputs,
        "parameters": parameters,
        "per sample": [entry.finish.per_sample] if entry.finish else [],
        "accurate": [f"relative to itself: {entry.relative}"] if entry.relative else [],
        "elsewhere": entry.differs,
        "beware": entry.pitfalls,
        "also called": [", ".join(entry.aliases)] if entry.aliases else [],
        "see": [entry.see],
        "example": [example],
    }
    facts: dict[str, Cell] = {
        "name": entry.name,
        "summary": _plain(entry.summary),
        "family": entry.family,
        "formula": entry.formula,
        "inputs": [{"name": i.name, "kind": i.kind.name, "words": i.kind.words} for i in entry.inputs],
        "params": [
            {"name": p.name, "value": entry.params[p.name], "default": p.default, "help": p.help, "takes": p.expects}
            for p in entry.parameters
        ],
        "aliases": list(entry.aliases),
        "differs": list(entry.differs),
        "pitfalls": list(entry.pitfalls),
        "relative_accuracy": entry.relative,
        "see": entry.see,
    }
    return Report(
        schema="lossctl.info/1",
        title=f"{entry.spec} · {_plain(entry.summary)}",
        sections={heading: lines for heading, lines in sections.items() if any(lines)},
        facts=facts,
    )


def _row(core: tuple[str, ...]) -> str:
    return f", one for each of the row's {core[0]}" if core else ""


def _plain(docstring: str) -> str:
    return docstring.replace("``", "")
