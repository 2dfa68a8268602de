"""``--fail-above`` and ``--fail-below``: limits on the value of a loss, for pipelines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossctl.core.user_kernel import source_line
from lossctl.errors import UsageError, nearest, number, printable, quoted
from lossctl.report import Check

if TYPE_CHECKING:
    from lossctl.core.loss import Loss
    from lossctl.engine.result import Result


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
            raise UsageError(f"{option} {quoted(text)}: {name} is not computed{nearest(name, names)}")
        if name in limits:
            raise UsageError(f"{option}: {name} has two limits")
        limits[name] = limit
    return limits


def limit_checks(
    results: Sequence[Result], losses: Sequence[Loss], above: dict[str, float], below: dict[str, float]
) -> list[Check]:
    """Return a check for each limit; a failure names the value, the limit and the excess. NaN is beyond every limit."""
    checks = []
    for r, loss in zip(results, losses, strict=True):
        limits = (above.get(r.loss), "above", "≤", 1.0), (below.get(r.loss), "below", "≥", -1.0)
        for limit, word, relation, sign in limits:
            if limit is None:
                continue
            excess = sign * (r.value - limit)
            failure = ""
            if math.isnan(r.value):
                failure = f"{r.loss} is NaN: the limit {number(limit)} cannot be kept"
            elif excess > 0:
                by = "" if math.isinf(excess) else f" by {excess:.6g}"
                failure = f"{r.loss} {number(r.value)} is {word} {number(limit)}{by}"
            checks.append(Check(f"{r.loss} {relation} {number(limit)}", failure, place=source_line(loss.kernel)))
    return checks
