"""HTML pages: well-formed, without the network, whatever the names in the data."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lossctl.cli.app import main
from lossctl.render import Style
from lossctl.render.html_page import html
from lossctl.report import Column, Panel, Report, Table

ROOT = Path(__file__).parents[2]
PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
COMMANDS = [
    f"compute mse,rmse {PAIR} --fail-above mse=1",
    f"breakdown mse {PAIR}",
    "breakdown huber samples/diabetes.csv -p ridge -t target --by group",
    "compare mse,mae samples/diabetes.csv -p ridge -p forest -t target",
    f"gradcheck samples/my_losses.py:wrong_grad {PAIR}",
    "plot bce samples/cancer.csv -p prob -t label",
    "info huber",
    "list --family binary",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The elements of a page; fails on a tag that is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Run a command with ``-f html`` and return the page."""
    monkeypatch.chdir(ROOT)

    def run(line: str) -> str:
        assert main([*shlex.split(line), "-f", "html"]) in (0, 1)
        return capsys.readouterr().out

    return run


def assert_alone(read: Page) -> None:
    """Check that a page has one script and one style of its own, and no reference to anything outside."""
    assert read.tags.count("script") == 1
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(read.tags)
    for _, name, value in read.attributes:
        assert name not in ("src", "srcset", "action", "formaction", "data", "background")
        assert not name.startswith("on")
        assert name not in ("href", "xlink:href") or value.startswith("#")
        assert name.startswith("xmlns") or "//" not in value


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.slow
def test_a_page_is_well_formed_and_alone(line: str, page: Callable[[str], str]) -> None:
    text = page(line)
    read = Page(text)
    assert_alone(read)
    assert "url(http" not in text
    assert "@import" not in text
    assert len(text) < 200_000
    assert f"lossctl {line} -f html" in "".join(read.words)
    assert {"prefers-color-scheme: dark", "@media print"} <= {
        part for part in ("prefers-color-scheme: dark", "@media print") if part in text
    }
    if line.startswith(("breakdown", "compare", "plot", "info")):
        pytest.importorskip("matplotlib")
        assert read.tags.count("svg") == 1
        assert "currentColor" in text


def test_inputs_have_digests(page: Callable[[str], str]) -> None:
    text = page(f"compute mse {PAIR}")
    for name in PAIR.split():
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() in text
    assert re.search(r"lossctl \d+\.\d+\.\d+, numpy \d", text)


HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> & \x1b[31m "\'> </title></style> $x^2$'


def test_names_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Names in titles, headings, cells, drawings, notes and the command are escaped wherever they stand."""
    columns = [Column(HOSTILE, "text"), Column("verdict", "verdict"), Column("x"), Column("bar", "bar", label="")]
    report = Report(
        schema="t/1",
        tables=[Table("t", columns, [(HOSTILE, HOSTILE, 1.0, 0.5), (None, "FAIL", None, 0.0)], title=HOSTILE)],
        title=HOSTILE,
        sections={HOSTILE: [HOSTILE]},
        closing=[HOSTILE],
        panels=[[Panel(HOSTILE, HOSTILE, [0.0, 1.0], [(HOSTILE, [0.0, 1.0]), ("b", [1.0, 0.0])], (0.0, 1.0))]],
        facts={"sources": [HOSTILE]},
        notes=[HOSTILE],
        failures=[HOSTILE],
        command=HOSTILE,
    )
    text = "".join(html(report, Style()))
    read = Page(text)
    assert_alone(read)
    assert "img" not in read.tags
    assert "\x1b" not in text
    assert "".join(read.words).count('<script>alert("x")</script>') >= 9


def test_without_matplotlib_a_picture_is_text(monkeypatch: pytest.MonkeyPatch, page: Callable[[str], str]) -> None:
    monkeypatch.setattr("lossctl.render.html_page.find_spec", lambda name: None)
    read = Page(page("plot mae,huber"))
    assert "pre" in read.tags
    assert "pip install matplotlib" in "".join(read.words)


def test_cells_carry_the_numbers_that_they_sort_by(page: Callable[[str], str]) -> None:
    read = Page(page(f"breakdown mse {PAIR}"))
    values = [value for tag, name, value in read.attributes if (tag, name) == ("td", "data-value")]
    assert "24895.380398190797"[:8] in "".join(values)
    assert all(value == "" or float(value) == float(value) for value in values)
