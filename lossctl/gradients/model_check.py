"""Check the gradient of a loss with respect to the parameters of a model, arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossctl.core.user_kernel import source_line
from lossctl.errors import DataError, UsageError, number
from lossctl.gradients.array_hints import Hint, merged
from lossctl.gradients.given_gradients import GivenGradients, select_arrays
from lossctl.gradients.hvp_check import check_hvp
from lossctl.gradients.localize import Entry
from lossctl.gradients.model_result import ArrayCheck, ModelCheck
from lossctl.gradients.named_function import (
    NamedFunction,
    by_name,
    scalar,
    seed_hint,
    value_and_gradients,
)
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.scalar_check import check_slopes

# Two values at one point differ by random numbers, not by rounding, if they differ by more than this share.
_RANDOM = 1e-4


def check_model(
    loss: NamedFunction,
    arrays: Mapping[str, np.ndarray],
    *,
    gradient: NamedFunction | None,
    hvp: NamedFunction | None,
    wrt: Sequence[str] | None,
    seed: int,
    constants: Mapping[str, str] | None = None,
) -> ModelCheck:
    """Check the gradient of a loss of arrays by name.

    Args:
        loss: returns the loss or (loss, gradients by name).
        arrays: the parameters; integers, and arrays without a gradient, stay as they are.
        gradient: returns the gradients by name; None: `loss` does.
        hvp: returns the products of the second derivatives with a vector; None: they are not checked.
        wrt: names of the arrays to check; None: every array of floats.
        seed: of the random directions.
        constants: the reason why an array has no gradient, by name. Default: none.

    Raises:
        UsageError: a function takes other arguments or raises; there is no gradient; the loss is random.
        DataError: an array cannot be used, or a function returns something else.
    """
    names, skipped = select_arrays(arrays, wrt, constants=constants)
    evaluator = _Loss(loss, gradient, arrays)
    given, base, notes = evaluator.observe(names)
    where = loss.where if gradient is None else gradient.where
    usable = GivenGradients(arrays, names, given, where=where, strict=wrt is not None)
    outcome = check_slopes(evaluator.value, evaluator.gradients, arrays, usable, (base, abs(base)), seed=seed)
    checks = [*skipped, *usable.checks, *outcome.checks]
    hints = merged([*usable.hints, *outcome.hints], checks)
    entries = list(outcome.entries)
    if hvp is not None:
        second = check_hvp(
            lambda at: evaluator.gradients(at, list(usable.usable)), hvp, arrays, list(usable.usable), seed
        )
        checks += second.checks
        hints += second.hints
        entries += second.entries
    return result(loss, arrays, checks, entries, hints, evaluations=evaluator.evaluations, notes=notes)


class _Loss:
    """The loss and its gradient at one point, and the number of evaluations of the loss."""

    def __init__(self, loss: NamedFunction, gradient: NamedFunction | None, arrays: Mapping[str, np.ndarray]) -> None:
        self.loss, self.gradient, self.arrays = loss, gradient, dict(arrays)
        self.evaluations = 0
        self.shared: list[str] = []

    def _evaluate(
        self, arrays: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> tuple[float, dict[str, Any], list[str]]:
        """Return the loss, the gradients and the names of the arrays that the functions changed.

        The gradient function gets the arrays that the loss got, as in a training step: what one overwrites, the other
        reads.
        """
        copies = {name: array.copy() for name, array in arrays.items()}
        self.evaluations += 1
        value, gradients = value_and_gradients(self.loss(copies))
        where = self.loss.where
        if self.gradient is not None:
            where = self.gradient.where
            gradients = self.gradient(copies)
        elif gradients is None:
            loss = scalar(value, where)
            raise UsageError(
                f"{where}: returned the loss alone, {number(loss)}: return (loss, gradients by name), or name the "
                "function that returns the gradients: --grad FILE.py:FUNCTION"
            )
        self.shared = _shared(gradients)
        changed = [n for n, before in arrays.items() if not np.array_equal(copies[n], before, equal_nan=True)]
        return scalar(value, self.loss.where), by_name(gradients, names, where, "gradients"), changed

    def observe(self, names: Sequence[str]) -> tuple[dict[str, np.ndarray], float, list[str]]:
        """Return the gradients, the loss, and notes; both are evaluated twice.

        Raises:
            UsageError: the results differ.
            DataError: the loss is not finite.
        """
        first, given, changed = self._evaluate(self.arrays, names)
        second, again, _ = self._evaluate(self.arrays, names)
        if not np.isfinite(first):
            raise DataError(f"{self.loss.where}: the loss is {number(first)} at these arrays")
        apart = abs(first - second) > _RANDOM * abs(first) or any(
            rms(given[n].astype(float) - again[n].astype(float)) > _RANDOM * rms(given[n].astype(float))
            for n in given
            if np.isfinite(given[n]).all() and given[n].shape == again[n].shape
        )
        if apart:
            what = (
                f"its loss differs ({number(first)}, {number(second)})" if first != second else "its gradient differs"
            )
            raise UsageError(
                f"{self.loss.where}: {what} between two calls at the same point: {seed_hint(self.loss.function)}"
            )
        notes = [
            f"{name} is overwritten in place: a value that the backward pass needs may be lost; lossctl passed a copy"
            for name in changed
        ]
        notes += [f"the gradients of {pair} are one array in memory" for pair in self.shared[:3]]
        return given, first, notes

    def value(self, arrays: Mapping[str, np.ndarray]) -> float:
        """Return the loss alone."""
        self.evaluations += 1
        return scalar(value_and_gradients(self.loss(arrays))[0], self.loss.where)

    def gradients(self, arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the gradients alone."""
        return self._evaluate(arrays, names)[1]


def _shared(gradients: object) -> list[str]:
    """Return the pairs of gradients by name that share memory, so that one may have overwritten the other."""
    if not isinstance(gradients, Mapping):
        return []
    arrays = [(name, a) for name, a in gradients.items() if isinstance(a, np.ndarray)]
    return [
        f"{first} and {second}"
        for i, (second, a) in enumerate(arrays)
        for first, b in arrays[:i]
        if np.may_share_memory(a, b)
    ]


def result(
    function: NamedFunction,
    arrays: Mapping[str, np.ndarray],
    checks: Sequence[ArrayCheck],
    entries: Sequence[Entry],
    hints: Sequence[Hint],
    *,
    evaluations: int,
    notes: Sequence[str],
) -> ModelCheck:
    """Return the result: verdicts by what was checked, in the order of the arrays."""
    order = {name: i for i, name in enumerate(arrays)}
    what = {name: i for i, name in enumerate(("gradient", "vjp", "jvp", "hvp"))}
    return ModelCheck(
        function.where,
        sorted(checks, key=lambda check: (what[check.what], order.get(check.name, 0))),
        list(entries),
        [hint.words for hint in hints],
        [hint.code for hint in hints],
        evaluations,
        list(notes),
        source_line(function.function),
    )
