"""A function of tensors as a kernel of arrays: its losses in float64, and the gradient of its own backward pass."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np

from lossctl.core.argument_names import prediction_position
from lossctl.core.arrays import Array
from lossctl.core.interval import REAL, UNIT, Interval
from lossctl.core.kind import Kind
from lossctl.core.parameters import Parameter
from lossctl.core.signature import Input, Signature
from lossctl.core.user_kernel import kernel_name
from lossctl.errors import DataError, UsageError
from lossctl.frameworks import Framework, get_framework
from lossctl.immutable import immutable

# Frameworks use all cores for one call; the type of the numbers that a function makes is a setting of the process.
_LOCK = RLock()
# A framework that compiles for each shape gets arrays of 64, 512, 4096, … rows.
_ROWS, _RATIO = 64, 8


@immutable
class TensorKind(Kind):
    """Numbers of any shape, as a function of tensors takes them.

    Attributes:
        fewer_axes: whether a row has fewer axes than one of the predictions, as class labels have.
    """

    fewer_axes: bool = False

    @property
    def is_code(self) -> bool:
        return self.fewer_axes


_OPEN = TensorKind("Tensor", "a number", Interval(-math.inf, math.inf))


@dataclass(eq=False)
class TensorKernel:
    """A kernel that calls a function of tensors.

    Attributes:
        value: the function, or the class that the framework makes a function of.
        framework: the framework.
        summed: of a result (n, m) the loss of a sample is the sum of its m numbers, and of one number for the whole
            batch 1/n of it, so that the gradient is that of the framework. Default False: the mean, and the number.
        independent: the loss of a sample depends on no other, so that it may be evaluated among any others.
        spec: ``file.py:function``, from which another process can load it; empty if there is none.
        one_number: whether the last call returned one number for all samples.
    """

    value: Any
    framework: Framework
    summed: bool = False
    independent: bool = False
    spec: str = ""
    one_number: bool = field(default=False, repr=False)
    _integers: tuple[bool, ...] | None = field(default=None, repr=False)
    _functions: dict[object, Callable[..., Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.__name__ = kernel_name(self.value)
        self.__doc__ = self.value.__doc__

    def __call__(self, *arrays: Array, **params: object) -> tuple[Array, Callable[[], Array]]:
        return self.losses(arrays, params), lambda: self.gradient(arrays, params)

    @cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """The arguments: the tensors, which have no default, and the parameters.

        Raises:
            UsageError: they cannot be read.
        """
        try:
            signature = self.framework.signature(self.value)
        except (TypeError, ValueError):
            raise UsageError(
                f"{self.__name__}: its arguments cannot be read: call it in a function (pred, target) of a file"
            ) from None
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [p for p in signature.parameters.values() if p.kind not in variable]

    @cached_property
    def prediction(self) -> int:
        """The position of the predictions among the tensors."""
        return prediction_position([p.name for p in self.parameters if p.default is p.empty])

    @property
    def integers(self) -> tuple[bool, ...]:
        """Which tensors arrive as integers; known after the first call."""
        assert self._integers is not None
        return self._integers

    def losses(self, arrays: Sequence[Array], params: Mapping[str, object]) -> Array:
        """Return the losses (n,) in float64."""
        result = self._evaluate(arrays, params, "float64", None, wrt=())[0]
        n = len(arrays[0])
        self.one_number = result.size == 1 and (n > 1 or not result.ndim)
        if self.one_number:
            return np.full(n, result.item() / n if self.summed else result.item())
        if not result.ndim or len(result) != n:
            raise DataError(f"returned shape {result.shape} for {n} samples: return one loss per sample, or one number")
        rows = result.reshape(n, -1)
        return np.asarray(rows.sum(axis=1) if self.summed or rows.shape[1] == 1 else rows.mean(axis=1))

    def gradient(
        self,
        arrays: Sequence[Array],
        params: Mapping[str, object],
        dtype: str = "float64",
        upstream: Callable[[tuple[int, ...]], Array] | None = None,
    ) -> Array:
        """Return the gradient of the sum of the losses that the backward pass gives, in float64.

        Args:
            arrays: the inputs, in the order of the function.
            params: values of its parameters.
            dtype: precision in which the function runs.
            upstream: function that returns the upstream gradient for the shape of the result. Default: ones.
        """
        result, gradient = self._evaluate(arrays, params, dtype, upstream, wrt=(self.prediction,))
        if self.summed:
            return gradient
        n = len(arrays[0])
        return gradient * n if result.size == 1 else gradient * (n / result.size)

    def rounded(self, array: Array, dtype: str) -> Array:
        """Return the numbers of an array as a tensor of type `dtype` holds them."""
        with self.framework.active(dtype):
            tensor = self.framework.to_tensor(np.asarray(array, dtype=np.float64), dtype)
            return self.framework.to_numpy(tensor).astype(np.float64)

    def _evaluate(
        self,
        arrays: Sequence[Array],
        params: Mapping[str, object],
        dtype: str,
        upstream: Callable[[tuple[int, ...]], Array] | None,
        wrt: tuple[int, ...],
    ) -> tuple[Array, Array]:
        """Return the result and the gradient, both in float64; the gradient is empty without `wrt`."""
        n = len(arrays[0])
        up = None if upstream is None else upstream(self._evaluate(arrays, params, dtype, None, wrt=())[0].shape)
        if self.framework.compiles and self.independent:
            rows = _ROWS
            while rows < n:
                rows *= _RATIO
            repeated = np.arange(rows) % n
            arrays = [np.take(a, repeated, axis=0) for a in arrays]
            up = np.take(up, repeated, axis=0) if up is not None and up.ndim and len(up) == n else up
        function = self._bound(params, dtype)
        first_error: Exception | None = None
        with _LOCK, self.framework.active(dtype):
            for integers in self._forms(arrays):
                tensors = [
                    self.framework.to_tensor(a.astype(np.int64) if whole else a, dtype)
                    for a, whole in zip(arrays, integers, strict=True)
                ]
                try:
                    result, gradients = self.framework.value_and_gradient(function, tensors, wrt, up)
                except Exception as error:  # noqa: BLE001 - whatever the user's function raises
                    first_error = first_error or error
                    continue
                self._integers = integers
                result = self.framework.to_numpy(result).astype(np.float64)
                gradient = self.framework.to_numpy(gradients[0]).astype(np.float64)[:n] if wrt else np.empty(0)
                return (result[:n] if result.ndim and len(result) == len(arrays[0]) else result), gradient
        assert first_error is not None
        raise first_error

    def _forms(self, arrays: Sequence[Array]) -> list[tuple[bool, ...]]:
        """Return which inputs arrive as integers: the usual form first, then the others.

        Whole numbers of fewer axes than the predictions are taken as labels. Only the form tells whether a function
        indexes with its input, so the first call tries the others as well.
        """
        if self._integers is not None:
            return [self._integers]
        pred = arrays[self.prediction]
        declared = tuple(a.dtype.kind in "iu" for a in arrays)
        whole = tuple(
            i != self.prediction and bool(np.isfinite(a).all() and (a == np.floor(a)).all())
            for i, a in enumerate(arrays)
        )
        usual = tuple(d or (w and a.ndim < pred.ndim) for d, w, a in zip(declared, whole, arrays, strict=True))
        return list(dict.fromkeys((usual, declared, whole)))

    def _bound(self, params: Mapping[str, object], dtype: str) -> Callable[..., Any]:
        key = (dtype, tuple(sorted(params.items())))
        with _LOCK:
            if key not in self._functions:
                with self.framework.active(dtype):
                    self._functions[key] = self.framework.bind(self.value, params, dtype)
            return self._functions[key]


@immutable(eq=False)
class TensorSignature(Signature):
    """The signature of a function of tensors; an input without a kind takes rows of any shape.

    Attributes:
        tails: shape of a row of each input; None: not known yet.
        kinds: kinds of the inputs in place of those of the annotations. Default None: the annotations.
        unit: the predictions are probabilities, from 0 to 1. Default False.
    """

    kernel: TensorKernel
    tails: tuple[tuple[int, ...], ...] | None = None
    kinds: tuple[Kind, ...] | None = None
    unit: bool = False

    def for_rows(self, tails: Sequence[tuple[int, ...]]) -> Signature:
        if len(tails) != len(self.inputs):
            return self
        # (n, 1) and (n,) are the same thing: nothing is broadcast to (n, n).
        if () in tails and all(tail in {(), (1,)} for tail in tails):
            tails = [()] * len(tails)
        return replace(self, tails=tuple(tails))

    @cached_property
    def _read(self) -> tuple[tuple[Input, ...], tuple[Parameter, ...], tuple[int, ...], tuple[Input, ...]]:
        kernel = self.kernel
        scope = getattr(inspect.unwrap(kernel.value), "__globals__", {}) if callable(kernel.value) else {}
        tensors = [p for p in kernel.parameters if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
        missing = [p.name for p in kernel.parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
        if not tensors or missing:
            what = f"parameter '{missing[0]}' has no default" if missing else "a loss takes at least one input"
            raise UsageError(f"{kernel.__name__}: {what}")
        inputs = [Input(p.name, _kind_of(p.annotation, scope)) for p in tensors]
        first = kernel.prediction
        order = [first, *(i for i in range(len(inputs)) if i != first)]
        inputs = [inputs[i] for i in order]
        if self.kinds is not None:
            inputs = [replace(i, kind=kind) for i, kind in zip(inputs, self.kinds, strict=True)]
        if self.tails is not None:
            axes = len(self.tails[0])
            inputs = [_shaped(i, tail, axes) for i, tail in zip(inputs, self.tails, strict=True)]
        if self.unit:
            inputs[0] = replace(inputs[0], kind=replace(inputs[0].kind, domain=UNIT))
        known = [p for p in map(_parameter, kernel.parameters) if p is not None]
        return tuple(inputs), tuple(known), tuple(order.index(i) for i in range(len(inputs))), ()


def _kind_of(annotation: object, scope: Mapping[str, Any]) -> Kind:
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, dict(scope))  # noqa: S307 - as inspect.signature(eval_str=True) does
        except Exception:  # noqa: BLE001 - an annotation for a type checker, which need not evaluate
            return _OPEN
    return next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Kind)), _OPEN)


def _shaped(spec: Input, tail: tuple[int, ...], axes: int) -> Input:
    if not isinstance(spec.kind, TensorKind):
        return spec
    core = tuple(f"{spec.name} axis {i}" for i in range(1, len(tail) + 1))
    return replace(spec, kind=replace(spec.kind, core=core, fewer_axes=len(tail) < axes))


def _parameter(p: inspect.Parameter) -> Parameter | None:
    """Return a parameter that a command line can set, by the type of its default; None for any other."""
    default = p.default
    if default is p.empty or not isinstance(default, (bool, int, float, str, types.NoneType)):
        return None
    of_none = (types.NoneType, bool, float, str)
    return Parameter(p.name, "", REAL, default, of_none if default is None else (type(default),))


def make_tensor_kernel(value: Any, framework: str) -> TensorKernel:
    """Return the kernel of a function, or of a class that the framework knows how to make a function of.

    Raises:
        UsageError: the framework is unknown or not installed, or the value cannot be called.
    """
    record = get_framework(framework)
    if not callable(value):
        raise UsageError(f"{type(value).__name__}: neither a function nor a class of {record.title}")
    return TensorKernel(value, record)
