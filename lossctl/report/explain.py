"""The report of ``explain``: the definitions that give a number, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lossctl.errors import counted
from lossctl.explanation.function import Answer
from lossctl.explanation.probe import Probe
from lossctl.explanation.result import Candidate, Explanation
from lossctl.report import Cell, Column, Report, Table

# Agreements by chance from this number on are reported.
_DOUBT = 0.01
# How many definitions of the same number are named.
_NAMES = 2


def explain_report(explanations: Sequence[Explanation], sources: Sequence[str], *, deeper: bool) -> Report:
    """Build the report of ``explain``: the definitions of each number, or a row that says "none".

    Args:
        explanations: one for each number.
        sources: the names of the files.
        deeper: whether the search was limited to losses, which makes it deeper.
    """
    several = len(explanations) > 1
    columns = [
        Column("number", "text", detail=not several),
        Column("departures", "count", detail=True),
        Column("value", detail=True),
        Column("definition", "text"),
        Column("words", "text"),
        Column("loss", "text", detail=True),
        Column("departs", "object", detail=True),
        Column("library", "text", detail=True),
        Column("function", "text", detail=True),
        Column("call", "text", detail=True),
        Column("precision", "text", detail=True),
        Column("same_here", "object", detail=True),
    ]
    rows = [(e, [_row(e, c) for c in e.best] if e.found else [_none(e)]) for e in explanations]
    explained = all(e.found for e in explanations)
    return Report(
        schema="lossctl.explain/1",
        tables=[
            Table(
                "definitions",
                columns,
                [row for _, of_number in rows for row in of_number],
                groups=[(_heading(e, several=several), len(of_number)) for e, of_number in rows],
            )
        ],
        title=f"{counted(explanations[0].samples, 'sample')} · {', '.join(sources)}",
        facts={
            "sources": list(sources),
            "found": explained,
            "numbers": [
                {"number": e.number, "found": e.found, "tried": e.tried, "by_chance": e.by_chance} for e in explanations
            ],
        },
        values=[c.text for e in explanations if e.found for c in e.best],
        notes=list(dict.fromkeys(note for e in explanations for note in _notes(e, deeper=deeper))),
        failed=not explained,
    )


def probe_table(probe: Probe, path: str) -> Table:
    """Return a table of what each definition gives on the rows of a probe."""
    columns = [Column("value"), Column("definition", "text")]
    rows = sorted((value, text) for text, value in probe.values.items())
    return Table("probe", columns, rows, groups=[(f"on {path}", len(rows))])


def function_report(answers: Sequence[Answer], spec: str) -> Report:
    """Build the report of ``explain FUNCTION``: a row for each definition, with the kinds of data it holds on."""
    columns = [
        Column("departures", "count", detail=True),
        Column("data", "text", detail=True),
        Column("definition", "text"),
        Column("words", "text"),
        Column("order", "text", detail=True),
        Column("loss", "text", detail=True),
        Column("departs", "object", detail=True),
        Column("also", "object", detail=True),
        Column("per_sample", "text", detail=True),
    ]
    by_definition: dict[str, list[Answer]] = {}
    for answer in answers:
        by_definition.setdefault(answer.candidate.text, []).append(answer)
    of_kinds = [*by_definition.values()]
    rows = [
        (
            *(a.candidate.cost, ", ".join(same.data for same in equal), a.candidate.name),
            *("; ".join(a.candidate.departures), a.order, a.candidate.loss),
            *(list(a.candidate.departures), list(a.also), a.per_sample),
        )
        for equal in of_kinds
        for a in equal[:1]
    ]
    notes = []
    if answers and answers[0].order == "target, pred":
        notes.append("the targets are its first argument")
    if answers and answers[0].per_sample:
        notes.append("it returns an array: its mean is explained")
    notes += [
        f"{a.data}: {len(a.also)} more give the same numbers, such as {_short(a.also[0])}"
        for a, *_ in of_kinds[:3]
        if a.also
    ]
    none: Sequence[Cell] = (
        None,
        "",
        "none",
        "of two departures behaves so on any of the kinds of data",
        "",
        "",
        [],
        [],
        False,
    )
    return Report(
        schema="lossctl.explain_function/1",
        tables=[
            Table(
                "answers",
                columns,
                rows or [none],
                groups=[(f"{_kinds(equal)}: {_departing(equal[0].candidate.cost)}", 1) for equal in of_kinds]
                or [(spec, 1)],
            )
        ],
        title=spec,
        facts={"function": spec, "found": bool(answers)},
        values=[equal[0].candidate.text for equal in of_kinds],
        notes=notes,
        failed=not answers,
    )


def _heading(explanation: Explanation, *, several: bool) -> str:
    """Return the departures, and the number if its rows do not show it."""
    if not explanation.found:
        return "not explained" if several else explanation.number
    departing = _departing(explanation.best[0].cost)
    return departing if several else f"{explanation.number}: {departing}"


def _kinds(answers: Sequence[Answer]) -> str:
    """Return the kinds of data of some answers, the first two by name."""
    names = [answer.data for answer in answers]
    more = f" and {counted(len(names) - _NAMES, 'more kind')}" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _departing(cost: int) -> str:
    return counted(cost, "departure") if cost else "no departure"


def _row(explanation: Explanation, candidate: Candidate) -> list[Cell]:
    row = candidate.convention
    return [
        explanation.number,
        candidate.cost,
        candidate.value,
        candidate.name,
        "; ".join(candidate.departures),
        candidate.loss,
        list(candidate.departures),
        row.library.name if row else "",
        row.function if row else "",
        row.call if row else "",
        candidate.precision,
        list(candidate.names),
    ]


def _none(explanation: Explanation) -> list[Cell]:
    """Return the row that says that no definition gives the number."""
    said = f"of {explanation.tried:,} values"
    if explanation.candidates:
        said = f"is certain: about {_count(explanation.by_chance)} of {explanation.tried:,} values agree by chance"
    return [explanation.number, None, None, "none", said, *("", [], "", "", "", "", [])]


def _notes(explanation: Explanation, *, deeper: bool) -> Iterator[str]:
    """Yield what qualifies an answer: other definitions that agree, and chance; of no answer what to check."""
    number = explanation.number
    if not explanation.found:
        yield from _checks(explanation, deeper=deeper)
        return
    best = explanation.best
    if len(best) > 1:
        yield f"{len(best)} definitions give {number}: more digits, a second number or --loss can tell them apart"
    for candidate in best[:3]:
        if candidate.convention:
            yield f"{candidate.convention.title} is {candidate.convention.call}"
        if candidate.names:
            short = list(dict.fromkeys(_short(name) for name in candidate.names))
            more = f" and {len(short) - _NAMES} more" if len(short) > _NAMES else ""
            yield f"the same number here: {', '.join(short[:_NAMES])}{more}"
    costlier = len(explanation.candidates) - len(best)
    if costlier:
        yield f"{counted(costlier, 'definition')} with more departures too"
    if explanation.by_chance >= _DOUBT:
        count = _count(explanation.by_chance)
        yield f"{number} has few digits: about {count} of {explanation.tried:,} values agree by chance"


def _checks(explanation: Explanation, *, deeper: bool) -> Iterator[str]:
    """Yield what to check if no definition gives the number for certain."""
    number = explanation.number
    if explanation.candidates:
        names = ", ".join(dict.fromkeys(_short(c.text) for c in explanation.best[:3]))
        yield f"{number} has too few digits to tell from chance: {names}"
        yield "write more digits, or name the loss: --loss NAME"
        return
    yield "are the predictions those of that run? another epoch or dropout in train mode gives others"
    yield "are they in the order of the targets?"
    yield "were samples or classes weighted? --weight COLUMN and --class-weight 1,3 say how"
    if not deeper:
        yield "--loss NAME searches deeper: three departures of one loss"


def _count(expected: float) -> str:
    """Return an expected count: 0.4, 14."""
    return f"{expected:.1g}" if expected < 1.0 else f"{expected:.0f}"


def _short(name: str) -> str:
    """Return the library and its function, or the loss with its departures."""
    _, of, title = name.partition("; ")[0].partition(" of ")
    return title.partition(" from ")[0].partition(" before ")[0] if of else name
