"""Points over twelve decades, at which a user's function is looked at besides the points of the verdict."""

from __future__ import annotations

import math

import numpy as np

import lossctl
from lossctl import UNIT, Real
from lossctl.core.array_kinds import ProbabilityArrayKind
from lossctl.gradients.ordinary_points import draw_ordinary


def cut(pred: Real, target: Real):
    r = pred - target
    return r**2, np.clip(2 * r, -1e3, 1e3)


def test_a_gradient_that_is_wrong_where_numbers_are_large_fails() -> None:
    found = lossctl.gradcheck(cut, samples=300)
    assert not found.counts["wrong"]
    assert not found
    assert any(note.startswith("at 300 points over twelve decades, ") and "wrong" in note for note in found.notes)


def pseudo_huber(pred: Real, target: Real):
    r = pred - target
    return np.sqrt(1 + r**2) - 1, r / np.sqrt(1 + r**2)


def test_digits_that_are_lost_there_are_reported() -> None:
    found = lossctl.gradcheck(pseudo_huber, samples=300)
    assert found
    assert any("over twelve decades, no part of the verdict: " in note for note in found.notes)


def test_what_a_function_raises_there_is_reported() -> None:
    def log_cosh(pred: Real, target: Real):
        r = (pred - target).tolist()
        return np.array([math.log(math.cosh(x)) for x in r]), np.array([math.tanh(x) for x in r])

    found = lossctl.gradcheck(log_cosh, samples=300)
    assert found
    assert any("over twelve decades log_cosh raises OverflowError" in note for note in found.notes)


class RefinedKind(ProbabilityArrayKind):
    """A kind that only changes a message."""

    def cause(self, value: float) -> str:
        return super().cause(value) + "; refined"


def test_a_kind_that_refines_another_has_its_ordinary_points() -> None:
    """Predictions are the sigmoid of −8 to 8, not within 1e-12 of 0 and 1, as the kind draws them."""
    for kind in (ProbabilityArrayKind, RefinedKind):
        refined = kind("P", "a probability", UNIT, ("pixels...",))
        (pred,) = draw_ordinary([refined], 200, {"pixels...": 5}, [], np.random.default_rng(0))
        assert 3e-4 < pred.min() < pred.max() < 1 - 3e-4
