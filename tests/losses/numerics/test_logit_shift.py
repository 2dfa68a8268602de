"""The solver for the logit shift of query_cross_entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lossctl import get_loss
from lossctl.losses.numerics import logit_shift
from lossctl.losses.numerics.logit_shift import shift

SIZES = (1e-3, 1.0, 30.0, 1e3, 1e8, 1e150)
SOFT, HARD, ALL_BUT_HARD = "soft", "hard", "all but hard"


def lists(rng: np.random.Generator, n: int, k: int, size: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(n, k)) * size * 10.0 ** rng.uniform(-3, 0, (n, 1))
    x[rng.random(n) < 0.1] = size
    hard = rng.integers(0, 2, (n, k)).astype(float)
    near = np.where(hard > 0, 1 - 10.0 ** rng.uniform(-16, -1, (n, k)), 10.0 ** rng.uniform(-150, 0, (n, k)))
    return x, {SOFT: rng.random((n, k)), HARD: hard, ALL_BUT_HARD: near}[kind]


def worst(x: np.ndarray, t: np.ndarray) -> float:
    """How far s is from where Σ σ(x + s) = Σ t, by the slope of that, of exact sums."""
    found, off = shift(x, t), 0.0
    high, low = found.added(x)
    for i in np.flatnonzero(~found.certain):
        e = [math.exp(-abs(a)) * (1 - math.copysign(1, a) * b) for a, b in zip(high[i], low[i], strict=True)]
        parts = [
            part for y, a in zip(e, high[i], strict=True) for part in ((1, -y / (1 + y)) if a > 0 else (y / (1 + y),))
        ]
        slope = sum(y / (1 + y) ** 2 for y in e)
        if slope > 1e-280:
            off = max(off, abs(math.fsum([*parts, *(-t[i])])) / slope)
    return off


@pytest.mark.parametrize("kind", [SOFT, HARD, ALL_BUT_HARD])
@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_chances_sum_to_their_targets(k: int, kind: str) -> None:
    """Whatever the scores: one item, equal ones, chances that are all but 0 or 1."""
    rng = np.random.default_rng(k)
    with np.errstate(all="ignore"):
        assert max(worst(*lists(rng, 40, k, size, kind)) for size in SIZES) < 1e-14


@pytest.mark.parametrize("steps", [1, 3])
def test_a_shift_that_has_not_arrived_is_seen(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logit_shift, "_STEPS", steps)
    with pytest.raises(AssertionError):
        test_chances_sum_to_their_targets(7, SOFT)


def entropy(t: float) -> float:
    return -t * math.log(t) - (1 - t) * math.log(1 - t)


@pytest.mark.parametrize(
    ("pred", "target", "value", "gradient"),
    [
        ([3.0], [0.25], entropy(0.25), [0.0]),  # one item: nothing but its own entropy
        ([1e150], [1e-60], 60e-60 * math.log(10) + 1e-60, [0.0]),
        ([5.0, 5.0, 5.0], [0.5, 0.5, 0.5], math.log(2), [0.0] * 3),
        ([3.0, -800.0], [1.0, 1.0], 0.0, [0.0, 0.0]),  # all of one class: s is infinite
        ([3.0, -800.0], [0.0, 0.0], 0.0, [0.0, 0.0]),
        ([0.0, 1000.0], [0.0, 1.0], math.exp(-500), [math.exp(-500) / 2, -math.exp(-500) / 2]),
        ([0.0, 1000.0], [1.0, 0.0], 500.0, [-0.5, 0.5]),
        # between −30 and 500, where a sum of chances is 1 to all digits
        ([-500.0, -30.0, 500.0], [1.0, 0.0, 0.0], (735 + 265) / 3, [-1 / 3, math.exp(-265) / 3, 1 / 3]),
    ],
)
def test_query_cross_entropy_at_its_edges(pred: Any, target: Any, value: float, gradient: Any) -> None:
    kernel = get_loss("query_cross_entropy").kernel  # the loss itself refuses data whose lists all have one item
    with np.errstate(all="ignore"):  # as the engine calls kernels
        values, gradients = kernel(np.array([pred]), np.array([target]), alpha=1.0)
    assert values[0] == pytest.approx(value, rel=1e-14, abs=0)
    assert gradients()[0].tolist() == pytest.approx(gradient, rel=1e-14, abs=0)
