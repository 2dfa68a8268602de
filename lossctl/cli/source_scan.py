"""Read the names and parameters of losses from source code, without importing it: NumPy takes 10 times as long."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from lossctl.immutable import immutable

PACKAGE = os.path.dirname(os.path.dirname(__file__))  # the folder of lossctl, found without importing it

if TYPE_CHECKING:
    import ast


@immutable
class ScannedLoss:
    """A loss as declared in its source code."""

    name: str
    summary: str
    aliases: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]]  # suggested values by name, the default first

    @property
    def further(self) -> list[str]:
        """Return the inputs other than pred and target, by the same rule as ``Loss.roles``."""
        target = self.inputs.index("target") if "target" in self.inputs else 1
        return [name for i, name in enumerate(self.inputs) if i not in (0, target)]


def read_losses(source: str, *, declared: bool) -> Iterator[ScannedLoss]:
    """Yield the losses of a Python source; if ``declared``, only functions with ``@loss``."""
    import ast

    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and last_name(d.func) == "loss"]
        if declared and not calls:
            continue
        aliases = [k.value for call in calls for k in call.keywords if k.arg == "aliases"]
        takes = node.args
        plain = [*takes.posonlyargs, *takes.args]
        inputs = plain[: len(plain) - len(takes.defaults)]
        pairs = [*zip(plain[len(inputs) :], takes.defaults, strict=True)]
        pairs = [(arg, value) for arg, value in pairs if not _is_weight(arg)]
        pairs += [(arg, value) for arg, value in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if value]
        yield ScannedLoss(
            node.name,
            (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".").replace("``", ""),
            tuple(ast.literal_eval(aliases[0])) if aliases else (),
            tuple(arg.arg for arg in inputs),
            {arg.arg: _values(arg.annotation, value) for arg, value in pairs},
        )


def _is_weight(arg: ast.arg) -> bool:
    """Return whether an argument is the weights of pixels, an optional input and no parameter."""
    return arg.annotation is not None and last_name(arg.annotation) == "PixelWeights"


def last_name(node: ast.expr) -> str:
    """Return the last name of a dotted expression: ``loss`` of ``lossctl.loss``."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _values(annotation: ast.expr | None, default: ast.expr) -> tuple[str, ...]:
    """Return the default in the notation of the command line, then the other values of a Literal annotation."""
    import ast

    def shown(value: object) -> str:
        words = value is None or isinstance(value, bool)
        return str(value).lower() if words else str(value).removesuffix(".0")

    try:
        first = [shown(ast.literal_eval(default))]
    except ValueError:  # an expression, not a literal
        first = []
    choices = [
        shown(constant.value)
        for node in (ast.walk(annotation) if annotation is not None else ())
        if isinstance(node, ast.Subscript) and last_name(node.value) == "Literal"
        for constant in ast.walk(node.slice)
        if isinstance(constant, ast.Constant)
    ]
    if first in (["true"], ["false"]):
        choices = ["true", "false"]
    return tuple(dict.fromkeys([*first, *choices]))


@cache
def built_in() -> dict[str, dict[str, ScannedLoss]]:
    """Return the built-in losses by family and name, from the source files in ``lossctl/losses``."""
    folder = os.path.join(PACKAGE, "losses")
    families = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".py")):
        with open(os.path.join(folder, file), encoding="utf-8") as source:
            text = source.read()
        if "@loss(" in text:  # parsing all files takes twice as long
            families[file.removesuffix(".py")] = {loss.name: loss for loss in read_losses(text, declared=True)}
    return {family: losses for family, losses in families.items() if losses}


def known() -> dict[str, ScannedLoss]:
    """Return the built-in losses by name."""
    return {name: loss for family in built_in().values() for name, loss in family.items()}


def in_file(path: str) -> dict[str, ScannedLoss]:
    """Return the public functions of a user's file by name."""
    with open(os.path.expanduser(path), encoding="utf-8") as file:
        return {loss.name: loss for loss in read_losses(file.read(), declared=False)}


def find(spec: str) -> tuple[ScannedLoss | None, str, str]:
    """Parse a spec: return the loss (None if unknown), its name as written, and the text after the colon."""
    head, dot_py, tail = spec.partition(".py:")
    name, _, params_text = (tail if dot_py else spec).partition(":")
    losses = in_file(f"{head}.py") if dot_py else known()
    plain = name.strip().replace("-", "_")
    plain = plain if dot_py else plain.lower()
    loss = losses.get(plain) or next((loss for loss in losses.values() if plain in loss.aliases), None)
    return loss, f"{head}.py:{name}" if dot_py else name, params_text
