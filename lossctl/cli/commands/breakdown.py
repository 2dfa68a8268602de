"""``lossctl breakdown``: worst samples, distribution and groups of one loss."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lossctl.cli.options import (
    LOSS_HELP,
    ComputationOptions,
    FailAbove,
    FailBelow,
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
    from lossctl.analysis.breakdown import BreakdownRequest
    from lossctl.analysis.grouping import GroupBy
    from lossctl.core.loss import Loss
    from lossctl.engine.executors.config import ExecutionConfig
    from lossctl.engine.options import ComputeOptions
    from lossctl.io.dataset import Dataset

HELP = """Show where a loss comes from: the worst samples, the distribution, groups.

Examples:

\b
  lossctl breakdown mse samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl breakdown bce samples/cancer.csv -p prob -t label --top 5 --columns id,diagnosis
  lossctl breakdown huber samples/diabetes.csv -p ridge -t target --by group --fail-above 50
"""

# Default number of worst samples: leaves room for the other tables on a screen.
_TOP = 10
# Suffixes of -o FILE that breakdown writes in a binary format, with a row per sample.
_BINARY = ("npy", "parquet")


@immutable
class BreakdownOptions:
    """Options of ``breakdown``: which samples or groups are shown, and how they are sorted."""

    HEADING: ClassVar = "Breakdown options"

    top: Annotated[
        int | None,
        Option("--top", metavar="N", help="show only the N worst samples (or groups), without the distribution"),
    ] = None
    bottom: Annotated[bool, Option("--bottom", help="show the best instead of the worst")] = False
    sort: Annotated[
        str | None,
        Option(
            "--sort",
            metavar="loss|row",
            help="by loss (default), or by row, the default with --all (groups: by label)",
        ),
    ] = None
    by: Annotated[
        str | None,
        Option(
            "--by",
            metavar="COLUMN|FILE|class|output",
            help="show one row per group: values of a column, classes of the target, or outputs",
        ),
    ] = None
    columns: Annotated[
        list[str], Option("--columns", metavar="COLUMN,...", help="further columns to show for each sample")
    ] = field(default_factory=list)
    every: Annotated[
        bool,
        Option("--all", help="show every sample; so does -o FILE.npy, .parquet, .csv or .jsonl without --top"),
    ] = False


def breakdown(
    losses: Annotated[str, typer.Argument(metavar="LOSS", help=LOSS_HELP)],
    preds: Annotated[str, typer.Argument(metavar="PREDS", help="a file, or - for stdin")],
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    cut: BreakdownOptions,
    fail_above: FailAbove = [],  # noqa: B006 - typer copies it
    fail_below: FailBelow = [],  # noqa: B006 - as above
    strict: Strict = False,
    plot: Plot = False,
    like: Like = None,
    grouping: GroupOptions,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Take a loss apart."""
    from lossctl.analysis.breakdown import break_down
    from lossctl.analysis.input_checks import check_inputs
    from lossctl.cli.data_files import column_role
    from lossctl.cli.like import request_losses
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of, with_pictures
    from lossctl.cli.settings import compute_options, execution_config, raise_on_advice, split_commas, with_clip
    from lossctl.cli.thresholds import parse_limits
    from lossctl.cli.training import with_training
    from lossctl.errors import UsageError
    from lossctl.render import FORMATS, PICTURES
    from lossctl.report.breakdown import breakdown_report
    from lossctl.report.sample_tables import BreakdownView

    style_of(output)
    chosen = format_of(output, binary=_BINARY, pictures=True, checks=bool(fail_above or fail_below))
    options = compute_options(how, data)
    requested = request_losses(losses, how, like)
    bound = requested.losses
    if len(bound) > 1:
        raise UsageError("breakdown takes a single loss: run it once for each")
    (limits,) = parse_limits(fail_above, fail_below, bound)
    group = grouping.group
    names = [name for text in cut.columns for name in split_commas(text)]
    if group is not None and cut.by is None:
        names = [group, *(name for name in names if name != group)]
    request = _wanted(cut, output, chosen, plot, [column_role(name) for name in names])
    check_stdin([preds, targets])
    workers = execution_config(how, output)
    opened = open_data(bound, preds, targets, data, shown=names if group is None else [*names, group], by=cut.by)
    opened = with_training(opened, bound, grouping, data)
    by = _by(cut.by, opened)
    request = replace(request, by=by, profile=group is None and (strict or not output.quiet))
    view = BreakdownView(
        people=chosen in PICTURES or (chosen in FORMATS and FORMATS[chosen].for_people),
        columns=names,
        in_order=cut.sort == "row",
        labels=split_commas(data.labels),
        by=cut.by or "",
        ignored_by=options.leaving_out,
    )
    resolved = requested.resolve_mean(opened, options, "breakdown")
    (loss,), options = resolved.losses, resolved.options
    if group is not None:
        opened, loss, options = _of_groups(opened, loss, options, workers, request=request, group=column_role(group))
    result = break_down(opened, loss, options, request, workers)
    lines = list(opened.notes) if group is not None else []
    if result.profile:
        lines = list(check_inputs(opened, [result.plan], options, [result.profile]))
    report = breakdown_report(result, opened, request, view, lines, limits=limits)
    report = with_clip(replace(report, notes=[*resolved.notes, *report.notes]), how)
    if strict:
        raise_on_advice(report.advice)
    if chosen not in _BINARY:
        report = with_pictures(report, chosen, plot=plot)
    return report, replace(output, format=chosen)


def _of_groups(
    data: Dataset,
    loss: Loss,
    options: ComputeOptions,
    workers: ExecutionConfig,
    *,
    request: BreakdownRequest,
    group: str,
) -> tuple[Dataset, Loss, ComputeOptions]:
    """Return the data set of the losses of groups, its loss and its options.

    Raises:
        UsageError: samples are to be shown by class or by output.
        DataError: a row is invalid, or a column to show has two values in a group.
    """
    from lossctl.analysis.group_losses import group_losses
    from lossctl.engine.lists import read_groups
    from lossctl.errors import UsageError

    by = request.by
    if by is not None and not by.role:
        raise UsageError(f"{by.where} with --group: a sample is a group of rows: name a column")
    shown = [*request.shown, *([by.role] if by is not None else [])]
    groups, of_rows = read_groups(data, group, [loss], options, shown=shown)
    return group_losses(groups, loss, of_rows, workers)


def _wanted(
    cut: BreakdownOptions, output: OutputOptions, chosen: str, plot: bool, shown: list[str]
) -> BreakdownRequest:
    """Return the analysis to run for the given options.

    Raises:
        UsageError: an option is out of its range, or two options exclude each other.
    """
    from lossctl.analysis.breakdown import BreakdownRequest
    from lossctl.cli.settings import check_range
    from lossctl.core.validation import check_choice
    from lossctl.errors import UsageError
    from lossctl.render import FORMATS, PICTURES

    if cut.sort is not None:
        check_choice("--sort", cut.sort, ("loss", "row"))
    check_range("--top", cut.top, 1)
    selected = cut.top is not None or cut.bottom or cut.by is not None
    if cut.every and selected:
        raise UsageError("--all shows every sample: leave out --top, --bottom and --by")
    if selected and chosen in _BINARY:
        raise UsageError(f"-o FILE.{chosen} holds every sample: leave out --top, --bottom and --by")
    if shown and cut.by is not None:
        raise UsageError("--columns belongs to samples, and --by to groups: leave out one of them")
    if (plot or chosen in PICTURES) and (cut.every or (selected and cut.by is None)):
        raise UsageError("a picture shows the distribution, or groups: leave out --top, --bottom and --all")
    streams_rows = chosen in _BINARY or (chosen in FORMATS and FORMATS[chosen].streams_rows)
    if cut.every or (output.output is not None and streams_rows and not selected):
        bare = chosen in ("npy", "value")
        ranked = cut.sort == "loss"
        if ranked and chosen == "npy":
            raise UsageError("-o FILE.npy holds one loss per row of the input: leave out --sort loss")
        return BreakdownRequest(every=not bare, losses=bare, ranked=ranked, shown=() if bare else tuple(shown))
    if cut.by is not None:
        return BreakdownRequest(top=0, groups=cut.top, least=cut.bottom)
    return BreakdownRequest(top=cut.top or _TOP, least=cut.bottom, distribution=not selected, shown=tuple(shown))


def _by(text: str | None, data: Dataset) -> GroupBy | None:
    from lossctl.analysis.grouping import GroupBy
    from lossctl.cli.data_files import column_role

    if text is None:
        return None
    role = column_role(text)
    return GroupBy("column", role) if role in data.places else GroupBy(text)
