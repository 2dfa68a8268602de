"""A pytest plugin that collects the functions ``check_*`` of the files named in ``pyproject.toml``.

``checks = ["losses/*.py"]`` under ``[tool.lossctl]`` names the files, by patterns relative to the folder of
``pyproject.toml``. A check is a function without arguments that returns nothing; it fails if it raises, for example
through :func:`lossctl.testing.assert_gradient`. ``pytest`` without paths collects the checks besides ``testpaths``.

Nothing of lossctl is imported before a file of checks is collected: other projects pay for reading ``pyproject.toml``.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

_FILES = pytest.StashKey[frozenset[Path]]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the configuration; without paths on the command line, add the files to ``testpaths``."""
    files = _configured(config.rootpath)
    config.stash[_FILES] = frozenset(files)
    if config.args_source == pytest.Config.ArgsSource.TESTPATHS:
        config.args += map(str, files)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect the checks of a file of the configuration."""
    collectors = yield
    if file_path not in parent.config.stash[_FILES]:
        return collectors
    if not any(file_path.match(pattern) for pattern in parent.config.getini("python_files")):
        # pytest takes a path on its command line as a file of tests, whatever its name, and would import it again.
        collectors = [collector for collector in collectors if type(collector) is not pytest.Module]
    return [*collectors, CheckFile.from_parent(parent, path=file_path)]


def _configured(root: Path) -> list[Path]:
    """Return the files that ``checks`` of ``[tool.lossctl]`` names, sorted.

    Raises:
        UsageError: the table has an unknown key, or a pattern matches no Python file.
    """
    path = root / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["lossctl"]
    except (OSError, KeyError):  # no such file, or nothing about lossctl in it
        return []
    where = f"{path}: [tool.lossctl]"
    for key in table:
        if key != "checks":
            raise pytest.UsageError(f"{where} {key}: unknown; the only key is checks")
    patterns = table.get("checks", [])
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise pytest.UsageError(f'{where} checks: a list of patterns, such as ["losses/*.py"]')
    files: set[Path] = set()
    for pattern in patterns:
        if Path(pattern).is_absolute():
            raise pytest.UsageError(f"{where} checks: {pattern!r}: patterns are relative to {root}")
        matches = [file for file in root.glob(pattern) if file.is_file()]
        if not matches:
            raise pytest.UsageError(f"{where} checks: {pattern!r} matches no file in {root}")
        for file in matches:
            if file.suffix != ".py":
                raise pytest.UsageError(f"{where} checks: {pattern!r} matches {file}, which is no .py file")
        files.update(matches)
    return sorted(files)


class CheckFile(pytest.File):
    """A file with functions ``check_*``."""

    def collect(self) -> Iterator[pytest.Item]:
        """Import the file as ``lossctl compute FILE.py:FUNCTION`` does, and yield its checks in their order."""
        from lossctl.core.user_modules import import_file
        from lossctl.errors import UsageError, printable

        try:
            module = import_file(self.path, printable(str(self.path)))
        except UsageError as error:
            raise self.CollectError(str(error)) from None
        for name, function in vars(module).items():
            if name.startswith("check_") and inspect.isfunction(function) and function.__module__ == module.__name__:
                yield CheckItem.from_parent(self, name=name, function=function)


class CheckItem(pytest.Item):
    """A function ``check_*``."""

    def __init__(self, *, function: Callable[..., Any], **node: Any) -> None:
        super().__init__(**node)
        self.function = function

    def runtest(self) -> None:
        """Call the function."""
        arguments = ", ".join(inspect.signature(self.function).parameters)
        if arguments:
            self._refuse(f"{self.name}({arguments}): a check takes no arguments; call assert_gradient in it")
        result = self.function()
        if result is not None:
            self._refuse(f"{self.name} returned {type(result).__name__}: a check returns nothing; use assert_gradient")

    def _refuse(self, message: str) -> None:
        path, line, _ = self.reportinfo()
        pytest.fail(f"{path}:{line + 1}: {message}", pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the traceback from the line of the check on."""
        excinfo.traceback = excinfo.traceback.cut(path=self.path).filter(excinfo)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file, the line counted from 0 and the name of the function."""
        return self.path, self.function.__code__.co_firstlineno - 1, self.name
