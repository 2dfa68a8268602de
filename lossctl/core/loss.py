"""The class ``Loss``: a kernel with values bound to its parameters, evaluation, input checks and metadata."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Dims
from lossctl.core.input_kinds import SUM_TOLERANCE, DomainViolation, as_elements, flattens_axes
from lossctl.core.parameters import Parameter, Value
from lossctl.core.signature import Input, Signature
from lossctl.errors import DataError, UsageError, nearest, printable, quoted

Thunk: TypeAlias = Callable[[], Array]
# Violations across inputs, which no kind can detect: (input name, mask of invalid elements, function from the index of
# an element to the message).
Violations: TypeAlias = Iterator[tuple[str, npt.NDArray[np.bool_], Callable[[int], str]]]

# Row-wise losses with at most this many classes get a column-major block, so that NumPy's reductions over classes
# run along contiguous memory: 4.3 x faster at 10 classes, 1.2 x at 100, 0.6 x at 500
# (tests/benchmarks/inside.py order).
COLUMN_MAJOR_CLASSES = 128


@dataclass(frozen=True)
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


@dataclass(frozen=True, eq=False, repr=False)
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
    source: str = ""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, pred first."""
        return self.signature.inputs

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The hyperparameters."""
        return self.signature.parameters

    @property
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
    def _who(self) -> str:
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
        blocks = [_layout(np.repeat(a, 2, axis=0) if lone else a) for a in arrays]
        result = self._call(lambda: self.kernel(*blocks, **self.params))
        values, gradient = result if isinstance(result, tuple) else (result, None)
        values = self._shaped("returned", values, blocks[0].shape[:1])
        thunk = None if gradient is None else lambda: self._gradient(gradient, blocks[0], n)
        return values[:n], thunk

    def _gradient(self, gradient: object, pred: Array, n: int) -> Array:
        array = self._call(gradient) if callable(gradient) else gradient
        return self._shaped("gradient", array, pred.shape)[:n]

    def _call(self, function: Callable[[], Any]) -> Any:
        with np.errstate(all="ignore"):  # log 0 is inf by design, and the report counts it
            if not self.source:
                return function()
            try:
                return function()
            except Exception as error:  # whatever the user's own function raises
                cause = f"{type(error).__name__}: {printable(str(error))}"
                raise UsageError(f"{self._who}: {cause}") from error

    def _shaped(self, what: str, value: object, shape: tuple[int, ...]) -> Array:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):
            array = np.asarray(None)  # an object array, rejected below
        if array.dtype.kind not in "fiub":  # astype would parse text, and drop imaginary parts
            type_text = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"{self._who}: {what}: {type_text} instead of an array of numbers")
        array = array.astype(np.float64, copy=False)
        if array.shape != shape:
            mean = "; a loss returns one number per sample, without a mean or sum" if array.ndim == 0 else ""
            raise DataError(f"{self._who}: {what} shape {array.shape} instead of {shape}{mean}")
        return array

    def dims(self, *arrays: npt.NDArray[Any]) -> Dims:
        """Return the length of each named core axis.

        Args:
            arrays: the inputs in order, ``(n, *core)``.

        Raises:
            DataError: two inputs have different lengths for the same name.
        """
        lengths: dict[str, tuple[int, str]] = {}
        for spec, array in zip(self.inputs, arrays, strict=True):
            core = spec.kind.core
            for name, length in zip(core, array.shape[array.ndim - len(core) :], strict=True):
                other, whose = lengths.setdefault(name, (length, spec.name))
                if other != length:
                    raise DataError(f"{spec.name} has {length} {name}, {whose} has {other}")
        return {name: length for name, (length, _) in lengths.items()}

    def check(self, *arrays: npt.ArrayLike) -> list[Array]:
        """Convert the inputs to float64 arrays ``(n, *core)``, and check their shapes and values.

        Args:
            arrays: the inputs in order, pred first.

        Raises:
            DataError: the shapes do not fit, or a value is outside its domain; the message gives the first one.
            UsageError: the number of inputs is wrong.
        """
        if len(arrays) != len(self.inputs):
            names = ", ".join(i.name for i in self.inputs)
            raise UsageError(f"{self.name} takes {len(self.inputs)} inputs ({names}), not {len(arrays)}")
        blocks = [self._elements(i, np.asarray(a, dtype=np.float64)) for i, a in zip(self.inputs, arrays, strict=True)]
        dims = self.dims(*blocks)
        loops = [a.shape[: a.ndim - len(i.kind.core)] for a, i in zip(blocks, self.inputs, strict=True)]
        if len(set(loops)) > 1 or any(len(shape) != 1 for shape in loops):
            shapes = ", ".join(f"{i.name} {a.shape}" for i, a in zip(self.inputs, blocks, strict=True))
            raise DataError(f"shapes differ: {shapes}; {self.name} takes one-dimensional samples, and never broadcasts")
        for spec, block in zip(self.inputs, blocks, strict=True):
            with np.errstate(all="ignore"):
                violation = spec.kind.find_violation(block, dims)
            if violation:
                raise DataError(f"{spec.name}[{violation.element}]: {violation.cause}")
        if violated := self.first_violation(blocks):
            name, element, cause = violated
            raise DataError(f"{name}[{element}]: {cause}")
        return blocks

    def _elements(self, spec: Input, array: Array) -> Array:
        core = spec.kind.core
        if array.ndim < 1 + len(core):
            raise DataError(
                f"{spec.name}: shape {array.shape}, but {self.name} needs (n, {', '.join(core)}): one row per sample"
            )
        return as_elements(array, core) if flattens_axes(core) else array

    def invalid_mask(self, arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
        """Return a mask (n,) of the elements that fail the checks across inputs (``validate``)."""
        mask = np.zeros(len(arrays[0]), bool)
        for _, bad, _ in self.validate(*arrays, tolerance=SUM_TOLERANCE, **self.params) if self.validate else ():
            mask |= bad
        return mask

    def first_violation(self, arrays: Sequence[Array], tolerance: float = SUM_TOLERANCE) -> tuple[str, int, str] | None:
        """Find the first element that fails a check across inputs (``validate``).

        Returns:
            the name of the input, the index of the element and the message; None if no element fails.
        """
        for name, bad, cause in self.validate(*arrays, tolerance=tolerance, **self.params) if self.validate else ():
            if bad.any():
                return name, int(bad.argmax()), cause(int(bad.argmax()))
        return None

    def value(self, *arrays: npt.ArrayLike) -> Array:
        """Compute the loss of each sample.

        Args:
            arrays: the inputs in order, pred first: ``(n,)``, or ``(n, k)`` if a row is one sample.

        Returns:
            ``(n,)`` float64.

        Raises:
            DataError: the shapes differ, or a value is outside its domain.
        """
        return self.evaluate(*self.check(*arrays))[0].copy()

    def gradient(self, *arrays: npt.ArrayLike) -> Array:
        """Compute the derivative of the loss of each sample with respect to ``pred``.

        Args:
            arrays: as for :meth:`value`.

        Returns:
            float64 of the shape of ``pred``: d loss[i] / d pred[i], not divided by n.

        Raises:
            DataError: as for :meth:`value`.
            UsageError: the loss of a user has no gradient.
        """
        thunk = self.evaluate(*self.check(*arrays))[1]
        if thunk is None:
            raise UsageError(f"{self.name} has no gradient: return (loss, gradient)")
        return np.ascontiguousarray(thunk()).reshape(np.shape(arrays[0]))


def _layout(array: Array) -> Array:
    """Return a read-only view in the memory order that the shape determines; read-only because losses share inputs."""
    block = np.asarray(array, order="F" if column_major(array) else "C").view()
    block.flags.writeable = False
    return block


def column_major(array: npt.NDArray[Any]) -> bool:
    """Return whether a kernel gets an array of this shape in column-major order."""
    return array.ndim == 2 and array.shape[1] <= COLUMN_MAJOR_CLASSES


def likely_cause(loss: Loss, index: int, x: Array, violation: DomainViolation) -> str:
    """Guess the cause of an invalid value: the end of the error message, such as ``; are they logits? …``, or "".

    Args:
        loss: the loss.
        index: the position of the invalid input among the inputs of the loss.
        x: the values of that input, ``(n, *core)``.
        violation: the first invalid element.

    >>> import numpy as np
    >>> from lossctl import get_loss
    >>> likely_cause(get_loss("bce"), 0, np.array([0.5, -3.0]), DomainViolation(1, None, ""))
    '; are they logits? bce_with_logits takes logits'
    """
    element = np.ravel(x[violation.element])
    values = element if violation.place is None else element[violation.place : violation.place + 1]
    value = float(values[0])
    if not math.isfinite(value):
        return ""
    if loss.inputs[index].kind.name == "LogProbabilities" and index == 0 and value > 0.0:
        return "; are they logits? --normalize subtracts the logarithm of each row's sum, as log_softmax does"
    if not loss.inputs[index].kind.name.startswith("Probabilit") or len(values) > 1 or 0.0 <= value <= 1.0:
        return ""
    if index == 1:
        return "; for labels -1 and +1, add --labels -1,1" if value == -1.0 else ""
    logits = f"; are they logits? {loss.from_logits} takes logits" if loss.from_logits else ""
    percent = "; divide percentages by 100" if 1.0 < value <= 100.0 else ""
    return logits + percent
