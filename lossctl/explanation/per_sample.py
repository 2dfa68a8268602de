"""Definitions that give the loss of each sample, not only a number for all: no chance, and no reduction to guess."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.errors import DataError
from lossctl.explanation.definitions import Definition, definitions
from lossctl.explanation.matching import Computed, candidate_of, merged
from lossctl.explanation.number import DOUBLE, SINGLE
from lossctl.explanation.reductions import Statistic, Transform
from lossctl.explanation.result import Candidate, Explanation
from lossctl.explanation.search import KEPT, Search
from lossctl.explanation.views import views
from lossctl.immutable import immutable

# Rows on which a definition is tried first.
_FEW = 64


@immutable(eq=False)
class Samples:
    """The losses of the samples as they are written.

    Attributes:
        values: (n,) the losses.
        unit: (n,) half a unit of the last digit of each; 0 if they have all digits.
    """

    values: Array
    unit: Array

    def agree(self, losses: Array, rows: npt.NDArray[np.intp], roundoff: float) -> bool:
        """Return whether the losses of some rows are those that are written."""
        written = self.values[rows]
        allowed = self.unit[rows] + roundoff * (np.abs(written) + np.abs(self.values).mean())
        return bool((np.abs(losses - written) <= allowed).all())


def explain_samples(values: Array, search: Search, text: str) -> Explanation:
    """Return the definitions that give the losses of the samples.

    Args:
        values: (n,) the losses.
        search: the data; its number is not used.
        text: what to call the losses, such as the name of their file.

    Raises:
        DataError: the number of losses is not that of the samples, or one is not finite.
    """
    n = len(search.pred)
    if values.shape != (n,):
        raise DataError(f"{text}: shape {values.shape}; {n} samples need one loss each")
    if not np.isfinite(values).all():
        raise DataError(f"{text}[{int((~np.isfinite(values)).argmax())}]: not a finite number")
    samples = Samples(values, _half_unit(values))
    single = bool(samples.unit.any() or (values.astype(np.float32) == values).all())
    tried = 0
    hits: list[Candidate] = []
    with np.errstate(all="ignore"):
        for view in views(search.pred, search.target):
            if view.shape == "image":
                continue
            for definition in definitions(view, search.losses, search.others, search.most, single=single):
                functions = [f for f in search.functions if definition.total_cost + f.cost <= search.most]
                tried += len(functions)
                hits += _agreeing(samples, definition, functions, search)
    answers = merged(hits)
    best = sum(c.cost == answers[0].cost for c in answers) if answers else 0
    return Explanation(text, tuple(answers[: max(best, KEPT)]), tried, 0.0, n)


def _agreeing(
    samples: Samples, definition: Definition, functions: list[Transform], search: Search
) -> Iterator[Candidate]:
    """Yield the candidates of a definition: functions of its losses that agree on a few rows, and then on all."""
    n = len(samples.values)
    stages = [np.arange(n)] if definition.loss.batch_coupled else [np.arange(min(_FEW, n)), np.arange(n)]
    for rows in stages:
        variants = [*_variants(definition, rows, search.weighing.weight)]
        hits = [
            (Statistic(text, cost, float(losses.mean())), function, float(outcome.mean()), precision)
            for text, cost, losses in variants
            for function in functions
            for outcome in [function.forward(losses)]
            for precision in [_precision(samples, outcome, rows)]
            if precision and definition.total_cost + function.cost + cost <= search.most
        ]
        if not hits:
            return
    for statistic, function, value, precision in hits:
        yield candidate_of(Computed(definition, statistic), function, value, precision)


def _precision(samples: Samples, losses: Array, rows: npt.NDArray[np.intp]) -> str:
    """Return the precision in which losses agree, "" if they do not."""
    if samples.agree(losses, rows, DOUBLE):
        return "double"
    return "single" if samples.agree(losses, rows, SINGLE) else ""


def _variants(
    definition: Definition, rows: npt.NDArray[np.intp], weight: Array | None
) -> Iterator[tuple[str, int, Array]]:
    """Yield (departure, cost, losses (n,)) of a definition."""
    values = definition.values() if len(rows) == len(definition.view.pred) else definition.values(rows)
    losses = values.mean(axis=1) if values.ndim == 2 else values
    yield "", 0, losses
    if values.ndim == 2:
        yield "sums over columns", 1, values.sum(axis=1)
    if weight is not None:
        yield "is multiplied by the weights", 1, losses * weight[rows]


def _half_unit(values: Array) -> Array:
    """Return half a unit of the last digit, of losses written with 2 to 12 decimals or 3 to 12 significant digits."""
    units = np.zeros(len(values))
    decimals = next((d for d in range(2, 13) if (np.round(values, d) == values).all()), None)
    if decimals is not None:
        units += 10.0**-decimals
    head = values.tolist()[:500]
    digits = next((d for d in range(3, 13) if all(float(f"{v:.{d - 1}e}") == v for v in head)), None)
    if digits is not None:
        size = np.floor(np.log10(np.abs(np.where(values == 0, 1.0, values))))
        units = np.maximum(units, 10.0 ** (size + 1 - digits))
    return np.asarray(0.5001 * units)
