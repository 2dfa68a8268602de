"""``lossctl list``: the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from lossctl.cli.options import Output, flat
from lossctl.report import Report

HELP = """The catalogue of losses.

Examples:

\b
  lossctl list
  lossctl list --family binary
  lossctl list --format json
"""


@flat
def listing(
    family: Annotated[str | None, typer.Option("--family", metavar="NAME", help="only this family")] = None,
    *,
    output: Output,
) -> tuple[Report, Output]:
    """List losses."""
    from dataclasses import replace

    from lossctl.errors import UsageError, nearest, quoted
    from lossctl.kernels.registry import catalogued
    from lossctl.report.catalogue import catalogue

    losses, notes = catalogued()
    families = list(dict.fromkeys(loss.family for loss in losses))
    if family is not None and family not in families:
        raise UsageError(f"--family {quoted(family)}: one of {', '.join(families)}{nearest(family, families)}")
    report = catalogue([loss for loss in losses if family in (None, loss.family)])
    return replace(report, notes=notes), output
