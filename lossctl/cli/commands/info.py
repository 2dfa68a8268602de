"""``lossctl info``: formula, inputs, parameters, gradient and curve of a loss."""

from __future__ import annotations

from typing import Annotated

import typer

from lossctl.cli.options import OutputOptions
from lossctl.report import Report

HELP = """Describe a loss: formula, inputs, parameters, gradient, accuracy, pitfalls, curve.

Examples:

\b
  lossctl info huber
  lossctl info cross_entropy
  lossctl info samples/my_losses.py:asym
"""


def info(
    loss: Annotated[str, typer.Argument(metavar="LOSS", help="NAME, or FILE.py:FUNCTION")],
    *,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="LIBRARY[@VERSION]", help="how torch, keras, sklearn, ... define it"),
    ] = None,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Describe a loss."""
    from lossctl.core.registry import get_loss
    from lossctl.report.catalogue import info_report

    if like is not None:
        from lossctl.conventions.like import find_like
        from lossctl.report.conventions import convention_report

        return convention_report([candidate.row for candidate in find_like(loss, like)]), output
    entry = get_loss(loss)
    return info_report(entry, loss), output
