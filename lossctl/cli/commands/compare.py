"""``lossctl compare``: paired comparison of the predictions of several models."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lossctl.cli.options import (
    LOSS_HELP,
    ComputationOptions,
    GroupOptions,
    InputOptions,
    Like,
    Option,
    OutputOptions,
    Plot,
    Strict,
)
from lossctl.immutable import immutable
from lossctl.report import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossctl.cli.data_files import Model
    from lossctl.core.loss import Loss
    from lossctl.engine.executors.config import ExecutionConfig
    from lossctl.engine.options import ComputeOptions
    from lossctl.io.dataset import Dataset

HELP = """Compare models on the same targets: differences, intervals, tests.

Each model is compared with the first. If the models are columns of one file, give --pred once per model.

Examples:

\b
  lossctl compare mse samples/diabetes.csv -p ridge -p forest -t target
  lossctl compare mse,mae samples/diabetes.csv -p ridge -p forest -t target --fail-if-worse
  lossctl compare mse samples/diabetes.csv -p ridge -p forest -t target --by group --plot
  lossctl compare bce samples/cancer_probs.csv samples/cancer_probs.npy samples/cancer_targets.csv --top 2
"""


@immutable
class CompareOptions:
    """Options of ``compare``: bootstrap, limit, and samples to show."""

    HEADING: ClassVar = "Comparison options"

    fail_if_worse: Annotated[
        list[str],
        Option(
            "--fail-if-worse",
            metavar="[X|LOSS=X]",
            help="exit 1 if a model is worse than the first beyond chance: the 95 % interval lies above 0 (above X)",
        ),
    ] = field(default_factory=list)
    resamples: Annotated[int, Option("--resamples", metavar="N", help="of the bootstrap")] = 10_000
    seed: Annotated[int, Option("--seed", metavar="N", help="of the bootstrap")] = 0
    top: Annotated[
        int, Option("--top", metavar="N", help="number of samples to show, where the models differ most")
    ] = 5
    by: Annotated[
        str | None, Option("--by", metavar="COLUMN|FILE", help="compare each group by itself, too: values of a column")
    ] = None
    cluster_by: Annotated[
        str | None,
        Option(
            "--cluster-by",
            metavar="COLUMN|FILE",
            help="samples with one value of a column depend on each other, such as questions about one document",
        ),
    ] = None
    columns: Annotated[
        list[str], Option("--columns", metavar="COLUMN,...", help="further columns to show for each of these samples")
    ] = field(default_factory=list)


def compare(
    losses: Annotated[str, typer.Argument(metavar="LOSS[,LOSS...]", help=LOSS_HELP)],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]PREDS... [TARGETS]",
            help="a file per model, then TARGETS; or one file with all columns",
        ),
    ] = [],  # noqa: B006 - typer copies the list; a default lets lossctl write the error for no files
    *,
    against: CompareOptions,
    strict: Strict = False,
    plot: Plot = False,
    like: Like = None,
    grouping: GroupOptions,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Compare models."""
    from lossctl.analysis.comparison import compare_models
    from lossctl.analysis.input_checks import check_inputs_of_models
    from lossctl.cli.data_files import column_role
    from lossctl.cli.like import request_losses
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of, with_pictures
    from lossctl.cli.settings import (
        check_range,
        compute_options,
        execution_config,
        raise_on_advice,
        split_commas,
        with_clip,
    )
    from lossctl.cli.training import with_training
    from lossctl.errors import DataError
    from lossctl.render import FORMATS, PICTURES
    from lossctl.report.compare import ComparisonView, compare_report

    style_of(output)
    chosen = format_of(output, pictures=True, checks=bool(against.fail_if_worse))
    check_range("--resamples", against.resamples, 100)
    check_range("--seed", against.seed, 0)
    check_range("--top", against.top, 0)
    options = compute_options(how, data)
    requested = request_losses(losses, how, like)
    limits = _limits(against.fail_if_worse, requested.losses)
    models, targets = _models(files, data)
    group = grouping.group
    columns = [name for text in against.columns for name in split_commas(text)]
    if group is not None:
        columns = [group, *(name for name in columns if name != group)]
    names = _names(models)
    check_stdin([*(model.path for model in models), targets])
    workers = execution_config(how, output)
    first = replace(data, pred=list(models[0].columns))
    opened = open_data(
        requested.losses,
        models[0].path,
        targets,
        first,
        shown=[*columns, *(name for name in (against.cluster_by, against.by) if name is not None)],
        rivals=models[1:],
    )
    opened = with_training(opened, requested.losses, grouping, data)
    resolved = requested.resolve_mean(opened, options, "compare")
    runs = [(opened, resolved.losses, resolved.options)]
    if group is not None:
        roles = [column_role(name) for name in (*columns, against.cluster_by, against.by) if name is not None]
        runs = _of_groups(*runs[0], workers, group=column_role(group), shown=roles)
    comparisons = [
        comparison
        for dataset, compared, of_losses in runs
        for comparison in compare_models(
            dataset,
            compared,
            len(models),
            of_losses,
            workers,
            resamples=against.resamples,
            seed=against.seed,
            top=against.top,
            shown=tuple(column_role(name) for name in columns),
            by=column_role(against.by) if against.by else None,
            cluster_by=None if against.cluster_by is None else column_role(against.cluster_by),
        )
    ]
    if limits and comparisons[0].samples < 2:
        raise DataError("--fail-if-worse: needs at least two samples")
    shown = ComparisonView(
        people=chosen in PICTURES or FORMATS[chosen].for_people,
        models=names,
        resamples=against.resamples,
        seed=against.seed,
        columns=columns,
        labels=split_commas(data.labels),
        by=against.by or "",
        cluster_by=against.cluster_by or "",
    )
    plans = zip(*(c.plans for c in comparisons), strict=True)
    profiles = zip(*(c.profiles for c in comparisons), strict=True)
    if group is None:
        advice = check_inputs_of_models(opened, [*plans], resolved.options, [*profiles], shown.models)
    else:
        advice = list(dict.fromkeys(note for dataset, _, _ in runs for note in dataset.notes))
    report = compare_report(comparisons, runs[0][0], shown, limits, advice)
    report = with_clip(replace(report, notes=[*resolved.notes, *report.notes]), how)
    if strict:
        raise_on_advice(report.advice)
    return with_pictures(report, chosen, plot=plot), replace(output, format=chosen)


def _of_groups(
    data: Dataset,
    losses: list[Loss],
    options: ComputeOptions,
    workers: ExecutionConfig,
    *,
    group: str,
    shown: list[str],
) -> list[tuple[Dataset, list[Loss], ComputeOptions]]:
    """Return for each loss the data set of the losses of groups, its loss and its options.

    Raises:
        DataError: a row is invalid, or a column to show has two values in a group.
    """
    from lossctl.analysis.group_losses import group_losses
    from lossctl.engine.lists import read_groups

    models = sum(role == "pred" or role.startswith("pred ") for role in data.places)
    groups, of_rows = read_groups(data, group, losses, options, shown=shown, models=models)
    of_losses = [group_losses(groups, loss, of_rows, workers, models=models) for loss in losses]
    return [(dataset, [loss], of_loss) for dataset, loss, of_loss in of_losses]


def _models(files: Sequence[str], data: InputOptions) -> tuple[list[Model], str | None]:
    """Return the models (one per file, or one per column of a single file) and the path of the targets, or None.

    Raises:
        UsageError: fewer than two models.
    """
    from lossctl.cli.data_files import Model
    from lossctl.errors import UsageError

    targets = files[-1] if len(files) > 1 else None
    preds = files[:-1] or files
    if len(preds) > 1:
        return [Model(path, tuple(data.pred), name) for name, path in map(_named, preds)], targets
    if not preds or len(data.pred) < 2:
        raise UsageError(
            "compare needs at least two sets of predictions: A B TARGETS, or one file and --pred once per model"
        )
    return [Model(preds[0], (column,)) for column in data.pred], targets


def _named(word: str) -> tuple[str, str]:
    """Split ``NAME=FILE``; a file whose own name contains ``=`` exists under the whole word."""
    import os

    name, equals, path = word.partition("=")
    return (name, path) if equals and name and "/" not in name and not os.path.exists(word) else ("", word)


def _names(models: Sequence[Model]) -> list[str]:
    """Return the names of the models: those that the user chose, their columns if they share a file, else file names.

    Names of files are tried without suffix, then with suffix, then with folders: the shortest that are distinct.

    Raises:
        UsageError: two models have the same name.
    """
    import os

    from lossctl.errors import UsageError, printable
    from lossctl.io.byte_stream import STDIN

    if len({model.path for model in models}) == 1 and len({model.columns for model in models}) > 1:
        return [", ".join(model.columns) for model in models]
    paths = ["stdin" if model.path == STDIN else model.path for model in models]
    short = [os.path.basename(path) for path in paths]
    chosen = [model.name for model in models]
    for files in ([name.partition(".")[0] for name in short], short, paths):
        names = [name or file for name, file in zip(chosen, files, strict=True)]
        if len(set(names)) == len(models) and all(names):
            return names
    if any(chosen):
        raise UsageError(f"two models have the same name: {', '.join(map(printable, names))}")
    return paths


def _limits(texts: Sequence[str], losses: Sequence[Loss]) -> dict[str, float]:
    """Parse --fail-if-worse: return the allowed difference of each loss; without a value, 0 for all losses.

    Raises:
        UsageError: a limit is not a number, or is below 0.
    """
    from lossctl.cli.settings import check_range
    from lossctl.cli.thresholds import parse_thresholds

    said = parse_thresholds("--fail-if-worse", [text for text in texts if text], losses)
    for limit in said.values():
        check_range("--fail-if-worse", limit, 0.0)
    return {**(dict.fromkeys((loss.spec for loss in losses), 0.0) if "" in texts else {}), **said}
