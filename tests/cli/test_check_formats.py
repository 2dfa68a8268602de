"""``-f junit`` and ``-f github``: gradient checks and limits as a test report, and as annotations with a summary."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import pytest

from lossctl.cli.app import main
from lossctl.errors import printable
from lossctl.render import Style
from lossctl.render.checks import github, junit
from lossctl.report import Check, Report

ROOT = Path(__file__).parents[2]
WRONG = "samples/my_losses.py:wrong_grad"
LIMITS = "compute mae,rmse samples/diabetes.csv -p forest -t target --fail-above mae=45 --fail-above rmse=60"
HINT = "given ÷ numeric is 0.5 at every sample: a factor of 2 is missing"
LINE = (ROOT / "samples/my_losses.py").read_text(encoding="utf-8").split("def wrong_grad")[0].count("\n") + 1

Cli: TypeAlias = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def run(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return run


def commands(text: str) -> list[tuple[dict[str, str], str]]:
    """Read workflow commands as actions/runner does: properties and message of each."""

    def plain(value: str) -> str:
        for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            value = value.replace(code, character)
        return value

    read = [re.fullmatch(r"::error (.*?)::(.*)", line) for line in text.splitlines()[:-1]]
    return [
        ({name: plain(v) for name, v in (p.split("=", 1) for p in m[1].split(","))}, plain(m[2])) for m in read if m
    ]


def test_junit_of_a_gradient_check(cli: Cli) -> None:
    code, out, _ = cli(f"gradcheck {WRONG},mse -f junit")
    suites = ET.fromstring(out)
    wrong, right = suites.iter("testcase")
    assert code == 1
    assert suites.attrib == {"name": "lossctl", "tests": "2", "failures": "1", "errors": "0"}
    assert wrong.attrib == {
        "classname": "lossctl.gradcheck",
        "name": "wrong_grad",
        "file": "samples/my_losses.py",
        "line": str(LINE),
    }
    assert right.attrib == {"classname": "lossctl.gradcheck", "name": "mse"}
    (failure,) = wrong
    assert failure.attrib == {"message": HINT}
    lines = str(failure.text).splitlines()
    assert lines[:2] == [HINT, "gradient check of wrong_grad: FAIL (70 ok, 1,930 wrong of 2,000 coordinates)"]
    assert re.fullmatch(r"  sample \d+: given \S+, numeric \S+ ± \S+", lines[2])
    assert lines[-1] == f"samples/my_losses.py:{LINE}"
    assert not len(right)


def test_github_of_a_gradient_check(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is absolute, wherever lossctl runs; each run appends to the summary of the step."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    code, out, _ = cli(f"gradcheck {WRONG},mse -f github")
    ((properties, message),) = commands(out)
    assert (code, out.splitlines()[-1]) == (1, "2 checks, 1 failed")
    path = str(ROOT / "samples/my_losses.py")
    assert properties == {"file": path, "line": str(LINE), "title": "lossctl.gradcheck: wrong_grad"}
    assert message.startswith(f"{HINT}\ngradient check of wrong_grad: FAIL (70 ok")
    assert cli(f"{LIMITS} -f github")[0] == 1
    text = summary.read_text(encoding="utf-8")
    assert f"hint: {HINT}\n\n" in text
    assert "148 samples" in text.partition(HINT)[2]
    assert text.endswith("\n\nmae 46.01913850634746 is above 45 by 1.01914\n\n")


def test_limits_are_checks(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli(f"{LIMITS} -f junit")
    cases = {case.attrib["name"]: [f.attrib["message"] for f in case] for case in ET.fromstring(out).iter("testcase")}
    assert code == 1
    assert cases == {"mae ≤ 45": ["mae 46.01913850634746 is above 45 by 1.01914"], "rmse ≤ 60": []}
    assert "lossctl: mae 46.01913850634746 is above 45 by 1.01914\n" in err
    code, out, _ = cli(
        "compute samples/my_losses.py:cubic samples/diabetes.csv -p forest -t target --fail-below 1e9 -f github"
    )
    ((properties, message),) = commands(out)
    assert (code, properties["title"]) == (1, "lossctl.compute: cubic ≥ 1000000000")
    assert properties["file"].endswith("samples/my_losses.py")
    assert " is below 1000000000 by " in message
    report = tmp_path / "report.xml"
    compared = "compare mse samples/diabetes.csv -p forest -p ridge -p ridge -t target --fail-if-worse"
    assert cli(f"{compared} -o {report}") == (0, "", "")
    names = [case.attrib["name"] for case in ET.parse(report).iter("testcase")]
    assert names == ["mse: ridge not worse than forest"] * 2


def test_a_gradient_function_has_its_own_line(cli: Cli) -> None:
    line = "gradcheck mse samples/diabetes.csv -p ridge -t target --grad samples/my_losses.py:squared_objective"
    first, second = ET.fromstring(cli(f"{line} -f junit")[1]).iter("testcase")
    assert (first.attrib["name"], second.attrib["name"]) == ("mse", "mse second derivative")
    assert first.attrib["line"] == second.attrib["line"]
    assert first.attrib["file"] == "samples/my_losses.py"


@pytest.mark.parametrize(
    "line",
    [
        "compute mse samples/diabetes.csv -p forest -t target -f junit",
        "compute mse samples/diabetes.csv -p forest -t target -o report.xml",
        "compare mse samples/diabetes.csv -p forest -p ridge -t target -f github",
        "list -f junit",
        "grad mse samples/diabetes.csv -p forest -t target -f github",
    ],
)
def test_there_must_be_something_to_check(cli: Cli, line: str) -> None:
    code, out, err = cli(line)
    assert (code, out) == (2, "")
    assert re.search("^lossctl: .*format (junit|github)", err)
    assert err.count("\n") == 1


def test_a_summary_that_cannot_be_written(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/no/such/folder")
    code, _, err = cli("gradcheck mse -f github")
    assert (code, err) == (2, "lossctl: GITHUB_STEP_SUMMARY /no/such/folder: no such file or directory\n")


HOSTILE = [
    "<b>&amp;]]><!--",
    "\x00\x01\x08\x0b\x1b[31m\x7f\x9b",
    "\u202eevil\u2066\u200b\ufeff",
    "\ufffe\uffff\ud800\U000e0001",
    "a\r\n::set-env name=PATH::/evil",
    "%0A::error::%3A, file=/etc/passwd,line=1",
    "'\"\t£ü漢🙂",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_from_outside(text: str) -> None:
    """Any text reads back as its printable form, and ends neither an element, a line nor a command."""
    check = Check(text, f"{text}!", [f"{text}?"], (f"/{text}.py", 7))
    report = Report("lossctl.gradcheck/1", checks=[check, Check(text)])
    shown = printable(text)
    document = "".join(junit(report, Style()))
    document.encode("ascii")
    first, second = ET.fromstring(document).iter("testcase")
    assert first.attrib["name"] == second.attrib["name"] == shown
    assert first.attrib["file"] == f"/{shown}.py"
    assert first[0].attrib["message"] == f"{shown}!"
    assert first[0].text == f"{shown}!\n{shown}?\n/{shown}.py:7"
    lines = "".join(github(report, Style()))
    ((properties, message),) = commands(lines)
    assert lines.count("\n") == 2
    assert "".join(lines.split("\n")).isprintable()
    assert properties == {"file": f"/{shown}.py", "line": "7", "title": f"lossctl.gradcheck: {shown}"}
    assert message == first[0].text
