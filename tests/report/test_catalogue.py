"""``list`` and ``info``: the catalogue, the description of each loss, and its example command, which is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from lossctl import get_loss
from lossctl.cli.app import main
from lossctl.core.registry import registered
from lossctl.render import Style
from lossctl.render.table import table
from lossctl.report.catalogue import info_report, ordered, task_of
from lossctl.report.example_command import example

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[int, str, str]]:
    monkeypatch.chdir(ROOT)

    def run(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        return code, *capsys.readouterr()

    return run


def names(listed: tuple[int, str, str]) -> set[str]:
    """Return the names of losses in the output of list."""
    assert listed[0] == 0, listed[2]
    return {line.split()[0] for line in listed[1].splitlines() if line.startswith("  ")}


def rows(listed: tuple[int, str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listed[1])["losses"]
    return found


@pytest.mark.slow
def test_every_loss_has_one_line_under_its_task(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    _, out, _ = listed = run_command("list")
    assert names(listed) == set(registered())
    headings = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert len(headings) == len(set(headings))
    assert headings[0] == "regression"
    assert len(out.splitlines()) == len(registered()) + 2 * len(headings) - 1


@pytest.mark.slow
def test_most_lines_fit_on_a_narrow_terminal(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    """A long summary is cut at the end of a clause or, without clauses, wrapped; a pipe gets it whole."""
    _, out, _ = run_command("list")
    lines = out.splitlines()
    assert sum(len(line) > 80 for line in lines) < 0.25 * len(lines)


def test_what_is_cut_off_is_not_what_tells_losses_apart(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    listed = rows(run_command("list -f json"))
    for task in {row["task"] for row in listed}:
        gists = [row["gist"] for row in listed if row["task"] == task]
        assert len(gists) == len(set(gists)), task


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("pinball", {"quantile"}),
        ("charbonnier", {"pseudo_huber"}),
        ("PSEUDO-hub", {"pseudo_huber"}),
        ("l2", {"mse"}),
        ("squared margin", {"squared_hinge"}),
    ],
)
def test_words_are_looked_for_in_names_aliases_and_summaries(
    capsys: pytest.CaptureFixture[str], words: str, found: set[str]
) -> None:
    assert main(["list", words]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert found <= listed
    assert len(listed) < 6


def test_nothing_found_is_an_error_with_the_nearest_name(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    code, out, err = run_command("list pinbal1")
    assert (code, out) == (2, "")
    assert "no loss has 'pinbal1' in its name, aliases or summary; did you mean 'pinball'" in err


@pytest.mark.parametrize(
    ("task", "has", "has_not"),
    [
        ("regression", {"mse", "huber", "quantile", "mape"}, {"bce", "hinge", "nll", "kl_divergence"}),
        ("binary", {"bce", "bce_with_logits", "hinge"}, {"mse", "nll", "cosine_embedding"}),
        ("multiclass", {"nll", "sparse_softmax_cross_entropy", "softmax_cross_entropy"}, {"bce", "kl_divergence"}),
        ("distribution", {"kl_divergence", "wasserstein_1d"}, {"softmax_cross_entropy"}),
        ("segmentation", {"dice"}, {"bce"}),
    ],
)
@pytest.mark.slow
def test_for_helps_to_choose(
    run_command: Callable[[str], tuple[int, str, str]], task: str, has: set[str], has_not: set[str]
) -> None:
    found = names(run_command(f"list --for {task}"))
    assert has <= found
    assert not has_not & found
    assert {row["task"] for row in rows(run_command(f"list --for {task} -f json"))} == {task}


def test_a_wrong_task_is_told(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    code, out, err = run_command("list --for regresion")
    assert (code, out) == (2, "")
    assert "did you mean 'regression'?" in err


def test_options_narrow_each_other(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    assert names(run_command("list huber --for regression --family robust")) >= {"huber", "pseudo_huber"}
    assert run_command("list hinge --for regression --family robust")[0] == 2
    robust = {loss.name for loss in registered().values() if loss.family == "robust"}
    assert (
        names(run_command("list --family robust"))
        == names(run_command("list --for regression --family robust"))
        == robust
    )


def test_a_loss_of_ones_own_has_a_task() -> None:
    assert task_of(get_loss("samples/my_losses.py:cubic")) == "regression"


# --- info --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("huber", "gradient     with respect to pred; continuous"),
        ("mae", "gradient     with respect to pred; jumps at residual 0"),
        ("hinge", "gradient     with respect to pred; jumps at margin 1"),
        ("samples/my_losses.py:cubic", "gradient     none: the function returns the loss alone"),
        ("huber", "digits       value and gradient are right to 14 digits"),
        ("bce", "digits       right to 14 digits: the value everywhere, the gradient with targets 0 and 1; elsewhere"),
        ("dice", "example      echo 0.1,0.8,0.1,1,0,0 | lossctl compute dice - -p @1-3 -t @4-6"),
    ],
)
def test_gradient_and_digits(run_command: Callable[[str], tuple[int, str, str]], loss: str, told: str) -> None:
    code, out, _ = run_command(f"info {loss}")
    assert code == 0
    assert told in out


@pytest.mark.parametrize("name", registered())
@pytest.mark.slow
def test_a_small_curve_or_none(run_command: Callable[[str], tuple[int, str, str]], name: str) -> None:
    code, out, err = run_command(f"info {name}")
    assert (code, err) == (0, "")
    text, _, curve = out.partition("\n\n")
    assert "cryptic" not in text
    assert "relative to itself" not in text
    assert len(curve.splitlines()) in (0, *range(5, 11))


@pytest.mark.parametrize("name", registered())
@pytest.mark.slow
def test_info_fits_one_screen(name: str) -> None:
    """A terminal of 80 columns and 24 lines, with one line for the next prompt."""
    shown = "".join(table(info_report(get_loss(name), name), Style(width=80))).splitlines()
    assert max(map(cell_len, shown)) <= 80
    assert len(shown) <= 23, "\n".join(shown)


def test_a_family_says_itself_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """TASK in the file of a family has precedence over its inputs; in a user file TASK has no meaning."""
    loss = get_loss("contrastive")
    assert task_of(loss) == "pairs"
    monkeypatch.setitem(loss.kernel.__globals__, "TASK", "matching")
    assert task_of(loss) == "matching"
    assert ordered([loss, get_loss("dice"), get_loss("bce")])[1] is loss
    assert task_of(replace(loss, source="mine.py")) == "binary"


def test_an_example_has_something_to_lose() -> None:
    """The predictions of an example differ from the targets."""
    assert "0.1,0.8,0.1,1" in example(get_loss("sparse_categorical_cross_entropy"), "scce")
    assert example(get_loss("infonce"), "infonce").startswith("(echo 2,0.5,-1,0,1,1; echo 0.1,0.8,0.3,1,0,0) |")


@pytest.mark.parametrize("name", registered())
def test_the_example_is_right(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the example are valid inputs, read from a file."""
    monkeypatch.chdir(tmp_path)
    command = example(get_loss(name), name)
    made, _, line = re.split(r" (&&|\|) lossctl ", command)
    if made.startswith("python3 -c "):
        exec(shlex.split(made)[-1], {})  # noqa: S102 - the example is ours
    else:
        text = made.strip("()").replace("; ", "\n").replace("echo ", "")
        Path("rows.csv").write_text(text + "\n", encoding="utf-8")
    args = ["rows.csv" if word == "-" else word for word in shlex.split(line)]
    assert main(args) == 0, (command, capsys.readouterr().err)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[0] == name
    assert float(last[1]) != 0.0


@pytest.mark.parametrize("name", ["huber", "nll", "interval_score", "ctc"])
@pytest.mark.slow
def test_the_example_runs(name: str, tmp_path: Path) -> None:
    """The example command runs in a shell in an empty folder."""
    env = {"PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}
    command = example(get_loss(name), name)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
