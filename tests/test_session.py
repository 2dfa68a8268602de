"""The README's picture of a session shows the present output, and the worked example works."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from types import ModuleType

import draw_session as session
import numpy as np
import pytest

from lossctl import get_loss
from lossctl.cli.app import main


def test_the_picture_is_current() -> None:
    assert session.PICTURE.read_text(encoding="utf-8") == session.drawn(), "stale: python tests/scripts/draw_session.py"


def test_the_picture_is_all_there() -> None:
    """The SVG has each line of the output and loads no external files."""
    svg = session.PICTURE.read_text(encoding="utf-8")
    shown = "".join(ET.fromstring(svg).itertext()).replace("\xa0", " ")
    for command in session.COMMANDS:
        assert f"$ {command}" in shown
    assert "hint: given ÷ numeric is 0.5 at every sample" in shown
    assert "url(http" not in svg
    assert "@import" not in svg


@pytest.mark.slow
def test_a_stale_picture_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = session.drawn()
    monkeypatch.setattr(session, "ran", lambda command: "another value\n")
    assert session.drawn() != before


@pytest.fixture(scope="module")
def descent() -> ModuleType:
    spec = importlib.util.spec_from_file_location("descent", session.ROOT / "samples" / "gradient_descent.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_choice_of_a_loss_decides_the_line(descent: ModuleType) -> None:
    """With mse outliers move the fitted line; with mae and huber it stays with the points."""
    x, y = descent.points()
    far = {}
    for name in ("mse", "mae", "huber"):
        slope, intercept, history = descent.fit(get_loss(name), x, y)
        assert history[-1] < history[0]
        far[name] = np.hypot(slope - descent.SLOPE, intercept - descent.INTERCEPT)
    assert far["mse"] > 1.0
    assert far["mae"] < 0.15
    assert far["huber"] < 0.2


@pytest.mark.slow
def test_under_mse_it_ends_at_least_squares(descent: ModuleType) -> None:
    x, y = descent.points()
    assert descent.fit(get_loss("mse"), x, y)[:2] == pytest.approx(np.polyfit(x, y, 1), abs=1e-3)


@pytest.mark.slow
def test_the_example_prints_what_it_found(descent: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    descent.main()
    out = capsys.readouterr().out
    assert out.count("\n") == 9
    assert "huber:delta=1" in out


def test_the_picture_s_commands_do_what_they_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(session.ROOT)
    codes = [main(command.split()[1:]) for command in session.COMMANDS]
    capsys.readouterr()
    assert codes == [0, 1]
