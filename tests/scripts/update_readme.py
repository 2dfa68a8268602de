"""Update outputs and generated parts of the pages for users: ``python tests/scripts/update_readme.py``.

The pages are the README of the repository, of ``lossctl/losses``, ``lossctl/io`` and ``lossctl/gradients``.

- In ``console`` blocks a line that begins with ``$ `` is a command, and the lines below it are its output, stdout and
  stderr in the order of writing.
- The text between ``<!-- catalogue -->`` and ``<!-- /catalogue -->``, and between the other names in ``PAGES``, is
  generated from the registry or from the samples.

Python blocks with ``>>>`` are doctests, written by hand. ``tests/test_readme.py`` fails if any part is not current.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from lossctl.conventions import prose
from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.report.catalogue import for_each, heading_of, ordered

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
LOSSES, READS, GRADIENTS = (ROOT / "lossctl" / folder / "README.md" for folder in ("losses", "io", "gradients"))
TUTORIAL = ROOT / "samples" / "README.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^\$ (?P<command>.*)\n(?P<output>(?:(?!\$ ).*\n)*?)(?P<gap>\n*)(?=\$ |\Z)", re.MULTILINE)
# Numbers with all digits; the last ones may differ, because exp and log depend on the processor.
_FULL = re.compile(r"\d+\.\d{10,}(?:e[+-]?\d+)?")
# A command of lossctl without anything that a shell would interpret.
_ALONE = re.compile(r"lossctl [\w\s./:,=+%@-]+")
# Tools outside POSIX that commands use; a command is not run if its tool is not installed.
_OPTIONAL = ("jq",)
# Losses whose definitions differ most often between libraries; `lossctl info` has them all.
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
    """Return a tool or a framework that the command needs and that is not installed, or None."""
    framework = re.search(r"--framework (\w+)", command)
    if framework and find_spec(framework[1]) is None:
        return framework[1]
    return next((tool for tool in _OPTIONAL if f"{tool} " in command and not shutil.which(tool)), None)


class Ran(NamedTuple):
    """The outcome of a command."""

    output: str
    code: int


def run(command: str) -> Ran:
    """Run a command without a terminal, in a folder with the ``samples`` of the repository.

    A command of lossctl alone runs in this process, because a start takes longer than most commands. Others run in a
    shell, which finds the ``lossctl`` installed beside this interpreter, and none of the caller's settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "samples").symlink_to(ROOT / "samples")
        return _run_here(command, folder) if _ALONE.fullmatch(command) else _run_shell(command, folder)


def _run_here(command: str, folder: str) -> Ran:
    from lossctl.cli.app import main

    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True)
    with contextlib.chdir(folder), contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        code = main(shlex.split(command)[1:])
    return Ran(written.buffer.getvalue().decode(), code)  # type: ignore[attr-defined]


def _run_shell(command: str, folder: str) -> Ran:
    scripts = Path(sysconfig.get_path("scripts"))
    if not (scripts / "lossctl").exists():
        raise FileNotFoundError(f"{scripts} has no lossctl: pip install . first")
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


def fresh(text: str, generated: Mapping[str, Callable[[], str]]) -> str:
    """Return the text of a page with current outputs and generated parts."""
    text = _BLOCK.sub(_rerun, text)
    for name, make in generated.items():
        text = filled(text, name, make())
    return text


def filled(text: str, name: str, content: str) -> str:
    """Return the text with this content between the marks of that name."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not end or start in after:
        raise ValueError(f"the page needs one block <!-- {name} --> … <!-- /{name} -->")
    return before + start + content + end + after


def _rerun(block: re.Match[str]) -> str:
    language, content = block.groups()
    return f"```{language}\n{_STEP.sub(_again, content)}```" if language == "console" else block[0]


def _again(step: re.Match[str]) -> str:
    command, written, gap = step.groups()
    output = written if missing_tool(command) else run(command).output
    return f"$ {command}\n{written if same(written, output) else output}{gap}"


def catalogue() -> str:
    """Return a table of the losses for each family, in the order of ``lossctl list``, and the kinds of inputs."""
    losses = ordered([*registered().values()])
    parts = []
    for heading, members in groupby(losses, key=heading_of):
        group = [*members]
        family = inspect.getdoc(sys.modules[group[0].kernel.__module__]) or ""
        rows = [(_names(entry), _definition(entry), _parameters(entry)) for entry in group]
        first = " ".join(family.split("\n\n")[0].split())
        parts.append(f"### {heading}\n\n{first}\n\n{_table(('loss', 'definition', 'parameters'), rows)}\n")
    kinds = [spec.kind for entry in losses for spec in entry.inputs]
    meanings = "".join(dict.fromkeys(f"- {kind.name}: {kind.words}{for_each(kind.core)}\n" for kind in kinds))
    return f"{''.join(parts)}### Kinds of inputs\n\n{meanings}"


def _names(entry: Loss) -> str:
    return "<br>".join((f"`{entry.name}`", *(f"= `{alias}`" for alias in entry.aliases)))


def _definition(entry: Loss) -> str:
    kinds = ", ".join(spec.kind.name for spec in entry.inputs)
    return f"{entry.summary}<br>`{entry.formula}`<br>of {kinds}"


def _parameters(entry: Loss) -> str:
    return "<br>".join(f"`{p.name}={p.show(p.default)}`" for p in entry.parameters)


def elsewhere() -> str:
    """Return the list of different definitions in other libraries, and the versions compared."""
    losses: list[Loss] = [registered()[name] for name in DISPUTED]
    texts = [(entry.name, [*entry.differences, *prose.elsewhere(entry.name, entry.differences)]) for entry in losses]
    rows = [(f"`{name}`", "<br>".join(lines)) for name, lines in texts]
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


# The generated parts of each page.
PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"own loss": own_loss},
    LOSSES: {"catalogue": catalogue, "elsewhere": elsewhere},
    READS: {},
    GRADIENTS: {},
    TUTORIAL: {},
}


def main() -> int:
    """Rewrite the pages that are not current, and print a message for each."""
    for path, generated in PAGES.items():
        text = path.read_text(encoding="utf-8")
        current = fresh(text, generated)
        if current != text:
            path.write_text(current, encoding="utf-8")
        state = "is current" if current == text else "is rewritten: read the difference before it is committed"
        print(f"{path.relative_to(ROOT)} {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
