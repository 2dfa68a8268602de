"""The report of ``compute``: a row per loss, and notes about values that need an explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lossctl.engine.result import Result
from lossctl.errors import counted
from lossctl.report import Cell, Column, Report, Table

# A note reports a sample with more than this share of a loss, because without that sample the value would be less than
# half. With fewer than _FEW samples a large share is no surprise, and there is no note.
_MOST, _FEW = 0.5, 5


def compute_report(
    results: Sequence[Result],
    sources: Sequence[str],
    line: Callable[[int], str | None],
    advice: Sequence[str] = (),
    *,
    specs: Sequence[str],
    ignored_by: str = "",
) -> Report:
    """Build the report of ``compute``.

    Args:
        results: the result of each loss.
        sources: the names of the files.
        line: returns the location of a sample in a text file (file and line), or None.
        advice: notes about input that is probably a mistake.
        specs: each loss as the user wrote it, for the ``breakdown`` command that a note recommends.
        ignored_by: the options that leave elements out, such as ``--where``.
    """
    first = results[0]
    columns = [
        Column("loss", "text"),
        Column("name", "text", detail=True),
        Column("params", "object", detail=True),
        Column("value"),
        Column("std_error", label="std err"),
        Column("min", minor=True),
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
    samples = counted(first.count, "sample")
    if first.elements != first.count:
        samples += f" of {first.elements:,} elements"
    weighted = first.denominator is not None and first.denominator != first.elements and len(results) == 1
    denominator = f" · denominator {first.denominator:.6g}" if weighted else ""
    return Report(
        schema="lossctl.compute/1",
        tables=[Table("losses", columns, rows)],
        title=f"{samples} · {', '.join(sources)} · {first.reduction}{denominator}",
        facts={"sources": list(sources), "reduction": first.reduction},
        values=[r.value for r in results],
        notes=[*(note for r in results for note in notes(r, line)), *left_out(results, ignored_by)],
        advice=[*advice, *_outliers_with_command(results, specs, line)],
    )


def _sample(row: int | None, line: Callable[[int], str | None]) -> str:
    place = None if row is None else line(row)
    return f"sample {row}" + (f" ({place})" if place else "")


def notes(r: Result, line: Callable[[int], str | None]) -> list[str]:
    """Return notes that qualify a value: infinite and NaN losses."""
    messages = []
    if r.infinite:
        elements = counted(r.infinite, "element")
        messages.append(f"infinite loss in {r.loss}: {elements}, first {_sample(r.argmax, line)}; nothing is clipped")
    if r.nans:
        messages.append(f"{r.loss} is NaN in {counted(r.nans, 'element')} whose inputs are not")
    if r.missing and r.value != r.value:
        messages.append(f"NaN in {counted(r.missing, 'element')} makes {r.loss} NaN")
    return messages


def left_out(results: Sequence[Result], ignored_by: str) -> Iterator[str]:
    """Yield notes on the elements that are left out, one for all losses with the same number."""
    missing: dict[int, list[str]] = {}
    ignored: dict[int, list[str]] = {}
    for r in results:
        if r.missing and r.value == r.value:
            missing.setdefault(r.missing, []).append(r.loss)
        if r.ignored:
            ignored.setdefault(r.ignored, []).append(r.loss)
    for n, losses in missing.items():
        yield f"{counted(n, 'element')} with NaN left out of {', '.join(losses)}"
    for n, losses in ignored.items():
        yield f"{counted(n, 'element')} left out of {', '.join(losses)} by {ignored_by}"


def _outliers_with_command(
    results: Sequence[Result], specs: Sequence[str], line: Callable[[int], str | None]
) -> Iterator[str]:
    for r, spec in zip(results, specs, strict=True):
        import shlex

        command = f"lossctl breakdown {shlex.quote(spec)}"
        yield from (f"{note}; see: {command} with the same input and options" for note in outliers(r, line))


def outliers(r: Result, line: Callable[[int], str | None]) -> Iterator[str]:
    """Yield a note if one sample contributes most of the loss."""
    if r.top_share is not None and r.top_share > _MOST and r.count >= _FEW:
        yield f"{_sample(r.top, line)} carries {100 * r.top_share:.0f} % of {r.loss}"
