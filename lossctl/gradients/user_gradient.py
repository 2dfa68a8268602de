"""A user's gradient function as one of arrays: its arguments, its shapes, its weights, its second derivative."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind
from lossctl.core.loss import Loss
from lossctl.core.user_functions import load_function
from lossctl.core.user_kernel import call_in_turn, instantiate, is_catboost_objective, user_error
from lossctl.errors import DataError, LossctlError, UsageError, is_signal
from lossctl.gradients.boosting import Labelled, call_catboost
from lossctl.gradients.gradient_arguments import Arguments, bind_arguments
from lossctl.gradients.gradient_layout import (
    LAYOUTS,
    ROWS,
    SAME_DIRECTION,
    Layout,
    cosine,
    derivatives_of,
    reference_gradient,
    shaped,
)
from lossctl.gradients.repeatability import changed_inputs, check_repeatable, same_numbers


def is_gradient_function(value: object) -> bool:
    """Return whether a value is a function, a class or an object that returns gradients, rather than an array."""
    return callable(value) or is_catboost_objective(value)


class Gradient:
    """A user's gradient function: ``gradient(arrays, weights)`` is (gradient, second derivative or None).

    The gradient of a function that takes the sample weights is that of w·loss; the weights are divided out. Results
    are copies in the shape of the predictions.

    Args:
        function: a function of (pred, target), (pred, target, weight) or (pred, dataset), where the data set has the
            methods of those of XGBoost and LightGBM, or an objective of CatBoost. It gets copies.
        signature: one of ``SIGNATURES``. With ``auto`` the arguments are recognised by their names.
        where: name of the function in error messages.
        loss: the loss whose gradient it returns.
        rounded: function of the loss and its inputs that returns the inputs in the precision in which the gradient is
            computed. Default: they stay.

    Raises:
        UsageError: the function takes other arguments; when called: it raised an exception.
        DataError: when called: the result has the wrong size or type.
    """

    def __init__(
        self,
        function: Any,
        signature: str,
        where: str,
        loss: Loss,
        rounded: Callable[[Loss, Sequence[Array]], list[Array]] | None = None,
    ) -> None:
        self.where, self.loss, self.signature, self.rounded = where, loss, signature, rounded
        self.function = instantiate(function)
        if is_catboost_objective(self.function):
            self.arguments = Arguments(("weight",))
        else:
            self.arguments = bind_arguments(self.function, signature, where, loss)
        self._layout: Layout | None = None
        self._returns_flat = False
        self.returns_loss = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Reduce for pickle: a function of a user's file to its path, which the other process must be able to read."""
        path, dot_py, name = self.where.rpartition(".py:")
        if not dot_py:
            return _empty, (), vars(self)
        spec = f"{os.path.abspath(path)}.py:{name}"
        return _from_spec, (spec, self.signature, self.loss)

    def __call__(self, arrays: Sequence[Array], weights: Array | None) -> tuple[Array, Array | None]:
        if weights is None or not self.arguments.take_weights:
            return self._evaluate(arrays, None)
        weighted, plain = self._evaluate(arrays, weights), self._evaluate(arrays, np.ones_like(weights))
        if all(map(same_numbers, weighted, plain)):
            return plain
        first, second = weighted
        return _divided(first, weights), None if second is None else _divided(second, weights)

    def observe(self, arrays: Sequence[Array], weights: Array | None) -> tuple[str, ...]:
        """Return notes on the function: changed inputs, ignored weights, the layout of its arrays.

        Raises:
            UsageError: it returns different values at the same point.
        """
        passed = weights if self.arguments.take_weights else None

        def results(inputs: Sequence[Array]) -> dict[str, Array | None]:
            gradient, second = self._evaluate(inputs, passed)
            return {"gradient": gradient, "second derivative": second}

        first = check_repeatable(self.where, results, arrays)
        value = self.loss.evaluate(*arrays)[0]
        pair = [*first.values()]
        self.returns_loss = pair[1] is not None and pair[0] is not None and _same_loss(pair[0], value)
        assert self._layout is not None
        _, given = self._result(arrays, passed, self._layout)
        before = {"pred": arrays[0], "target": arrays[1] if len(arrays) > 1 else None, "weight": passed}
        notes = changed_inputs(self.where, before, {name: given[name] for name in before if name in given})
        if passed is not None and (passed != 1.0).any():
            plain = self._evaluate(arrays, np.ones_like(passed))
            if all(map(same_numbers, first.values(), plain)):
                notes.append("the weights were passed and ignored: multiply gradient and second derivative by them")
        words = self._layout.words
        if self._layout is ROWS and arrays[0].ndim == 2 and arrays[0].shape[1] > 1 and self._returns_flat:
            words = "its result is flat, sample by sample, as XGBoost reads it and LightGBM does not"
        if words:
            notes.append(f"{self.where}: {words}")
        if is_catboost_objective(self.function):
            notes.append(f"{self.where}: CatBoost maximises: the signs of its derivatives were turned")
        return tuple(notes)

    def doubts(self) -> list[str]:
        """Return notes on what may explain that the gradient is wrong."""
        notes = []
        if self.arguments.assumed:
            taken = f"its arguments ({self.arguments.assumed}) were taken as (pred, target)"
            notes.append(f"{taken}: if they are not, say --signature")
        if self.returns_loss:
            notes.append(f"{self.where} returns the loss first, then a gradient: give it as LOSS, without --grad")
        return notes

    def _evaluate(self, arrays: Sequence[Array], weights: Array | None) -> tuple[Array, Array | None]:
        if self._layout is None:
            self._layout = self._recognised(arrays, None if weights is None else np.ones_like(weights))
        return self._result(arrays, weights, self._layout)[0]

    def _recognised(self, arrays: Sequence[Array], weights: Array | None) -> Layout:
        """Return the layout in which the gradient agrees best with that of the loss."""
        shape = arrays[0].shape
        if is_catboost_objective(self.function) or len(shape) != 2 or shape[1] < 2:
            return ROWS
        reference = reference_gradient(self.loss, arrays)
        agreement: list[float] = []
        first_error: LossctlError | None = None
        for layout in LAYOUTS:
            try:
                gradient = self._result(arrays, weights, layout)[0][0]
            except LossctlError as error:
                first_error = first_error or error
                agreement.append(-1.0)
                continue
            agreement.append(cosine(gradient, reference))
            if agreement[-1] >= SAME_DIRECTION:
                return layout
        if max(agreement) < 0.0 and first_error is not None:
            raise first_error
        # None agrees: the gradient is wrong, in the usual layout unless that cannot be.
        return next(layout for layout, cosine in zip(LAYOUTS, agreement, strict=True) if cosine >= 0.0)

    def _result(
        self, arrays: Sequence[Array], weights: Array | None, layout: Layout
    ) -> tuple[tuple[Array, Array | None], dict[str, Array | None]]:
        """Call the function; return its results and the copies that it got."""
        shape = arrays[0].shape
        try:
            result, given = self._call(arrays, weights, layout)
            first, second = derivatives_of(result, shape)
            self._returns_flat = max(np.shape(first), default=0) == np.prod(shape)
            outcome = (
                shaped(first, shape, layout, "the gradient"),
                None if second is None else shaped(second, shape, layout, "the second derivative"),
            )
        except DataError as error:
            raise DataError(f"{self.where}: {error}") from None
        return outcome, given

    def _call(
        self, arrays: Sequence[Array], weights: Array | None, layout: Layout
    ) -> tuple[Any, dict[str, Array | None]]:
        if weights is not None or "dataset" not in self.arguments.positional:
            return self._call_once(arrays, weights, layout)
        # Without weights get_weight() is an empty array in XGBoost and None in LightGBM.
        try:
            return self._call_once(arrays, np.empty(0), layout)
        except UsageError:
            try:
                return self._call_once(arrays, None, layout)
            except UsageError:
                pass
            raise

    def _call_once(
        self, arrays: Sequence[Array], weights: Array | None, layout: Layout
    ) -> tuple[Any, dict[str, Array | None]]:
        pred = arrays[0].copy() if layout.taken is None else arrays[0].flatten(order=layout.taken)
        target = arrays[1].copy() if len(arrays) > 1 else None
        weight = None if weights is None else weights.copy()
        given: dict[str, Any] = {"pred": pred, "target": target, "weight": weight, "group": None}
        given |= {f"input {i.name}": a.copy() for i, a in zip(self.loss.inputs[2:], arrays[2:], strict=True)}
        seen = dict(given)
        if layout.taken is not None:
            seen.pop("pred")
        if weights is None or not weights.size:
            seen.pop("weight")
        if "dataset" in self.arguments.positional:
            assert target is not None
            given["dataset"] = Labelled(target, weight)
        elif target is not None and isinstance(self.loss.inputs[1].kind, LabelKind):
            given["target"] = seen["target"] = target.astype(np.int64)

        def call() -> Any:
            if is_catboost_objective(self.function):
                assert target is not None
                return call_catboost(self.function, pred, target, weight)
            keywords = {name: given[role] for name, role in self.arguments.keywords.items()}
            return self.function(*(given[role] for role in self.arguments.positional), **keywords)

        try:
            with np.errstate(all="ignore"):
                return call_in_turn(call), seen
        except LossctlError:
            raise
        except AttributeError as error:
            if not self.arguments.assumed or "get_" not in str(error):
                raise self._raised(error) from error
            self.arguments = self.arguments.with_dataset()
            return self._call(arrays, weights, layout)
        except BaseException as error:  # whatever the user's own function raises
            if is_signal(error):
                raise
            raise self._raised(error) from error

    def _raised(self, error: BaseException) -> UsageError:
        path, dot, name = self.where.rpartition(".py:")
        kinds = [] if self.loss.is_builtin else [i.kind for i in self.loss.inputs]
        return user_error(f"{path}.py" if dot else "", name, error, kinds)


def _empty() -> Gradient:
    return Gradient.__new__(Gradient)


def _from_spec(spec: str, signature: str, loss: Loss) -> Gradient:
    return Gradient(load_function(spec), signature, spec, loss)


def _same_loss(result: Array, value: Array) -> bool:
    """Return whether a result is the loss of each sample."""
    return result.shape == value.shape and bool(np.allclose(result, value, rtol=1e-5, atol=0.0, equal_nan=True))


def _divided(array: Array, weights: Array) -> Array:
    """Divide by the weights, none of which is 0; the type of the array stays."""
    with np.errstate(all="ignore"):
        return (array / weights.reshape(-1, *(1,) * (array.ndim - 1))).astype(array.dtype)
