"""What ``list`` and ``info`` print."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.kernels.spec import Loss
from lossctl.report import Cell, Column, Report, Table


def catalogue(losses: Sequence[Loss]) -> Report:
    """What ``list`` prints."""
    columns = [
        Column("name", "text"),
        Column("family", "text"),
        Column("inputs", "text", detail=True),  # `info` tells them; a line has no room
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
    return Report(schema="lossctl.list/1", tables=[Table("losses", columns, rows)])


def described(entry: Loss, example: str) -> Report:
    """What ``info`` prints."""
    inputs = [f"{i.name}: {i.kind.words}{_row(i.kind.core)}" for i in entry.inputs]
    parameters = [
        f"{p.name}={p.show(entry.params[p.name])}: {'; '.join(filter(None, (p.help, p.expects)))}"
        for p in entry.parameters
    ]
    sections = {
        "formula": [entry.formula],
        "from": [entry.source] if entry.source else [],
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
        title=" · ".join(filter(None, (entry.spec, _plain(entry.summary)))),
        sections={heading: lines for heading, lines in sections.items() if any(lines)},
        facts=facts,
    )


def _row(core: tuple[str, ...]) -> str:
    return f", one for each of the row's {core[0]}" if core else ""


def _plain(docstring: str) -> str:
    return docstring.replace("``", "")
