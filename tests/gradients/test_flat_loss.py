"""A gradient of 0, or one that underflow hides, is not verified by differences that show nothing."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Real

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(2, 60)) * 3.0


def _power(p: float, factor: float):
    def loss(pred: Real, target: Real):
        r = pred - target
        return np.abs(r) ** p, factor * p * np.sign(r) * np.abs(r) ** (p - 1)

    return loss


@pytest.mark.parametrize("power", [2.0, 3.0])
@pytest.mark.parametrize("unit", [1e-320, 1e-310, 1e-300, 1e-160])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_loss_that_underflows_verifies_nothing(power: float, unit: float, factor: float) -> None:
    result = lossctl.gradcheck(_power(power, factor), X * unit, T * unit)
    assert not result
    assert not result.counts["wrong"]
    assert result.notes


def test_a_loss_that_does_not_underflow_is_judged_at_subnormal_distance() -> None:
    assert lossctl.gradcheck(_power(1.0, 1.0), X * 1e-300, T * 1e-300)
    assert lossctl.gradcheck(_power(1.0, 0.5), X * 1e-300, T * 1e-300).counts["wrong"] == 60
    assert lossctl.gradcheck(_power(2.0, 0.5), X * 1e-153, T * 1e-153).counts["wrong"] == 60
    assert lossctl.gradcheck(_power(2.0, 1.0), X * 1e-153, T * 1e-153)


def rounded(pred: Real, target: Real):
    return (np.round(pred) - target) ** 2, np.zeros_like(pred)


def floored_batch(pred: Real, target: Real):
    r = np.floor(pred) - target
    return np.abs(r - r.mean()), np.zeros_like(pred)


def zero_one(pred: Logits, target: Label):
    return (pred.argmax(axis=1) != target).astype(float), np.zeros_like(pred)


@pytest.mark.parametrize("function", [rounded, floored_batch, zero_one])
@pytest.mark.parametrize("drawn", [False, True])
def test_a_staircase_is_unresolved(function, drawn: bool) -> None:
    z, labels = RNG.normal(size=(60, 4)), RNG.integers(0, 4, 60)
    data = () if drawn else (z, labels) if function is zero_one else (X, T)
    result = lossctl.gradcheck(function, *data)
    assert not result
    assert result.counts["unresolved"] + result.counts["undefined"] == result.checked  # ties jump
    assert any("jumps between points" in note for note in result.notes)


def test_wide_rows_of_a_staircase_are_unresolved() -> None:
    z = RNG.normal(size=(20, 200))
    assert not lossctl.gradcheck(zero_one, z, z.argmax(axis=1))


def hinge(pred: Real, target: Real):
    return np.maximum(0.0, 1.0 - pred), np.where(pred < 1.0, -1.0, 0.0)


def test_a_loss_that_is_flat_where_the_points_are_passes() -> None:
    """It rises without a jump further away."""
    assert lossctl.gradcheck(hinge, np.abs(X) + 1.5, T)
