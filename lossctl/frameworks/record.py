"""What lossctl needs of a framework: tensors of arrays, arrays of tensors, and its backward pass."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[Any]
Tensor: TypeAlias = Any  # of whichever framework
Function: TypeAlias = Callable[..., Any]

# Precisions in which a function of tensors can run.
DTYPES = ("float64", "float32", "bfloat16", "float16")


class Framework(ABC):
    """A framework of tensors with automatic differentiation; its package is imported inside the methods only.

    Attributes:
        name: the name in ``--framework``.
        title: the name in messages.
        packages: top-level packages in which the types of its tensors are defined; the first is the one to import.
        install: the command that installs it.
        compiles: whether it compiles for each shape, so that arrays of few lengths save time.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    install: str
    compiles: bool = False

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

    def signature(self, value: Any) -> inspect.Signature:
        """Return the arguments of a function, or of what :meth:`bind` makes of a class: tensors, then parameters.

        Raises:
            ValueError, TypeError: they cannot be read.
        """
        return inspect.signature(value)

    def bind(self, value: Any, params: Mapping[str, object], dtype: str) -> Function:
        """Return a function of tensors: `value`, or an instance of the class `value`, with values of its parameters."""
        return lambda *tensors: value(*tensors, **params)
