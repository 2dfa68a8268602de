"""The reports of ``verify``."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.errors import counted
from lossctl.gradients.golden_pack import GoldenPack
from lossctl.gradients.verify_result import Output, Verification, VerifiedArray
from lossctl.io.dataset import Dataset
from lossctl.report import Cell, Check, Column, Report, Table


def verify_report(result: Verification, data: Dataset, *, top: int) -> Report:
    """Build the report of ``verify``: the verdict on each output, the worst numbers, causes.

    Args:
        result: the verdicts.
        data: the data set.
        top: the number of worst numbers in the table of an output; 0: no table.
    """
    several, names = len(result.arrays) > 1, ", ".join(data.names)
    dtypes = ", ".join(dict.fromkeys(a.dtype for a in result.arrays))
    compared = any(a.baseline_rms is not None for a in result.arrays)
    columns = [
        Column("output", "text"),
        Column("dtype", "text", detail=True),
        Column("checked", "count"),
        Column("exact", "count", detail=True),
        Column("beyond", "count"),
        Column("undefined", "count", detail=True),
        Column("worst", label="ε·terms", digits=3),
        Column("worst_row", "count", label="sample", detail=compared),
        Column("visible", detail=True),
        Column("rms", detail=True),
        Column("baseline_rms", detail=True),
        Column("ratio", label="÷ baseline", digits=3, detail=not compared),
        Column("verdict", "verdict"),
        Column("cause", "text", detail=True),
        Column("cause_code", "text", detail=True),
    ]
    tables = [Table("outputs", columns, [_row(a) for a in result.arrays])]
    tables += [_worst(a, top) for a in result.arrays if top and a.outputs]
    causes = [f"{f'{a.what}: ' if several else ''}{a.cause}" for a in result.arrays if a.cause]
    return Report(
        schema="lossctl.verify/1",
        tables=tables,
        title=f"{counted(result.samples, 'sample')} · {dtypes} · {names}",
        closing=[*(f"cause: {c}" for c in causes), *(f"note: {note}" for note in result.notes)],
        facts={
            "loss": result.loss,
            "params": dict(result.params),
            "reduction": result.reduction,
            "samples": result.samples,
            "sources": list(data.names),
            "passed": result.passed,
            "notes": list(result.notes),
        },
        values=[a.worst for a in result.arrays],
        failed=not result.passed,
        checks=[_check(result, a) for a in result.arrays],
    )


def _check(result: Verification, array: VerifiedArray) -> Check:
    failure, *details = ("",) if result.accepts(array) else array.lines()
    return Check(f"{result.loss} {array.what}", failure, details)


def _row(a: VerifiedArray) -> Sequence[Cell]:
    return [
        *(a.what, a.dtype, a.checked, a.exact, a.beyond, a.undefined, a.worst, a.worst_row, a.visible),
        *(a.rms, a.baseline_rms, a.ratio, a.verdict, a.cause or "", a.cause_code or ""),
    ]


def _worst(array: VerifiedArray, top: int) -> Table:
    shown = array.outputs[:top]
    lines = [o.line for o in shown]
    indexed = any(o.index is not None for o in shown)
    columns = [
        *([Column("sample", "count")] if shown[0].row is not None else []),
        *([Column("line", "text")] if any(lines) else []),
        *([Column("class", "count")] if indexed else []),
        Column("given"),
        Column("exact"),
        Column("error", label="ε·terms", digits=3),
        Column("ratio", digits=4),
    ]

    def row(o: Output, line: str | None) -> Sequence[Cell]:
        return [
            *([o.row] if o.row is not None else []),
            *([line or ""] if any(lines) else []),
            *([o.index] if indexed else []),
            *(o.given, o.exact, o.error, o.given / o.exact if o.exact else None),
        ]

    rows = [row(o, line) for o, line in zip(shown, lines, strict=True)]
    return Table(f"worst:{array.what}", columns, rows, title=f"worst numbers of {array.what}")


def golden_report(pack: GoldenPack) -> Report:
    """Build the report of ``verify --golden``: the groups of samples that were written."""
    columns = [Column("group", "text"), Column("samples", "count"), Column("files", "text")]
    rows = [(name, n, ", ".join(files)) for name, (n, files) in pack.groups.items()]
    return Report(
        schema="lossctl.golden/1",
        tables=[Table("groups", columns, rows)],
        title=f"{pack.loss} · {pack.dtype} · {pack.folder}",
        closing=[f"right: |out − exact| ≤ bound, element by element; see {pack.folder}/README.txt"],
        facts={"loss": pack.loss, "dtype": pack.dtype, "folder": pack.folder},
        values=[float(n) for n, _ in pack.groups.values()],
    )
