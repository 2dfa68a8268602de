"""``lossctl compute``: the value of one or several losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from lossctl.cli.options import (
    LOSS_HELP,
    ComputationOptions,
    FailAbove,
    FailBelow,
    GroupOptions,
    InputOptions,
    Like,
    OutputOptions,
    Strict,
)
from lossctl.cli.settings import compute_options, execution_config, raise_on_advice, with_clip
from lossctl.report import Report

if TYPE_CHECKING:
    from lossctl.core.loss import Loss
    from lossctl.engine.executors.config import ExecutionConfig
    from lossctl.engine.options import ComputeOptions
    from lossctl.engine.result import Result
    from lossctl.io.dataset import Dataset

HELP = """Compute the loss of predictions on targets: value, standard error, extremes.

Examples:

\b
  lossctl compute mse samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl compute huber:delta=50,mae samples/diabetes.csv -p ridge -t target
  lossctl compute bce -q - --pred prob --target label < samples/cancer.csv
"""


def compute(
    losses: Annotated[str, typer.Argument(metavar="LOSS[,LOSS...]", help=LOSS_HELP)],
    preds: Annotated[str, typer.Argument(metavar="PREDS", help="a file, or - for stdin")],
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    data: InputOptions,
    reduction: Annotated[
        str,
        typer.Option(
            "--reduction",
            metavar="mean|sum|group|output|batch",
            help="mean divides by the sum of the weights; group, output: mean over --group, or over the columns, of "
            "their losses; batch: as one image",
        ),
    ] = "mean",
    grouping: GroupOptions,
    fail_above: FailAbove = [],  # noqa: B006 - typer copies it
    fail_below: FailBelow = [],  # noqa: B006 - as above
    strict: Strict = False,
    like: Like = None,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Compute losses."""
    from dataclasses import replace

    from lossctl.cli.like import request_losses
    from lossctl.cli.loss_arguments import split_specs
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.thresholds import parse_limits
    from lossctl.cli.training import with_training
    from lossctl.core.user_kernel import source_line
    from lossctl.core.validation import REDUCTIONS, check_choice
    from lossctl.errors import UsageError
    from lossctl.report.compute import compute_report
    from lossctl.report.limits import Limited, limited

    style_of(output)  # reports an invalid option before a long run, not after
    quick = format_of(output, checks=bool(fail_above or fail_below)) == "value"
    group = grouping.group
    check_choice("--reduction", reduction, (*REDUCTIONS, "group", "output", "batch"))
    if reduction in ("batch", "output") and group is not None:
        raise UsageError(f"--reduction {reduction} takes the whole file: leave out --group")
    if reduction == "group" and group is None:
        raise UsageError("--reduction group needs --group COLUMN")
    options = replace(compute_options(how, data), detail=strict or not quick)
    requested = request_losses(losses, how, like)
    limits = parse_limits(fail_above, fail_below, requested.losses)
    check_stdin([preds, targets])
    workers = execution_config(how, output)
    opened = open_data(requested.losses, preds, targets, data, by=group)
    opened = with_training(opened, requested.losses, grouping, data)
    resolved = requested.resolve(opened, options, reduction)
    bound, options = resolved.losses, resolved.options
    results, advice, line = _results(
        opened, bound, options, resolved.reduction, workers=workers, group=group, profile=strict or not output.quiet
    )
    report = compute_report(
        results, opened.names, line, advice, specs=split_specs(losses), ignored_by=options.leaving_out
    )
    report = with_clip(report, how)
    if strict:
        raise_on_advice(report.advice)
    report = replace(report, notes=[*resolved.notes, *report.notes])
    values = [
        Limited(r.loss, r.value, limit, source_line(loss.kernel))
        for r, loss, limit in zip(results, bound, limits, strict=True)
    ]
    return limited(report, values), output


def _results(
    data: Dataset,
    losses: list[Loss],
    options: ComputeOptions,
    reduction: str,
    *,
    workers: ExecutionConfig,
    group: str | None,
    profile: bool,
) -> tuple[list[Result], list[str], Callable[[int], str | None]]:
    """Return the result of each loss, advice on the inputs, and the function that names the line of a sample.

    Raises:
        UsageError: the reduction does not fit a loss or an option.
        DataError: a row is invalid.
    """
    from dataclasses import replace

    from lossctl.engine.run import compute_losses

    if group is not None:
        from lossctl.analysis.group_losses import group_losses
        from lossctl.cli.data_files import column_role
        from lossctl.engine.lists import compute_of_lists, read_groups

        groups, of_rows = read_groups(data, column_role(group), losses, options)
        if reduction != "group":
            return (
                compute_of_lists(groups, losses, of_rows, reduction=reduction, workers=workers),
                list(data.notes),
                _no_line,
            )
        results = []
        for loss in losses:
            of_groups = group_losses(groups, loss, of_rows, workers, reduction=reduction)
            results += compute_losses(of_groups[0], [of_groups[1]], of_groups[2], "mean", workers).results
        return [replace(result, reduction=reduction) for result in results], list(data.notes), _no_line
    if reduction == "output":
        from lossctl.analysis.output_mean import mean_over_outputs

        return [mean_over_outputs(data, loss, options, workers) for loss in losses], list(data.notes), data.line
    if reduction == "batch":
        from lossctl.engine.whole_batch import as_one_image

        image, of_image = as_one_image(data, losses, options)
        results = compute_losses(image, losses, of_image, "mean", workers).results
        return [replace(result, reduction=reduction) for result in results], list(data.notes), _no_line
    if not profile:
        return compute_losses(data, losses, options, reduction, workers).results, [], data.line
    from lossctl.analysis.input_checks import check_inputs
    from lossctl.analysis.input_profile import profile_block

    computed = compute_losses(data, losses, options, reduction, workers, profile=profile_block)
    return computed.results, list(check_inputs(data, computed.plans, options, computed.profiles)), data.line


def _no_line(_row: int) -> None:
    """Return no line: a list has several."""
