"""Import of users' files and of packages whose functions are checked."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from lossctl.core import plugins
from lossctl.core.loss import Loss
from lossctl.errors import UsageError, described, is_signal, nearest, printable, quoted
from lossctl.frameworks import FRAMEWORKS

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


def import_module(name: str) -> ModuleType:
    """Import a module of an installed package.

    Raises:
        UsageError: it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except BaseException as error:  # whatever a package raises as it is imported
        if is_signal(error):
            raise
        cause = described(error)
        raise UsageError(f"{printable(name)}: cannot be imported: {cause}") from None


def no_function(module: ModuleType, where: str, name: str) -> UsageError:
    """Return the error that a module has no such function; it lists the functions of a user's file."""
    offered = [
        key
        for key, value in vars(module).items()
        if isinstance(value, Loss) or (callable(value) and getattr(value, "__module__", None) == module.__name__)
    ]
    listed = f"; it has {', '.join(offered)}" if offered and module.__name__.startswith(USERS) else ""
    value = getattr(module, name, None)
    bases = value.__mro__ if isinstance(value, type) else type(value).__mro__
    framework = next((f for base in bases if (f := base.__module__.partition(".")[0]) in FRAMEWORKS), "")
    if framework:
        return UsageError(f"{where}: {printable(name)} is of {framework}: add --framework {framework}")
    return UsageError(f"{where} has no function {quoted(name)}{listed}{nearest(name, offered)}")
