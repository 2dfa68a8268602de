"""Update outputs and generated tables in README.md: ``python tests/scripts/update_readme.py``.

- In ``console`` blocks a line that begins with ``$ `` is a command, and the lines below it are its output, stdout and
  stderr in the order of writing.
- The text between ``<!-- catalogue -->`` and ``<!-- /catalogue -->``, and between the other names of ``GENERATED``, is
  generated from the registry or from the samples.

Python blocks with ``>>>`` are doctests, written by hand. ``tests/test_readme.py`` fails if any part is not current.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.report.catalogue import for_each

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*?)(?P<gap>\n*)(?=\$ |\Z)", re.MULTILINE)
# Numbers with all digits; the last ones may differ, because exp and log depend on the processor.
_FULL = re.compile(r"\d+\.\d{10,}(?:e[+-]?\d+)?")
# Tools outside POSIX that commands use; a command is not run if its tool is not installed.
_OPTIONAL = ("jq",)
# Losses whose definitions differ most often between libraries; the README has space for some only.
DISPUTED = (
    *("bce", "bce_with_logits", "softmax_cross_entropy", "categorical_cross_entropy", "kl_divergence"),
    *("hinge", "mse", "rmse", "huber"),
)


class Step(NamedTuple):
    """A command, and the output below it."""

    command: str
    output: str


def blocks(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language."""
    return [content for name, content in _BLOCK.findall(text) if name == language]


def steps(text: str) -> list[Step]:
    """Return the commands of all console blocks."""
    found = (match for block in blocks(text, "console") for match in _STEP.finditer(block))
    return [Step(match["command"], match["output"]) for match in found]


def missing_tool(command: str) -> str | None:
    """Return a tool that the command needs and that is not installed, or None."""
    return next((tool for tool in _OPTIONAL if f"{tool} " in command and not shutil.which(tool)), None)


class Ran(NamedTuple):
    """The outcome of a command."""

    output: str
    code: int


def run(command: str) -> Ran:
    """Run a command without a terminal, in a folder with the ``samples`` of the repository.

    It finds the ``lossctl`` that is installed beside this interpreter, and none of the caller's settings.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    if not (scripts / "lossctl").exists():
        raise FileNotFoundError(f"{scripts} has no lossctl: pip install . first")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "samples").symlink_to(ROOT / "samples")
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env={"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
    return Ran(done.stdout, done.returncode)


def same(a: str, b: str) -> bool:
    """Return whether two outputs are equal, up to the last digits of numbers with all digits."""
    return _FULL.sub(_rounded, a) == _FULL.sub(_rounded, b)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.12g}"


def fresh(text: str) -> str:
    """Return the text with current outputs and generated blocks."""
    text = _BLOCK.sub(_rerun, text)
    for name, make in GENERATED.items():
        text = filled(text, name, make())
    return text


def filled(text: str, name: str, content: str) -> str:
    """Return the text with this content between the marks of that name."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not end or start in after:
        raise ValueError(f"README.md wants one block <!-- {name} --> … <!-- /{name} -->")
    return before + start + content + end + after


def _rerun(block: re.Match[str]) -> str:
    language, content = block.groups()
    return f"```{language}\n{_STEP.sub(_again, content)}```" if language == "console" else block[0]


def _again(step: re.Match[str]) -> str:
    command, written, gap = step.groups()
    output = written if missing_tool(command) else run(command).output
    return f"$ {command}\n{written if same(written, output) else output}{gap}"


def catalogue() -> str:
    """Return the table of all registered losses, and the meanings of the kinds of inputs."""
    losses = registered().values()
    rows = [
        (
            f"`{entry.name}`",
            ", ".join(f"`{alias}`" for alias in entry.aliases),
            ", ".join(spec.kind.name for spec in entry.inputs),
            ", ".join(f"`{p.name}={p.show(p.default)}`" for p in entry.parameters),
            f"`{entry.formula}`",
        )
        for entry in losses
    ]
    kinds = [spec.kind for entry in losses for spec in entry.inputs]
    meanings = "".join(dict.fromkeys(f"- {kind.name}: {kind.words}{for_each(kind.core)}\n" for kind in kinds))
    return f"{_table(('name', 'also called', 'inputs', 'parameters', 'formula'), rows)}\n{meanings}"


def elsewhere() -> str:
    """Return the list of different definitions in other libraries, and the versions compared."""
    losses: list[Loss] = [registered()[name] for name in DISPUTED]
    rows = [(f"`{entry.name}`", "<br>".join(entry.differences)) for entry in losses]
    paths = (ROOT / "tests" / "losses" / "golden").glob("*.json")
    golden = [record for path in paths for record in json.loads(path.read_text(encoding="utf-8"))]
    versions = sorted({f"{record['library']} {record['version']}" for record in golden})
    return f"{_table(('loss', 'elsewhere'), rows)}\nRun with {', '.join(versions)}; others by their documentation.\n"


def own_loss() -> str:
    """Return the imports and the decorated loss of samples/my_losses.py."""
    source = (ROOT / "samples" / "my_losses.py").read_text(encoding="utf-8")
    code = "\n\n\n".join(_excerpts(ast.parse(source), source.splitlines()))
    return f"```python\n{code}\n```\n"


def _excerpts(module: ast.Module, lines: list[str]) -> Iterator[str]:
    imports = [node for node in module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    yield "\n".join(lines[imports[0].lineno - 1 : imports[-1].end_lineno])
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            yield "\n".join(lines[node.decorator_list[0].lineno - 1 : node.end_lineno])  # lineno: of `def`


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    cells = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


GENERATED = {"catalogue": catalogue, "elsewhere": elsewhere, "own loss": own_loss}


def main() -> int:
    """Rewrite README.md if it is not current, and print a message."""
    text = README.read_text(encoding="utf-8")
    current = fresh(text)
    if current == text:
        print("README.md is current")
        return 0
    README.write_text(current, encoding="utf-8")
    print("README.md is rewritten: read the difference before it is committed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
