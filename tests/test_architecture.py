"""The architecture, read from the sources: imports between packages, public names, docstrings."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lossctl

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "lossctl"
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The only modules that may import a library.
HOMES = {
    "typer": ("lossctl.cli",),
    "rich": ("lossctl.render.table", "lossctl.render.layout", "lossctl.render.charts", "lossctl.render.progress_line"),
    "plotille": ("lossctl.render.charts",),
    "matplotlib": ("lossctl.render.figure",),
    "pytest": ("lossctl.pytest_plugin",),
    "fsspec": ("lossctl.io.remote",),
    "aiohttp": ("lossctl.io.remote",),
    "torch": ("lossctl.frameworks.torch",),
    "jax": ("lossctl.frameworks.jax",),
    "tensorflow": ("lossctl.frameworks.tensorflow",),
}
NUMPY_ONLY = {*sys.stdlib_module_names, "numpy", "lossctl"}
# The contract of each package (or module at the top): what it may import of lossctl besides itself.
CONTRACTS = {
    "errors": (),
    "immutable": (),
    "frameworks": ("errors", "immutable"),
    "core": ("errors", "immutable", "frameworks"),
    "losses": ("errors", "immutable", "core"),
    "conventions": ("errors", "immutable", "core"),
    "io": ("errors", "immutable", "frameworks"),
    "engine": ("errors", "immutable", "core", "io"),
    "analysis": ("errors", "immutable", "core", "io", "engine"),
    "gradients": ("errors", "immutable", "frameworks", "core", "conventions", "io", "engine"),
    "explanation": ("errors", "immutable", "frameworks", "core", "conventions"),
    "api": ("errors", "immutable", "frameworks", "core", "conventions", "io", "engine"),
    "testing": ("errors", "immutable", "core", "conventions", "io", "engine", "gradients"),
    "pytest_plugin": ("errors", "immutable", "core"),
    "report": ("errors", "immutable", "core", "conventions", "io", "engine", "analysis", "gradients", "explanation"),
    "render": ("errors", "immutable", "report"),
    "cli": (
        *("errors", "immutable", "frameworks", "core", "conventions", "io", "engine", "analysis", "gradients"),
        *("explanation", "api", "report", "render"),
    ),
}
# Functions that return a result and do not raise: the result must be used.
COMPARISONS = {"allclose", "array_equal", "array_equiv", "isclose"}
# Names that do not say what a variable holds.
VAGUE = {"found", "told", "own", "some", "rest", "near", "one", "held", "made", "wanted", "given"}
# The gradient under test: a term of the output and of the formulas, and no result of the function that names it.
TERMS = {"lossctl.gradients": {"given"}, "lossctl.gradients.hints": {"given"}}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield each name that is imported: at the top, in a function, or for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """Return ``io`` for ``lossctl.io.npy``."""
    return [*name.split("."), ""][1]


def violations(module: str, source: str) -> list[str]:
    """Return a message for each import that the contracts forbid."""
    here = part_of(module)
    messages = []
    for name in imports(ast.parse(source)):
        package = name.split(".")[0]
        homes = HOMES.get(package, ("lossctl",))
        if not f"{module}.".startswith(tuple(f"{home}." for home in homes)):
            messages.append(f"{module}: {name} belongs in {' or '.join(homes)}")
        if here in ("core", "losses") and package not in NUMPY_ONLY:
            messages.append(f"{module}: {name}: core and losses import NumPy and the standard library only")
        if here == "losses" and name.startswith("lossctl.losses.") and not name.startswith("lossctl.losses.numerics."):
            messages.append(f"{module}: {name}: what several families need is in lossctl.losses.numerics")
        if package == "":
            messages.append(f"{module}: {name}: relative")
        if package == "typer" and "._" in name and module != "lossctl.cli.typer_internals":
            messages.append(f"{module}: {name}: private API of typer is used in cli.typer_internals only")
        if package == "lossctl" and name != "lossctl.__version__" and part_of(name) not in (here, *CONTRACTS[here]):
            messages.append(f"{module}: {name}: {here} may import {', '.join(CONTRACTS[here]) or 'nothing'}")
    return messages


def import_graph() -> dict[str, set[str]]:
    """Return for each module the modules of lossctl that it imports, at the top or in a function."""
    return {
        module: {
            target
            for name in imports(ast.parse(path.read_text(encoding="utf-8")))
            for target in (name, name.rpartition(".")[0])
            if target in SOURCES and target != module
        }
        for module, path in SOURCES.items()
        if part_of(module) in CONTRACTS
    }


def circles(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Return the modules of a circle of imports, or []."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_part_has_a_contract() -> None:
    """Each top-level module has a contract, and each contract a module."""
    parts = {module.name for module in pkgutil.iter_modules(lossctl.__path__)} - {"__main__"}
    assert parts == set(CONTRACTS)


def test_the_picture_names_every_part() -> None:
    """The arrows in the docstring of the package are those of the contracts."""
    text = "\n".join(re.findall(r"^ +(.* ← .*)$", str(lossctl.__doc__), re.MULTILINE))
    assert set(re.findall(r"[a-z_]+", text)) == set(CONTRACTS)


def test_contracts_have_no_circle() -> None:
    assert circles({part: set(allowed) for part, allowed in CONTRACTS.items()}) == []


# Exempt: lossctl/__init__ imports public names from all packages on demand, __main__ only calls the command line.
@pytest.mark.parametrize("module", [module for module in SOURCES if part_of(module) in CONTRACTS])
def test_imports_keep_the_contract(module: str) -> None:
    assert violations(module, SOURCES[module].read_text(encoding="utf-8")) == []


def test_no_imports_go_in_a_circle() -> None:
    graph = import_graph()
    # core/__init__ imports the registry, because that registers pickling; each module of core imports core/__init__.
    graph = {module: targets - {"lossctl.core"} for module, targets in graph.items()}
    assert circles(graph) == []
    graph["lossctl.errors"].add("lossctl.cli.app")
    assert circles(graph)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lossctl.errors", "from lossctl.core.loss import Loss"),
        ("lossctl.core.loss", "from lossctl.losses import robust"),
        ("lossctl.core.loss", "from lossctl.io.dataset import Dataset"),
        ("lossctl.losses.robust", "from lossctl.engine.run import compute_losses"),
        ("lossctl.losses.robust", "import lossctl.io.delimited_text"),
        ("lossctl.losses.robust", "from lossctl.losses.redescending import Cutoff"),
        ("lossctl.losses.robust", "import polars as pl"),
        ("lossctl.losses.robust", "from scipy import special"),
        ("lossctl.io.npy", "def late():\n    from lossctl import engine"),
        ("lossctl.io.npy", "from lossctl.core.loss import Loss"),
        ("lossctl.io.npy", "from .. import engine"),
        ("lossctl.engine.block", "from lossctl.losses.numerics.elementary import xlogy"),
        ("lossctl.engine.run", "from lossctl.api import compute"),
        ("lossctl.analysis.curves", "from lossctl.gradients.verdict import Verdict"),
        ("lossctl.gradients.judge", "from lossctl.analysis.curves import curve_of"),
        ("lossctl.api", "from lossctl import compute"),
        ("lossctl.report", "if TYPE_CHECKING:\n    from lossctl.render import Style"),
        ("lossctl.report", "from rich.text import Text"),
        ("lossctl.render.table", "from lossctl.engine.result import Result"),
        ("lossctl.render.delimited", "import rich"),
        ("lossctl.render.table", "import typer"),
        ("lossctl.cli.app", "import lossctl.losses"),
        ("lossctl.core.tensor_kernel", "def late():\n    import torch"),
        ("lossctl.frameworks.torch", "from lossctl.core.loss import Loss"),
        ("lossctl.cli.parsing", "from typer._click import Context"),
        ("lossctl.cli.parsing", "from typer import _completion_shared"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert violations(module, source)


def test_allowed_imports_are_no_violations() -> None:
    assert not violations("lossctl.cli.app", "import typer\nfrom lossctl import __version__, errors")
    assert not violations("lossctl.core.loss", "import math\nimport numpy.typing as npt\nfrom lossctl import core")
    assert not violations("lossctl.render.table", "from rich.text import Text\nfrom lossctl.render import Style")


def shadowed(modules: Iterable[str], public: Iterable[str]) -> set[str]:
    """Return names of modules that are also public names: importing the module would replace the public name."""
    return set(modules) & set(public)


def test_no_module_takes_a_public_name() -> None:
    modules = [module.name for module in pkgutil.iter_modules(lossctl.__path__)]
    assert shadowed(modules, lossctl.__all__) == set()
    assert shadowed([*modules, "compute"], lossctl.__all__) == {"compute"}


@pytest.mark.parametrize("name", lossctl.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    """Each public name can be imported; classes and functions have a docstring, functions an example."""
    value = getattr(lossctl, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert undocumented(value) is None


def undocumented(value: type | object) -> str | None:
    """Return what is missing in the docstring of a class or function, or None."""
    doc = value.__doc__ or ""
    # A dataclass without a docstring gets its signature as docstring.
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
    """The names under TYPE_CHECKING are those of ``__all__``, from the same modules as at run time."""
    tree = ast.parse(SOURCES["lossctl"].read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert set(imports(block)) == {f"{home}.{name}" for name, home in lossctl._HOME.items()}


def dropped(source: str) -> list[int]:
    """Return the lines with a comparison whose result is not used, so that it tests nothing."""
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


def vague_names(source: str) -> list[str]:
    """Return the names in ``VAGUE`` that a source uses for a variable, field, attribute or parameter."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.append(node.attr)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
    return [name for name in names if name in VAGUE]


@pytest.mark.parametrize("module", SOURCES)
def test_names_say_what_they_hold(module: str) -> None:
    terms = TERMS.get(module.rpartition(".")[0], set())
    assert set(vague_names(SOURCES[module].read_text(encoding="utf-8"))) <= terms


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "rows, *rest = 1, 2",
        "near: int = 1",
        "held += 1",
        "for some in rows: pass",
        "[own for own in rows]",
        "with open(path) as told: pass",
        "(one := 1)",
        "class A:\n    wanted: int",
        "self.given = 1",
        "def f(*, made): pass",
    ],
)
def test_a_vague_name_is_seen(source: str) -> None:
    assert len(vague_names(source)) == 1
    assert vague_names("rows = found.rows(given=1)") == []
