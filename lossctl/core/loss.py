"""The class ``Loss``: metadata, the values of the parameters, and the evaluation of a kernel."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, column_major, kernel_layout
from lossctl.core.domain import Domain, Violations
from lossctl.core.parameters import Parameter, Value
from lossctl.core.signature import Input, Signature
from lossctl.core.tensor_kernel import TensorKernel
from lossctl.errors import DataError, LossctlError, UsageError, is_signal, nearest, quoted
from lossctl.immutable import immutable

Thunk: TypeAlias = Callable[[], Array]

# Imported by name, so that core does not depend on the engine.
_API = "lossctl.api"


@immutable
class MeanTransform:
    """A function applied to the mean, for losses that are not a plain mean (rmse: the square root).

    Attributes:
        value: the function.
        derivative: the derivative of the function, which scales the standard error.
        per_sample: the name of the per-sample values, which are not on the scale of the loss.
    """

    value: Callable[[float], float]
    derivative: Callable[[float], float]
    per_sample: str


@immutable(eq=False)
class Loss:
    """A loss with values bound to its parameters.

    >>> from lossctl import get_loss
    >>> huber = get_loss("huber:delta=0.5")
    >>> huber.name, huber.params
    ('huber', {'delta': 0.5})
    >>> huber.value([0.0, 3.0], [0.25, 1.0]).tolist()
    [0.03125, 0.875]
    >>> huber.gradient([0.0, 3.0], [0.25, 1.0]).tolist()
    [-0.25, 0.5]
    """

    name: str
    kernel: Callable[..., Any]
    signature: Signature
    family: str
    bound_values: Mapping[str, Value] = field(default_factory=dict)
    formula: str = ""
    reference: str = ""
    aliases: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    pitfalls: tuple[str, ...] = ()
    relative_accuracy: str = ""
    from_logits: str = ""
    finish: MeanTransform | None = None
    denominator: Callable[..., Array] | None = None
    batch_coupled: bool = False
    validate: Callable[..., Violations] | None = None
    propagates_nonfinite: bool = False
    neutral: tuple[float, float] | None = None
    counts_items: bool = False
    takes_exposure: bool = False
    training_scale: Callable[[Array], float] | None = None
    source: str = ""
    called: str = ""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, pred first."""
        return self.signature.inputs

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The hyperparameters."""
        return self.signature.parameters

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The roles of the inputs in a data set: pred, target, and for any other input its name.

        pred is the first input. target is the input named "target"; if none has that name, the second input.
        """
        names = [i.name for i in self.inputs]
        target = names.index("target") if "target" in names else 1
        return tuple("pred" if i == 0 else "target" if i == target else name for i, name in enumerate(names))

    @cached_property
    def params(self) -> dict[str, Value]:
        """The value of every parameter."""
        return {**self.signature.defaults, **self.bound_values}

    @cached_property
    def domain(self) -> Domain:
        """The valid inputs."""
        return Domain(self.name, self.inputs, self.params, self.validate, self.from_logits)

    @property
    def doc(self) -> str:
        """The docstring of the kernel."""
        return inspect.getdoc(self.kernel) or ""

    @property
    def summary(self) -> str:
        """The first line of the docstring of the kernel."""
        return self.doc.split("\n", 1)[0].rstrip(".")

    def __repr__(self) -> str:
        return f"<loss {self.spec}>"

    @property
    def row_wise(self) -> bool:
        """Whether an element of some input is an array instead of a number, for example a row of classes."""
        return any(i.kind.core for i in self.inputs)

    @property
    def spec(self) -> str:
        """The loss in the syntax of the command line, with the parameters that differ from their default."""
        changed = [p for p in self.parameters if self.params[p.name] != p.default]
        return ":".join([self.name, *(f"{p.name}={p.show(self.params[p.name])}" for p in changed)])

    @property
    def _display_name(self) -> str:
        """The name in error messages; for a loss of a user or a package, with the file or the package."""
        return f"{self.source}: {self.name}" if self.source else self.name

    def bind(self, **params: object) -> Loss:
        """Return the same loss with other parameter values.

        Args:
            params: values by parameter name; a string is parsed as on the command line. Parameters that are not
                named keep their value.

        Raises:
            UsageError: an unknown parameter, or a value outside its domain.
        """
        known = {p.name: p for p in self.parameters}
        bound = dict(self.bound_values)
        for name, value in params.items():
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise UsageError(f"{self.name} has no parameter {quoted(name)}; {takes}{nearest(name, known)}")
            try:
                bound[name] = known[name].parse(value) if isinstance(value, str) else known[name].check(value)
            except UsageError as error:
                raise UsageError(f"{self.name}: {error}") from None
        return replace(self, bound_values=bound)

    def for_rows(self, tails: Sequence[tuple[int, ...]]) -> Loss:
        """Return the loss with kinds of inputs that fit rows of these shapes, one for each input.

        Only a function of tensors leaves them open.
        """
        signature = self.signature.for_rows(tails)
        return self if signature is self.signature else replace(self, signature=signature)

    def evaluate(self, *arrays: Array) -> tuple[Array, Thunk | None]:
        """Evaluate the losses (n,) of n elements, without a check of the inputs.

        Args:
            arrays: the inputs in order, float64 of shape ``(n, *core)``.

        Returns:
            the losses ``(n,)`` and a function that returns their gradient in the shape of the first input; None
            instead of the function if the loss of a user has no gradient.

        Raises:
            DataError: the kernel returned an array of the wrong shape or type.
            UsageError: the kernel of a user or a package raised an exception.
        """
        n = arrays[0].shape[0]
        # A block of one row is contiguous in both memory orders, and NumPy would reduce it in another order than the
        # rows of a longer block: its last bit would depend on the position of the block's end. So the row is doubled.
        lone = n == 1 and not self.batch_coupled and any(column_major(a) for a in arrays)
        blocks = [kernel_layout(np.repeat(a, 2, axis=0) if lone else a) for a in arrays]
        values, gradient = self._call(lambda: self._evaluate_kernel(blocks))
        values = self._output("returned", values, blocks[0].shape[:1])
        thunk = None if gradient is None else lambda: self._gradient(gradient, blocks[0], n)
        return values[:n], thunk

    @property
    def takes_tensors(self) -> bool:
        """Whether this is a function of the tensors of a framework."""
        return isinstance(self.kernel, TensorKernel)

    @property
    def is_reduced(self) -> bool:
        """Whether the last evaluation returned one number for all samples, as a function of tensors may."""
        return isinstance(self.kernel, TensorKernel) and self.kernel.one_number

    @cached_property
    def is_builtin(self) -> bool:
        """Whether this is one of lossctl's own losses: its kernel needs no copies, its gradient keeps its digits."""
        return getattr(self.kernel, "__module__", "").startswith(("lossctl.losses.", "lossctl.conventions."))

    def _evaluate_kernel(self, blocks: Sequence[Array]) -> tuple[Any, Any]:
        if self.is_builtin:
            result = self.kernel(*blocks, **self.params)
            return result if isinstance(result, tuple) else (result, None)
        from lossctl.core.user_kernel import call_kernel

        order = self.signature.kernel_order
        arrays, kinds = [blocks[i] for i in order], [self.inputs[i].kind for i in order]
        return call_kernel(self.kernel, arrays, kinds, self.params)

    def _gradient(self, gradient: object, pred: Array, n: int) -> Array:
        array = self._call(gradient) if callable(gradient) else gradient
        return self._output("gradient", array, pred.shape)[:n]

    def _call(self, function: Callable[[], Any]) -> Any:
        with np.errstate(all="ignore"):  # log 0 is inf by design, and the report counts it
            if self.is_builtin:
                return function()
            try:
                return function()
            except LossctlError as error:
                raise type(error)(f"{self._display_name}: {error}") from None
            except BaseException as error:  # whatever the user's own function raises
                if is_signal(error):
                    raise
                from lossctl.core.user_kernel import framework_hint, rows_hint, user_error

                tensors = self.takes_tensors
                kinds = [i.kind for i in self.inputs]
                # Called from Python: the caller wants the traceback.
                if not self.source and (tensors or not (framework_hint(error) or rows_hint(error, kinds))):
                    raise
                raise user_error(self.source, self.name, error, kinds, tensors=tensors) from error

    def _output(self, what: str, value: object, shape: tuple[int, ...]) -> Array:
        array = np.asarray(value) if self.is_builtin else self._array_of(what, value)
        if array.dtype.kind not in "fiub":  # astype would parse text, and drop imaginary parts
            type_text = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"{self._display_name}: {what}: {type_text} instead of an array of numbers")
        if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
            largest = max(int(array.max()), -int(array.min()))
            if largest > 2**53:
                raise DataError(
                    f"{self._display_name}: {what}: integers beyond 2**53, such as {largest}: return floats"
                )
        array = array.astype(np.float64, copy=False)
        if array.shape == (*shape, 1) and len(shape) == 1:  # a column, as Keras returns it
            array = array[:, 0]
        if array.shape != shape:
            hint = ""
            if array.ndim == 0:  # the mean or the sum
                hint = (
                    ": return one loss per sample, without .mean() or .sum(): compute takes the mean; "
                    "gradcheck --reduction mean checks a function that returns the mean"
                )
            elif array.shape[: len(shape)] == shape:
                hint = ": one loss per sample, not the gradient: return (losses, gradient)"
            raise DataError(f"{self._display_name}: {what} shape {array.shape} instead of {shape}{hint}")
        return array

    def _array_of(self, what: str, value: object) -> npt.NDArray[Any]:
        from lossctl.core.user_kernel import as_array

        try:
            return as_array(value)
        except DataError as error:
            raise DataError(f"{self._display_name}: {what}: {error}") from None

    def value(self, *arrays: npt.ArrayLike, **options: Any) -> Array:
        """Compute the loss of each sample.

        Args:
            arrays: the inputs in order, pred first: ``(n,)``, ``(n, m)`` (the loss of a sample is the mean over m), or
                ``(n, k)`` if a row is one sample; classes are the last axis.
            options: ``inputs`` (the others, by name), ``weight``, ``nan``, ``normalize``, ``sum_tolerance``,
                ``class_axis``, ``class_weight``, ``ignore_index``, ``labels`` and ``threads``, as for
                :func:`lossctl.compute`. Weights of the elements of a sample weigh its mean.

        Returns:
            ``(n,)`` float64; NaN for a sample that is left out.

        Raises:
            DataError: the shapes differ, or a value is outside its domain.
            UsageError: an option is invalid.
        """
        array: Array = importlib.import_module(_API).value_of(self, arrays, **options)
        return array

    def gradient(self, *arrays: npt.ArrayLike, **options: Any) -> Array:
        """Compute the derivative of the loss of each element with respect to ``pred``.

        Args:
            arrays, options: as for :meth:`value`.

        Returns:
            float64 of the shape of ``pred``: d loss[i] / d pred[i], not divided by n or m; 0 for an element that is
            left out.

        Raises:
            DataError: as for :meth:`value`.
            UsageError: an option is invalid, or the loss of a user has no gradient.
        """
        array: Array = importlib.import_module(_API).gradient_of(self, arrays, **options)
        return array
