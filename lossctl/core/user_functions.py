"""Load a function of a user's file or of a package by its text, such as ``file.py:function``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lossctl.core.interval import REAL
from lossctl.core.loss import Loss
from lossctl.core.parameters import Parameter
from lossctl.core.tensor_kernel import TensorKernel
from lossctl.core.user_kernel import instantiate, is_catboost_objective
from lossctl.core.user_modules import import_file, import_module, no_function
from lossctl.errors import UsageError, nearest, printable, quoted
from lossctl.frameworks import get_framework


def split_spec(spec: str, *, packages: bool = False) -> tuple[str, str, list[str]]:
    """Split a spec into its file or module (or ''), its name and its ``param=value`` parts.

    With `packages` the part before the first colon is a module, unless it ends in .py.
    """
    path = ""
    head, dot_py, tail = spec.partition(".py:")
    module, colon, function = spec.partition(":")
    if dot_py:
        path, spec = head + ".py", tail
    elif packages and colon and "=" not in function.partition(":")[0]:
        path, spec = module.strip(), function
    elif spec.endswith(".py"):
        raise UsageError(f"loss {quoted(spec)}: name the function in it: {printable(spec)}:FUNCTION")
    name, *param_texts = spec.split(":")
    if not name.strip():
        raise UsageError(f"loss {quoted(spec)}: there is no name; see: lossctl list")
    return path, name.strip(), param_texts


def load_tensor_kernel(spec: str, framework: str, summed: bool = False, independent: bool = False) -> TensorKernel:
    """Load the function of tensors of a spec ``file.py:function`` or ``package.module:function``.

    Args:
        spec: the spec, without parameters.
        framework: ``torch``, ``jax`` or ``tensorflow``.
        summed, independent: as in :class:`TensorKernel`.

    Raises:
        UsageError: the framework is not installed, the file or module cannot be imported, or it has no such function.
    """
    record = get_framework(framework)
    path, name, _ = split_spec(spec, packages=True)
    where = printable(path)
    if not path:
        raise UsageError(
            f"--framework {framework}: {quoted(spec)} is none of its functions: write FILE.py:FUNCTION, or "
            "PACKAGE.MODULE:FUNCTION"
        )
    with record.active("float64"):  # constants of the file are made in float64, too
        module = import_file(Path(path), where) if path.endswith(".py") else import_module(path)
    value = getattr(module, name.replace("-", "_"), None)
    if not callable(value) or isinstance(value, Loss):
        raise no_function(module, where, name)
    return TensorKernel(value, record, summed, independent, spec)


def load_tensor_function(spec: str, framework: str) -> Any:
    """Load the function of tensors, or the module, of a spec ``file.py:function[:param=value]…``.

    Raises:
        UsageError: as :func:`load_tensor_kernel`, or a parameter is unknown.
    """
    value, param_texts = load_tensor_kernel(spec, framework).value, split_spec(spec, packages=True)[2]
    if not param_texts:
        return value
    bound = _with_parameters(value, param_texts, spec)
    return bound() if isinstance(value, type) else bound


def load_named(spec: str) -> Any:
    """Load what a spec ``file.py:function`` or ``package.module:function`` names, as it is.

    Raises:
        UsageError: the file or module cannot be imported, or has nothing of this name.
    """
    path, name, _ = split_spec(spec, packages=True)
    if not path:
        raise UsageError(f"{quoted(spec)}: write FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION")
    where = printable(path)
    module = import_file(Path(path), where) if path.endswith(".py") else import_module(path)
    if not hasattr(module, name):
        raise no_function(module, where, name)
    return getattr(module, name)


def load_function(spec: str) -> Callable[..., Any]:
    """Load the function, or the objective of CatBoost, of a spec ``file.py:function``, without making a loss of it.

    Raises:
        UsageError: the file cannot be imported, or has no such function.
    """
    path, name, param_texts = split_spec(spec)
    where = printable(path)
    module = import_file(Path(path), where)
    value = instantiate(getattr(module, name.replace("-", "_"), None))
    if isinstance(value, Loss):
        raise UsageError(f"{where}: {name} is a loss; give it as LOSS, and a function that returns gradients by --grad")
    if not callable(value) and not is_catboost_objective(value):
        raise no_function(module, where, name)
    return _with_parameters(value, param_texts, spec) if param_texts else value


def _with_parameters(function: Callable[..., Any], param_texts: Sequence[str], spec: str) -> Callable[..., Any]:
    """Bind ``param=value`` texts to keyword parameters of a function; each value has the type of the default."""
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    values: dict[str, object] = {}
    for text in param_texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in defaults:
            takes = f"it takes {', '.join(defaults)}" if defaults else "it takes none"
            raise UsageError(f"{quoted(spec)}: no parameter {quoted(name)}; {takes}{nearest(name, defaults)}")
        parameter = Parameter(name, "", REAL, None, (type(defaults[name]),), ())
        values[name] = parameter.parse(value.strip())
    return partial(function, **values)
