"""The shape of the package, read from its sources: who may import whom, and what is public."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import lossctl

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "lossctl"
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# Who alone may import a library.
HOMES = {
    "typer": ("lossctl.cli",),
    "rich": ("lossctl.render.table", "lossctl.render.progress_line"),
    "plotille": ("lossctl.render.charts",),
    "matplotlib": ("lossctl.render.figure",),
}
NOWHERE = 999  # to the right of everything: a public name, say, imported through the front door
KERNELS_MAY = {*sys.stdlib_module_names, "numpy", "lossctl"}
# Parts of more than one module.
BESIDE = {
    "sources": ("executor", "processes", "cluster", "workers"),
    "engine": ("jobs", "batches", "blocks", "tasks", "measures", "traits"),
    "api": (
        *("advice", "curves", "pictures", "piles"),
        *("spool", "quantiles", "samples", "distribution", "groups", "breakdowns", "resamples", "evidence", "pairs"),
    ),
    "checker": (
        *("differences", "points", "verdicts", "sides", "glances", "descent", "scales", "cases"),
        *("diagnosis", "slopes", "outcomes", "gradients", "sweeps"),
    ),
}
# Functions whose answer is worth nothing until somebody looks at it.
COMPARISONS = {"allclose", "array_equal", "array_equiv", "isclose"}


def ranks() -> dict[str, int]:
    """The modules and packages from left to right, as the docstring of the package draws the arrows.

    Parts between two arrows stand side by side and may import the ones before them; the modules of
    one part may import each other.
    """
    (line,) = re.findall(r"^ +(errors ← .*)$", str(lossctl.__doc__), re.MULTILINE)
    parts = re.split(r" ← |, ", line)
    return {module: rank for rank, part in enumerate(parts) for module in (part, *BESIDE.get(part, ()))}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported, wherever: at the top, in a function, for the type checker."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """``sources`` of ``lossctl.io.delimited_text``."""
    return [*name.split("."), ""][1]


def faults(module: str, source: str) -> list[str]:
    """The imports that a module of the package may not have."""
    here, rank = part_of(module), ranks()
    found = []
    for name in imports(ast.parse(source)):
        package = name.split(".")[0]
        homes = HOMES.get(package, ("lossctl",))
        if not f"{module}.".startswith(tuple(f"{home}." for home in homes)):
            found.append(f"{module}: {name} belongs in {' or '.join(homes)}")
        if here == "kernels" and package not in KERNELS_MAY:
            found.append(f"{module}: {name}: kernels are NumPy and the standard library")
        if package == "":
            found.append(f"{module}: {name}: relative")
        if package == "lossctl" and name != "lossctl.__version__" and rank.get(part_of(name), NOWHERE) > rank[here]:
            found.append(f"{module}: {name} is not to the left of {here}")
    return found


def test_every_part_has_its_place() -> None:
    """The line of arrows in the package's docstring (and BESIDE above) forgets no module, and invents none."""
    found = {module.name for module in pkgutil.iter_modules(lossctl.__path__)} - {"__main__"}
    assert found == set(ranks())


# The front door imports from everywhere, on demand; __main__ is two lines over the command line; and what has no
# place has been told so by the test above.
@pytest.mark.parametrize("module", [module for module in SOURCES if part_of(module) in ranks()])
def test_imports_point_to_the_left(module: str) -> None:
    assert faults(module, SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lossctl.errors", "from lossctl.core.loss import Loss"),
        ("lossctl.losses.robust", "from lossctl.engine.run import run"),
        ("lossctl.losses.robust", "import lossctl.io.delimited_text"),
        ("lossctl.losses.robust", "import polars as pl"),
        ("lossctl.losses.robust", "from scipy import special"),
        ("lossctl.io.delimited_text", "def late():\n    from lossctl import engine"),
        ("lossctl.engine.run", "from lossctl.api import compute"),
        ("lossctl.report", "if TYPE_CHECKING:\n    from lossctl.render import Style"),
        ("lossctl.report", "from rich.text import Text"),
        ("lossctl.render.delimited", "import rich"),
        ("lossctl.render.table", "import typer"),
        ("lossctl.render.table", "from lossctl.cli.output import say"),
        ("lossctl.io.npy", "from .. import engine"),
        ("lossctl.api", "from lossctl import compute"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert faults(module, source)


def test_allowed_imports_are_not_faults() -> None:
    assert not faults("lossctl.cli.app", "import typer\nfrom lossctl import __version__, errors")
    assert not faults("lossctl.core.loss", "import math\nimport numpy.typing as npt\nfrom lossctl import kernels")
    assert not faults("lossctl.render.table", "from rich.text import Text\nfrom lossctl.render import Style")


def shadowed(modules: Iterable[str], public: Iterable[str]) -> set[str]:
    """Names that are both: importing the module would put it where the public name was."""
    return set(modules) & set(public)


def test_no_module_takes_a_public_name() -> None:
    modules = [module.name for module in pkgutil.iter_modules(lossctl.__path__)]
    assert shadowed(modules, lossctl.__all__) == set()
    assert shadowed([*modules, "compute"], lossctl.__all__) == {"compute"}


@pytest.mark.parametrize("name", lossctl.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    """Every public name can be imported; a class or function says what it is, a function with an example."""
    value = getattr(lossctl, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert undocumented(value) is None


def undocumented(value: type | object) -> str | None:
    """What the documentation of a class or function lacks."""
    doc = value.__doc__ or ""
    # A dataclass without a docstring is given its signature as one.
    if not doc.strip() or doc.startswith(f"{getattr(value, '__name__', '')}("):
        return "a docstring"
    if inspect.isfunction(value) and not doctest.DocTestParser().get_examples(doc):
        return "an example"
    return None


def test_missing_documentation_is_seen() -> None:
    def silent() -> None: ...

    def terse() -> None:
        """Do it."""

    assert undocumented(silent) == "a docstring"
    assert undocumented(terse) == "an example"
    assert undocumented(lossctl.compute) is None


def test_type_checkers_see_what_is_public() -> None:
    """The names under TYPE_CHECKING are those of ``__all__``, each from where it is found at run time."""
    tree = ast.parse(SOURCES["lossctl"].read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert set(imports(block)) == {f"{home}.{name}" for name, home in lossctl._HOME.items()}


def dropped(source: str) -> list[int]:
    """The lines on which the answer of a comparison is thrown away, so that it asserts nothing."""
    statements = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    calls = [node for node in statements if isinstance(node, ast.Call)]
    return sorted(call.lineno for call in calls if ast.unparse(call.func).rpartition(".")[2] in COMPARISONS)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_comparison_is_dropped(path: Path) -> None:
    assert dropped(path.read_text(encoding="utf-8")) == []


def test_a_dropped_comparison_is_seen() -> None:
    source = "np.allclose(a, b)\nassert np.allclose(a, b)\nif x:\n    numpy.array_equal(a, b)\nmath.isclose(a, b)\n"
    assert dropped(source) == [1, 4, 5]
    assert dropped("np.testing.assert_allclose(a, b)") == []
