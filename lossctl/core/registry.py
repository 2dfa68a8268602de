"""Look up losses by name: built-in ones, those of installed packages and those of users' files."""

from __future__ import annotations

import copyreg
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from lossctl.core import plugins
from lossctl.core.decorator import Loss, from_function, validate_signature
from lossctl.core.interval import REAL
from lossctl.core.list_parameters import ListSignature, with_list_inputs
from lossctl.core.metrics import metric_hint
from lossctl.core.parameters import Parameter, Value
from lossctl.core.signature import RowSignature
from lossctl.core.tensor_kernel import TensorKernel, TensorSignature, make_tensor_kernel
from lossctl.core.twins import elsewhere
from lossctl.core.user_kernel import instantiate, is_catboost_objective
from lossctl.errors import UsageError, described, is_signal, nearest, printable, quoted
from lossctl.frameworks import get_framework

# The package whose modules are families of losses; imported by name, so that core does not depend on any loss.
FAMILIES = "lossctl.losses"


@cache
def registered() -> dict[str, Loss]:
    """Return all built-in losses by name, in the order of the families and, within a family, of its file."""
    losses: dict[str, Loss] = {}
    for module in pkgutil.iter_modules(importlib.import_module(FAMILIES).__path__):
        if module.ispkg:
            continue
        for value in vars(importlib.import_module(f"{FAMILIES}.{module.name}")).values():
            if isinstance(value, Loss):
                losses[value.name] = value
    return losses


@cache
def by_any_name() -> dict[str, Loss]:
    """Return the built-in losses by each of their names."""
    names: dict[str, Loss] = {}
    for entry in registered().values():
        for name in (entry.name, *entry.aliases):
            if name in names:
                raise ValueError(f"two losses are called {name}: {names[name].name} and {entry.name}")
            names[name] = entry
    return names


def get_loss(spec: str, framework: str = "") -> Loss:
    """Return the loss of a spec, ``name[:param=value]…`` or ``file.py:function[:param=value]…``.

    Args:
        spec: the spec; a built-in loss may be named by an alias, in any case, with ``-`` or ``_``.
        framework: ``torch``, ``jax`` or ``tensorflow``: the spec names a function of its tensors in a file or in a
            package, ``torch.nn.functional:mse_loss``. Default "": a function of arrays.

    Raises:
        UsageError: an unknown name or parameter, a value outside its domain, or a file without the function.

    >>> get_loss("huber:delta=0.5").params
    {'delta': 0.5}
    >>> get_loss("l2").name
    'mse'
    """
    path, name, param_texts = _split(spec, packages=bool(framework))
    if framework:
        loss = _of_tensors(path, name, framework)
    elif path:
        loss = from_file(Path(path), name)
    else:
        loss = _named(name)
    params: dict[str, object] = {}
    for part in param_texts:
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            names = [p.name for p in loss.parameters]
            write = f"; write {loss.name}:{names[0]}={printable(part)}" if len(names) == 1 and part not in names else ""
            raise UsageError(
                f"loss {quoted(spec)}: {quoted(part)} is not param=value: it takes {', '.join(names) or 'none'}{write}"
            )
        if key in params:
            raise UsageError(f"loss {quoted(spec)}: parameter '{printable(key)}' is given twice")
        params[key] = value.strip()
    return loss.bind(**params)


def _split(spec: str, *, packages: bool = False) -> tuple[str, str, list[str]]:
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


def _named(name: str) -> Loss:
    names, normalized = by_any_name(), name.replace("-", "_").lower()
    if normalized in names:
        return replace(names[normalized], called=normalized)
    offers, _ = plugins.offers()
    if normalized in offers:
        return plugins.single_offer(offers[normalized]).load()
    if several := elsewhere(name):
        raise UsageError(f"{quoted(name)} stands for several losses: {several}")
    if metric := metric_hint(name):
        raise UsageError(f"{quoted(name)} is {metric}")
    if "." in name:
        hint = "; a function of a package takes tensors: add --framework torch, jax or tensorflow"
    elif os.path.isfile(f"{name}.py"):  # Path.is_file raises for a name that is too long
        hint = f"; a function of {printable(name)}.py is written {printable(name)}.py:FUNCTION"
    else:
        # A lower cutoff suggests unrelated names, as there are hundreds: cauchy for auc.
        hint = nearest(name, [*names, *offers], normalized_name, cutoff=0.7) or "; see: lossctl list"
    raise UsageError(f"unknown loss {quoted(name)}{hint}")


def normalized_name(name: str) -> str:
    """Normalize the name of a loss for comparison: no case, ``-``, ``_`` or final "loss", as libraries differ in them.

    >>> normalized_name("L1Loss") == normalized_name("l1_loss") == normalized_name("l1")
    True
    """
    bare = name.lower().replace("-", "").replace("_", "")
    return bare.removesuffix("loss") or bare


def all_losses() -> tuple[list[Loss], list[str]]:
    """Return all losses, those of packages after the built-in ones, and one line for each that cannot be used."""
    losses, notes = plugins.load_plugins(by_any_name())
    return [*registered().values(), *losses], notes


def from_file(path: Path, name: str) -> Loss:
    """Load a loss, or a function as a loss, from a user's file.

    Args:
        path: the file.
        name: the name of the loss or the function in the file.

    Raises:
        UsageError: the file cannot be imported, or has no such function.
    """
    where = printable(str(path))
    value = instantiate(getattr(import_file(path, where), name.replace("-", "_"), None))
    if not isinstance(value, Loss) and (not callable(value) or isinstance(value, type)):
        offered = list(_functions(sys.modules[_module_name(path)]))
        listed = f"; it has {', '.join(offered)}" if offered else ""
        raise UsageError(f"{where} has no function {quoted(name)}{listed}{nearest(name, offered)}")
    try:
        loss = validate_signature(value) if isinstance(value, Loss) else from_function(value)
        return replace(loss, source=where, family=where)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


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
    path, name, _ = _split(spec, packages=True)
    where = printable(path)
    if not path:
        raise UsageError(
            f"--framework {framework}: {quoted(spec)} is none of its functions: write FILE.py:FUNCTION, or "
            "PACKAGE.MODULE:FUNCTION"
        )
    with record.active("float64"):  # constants of the file are made in float64, too
        module = import_file(Path(path), where) if path.endswith(".py") else _import_module(path)
    value = getattr(module, name.replace("-", "_"), None)
    if not callable(value) or isinstance(value, Loss):
        offered = list(_functions(module))
        listed = f"; it has {', '.join(offered)}" if offered and path.endswith(".py") else ""
        raise UsageError(f"{where} has no function {quoted(name)}{listed}{nearest(name, offered)}")
    return TensorKernel(value, record, summed, independent, spec)


def load_tensor_function(spec: str, framework: str) -> Any:
    """Load the function of tensors, or the module, of a spec ``file.py:function[:param=value]…``.

    Raises:
        UsageError: as :func:`load_tensor_kernel`, or a parameter is unknown.
    """
    value, param_texts = load_tensor_kernel(spec, framework).value, _split(spec, packages=True)[2]
    if not param_texts:
        return value
    bound = _with_parameters(value, param_texts, spec)
    return bound() if isinstance(value, type) else bound


def _of_tensors(path: str, name: str, framework: str) -> Loss:
    kernel = load_tensor_kernel(f"{path}:{name}" if path else name, framework)
    where = printable(path)
    try:
        return replace(from_tensor_kernel(kernel), source=where, family=where)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def from_tensor_kernel(kernel: TensorKernel) -> Loss:
    """Return the loss of a function of tensors: a batch as a whole, because it may return one number for it.

    Raises:
        UsageError: the signature is not that of a loss.
    """
    signature = TensorSignature(kernel)
    return validate_signature(Loss(kernel.__name__, kernel, signature, "", batch_coupled=True))


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:  # whatever a package raises as it is imported
        if is_signal(error):
            raise
        cause = described(error)
        raise UsageError(f"{printable(name)}: cannot be imported: {cause}") from None


def load_named(spec: str) -> Any:
    """Load what a spec ``file.py:function`` or ``package.module:function`` names, as it is.

    Raises:
        UsageError: the file or module cannot be imported, or has nothing of this name.
    """
    path, name, _ = _split(spec, packages=True)
    if not path:
        raise UsageError(f"{quoted(spec)}: write FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION")
    where = printable(path)
    module = import_file(Path(path), where) if path.endswith(".py") else _import_module(path)
    if not hasattr(module, name):
        offered = list(_functions(module))
        listed = f"; it has {', '.join(offered)}" if offered and path.endswith(".py") else ""
        raise UsageError(f"{where} has no function {quoted(name)}{listed}{nearest(name, offered)}")
    return getattr(module, name)


def load_function(spec: str) -> Callable[..., Any]:
    """Load the function, or the objective of CatBoost, of a spec ``file.py:function``, without making a loss of it.

    Raises:
        UsageError: the file cannot be imported, or has no such function.
    """
    path, name, param_texts = _split(spec)
    where = printable(path)
    value = instantiate(getattr(import_file(Path(path), where), name.replace("-", "_"), None))
    if isinstance(value, Loss):
        raise UsageError(f"{where}: {name} is a loss; give it as LOSS, and a function that returns gradients by --grad")
    if not callable(value) and not is_catboost_objective(value):
        offered = list(_functions(sys.modules[_module_name(Path(path))]))
        raise UsageError(f"{where} has no function {quoted(name)}{nearest(name, offered)}")
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


def _functions(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, Loss) or (callable(value) and getattr(value, "__module__", None) == module.__name__):
            yield name


# Prefix of the names of users' modules in sys.modules.
USERS = "lossctl_user_"


def is_users(module: str) -> bool:
    """Return whether a module is a user's file, or of a package whose loss was imported."""
    return module.startswith(USERS) or plugins.is_of_plugin(module)


def _module_name(path: Path) -> str:
    """Return the name in sys.modules of a user's file, unique for each path."""
    return f"{USERS}{path.resolve()}".replace(".", "_")


def import_file(path: Path, where: str) -> ModuleType:
    """Import a user's file once.

    Args:
        path: the file.
        where: its name in error messages.

    Raises:
        UsageError: the file cannot be read or compiled, or raises an exception.
    """
    name = _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    try:
        # Not through an import loader, which would write a __pycache__ next to the user's file.
        code = compile(path.read_bytes(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise UsageError(f"{where}: {str(error.strerror).lower()}") from None
    except SyntaxError as error:
        raise UsageError(f"{where}:{error.lineno}: {error.msg}") from None
    except ValueError as error:  # a NUL byte
        raise UsageError(f"{where}: {error}") from None
    # The file can import its neighbours, as with python FILE.py; at the end of the path they shadow nothing installed.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[name] = module  # before the code runs, as import does
    try:
        exec(code, module.__dict__)  # noqa: S102 - the user named it to be run
    except BaseException as error:  # whatever the user's file raises
        if is_signal(error):
            raise
        del sys.modules[name]
        raise UsageError(f"{where}: cannot be imported: {described(error)}") from None
    return module


def reduce_loss(loss: Loss) -> tuple[Any, ...]:
    """Reduce a loss for pickle to a function and its arguments, because a kernel under ``@loss`` cannot be pickled.

    - A built-in loss, or a loss of an installed package, is pickled as its spec.
    - A loss of a user's file is pickled as the path of the file, which the other process must be able to read.
    - A loss that ``@loss`` made in an importable module is pickled as the module and its name there.
    - Any other loss (from a plain function, or in ``__main__``) is pickled with its function. The pickle of the
      standard library takes the function only if it is at the top level of a module; dask's cloudpickle takes any.

    The process that unpickles needs the same lossctl and the same packages.
    """
    if isinstance(loss.signature, ListSignature):
        return with_list_inputs, (loss.signature.loss,)
    if isinstance(loss.signature, RowSignature):
        original = replace(loss, signature=loss.signature.labels)
        return _with_rows, (original, loss.signature.tails)
    known = registered().get(loss.name)
    if known is not None and known.kernel is loss.kernel:
        return get_loss, (loss.spec,)
    module = sys.modules.get(loss.kernel.__module__)
    name = _name_in(module, loss)
    if name and loss.kernel.__module__.startswith(USERS):
        path = str(Path(str(getattr(module, "__file__", ""))).resolve())
        return _from_file, (path, name, loss.bound_values, loss.source)
    if loss.source and not isinstance(loss.kernel, TensorKernel):
        return get_loss, (loss.spec,)
    if name and loss.kernel.__module__ != "__main__" and isinstance(getattr(module, name), Loss):
        return _from_module, (loss.kernel.__module__, name, loss.bound_values)
    return _from_fields, ({f.name: getattr(loss, f.name) for f in fields(Loss)},)


def _name_in(module: object, loss: Loss) -> str:
    """Return the name of a loss, or of its kernel, in a module; '' if the module does not contain it."""
    for name, value in vars(module).items() if module is not None else ():
        if value is loss.kernel or (isinstance(value, Loss) and value.kernel is loss.kernel):
            return name
    return ""


def _from_file(path: str, name: str, values: Mapping[str, Value], source: str) -> Loss:
    return replace(from_file(Path(path), name), bound_values=values, source=source, family=source)


def _from_module(module: str, name: str, values: Mapping[str, Value]) -> Loss:
    loss: Loss = getattr(importlib.import_module(module), name)
    return replace(loss, bound_values=values)


def _with_rows(loss: Loss, tails: Sequence[tuple[int, ...]]) -> Loss:
    return loss.for_rows(tails)


def _from_fields(fields_of_loss: Mapping[str, Any]) -> Loss:
    return Loss(**fields_of_loss)


copyreg.pickle(Loss, reduce_loss)


def reduce_kernel(kernel: TensorKernel) -> tuple[Any, ...]:
    """Reduce a function of tensors for pickle: one of a file or a package to its name, any other to itself."""
    if not kernel.spec:
        return TensorKernel, (kernel.value, kernel.framework, kernel.summed, kernel.independent)
    path, dot_py, name = kernel.spec.rpartition(".py:")
    spec = f"{Path(path + '.py').resolve()}:{name}" if dot_py else kernel.spec
    return load_tensor_kernel, (spec, kernel.framework.name, kernel.summed, kernel.independent)


copyreg.pickle(TensorKernel, reduce_kernel)


def as_loss(loss: str | Loss | Callable[..., Any], framework: str | None = None) -> Loss:
    """Return the loss that a spec such as ``"huber:delta=0.5"`` names, or wrap a plain function as a loss.

    Args:
        loss: the spec, a loss, or a function.
        framework: ``torch``, ``jax`` or ``tensorflow`` if it is a function of tensors. Default None: of arrays.
    """
    if framework is not None and not isinstance(loss, (str, Loss)):
        return from_tensor_kernel(make_tensor_kernel(loss, framework))
    if isinstance(loss, str):
        return get_loss(loss, framework or "")
    return loss if isinstance(loss, Loss) else from_function(loss)
