"""The registry finds a built-in loss by each of its names, and imports the families that it needs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from lossctl.core import registry
from lossctl.core.registry import by_any_name, get_loss


def test_every_name_is_that_of_one_loss() -> None:
    for name, loss in by_any_name().items():
        assert get_loss(name).name == loss.name, name


def test_an_installation_without_source_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_source(package: str, resource: str) -> bytes:
        raise FileNotFoundError(resource)

    monkeypatch.setattr(pkgutil, "get_data", no_source)
    assert registry.get_loss("l2").name == "mse"


def test_a_start_imports_what_it_needs() -> None:
    """Other families, and packages of other commands, would make the start longer."""
    code = (
        "import sys, os; from lossctl.cli.app import main; main(['compute', 'l2', *sys.argv[1:], '-q']);"
        "print(*sorted(m for m in sys.modules if m.startswith('lossctl.')))"
    )
    files = ["samples/diabetes_preds.csv", "samples/diabetes_targets.csv"]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1].split()
    assert [m for m in modules if m.startswith("lossctl.losses.") and "numerics" not in m] == [
        "lossctl.losses.regression"
    ]
    unneeded = ("lossctl.conventions", "lossctl.api", "lossctl.gradients", "lossctl.explanation", "lossctl.analysis")
    assert not [m for m in modules if m.startswith(unneeded)]
