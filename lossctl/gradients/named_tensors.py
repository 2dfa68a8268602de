"""A function of tensors by name, or a module of a framework, as functions of arrays: values and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial, update_wrapper
from typing import Any

import numpy as np

from lossctl.errors import DataError, UsageError, message_of, nearest, printable, quoted
from lossctl.frameworks import Framework, to_array
from lossctl.frameworks.record import Module
from lossctl.gradients.given_gradients import select_arrays
from lossctl.gradients.named_function import Arrays, NamedFunction, bind
from lossctl.immutable import immutable


@immutable
class TensorFunction:
    """A function of tensors by name; made by :func:`bind_tensors`.

    Attributes:
        framework: the framework.
        function: the function, or the forward pass of a module, of tensors by name.
        arrays: its inputs, floating-point numbers as float64.
        constants: the reason why an array has no gradient, by name.
        moved: the arrays to differentiate with respect to.
        seed: of random numbers that the function draws.
        defined_by: the function or method that a user wrote.
        copies_saved: whether the backward pass reads copies of what the forward pass saves. Default False.
    """

    framework: Framework
    function: Callable[[str, Mapping[str, Any]], Any]
    where: str
    arrays: dict[str, np.ndarray]
    constants: Mapping[str, str]
    moved: Sequence[str]
    seed: int
    defined_by: Any
    copies_saved: bool = False

    def forward(self) -> NamedFunction:
        """Return the function of arrays that returns arrays, in float64."""
        return self._wrapped(lambda arrays: self._outputs(arrays, "float64"))

    def gradient(self, dtype: str) -> NamedFunction:
        """Return the function that returns the gradients by name of a function that returns one number."""
        return self._wrapped(lambda arrays: self._pull(arrays, dtype, None))

    def vjp(self, dtype: str) -> NamedFunction:
        """Return the function ``vjp(cotangent, arrays)`` that returns gradients by name."""
        return self._wrapped(lambda cotangent, arrays: self._pull(arrays, dtype, cotangent))

    def rounded(self, dtype: str) -> TensorFunction:
        """Return the function with its inputs rounded to a precision."""
        with self.framework.active(dtype):
            numbers = {
                name: to_array(self.framework.to_tensor(a, dtype)).astype(np.float64) if a.dtype.kind == "f" else a
                for name, a in self.arrays.items()
            }
        return replace(self, arrays=numbers)

    def _wrapped(self, function: Callable[..., Any]) -> NamedFunction:
        update_wrapper(function, self.defined_by, assigned=(), updated=())
        return NamedFunction(function, self.where, (), {}, takes_others=True, tensors=True)

    def _outputs(self, arrays: Arrays, dtype: str) -> Any:
        with self._running(dtype):
            result = self.framework.call(
                lambda *tensors: self._call(dtype, arrays, tensors), self._tensors(arrays, dtype)
            )
            if isinstance(result, Mapping):
                return {str(name): to_array(value) for name, value in result.items()}
            if isinstance(result, (tuple, list)):
                return tuple(map(to_array, result))
            return to_array(result)

    def _pull(self, arrays: Arrays, dtype: str, cotangent: Any) -> dict[str, np.ndarray]:
        """Return the gradients of a result, or of Σ cotangent·result if there are several."""
        names = list(arrays)
        moved = [i for i, name in enumerate(names) if name in self.moved]
        total: dict[str, np.ndarray] = {}
        with self._running(dtype):
            tensors = self._tensors(arrays, dtype)
            for pick, upstream in _parts(cotangent):
                gradients = self.framework.value_and_gradient(
                    lambda *inputs, pick=pick: pick(self._call(dtype, arrays, inputs)), tensors, moved, upstream
                )[1]
                for i, gradient in zip(moved, gradients, strict=True):
                    array = to_array(gradient)
                    total[names[i]] = total[names[i]] + array if names[i] in total else array
        return total

    def _running(self, dtype: str) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(self.framework.active(dtype))
        stack.enter_context(self.framework.seeded(self.seed))
        if self.copies_saved:
            stack.enter_context(self.framework.copying_saved())
        return stack

    def _tensors(self, arrays: Arrays, dtype: str) -> list[Any]:
        return [self.framework.to_tensor(a, dtype) for a in arrays.values()]

    def _call(self, dtype: str, arrays: Arrays, tensors: Sequence[Any]) -> Any:
        return self.function(dtype, dict(zip(arrays, tensors, strict=True)))


def _parts(cotangent: Any) -> list[tuple[Callable[[Any], Any], Any]]:
    """Return for each output the function that takes it out of the result, and its upstream gradient."""

    def part(key: Any) -> Callable[[Any], Any]:
        return lambda result: result[key]

    if isinstance(cotangent, Mapping):
        return [(part(key), up) for key, up in cotangent.items() if up is not None]
    if isinstance(cotangent, (tuple, list)):
        return [(part(i), up) for i, up in enumerate(cotangent) if up is not None]
    return [(lambda result: result, cotangent)]


def bind_tensors(
    function: Callable[..., Any],
    where: str,
    arrays: Mapping[str, Any],
    framework: Framework,
    *,
    wrt: Sequence[str] | None = None,
    seed_arg: str | None = None,
    seed: int = 0,
) -> TensorFunction:
    """Bind a function of tensors, or a module, to arrays by name.

    Args:
        function: a function that takes arrays as :func:`bind` says; a module, or a class of modules without arguments.
            The arrays are then its state and the inputs of its forward pass.
        where: its name in messages.
        arrays: arrays by name; dicts and lists of arrays get names such as ``dense/kernel``.
        framework: the framework.
        wrt: names of the arrays to differentiate with respect to. Default None: every array of floats.
        seed_arg: the parameter that takes the seed. Default None: there is none.
        seed: of the parameter, and of random numbers that the framework draws. Default 0.

    Raises:
        UsageError: the function has other parameters, or the module another state.
    """
    flat = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in flattened(arrays).items()}
    bound = partial(TensorFunction, framework, where=where, seed=seed, defined_by=framework.defined_by(function))
    try:
        with framework.active("float64"):
            module = framework.module(function, "float64")
    except TypeError as error:
        raise UsageError(f"{where} needs arguments ({message_of(error)}): name an instance of it in the file") from None
    if module is not None:
        if seed_arg is not None:
            raise UsageError(
                f"--seed-arg {printable(seed_arg)}: a module has no such argument, and is seeded without it"
            )
        state, inputs, constants = match_module(module, where, flat)
        # In the order of the forward pass, so that a hint can say from where on gradients are wrong.
        order = {name: i for i, name in enumerate([*inputs, *module.shapes])}
        flat = dict(sorted(flat.items(), key=lambda item: order[item[0]]))

        @cache
        def module_in(dtype: str) -> Module:
            same = framework.module(function, dtype)
            assert same is not None
            return same

        def forward(dtype: str, tensors: Mapping[str, Any]) -> Any:
            return module_in(dtype).call({n: tensors[n] for n in state}, {n: tensors[n] for n in inputs})

        moved = select_arrays(flat, wrt, constants=constants)[0]
        return bound(function=forward, arrays=flat, constants=constants, moved=moved)
    is_nested = list(flat) != list(arrays)
    named = bind(function, where, arrays, seed_arg=seed_arg, seed=seed, tensors=True)

    def call(_: str, tensors: Mapping[str, Any]) -> Any:
        return named(nested(tensors) if is_nested else tensors)

    return bound(function=call, arrays=flat, constants={}, moved=select_arrays(flat, wrt)[0])


def match_module(
    module: Module, where: str, arrays: Mapping[str, np.ndarray]
) -> tuple[list[str], list[str], dict[str, str]]:
    """Sort arrays into the state of a module and the inputs of its forward pass.

    Returns:
        The names of the state and of the inputs, and the reason why an array has no gradient, by name.

    Raises:
        UsageError: an array is missing, or is neither.
        DataError: an array has another shape than in the module, or two names of one parameter have different numbers.
    """
    inputs = {p.name: p.default is p.empty for p in module.inputs}
    known = [*module.shapes, *inputs]
    state, constants = [], {}
    for name, array in arrays.items():
        if name not in known:
            takes = f"its forward takes {', '.join(inputs) or 'nothing'}"
            raise UsageError(
                f"{where}: {printable(name)} is none of its parameters and buffers; {takes}{nearest(name, known)}"
            )
        if name not in module.shapes:
            continue
        if array.shape != module.shapes[name]:
            raise DataError(f"{printable(name)} has shape {array.shape}, in {where} {module.shapes[name]}")
        first = module.aliases.get(name, name)
        if first != name and first in arrays:
            if not np.array_equal(array, arrays[first]):
                raise DataError(f"{printable(name)} and {printable(first)} are one parameter of {where}, and differ")
            constants[name] = f"the same as {first}"
            continue
        state.append(name)
        if name in module.constants:
            constants[name] = module.constants[name]
    covered = {module.aliases.get(name, name) for name in state}
    missing = [name for name in module.shapes if module.aliases.get(name, name) not in covered]
    missing += [name for name, needed in inputs.items() if needed and name not in arrays]
    if missing:
        cure = f"add --input {missing[0]}=FILE.npy" if missing[0] in inputs else "save its state_dict"
        raise UsageError(f"{where}: there is no array {quoted(missing[0])}: {cure}")
    return state, [name for name in inputs if name in arrays and name not in module.shapes], constants


def flattened(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a tree of dicts, lists and tuples by name.

    >>> list(flattened({"dense": {"kernel": np.eye(2)}, "layers": [(np.ones(1), np.ones(2))], "x": [1.0, 2.0]}))
    ['dense/kernel', 'layers/0/0', 'layers/0/1', 'x']
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
        if isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and not _is_numbers(value)):
            arrays |= flattened(value, f"{prefix}{name}/")
        else:
            arrays[f"{prefix}{name}"] = to_array(value)
    return arrays


def _is_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_numbers, value))
    return isinstance(value, (bool, int, float, np.generic))


def nested(arrays: Mapping[str, Any], separator: str = "/") -> Any:
    """Return arrays by name as a tree of dicts; a dict with the names 0, 1, 2, … becomes a list.

    Raises:
        DataError: a name is that of an array and of a dict.

    >>> nested({"dense/kernel": 1, "layers/0/w": 2, "layers/1/w": 3})
    {'dense': {'kernel': 1}, 'layers': [{'w': 2}, {'w': 3}]}
    """
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *path, last = name.split(separator)
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                break
        if not isinstance(branch, dict) or last in branch:
            raise DataError(f"array {quoted(name)}: another array has a part of its name")
        branch[last] = array
    return _with_lists(tree)


def _with_lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    parts = {name: _with_lists(part) for name, part in tree.items()}
    return list(parts.values()) if parts and list(parts) == [str(i) for i in range(len(parts))] else parts
