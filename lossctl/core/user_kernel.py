"""Call a kernel that lossctl did not write: copies in and out, labels as integers, errors with file and line."""

from __future__ import annotations

import inspect
import os
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind
from lossctl.core.kind import Kind
from lossctl.errors import DataError, UsageError, described, message_of, printable
from lossctl.frameworks import FRAMEWORKS, Framework, framework_of

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
# Methods that CatBoost calls on an objective.
CATBOOST_METHODS = ("calc_ders_range", "calc_ders_multi")
WANTED = "return one loss per sample, or (loss, gradient)"
# A user's function may fill one buffer at each call, or keep its state in an object: threads call it in turn.
_IN_TURN = threading.RLock()


def kernel_name(function: Callable[..., Any]) -> str:
    """Return a name for a function, a partial or a callable object.

    >>> from functools import partial
    >>> kernel_name(max), kernel_name(partial(max, 1))
    ('max', 'max')
    """
    name = getattr(function, "__name__", None)
    inner = getattr(function, "func", None)
    return str(name or (kernel_name(inner) if callable(inner) else type(function).__name__))


def source_line(function: object) -> tuple[str, int] | None:
    """Return the file and the first line of a user's function, partial or callable object.

    Returns:
        None for a function of lossctl or of an installed package, and for one that is not from a Python file.
    """
    while True:
        inner = function.func if isinstance(function, partial) else getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    methods = [getattr(type(function), name, None) for name in ("__call__", *CATBOOST_METHODS)]
    for code in (getattr(part, "__code__", None) for part in (function, *methods)):
        if code is not None and not _is_library(code.co_filename):
            return _shortest(code.co_filename), code.co_firstlineno
    return None


def instantiate(value: Any) -> Any:
    """Return an instance of a class whose instances are losses or objectives; any other value as it is.

    Such a class defines ``__call__``, or a method that CatBoost calls.

    Raises:
        UsageError: the class cannot be instantiated without arguments.
    """
    if not isinstance(value, type) or not ("__call__" in vars(value) or is_catboost_objective(value)):
        return value
    try:
        return value()
    except TypeError as error:
        raise UsageError(
            f"class {value.__name__} needs arguments ({message_of(error)}): name an instance of it in the file"
        ) from None


def is_catboost_objective(value: object) -> bool:
    """Return whether an object, or a class, is an objective of CatBoost."""
    return any(hasattr(value, name) for name in CATBOOST_METHODS)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function; of one under ``numpy.vectorize`` that of the inner function.

    Raises:
        TypeError, ValueError: it has none, like some functions written in C.
        NameError, SyntaxError: an annotation cannot be evaluated.
    """
    inner = function.pyfunc if isinstance(function, np.vectorize) else function
    return inspect.signature(inner, eval_str=True)


def call_in_turn(function: Callable[[], Any]) -> Any:
    """Call user code while no other thread does, and return its result with copies of its arrays.

    A result can be a buffer that the function fills again at the next call.
    """
    with _IN_TURN:
        result = function()
        if isinstance(result, (tuple, list)) and any(isinstance(part, np.ndarray) for part in result):
            return [*map(_copied, result)] if isinstance(result, list) else (*map(_copied, result),)
        return _copied(result)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def kernel_inputs(arrays: Sequence[Array], kinds: Sequence[Kind]) -> list[np.ndarray[Any, np.dtype[Any]]]:
    """Return copies of the inputs of a kernel; class labels arrive as integers."""
    return [
        a.astype(np.int64) if isinstance(kind, LabelKind) and np.isfinite(a).all() else a.copy(order="K")
        for a, kind in zip(arrays, kinds, strict=True)
    ]


def call_kernel(
    kernel: Callable[..., Any], arrays: Sequence[Array], kinds: Sequence[Kind], params: dict[str, Any]
) -> tuple[Any, Any]:
    """Call a user's kernel.

    Args:
        kernel: the function.
        arrays: the inputs in the order of its parameters. The kernel gets copies, which it may change.
        kinds: the kinds of the inputs; an input of class labels arrives as integers.
        params: the values of its keyword parameters.

    Returns:
        The losses and the gradient, as the kernel returned them; None for a gradient that it did not return.

    Raises:
        DataError: it returned something else.
    """

    def call() -> Any:
        return kernel(*kernel_inputs(arrays, kinds), **params)

    def gradient() -> Any:
        # An object may keep what its gradient needs, which another call overwrites: it is called again.
        return call()[1]()

    result = call_in_turn(call)
    if isinstance(result, tuple) or (isinstance(result, list) and len(result) == 2):
        if len(result) == 2:
            return result[0], (lambda: call_in_turn(gradient)) if callable(result[1]) else result[1]
        raise DataError(f"returned {len(result)} values: {WANTED}")
    if (framework := framework_of(result)) is not None:
        raise DataError(f"returned {tensor_returned(framework)}")
    if result is None or isinstance(result, dict):
        raise DataError(f"returned {'nothing' if result is None else 'a dict'}: {WANTED}")
    return result, None


def as_array(value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Return what a kernel returned as an array; an array of objects if it is none.

    Raises:
        DataError: it is a tensor of a framework, or a masked array with masked values.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError("a masked array with masked values: return numbers, or NaN")
    framework = framework_of(value)
    if framework is not None and (framework.name != "jax" or "Tracer" in type(value).__name__):
        raise DataError(tensor_returned(framework))
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        return np.array(None)


def tensor_returned(framework: Framework) -> str:
    """Return the message for a function of arrays that returns a tensor."""
    return f"a tensor of {framework.title}: use --framework {framework.name}, which passes tensors and runs backward"


# How a user's function says that it takes rows.
ROWS = "pred: lossctl.Logits, target: lossctl.Label, or lossctl.Vector for rows of any numbers"


def framework_hint(error: BaseException) -> str:
    """Return the end of a message that says the option, if an exception looks like that of a function of tensors.

    It is an AttributeError or TypeError, and a function on the way uses a framework, or the missing attribute is one
    of an array.
    """
    if not isinstance(error, (AttributeError, TypeError)):
        return ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not _is_library(frame.f_code.co_filename) and (hint := _hint_of(frame.f_globals, frame.f_locals)):
            return hint
    if "'numpy.ndarray' object has no attribute" in message_of(error):
        return f"; if it takes tensors, use --framework {', '.join(FRAMEWORKS)}"
    return ""


def tensor_hint(function: object) -> str:
    """Return the end of a message that says the option, if the file of a function uses a framework; '' otherwise."""
    while isinstance(function, partial):
        function = function.func
    return _hint_of(getattr(function, "__globals__", {}), {})


def _hint_of(*scopes: Mapping[str, object]) -> str:
    """Return the hint for the framework of which a scope holds a module, a function or a class."""
    for framework in FRAMEWORKS.values():
        names = tuple(f"{package}." for package in framework.packages)
        for scope in scopes:
            for value in scope.values():
                module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                if isinstance(module, str) and f"{module}.".startswith(names):
                    return f"; if it takes tensors, use --framework {framework.name}"
    return ""


def rows_hint(error: BaseException, kinds: Sequence[Kind]) -> str:
    """Return the end of a message that says the annotation, if a function of numbers indexes rows; '' otherwise."""
    rows = isinstance(error, IndexError) and kinds and not any(kind.core for kind in kinds)  # AxisError is one, too
    return f"; for a row per sample, annotate the parameters: {ROWS}" if rows else ""


def user_error(
    source: str, name: str, error: BaseException, kinds: Sequence[Kind] = (), *, tensors: bool = False
) -> UsageError:
    """Return the error message for an exception that a user's kernel raised, with its file and line.

    Args:
        source: the file or the package of the function; empty if it is not known.
        name: the name of the function.
        error: the exception.
        kinds: the kinds of its inputs, if it is a loss. Default: none.
        tensors: whether it is a function of tensors. Default False.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_library(f.filename)]
    where = f"{source}: {name}" if source else name
    if frames:
        line = f"{printable(_shortest(frames[-1].filename))}:{frames[-1].lineno}"
        where = f"{line}: {name}" if line.startswith(f"{source}:") else f"{where}: {line}"
    hint = rows_hint(error, kinds)
    if tensors:
        mixed = any(words in message_of(error) for words in ("dtype", "scalar type", "double tensor"))
        hint = "; make constants in the type of the predictions: dtype=pred.dtype" if mixed else ""
    else:
        hint = framework_hint(error) or hint
    return UsageError(f"{where}: {described(error)}{hint}")


def error_in_user_code(error: BaseException, is_user_module: Callable[[str], bool]) -> UsageError | None:
    """Return the message for an exception that passed through code of a user; None if there is none on its way.

    A user's object can run code where no kernel is called: in ``__array__``, in a property, in ``__repr__``.

    Args:
        error: the exception.
        is_user_module: whether the module of a name is a user's.
    """
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        if is_user_module(str(frame.f_globals.get("__name__"))):
            where = f"{printable(_shortest(frame.f_code.co_filename))}:{line}: {frame.f_code.co_name}"
            return UsageError(f"{where}: {described(error)}")
    return None


def _shortest(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _is_library(filename: str) -> bool:
    return filename.startswith(_PACKAGE) or "site-packages" in filename or filename[0] == "<"
