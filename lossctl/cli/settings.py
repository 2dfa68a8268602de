"""Options of the command line as settings of the engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossctl.cli.options import ComputationOptions, InputOptions, OutputOptions

if TYPE_CHECKING:
    from lossctl.engine.executors.config import ExecutionConfig
    from lossctl.engine.options import ComputeOptions
    from lossctl.report import Report


def execution_config(how: ComputationOptions, output: OutputOptions) -> ExecutionConfig:
    """Return where the engine runs (threads or a cluster) and how it reports progress, from the options.

    Raises:
        UsageError: an option is out of its range, or has no effect with the others.
    """
    from lossctl.cli.progress import progress, wanted
    from lossctl.engine.executors.config import ExecutionConfig
    from lossctl.errors import UsageError

    check_range("--threads", how.threads, 1)
    if how.threads is not None:
        os.environ.setdefault("POLARS_MAX_THREADS", str(how.threads))  # polars reads the variable at import
    if how.allow_mixed and how.cluster is None:
        raise UsageError("--allow-mixed needs --cluster")
    if how.cluster not in (None, "local") and how.threads is not None:
        raise UsageError("--threads: set the number of threads where the workers of the cluster start")
    watch = progress if wanted(no_progress=how.no_progress, quiet=output.quiet) else None
    return ExecutionConfig(how.threads, how.cluster, how.allow_mixed, watch, may_fork=True)


def compute_options(how: ComputationOptions, data: InputOptions) -> ComputeOptions:
    """Return the computation options that apply to every loss.

    Raises:
        UsageError: an option is out of its range.
    """
    from dataclasses import fields

    from lossctl.core.kind import SUM_TOLERANCE
    from lossctl.core.validation import NAN, check_choice
    from lossctl.engine.options import ComputeOptions
    from lossctl.engine.where import parse_where
    from lossctl.errors import UsageError, number

    check_choice("--nan", how.nan, NAN)
    if how.clip is not None and not 0.0 < how.clip < 0.5:
        raise UsageError(f"--clip {number(how.clip)}: above 0 and below 0.5")
    check_range("--sum-tolerance", how.sum_tolerance, 0.0)
    if how.allow_negative_weights and data.weight is None:
        raise UsageError("--allow-negative-weights needs --weight")
    if how.ignore_index is not None and abs(how.ignore_index) > 2**53:
        raise UsageError(f"--ignore-index {str(how.ignore_index)[:20]}…: a label is at most 2**53")
    if data.labels is not None and how.ignore_index is not None:
        names = data.labels.split(",")
        # A target that --labels does not name is an error; an --ignore-index that is none of its codes would hide it.
        if not 0 <= how.ignore_index < len(names):
            raise UsageError(f"--ignore-index {how.ignore_index}: with --labels it is from 0 to {len(names) - 1}")
    converted = {
        "tolerance": SUM_TOLERANCE if how.sum_tolerance is None else how.sum_tolerance,
        "class_weight": parse_class_weight(how.class_weight),
        "where": None if data.where is None else parse_where(data.where),
        "labelled": frozenset({"target"}) if data.labels is not None else frozenset(),
    }
    # An option that needs no conversion has the same name in both classes.
    same = {f.name: getattr(how, f.name) for f in fields(ComputeOptions) if hasattr(how, f.name)}
    return ComputeOptions(**(same | converted))


def with_clip(report: Report, how: ComputationOptions) -> Report:
    """Return the report with the bounds of ``--clip`` in its title and in JSON, if probabilities were clipped."""
    from dataclasses import replace

    from lossctl.errors import number

    if how.clip is None:
        return report
    title = f"{report.title} · clipped to [{number(how.clip)}, 1 − {number(how.clip)}]"
    return replace(report, title=title, facts={**report.facts, "clip": how.clip})


def split_commas(text: str | None) -> list[str]:
    """Split ``a, b`` at its commas, without blanks around the parts; None gives []."""
    return [] if text is None else [part.strip() for part in text.split(",")]


def raise_on_advice(advice: Sequence[str]) -> None:
    """Turn advice into an error, for ``--strict``.

    Raises:
        DataError: ``advice`` is not empty.
    """
    from lossctl.errors import DataError

    if advice:
        more = f"; and {len(advice) - 1} more, without --strict" if len(advice) > 1 else ""
        raise DataError(f"{advice[0]}{more} (--strict)")


def parse_class_weight(text: str | None) -> tuple[float, ...]:
    """Parse ``--class-weight 0.5,2,1``; None gives ().

    Raises:
        UsageError: a part is not a number, or the weights are invalid.
    """
    from lossctl.core.validation import check_class_weight
    from lossctl.errors import UsageError, quoted
    from lossctl.io.text_grammar import NUMBER

    parts = split_commas(text)
    for part in parts:
        if not NUMBER.fullmatch(part):
            raise UsageError(f"--class-weight {quoted(text or '')}: {quoted(part)} is not a number; numbers and commas")
    return check_class_weight([float(part) for part in parts])


def check_range(name: str, value: float | None, low: float) -> None:
    """Check that an option is at least ``low``; None passes.

    Raises:
        UsageError: the value is lower, or NaN.
    """
    from lossctl.errors import UsageError, number

    if value is not None and not value >= low:
        raise UsageError(f"{name} {number(value)}: at least {number(low)}")
