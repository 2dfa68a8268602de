"""The pages for users: outputs, generated tables, workflows and rules that they show are those of lossctl now."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import typer.main
import update_readme as readme
import yaml
from needs import needs

from lossctl.cli import app
from lossctl.core.registry import registered
from lossctl.io import formats
from lossctl.render import FORMATS

README = readme.README.read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in readme.PAGES}
TEXT = "\n".join(PAGES.values())
SAMPLES = (readme.ROOT / "samples" / "README.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app.build()).commands  # type: ignore[attr-defined]
EXIT_CODES = (0, 1, app.BAD_INPUT, app.BUG, app.INTERRUPTED, 128 + signal.SIGPIPE)
TO_TRY = [line for block in readme.blocks(SAMPLES, "sh") for line in block.splitlines() if line.startswith("lossctl ")]


def needed(command: str) -> None:
    """Skip the test if the command needs a tool that is not installed."""
    if tool := readme.missing_tool(command):
        pytest.skip(f"{tool} is not installed")


# --- what is shown is what happens ---


def marks_of(command: str) -> Any:
    if "--framework torch" in command:
        return needs("torch")
    return pytest.mark.slow if "gradient_descent" in command else ()  # thousands of steps


@pytest.mark.parametrize(
    ("command", "output"), [pytest.param(*step, marks=marks_of(step.command)) for step in readme.steps(TEXT)]
)
def test_the_output_shown_is_the_output(command: str, output: str) -> None:
    needed(command)
    now = readme.run(command).output
    assert readme.same(output, now), f"stale: python tests/scripts/update_readme.py\n{now}"


def test_every_line_of_a_console_block_belongs_to_a_command() -> None:
    assert all(block.startswith("$ ") for block in readme.blocks(TEXT, "console"))


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, parts in readme.PAGES.items() for name in parts])
def test_generated_parts_are_current(path: Path, name: str) -> None:
    assert f"<!-- {name} -->\n{readme.PAGES[path][name]()}<!-- /{name} -->" in PAGES[path], (
        "stale: python tests/scripts/update_readme.py"
    )


def test_python_blocks_run_as_doctests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(readme.ROOT)
    said: list[str] = []
    session = "\n".join(block for block in readme.blocks(TEXT, "python") if block.startswith(">>> "))
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", None, None)
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert result.attempted > 5
    assert not result.failed, "".join(said)


@pytest.mark.parametrize("command", TO_TRY)
@pytest.mark.slow
def test_the_commands_that_the_samples_suggest_work(command: str) -> None:
    ran = readme.run(command)
    assert ran.code == 0, ran.output


# --- these tests can fail ---


def test_a_stale_output_is_noticed() -> None:
    """A changed digit, an additional line and a missing table row are detected, and the script corrects them."""
    command = "lossctl compute mse samples/diabetes_preds.csv samples/diabetes_targets.csv"
    true = readme.run(command).output
    assert "3106.35" in true
    for stale in (true.replace("3106.35", "3106.36"), true + "note: none\n", "", true.replace("148", "147", 1)):
        text = f"```console\n$ {command}\n{stale}\n$ true\n```\n"
        step, silent = readme.steps(text)
        assert step == (command, stale)
        assert silent == ("true", "")
        assert not readme.same(step.output, true)
        assert readme.fresh(text, {}) == f"```console\n$ {command}\n{true}\n$ true\n```\n"


def test_a_shell_and_this_process_print_the_same() -> None:
    command = "lossctl compute hinge samples/cancer_margins.csv samples/cancer_targets.csv"
    here = readme.run(command)
    assert here.code == app.BAD_INPUT
    assert readme.run(f"true && {command}") == here


def test_a_stale_part_is_noticed() -> None:
    page = PAGES[readme.LOSSES]
    stale = page.replace("`delta=1`", "`delta=2`")
    assert stale != page
    assert readme.filled(stale, "catalogue", readme.catalogue()) == page
    with pytest.raises(ValueError, match="needs one block"):
        readme.filled(page.replace("<!-- catalogue -->", ""), "catalogue", "")


def test_only_the_last_digits_of_full_numbers_may_differ() -> None:
    assert readme.same("mse 3106.345132808906\n", "mse 3106.345132808911\n")
    assert not readme.same("mse 3106.345132808906\n", "mse 3106.345132818906\n")
    assert not readme.same("mse 3106.35\n", "mse 3106.36\n")
    assert not readme.same("1.054e-12\n", "1.055e-12\n")


# --- nothing is left out, and nothing is made up ---


@pytest.mark.parametrize("name", registered())
def test_every_loss_is_named(name: str) -> None:
    assert re.search(rf"^\| `{name}`(<br>| \|)", PAGES[readme.LOSSES], re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_named(name: str) -> None:
    assert f"lossctl {name} " in TEXT or f"lossctl {name}`" in TEXT


@pytest.mark.parametrize("code", EXIT_CODES)
def test_every_exit_code_is_explained(code: int) -> None:
    assert f"| `{code}` |" in TEXT


def test_every_format_is_named() -> None:
    for name in formats.FORMATS:
        assert f"| `.{name}` |" in TEXT
    for name in FORMATS:
        assert f"`{name}`" in TEXT


def test_commands_and_options_exist() -> None:
    options = {"--help", "--install-completion"} | {
        option for command in COMMANDS.values() for p in command.params for option in p.opts + p.secondary_opts
    }
    for text in (TEXT, SAMPLES):
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        code = "\n".join([*(step.command for step in readme.steps(text)), *readme.blocks(text, "sh"), *spans])
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)) <= options
        assert set(re.findall(r"\blossctl (\w+)", code)) <= set(COMMANDS)


def test_files_exist() -> None:
    named = {Path(path) for text in (TEXT, SAMPLES) for path in re.findall(r"\b(?:samples|tests)/[\w/]+\.\w+", text)}
    assert named
    assert [str(path) for path in named if not (readme.ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "path", sorted(readme.ROOT.glob("*.md")) + sorted(readme.ROOT.glob("[lts]*/**/README.md")), ids=str
)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), link
        assert not anchor or anchor in _anchors(page.read_text(encoding="utf-8")), link


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    """A reader sees all of it; details are in the other pages."""
    assert len(README.encode()) <= 14 * 1024


def test_sentences_are_short() -> None:
    prose = re.sub(r"^```.*?^```$|^\|.*$|^#.*$|<!--.*?-->", "\n", README, flags=re.MULTILINE | re.DOTALL)
    paragraphs = re.split(r"\n\s*\n|^- ", prose, flags=re.MULTILINE)
    sentences = [s for paragraph in paragraphs for s in re.split(r"(?<=[.?!:;])\s+|·", paragraph)]
    assert [s for s in sentences if len(s.split()) > 30] == []


# --- what is shown for CI works ---


def test_the_workflow_works() -> None:
    (block,) = readme.blocks(README, "yaml")
    steps = [step["run"] for step in yaml.safe_load(block)["jobs"]["loss"]["steps"] if "run" in step]
    assert steps[0].startswith("pip install ")
    for command in steps[1:]:
        assert readme.run(command).code == 0


def test_the_rule_of_make_works(tmp_path: Path) -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    (block,) = readme.blocks(README, "make")
    (tmp_path / "samples").symlink_to(readme.ROOT / "samples")
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}

    def make(rule: str) -> int:
        (tmp_path / "Makefile").write_text(rule)
        return subprocess.run(["make"], cwd=tmp_path, env=environment, capture_output=True, check=False).returncode

    assert make(block) == 0
    assert (tmp_path / "loss.json").exists()
    (tmp_path / "loss.json").unlink()
    assert make(block.replace("4000", "4")) != 0
    assert not (tmp_path / "loss.json").exists()


def test_the_test_of_pytest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(readme.ROOT)
    (block,) = (b for b in readme.blocks(README, "python") if "assert_gradient" in b)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  what the reader is asked to paste
    names["test_asym"]()


def test_the_two_lines_to_paste_are_there() -> None:
    """Both lines are in a block of their own; .ci/run finds the second with a regular expression."""
    install = (
        "python3 -m venv .venv && . .venv/bin/activate && pip install . && "
        "lossctl compute mse samples/diabetes_preds.csv samples/diabetes_targets.csv\n"
    )
    assert install in readme.blocks(README, "sh")
    assert ". .venv/bin/activate && pip install '.[test]' && pytest\n" in readme.blocks(README, "sh")
    assert re.findall(r"^\. \.venv/bin/activate && (.*pytest)$", README, re.MULTILINE) == [
        "pip install '.[test]' && pytest"
    ]
    assert readme.run(install.rpartition(" && ")[2].strip()).code == 0
