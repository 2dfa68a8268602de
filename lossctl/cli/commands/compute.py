"""``lossctl compute``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lossctl.cli.options import Compute, Data, Output, Strict, flat
from lossctl.report import Report

if TYPE_CHECKING:
    from lossctl.engine.executors.config import Workers
    from lossctl.engine.plan import Policy

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
    strict: Strict = False,
    how: Compute,
    output: Output,
) -> tuple[Report, Output]:
    """Compute losses."""
    from dataclasses import replace
    from functools import partial

    from lossctl.api import REDUCTIONS, check_choice, compute_on
    from lossctl.cli.loss_arguments import bind
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.thresholds import failures, limits
    from lossctl.cli.words import breakdown_of
    from lossctl.report.compute import computed

    style_of(output)  # a wrong option is told before a long run, not after
    quick = format_of(output) == "value"
    check_choice("--reduction", reduction, REDUCTIONS)
    policy = replace(policy_of(how, data), detail=strict or not quick)
    bound = bind(losses, how.param)
    above, below = limits("--fail-above", fail_above, bound), limits("--fail-below", fail_below, bound)
    check_stdin([preds, targets])
    workers = workers_of(how, output)
    opened = open_data(bound, preds, targets, data)
    if strict or not output.quiet:
        from lossctl.analysis.input_checks import advised

        results, advice = advised(opened, bound, policy, reduction, workers)
    else:
        results, advice = compute_on(opened, bound, policy, reduction, workers), []
    see = partial(breakdown_of, losses, [preds, targets], data, how)
    report = computed(results, opened.names, opened.line, advice, see=see)
    if strict:
        refuse(report.advice)
    beyond = failures(results, above, below)
    return replace(report, failures=beyond, failed=bool(beyond)), output


def workers_of(how: Compute, output: Output) -> Workers:
    """Where the engine runs, of the options that say it.

    Raises:
        UsageError: an option out of its range, or without its use.
    """
    from lossctl.cli.progress import progress, wanted
    from lossctl.engine.executors.config import Workers
    from lossctl.errors import UsageError

    check_range("--threads", how.threads, 1)
    if how.threads is not None:
        os.environ.setdefault("POLARS_MAX_THREADS", str(how.threads))  # which polars reads as it is imported
    if how.allow_mixed and how.cluster is None:
        raise UsageError("--allow-mixed is about the workers of a --cluster")
    if how.cluster not in (None, "local") and how.threads is not None:
        raise UsageError("--threads: the workers of a cluster have as many as they were started with")
    watch = progress if wanted(no_progress=how.no_progress, quiet=output.quiet) else None
    return Workers(how.threads, how.cluster, how.allow_mixed, watch, own=True)


def policy_of(how: Compute, data: Data) -> Policy:
    """What the engine does, of the options that say it.

    Raises:
        UsageError: an option out of its range.
    """
    from lossctl.api import NAN, check_choice
    from lossctl.core.input_kinds import SUM_TOLERANCE
    from lossctl.engine.plan import Policy
    from lossctl.errors import UsageError

    check_choice("--nan", how.nan, NAN)
    check_range("--sum-tolerance", how.sum_tolerance, 0.0)
    if data.labels is not None and how.ignore_index is not None:
        names = data.labels.split(",")
        # What --labels does not name is an error: a code that none of them has would hide it.
        if not 0 <= how.ignore_index < len(names):
            raise UsageError(f"--ignore-index {how.ignore_index}: with --labels it is from 0 to {len(names) - 1}")
    return Policy(
        nan=how.nan,
        tolerance=SUM_TOLERANCE if how.sum_tolerance is None else how.sum_tolerance,
        normalize=how.normalize,
        class_axis=how.class_axis,
        class_weight=_class_weight(how.class_weight),
        ignore_index=how.ignore_index,
        labelled=frozenset({"target"}) if data.labels is not None else frozenset(),
    )


def refuse(advice: Sequence[str]) -> None:
    """What ``--strict`` makes of advice.

    Raises:
        DataError: there is some.
    """
    from lossctl.errors import DataError

    if advice:
        more = f"; and {len(advice) - 1} more, without --strict" if len(advice) > 1 else ""
        raise DataError(f"{advice[0]}{more} (--strict)")


def _class_weight(text: str | None) -> tuple[float, ...]:
    """The numbers of ``--class-weight 0.5,2,1``."""
    from lossctl.api import check_class_weight
    from lossctl.errors import UsageError, quoted
    from lossctl.io.text_grammar import NUMBER

    parts = [] if text is None else [part.strip() for part in text.split(",")]
    for part in parts:
        if not NUMBER.fullmatch(part):
            raise UsageError(f"--class-weight {quoted(text or '')}: {quoted(part)} is not a number; numbers and commas")
    return check_class_weight([float(part) for part in parts])


def check_range(name: str, value: float | None, low: float) -> None:
    """Refuse a number below what makes sense."""
    from lossctl.errors import UsageError, number

    if value is not None and not value >= low:
        raise UsageError(f"{name} {number(value)}: at least {number(low)}")
