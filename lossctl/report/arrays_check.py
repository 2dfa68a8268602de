"""The report of ``gradcheck --at``: a verdict for each array of a model or a layer."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.errors import counted
from lossctl.gradients.model_result import ArrayCheck, ModelCheck
from lossctl.report import Cell, Check, Column, Report, Table


def arrays_report(r: ModelCheck, source: str, *, top: int) -> Report:
    """Build the report: verdicts by array, wrong entries, hints.

    Args:
        r: the result.
        source: the file of the arrays.
        top: the largest number of wrong entries to show; 0: no table.
    """
    arrays = Table(
        "arrays",
        [
            Column("array", "text"),
            Column("what", "text", detail=len({a.what for a in r.arrays}) == 1),
            Column("shape", "text"),
            Column("dtype", "text", detail=True),
            Column("entries", "count", detail=True),
            Column("rel_err", label="rel err", digits=2),
            Column("visible", label="visible from", digits=1),
            Column("verdict", "verdict"),
            Column("reason", "text", label="", detail=not any(a.reason for a in r.arrays)),
        ],
        [_array(a) for a in r.arrays],
    )
    return Report(
        schema="lossctl.gradcheck-arrays/1",
        tables=[arrays, *([_worst(r, top)] if top and r.worst else [])],
        title=f"{r.function} at {source} · {counted(r.evaluations, 'evaluation')}",
        closing=[*(f"hint: {hint}" for hint in r.hints), *(f"note: {note}" for note in r.notes)],
        facts={
            "function": r.function,
            "source": source,
            "passed": r.passed,
            "hints": [{"code": code, "hint": hint} for code, hint in zip(r.hint_codes, r.hints, strict=True)],
            "notes": list(r.notes),
            "evaluations": r.evaluations,
        },
        values=[a.relative_error or 0.0 for a in r.arrays if a.verdict != "skipped"],
        failed=not r.passed,
        checks=[_check(r)],
    )


def _array(a: ArrayCheck) -> Sequence[Cell]:
    shape = "×".join(map(str, a.shape)) or "scalar"
    return a.name, a.what, shape, a.dtype, a.entries, a.relative_error, a.visible, a.verdict, a.reason


def _worst(r: ModelCheck, top: int) -> Table:
    columns = [
        Column("entry", "text"),
        Column("given"),
        Column("numeric"),
        Column("error", label="± error", digits=1),
        Column("ratio", digits=4),
    ]
    rows: list[Sequence[Cell]] = [
        (e.place, e.given, e.numeric, e.error, abs(e.given) and e.given / e.numeric if e.numeric else None)
        for e in r.worst[:top]
    ]
    return Table("worst", columns, rows, title="worst entries")


def _check(r: ModelCheck) -> Check:
    failure, *details = ("",) if r.passed else r.lines()
    return Check(r.function, failure, details, r.place)
