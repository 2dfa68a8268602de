"""``lossctl list``: the catalogue of losses."""

from __future__ import annotations

from typing import Annotated

import typer

from lossctl.cli.options import OutputOptions
from lossctl.report import Report

HELP = """List the losses by task.

Examples:

\b
  lossctl list
  lossctl list --for regression
  lossctl list pinball
"""


def list_(
    words: Annotated[
        str | None,
        typer.Argument(metavar="[WORDS]", help="show only losses with these words in their name, aliases or summary"),
    ] = None,
    *,
    task: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TASK", help="show only losses for this task: regression, binary, multiclass, ..."
        ),
    ] = None,
    family: Annotated[str | None, typer.Option("--family", metavar="NAME", help="show only this family")] = None,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """List losses."""
    from dataclasses import replace

    from lossctl.core.registry import all_losses, normalized_name
    from lossctl.errors import UsageError, nearest, quoted
    from lossctl.report.catalogue import list_report, matching, task_of

    losses, notes = all_losses()
    tasks, families = ([*dict.fromkeys(f(loss) for loss in losses)] for f in (task_of, lambda loss: loss.family))
    for option, value, known in (("--for", task, tasks), ("--family", family, families)):
        if value is not None and value not in known:
            raise UsageError(f"{option} {quoted(value)}: one of {', '.join(known)}{nearest(value, known)}")
    losses = [loss for loss in losses if task in (None, task_of(loss)) and family in (None, loss.family)]
    if words is not None:
        names = [name for loss in losses for name in (loss.name, *loss.aliases)]
        losses = matching(losses, words)
        if not losses:
            raise UsageError(
                f"no loss has {quoted(words)} in its name, aliases or summary{nearest(words, names, normalized_name)}"
            )
    return replace(list_report(losses), notes=notes), output
