"""Compare statistics with a number as it is written, in several precisions, and merge what cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.registry import get_loss
from lossctl.explanation.definitions import Definition
from lossctl.explanation.number import DOUBLE, SINGLE, WrittenNumber
from lossctl.explanation.reductions import Statistic, Transform
from lossctl.explanation.result import Candidate

# Losses that are named first among those that give the same number.
COMMON = (
    *(
        "mse",
        "rmse",
        "mae",
        "huber",
        "bce",
        "bce_with_logits",
        "brier",
        "half_squared_error",
        "smooth_l1",
        "hinge",
        "nll",
        "quantile",
        "kl_divergence",
    ),
    *("sparse_softmax_cross_entropy", "softmax_cross_entropy", "categorical_cross_entropy"),
    *("sparse_categorical_cross_entropy", "dice", "focal", "focal_with_logits", "poisson_nll"),
)


class Computed(NamedTuple):
    """A statistic of a definition."""

    definition: Definition
    statistic: Statistic

    @property
    def cost(self) -> int:
        """The number of departures."""
        return self.definition.total_cost + self.statistic.cost


def match(
    number: WrittenNumber, computed: Sequence[Computed], functions: Sequence[Transform], most: int, kept: int
) -> tuple[list[Candidate], int, float]:
    """Compare statistics with a number.

    Args:
        number: the number.
        computed: the statistics.
        functions: the functions of a statistic.
        most: the most departures of an answer.
        kept: how many answers to return at most, beside those with the fewest departures.

    Returns:
        the answers, fewest departures first; how many comparisons were made; how many agreements are expected by
        chance.
    """
    values = np.array([c.statistic.value for c in computed])
    costs = np.array([c.cost for c in computed])
    hits: list[Candidate] = []
    window: list[tuple[Array, Array]] = []  # values and costs of all that are within a factor of e^½
    tried = 0
    for function in functions:
        outcome = function.forward(values)
        level = costs + function.cost
        counted = np.isfinite(outcome) & (level <= most)
        tried += int(counted.sum())
        ratio = np.abs(np.log(outcome / number.value)) if number.value else np.full(len(values), np.inf)
        inside = counted & (ratio < 0.5)
        window.append((outcome[inside], level[inside]))
        # The function may be of a single-precision statistic, or in single precision itself.
        single = any(may_be_single(number, float(x)) for x in (number.value, function.inverse(number.value)))
        for precision, roundoff in (("double", DOUBLE), ("single", SINGLE))[: 1 + single]:
            agrees = counted & (np.abs(outcome - number.value) <= number.tolerance(roundoff))
            at = [i for i in map(int, np.flatnonzero(agrees)) if single or not _in_single(computed[i])]
            hits += (candidate_of(computed[i], function, float(outcome[i]), precision) for i in at)
        hits += _rounded(number, computed, function, outcome, counted)
    answers = merged(hits)
    by_chance = _by_chance(number, window, answers[0]) if answers else 0.0
    best = sum(c.cost == answers[0].cost for c in answers) if answers else 0
    return answers[: max(best, kept)], tried, by_chance


def may_be_single(number: WrittenNumber, value: float) -> bool:
    """Return whether the statistic of a number may come from single precision.

    More than eleven digits show whether a number has more than the 24 bits of single precision.
    """
    if number.significant < 12 or not number.value or not np.isfinite(value):
        return True
    written = 4.0 * 2.0**-52 + number.unit / abs(number.value)
    return abs(float(np.float32(value)) - value) <= written * abs(value)


def _in_single(computed: Computed) -> bool:
    row = computed.definition.row
    return row is not None and row.library.single


def candidate_of(computed: Computed, function: Transform, value: float, precision: str) -> Candidate:
    """Return a function of a statistic as an answer; ``value`` is what it gives, to ``precision``."""
    definition, statistic = computed.definition, computed.statistic
    texts = [*definition.view.texts, *definition.texts, statistic.text, function.text]
    single = definition.row is not None and definition.row.library.single
    extra = precision != "double" and not (precision == "single" and single)
    if extra:
        texts.append(f"is in {precision} precision" if precision == "single" else f"is rounded to {precision}")
    departures = tuple(text for text in texts if text)
    if definition.row is not None:
        departures = (*definition.row.departures, *departures)
    cost = computed.cost + function.cost + extra
    loss = definition.row.loss if definition.row else definition.loss.name
    return Candidate(loss, departures, cost, value, precision, definition.row)


def _rounded(
    number: WrittenNumber,
    computed: Sequence[Computed],
    function: Transform,
    outcome: Array,
    counted: npt.NDArray[np.bool_],
) -> Iterator[Candidate]:
    """Yield what gives the number after rounding to half precision, if it is written with more digits than that has."""
    if function.cost or number.significant < 5:
        return
    for precision, rounded in (("float16", to_float16), ("bfloat16", to_bfloat16)):
        if abs(rounded(np.array([number.value]))[0] - number.value) > number.unit:
            continue
        agrees = counted & (np.abs(rounded(outcome) - number.value) <= number.unit)
        for i in map(int, np.flatnonzero(agrees)):
            if computed[i].cost <= 1:
                yield candidate_of(computed[i], function, float(outcome[i]), precision)


def to_float16(x: Array) -> Array:
    """Round to float16."""
    return x.astype(np.float16).astype(np.float64)


def to_bfloat16(x: Array) -> Array:
    """Round to bfloat16, the upper half of float32."""
    bits = x.astype(np.float32).view(np.uint32)
    bits = bits + 0x7FFF + ((bits >> 16) & 1)
    return (bits & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32).astype(np.float64)


def merged(hits: Sequence[Candidate]) -> list[Candidate]:
    """Merge candidates of the same value, or of the same cause: one with the fewest departures, and names of others.

    Of the same cause are a registered loss "in single precision" and a library that departs in nothing else.
    """
    ordered = sorted(hits, key=_rank)
    groups: list[list[Candidate]] = []
    for hit in ordered:
        for group in groups:
            first = group[0]
            equal = hit.value == first.value or abs(hit.value - first.value) <= 1e-12 * abs(first.value)
            if equal or (hit.cost == first.cost and hit.cause == first.cause):
                group.append(hit)
                break
        else:
            groups.append([hit])
    answers = []
    for group in groups:
        first = group[0]
        same = (first.precision, first.cause)
        names = dict.fromkeys(c.text for c in group[1:] if c.convention or (c.precision, c.cause) != same)
        names = dict.fromkeys(name.removesuffix("; is in single precision") for name in names)
        names.pop(first.text.removesuffix("; is in single precision"), None)
        answers.append(replace(first, names=tuple(names)))
    return answers


def _rank(hit: Candidate) -> tuple[int, bool, int, bool, int]:
    """Order answers: fewest departures, then a well-known loss, then one with few parameters (half_squared_error)."""
    parameters = len(get_loss(hit.loss).parameters)
    return hit.cost, hit.precision != "double", len(hit.departures), hit.loss not in COMMON, parameters


def _by_chance(number: WrittenNumber, window: Sequence[tuple[Array, Array]], best: Candidate) -> float:
    """Return how many values with at most as many departures are expected to agree with the number by chance.

    The density of the distinct values around the number, on a logarithmic scale, times the width of the tolerance.
    """
    if not number.value:
        return 0.0
    values = np.concatenate([v[c <= best.cost] for v, c in window])
    distinct = len({f"{v:.12g}" for v in values.tolist()})
    roundoff = {"double": DOUBLE, "single": SINGLE, "float16": 2.0**-12, "bfloat16": 2.0**-9}[best.precision]
    return distinct * 2.0 * number.tolerance(roundoff) / abs(number.value)
