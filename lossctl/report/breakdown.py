"""The report of ``breakdown``: groups, worst samples, distribution, or all samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from lossctl.analysis.breakdown import Breakdown, BreakdownRequest
from lossctl.analysis.distribution import Distribution
from lossctl.analysis.grouping import Label
from lossctl.core.loss import Loss
from lossctl.core.user_kernel import source_line
from lossctl.engine.accumulate import Summary
from lossctl.engine.exact_sum import ratio
from lossctl.errors import counted
from lossctl.io.dataset import Dataset
from lossctl.io.writers import write_npy, write_parquet
from lossctl.report import Bars, Cell, Column, Drawing, Intervals, Report, Table
from lossctl.report.compute import left_out, notes, outliers
from lossctl.report.limits import Limited, Limits, limited
from lossctl.report.sample_tables import (
    BreakdownView,
    bar,
    bare_losses,
    build_rows,
    cell_types,
    class_name,
    dense_losses,
    every_sample,
    fields_of,
    output_name,
    output_names,
    rank_columns,
    round_error,
    total_of,
)

# Groups in a table for people, to fit a screen; machine-readable formats get all groups.
_GROUPS = 20
# Half the width of a 95 % interval in standard errors.
_NORMAL = 1.96


def breakdown_report(
    breakdown: Breakdown,
    data: Dataset,
    request: BreakdownRequest,
    asked: BreakdownView,
    advice: Sequence[str] = (),
    *,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
) -> Report:
    """Build the report of ``breakdown``.

    Args:
        breakdown: the result of the analysis.
        data: the data set, for file names, line numbers and column names.
        request: the request that ``breakdown`` answers.
        asked: display options.
        advice: notes about input that is probably a mistake.
        limits: bounds of the loss, of each group if there are groups; none by default.
    """
    asked = replace(asked, outputs=output_names(data, breakdown.plan))
    result = breakdown.result
    tables, values, closing = [], [], []
    drawings: list[Drawing] = []
    place = source_line(breakdown.plan.loss.kernel)
    bounded = [Limited(result.loss, result.value, limits, place)]
    if breakdown.groups is not None:
        table, more, everything = _groups(breakdown, breakdown.groups, asked.by, request, asked)
        bounded = [Limited(f"{result.loss} of {asked.by} {name}", value, limits, place) for name, value in everything]
        tables.append(table)
        drawings.append(_intervals(table))
        values += [float(row[3]) if isinstance(row[3], float) else math.nan for row in table.rows]
        closing += more
    if breakdown.top is not None:
        order = np.argsort(breakdown.top.rows, kind="stable") if asked.in_order else np.arange(len(breakdown.top))
        top = breakdown.top.take(order)
        fields = [*fields_of(top, breakdown, data, asked), *rank_columns(top, breakdown, asked)]
        which = "best" if request.least else "worst"
        tables.append(Table(which, *build_rows(fields, top), title=f"{which} samples"))
        values += top.loss.tolist()
    if breakdown.distribution is not None:
        tables += _distribution(breakdown, breakdown.distribution, asked)
        drawings.append(_bars(breakdown, breakdown.distribution))
    if breakdown.outputs is not None:
        tables.append(_groups(breakdown, breakdown.outputs, "output", BreakdownRequest(), asked)[0])
    if breakdown.every is not None:
        tables = [every_sample(breakdown, breakdown.every, data, asked)]
    facts: dict[str, Cell] = {
        "sources": list(data.names),
        "loss": result.loss,
        "name": result.name,
        "params": dict(result.params),
        "value": result.value,
        "std_error": result.std_error,
        "count": result.count,
        "elements": result.elements,
        "denominator": result.denominator,
        "infinite": result.infinite,
        "nans": result.nans,
        "missing": result.missing,
        "ignored": result.ignored,
        "per_sample": result.per_sample,
    }
    files: dict[str, Callable[[BinaryIO], None]] = {}
    if (losses := breakdown.losses) is not None:
        files["npy"] = lambda file: write_npy(file, (breakdown.rows,), dense_losses(losses, breakdown.rows))
    if breakdown.every is not None:
        files["parquet"] = lambda file: write_parquet(file, cell_types(tables[0]), tables[0].rows)
    report = Report(
        schema="lossctl.breakdown/1",
        tables=tables,
        title=_title(breakdown, data),
        panels=[[drawing] for drawing in drawings],
        closing=closing,
        facts=facts,
        values=values,
        notes=[*notes(result, data.line), *left_out([result], asked.ignored_by), *_more_notes(breakdown)],
        advice=[*advice, *outliers(result, data.line)],
        stream=bare_losses(breakdown.losses) if breakdown.losses is not None else None,
        files=files,
    )
    return limited(report, bounded, by_row=breakdown.groups is not None)


def _bars(breakdown: Breakdown, distribution: Distribution) -> Bars:
    edges = [*distribution.edges, distribution.high]
    return Bars(f"samples by {breakdown.result.per_sample or breakdown.result.loss}", "", edges, distribution.counts)


def _intervals(table: Table) -> Intervals:
    """Return the drawing of a table of groups: each value with its 95 % interval, by the standard error."""
    names, values, errors = [], [], []
    for name, _, _, value, error, *_ in table.rows:
        names.append(str(name))
        values.append(value if isinstance(value, float) else math.nan)
        errors.append(error if isinstance(error, float) else math.nan)
    return Intervals(
        title=f"{table.title}, value and 95 % interval",
        x_label=table.title.partition(" by ")[0],
        names=names,
        values=values,
        low=[value - _NORMAL * error for value, error in zip(values, errors, strict=True)],
        high=[value + _NORMAL * error for value, error in zip(values, errors, strict=True)],
    )


def _title(breakdown: Breakdown, data: Dataset) -> str:
    r = breakdown.result
    error = "" if r.std_error is None else f" ± {round_error(r.std_error):.6g}"
    samples = counted(r.count, "sample")
    if r.elements != r.count:
        samples += f" of {r.elements:,} elements"
    return f"{samples} · {', '.join(data.names)} · {r.loss} {r.value:.6g}{error}"


def _more_notes(breakdown: Breakdown) -> Iterator[str]:
    if breakdown.result.per_sample:
        yield f"{breakdown.result.loss}: the loss of a sample is {breakdown.result.per_sample}"
    if not breakdown.shares:
        yield f"{breakdown.result.loss} is below 0 for some samples: shares of the sum would mean nothing"
    if breakdown.weighed and breakdown.distribution is not None:
        yield "quantiles and the histogram count each sample once, whatever its weight; all else is weighted"


def _distribution(breakdown: Breakdown, distribution: Distribution, asked: BreakdownView) -> list[Table]:
    total, spread = breakdown.total, breakdown.total.spread
    scale = breakdown.result.per_sample or breakdown.result.loss
    error = spread.error_of_mean() if spread and total.nonfinite_sum == 0.0 else None
    quantiles = Table(
        "distribution",
        [
            Column("mean", label="value" if breakdown.plan.loss.denominator else None),
            Column("std_error", label="std err"),
            *(Column(name) for name in ("min", "median", "p90", "p99", "max")),
        ],
        [(total.mean + 0.0, error, distribution.low, *distribution.quantiles)],
        title=f"distribution of {scale}",
    )
    most = max(distribution.counts)
    bins: list[Sequence[Cell]] = [
        (low, high, count, count / sum(distribution.counts), *([bar(count, most)] if asked.people else []))
        for low, high, count in zip(
            distribution.edges, [*distribution.edges[1:], distribution.high], distribution.counts, strict=True
        )
    ]
    histogram = Table(
        "histogram",
        [
            Column("from"),
            Column("to"),
            Column("samples", "count"),
            Column("share", "share", label="of them"),
            *([Column("bar", "bar", label="")] if asked.people else []),
        ],
        bins,
        title=f"histogram of {scale}",
    )
    tails = Table(
        "tails",
        [
            Column("worst", "share"),
            Column("samples", "count"),
            Column("share", "share", label="of the total"),
            Column("without", label=f"{breakdown.result.name} without them"),
        ],
        [(tail.fraction, tail.samples, tail.share, tail.without) for tail in distribution.tails],
        title="share of the worst samples",
    )
    return [quantiles, histogram, tails]


def _groups(
    breakdown: Breakdown, groups: dict[Label, Summary], name: str, request: BreakdownRequest, asked: BreakdownView
) -> tuple[Table, list[str], list[tuple[Cell, float | None]]]:
    """Return a table with a row per group, lines about groups that it omits, and label and value of every group."""
    total, loss = total_of(breakdown), breakdown.plan.loss
    entries = [(label, *_value(loss, summary), summary) for label, summary in groups.items()]
    if not asked.in_order and request.by is not None:  # without --by output, outputs keep their order
        entries.sort(key=lambda e: _rank(e[1], least=request.least))
    most = request.groups or (_GROUPS if asked.people else len(entries))
    elements = any(summary.elements != summary.samples for summary in groups.values())
    numbers = all(isinstance(label, (int, float)) for label in groups)
    names = [_label(label, name, breakdown, asked, numbers=numbers) for label, *_ in entries]
    columns = [
        Column(name, "text"),
        Column("samples", "count"),
        Column("elements", "count", detail=not elements),
        Column("mean", label="value" if loss.finish or loss.denominator else None),
        Column("std_error", label="std err"),
        Column("share", "share", label="of the total"),
        *([Column("bar", "bar", label="")] if asked.people and total is not None else []),
    ]
    exact = breakdown.total.total
    shares = [None if total is None else ratio(summary.total, exact) for *_, summary in entries]
    highest = max((share for share in shares if share is not None), default=0.0)
    rows: list[Sequence[Cell]] = [
        (
            label,
            *(summary.samples, summary.elements, value, error, share),
            *([bar(share or 0.0, highest)] if asked.people and total is not None else []),
        )
        for label, (_, value, error, summary), share in zip(names[:most], entries, shares, strict=False)
    ]
    left = len(entries) - most
    more = [f"{counted(left, 'more group')}; all of them: --top {len(entries)}"] if left > 0 else []
    table = "outputs" if name == "output" else "groups"
    every = [(label, value) for label, (_, value, _, _) in zip(names, entries, strict=True)]
    return Table(table, columns, rows, title=f"{loss.spec} by {name}"), more, every


def _rank(value: float | None, *, least: bool) -> tuple[bool, float]:
    """Sort key of a group: NaN first, then from the worst loss to the best (reversed if ``least``), None last."""
    if value is None:
        return True, 0.0
    known = math.inf if math.isnan(value) else value
    return False, known if least else -known


def _value(loss: Loss, summary: Summary) -> tuple[float | None, float | None]:
    """Return the loss of a group and its standard error; both None if the total weight of the group is 0."""
    if not summary.weight:
        return None, None
    value = summary.mean
    error = summary.spread.error_of_mean() if summary.spread and summary.nonfinite_sum == 0.0 else None
    if loss.finish and value == value:
        error = None if error is None else error * loss.finish.derivative(value)
        value = loss.finish.value(value)
    return value + 0.0, error


def _label(label: Label, name: str, breakdown: Breakdown, asked: BreakdownView, *, numbers: bool) -> Cell:
    if name == "output" and isinstance(label, int):
        return str(output_name(label, breakdown.plan, asked))
    if name == "class" and asked.labels and isinstance(label, (int, float)):
        return class_name(label, asked.labels)
    return repr(label).removesuffix(".0") if numbers else str(label)
