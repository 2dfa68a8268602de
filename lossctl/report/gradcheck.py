"""The reports of ``gradcheck`` and ``grad``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lossctl.errors import counted
from lossctl.gradients.gradient_rows import GradientRows
from lossctl.gradients.result import GradCheck
from lossctl.gradients.step_sweep import StepSweep
from lossctl.gradients.verdict import Verdict
from lossctl.io.dataset import Dataset
from lossctl.io.writers import write_npy
from lossctl.report import Cell, Check, Column, Report, Table


def gradcheck_report(
    results: Sequence[GradCheck], data: Dataset | None, *, top: int, sweep: StepSweep | None
) -> Report:
    """Build the report of ``gradcheck``: verdicts by loss, the worst coordinates, hints.

    Args:
        results: the result of each loss.
        data: the data set; None if the points were sampled at random.
        top: the number of worst coordinates in the table of a failed loss; 0: no table.
        sweep: the derivative by step size (``--sweep``), or None.
    """
    sources = data.names if data else []
    summary = Table(
        "checks",
        [
            Column("loss", "text"),
            Column("params", "object", detail=True),
            Column("what", "text", detail=all(r.what == "gradient" for r in results)),
            Column("samples", "count", detail=True),
            Column("checked", "count"),
            *(Column(name, "count") for name in results[0].counts),
            Column("worst", label="worst rel err", digits=2),
            Column("worst_row", "count", label="at sample", minor=True),
            Column("verdict", "verdict"),
            Column("hint", "text", detail=True),
            Column("hint_code", "text", detail=True),
            Column("how", "text", detail=True),
            Column("notes", "object", detail=True),
        ],
        [_summary(r) for r in results],
    )
    failed = [r for r in results if not r.passed]
    worst = [_worst(r, data, top) for r in failed if top and r.failing.wrong.any()]
    single = len({r.loss for r in results}) == 1
    hints = _hints(failed, single)
    # A passing check of every loss has some unresolved coordinates; why matters where somebody asked about one loss.
    notes = [f"note: {r.loss}: {note}" for r in results if single or not r.passed for note in r.notes]
    return Report(
        schema="lossctl.gradcheck/1",
        tables=[summary, *worst, *([_swept(sweep)] if sweep else [])],
        title=f"{counted(results[0].samples, 'sample')} · {', '.join(sources)}"
        if sources
        else "gradients at random points",
        closing=[*(f"{r.loss}: checked by {r.method}" for r in results if r.method), *hints, *notes],
        facts={"sources": list(sources), "passed": not failed},
        values=[r.worst for r in results],
        stream=Table("coordinates", _COORDINATE, _coordinates(results)),
        failed=bool(failed),
        checks=[_check(r) for r in results],
    )


def _hints(failed: Sequence[GradCheck], single: bool) -> list[str]:
    """Return each hint once, and of what it is if several checks failed."""
    of: dict[str, list[str]] = {}
    for r in failed:
        if r.hint:
            of.setdefault(r.hint, []).append(r.what if single else r.loss)
    return [f"hint: {', '.join(names) + ': ' if len(failed) > 1 else ''}{hint}" for hint, names in of.items()]


def _check(r: GradCheck) -> Check:
    name = r.loss if r.what == "gradient" else f"{r.loss} {r.what}"
    failure, *details = ("",) if r.passed else r.lines()
    return Check(name, failure, details, r.place)


def _summary(r: GradCheck) -> Sequence[Cell]:
    counts: list[Cell] = list(r.counts.values())
    verdict = "ok" if r.passed else "FAIL"
    return [
        *(r.loss, dict(r.params), r.what, r.samples, r.checked),
        *counts,
        *(r.worst, r.worst_row, verdict, r.hint or "", r.hint_code or "", r.method, list(r.notes)),
    ]


def _worst(r: GradCheck, data: Dataset | None, top: int) -> Table:
    coordinates = r.worst_coordinates(top)
    lines = [data.line(c.row) if data else None for c in coordinates]
    places = any(lines)
    inputs = [f"input{i}" if i > 1 else ("pred", "target")[i] for i in range(len(coordinates[0].inputs))]
    columns = [
        Column("sample", "count"),
        *([Column("line", "text")] if places else []),
        *([Column("class", "count")] if coordinates[0].index is not None else []),
        *(Column(name) for name in inputs),
        Column("given"),
        Column("numeric"),
        Column("error", label="± error", digits=1, minor=True),
        Column("rel_err", label="rel err", digits=3, minor=True),
        Column("ratio", digits=4),
    ]
    rows: list[Sequence[Cell]] = [
        (
            c.row,
            *([line or ""] if places else []),
            *([c.index] if coordinates[0].index is not None else []),
            *c.inputs,
            c.given,
            c.numeric,
            c.error,
            c.relative_error,
            c.given / c.numeric if c.numeric else None,
        )
        for c, line in zip(coordinates, lines, strict=True)
    ]
    what = "gradient" if r.what == "gradient" else "second"
    name = f"worst:{r.loss}" if what == "gradient" else f"worst:{r.loss}:second"
    title = f"worst coordinates of {r.loss}" + ("" if what == "gradient" else ", second derivative")
    return Table(name, columns, rows, title=title)


_COORDINATE = [
    Column("loss", "text"),
    Column("sample", "count"),
    Column("coordinate", "count"),
    Column("given"),
    Column("numeric"),
    Column("error"),
    Column("verdict", "text"),
]


def _coordinates(results: Sequence[GradCheck]) -> Iterator[Sequence[Cell]]:
    for r in results:
        if r.verdict is None or r.numeric is None or r.error is None or r.given is None:
            continue
        names = [v.name.lower() for v in Verdict]
        for (i, j), verdict in np.ndenumerate(r.verdict):
            yield (
                *(r.loss, int(i), int(j), float(r.given[i, j]), float(r.numeric[i, j]), float(r.error[i, j])),
                names[verdict],
            )


def _swept(sweep: StepSweep) -> Table:
    """Return a table of the error by step size, with a bar of log10(error) from 1e-16 (roundoff of doubles) to 1."""
    rows: list[Sequence[Cell]] = []
    for h, derivative, off in sweep.steps:
        decades = 16.0 + float(np.log10(max(off, 1e-16))) if np.isfinite(off) else 16.0
        rows.append((h, derivative, off, min(max(decades, 0.0), 16.0) / 16.0))
    columns = [
        Column("step", digits=3),
        Column("derivative"),
        Column("rel_err", label="rel err"),
        Column("bar", "bar", label=""),
    ]
    return Table("sweep", columns, rows, title="derivative by step")


def gradient_rows(slopes: GradientRows) -> Report:
    """Build the report of ``grad``: a row per sample, or an array with ``-o FILE.npy``."""
    width = int(np.prod(slopes.shape, dtype=int))
    columns = [Column("grad")] if width == 1 else [Column(f"grad_{j}") for j in range(width)]

    def rows() -> Iterator[Sequence[Cell]]:
        for chunk in slopes.chunks():
            yield from chunk.reshape(len(chunk), width).tolist()

    table = Table("gradient", columns, rows())
    files = {"npy": lambda file: write_npy(file, (slopes.rows, *slopes.shape), slopes.chunks())}
    return Report(schema="lossctl.grad/1", tables=[table], stream=table, files=files)
