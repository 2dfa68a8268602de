"""Search the definition that gives a number, over losses, readings, reductions, factors and precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.explanation.definitions import Definition, definitions
from lossctl.explanation.matching import Computed, match, may_be_single
from lossctl.explanation.number import SINGLE, WrittenNumber
from lossctl.explanation.reductions import (
    Sample,
    Statistic,
    Transform,
    Weighing,
    roots,
    sampled,
    statistics,
    transforms,
    uncommon,
)
from lossctl.explanation.result import Explanation
from lossctl.explanation.scores import accuracy, determination, normalized, of_epochs
from lossctl.explanation.views import DECISIONS, View, views
from lossctl.immutable import immutable

# Definitions are evaluated on so many rows first, and on all rows if the number is within six standard errors.
STAGES = (250, 2500, 50_000)
_ERRORS = 6.0
# So many rows of each extreme are in every sample; all of them are fewer than the smallest sample.
_EXTREMES = 8
# The answers that are kept, beyond those with the fewest departures.
KEPT = 12


@immutable(eq=False)
class Search:
    """What is searched, and where.

    Attributes:
        number: the number.
        pred, target: arrays as :func:`lossctl.explanation.views.as_pair` returns them.
        weighing: weights of samples, of classes, and groups.
        losses: names of losses to which the search is limited; empty for all.
        others: further inputs of losses by name.
        images: how many images the rows of classes are the pixels of; None if they are no images.
    """

    number: WrittenNumber
    pred: Array
    target: Array
    weighing: Weighing = field(default_factory=Weighing)
    losses: Sequence[str] = ()
    others: Mapping[str, Array] = field(default_factory=dict)
    images: int | None = None

    @property
    def most(self) -> int:
        """The most departures of an answer."""
        return 3 if self.losses else 2

    @cached_property
    def functions(self) -> list[Transform]:
        """The functions of a statistic."""
        return transforms(self.pred.shape[1] if self.pred.ndim == 2 else None)

    @cached_property
    def needed(self) -> list[tuple[float, float, int]]:
        """For each function the least and greatest statistic of which it is the number, and the function's cost."""
        ends = self.number.value + np.array([-1.0, 1.0]) * self.number.tolerance(SINGLE)
        pairs = [(function.inverse(ends), function.cost) for function in self.functions]
        return [(float(x.min()), float(x.max()), cost) for x, cost in pairs if np.isfinite(x).all()]

    @cached_property
    def single(self) -> bool:
        """Whether the number, or the statistic of which it is a function, may come from single precision."""
        value = self.number.value
        return any(may_be_single(self.number, float(x)) for f in self.functions for x in (value, f.inverse(value)))

    def run(self, kept: int = KEPT) -> Explanation:
        """Return the definitions that give the number: those with the fewest departures, and up to `kept` in all."""
        with np.errstate(all="ignore"):
            computed = list(self.computed())
            answers, tried, by_chance = match(self.number, computed, self.functions, self.most, kept)
            return Explanation(self.number.text, tuple(answers), tried, by_chance, len(self.pred))

    def computed(self) -> Iterator[Computed]:
        """Yield the statistics of the definitions that are possible by a sample of the rows.

        Of a definition without a departure, the median and the greatest loss are answers, too: no sample shows these.
        """
        for view in views(self.pred, self.target, self.weighing.groups, self.images):
            stages = self._stages(view)
            weighing = Weighing() if view.shape in ("image", "list") else self.weighing
            of_classes, single = self.weighing.of_classes, self.single
            for definition in definitions(view, self.losses, self.others, self.most, of_classes, single=single):
                whole = definition.loss.batch_coupled or not definition.total_cost
                if whole or all(self._possible(definition, sample) for sample in stages):
                    yield from (Computed(definition, s) for s in self._statistics(definition, weighing))
        yield from all_pairs(self)
        yield from self._decisions()

    def _decisions(self) -> Iterator[Computed]:
        """Yield the share of rows whose greatest score is not that of the label, and the accuracy."""
        if self.pred.ndim != 2 or (self.losses and "zero_one" not in self.losses):
            return
        labels = self.target if self.target.ndim == 1 else self.target.argmax(axis=1)
        hits = (self.pred.argmax(axis=1) == labels).astype(np.float64)
        view = View("element", hits, np.ones(len(hits)), (DECISIONS,), probabilities=True)
        for definition in definitions(view, ("zero_one",), {}, 1):
            yield from (Computed(definition, s) for s in self._statistics(definition, self.weighing))

    def _stages(self, view: View) -> list[Sample]:
        """Return the samples of rows on which a definition is tried before all rows, the extreme rows first."""
        n = len(view.pred)
        sizes = [size for size in STAGES if 4 * size <= n]
        if not sizes or view.shape in ("image", "list"):
            return []
        census = extreme_rows(view)
        rows = np.random.default_rng(0).permutation(n)
        rows = rows[~np.isin(rows, census)]
        return [Sample(np.concatenate([census, np.sort(rows[:size])]), len(census), n) for size in sizes]

    def _possible(self, definition: Definition, sample: Sample) -> bool:
        """Return whether a function of a statistic may be the number, given the standard errors of a sample."""
        per_column = definition.row is not None and definition.row.per_column
        if definition.inside or per_column or definition.loss.denominator is not None:
            return True
        room = self.most - definition.total_cost
        values = definition.values(sample.rows)
        for estimate, error, cost in sampled(definition, values, self.weighing, sample, room):
            low, high = (_finished(definition, estimate + side * error) for side in (-_ERRORS, _ERRORS))
            low = 0.0 if math.isnan(low) else low  # the root of a negative bound
            if self._within(low, high, room - cost):
                return True
        return False

    def _within(self, low: float, high: float, room: int) -> bool:
        """Return whether a function of a number from `low` to `high` may be the number, with `room` departures."""
        if not math.isfinite(low + high):
            return True
        return any(high >= least and low <= greatest and cost <= room for least, greatest, cost in self.needed)

    def _statistics(self, definition: Definition, weighing: Weighing) -> list[Statistic]:
        values = definition.values()
        amount = definition.denominator()
        if amount is not None:
            return [Statistic("", 0, float(np.divide(values.sum(), amount)))]  # NaN if nothing counts
        reduced = list(statistics(definition, values, weighing))
        if definition.view.shape == "list":
            sizes = np.concatenate([np.full(len(at), at.shape[1]) for at in definition.view.lists])
            by_item = float(values @ sizes) / float(sizes.sum())
            if definition.loss.counts_items:
                reduced[0] = reduced[0]._replace(value=by_item)
            else:
                reduced.append(Statistic("counts each item once, not each list", 1, by_item))
        room = self.most - definition.total_cost
        # The median, the greatest loss and means of batches are within a factor of 100 of the mean.
        mean = abs(reduced[0].value)
        if definition.loss.finish is not None or self._within(mean / 100.0, mean * 100.0, room - 1):
            reduced += uncommon(definition, values, weighing, room)
        if definition.loss.finish is None:
            more = (accuracy, determination)
            reduced += of_epochs(definition, values)
            return [*reduced, *(s for statistic in more for s in statistic(definition, values, weighing))]
        reduced = [s._replace(value=_finished(definition, s.value)) for s in reduced]
        reduced += [*of_epochs(definition, values), *normalized(definition, reduced[0].value)]
        of_roots = list(roots(definition, values, weighing))
        per_column = definition.row is not None and definition.row.per_column
        return of_roots if per_column and of_roots else [*reduced, *of_roots]


def extreme_rows(view: View) -> npt.NDArray[np.intp]:
    """Return the rows with the greatest and least predictions, targets and residuals.

    A single one of them may have most of the loss, which a random sample would not show.
    """
    pred, target = (x.reshape(len(x), -1) for x in (view.pred, view.target))
    keys = [pred.max(axis=1), -pred.min(axis=1), target.max(axis=1), -target.min(axis=1), -np.abs(target).min(axis=1)]
    if pred.shape == target.shape:
        keys.append(np.abs(pred - target).max(axis=1))
    extreme = np.zeros(len(pred), dtype=bool)
    for key in keys:
        extreme[np.argpartition(key, -_EXTREMES)[-_EXTREMES:]] = True
    return np.flatnonzero(extreme)


def _finished(definition: Definition, mean: float) -> float:
    """Return the function of the mean that the loss is, such as its root; NaN where it is not defined."""
    finish = definition.loss.finish
    try:
        return mean if finish is None else finish.value(mean)
    except (ValueError, OverflowError):
        return math.nan


def all_pairs(search: Search) -> list[Computed]:
    """Return the means over all pairs of a prediction and a target, as (n, 1) against (n,) gives them."""
    pred, target, losses = search.pred, search.target, search.losses
    if pred.ndim != 1 or len(pred) < 2:
        return []
    n, ordered = len(pred), np.sort(target)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))  # np.unique would import numpy.ma
    levels, counts = ordered[starts], np.diff(starts, append=n)
    if n * len(levels) > 4_000_000:
        return []
    view = View("element", np.tile(pred, len(levels)), np.repeat(levels, n), (), plain=False)
    view = replace(view, probabilities=bool(((pred >= 0) & (pred <= 1)).all()))
    share = counts / n
    results = []
    for definition in definitions(view, losses or _PAIRED, {}, 1, single=search.single):
        means = definition.values().reshape(len(levels), n).mean(axis=1)
        text = "(n, 1) against (n,): the mean over all pairs"
        results.append(Computed(definition, Statistic(text, 1, float((means * share).sum()))))
        results.append(Computed(definition, Statistic(f"{text}, is the sum", 2, float((means * share).sum()) * n * n)))
    return results


# Losses whose functions broadcast in some library.
_PAIRED = (
    *("mse", "mae", "rmse", "half_squared_error", "huber", "smooth_l1", "log_cosh", "quantile", "msle", "mape"),
    *("bce", "bce_with_logits", "brier", "hinge", "squared_hinge", "poisson_nll", "poisson_nll_log_rate"),
)
