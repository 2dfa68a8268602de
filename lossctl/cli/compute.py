"""``lossctl compute``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lossctl.cli.options import Compute, Data, Output, flat
from lossctl.report import Report

if TYPE_CHECKING:
    from lossctl.jobs import Policy

HELP = """The loss of predictions on targets: value, standard error, extremes.

Examples:

\b
  lossctl compute mse samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl compute huber:delta=50,mae samples/diabetes.csv -p ridge -t target
  lossctl compute bce -q - --pred prob --target label < samples/cancer.csv
"""


@flat
def compute(
    losses: Annotated[str, typer.Argument(metavar="LOSS[,LOSS...]", help="NAME[:PARAM=VALUE]..., or FILE.py:FUNCTION")],
    preds: Annotated[str, typer.Argument(metavar="PREDS", help="a file, or - for stdin")],
    targets: Annotated[str | None, typer.Argument(metavar="[TARGETS]", help="a file, if not columns of PREDS")] = None,
    *,
    data: Data,
    reduction: Annotated[
        str, typer.Option("--reduction", metavar="mean|sum", help="mean divides by the sum of the weights")
    ] = "mean",
    fail_above: Annotated[
        list[str],
        typer.Option("--fail-above", metavar="X|LOSS=X", help="exit 1 if the value is greater (or NaN)"),
    ] = [],  # noqa: B006 - typer copies it
    fail_below: Annotated[
        list[str], typer.Option("--fail-below", metavar="X|LOSS=X", help="exit 1 if the value is less (or NaN)")
    ] = [],  # noqa: B006 - as above
    how: Compute,
    output: Output,
) -> tuple[Report, Output]:
    """Compute losses."""
    from dataclasses import replace

    from lossctl.api import REDUCTIONS, check_choice, compute_on
    from lossctl.cli.gates import failures, limits
    from lossctl.cli.inputs import check_stdin, open_data
    from lossctl.cli.losses import bind
    from lossctl.cli.output import format_of, style_of
    from lossctl.report.losses import computed

    style_of(output)  # a wrong option is told before a long run, not after
    quick = format_of(output) == "value"
    check_choice("--reduction", reduction, REDUCTIONS)
    policy = replace(policy_of(how, data), detail=not quick)
    bound = bind(losses, how.param)
    above, below = limits("--fail-above", fail_above, bound), limits("--fail-below", fail_below, bound)
    check_stdin([preds, targets])
    opened = open_data(bound, preds, targets, data)
    results = compute_on(opened, bound, policy, reduction, how.threads)
    report = computed(results, opened.names, opened.line)
    beyond = failures(results, above, below)
    return replace(report, failures=beyond, failed=bool(beyond)), output


def policy_of(how: Compute, data: Data) -> Policy:
    """What the engine does, of the options that say it.

    Raises:
        UsageError: an option out of its range.
    """
    from lossctl.api import NAN, check_choice
    from lossctl.jobs import Policy
    from lossctl.kernels.kinds import SUM_TOLERANCE

    check_choice("--nan", how.nan, NAN)
    check_range("--threads", how.threads, 1)
    check_range("--sum-tolerance", how.sum_tolerance, 0.0)
    return Policy(
        nan=how.nan,
        tolerance=SUM_TOLERANCE if how.sum_tolerance is None else how.sum_tolerance,
        normalize=how.normalize,
        class_axis=how.class_axis,
        labelled=frozenset({"target"}) if data.labels is not None else frozenset(),
    )


def check_range(name: str, value: float | None, low: float) -> None:
    """Refuse a number below what makes sense."""
    from lossctl.errors import UsageError, number

    if value is not None and not value >= low:
        raise UsageError(f"{name} {number(value)}: at least {number(low)}")
