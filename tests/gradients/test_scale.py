"""Verdicts do not depend on units, nor on the noise of a large batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lossctl
from lossctl import Real

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=60) * 3.0, RNG.normal(size=60)
X[:5] = T[:5]  # ties
UNITS = [-200, -50, 0, 30, 200]

FORMULAS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "absolute": lambda r: (np.abs(r), np.sign(r)),
    "absolute, halved": lambda r: (np.abs(r), np.sign(r) / 2),
    "pseudo-Huber": lambda r: (np.sqrt(1 + r * r) - 1, r / np.sqrt(1 + r * r)),
    "Huber without its second branch": lambda r: (np.where(np.abs(r) < 1, r * r / 2, np.abs(r) - 0.5), r),
    "square in float32": lambda r: (np.float32(r) ** 2, 2 * np.float32(r)),
    "square in float32, 1 % off": lambda r: (np.float32(r) ** 2, np.float32(2.02) * np.float32(r)),
}


def _in_units(formula: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], unit: float):
    """The same loss of predictions, targets and losses in other units; its gradient has none."""

    def loss(pred: Real, target: Real):
        value, gradient = formula((pred - target) / unit)
        return value.astype(float) * unit, gradient

    return loss


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.slow
def test_a_users_loss_in_other_units_has_the_same_verdicts(name: str) -> None:
    found = {
        k: lossctl.gradcheck(_in_units(FORMULAS[name], 2.0**k), X * 2.0**k, T * 2.0**k).verdict.tolist() for k in UNITS
    }
    assert all(verdicts == found[0] for verdicts in found.values())


@pytest.mark.parametrize("factor", [1.0, 0.999, -1.0])
@pytest.mark.parametrize(
    ("loss", "gradient", "degree"),
    [
        ("mae", np.sign, 0),
        ("mse", lambda r: 2 * r, 1),
        ("pinball:tau=0.25", lambda r: np.where(r > 0, 0.75, np.where(r < 0, -0.25, 0.0)), 0),
    ],
)
def test_a_gradient_of_a_registered_loss_in_other_units_has_the_same_verdicts(loss, gradient, degree, factor) -> None:
    given = factor * gradient(X - T)
    found = {
        k: lossctl.gradcheck(loss, X * 2.0**k, T * 2.0**k, grad=given * 2.0 ** (k * degree)).verdict.tolist()
        for k in UNITS
    }
    assert all(verdicts == found[0] for verdicts in found.values())


def _coupled(factor: float):
    """The squares of centred predictions, in float32: each sample depends on all others."""

    def loss(pred: Real, target: Real):
        p = pred.astype(np.float32)
        r = p - p.mean(dtype=np.float32) - target.astype(np.float32)
        return (r * r).astype(float), np.float32(2 * factor) * (r - r.mean(dtype=np.float32))

    return loss


@pytest.mark.slow
def test_noise_of_a_large_batch_is_measured() -> None:
    x, t = RNG.normal(size=600) * 3.0, RNG.normal(size=600)
    right = lossctl.gradcheck(_coupled(1.0), x, t)
    assert right.method == "24 random directions"
    assert right
    assert lossctl.gradcheck(_coupled(0.5), x, t).counts["wrong"] > 0
