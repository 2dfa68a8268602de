"""Fixtures that run command lines in this process, and an environment without the settings of the user."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
import pytest

# A loaded machine is no failure: no example has a time limit. The examples are the same in every run;
# `pytest --hypothesis-profile=random` looks for new ones.
_UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("random", **_UNTIMED)
hypothesis.settings.register_profile("same", **_UNTIMED, derandomize=True)
hypothesis.settings.load_profile("same")

RunCommand: TypeAlias = Callable[[str], tuple[int, str, str]]
RunJson: TypeAlias = Callable[[str], dict[str, Any]]

# These modules append to a list of trials or attacks; collected for doctests they would append again.
collect_ignore_glob = ["gradients/trials/*", "frameworks/*_losses.py"]  # the last need a framework
collect_ignore = ["benchmarks/explain.py"]  # needs keras and others
collect_ignore += [str(p) for p in (Path(__file__).parent / "attacks").glob("*.py") if not p.name.startswith("test_")]

# Under nohup, processes that tests start would ignore the signal too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# At import, so that the processes that tests start do not inherit them either.
for name in (
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LOSSCTL_FORMAT", "LOSSCTL_DEBUG"),
):
    os.environ.pop(name, None)
os.environ["TERM"] = "xterm-256color"
# A process that compiles lossctl when it starts takes twice as long: those that tests start may keep what they compile.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture
def run_command(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> RunCommand:
    """Run the module's COMMAND with a line of arguments in the project root; return exit code, stdout, stderr."""
    from lossctl.cli.app import main

    monkeypatch.chdir(Path(__file__).parent.parent)

    def run(line: str) -> tuple[int, str, str]:
        code = main([request.module.COMMAND, *shlex.split(line)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def run_json(run_command: RunCommand) -> RunJson:
    """Run a line of arguments that must succeed; return its JSON document."""

    def run(line: str) -> dict[str, Any]:
        code, out, err = run_command(f"{line} -f json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    return run
