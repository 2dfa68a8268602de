"""The report of ``info --like``: how a library defines a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lossctl.conventions.record import Convention
from lossctl.report import Cell, Report


def convention_report(rows: Sequence[Convention]) -> Report:
    """Build the report of the conventions of a function; one for each shape of targets that it takes."""
    first = rows[0]

    def lines(texts_of: Callable[[Convention], Sequence[str]]) -> list[str]:
        return [f"{f'{row.loss}: ' if len(rows) > 1 else ''}{text}" for row in rows for text in texts_of(row)]

    sections = {
        "call": lines(lambda row: [row.call]),
        "departs": lines(lambda row: row.departures or ("in nothing",)),
        "besides": lines(lambda row: row.rules),
        "measured": [f"with {first.library.package} {first.library.version}"],
    }
    return Report(
        schema="lossctl.info/1",
        title=f"{' or '.join(dict.fromkeys(row.loss for row in rows))} · {first.title}",
        sections={heading: texts for heading, texts in sections.items() if texts},
        facts={"conventions": [fact(row) for row in rows]},
    )


def fact(row: Convention) -> dict[str, Cell]:
    """Return a convention as an entry of a JSON document."""
    return {
        "library": row.library.name,
        "function": row.function,
        "loss": row.loss,
        "call": row.call,
        "since": row.since,
        "before": row.before,
        "departs": list(row.departures),
        "besides": list(row.rules),
        "measured_with": row.library.version,
    }
