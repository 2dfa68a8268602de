"""Hints on where the gradient is wrong: at a kink, at every k-th sample, on one side of a threshold, in a flat part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    ERROR_FACTOR,
    FITS,
    Evidence,
    Hint,
    constant_ratio,
    hint,
    share_of,
    share_text,
    short,
)
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []
# Least number of ways to choose the wrong samples among all samples: with fewer, a threshold can separate the wrong
# samples from the right ones by chance.
_WAYS = 10_000
# Least share of samples on the smaller side of a threshold.
BOTH_SIDES = 0.01
# Least number of wrong samples at equal distances.
_LEAST_PERIODS = 8


@hint(HINTS, "kink", of_values=False)
def _kinks(case: Evidence) -> str | None:
    """Explain samples that are wrong only at one value of a quantity: a kink, where the value is no subgradient."""
    failing, passing = case.failing, case.passing
    if len(passing) < ENOUGH or failing.given.shape[1] != 1:
        return None
    for words, of in quantities(case.loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if "pred" in words and (wrong == wrong[0]).all() and not (right == wrong[0]).any():
            at = "pred equals target" if "−" in words and not wrong[0] else f"{words} is {number(float(wrong[0]))}"
            return f"wrong only where {at}: at a kink any value between the one-sided slopes is right"
    return None


@hint(HINTS, "rows", of_values=False)
def _rows(case: Evidence) -> str | None:
    """Explain wrong samples that are every k-th row of the data."""
    row, passing = case.failing.row, case.passing.row
    # If there are more samples than are kept, the kept ones are not every k-th.
    if len(row) + len(passing) != case.samples or len(row) < _LEAST_PERIODS:
        return None
    period = int(row[1] - row[0])
    if period < 2 or not (np.diff(row) == period).all() or row[0] >= period or row[-1] + period < case.samples:
        return None
    constant = constant_ratio(case.failing)
    there = "" if constant is None else f"; there given ÷ numeric is {number(short(constant[0]))}"
    return f"wrong only at samples {row[0]}, {row[1]}, {row[2]}, …: every k-th with k = {period}{there}"


@hint(HINTS, "one-side", of_values=False)
def _one_side(case: Evidence) -> str | None:
    """Explain samples that are wrong on one side of a threshold of a simple quantity and right on the other."""
    failing, passing = case.failing, case.passing
    if len(passing) < ENOUGH or failing.given.shape[1] != 1:
        return None
    passing = passing[visibly_affected(failing, passing)]
    # A few right samples among hundreds of wrong ones are right by chance, and say nothing of a threshold.
    if min(len(failing), len(passing)) < BOTH_SIDES * max(len(failing), len(passing)):
        return None
    # With few samples, one of the quantities (up to five) can separate the wrong ones by chance.
    if len(passing) < ENOUGH or math.comb(len(failing) + len(passing), len(failing)) < _WAYS:
        return None
    constant = constant_ratio(failing)
    there = "" if constant is None else f"; there given ÷ numeric is {number(short(constant[0]))}"
    for words, of in quantities(case.loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if (wrong.min() > right.max() or wrong.max() < right.min()) and (wrong == wrong[0]).all():
            return f"wrong only where {words} is {number(float(wrong[0]))}, right elsewhere{there}"
        if wrong.min() > right.max():
            return f"wrong only where {words} > {_between(right.max(), wrong.min())}, right below{there}"
        if wrong.max() < right.min():
            return f"wrong only where {words} < {_between(wrong.max(), right.min())}, right above{there}"
    return None


def _between(low: float, high: float) -> str:
    """Return the shortest decimal number in [low, high], as the threshold to show."""
    for digits in range(1, 17):
        for value in (float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}"), float(f"{(low + high) / 2:.{digits}g}")):
            if low <= value <= high:
                return number(value)
    return number(low)


def quantities(loss: Loss) -> Sequence[tuple[str, Callable[[Sequence[Array]], Array]]]:
    """Return the quantities that a threshold may be of: words, and a function of the inputs."""
    if len(loss.inputs) < 2:
        return (("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0])))
    kinds = [i.kind.name for i in loss.inputs[:2]]
    quantities: list[tuple[str, Callable[[Sequence[Array]], Array]]] = []
    if kinds == ["Real", "Real"]:
        quantities += [("|pred − target|", lambda a: np.abs(a[0] - a[1])), ("pred − target", lambda a: a[0] - a[1])]
    if kinds == ["Real", "Sign"]:
        quantities += [("target·pred", lambda a: a[0] * a[1])]
    quantities += [("target", lambda a: a[1]), ("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0]))]
    return quantities


def visibly_affected(failing: CheckedSamples, passing: CheckedSamples) -> np.ndarray:
    """Return a mask of the right samples whose gradient the mistake would have made wrong; in a flat tail none.

    The mistake is modelled as a constant share of the derivative, the median over the wrong coordinates. It
    counts as visible if it is at least 0.9 times the smallest error of a wrong coordinate, both relative to
    the scale.
    """
    mask = failing.informative
    shares = np.abs(failing.given[mask] / failing.numeric[mask] - 1.0)
    share = float(np.median(shares)) if shares.size else math.inf
    size, least = np.abs(passing.numeric), 0.9 * float(failing.relative_error[failing.wrong].min())
    seen = (size > 1e-3 * passing.scale) & (share * size > least * passing.scale)
    return np.asarray((seen & (passing.verdict == Verdict.OK)).any(axis=1))


@hint(HINTS, "flat")
def _flat(case: Evidence) -> str | None:
    """Explain a gradient that is not 0 where the loss is flat, and right elsewhere."""
    failing, passing = case.failing, case.passing
    mask = failing.informative
    share = share_of((np.abs(failing.numeric) <= np.minimum(ERROR_FACTOR * failing.error, FITS * failing.scale))[mask])
    moving = np.concatenate([(c.numeric != 0)[c.verdict == Verdict.OK] for c in (failing, passing)])
    if share is None or np.count_nonzero(moving) < ENOUGH:
        return None
    return f"given is not 0 where the loss is flat (clipped, or inactive), and right elsewhere{share_text(share)}"
