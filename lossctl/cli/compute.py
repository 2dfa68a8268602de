"""``lossctl compute``."""

from __future__ import annotations

from typing import Annotated

import typer

from lossctl.cli.options import Compute, Data, Output, flat
from lossctl.report import Report

HELP = """The loss of predictions on targets: value, standard error, extremes.

Examples:

  lossctl compute mse samples/diabetes_preds.csv samples/diabetes_targets.csv

  lossctl compute huber:delta=50,mae samples/diabetes.csv --pred ridge --target target

  lossctl compute bce -q - --pred prob --target label < samples/cancer.csv
"""


@flat
def compute(
    losses: Annotated[str, typer.Argument(metavar="LOSS[,LOSS...]", help="NAME[:PARAM=VALUE]..., or FILE.py:FUNCTION")],
    preds: Annotated[str, typer.Argument(metavar="PREDS", help="a file, or - for stdin")],
    targets: Annotated[str | None, typer.Argument(metavar="[TARGETS]", help="a file, if not columns of PREDS")] = None,
    *,
    data: Data,
    how: Compute,
    output: Output,
) -> tuple[Report, Output]:
    """Compute losses."""
    from lossctl.api import NAN, REDUCTIONS, check_choice, compute_on
    from lossctl.cli.inputs import check_stdin, open_data
    from lossctl.cli.losses import bind
    from lossctl.cli.output import format_of, style_of
    from lossctl.engine import Policy
    from lossctl.kernels.kinds import SUM_TOLERANCE
    from lossctl.report import computed

    style_of(output)  # a wrong option is told before a long run, not after
    quick = format_of(output) == "value"
    check_choice("--reduction", how.reduction, REDUCTIONS)
    check_choice("--nan", how.nan, NAN)
    check_range("--threads", how.threads, 1)
    check_range("--sum-tolerance", how.sum_tolerance, 0.0)
    bound = bind(losses, how.param)
    check_stdin([preds, targets])
    opened = open_data(bound, preds, targets, data)
    policy = Policy(
        nan=how.nan,
        tolerance=SUM_TOLERANCE if how.sum_tolerance is None else how.sum_tolerance,
        normalize=how.normalize,
        class_axis=how.class_axis,
        detail=not quick,
        labelled=frozenset({"target"}) if data.labels is not None else frozenset(),
    )
    results = compute_on(opened, bound, policy, how.reduction, how.threads)
    return computed(results, opened.names, opened.line), output


def check_range(name: str, value: float | None, low: float) -> None:
    """Refuse a number below what makes sense."""
    from lossctl.errors import UsageError, number

    if value is not None and not value >= low:
        raise UsageError(f"{name} {number(value)}: at least {number(low)}")
