"""A user's gradient function as one of arrays: its arguments, its shapes, its weights, its second derivative."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lossctl.core.argument_names import argument_order, bare
from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind
from lossctl.core.loss import Loss
from lossctl.core.registry import load_function
from lossctl.core.user_kernel import as_array, instantiate, is_catboost_objective, user_error
from lossctl.errors import DataError, LossctlError, UsageError, printable
from lossctl.gradients.boosting import Labelled, call_catboost

# Orders of the arguments of a gradient function; auto: by their names.
SIGNATURES = ("auto", "pred,target", "target,pred", "pred,dataset")
_WANTED = "return the gradient, or (gradient, second derivative), with one number for each prediction"
# Cosine of the angle between two gradients from which on they are the same up to a factor.
_SAME_DIRECTION = 0.99
# Number of samples and of classes at which a loss without a gradient is differentiated to recognise a layout, and the
# step relative to the prediction.
_SAMPLES, _CLASSES, _STEP = 64, 16, 1e-6


@dataclass(frozen=True)
class _Layout:
    """How a function of several predictions per sample takes and returns them.

    Attributes:
        taken: order in which it takes flat predictions, ``C`` sample by sample, ``F`` class by class; None: (n, k).
        returned: order of flat results.
        words: the remark on it; empty for the usual one.
    """

    taken: Literal["C", "F"] | None
    returned: Literal["C", "F"]
    words: str = ""


_ROWS = _Layout(None, "C")
_LAYOUTS = (
    _ROWS,
    _Layout(None, "F", "its result is flat, class by class, as LightGBM reads it and XGBoost does not"),
    _Layout("F", "F", "its predictions are flat, class by class, as in LightGBM before version 4"),
    _Layout("C", "C", "its predictions are flat, sample by sample"),
)


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
        signature: one of :data:`SIGNATURES`. With ``auto`` the arguments are recognised by their names.
        where: name of the function in error messages.
        loss: the loss whose gradient it returns.

    Raises:
        UsageError: the function takes other arguments; when called: it raised an exception.
        DataError: when called: the result has the wrong size or type.
    """

    def __init__(self, function: Any, signature: str, where: str, loss: Loss) -> None:
        self.where, self.loss, self.signature = where, loss, signature
        self.function = instantiate(function)
        self.assumed = ""
        self._roles: list[str] = []
        self._optional: dict[str, str] = {}
        if is_catboost_objective(self.function):
            self._roles = ["weight"]
        else:
            self._bind(signature)
        self._layout: _Layout | None = None
        self._returns_flat = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Reduce for pickle: a function of a user's file to its path, which the other process must be able to read."""
        path, dot_py, name = self.where.rpartition(".py:")
        if not dot_py:
            return _empty, (), vars(self)
        spec = f"{os.path.abspath(path)}.py:{name}"
        return _from_spec, (spec, self.signature, self.loss)

    def __call__(self, arrays: Sequence[Array], weights: Array | None) -> tuple[Array, Array | None]:
        if weights is None or not self._takes_weights:
            return self._evaluate(arrays, None)
        weighted, plain = self._evaluate(arrays, weights), self._evaluate(arrays, np.ones_like(weights))
        if _equal(weighted, plain):
            return plain
        first, second = weighted
        return _divided(first, weights), None if second is None else _divided(second, weights)

    def observe(self, arrays: Sequence[Array], weights: Array | None) -> tuple[str, ...]:
        """Return notes on the function: changed inputs, ignored weights, the layout of its arrays.

        Raises:
            UsageError: it returns different values at the same point.
        """
        passed = weights if self._takes_weights else None
        results = [self._evaluate(arrays, passed) for _ in range(2)]
        if not _equal(*results):
            raise UsageError(
                f"{self.where}: its result differs between two calls at the same point: set its seed, switch dropout "
                "off"
            )
        assert self._layout is not None
        _, given = self._result(arrays, passed, self._layout)
        names = {"pred": arrays[0], "target": arrays[1] if len(arrays) > 1 else arrays[0], "weight": passed}
        notes = [
            f"{self.where} changes its input {name} in place; it got a copy"
            for name, before in names.items()
            if before is not None and name in given and not _same_numbers(given[name], before)
        ]
        if (
            passed is not None
            and (passed != 1.0).any()
            and _equal(results[0], self._evaluate(arrays, np.ones_like(passed)))
        ):
            notes.append("the weights were passed and ignored: multiply gradient and second derivative by them")
        words = self._layout.words
        if self._layout is _ROWS and arrays[0].ndim == 2 and arrays[0].shape[1] > 1 and self._returns_flat:
            words = "its result is flat, sample by sample, as XGBoost reads it and LightGBM does not"
        if words:
            notes.append(f"{self.where}: {words}")
        if is_catboost_objective(self.function):
            notes.append(f"{self.where}: CatBoost maximises: the signs of its derivatives were turned")
        return tuple(notes)

    @property
    def _takes_weights(self) -> bool:
        return bool({"weight", "dataset"} & {*self._roles, *self._optional.values()})

    # --- arguments ---

    def _bind(self, signature: str) -> None:
        """Find what each argument is: by its name, or by the signature that the user says."""
        names = [i.name for i in self.loss.inputs]
        # A loss may call its third input target (anchor, other, target): the roles of these are other words.
        roles_of_inputs = [*("pred", "target")[: len(names)], *(f"input {name}" for name in names[2:])]
        further = dict(zip(names[2:], roles_of_inputs[2:], strict=True))
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
        except (TypeError, ValueError):  # a function written in C
            parameters = []
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = [p.name for p in positional if p.default is p.empty]
        least = min(len(self.loss.inputs), 2)
        if len(required) < least:
            required = [p.name for p in positional][:least]
        optional = [p.name for p in parameters if p.name not in required and p.kind is not p.VAR_KEYWORD]
        optional = [p for p in optional if p not in {q.name for q in parameters if q.kind is q.VAR_POSITIONAL}]
        if signature == "auto" and (not required or (len(required) >= least and set(required) <= set(names))):
            # *args takes all inputs in their order; names of the inputs of the loss say which they are.
            self._roles = [roles_of_inputs[names.index(name)] for name in required or names]
            self._optional |= {name: roles_of_inputs[names.index(name)] for name in optional if name in names}
            return
        required = required or names
        if signature == "auto":
            order = argument_order(required)
            if order is None:
                self.assumed = ", ".join(required[:2])
                order = ("pred", "target")[: len(required)]
        else:
            order = tuple(signature.split(","))
        roles = [*order, *[""] * (len(required) - len(order))][: len(required)]
        for i, name in enumerate(required):
            if i >= 2 and roles[i] in ("", "weight"):
                other = self._further(name, [f for f in further if further[f] not in roles])
                roles[i] = further.get(other, other)
        if len(required) < least or "" in roles:
            takes = ", ".join(required)
            raise UsageError(
                f"{self.where}: takes ({takes}); a gradient function takes (pred, target), (pred, target, weight) or "
                "(pred, dataset), and its parameters have defaults"
            )
        self._roles = roles
        for name in optional:
            role = argument_order(["pred", name])
            if name in further:
                self._optional[name] = further[name]
            elif role is not None and role[1] == "weight":
                self._optional[name] = "weight"

    def _further(self, name: str, left: Sequence[str]) -> str:
        """Return what an argument after the first two is: another input of the loss, the weights or the groups."""
        if name in left:
            return name
        if bare(name) == "group":
            return "group"
        order = argument_order(["pred", name])
        if order is not None and order[1] == "weight":
            return "weight"
        return left[0] if left else ""

    # --- calls ---

    def _evaluate(self, arrays: Sequence[Array], weights: Array | None) -> tuple[Array, Array | None]:
        if self._layout is None:
            self._layout = self._recognised(arrays, None if weights is None else np.ones_like(weights))
        return self._result(arrays, weights, self._layout)[0]

    def _recognised(self, arrays: Sequence[Array], weights: Array | None) -> _Layout:
        """Return the layout in which the gradient agrees best with that of the loss."""
        shape = arrays[0].shape
        if is_catboost_objective(self.function) or len(shape) != 2 or shape[1] < 2:
            return _ROWS
        reference = _reference(self.loss, arrays)
        agreement: list[float] = []
        first_error: LossctlError | None = None
        for layout in _LAYOUTS:
            try:
                gradient = self._result(arrays, weights, layout)[0][0]
            except LossctlError as error:
                first_error = first_error or error
                agreement.append(-1.0)
                continue
            agreement.append(_cosine(gradient, reference))
            if agreement[-1] >= _SAME_DIRECTION:
                return layout
        if max(agreement) < 0.0 and first_error is not None:
            raise first_error
        # None agrees: the gradient is wrong, in the usual layout unless that cannot be.
        return next(layout for layout, cosine in zip(_LAYOUTS, agreement, strict=True) if cosine >= 0.0)

    def _result(
        self, arrays: Sequence[Array], weights: Array | None, layout: _Layout
    ) -> tuple[tuple[Array, Array | None], dict[str, Array | None]]:
        """Call the function; return its results and the copies that it got."""
        shape = arrays[0].shape
        try:
            result, given = self._call(arrays, weights, layout)
            first, second = _pair(result, shape)
            self._returns_flat = max(np.shape(first), default=0) == np.prod(shape)
            shaped = (
                _shaped(first, shape, layout, "the gradient"),
                None if second is None else _shaped(second, shape, layout, "the second derivative"),
            )
        except DataError as error:
            raise DataError(f"{self.where}: {error}") from None
        return shaped, given

    def _call(
        self, arrays: Sequence[Array], weights: Array | None, layout: _Layout
    ) -> tuple[Any, dict[str, Array | None]]:
        if weights is not None or "dataset" not in self._roles:
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
        self, arrays: Sequence[Array], weights: Array | None, layout: _Layout
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
        try:
            with np.errstate(all="ignore"):
                if is_catboost_objective(self.function):
                    assert target is not None
                    return call_catboost(self.function, pred, target, weight), seen
                if "dataset" in self._roles:
                    assert target is not None
                    given["dataset"] = Labelled(target, weight)
                elif target is not None and isinstance(self.loss.inputs[1].kind, LabelKind):
                    given["target"] = seen["target"] = target.astype(np.int64)
                keywords = {name: given[role] for name, role in self._optional.items()}
                return self.function(*(given[role] for role in self._roles), **keywords), seen
        except LossctlError:
            raise
        except AttributeError as error:
            if not self.assumed or "get_" not in str(error):
                raise self._raised(error) from error
            self.assumed, self._roles = "", ["pred", "dataset", *self._roles[2:]]
            return self._call(arrays, weights, layout)
        except Exception as error:  # whatever the user's own function raises
            raise self._raised(error) from error

    def _raised(self, error: Exception) -> UsageError:
        path, dot, name = self.where.rpartition(".py:")
        return user_error(f"{path}.py" if dot else "", name, error)


def _empty() -> Gradient:
    return Gradient.__new__(Gradient)


def _from_spec(spec: str, signature: str, loss: Loss) -> Gradient:
    return Gradient(load_function(spec), signature, spec, loss)


def _pair(result: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the gradient and the second derivative, or None, of what a function returned."""
    size = int(np.prod(shape))
    if result is None or isinstance(result, dict):
        raise DataError(f"returned {'nothing' if result is None else 'a dict'}: {_WANTED}")
    if isinstance(result, (tuple, list)):
        numbers = all(isinstance(part, (int, float, np.number)) for part in result)
        if not (numbers and len(result) == size):
            if len(result) == 2:
                return result[0], result[1]
            if not (isinstance(result, list) and len(result) == shape[0]):
                raise DataError(f"returned {len(result)} value{'s' * (len(result) != 1)}: {_WANTED}")
    array = as_array(result)
    if array.shape == (2, *shape):
        return array[0], array[1]
    return result, None


def _shaped(value: Any, shape: tuple[int, ...], layout: _Layout, what: str) -> Array:
    """Return numbers that a function returned as an array of its own in the shape of the predictions."""
    array = as_array(value)
    if array.dtype.kind not in "fiub":
        kind = (
            f"an array of {array.dtype}" if isinstance(value, np.ndarray) else f"a value of type {type(value).__name__}"
        )
        raise DataError(f"{what} is {printable(kind)}: {_WANTED}")
    if array.size != np.prod(shape) or (not array.ndim and array.size != 1):
        returned = "one number" if not array.ndim else f"shape {array.shape}"
        raise DataError(f"{what}: returned {returned} for predictions of shape {shape}: {_WANTED}")
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    flat = layout.returned == "F" and array.shape in ((array.size,), (array.size, 1))
    return array.reshape(-1).reshape(shape, order="F") if flat else array.reshape(shape)


def _equal(a: tuple[Array, Array | None], b: tuple[Array, Array | None]) -> bool:
    return all(
        x is y or (x is not None and y is not None and np.array_equal(x, y, equal_nan=True))
        for x, y in zip(a, b, strict=True)
    )


def _same_numbers(a: Array | None, b: Array) -> bool:
    return a is not None and np.array_equal(a, b, equal_nan=True)


def _divided(array: Array, weights: Array) -> Array:
    """Divide by the weights, none of which is 0; the type of the array stays."""
    with np.errstate(all="ignore"):
        return (array / weights.reshape(-1, *(1,) * (array.ndim - 1))).astype(array.dtype)


def _reference(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return the gradient of a loss, or differences at some coordinates where it has none; NaN elsewhere."""
    thunk = loss.evaluate(*arrays)[1]
    if thunk is not None:
        return np.asarray(thunk())
    part = [a[:_SAMPLES] for a in arrays]
    slopes = np.full(arrays[0].shape, np.nan)
    for j in np.unique(np.linspace(0, arrays[0].shape[1] - 1, _CLASSES).astype(np.intp)):
        step = np.zeros_like(part[0])
        step[:, j] = _STEP * np.maximum(1.0, np.abs(part[0][:, j]))
        above, below = (loss.evaluate(part[0] + s, *part[1:])[0] for s in (step, -step))
        slopes[: len(part[0]), j] = (above - below) / (2.0 * step[:, j])
    return slopes


def _cosine(given: Array, reference: Array) -> float:
    """Return |cos| of the angle between two gradients, over the coordinates where both are finite."""
    known = np.isfinite(given) & np.isfinite(reference)
    a, b = given[known].astype(np.float64), reference[known]
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return abs(float(a @ b)) / size if size > 0 else 0.0
