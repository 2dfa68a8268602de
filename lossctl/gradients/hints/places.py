"""Hints on where the gradient is wrong: at a kink, at every k-th sample, on one side of a threshold, in a flat part."""

from __future__ import annotations

import math

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    ERROR_FACTOR,
    FITS,
    WAYS,
    Evidence,
    Hint,
    constant_ratio,
    exceptions,
    hint,
    share_of,
    share_text,
    short,
)
from lossctl.gradients.hints.quantities import groups, place_of, thresholds
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []
# Tried after those of all modules: where the gradient is wrong if nothing explains its values.
LAST: list[Hint] = []
# Thresholds of most branches.
_WHOLE = (0.0, 1.0, -1.0)
# Least number of right samples, of which none is at the end of the data that is wrong.
_LEAST_RIGHT = 20
# Least share of the data that the first samples are, if they alone are wrong.
_FIRST_SHARE = 0.1
# Number of right samples next to a threshold, and their error relative to the smallest one that is seen.
_BESIDE, _NOTHING = 10, 1e-2
# Least share of samples on the smaller side of a threshold.
BOTH_SIDES = 0.01
# Least share of a class or a column that is wrong, if nothing else is.
_MOST = 2 / 3
# Least number of wrong samples at equal distances.
_LEAST_PERIODS = 8


@hint(HINTS, "kink", of_values=False)
def _kinks(case: Evidence) -> str | None:
    """Explain samples that are wrong only at one value of a quantity: a kink, where the value is no subgradient."""
    failing, passing = case.failing, case.passing
    if len(passing) < ENOUGH or failing.given.shape[1] != 1:
        return None
    for (words, wrong), (_, right) in zip(thresholds(case, failing), thresholds(case, passing), strict=True):
        kink = np.median(wrong)
        share = share_of(wrong == kink)
        if "pred" in words and share and not (right == kink).any():
            at = "pred equals target" if "−" in words and not kink else f"{words} is {number(float(kink))}"
            return (
                f"wrong only where {at}{share_text(share)}: at a kink any value between the one-sided slopes is right"
            )
    return None


@hint(HINTS, "end-sample", of_values=False, few=True)
def _end_sample(case: Evidence) -> str | None:
    """Explain that the first or the last sample alone is wrong."""
    row = case.failing.row
    if not case.complete or len(row) != 1 or len(case.passing) < _LEAST_RIGHT or row[0] not in (0, case.samples - 1):
        return None
    if row[0] == 0 and case.failing.given.any():
        return None
    which = "the first sample" if row[0] == 0 else f"the last sample, {row[0]:,}"
    return f"wrong only at {which}: does a loop over the samples leave it out?"


@hint(HINTS, "rows", of_values=False)
def _rows(case: Evidence) -> str | None:
    """Explain wrong samples that are every k-th row of the data."""
    row = case.failing.row
    # If there are more samples than are kept, the kept ones are not every k-th.
    if not case.complete or len(row) < _LEAST_PERIODS:
        return None
    steps, counts = np.unique(np.diff(row), return_counts=True)
    period = int(steps[counts.argmax()])
    if period < 2:
        return None
    phases, counts = np.unique(row % period, return_counts=True)
    expected = np.arange(int(phases[counts.argmax()]), case.samples, period)
    disagreeing = len(np.setxor1d(expected, row))
    if disagreeing > exceptions(len(expected)):
        return None
    share = (len(expected) - disagreeing, len(expected))
    return (
        f"wrong only at samples {expected[0]}, {expected[1]}, {expected[2]}, …: every k-th with k = {period}"
        f"{share_text(share, 'of these samples')}{_ratio_there(case.failing)}"
    )


def _ratio_there(failing: CheckedSamples) -> str:
    if _flat_share(failing):
        return "; there the loss is flat"
    constant = constant_ratio(failing)
    return "" if constant is None else f"; there given ÷ numeric is {number(short(constant[0]))}"


def _flat_share(failing: CheckedSamples) -> tuple[int, int] | None:
    """Return the share of the wrong coordinates at which the loss is flat if it explains them."""
    mask = failing.informative
    flat = np.abs(failing.numeric) <= np.minimum(ERROR_FACTOR * failing.error, FITS * failing.scale)
    return share_of(flat[mask])


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
    if len(passing) < ENOUGH or math.comb(len(failing) + len(passing), len(failing)) < WAYS:
        return None
    # A whole number goes before other thresholds; one without exceptions, or a flat part, before one with exceptions.
    for exact, whole in ((True, True), (True, False), *([] if _flat_share(failing) else [(False, False)])):
        for (words, wrong), (_, right) in zip(thresholds(case, failing), thresholds(case, passing), strict=True):
            for sign, relation, other in ((1.0, ">", "below"), (-1.0, "<", "above")):
                split = _split(sign * wrong, sign * right, exact)
                if split and (wrong == wrong[0]).all():
                    return (
                        f"wrong only where {words} is {number(float(wrong[0]))}, right elsewhere{_ratio_there(failing)}"
                    )
                if split is None or len(np.unique(right)) < ENOUGH:
                    continue
                end, start, share = split
                if whole and not any(end <= sign * v < start for v in _WHOLE):
                    continue
                if _begins(failing, passing, end - sign * right):
                    return (
                        f"wrong only where {words} {relation} {_between(sign * end, sign * start)}, right {other}"
                        f"{share_text(share, 'samples')}{_ratio_there(failing)}"
                    )
    return None


def _split(wrong: Array, right: Array, exact: bool) -> tuple[float, float, tuple[int, int]] | None:
    """Return the largest right and the least wrong value if they separate all samples, or 99 %, and the share."""
    end = float(np.sort(right)[-1 - (0 if exact else exceptions(len(right)))])
    start = float(np.sort(wrong)[0 if exact else exceptions(len(wrong))])
    if start <= end:
        return None
    return end, start, (int(np.count_nonzero(wrong >= start) + np.count_nonzero(right <= end)), len(wrong) + len(right))


@hint(HINTS, "flat")
def _flat(case: Evidence) -> str | None:
    """Explain a gradient that is not 0 where the loss is flat, and right elsewhere."""
    failing, passing = case.failing, case.passing
    share = _flat_share(failing)
    moving = np.concatenate([(c.numeric != 0)[c.verdict == Verdict.OK] for c in (failing, passing)])
    if share is None or np.count_nonzero(moving) < ENOUGH:
        return None
    part = place_of(case)
    where = f"{part}, where the loss is flat" if part else "where the loss is flat (clipped, or inactive)"
    return f"given is not 0 {where}, and right elsewhere{share_text(share)}"


@hint(HINTS, "outside-range", of_values=False)
def _outside_range(case: Evidence) -> str | None:
    """Explain samples that are wrong outside an interval of a simple quantity and right inside, or the other way."""
    failing, passing = case.failing, case.passing
    if failing.given.shape[1] != 1 or len(passing) < ENOUGH:
        return None
    passing = passing[visibly_affected(failing, passing)]
    if len(passing) < ENOUGH or math.comb(len(failing) + len(passing), len(failing)) < WAYS:
        return None
    for (words, wrong), (_, right) in zip(thresholds(case, failing), thresholds(case, passing), strict=True):
        for inner, outer, outside in ((right, wrong, True), (wrong, right, False)):
            below, above = outer[outer < inner.min()], outer[outer > inner.max()]
            if len(below) + len(above) < len(outer) or min(len(below), len(above)) < ENOUGH:
                continue
            edges = np.abs(np.subtract.outer(right, (inner.min(), inner.max()))).min(axis=1)
            if len(np.unique(right)) < ENOUGH or not _begins(failing, passing, edges):
                continue
            low, high = (inner.min(), below.max()), (inner.max(), above.min())
            if outside:
                between = f"< {_between(*low)} or > {_between(*high)}, right between"
                return f"wrong only where {words} {between}{_ratio_there(failing)}"
            between = f"{_between(*low[::-1])} < {words} < {_between(*high[::-1])}"
            return f"wrong only where {between}, right outside{_ratio_there(failing)}"
    return None


def _begins(failing: CheckedSamples, right: CheckedSamples, distance: Array) -> bool:
    """Return whether the error sets in at the threshold, rather than grows until it is seen.

    An error that grows continuously, such as that of sinh for tanh, is too small to be seen below some value. The right
    samples next to the threshold are then off by nearly as much as is seen.

    Args:
        failing: the wrong samples.
        right: the right ones.
        distance: of the right ones from the threshold, (n,).
    """
    nearest = np.unique(distance, return_index=True)[1][:_BESIDE]  # a corner that is drawn often counts once
    beside = right.relative_error.max(axis=1)[nearest]
    return bool(np.median(beside) < _NOTHING * failing.relative_error[failing.wrong].min())


@hint(HINTS, "row-range", of_values=False)
def _row_range(case: Evidence) -> str | None:
    """Explain wrong samples that are the first or the last ones of the data."""
    row, n = case.failing.row, case.samples
    if not case.complete or len(case.passing) < _LEAST_RIGHT or len(row) < _LEAST_PERIODS:
        return None
    skipped = exceptions(len(row))
    ranges = [(0, int(row[-1])), (int(row[0]), n - 1), (0, int(row[-1 - skipped])), (int(row[skipped]), n - 1)]
    for first, last in ranges:
        expected = np.arange(first, last + 1)
        if len(expected) == n or (first == 0 and last < _FIRST_SHARE * n):  # corners are drawn first
            continue
        disagreeing = len(np.setxor1d(expected, row))
        if disagreeing <= exceptions(len(expected)):
            share = (len(expected) - disagreeing, len(expected))
            which = f"the first {last + 1:,}" if first == 0 else f"the last {n - first:,}"
            return (
                f"wrong only at samples {first:,} to {last:,}, {which}{share_text(share, 'of these samples')}"
                f"{_ratio_there(case.failing)}"
            )
    return None


def _between(right: float, wrong: float) -> str:
    """Return the shortest decimal number from the last right value on and before the first wrong one."""
    low, high = sorted((right, wrong))
    shorter = (float(f"{v:.{digits}g}") for digits in range(1, 17) for v in ((low + high) / 2, low, high))
    return number(next((v for v in (*_WHOLE, *shorter) if low <= v <= high and v != wrong), right))


def visibly_affected(failing: CheckedSamples, passing: CheckedSamples) -> np.ndarray:
    """Return a mask of the right samples whose gradient the mistake would have made wrong; in a flat tail none.

    The mistake is modelled as a constant share of the derivative, the median over the wrong coordinates. It
    counts as visible if it is at least 0.9 times the smallest error of a wrong coordinate, both relative to
    the scale, and ten times what the right sample is off and uncertain.
    """
    mask = failing.informative
    shares = np.abs(failing.given[mask] / failing.numeric[mask] - 1.0)
    share = float(np.median(shares)) if shares.size else math.inf
    size, least = np.abs(passing.numeric), 0.9 * float(failing.relative_error[failing.wrong].min())
    seen = (size > 1e-3 * passing.scale) & (share * size > least * passing.scale)
    seen &= np.abs(passing.given - passing.numeric) + ERROR_FACTOR * passing.error < 0.1 * share * size
    return np.asarray((seen & (passing.verdict == Verdict.OK)).any(axis=1))


@hint(LAST, "part", of_values=False)
def _part(case: Evidence) -> str | None:
    """Explain wrong coordinates that are those of one class, one side of the target or one column, or most of them."""
    if part := place_of(case):
        return f"wrong only {part}, right elsewhere"
    every = case.every
    judged = case.judged
    for words, code in groups(case, every):
        for g, part in enumerate(words):
            inside = (code == g)[judged]
            wrong = every.wrong[judged]
            share = (int(np.count_nonzero(wrong)), int(np.count_nonzero(inside)))
            # By chance all wrong coordinates are in a part with a probability of its size to the power of their number.
            by_chance = inside.mean() ** share[0]
            if inside[wrong].all() and share[0] >= _MOST * share[1] and by_chance * WAYS < 1.0:
                return f"wrong only {part}, at {share[0]:,} of {share[1]:,} of these coordinates, right elsewhere"
    return None
