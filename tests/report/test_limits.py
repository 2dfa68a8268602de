"""The result of ``--fail-above`` and ``--fail-below`` in every format, for losses and for groups."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from lossctl.cli.app import main

ROOT = Path(__file__).parents[2]
FOREST = "samples/diabetes.csv -p forest -t target"
Run: TypeAlias = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(ROOT)

    def call(line: str) -> tuple[int, str, str]:
        code = main(shlex.split(line))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(("limit", "code"), [(47, 0), (45, 1)])
def test_every_format_has_the_result(run: Run, limit: int, code: int) -> None:
    line = f"compute mae,mse {FOREST} --fail-above mae={limit}"
    passed, word = not code, "FAIL" if code else "ok"
    for form in ("table", "markdown", "json", "jsonl", "csv", "tsv", "html", "github", "junit", "value"):
        done = run(f"{line} -f {form}")
        assert done[0] == code, form
        assert bool(done[2]) == bool(code)
    document = json.loads(run(f"{line} -f json")[1])
    assert document["passed"] is passed
    assert [(row["limit"], row["passed"]) for row in document["limits"]] == [(limit, passed)]
    assert [(row["fail_above"], row["passed"]) for row in document["losses"]] == [(limit, passed), (None, None)]
    rows = [*csv.DictReader(io.StringIO(run(f"{line} -f csv")[1]))]
    assert [row["passed"] for row in rows] == [str(passed).lower(), ""]
    markdown = run(f"{line} -f markdown")[1]
    assert markdown.splitlines()[-1].split("|")[1:5] == [f" mae ≤ {limit} ", " 46.0191 ", f" {limit} ", f" {word} "]
    assert run(f"{line} -f table")[1].splitlines()[-1].split() == ["mae", "≤", str(limit), "46.0191", str(limit), word]


def test_without_limits_nothing_is_said(run: Run) -> None:
    document = json.loads(run(f"compute mae {FOREST} -f json")[1])
    assert not {"passed", "limits"} & {*document, *document["losses"][0]}


def test_each_group_has_a_limit(run: Run) -> None:
    code, out, err = run(f"breakdown mae {FOREST} --by group --fail-above 47 -f json")
    document = json.loads(out)
    assert (code, document["passed"]) == (1, False)
    assert [(row["group"], row["passed"]) for row in document["groups"]] == [("a", False), ("b", True)]
    assert err.startswith("lossctl: mae of group a 47.9")
    assert run(f"breakdown mae {FOREST} --by group --fail-above 48 --fail-below 43 -q")[0] == 0


def test_a_breakdown_has_a_limit(run: Run) -> None:
    code, out, err = run(f"breakdown mae {FOREST} --fail-below 47 -f json")
    document = json.loads(out)
    assert (code, document["passed"], len(document["worst"])) == (1, False, 10)
    assert "is below 47" in err


def test_many_groups_fail_in_a_few_lines(run: Run, tmp_path: Path) -> None:
    """All groups are checked, though a table for people shows 20; a group of weight 0 has no value to check."""
    rows = "".join(f"{i},0,{i},1\n" for i in range(1, 41)) + "9,0,none,0\n"
    (tmp_path / "g.csv").write_text(f"p,t,g,w\n{rows}")
    code, _, err = run(f"breakdown mae {tmp_path}/g.csv -p p -t t -w w --by g --fail-above 5")
    assert code == 1
    failures = [line for line in err.splitlines() if line.startswith("lossctl:")]
    assert len(failures) == 11
    assert failures[-1] == "lossctl: 25 more values beyond a limit"
    assert "none" not in "".join(failures)


def test_compare_says_whether_it_passed(run: Run) -> None:
    line = "compare mse samples/diabetes.csv -p ridge -p forest -t target --fail-if-worse"
    code, out, _ = run(line)
    assert (code, out.splitlines()[-1]) == (
        0,
        "ok: mse: forest is not shown to be worse than ridge: 95 % interval -122.655 to 480.506",
    )
    assert json.loads(run(f"{line} -f json")[1])["passed"] is True
