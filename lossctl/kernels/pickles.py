"""A loss as it travels to another process: by what names it, since a kernel behind ``@loss`` cannot be pickled.

- a loss of the package or of an installed one: by its spec;
- one of a user's own file: by the file's path, which the other process must see as well;
- one that ``@loss`` made in a module that can be imported: by the module and its name there;
- any other, a plain function or one of ``__main__``: by its function. The standard library's pickle takes such a
  function only if it is at the top level of a module; dask's cloudpickle takes any, lambdas and notebooks included.

Whatever unpickles needs the same lossctl, and the same packages: a spec says the name of a loss, not its code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from lossctl.kernels import registry
from lossctl.kernels.parameters import Value
from lossctl.kernels.spec import Loss

Rebuilt = tuple[Any, ...]


def reduced(loss: Loss) -> Rebuilt:
    """What pickle keeps of a loss: a function, and the arguments with which it makes the loss again."""
    known = registry.registered().get(loss.name)
    if known is not None and known.kernel is loss.kernel:
        return registry.get_loss, (loss.spec,)
    module = sys.modules.get(loss.kernel.__module__)
    name = _name_in(module, loss)
    if name and loss.kernel.__module__.startswith(registry.USERS):
        path = str(Path(str(getattr(module, "__file__", ""))).resolve())
        return _from_file, (path, name, loss.given, loss.source)
    if loss.source:
        return registry.get_loss, (loss.spec,)
    if name and loss.kernel.__module__ != "__main__" and isinstance(getattr(module, name), Loss):
        return _from_module, (loss.kernel.__module__, name, loss.given)
    return _from_fields, ({f.name: getattr(loss, f.name) for f in fields(Loss)},)


def _name_in(module: object, loss: Loss) -> str:
    """Under which name a module holds a loss or its function; nothing if it does not."""
    for name, value in vars(module).items() if module is not None else ():
        if value is loss.kernel or (isinstance(value, Loss) and value.kernel is loss.kernel):
            return name
    return ""


def _from_file(path: str, name: str, given: Mapping[str, Value], source: str) -> Loss:
    return replace(registry.from_file(Path(path), name), given=given, source=source, family=source)


def _from_module(module: str, name: str, given: Mapping[str, Value]) -> Loss:
    found: Loss = getattr(import_module(module), name)
    return replace(found, given=given)


def _from_fields(made: Mapping[str, Any]) -> Loss:
    return Loss(**made)
