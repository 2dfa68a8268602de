"""``lossctl.testing`` and the pytest plugin, in a project of a user."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tomllib
from functools import partial, wraps
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import lossctl
from lossctl.core.user_kernel import source_line
from lossctl.pytest_plugin import _configured
from lossctl.testing import assert_gradient

ROOT = Path(__file__).parents[1]

LOSSES = """
from neighbour import half
from lossctl.testing import assert_gradient


def right(pred, target):
    return (pred - target) ** 2, 2 * (pred - target)


def check_half():
    assert_gradient(half)


def check_right():
    assert_gradient(right)


def check_with_arguments(pred, target):
    assert_gradient(right)


def check_that_returns():
    return 1


def check_data():
    assert_gradient(right, [1.0, 2.0], [1.0])


class check_class:
    pass
"""
NEIGHBOUR = "def half(pred, target):\n    return (pred - target) ** 2, pred - target\n\n\ndef check_other(): ...\n"
TEST = """
from lossctl.testing import assert_gradient


def test_half():
    assert_gradient("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], grad=[1.0, 2.0, 4.0])
"""
MESSAGE = """\
E       AssertionError: given ÷ numeric is 0.5 at every sample: a factor of 2 is missing
E       gradient check of mse: FAIL (3 wrong of 3 coordinates)
E         sample 0: given 1, numeric 2 ± """


def in_project(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin alone."""
    command = [sys.executable, "-m", "pytest", "-p", "lossctl.pytest_plugin", "-p", "no:cacheprovider", *args]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    checks = '[tool.lossctl]\nchecks = ["losses/m*.py"]\n'
    for name, text in {
        "pyproject.toml": f'[tool.pytest.ini_options]\ntestpaths = ["tests"]\n{checks}',
        "losses/mine.py": LOSSES,
        "losses/neighbour.py": NEIGHBOUR,
        "tests/test_mine.py": TEST,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_pytest_shows_the_whole_message_and_the_place(project: Path) -> None:
    """``pytest`` without paths runs ``testpaths`` and the checks; each failure shows the user's line and a reason."""
    done = in_project(project, "-q", "--junitxml=report.xml")
    assert MESSAGE in done.stdout
    assert "tests/test_mine.py:6: AssertionError" in done.stdout
    assert "losses/mine.py:11: AssertionError" in done.stdout
    assert "losses/mine.py:22: check_that_returns returned int: a check returns nothing" in done.stdout
    assert "losses/mine.py:18: check_with_arguments(pred, target): a check takes no arguments" in done.stdout
    assert "lossctl.errors.DataError: " in done.stdout
    assert "pytest_plugin.py" not in done.stdout
    assert "5 failed, 1 passed" in done.stdout
    cases = {case.attrib["name"]: len(case) for case in ET.parse(project / "report.xml").iter("testcase")}
    assert cases == {
        **dict.fromkeys(("test_half", "check_half", "check_with_arguments", "check_that_returns", "check_data"), 1),
        "check_right": 0,
    }


@pytest.mark.slow
def test_a_file_that_cannot_be_imported_is_one_line(project: Path) -> None:
    (project / "losses/mine.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    done = in_project(project, "-q", "losses/mine.py")
    assert "losses/mine.py: cannot be imported: ModuleNotFoundError" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        ('check = ["losses/*.py"]', "check: unknown; the only key is checks"),
        ('checks = "losses/*.py"', 'checks: a list of patterns, such as ["losses/*.py"]'),
        ("checks = [1]", "checks: a list of patterns"),
        ('checks = ["loses/*.py"]', "checks: 'loses/*.py' matches no file in"),
        ('checks = ["pyproject.toml"]', "pyproject.toml, which is no .py file"),
        ('checks = ["/losses/*.py"]', "checks: '/losses/*.py': patterns are relative to"),
    ],
)
def test_a_wrong_configuration_is_one_error(project: Path, table: str, cause: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.lossctl]\n{table}\n", encoding="utf-8")
    with pytest.raises(pytest.UsageError) as error:
        _configured(project)
    assert cause in str(error.value)
    assert "\n" not in str(error.value)


def test_the_configuration_names_files(project: Path) -> None:
    assert _configured(project) == [project / "losses/mine.py"]
    assert _configured(project / "losses") == []
    (project / "pyproject.toml").write_text("[tool.other]\n", encoding="utf-8")
    assert _configured(project) == []


def test_the_plugin_imports_nothing_heavy() -> None:
    """Each start of pytest imports the plugin in every project of an environment with lossctl."""
    code = "import sys, lossctl.pytest_plugin; print({'numpy', 'rich', 'polars', 'typer'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], encoding="utf-8") == "set()\n"
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert entry == {"pytest11": {"lossctl": "lossctl.pytest_plugin"}}


def test_assert_gradient_takes_the_arguments_of_gradcheck() -> None:
    assert inspect.signature(assert_gradient) == inspect.signature(lossctl.gradcheck)
    assert assert_gradient("mse", [1.0], [0.0], second="off", rtol=1e-3).passed


def test_a_wrong_second_derivative_comes_first() -> None:
    def objective(pred, target):
        return 2 * (pred - target), 7 + pred**2

    with pytest.raises(AssertionError) as error:
        assert_gradient("mse", [1.0, 3.0, 5.0], [0.0, 0.0, 0.0], grad=objective)
    assert "second derivative check of mse: FAIL" in str(error.value).partition("gradient check of mse: ok")[0]


class Squared:
    def __call__(self, pred, target):
        return (pred - target) ** 2


class ForCatBoost:
    def calc_ders_range(self, approxes, targets, weights):
        return []


@wraps(test_the_configuration_names_files)
def wrapped() -> None: ...


def test_the_line_of_a_function() -> None:
    """Functions, methods, partials, wrappers and objects have a line; functions of C and of lossctl have none."""
    here = inspect.getsourcelines(Squared.__call__)[1]
    assert source_line(Squared()) == source_line(Squared.__call__) == source_line(partial(partial(Squared(), 1), 2))
    assert source_line(Squared()) == (os.path.relpath(__file__), here)
    assert source_line(ForCatBoost()) == (os.path.relpath(__file__), here + 5)
    assert source_line(wrapped) == source_line(test_the_configuration_names_files)
    assert source_line(max) is source_line(lossctl.compute) is source_line(lossctl.get_loss("mse").kernel) is None
