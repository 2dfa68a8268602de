"""Hints on the ratio of the gradient to its reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
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
    tolerance_of,
)
from lossctl.gradients.hints.places import BOTH_SIDES, visibly_affected
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []


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
    k, samples = case.failing.given.shape[1], case.samples
    named = [
        (0.0, "it was not computed there"),
        (0.5, "a factor of 2 is missing"),
        (2.0, "a factor of 2 too much"),
        (-1.0, "the sign is wrong"),
        (-0.5, "the sign is wrong, and a factor of 2 is missing"),
        (-2.0, "the sign is wrong, and a factor of 2 is too much"),
        (1.0 / samples, f"1/n: it is the gradient of the mean over n = {samples:,}; say --reduction mean"),
        (float(samples), f"n = {samples:,}: it was multiplied by the number of samples"),
        (1.0 / math.log(2.0), "1/log 2: the loss was taken in bits"),
        (math.log(2.0), "log 2: the loss was taken in another base"),
        (1.0 / math.log(10.0), "1/log 10: a logarithm to base 10"),
        (math.log(10.0), "log 10: a logarithm to base 10"),
    ]
    if k > 1:
        named += [(1.0 / k, f"1/k: it was divided by the number of classes, {k}")]
        named += [(float(k), f"k: it was multiplied by the number of classes, {k}")]
        named += [(1.0 / (samples * k), f"1/(n·k): it is the gradient of the mean over all {samples * k:,} elements")]
    for value, words in named:
        if abs(ratio - value) <= 2e-5 * abs(value):
            return f": {words}"
    for parameter, bound in case.loss.params.items():
        if isinstance(bound, float) and bound not in (0.0, 1.0):
            for value, words in ((bound, "one too much"), (1.0 / bound, "one is missing")):
                if abs(ratio - value) <= 2e-5 * abs(value):
                    return f": a factor {parameter} = {number(bound)}, {words}"
    return ": a constant factor"


@hint(HINTS, "factor-by-class")
def _factor_by_class(case: Evidence) -> str | None:
    """Explain a ratio that is constant for each class of the target: a forgotten pos_weight or class weight."""
    failing, passing = case.failing, case.passing
    if len(failing.inputs) < 2 or failing.inputs[1].ndim != 1:
        return None
    target = failing.inputs[1]
    classes, counts = np.unique(target, return_counts=True)
    if not 1 < len(np.unique(np.concatenate([target, passing.inputs[1]]))) <= _MOST_CLASSES or counts.min() < ENOUGH:
        return None
    ratios = []
    for c in classes:
        constant = constant_ratio(failing[target == c])
        if constant is None or constant[1][0] < constant[1][1]:
            return None
        ratios.append(constant[0])
    right = passing.verdict == Verdict.OK
    moving = (np.abs(passing.numeric) > 1e-3 * passing.scale) & right
    if np.isin(passing.inputs[1][moving.any(axis=1)], classes).any():
        return None
    listed = ", ".join(f"{number(short(r))} at target {number(float(c))}" for c, r in zip(classes, ratios, strict=True))
    right_ones = ", right at the others" if moving.any() else ""
    return f"given ÷ numeric is {listed}{right_ones}: a weight of the class"


@hint(HINTS, "ratio-of-input")
def _ratio_of_input(case: Evidence) -> str | None:
    """Explain a ratio that is a simple function of an input at every wrong coordinate."""
    failing = case.failing
    shape = failing.given.shape
    for role, array in zip(case.loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1).astype(float)
        if flat.shape[1] not in (1, shape[1]) or not np.ptp(flat):
            continue
        for words, of in _FUNCTIONS:
            factor = np.broadcast_to(of(flat), shape)
            # A function that is nearly constant over the points, for example e^x of tiny x, explains nothing.
            if len(np.unique(factor[failing.informative].round(3))) < 2 * ENOUGH:
                continue
            tolerance = FITS * failing.scale + ERROR_FACTOR * np.maximum(np.abs(factor), 1.0) * failing.error
            close = np.abs(failing.given - factor * failing.numeric) <= tolerance
            if share := share_of(close[failing.informative]):
                return f"given ÷ numeric is {words.format(role)}{share_text(share)}"
    return None


_FUNCTIONS: Sequence[tuple[str, Callable[[Array], Array]]] = (
    ("{0}", lambda x: x),
    ("−{0}", lambda x: -x),
    ("1/{0}", lambda x: 1.0 / x),
    ("{0}²", np.square),
    ("1/{0}²", lambda x: 1.0 / np.square(x)),
    ("2·{0}", lambda x: 2.0 * x),
    ("e^{0}", np.exp),
    ("e^−{0}", lambda x: np.exp(-x)),
    ("1 + {0}", lambda x: 1.0 + x),
    ("1/(1 + {0})", lambda x: 1.0 / (1.0 + x)),
    ("1 − {0}", lambda x: 1.0 - x),
    ("{0}·(1 − {0})", lambda x: x * (1.0 - x)),
    ("1/({0}·(1 − {0}))", lambda x: 1.0 / (x * (1.0 - x))),
    ("s(1 − s), where s is the sigmoid of {0}", lambda x: np.exp(-np.abs(x)) / np.square(1.0 + np.exp(-np.abs(x)))),
)
# Most classes for which a factor each is listed.
_MOST_CLASSES = 6
