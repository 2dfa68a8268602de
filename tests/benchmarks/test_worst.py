"""Losses keep all digits at the points of tests/benchmarks/worst.py, where common formulas lose them."""

from __future__ import annotations

import numpy as np
import pytest
import worst
from hard import POINTS, Points

import lossctl

# What is left of 1 where two vectors are all but parallel, 1e-18, is told by their last digits alone.
LEFT = {"cosine_distance": 1e-6}


@pytest.mark.parametrize("points", POINTS, ids=lambda points: f"{points.loss}, {points.where}")
def test_lossctl_keeps_its_digits_where_others_do_not(points: Points) -> None:
    loss, inputs = lossctl.get_loss(points.loss), list(points.inputs.values())
    values, slopes = worst._right(points)
    bound = LEFT.get(loss.name, 1e-14)
    assert worst._worst(loss.value(*inputs), values) <= bound
    assert not worst._worst(loss.gradient(*inputs), slopes) > bound  # nan: infinite losses have none


def test_a_digit_that_is_lost_is_shown() -> None:
    points = POINTS[0]
    naive = np.log(np.cosh(points.inputs["p"]))
    assert worst._worst(naive, worst._right(points)[0]) > 0.01


def test_libraries_that_are_missing_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worst, "MODULES", dict.fromkeys(worst.MODULES, ("no_such_module",)))
    monkeypatch.setattr(worst, "POINTS", POINTS[:1])
    worst.compared()
    out = capsys.readouterr().out
    assert "not installed: torch, keras, optax, scikit-learn" in out
    assert "log_cosh, tiny residuals, gradient" in out
