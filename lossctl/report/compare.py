"""The report of ``compare``: scores, paired differences, and the samples on which models differ most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lossctl.analysis.bootstrap import MAX_RESAMPLED_ROWS
from lossctl.analysis.comparison import Comparison
from lossctl.analysis.inference import FEW, LEVEL, MAX_RANKED_ROWS
from lossctl.analysis.per_sample import input_names
from lossctl.errors import counted, number, printable
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset
from lossctl.report import Cell, Column, Intervals, Report, Table
from lossctl.report.compare_gate import checks_of, gate_lines, verdict_on
from lossctl.report.compare_pvalues import adjusted_pvalues, are_decisions, number_of_tests, tests_named
from lossctl.report.sample_tables import class_name, labels_of, line_fields, round_error

# A note warns if an interval of at least _MANY samples has fewer than _FREE degrees of freedom. With infinite variance
# about half of all data sets fall below _FREE, and the coverage of the interval can be as low as 60 %. With squared
# normal errors, 3 % of data sets of 50 samples fall below _FREE, and 0.2 % of 100 samples.
_FREE, _MANY = 7.0, 50


@immutable
class ComparisonView:
    """Display options of a comparison.

    Attributes:
        people: whether the format is for people (table or markdown).
        models: the names of the models, the baseline first.
        resamples: the number of bootstrap resamples.
        seed: the seed of the bootstrap.
        columns: the names of further columns of the most different samples.
        labels: the names of the target's classes.
        by: the name of the column of groups.
        cluster_by: the name of the column of clusters.
    """

    people: bool
    models: Sequence[str]
    resamples: int
    seed: int
    columns: Sequence[str] = ()
    labels: Sequence[str] = ()
    by: str = ""
    cluster_by: str = ""


def compare_report(
    comparisons: Sequence[Comparison],
    data: Dataset,
    shown: ComparisonView,
    limits: dict[str, float],
    advice: Sequence[str] = (),
) -> Report:
    """Build the report of ``compare``.

    Args:
        comparisons: the comparison under each loss.
        data: the data set, for file names and line numbers.
        shown: display options.
        limits: by loss, the bound of ``--fail-if-worse``: a model fails if the interval of its difference is above.
        advice: notes about input that is probably a mistake.
    """
    first, several = comparisons[0], len(comparisons) > 1
    tables = [*_for_people(comparisons, shown)] if shown.people else [_for_programs(comparisons, shown)]
    if any(c.groups for c in comparisons):
        tables.append(_groups(comparisons, shown))
    tables += [
        Table(
            f"apart:{c.loss.spec}" if several else "apart",
            *_apart(c, data, shown, c.loss.name if several else "loss"),
            title="samples on which the models differ most" + (f", by {c.loss.spec}" if several else ""),
        )
        for c in comparisons
        if len(c.most_different[0])
    ]
    checks = [
        check for c in comparisons if c.loss.spec in limits for check in checks_of(c, shown.models, limits[c.loss.spec])
    ]
    failures = [check.failure for check in checks if check.failure]
    level = f"{100 * LEVEL:.0f} %"
    how = f"{level} interval: bootstrap, {shown.resamples:,} resamples, seed {shown.seed}"
    if first.clusters is not None or first.samples < FEW:
        how = f"{level} interval: Student's t{'' if first.clusters is None else ' between clusters'}"
    return Report(
        schema="lossctl.compare/1",
        tables=tables,
        title=f"{counted(first.samples, 'sample')}{_clusters(first, shown)} · {', '.join(data.names)}",
        panels=[[_drawing(c, shown)] for c in comparisons],
        closing=[
            f"difference to {shown.models[0]}: below 0 is better; {how}",
            *_detectable(comparisons, shown),
            f"verdict: by the interval; p: {tests_named(comparisons)}",
            *(
                line
                for c in comparisons
                if c.loss.spec in limits
                for line in gate_lines(c, shown.models, limits[c.loss.spec], shown.by)
            ),
        ],
        facts={
            "sources": list(data.names),
            "count": first.samples,
            **({} if first.clusters is None else {"clusters": first.clusters}),
            "left_out": first.left_out,
            "resamples": shown.resamples,
            "seed": shown.seed,
            "level": LEVEL,
            "passed": not failures,
        },
        values=[d.value for c in comparisons for d in c.differences],
        notes=list(dict.fromkeys(note for c in comparisons for note in _notes(c))),
        advice=[*advice, *(line for c in comparisons for line in _doubts(c, shown))],
        failures=failures,
        failed=bool(failures),
        checks=checks,
    )


def _detectable(comparisons: Sequence[Comparison], shown: ComparisonView) -> Iterator[str]:
    """Yield a line with the smallest difference of each loss and model that the data can show."""
    several, first = len(comparisons) > 1, comparisons[0]
    sizes = [
        " ".join([*[c.loss.spec] * several, *[name] * (len(shown.models) > 2), f"{d.detectable:.3g}"])
        for c in comparisons
        for name, d in zip(shown.models[1:], c.differences, strict=True)
        if d.detectable is not None
    ]
    if sizes:
        independent = counted(first.samples, "sample") if first.clusters is None else counted(first.clusters, "cluster")
        yield f"smallest difference that {independent} can show, 80 % power at 5 %: {', '.join(sizes)}"


def _clusters(c: Comparison, shown: ComparisonView) -> str:
    return "" if c.clusters is None else f" in {counted(c.clusters, 'cluster')} of {printable(shown.cluster_by)}"


def _for_people(comparisons: Sequence[Comparison], shown: ComparisonView) -> Iterator[Table]:
    scores = [
        (c.loss.spec, name, score.value, score.std_error, score.wins)
        for c in comparisons
        for name, score in zip(shown.models, c.scores, strict=True)
    ]
    ties = any(c.ties for c in comparisons)
    decisions, clustered = are_decisions(comparisons), comparisons[0].clusters is not None
    yield Table(
        "models",
        [
            Column("loss", "text"),
            Column("model", "text"),
            Column("value"),
            Column("std_error", label="std err"),
            Column("wins", "share"),
            *([Column("ties", "share")] if ties else []),
        ],
        [(*row, *([c.ties] if ties else [])) for c, row in _with_comparison(comparisons, scores)],
        title="models",
    )
    yield Table(
        "differences",
        [
            Column("loss", "text", detail=len(comparisons) == 1),  # a single loss is in the table above: saves width
            Column("model", "text"),
            Column("difference"),
            Column("std_error", label="std err", minor=True),
            Column("low", label="95 % from"),
            Column("high", label="to"),
            Column("p_t", label="p t", digits=2, minor=True),
            Column("p_holm", label="p Holm", digits=2, minor=True, detail=number_of_tests(comparisons) < 2),
            Column("p_wilcoxon", label="p ranks", digits=2, minor=True, detail=decisions or clustered),
            Column("p_mcnemar", label="p McNemar", digits=2, minor=True, detail=not decisions),
            Column("verdict", "verdict"),
        ],
        [
            (
                c.loss.spec,
                name,
                d.value,
                round_error(d.std_error),
                d.low,
                d.high,
                d.p_t,
                p,
                d.p_wilcoxon,
                d.p_mcnemar,
                verdict_on(d),
            )
            for c, adjusted in zip(comparisons, adjusted_pvalues(comparisons), strict=True)
            for name, d, p in zip(shown.models[1:], c.differences, adjusted, strict=True)
        ],
        title=f"difference to {shown.models[0]}",
    )


def _groups(comparisons: Sequence[Comparison], shown: ComparisonView) -> Table:
    """Return a table with a row for each loss, group and model but the first."""
    first = shown.models[0]
    rows: list[Sequence[Cell]] = [
        (
            *(c.loss.spec, label if isinstance(label, str) else number(label), name, group.samples),
            *(group.scores[0].value, score.value, d.value, d.low, d.high, verdict_on(d)),
        )
        for c in comparisons
        for label, group in c.groups.items()
        for name, score, d in zip(shown.models[1:], group.scores[1:], group.differences, strict=True)
    ]
    columns = [
        Column("loss", "text", detail=len(comparisons) == 1),
        Column(shown.by, "text"),
        Column("model", "text"),
        Column("samples", "count"),
        Column("first", label=first, minor=True),
        Column("value", minor=True),
        Column("difference"),
        Column("low", label="95 % from"),
        Column("high", label="to"),
        Column("verdict", "verdict"),
    ]
    return Table("groups", columns, rows, title=f"difference to {first} by {shown.by}")


def _drawing(c: Comparison, shown: ComparisonView) -> Intervals:
    return Intervals(
        title=f"{c.loss.spec}: difference to {shown.models[0]}, {100 * LEVEL:.0f} % interval",
        x_label="below 0 is better",
        names=shown.models[1:],
        values=[d.value for d in c.differences],
        low=[math.nan if d.low is None else d.low for d in c.differences],
        high=[math.nan if d.high is None else d.high for d in c.differences],
        reference=0.0,
    )


def _with_comparison(
    comparisons: Sequence[Comparison], rows: Sequence[Sequence[Cell]]
) -> Iterator[tuple[Comparison, Sequence[Cell]]]:
    each = len(rows) // len(comparisons)
    return ((comparisons[i // each], row) for i, row in enumerate(rows))


def _for_programs(comparisons: Sequence[Comparison], shown: ComparisonView) -> Table:
    """Return a table with a row per loss and model; the differences of the first model are None."""
    columns = [
        Column("loss", "text"),
        Column("params", "object"),
        Column("model", "text"),
        *(Column(name) for name in ("value", "std_error", "wins", "ties", "difference", "difference_std_error")),
        *(
            Column(name)
            for name in ("low", "high", "detectable", "p_t", "p_holm", "p_wilcoxon", "p_mcnemar", "better", "worse")
        ),
        Column("verdict", "verdict"),
    ]
    rows: list[Sequence[Cell]] = []
    for c, adjusted in zip(comparisons, adjusted_pvalues(comparisons), strict=True):
        of_models = (shown.models, c.scores, [None, *c.differences], [None, *adjusted])
        for name, score, d, p in zip(*of_models, strict=True):
            cells: list[Cell] = [None] * 12
            if d is not None:
                cells = [d.value, d.std_error, d.low, d.high, d.detectable, d.p_t, p]
                cells += [d.p_wilcoxon, d.p_mcnemar, d.better, d.worse, verdict_on(d)]
            rows.append(
                [c.loss.spec, dict(c.loss.params), name, score.value, score.std_error, score.wins, c.ties, *cells]
            )
    return Table("models", columns, rows)


def _apart(c: Comparison, data: Dataset, shown: ComparisonView, loss: str) -> tuple[list[Column], list[Sequence[Cell]]]:
    """Return columns and rows of the samples on which models differ most: predictions and losses of each model."""
    first = c.most_different[0]
    places = line_fields(data, c.rows)
    columns = [Column("sample", "count"), *(column for column, _ in places)]
    cells: list[Sequence[Cell]] = [first.rows.tolist(), *(tell(first) for _, tell in places)]
    for i, name in enumerate(shown.columns):
        columns.append(Column(name, "text"))
        cells.append([str(cell) for cell in first.shown[i].tolist()])
    if c.plans[0].per_row == 1:  # with several outputs per sample, no single one stands for all models
        for i, name in enumerate(input_names(c.plans[0])):
            kind = "count" if name.endswith("_class") else "number"
            labels = labels_of(name, shown.labels)
            kind = "text" if labels else kind
            each = zip(shown.models, c.most_different, strict=True) if name.startswith("pred") else [("", first)]
            for model, samples in each:
                values = samples.inputs[i].tolist()
                heading = f"{name.replace('_', ' ')} {model}".rstrip()
                columns.append(Column(f"{name}:{model}" if model else name, kind, label=heading))
                cells.append([class_name(v, labels) for v in values] if labels else values)
    for model, samples in zip(shown.models, c.most_different, strict=True):
        columns.append(Column(f"loss:{model}", label=f"{loss} {model}"))
        cells.append(samples.loss.tolist())
    return columns, list(zip(*cells, strict=True))


def _notes(c: Comparison) -> Iterator[str]:
    if len(c.groups) > 1:
        yield f"of {counted(len(c.groups), 'interval')} of groups, 1 in 20 excludes 0 by chance"
    if c.left_out:
        yield f"{counted(c.left_out, 'sample')} left out for all models: at least one model has no loss there"
    if any(math.isinf(score.value) for score in c.scores):
        yield f"{c.loss.spec} is infinite: there is no interval of a difference, and no test"
    ranked = c.clusters is None
    if c.loss.finish and ranked:
        yield f"{c.loss.spec}: the loss of a sample, which Wilcoxon's test ranks, is {c.loss.finish.per_sample}"
    if c.weighed:
        tests = "wins and Wilcoxon's test count" if ranked else "wins count"
        yield f"{tests} each sample once, whatever its weight; all else is weighted"
    if c.samples > MAX_RESAMPLED_ROWS and ranked:
        yield f"the bootstrap draws {MAX_RESAMPLED_ROWS:,} groups, into which the samples were put at random"
    if c.samples > MAX_RANKED_ROWS and ranked:
        yield f"Wilcoxon's test ranks {MAX_RANKED_ROWS:,} samples, chosen at random"
    if c.samples < FEW and ranked:
        few = f"{c.samples} samples are few" if c.samples > 1 else "1 sample is too few"
        yield f"{few}: intervals and tests are not reliable"


def _doubts(c: Comparison, shown: ComparisonView) -> Iterator[str]:
    """Yield a warning for each interval with few degrees of freedom in spite of many samples or clusters."""
    independent, of = (c.samples, "samples") if c.clusters is None else (c.clusters, "clusters")
    for name, d in zip(shown.models[1:], c.differences, strict=True):
        if d.freedom is not None and d.freedom < _FREE and independent >= _MANY:
            yield (
                f"{c.loss.spec}: a few {of} make most of the spread of the difference of {name} to "
                f"{shown.models[0]}: its interval and tests are not to be trusted"
            )
