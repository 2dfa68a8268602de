"""Look up losses by name: built-in ones, those of installed packages and those of users' files."""

from __future__ import annotations

import copyreg
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from lossctl.core import plugins
from lossctl.core.decorator import Loss, from_function, validate_signature
from lossctl.core.list_parameters import ListSignature, with_list_inputs
from lossctl.core.metrics import metric_hint
from lossctl.core.parameters import Value
from lossctl.core.pixels import PixelSignature, with_pixel_weights
from lossctl.core.signature import RowSignature
from lossctl.core.tensor_kernel import TensorKernel, TensorSignature, make_tensor_kernel
from lossctl.core.twins import elsewhere
from lossctl.core.user_functions import load_tensor_kernel, split_spec
from lossctl.core.user_kernel import instantiate
from lossctl.core.user_modules import USERS, import_file, no_function
from lossctl.errors import UsageError, nearest, printable, quoted

# The package whose modules are families of losses; imported by name, so that core does not depend on any loss.
FAMILIES = "lossctl.losses"


@cache
def _families() -> list[str]:
    """Return the names of the modules of losses."""
    modules = pkgutil.iter_modules(importlib.import_module(FAMILIES).__path__)
    return [module.name for module in modules if not module.ispkg]


@cache
def _losses_of(family: str) -> list[Loss]:
    module = importlib.import_module(f"{FAMILIES}.{family}")
    return [value for value in vars(module).values() if isinstance(value, Loss)]


@cache
def registered() -> dict[str, Loss]:
    """Return all built-in losses by name, in the order of the families and, within a family, of its file."""
    return {loss.name: loss for family in _families() for loss in _losses_of(family)}


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


def _built_in(name: str) -> Loss | None:
    """Return the built-in loss of a name, or None.

    A start is shorter with one family than with all of them: those whose source code has the name are imported first.
    """
    declares = re.compile(rf'def {re.escape(name)}\(|"{re.escape(name)}"'.encode())
    for family in _families():
        try:
            source = pkgutil.get_data(FAMILIES, f"{family}.py")
        except OSError:  # an installation without source code
            break
        if source is not None and declares.search(source):
            for loss in _losses_of(family):
                if name in (loss.name, *loss.aliases):
                    return loss
    return by_any_name().get(name)


def get_loss(spec: str, framework: str | None = None) -> Loss:
    """Return the loss of a spec, ``name[:param=value]…`` or ``file.py:function[:param=value]…``.

    Args:
        spec: the spec; a built-in loss may be named by an alias, in any case, with ``-`` or ``_``.
        framework: ``torch``, ``jax`` or ``tensorflow``: the spec names a function of its tensors in a file or in a
            package, ``torch.nn.functional:mse_loss``. Default None: a function of arrays.

    Raises:
        UsageError: an unknown name or parameter, a value outside its domain, or a file without the function.

    >>> get_loss("huber:delta=0.5").params
    {'delta': 0.5}
    >>> get_loss("l2").name
    'mse'
    """
    path, name, param_texts = split_spec(spec, packages=framework is not None)
    if framework is not None:
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


def _named(name: str) -> Loss:
    normalized = name.replace("-", "_").lower()
    if built_in := _built_in(normalized):
        return replace(built_in, called=normalized)
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
        hint = nearest(name, [*by_any_name(), *offers], normalized_name, cutoff=0.7) or "; see: lossctl list"
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
    module = import_file(path, where)
    value = instantiate(getattr(module, name.replace("-", "_"), None))
    if not isinstance(value, Loss) and (not callable(value) or isinstance(value, type)):
        raise no_function(module, where, name)
    try:
        loss = validate_signature(value) if isinstance(value, Loss) else from_function(value)
        return replace(loss, source=where, family=where)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


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


def reduce_loss(loss: Loss) -> tuple[Any, ...]:
    """Reduce a loss for pickle to a function and its arguments, because a kernel under ``@loss`` cannot be pickled.

    - A built-in loss, or a loss of an installed package, is pickled as its spec.
    - A loss of a user's file is pickled as the path of the file, which the other process must be able to read.
    - A loss that ``@loss`` made in an importable module is pickled as the module and its name there.
    - Any other loss (from a plain function, or in ``__main__``) is pickled with its function. The pickle of the
      standard library takes the function only if it is at the top level of a module; dask's cloudpickle takes any.

    The process that unpickles needs the same lossctl and the same packages.
    """
    if isinstance(loss.signature, PixelSignature):
        return with_pixel_weights, (loss.signature.loss,)
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
        return get_loss(loss, framework)
    return loss if isinstance(loss, Loss) else from_function(loss)
