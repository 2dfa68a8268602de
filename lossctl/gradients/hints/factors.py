"""Hints on the ratio of the gradient to its reference."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    constant_ratio,
    hint,
    share_of,
    share_text,
    short,
    tolerance_of,
    visible,
)
from lossctl.gradients.hints.places import BOTH_SIDES, visibly_affected
from lossctl.gradients.hints.quantities import groups
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []


@hint(HINTS, "factor-by-group", second=True)
def _by_group(case: Evidence) -> str | None:
    """Explain a ratio that is one number in each class, on each side of the target or in each column."""
    every = case.every
    judged = np.isin(every.verdict, (Verdict.OK, Verdict.WRONG)) & ~every.clipped
    for words, code in groups(case, every):
        ratio, moving = np.ones(len(words)), np.zeros(len(words), bool)
        for g in range(len(words)):
            part = judged & (code == g)
            sure = part & (every.error <= FITS * np.abs(every.numeric)) & (every.numeric != 0.0)
            if np.count_nonzero(sure) >= ENOUGH:
                ratio[g] = np.median(every.given[sure] / every.numeric[sure])
                moving[g] = True
        changed = moving & (np.abs(ratio - 1.0) > VISIBLE * FITS)
        if not changed.any() or moving.sum() < 2 or np.ptp(ratio[moving]) <= VISIBLE * FITS:
            continue
        predicted = ratio[code] * every.numeric
        size = max(1.0, float(np.abs(ratio).max()))
        close = np.abs(every.given - predicted) <= tolerance_of(every, size)
        share = share_of(close[every.informative])
        if share and share_of(close[visible(every)]) and share_of(close[judged]):
            listed = ", ".join(f"{number(short(ratio[g]))} {words[g]}" for g in np.flatnonzero(changed))
            right = ", right elsewhere" if (moving & ~changed).any() else ""
            if changed.sum() > 2 and np.ptp(ratio[changed]) <= VISIBLE * FITS and (moving & ~changed).sum() == 1:
                listed = f"{number(short(ratio[changed][0]))}, but not {words[int((moving & ~changed).argmax())]}"
            return f"given ÷ numeric is {listed}{right}{share_text(share)}"
    return None


@hint(HINTS, "constant-factor", second=True)
def _ratio(case: Evidence) -> str | None:
    constant = constant_ratio(case.failing)
    if constant is None:
        return None
    ratio, share = constant
    failing, passing = case.failing, case.passing
    # One right sample in a hundred, such as p = t = 1, at which rounding hides the mistake, is an exception as well.
    mixed = len(passing) and visibly_affected(failing, passing).sum() > BOTH_SIDES * len(failing)
    # A right coordinate of a wrong sample contradicts "every" as a right sample does, if its slope is not 0.
    contradicted = np.abs(failing.given - ratio * failing.numeric) > tolerance_of(failing, abs(ratio))
    mixed |= ((failing.verdict == Verdict.OK) & contradicted).sum() > BOTH_SIDES * failing.wrong.sum()
    where = (
        f"{share[0]:,} of {share[1]:,} wrong coordinates"
        if share[0] < share[1]
        else "every wrong sample"
        if mixed
        else "every sample"
    )
    if mixed and share[0] == share[1] and (failing.verdict == Verdict.OK).any():
        where = "every wrong coordinate"
    return f"given ÷ numeric is {number(short(ratio))} at {where}{_named(ratio, case)}"


def _named(ratio: float, case: Evidence) -> str:
    for value, words in _names(case):
        if abs(ratio - value) <= 2e-5 * abs(value):
            return f": {words}"
    return ": a constant factor"


def _mean(case: Evidence) -> str:
    if case.reduction == "mean":
        return f"it was divided by n = {case.samples:,} once too often"
    return f"it is the gradient of the mean over n = {case.samples:,}; say --reduction mean"


def _names(case: Evidence) -> Iterator[tuple[float, str]]:
    """Yield the ratios that have a name, and the name."""
    k, samples = case.failing.given.shape[1], case.samples
    yield from (
        (0.0, "it was not computed there"),
        (0.5, "a factor of 2 is missing"),
        (2.0, "a factor of 2 too much"),
        (-1.0, "the sign is wrong"),
        (-0.5, "the sign is wrong, and a factor of 2 is missing"),
        (-2.0, "the sign is wrong, and a factor of 2 is too much"),
        (1.0 / samples, f"1/n: {_mean(case)}"),
        (float(samples), f"n = {samples:,}: it was multiplied by the number of samples"),
        (1.0 / math.log(2.0), "1/log 2: the loss was taken in bits"),
        (math.log(2.0), "log 2: the loss was taken in another base"),
        (1.0 / math.log(10.0), "1/log 10: a logarithm to base 10"),
        (math.log(10.0), "log 10: a logarithm to base 10"),
        (math.pi / 180.0, "π/180: degrees were taken for radians"),
        (180.0 / math.pi, "180/π: radians were taken for degrees"),
    )
    if k > 1:
        yield 1.0 / k, f"1/k: it was divided by the number of classes, {k}"
        yield float(k), f"k: it was multiplied by the number of classes, {k}"
        yield 1.0 / (samples * k), f"1/(n·k): it is the gradient of the mean over all {samples * k:,} elements"
    if case.loss.batch_coupled and case.failing.inputs[0].size and case.complete:
        total = float(case.loss.evaluate(*case.every.inputs)[0].sum()) / (samples if case.reduction == "mean" else 1)
        yield 2.0 * total, "twice the loss: it is the gradient of the square of the loss, whose root was forgotten"
    for parameter, bound in case.loss.params.items():
        if isinstance(bound, float) and bound not in (0.0, 1.0):
            yield bound, f"a factor {parameter} = {number(bound)}, one too much"
            yield 1.0 / bound, f"a factor {parameter} = {number(bound)}, one is missing"
    for power in range(5, 32):
        yield 2.0**power, f"2^{power}: a loss scale that was not divided out"
        yield 2.0**-power, f"2^-{power}: a loss scale that was divided out twice"
