"""What tests share: command lines run in this process, and no setting of the person who runs them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Said: TypeAlias = Callable[[str], tuple[int, str, str]]
Told: TypeAlias = Callable[[str], dict[str, Any]]

# Nor do they leak into the processes that tests start.
for name in (
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LOSSCTL_FORMAT", "LOSSCTL_DEBUG"),
):
    os.environ.pop(name, None)
os.environ["TERM"] = "xterm-256color"


@pytest.fixture
def said(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Exit code, stdout and stderr of the module's COMMAND with these words, in the folder of the project."""
    from lossctl.cli.app import main

    monkeypatch.chdir(Path(__file__).parent.parent)

    def run(line: str) -> tuple[int, str, str]:
        code = main([request.module.COMMAND, *shlex.split(line)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def told(said: Said) -> Told:
    """The JSON of a line that works."""

    def run(line: str) -> dict[str, Any]:
        code, out, err = said(f"{line} -f json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    return run
