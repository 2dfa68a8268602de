"""``lossctl grad``: the gradient of a loss with respect to the predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from lossctl.cli.options import (
    LOSS_HELP,
    ComputationOptions,
    GroupOptions,
    InputOptions,
    Like,
    Option,
    OutputOptions,
)
from lossctl.report import Report

HELP = """Compute the gradient of a loss with respect to the predictions, one row per sample.

Examples:

\b
  lossctl grad huber samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl grad bce samples/cancer.csv -p prob -t label --reduction mean
  lossctl grad samples/my_losses.py:cubic samples/diabetes.csv -p ridge -t target --numeric
"""


def grad(
    losses: Annotated[str, typer.Argument(metavar="LOSS", help=LOSS_HELP)],
    preds: Annotated[str, typer.Argument(metavar="PREDS", help="a file, or - for stdin")],
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    reduction: Annotated[
        str,
        Option(
            "--reduction",
            metavar="none|mean|sum",
            help="gradient of each sample's loss, of their mean, or of their sum",
        ),
    ] = "none",
    grouping: GroupOptions,
    numeric: Annotated[bool, Option("--numeric", help="use finite differences, for a loss without a gradient")] = False,
    like: Like = None,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Compute the gradient."""
    from lossctl.cli.data_files import column_role
    from lossctl.cli.like import request_losses
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.settings import compute_options, execution_config
    from lossctl.cli.training import with_training
    from lossctl.core.validation import check_choice
    from lossctl.errors import UsageError
    from lossctl.gradients.gradcheck import REDUCTIONS
    from lossctl.gradients.gradient_rows import spool_gradient, spool_gradient_of_lists
    from lossctl.report.gradcheck import gradient_rows

    chosen = format_of(output, default="csv", binary=("npy",))
    if chosen in ("table", "json"):
        raise UsageError(
            f"--format {chosen}: grad writes one row per sample: use csv, tsv, jsonl, value or -o FILE.npy"
        )
    style_of(output)
    check_choice("--reduction", reduction, REDUCTIONS)
    requested = request_losses(losses, how, like)
    if len(requested.losses) > 1:
        raise UsageError("grad takes a single loss")
    check_stdin([preds, targets])
    group = grouping.group
    workers = execution_config(how, output)
    options = compute_options(how, data)
    opened = open_data(requested.losses, preds, targets, data, by=group)
    opened = with_training(opened, requested.losses, grouping, data)
    resolved = requested.resolve(opened, options, reduction)
    (loss,), options, reduction = resolved.losses, resolved.options, resolved.reduction
    if group is None:
        spool = spool_gradient(opened, loss, options, reduction, workers=workers, numeric=numeric)
    else:
        from lossctl.engine.lists import read_groups

        groups, options = read_groups(opened, column_role(group), [loss], options)
        spool = spool_gradient_of_lists(groups, loss, options, reduction, workers=workers, numeric=numeric)
    report = gradient_rows(spool)
    return replace(report, notes=[*resolved.notes, *report.notes]), replace(output, format=chosen)
