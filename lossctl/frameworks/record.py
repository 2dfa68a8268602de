"""What lossctl needs of a framework: tensors of arrays, arrays of tensors, and its backward pass."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.immutable import immutable

Numbers: TypeAlias = npt.NDArray[Any]
Tensor: TypeAlias = Any  # of whichever framework
Function: TypeAlias = Callable[..., Any]

# Precisions in which a function of tensors can run.
DTYPES = ("float64", "float32", "bfloat16", "float16")


@immutable
class Module:
    """A module with parameters by name.

    Attributes:
        shapes: the shape of each parameter and buffer that a file of its state holds.
        constants: the reason why a parameter or buffer has no gradient, by name.
        aliases: the first name of each parameter that has a second one, by the second.
        inputs: the arguments of its forward pass.
        call: function of the state and the inputs, both by name, that returns the result of the forward pass.
    """

    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, str]
    aliases: Mapping[str, str]
    inputs: Sequence[inspect.Parameter]
    call: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Any]


class Framework(ABC):
    """A framework of tensors with automatic differentiation; its package is imported inside the methods only.

    Attributes:
        name: the name in ``--framework``.
        title: the name in messages.
        packages: top-level packages in which the types of its tensors are defined; the first is the one to import.
        install: the command that installs it.
        compiles: whether it compiles for each shape, so that arrays of few lengths save time.
        takes_arrays: whether a function may return an array of NumPy instead of a tensor.
        nests: whether the parameters of a model are usually dicts in dicts, rather than one dict.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    install: str
    compiles: bool = False
    takes_arrays: bool = False
    nests: bool = False

    def owns(self, value: object) -> bool:
        """Return whether a value is a tensor of this framework."""
        packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
        return bool(packages.intersection(self.packages)) and hasattr(value, "dtype") and hasattr(value, "shape")

    @abstractmethod
    def active(self, dtype: str) -> AbstractContextManager[object]:
        """Return a context in which numbers that a function makes are of type `dtype`, as far as the framework can."""

    @abstractmethod
    def to_tensor(self, array: Numbers, dtype: str) -> Tensor:
        """Return a tensor of a copy of an array: floating-point numbers as `dtype`, whole numbers as they are."""

    @abstractmethod
    def to_numpy(self, tensor: Tensor) -> Numbers:
        """Return an array on the CPU without history; bfloat16, which NumPy does not have, as float32."""

    @abstractmethod
    def dtype_of(self, tensor: Tensor) -> str:
        """Return the name of the type of the numbers of a tensor, such as ``bfloat16``."""

    @abstractmethod
    def backward(
        self, function: Function, tensors: Sequence[Tensor], upstream: Numbers | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Call a function of tensors and its backward pass; see :meth:`value_and_gradient`."""

    def call(self, function: Function, tensors: Sequence[Tensor]) -> Any:
        """Call a function of tensors, without what its backward pass would need."""
        return function(*tensors)

    def seeded(self, seed: int) -> AbstractContextManager[object]:
        """Return a context in which random numbers that a function draws are the same each time."""
        return nullcontext()

    def copying_saved(self) -> AbstractContextManager[object]:
        """Return a context in which the backward pass reads copies of the tensors that the forward pass saves."""
        return nullcontext()

    def value_and_gradient(
        self,
        function: Function,
        tensors: Sequence[Tensor],
        wrt: Sequence[int] = (0,),
        upstream: Numbers | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Call a function of tensors, and its backward pass.

        Args:
            function: returns one tensor of any shape.
            tensors: its arguments.
            wrt: positions of the arguments to differentiate with respect to; (): no backward pass. Default: the first.
            upstream: the upstream gradient, in the shape of the result. Default: ones.

        Returns:
            The result without history, and for each position in `wrt` a tensor in the shape of the argument. It is 0
            if the framework sees no dependence.

        Raises:
            TypeError: the function does not return a tensor.
        """

        def of_chosen(*chosen: Tensor) -> Tensor:
            inputs = list(tensors)
            for i, tensor in zip(wrt, chosen, strict=True):
                inputs[i] = tensor
            result = function(*inputs)
            if not (self.owns(result) or (self.takes_arrays and isinstance(result, np.ndarray))):
                raise TypeError(f"returned {type(result).__name__} instead of a tensor")
            return result

        if not wrt:
            return self.call(of_chosen, ()), []
        return self.backward(of_chosen, [tensors[i] for i in wrt], upstream)

    def signature(self, value: Any) -> inspect.Signature:
        """Return the arguments of a function, or of what :meth:`bind` makes of a class: tensors, then parameters.

        Raises:
            ValueError, TypeError: they cannot be read.
        """
        return inspect.signature(value)

    def bind(self, value: Any, params: Mapping[str, object], dtype: str) -> Function:
        """Return a function of tensors: `value`, or an instance of the class `value`, with values of its parameters."""
        return lambda *tensors: value(*tensors, **params)

    def module(self, value: Any, dtype: str) -> Module | None:
        """Return a module, or an instance of a class of modules; None if `value` is a function of tensors.

        Raises:
            TypeError: the class cannot be instantiated without arguments.
        """
        return None

    def defined_by(self, value: Any) -> Any:
        """Return the function or method that a user wrote to define a value, for its file and line."""
        return value
