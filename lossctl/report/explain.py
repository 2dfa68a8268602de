"""The report of ``explain``: the definitions that give a number, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.errors import counted
from lossctl.explanation.function import Answer
from lossctl.explanation.result import Candidate, Explanation
from lossctl.report import Cell, Column, Report, Table

# Agreements by chance from this number on are reported.
_DOUBT = 0.01
# How many definitions of the same number are named.
_NAMES = 2


def explain_report(explanations: Sequence[Explanation], sources: Sequence[str], *, deeper: bool) -> Report:
    """Build the report of ``explain``.

    Args:
        explanations: one for each number.
        sources: the names of the files.
        deeper: whether the search was limited to losses, which makes it deeper.
    """
    several = len(explanations) > 1
    columns = [
        Column("number", "text", detail=not several),
        Column("departures", "count"),
        Column("value", digits=9),
        Column("definition", "text"),
        Column("loss", "text", detail=True),
        Column("departs", "object", detail=True),
        Column("library", "text", detail=True),
        Column("function", "text", detail=True),
        Column("call", "text", detail=True),
        Column("precision", "text", detail=True),
        Column("same_here", "object", detail=True),
    ]
    shown = [(e, c) for e in explanations for c in (e.best if e.found else e.candidates[:3])]
    explained = all(e.found for e in explanations)
    return Report(
        schema="lossctl.explain/1",
        tables=[Table("definitions", columns, [_row(e, c) for e, c in shown])] if shown else [],
        title=f"{counted(explanations[0].samples, 'sample')} · {', '.join(sources)}",
        facts={
            "sources": list(sources),
            "found": explained,
            "numbers": [
                {"number": e.number, "found": e.found, "tried": e.tried, "by_chance": e.by_chance} for e in explanations
            ],
        },
        values=[c.value for _, c in shown],
        notes=[note for e in explanations for note in _notes(e)],
        failures=[_failure(e, deeper=deeper) for e in explanations if not e.found],
        failed=not explained,
    )


def function_report(answers: Sequence[Answer], spec: str) -> Report:
    """Build the report of ``explain FUNCTION``: a row for each kind of data that the function takes."""
    columns = [
        Column("departures", "count"),
        Column("data", "text"),
        Column("definition", "text"),
        Column("order", "text", detail=True),
        Column("loss", "text", detail=True),
        Column("departs", "object", detail=True),
        Column("also", "object", detail=True),
        Column("per_sample", "text", detail=True),
    ]
    rows = [
        (
            *(a.candidate.cost, a.data, a.candidate.text, a.order, a.candidate.loss),
            *(list(a.candidate.departures), list(a.also), a.per_sample),
        )
        for a in answers
    ]
    notes = []
    if answers and answers[0].order == "target, pred":
        notes.append("the targets are its first argument")
    if answers and answers[0].per_sample:
        notes.append("it returns an array: its mean is explained")
    notes += [f"{a.data}: {len(a.also)} more give the same numbers, such as {a.also[0]}" for a in answers[:3] if a.also]
    return Report(
        schema="lossctl.explain_function/1",
        tables=[Table("answers", columns, rows)] if rows else [],
        title=spec,
        facts={"function": spec, "found": bool(answers)},
        notes=notes,
        failures=[] if answers else [f"{spec}: no definition of two departures behaves so on any of the kinds of data"],
        failed=not answers,
    )


def _row(explanation: Explanation, candidate: Candidate) -> list[Cell]:
    row = candidate.convention
    return [
        explanation.number,
        candidate.cost,
        candidate.value,
        candidate.text,
        candidate.loss,
        list(candidate.departures),
        row.library.name if row else "",
        row.function if row else "",
        row.call if row else "",
        candidate.precision,
        list(candidate.names),
    ]


def _notes(explanation: Explanation) -> list[str]:
    """Return what qualifies an answer: other definitions that agree, and chance."""
    best, notes = explanation.best if explanation.found else (), []
    if len(best) > 1:
        notes.append(
            f"{len(best)} definitions give {explanation.number} with {counted(best[0].cost, 'departure')}: "
            "more digits, or --loss, can tell them apart"
        )
    for candidate in best[:3]:
        if candidate.convention:
            notes.append(f"{candidate.convention.title} is {candidate.convention.call}")
        if candidate.names:
            short = list(dict.fromkeys(_short(name) for name in candidate.names))
            more = f" and {len(short) - _NAMES} more" if len(short) > _NAMES else ""
            notes.append(f"the same number here: {', '.join(short[:_NAMES])}{more}")
    costlier = len(explanation.candidates) - len(explanation.best)
    if best and costlier:
        notes.append(f"{counted(costlier, 'definition')} with more departures too")
    if best and explanation.by_chance >= _DOUBT:
        notes.append(
            f"{explanation.number} has few digits: of {explanation.tried:,} values tried, about "
            f"{_count(explanation.by_chance)} agree by chance"
        )
    return notes


def _count(expected: float) -> str:
    """Return an expected count: 0.4, 14."""
    return f"{expected:.1g}" if expected < 1.0 else f"{expected:.0f}"


def _short(name: str) -> str:
    """Return the library and its function, or the loss with its departures."""
    _, of, title = name.partition("; ")[0].partition(" of ")
    return title.partition(" from ")[0].partition(" before ")[0] if of else name


def _failure(explanation: Explanation, *, deeper: bool) -> str:
    if explanation.candidates:
        return (
            f"{explanation.number} has too few digits for {counted(explanation.candidates[0].cost, 'departure')}: "
            f"about {_count(explanation.by_chance)} of {explanation.tried:,} values agree by chance; write more "
            "digits, or name the loss with --loss"
        )
    more = "" if deeper else ", or search deeper with --loss NAME"
    return (
        f"none of {explanation.tried:,} values is {explanation.number}: check that the predictions are of that run "
        f"(another epoch, dropout or batch statistics in train mode) and in the order of the targets{more}"
    )
