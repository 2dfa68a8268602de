"""A user's function of arrays by name: how it takes them, and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from lossctl.core.user_kernel import as_array, user_error
from lossctl.errors import DataError, LossctlError, UsageError, nearest, printable, quoted
from lossctl.immutable import immutable

Arrays = Mapping[str, np.ndarray]
# Names of parameters that take a seed or a generator.
_SEEDS = ("seed", "rng", "random_state", "key", "generator")


@immutable
class NamedFunction:
    """A function that takes arrays by name; made by :func:`bind`.

    Attributes:
        function: the function.
        where: its name in messages, such as ``net.py:loss``.
        names: names of the arrays that it takes as keyword arguments.
        seed: its seed argument.
        takes_others: whether the first argument after the leading ones is a dict of all other arrays.
        tensors: whether it takes tensors of a framework.
    """

    function: Callable[..., Any]
    where: str
    names: tuple[str, ...]
    seed: Mapping[str, int]
    takes_others: bool = False
    tensors: bool = False

    def __call__(self, arrays: Arrays, *leading: Any) -> Any:
        """Call the function with arrays, which it may change, after other arguments.

        Raises:
            UsageError: it raised an exception.
        """
        try:
            with np.errstate(all="ignore"):
                named = {name: arrays[name] for name in self.names}
                others = {name: array for name, array in arrays.items() if name not in named}
                first = (others,) if self.takes_others else ()
                return self.function(*leading, *first, **named, **self.seed)
        except LossctlError:
            raise
        except Exception as error:  # whatever the user's own function raises
            path, dot, name = self.where.rpartition(".py:")
            raise user_error(f"{path}.py" if dot else "", name, error, tensors=self.tensors) from error


def bind(
    function: Callable[..., Any],
    where: str,
    arrays: Arrays,
    *,
    leading: int = 0,
    seed_arg: str | None = None,
    seed: int = 0,
    tensors: bool = False,
) -> NamedFunction:
    """Bind a function to arrays by the names of its parameters.

    A parameter with the name of an array gets this array, ``**kwargs`` gets all. The first parameter may have another
    name: it gets a dict of the arrays that the others do not take.

    Args:
        function: the function.
        where: its name in messages.
        arrays: the arrays by name.
        leading: number of other arguments before them. Default 0.
        seed_arg: the parameter that takes the seed. Default None: there is none.
        seed: the seed. Default 0.
        tensors: whether it takes tensors of a framework. Default False.

    Raises:
        UsageError: the function has other parameters.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function written in C
        parameters = [inspect.Parameter("arrays", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    seeds: dict[str, int] = {}
    if seed_arg is not None:
        if not any(p.name == seed_arg or p.kind is p.VAR_KEYWORD for p in parameters):
            names = [p.name for p in parameters]
            raise UsageError(f"{where} has no parameter {quoted(seed_arg)}: --seed-arg{nearest(seed_arg, names)}")
        seeds = {seed_arg: seed}
    parameters = [p for p in parameters if p.name != seed_arg]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    by_name = partial(NamedFunction, function, where, seed=seeds, tensors=tensors)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) and not positional:
        return by_name((), takes_others=True)
    taken = positional[leading:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return by_name(tuple(arrays))
    required = [p for p in taken if p.default is p.empty]
    named = tuple(p.name for p in taken if p.name in arrays)
    missing = [p for p in required if p.name not in arrays]
    others = [name for name in arrays if name not in named]
    if len(missing) == 1 and missing[0] is taken[0] and others and not nearest(missing[0].name, others):
        return by_name(named, takes_others=True)
    if missing or not named:
        takes = f"({', '.join(p.name for p in positional)})"
        before = {0: "", 1: " after its first argument"}[leading]
        raise UsageError(
            f"{where}: takes {takes}: it takes a dict of arrays, or arrays by name{before}; "
            + (f"there is no array {quoted(missing[0].name)}{nearest(missing[0].name, others)}; " if missing else "")
            + f"there are {', '.join(printable(name) for name in arrays)}; --input NAME=FILE.npy adds one"
        )
    return by_name(named)


def constant(arrays: Arrays) -> Callable[..., Arrays]:
    """Return a function that returns these arrays, whatever it is called with."""

    def gradients(**_: Any) -> Arrays:
        return arrays

    return gradients


def seed_hint(function: Callable[..., Any]) -> str:
    """Return how to pass a seed to a function whose results are random."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    name = next((name for name in names if name in _SEEDS), None)
    return f"pass its seed: --seed-arg {name}" if name else "give it a parameter for a seed, and --seed-arg NAME"


def scalar(value: Any, where: str) -> float:
    """Return the value of a loss that must be one number.

    Raises:
        DataError: it is something else.
    """
    try:
        array = as_array(value)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if array.dtype.kind not in "fiub" or array.size != 1:
        returned = f"shape {array.shape}" if array.dtype.kind in "fiub" else f"a value of type {type(value).__name__}"
        raise DataError(f"{where}: returned {returned}: the loss is one number: return its mean or its sum")
    return float(array.reshape(()))


def value_and_gradients(result: Any) -> tuple[Any, Any]:
    """Split what a loss returned into its value and its gradients; None if it returned no gradients."""
    if isinstance(result, (tuple, list)) and len(result) == 2:
        return result[0], result[1]
    return result, None


def by_name(result: Any, names: Sequence[str], where: str, what: str) -> dict[str, np.ndarray]:
    """Return arrays by name that a function returned, as copies.

    Args:
        result: a dict by name, a tuple or list in the order of `names`, or an array if there is one name. None instead
            of an array: there is none.
        names: the expected names.
        where: the function.
        what: what it returns, such as ``gradients``.

    Raises:
        DataError: it is something else.
    """
    if isinstance(result, Mapping):
        unknown = [str(name) for name in result if name not in names]
        if not any(name in names for name in result):
            listed = ", ".join(printable(name) for name in unknown[:5]) or "nothing"
            raise DataError(f"{where}: {what} for {listed}; the arrays are {', '.join(map(printable, names))}")
        parts = dict(result)
    elif isinstance(result, (tuple, list)) and len(result) == len(names):
        parts = dict(zip(names, result, strict=True))
    elif len(names) == 1 and result is not None and not isinstance(result, (tuple, list)):
        parts = {names[0]: result}
    else:
        count = (
            f"{len(result)} values" if isinstance(result, (tuple, list)) else f"a value of type {type(result).__name__}"
        )
        raise DataError(
            f"{where}: returned {count} as {what}: return a dict by name, or a tuple in the order "
            f"{', '.join(map(printable, names))}"
        )
    arrays = {}
    for name in names:
        if parts.get(name) is None:
            continue
        try:
            array = as_array(parts[name])
        except DataError as error:
            raise DataError(f"{where}: {printable(name)}: {error}") from None
        if array.dtype.kind not in "fiub":
            raise DataError(
                f"{where}: {what} of {printable(name)}: of type {printable(str(array.dtype))}: return numbers"
            )
        arrays[name] = array
    return arrays
