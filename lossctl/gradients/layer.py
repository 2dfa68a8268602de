"""A layer: a function of arrays by name that returns arrays, with random cotangents and tangents for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.user_kernel import as_array
from lossctl.errors import DataError, UsageError
from lossctl.gradients.named_function import Arrays, NamedFunction, seed_hint
from lossctl.gradients.random_slopes import rms


def copies(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return copies, which a user's function may change."""
    return {name: array.copy() for name, array in arrays.items()}


class Layer:
    """A function of arrays by name that returns one array, or several in a tuple or a dict.

    Args:
        forward: the function.
        arrays: its inputs.
        names: the inputs to differentiate with respect to.
        seed: of cotangents and tangents.

    Raises:
        UsageError: the function raises an exception, or its results are random.
        DataError: it returns something else, or numbers that are not finite.
    """

    def __init__(self, forward: NamedFunction, arrays: Arrays, names: Sequence[str], seed: int) -> None:
        self.forward, self.arrays, self.names = forward, dict(arrays), list(names)
        self.evaluations = 0
        self._rng = np.random.default_rng(seed)
        passed = copies(arrays)
        self.result = self._call(passed)
        self.changed = [n for n in arrays if not np.array_equal(passed[n], arrays[n], equal_nan=True)]
        self.outputs = self._outputs(self.result)
        again = self._outputs(self._call(copies(arrays)))
        for name, output in self.outputs.items():
            if not np.isfinite(output).all():
                raise DataError(f"{forward.where}: its {name} is not finite at these inputs")
            if output.shape != again[name].shape or rms(output - again[name]) > 1e-4 * rms(output):
                raise UsageError(
                    f"{forward.where}: its {name} differs between two calls at the same point: "
                    f"{seed_hint(forward.function)}"
                )

    def _call(self, arrays: Arrays) -> Any:
        self.evaluations += 1
        return self.forward(arrays)

    def _outputs(self, result: Any) -> dict[str, np.ndarray]:
        """Return the arrays of floats that the function returned, by name."""
        return {name: a for name, a in named_outputs(result, self.forward.where).items() if a.dtype.kind == "f"}

    def cotangent(self) -> dict[str, np.ndarray]:
        """Return random numbers of both signs for each output, none of them 0 or 1."""
        return {n: self._random(a) for n, a in self.outputs.items()}

    def tangents(self) -> dict[str, np.ndarray]:
        """Return random numbers of the magnitude of each input."""
        return {n: self._random(self.arrays[n]) * (rms(self.arrays[n].astype(float)) or 1.0) for n in self.names}

    def _random(self, like: np.ndarray) -> np.ndarray:
        signs = self._rng.choice([-1.0, 1.0], like.shape)
        return np.asarray(signs * self._rng.uniform(0.5, 1.5, like.shape), dtype=like.dtype)

    def like_result(self, values: Arrays) -> Any:
        """Return values by the name of an output in the structure that the function returns; None for integers."""
        if isinstance(self.result, Mapping):
            return {name: values.get(str(name)) for name in self.result}
        if isinstance(self.result, (tuple, list)):
            return tuple(values.get(f"output[{i}]") for i in range(len(self.result)))
        return values["output"]

    def weighted_sum(self, cotangent: Arrays) -> Callable[[Arrays], float]:
        """Return the function Σ u·f(x) of the arrays."""

        def value(arrays: Arrays) -> float:
            outputs = self._outputs(self._call(arrays))
            return float(sum(np.sum(cotangent[n].astype(np.float64) * outputs[n]) for n in cotangent))

        return value

    def vector(self, arrays: Arrays) -> Array:
        """Return all outputs as one vector in float64."""
        return np.concatenate([a.astype(np.float64).ravel() for a in self._outputs(self._call(arrays)).values()])


def named_outputs(result: Any, where: str) -> dict[str, np.ndarray]:
    """Return the arrays that a function returned: ``output``, ``output[0]``, … or by the names of a dict.

    Raises:
        DataError: they are not numbers.
    """
    if isinstance(result, Mapping):
        parts = {str(name): value for name, value in result.items()}
    elif isinstance(result, (tuple, list)):
        parts = {f"output[{i}]": value for i, value in enumerate(result)}
    else:
        parts = {"output": result}
    arrays = {}
    for name, value in parts.items():
        try:
            arrays[name] = as_array(value)
        except DataError as error:
            raise DataError(f"{where}: {name}: {error}") from None
        if arrays[name].dtype.kind not in "fiub":
            raise DataError(f"{where}: {name} is a value of type {type(value).__name__}: return arrays of numbers")
    if not any(a.dtype.kind == "f" and a.size for a in arrays.values()):
        raise DataError(f"{where}: returned no array of floats")
    return arrays
