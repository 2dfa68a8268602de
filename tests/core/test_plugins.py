"""Losses of installed packages: lookup by name, errors of broken packages, isolation from the other losses."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from lossctl import UsageError, compute, get_loss

ROOT = Path(__file__).parents[2]
PAIR = ("samples/diabetes_preds.csv", "samples/diabetes_targets.csv")
Done: TypeAlias = "CompletedProcess[str]"
Install: TypeAlias = "Callable[..., None]"
# The source of an example package: r⁴ under several names.
MODULE = '''
import numpy as np
from lossctl import Real, Param, POSITIVE, loss
from typing import Annotated

@loss(formula="scale·r⁴")
def quartic(pred: Real, target: Real, *, scale: Annotated[float, Param("a factor", POSITIVE)] = 1.0):
    """The fourth power."""
    r = pred - target
    return scale * r**4, lambda: 4 * scale * r**3

def plain(pred, target):
    return (pred - target) ** 6

def broken_inside(pred, target):
    raise RuntimeError("on purpose")

not_a_loss = 3
class AClass: ...
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package where Python finds it: a module and the metadata that pip would write."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, offers: dict[str, str], module: str = MODULE) -> None:
        name = package.replace("-", "_")
        (tmp_path / f"{name}.py").write_text(module)
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{key} = {name}:{value}" for key, value in offers.items()]
        (folder / "entry_points.txt").write_text("[lossctl.losses]\n" + "\n".join(lines) + "\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


def run(*args: str, path: Path) -> Done:
    env = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-m", "lossctl", *args]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_a_package_offers_losses(install: Install, tmp_path: Path) -> None:
    """A loss of a package has the name of its entry point; parameters and hyphens work as for built-in losses."""
    install("acme-losses", {"fourth-power": "quartic", "sixth": "plain"})
    assert get_loss("fourth_power:scale=2").spec == "fourth_power:scale=2"
    assert float(compute("Fourth-Power", [3.0, 1.0], [1.0, 1.0])) == 8.0
    assert float(compute("sixth", [3.0], [1.0])) == 64.0
    done = run("compute", "fourth_power:scale=2,mse", *PAIR, "-f", "json", path=tmp_path)
    assert [entry["loss"] for entry in json.loads(done.stdout)["losses"]] == ["fourth_power:scale=2", "mse"]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gradient_of_a_package_is_checked_too(install: Install, tmp_path: Path) -> None:
    install("acme-losses", {"fourth": "quartic"})
    assert run("gradcheck", "fourth", "--samples", "50", path=tmp_path).returncode == 0


@pytest.mark.slow
def test_list_shows_the_package_as_the_family(install: Install, tmp_path: Path) -> None:
    install("acme-losses", {"fourth": "quartic"})
    rows = json.loads(run("list", "--family", "acme-losses", "-f", "json", path=tmp_path).stdout)["losses"]
    assert [(row["name"], row["family"], row["summary"]) for row in rows] == [
        ("fourth", "acme-losses", "The fourth power")
    ]
    info = run("info", "fourth", path=tmp_path).stdout
    assert "acme-losses" in info
    assert "scale=1: a factor; a number above 0" in info


@pytest.mark.slow
def test_two_packages_of_one_name(install: Install, tmp_path: Path) -> None:
    """The error names both packages; other losses still work."""
    install("acme-losses", {"fourth": "quartic", "sixth": "plain"})
    install("zeta-losses", {"fourth": "plain"})
    with pytest.raises(UsageError, match="'fourth': the packages acme-losses and zeta-losses all offer it"):
        get_loss("fourth")
    assert get_loss("sixth").family == "acme-losses"
    done = run("list", path=tmp_path)
    assert done.returncode == 0
    assert "note: loss 'fourth': the packages acme-losses and zeta-losses all offer it" in done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert "sixth" in names
    assert "fourth" not in names


@pytest.mark.parametrize(
    ("value", "module", "cause"),
    [
        ("x", "import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError: No module named 'nowhere"),
        ("x", "1 / 0", "cannot be imported: ZeroDivisionError"),
        ("x", "raise SystemExit(5)", "cannot be imported: SystemExit: 5"),
        ("x", "def x(:", "cannot be imported: SyntaxError"),
        ("gone", MODULE, "cannot be imported: AttributeError"),
        ("not_a_loss", MODULE, "is of type int: neither a loss nor a function"),
        ("AClass", MODULE, "is a class: neither a loss nor a function"),
        ("x", "def x(*arrays): ...", r"x: \*arrays: a loss needs named inputs"),
        ("x", "import operator\nx = operator.attrgetter('y')", "cannot be imported|needs named inputs"),
    ],
)
def test_a_package_that_cannot_be_used(install: Install, value: str, module: str, cause: str) -> None:
    """The error names the package; a built-in loss does not load it."""
    install("acme-losses", {"bad": value}, module)
    install("zeta-losses", {"sixth": "plain"})
    with pytest.raises(UsageError, match=f"^loss 'bad' of the package acme-losses.*({cause})") as told:
        get_loss("bad")
    assert "\n" not in str(told.value)
    assert float(compute("sixth", [3.0], [1.0])) == 64.0


def test_list_names_what_cannot_be_imported(install: Install, tmp_path: Path) -> None:
    install("acme-losses", {"bad": "x"}, "print('hello'); raise RuntimeError('two\\nlines')")
    install("zeta-losses", {"sixth": "plain"})
    done = run("list", "-f", "csv", path=tmp_path)
    assert done.returncode == 0
    assert "hello" not in done.stdout
    (row,) = [row for row in csv.DictReader(io.StringIO(done.stdout)) if row["name"] == "sixth"]
    assert row["family"] == "zeta-losses"
    assert r"note: loss 'bad' of the package acme-losses cannot be imported: RuntimeError: two\nlines" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["mse", "l2"])
@pytest.mark.slow
def test_a_built_in_name_stays_what_it_is(install: Install, tmp_path: Path, name: str) -> None:
    """A package cannot replace a name or an alias, and `list` shows a note about the attempt."""
    install("acme-losses", {name: "plain"})
    assert float(compute(name, [3.0], [1.0])) == 4.0
    done = run("list", path=tmp_path)
    assert f"note: loss '{name}' of the package acme-losses is not used" in done.stderr
    assert "acme" not in done.stdout


def test_known_names_do_not_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points are read for unknown names only."""

    def scan(**_: object) -> None:
        raise AssertionError("scanned")

    monkeypatch.setattr("lossctl.core.plugins.offers", scan)
    assert get_loss("l2").name == "mse"
    with pytest.raises(AssertionError, match="scanned"):
        get_loss("nobody_knows")


def test_near_misses_know_the_packages(install: Install) -> None:
    install("acme-losses", {"fourth": "quartic"})
    with pytest.raises(UsageError, match="did you mean 'fourth'"):
        get_loss("fuorth")


def test_errors_inside_name_the_package(install: Install, tmp_path: Path) -> None:
    install("acme-losses", {"bad": "broken_inside"})
    done = run("compute", "bad", *PAIR, path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"lossctl: acme-losses: bad: \S*acme_losses.py:16: RuntimeError: on purpose\n", done.stderr)
