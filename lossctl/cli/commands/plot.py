"""``lossctl plot``: curves of losses, or histograms of losses and predictions."""

from __future__ import annotations

from typing import Annotated

import typer

from lossctl.cli.options import (
    LOSS_HELP,
    ComputationOptions,
    InputOptions,
    Like,
    Option,
    OutputOptions,
)
from lossctl.report import Report

HELP = """Draw losses and their gradients; with data, histograms of losses, and predictions against targets.

Examples:

\b
  lossctl plot huber:delta=0.5,huber:delta=2
  lossctl plot bce --range 0.5,1 --format csv
  lossctl plot mae,huber:delta=50 samples/diabetes_preds.csv samples/diabetes_targets.csv
"""


def plot(
    losses: Annotated[str, typer.Argument(metavar="LOSS[,LOSS...]", help=LOSS_HELP)],
    preds: Annotated[str | None, typer.Argument(metavar="[PREDS]", help="a file, or - for stdin")] = None,
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    span: Annotated[
        str | None,
        Option("--range", metavar="LOW,HIGH", help="range of the x axis of curves: residual, margin or probability"),
    ] = None,
    like: Like = None,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Draw losses."""
    from dataclasses import replace

    from lossctl.cli.like import request_losses, resolve_for_curves
    from lossctl.cli.output import format_of, style_of, with_pictures
    from lossctl.core.list_parameters import single_valued
    from lossctl.errors import UsageError
    from lossctl.report.plot import curves_report, data_plot_report

    chosen = format_of(output, pictures=True)
    style_of(output)
    requested = request_losses(losses, how, like)
    if preds is None:
        from lossctl.analysis.curves import curves_of

        resolved = resolve_for_curves(requested)
        singles = [single for loss in resolved.losses for single in single_valued(loss)]
        report = curves_report(curves_of(singles, *_ends(span)))
    elif span is not None:
        raise UsageError("--range belongs to curves: leave it out with data")
    else:
        from lossctl.analysis.histograms import plot_data
        from lossctl.cli.open_dataset import check_stdin, open_data
        from lossctl.cli.settings import compute_options, execution_config, split_commas

        check_stdin([preds, targets])
        workers = execution_config(how, output)
        opened = open_data(requested.losses, preds, targets, data)
        resolved = requested.resolve(opened, replace(compute_options(how, data), detail=False))
        shown = plot_data(opened, resolved.losses, resolved.options, workers)
        report = data_plot_report(shown, resolved.losses, opened.names, split_commas(data.labels))
    report = replace(report, notes=[*resolved.notes, *report.notes])
    return with_pictures(report, chosen), replace(output, format=chosen)


def _ends(text: str | None) -> tuple[float | None, float | None]:
    """Parse ``--range LOW,HIGH``; None gives (None, None).

    Raises:
        UsageError: the value is not two finite numbers, the lower one first.
    """
    from lossctl.errors import UsageError, quoted

    if text is None:
        return None, None
    try:
        low, high = (float(part) if "_" not in part else float("nan") for part in text.split(","))
    except ValueError:
        low = high = float("nan")
    if not (low < high and abs(low) < float("inf") and abs(high) < float("inf")):
        raise UsageError(f"--range {quoted(text)}: two numbers, LOW,HIGH, the lower one first")
    return low, high
