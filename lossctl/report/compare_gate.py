"""The verdict on each difference of ``compare``, and the gate ``--fail-if-worse``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lossctl.analysis.comparison import Comparison, Difference
from lossctl.analysis.inference import LEVEL
from lossctl.core.user_kernel import source_line
from lossctl.report import Check


def verdict_on(difference: Difference) -> str:
    """Return the verdict by the interval: above 0 ``worse``, below ``better``, else ``unclear``; "" without one.

    It is ``equal`` if the losses are the same on every sample.
    """
    if difference.low is None or difference.high is None:
        return ""
    if difference.equal:
        return "equal"
    return "worse" if difference.low > 0 else "better" if difference.high < 0 else "unclear"


def checks_of(c: Comparison, models: Sequence[str], limit: float) -> Iterator[Check]:
    """Yield the check of ``--fail-if-worse`` of each model but the first.

    Args:
        c: the comparison.
        models: the names of the models, the baseline first.
        limit: the allowed difference.
    """
    more = f" by more than {limit:.6g}" if limit else ""
    for name, d in zip(models[1:], c.differences, strict=True):
        failure = f"{c.loss.spec}: {name} is worse than {models[0]}{more}: {d.value:.6g}"
        if not d.is_worse(limit):
            failure = ""
        elif not math.isfinite(d.value) or d.low is None or d.high is None:
            failure = f"{c.loss.spec}: the difference of {name} to {models[0]} is {d.value}"
        else:
            failure += f", {_interval(d)}"
        subject = f"{c.loss.spec}: {name} not worse than {models[0]}{more}"
        yield Check(subject, failure, place=source_line(c.loss.kernel))


def gate_lines(c: Comparison, models: Sequence[str], limit: float, by: str) -> Iterator[str]:
    """Yield what ``--fail-if-worse`` decided on each model but the first, and which groups it did not judge.

    Args:
        c: the comparison.
        models: the names of the models, the baseline first.
        limit: the allowed difference.
        by: the name of the column of groups; empty without groups.
    """
    for check, name, d in zip(checks_of(c, models, limit), models[1:], c.differences, strict=True):
        yield f"FAIL: {check.name}" if check.failure else f"ok: {c.loss.spec}: {name} {_passed(d, models[0], limit)}"
    for i, name in enumerate(models[1:]):
        worse = [str(label) for label, group in c.groups.items() if group.differences[i].is_worse(limit)]
        if worse:
            yield (
                f"not judged: groups; {c.loss.spec} of {name} is worse where {by} is {', '.join(worse[:5])}"
                f"{' …' if len(worse) > 5 else ''}"
            )


def _passed(d: Difference, first: str, limit: float) -> str:
    if d.equal:
        return f"has the same loss as {first} on every sample"
    if d.high is not None and d.high < 0.0:
        return f"is better than {first}"
    more = f" by more than {limit:.6g}" if limit else ""
    if d.high is not None and d.high <= limit:
        return f"is not worse than {first}{more}: {_interval(d)}"
    return f"is not shown to be worse than {first}{more}: {_interval(d)}"


def _interval(d: Difference) -> str:
    return f"{100 * LEVEL:.0f} % interval {d.low:.6g} to {d.high:.6g}"
