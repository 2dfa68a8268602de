"""Numbers that people report beside losses: sums over batches, accuracy, R² and normalized errors."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array
from lossctl.explanation.definitions import Definition
from lossctl.explanation.reductions import BATCHES, Statistic, Weighing, both, weights_of
from lossctl.explanation.views import DECISIONS


def of_epochs(definition: Definition, values: Array) -> Iterator[Statistic]:
    """Yield what a loop over batches adds up or averages, of a definition without departures.

    The sums of the means of batches, as they are or divided by n; and means of the roots of batches.
    """
    rows, n = (values.mean(axis=1) if values.ndim == 2 else values), len(values)
    finish = definition.loss.finish
    if definition.total_cost:
        return
    for size in (size for size in BATCHES if size < n):
        starts = np.arange(0, n, size)
        means = np.add.reduceat(rows, starts) / np.minimum(size, n - starts)
        if finish is not None:
            of_batches = [finish.value(mean) for mean in means.tolist() if mean >= 0]
            said = f"averages the losses of batches of {size}, each with its own root"
            if finish.value is math.sqrt and len(of_batches) == len(means):
                yield Statistic(said, 1, math.fsum(of_batches) / len(means))
            continue
        total = float(means.sum())
        yield Statistic(f"sums the means of batches of {size}", 1, total)
        yield Statistic(f"sums the means of batches of {size}, and divides by the number of samples", 1, total / n)


def normalized(definition: Definition, value: float) -> Iterator[Statistic]:
    """Yield the root mean squared error divided by the range, the mean and the deviation of the targets, NRMSE."""
    target = definition.view.target
    if definition.loss.name == "rmse" and not definition.total_cost:
        for text, scale in (("range", np.ptp(target)), ("mean", target.mean()), ("standard deviation", target.std())):
            yield Statistic(f"is divided by the {text} of the targets, NRMSE", 1, float(np.divide(value, scale)))


def accuracy(definition: Definition, values: Array, weighing: Weighing) -> Iterator[Statistic]:
    """Yield the accuracy, 1 − the share of wrong decisions, of losses (n,).

    It counts as one departure with the decisions: it is the most common number of a classifier.
    """
    decides = definition.view.texts in ((), (DECISIONS,))
    if definition.loss.name != "zero_one" or definition.cost or not decides or values.ndim != 1:
        return
    for text, cost, weights in [*weights_of(weighing)] or [("", 0, np.ones(len(values)))]:
        said = both(text, "is 1 minus it, the accuracy")
        yield Statistic(said, cost + 1 - definition.view.cost, 1.0 - float(np.average(values, weights=weights)))


def determination(definition: Definition, values: Array, weighing: Weighing) -> Iterator[Statistic]:
    """Yield R², which is 1 − mse ÷ the variance of the targets, of squared errors (n,) or (n, m)."""
    if definition.loss.name != "mse" or definition.total_cost or len(values) < 2:
        return
    target = definition.view.target.reshape(len(values), -1)
    for text, cost, weights in [*weights_of(weighing)] or [("", 0, np.ones(len(values)))]:
        errors = np.average(values.reshape(len(values), -1), axis=0, weights=weights)
        means = np.average(target, axis=0, weights=weights)
        variances = np.average((target - means) ** 2, axis=0, weights=weights)
        said = "is 1 − mse ÷ variance of the targets, R²"
        columns = f"{said}, of all columns together" if len(errors) > 1 else said
        yield Statistic(both(text, columns), cost + 1, 1.0 - float(errors.sum() / variances.sum()))
        if len(errors) > 1:
            averaged = 1.0 - float((errors / variances).mean())
            yield Statistic(both(text, f"{said}, averaged over the columns"), cost + 1, averaged)
