"""``--fail-above`` and ``--fail-below``: limits on the value of a loss, for pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossctl.errors import UsageError, printable, quoted
from lossctl.report.limits import Limits

if TYPE_CHECKING:
    from lossctl.core.loss import Loss


def parse_thresholds(option: str, texts: Sequence[str], losses: Sequence[Loss]) -> dict[str, float]:
    """Parse limits: ``X`` for a single loss, ``SPEC=X`` for one of several. Return the limit of each loss by its spec.

    Raises:
        UsageError: the limit is not a number, or the loss is not computed, or has two limits.
    """
    from lossctl.cli.loss_arguments import bind

    limits: dict[str, float] = {}
    for text in texts:
        # Split at the last "=", because a spec can contain "=" itself: huber:delta=0.5=2.
        spec, equals, value = text.rpartition("=")
        try:
            limit = float(value) if "_" not in value else math.nan
        except ValueError:
            limit = math.nan
        if math.isnan(limit):
            raise UsageError(f"{option} {quoted(text)}: a number, or LOSS=NUMBER")
        if not equals and len(losses) > 1:
            raise UsageError(f"{option} {quoted(text)}: which loss? write {losses[0].spec}={printable(value)}")
        names = [loss.spec for loss in losses]
        name = bind(spec)[0].spec if equals else names[0]
        if name not in names:
            raise UsageError(f"{option} {quoted(text)}: {name} is not computed; computed are {', '.join(names)}")
        if name in limits:
            raise UsageError(f"{option}: {name} has two limits")
        limits[name] = limit
    return limits


def parse_limits(above: Sequence[str], below: Sequence[str], losses: Sequence[Loss]) -> list[Limits]:
    """Parse ``--fail-above`` and ``--fail-below``: return the limits of each loss.

    Raises:
        UsageError: see :func:`parse_thresholds`.
    """
    high, low = parse_thresholds("--fail-above", above, losses), parse_thresholds("--fail-below", below, losses)
    return [Limits(high.get(loss.spec), low.get(loss.spec)) for loss in losses]
