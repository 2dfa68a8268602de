"""Batches whose samples depend on each other."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Real

RNG = np.random.default_rng(0)
N = 600
X, T = RNG.normal(size=(2, N))
T[:5] = X[:5]


def mean_absolute(factor: float = 1.0, at_ties: float = 0.0):
    def loss(pred: Real, target: Real):
        r = pred - target
        return np.abs(r).mean(), (factor * np.sign(r) + at_ties * (r == 0)) / len(r)

    return loss


def test_a_mean_of_many_rows_with_ties_is_verified() -> None:
    right = lossctl.gradcheck(mean_absolute(), X, T, reduction="mean")
    assert right
    assert (right.counts["ok"], right.counts["kink"]) == (24, 5)
    assert any(note.startswith("5 of 600 coordinates are at a kink") for note in right.notes)


@pytest.mark.slow
def test_a_wrong_mean_with_ties_is_named() -> None:
    assert lossctl.gradcheck(mean_absolute(1.001), X, T, reduction="mean").counts["wrong"] > 12
    assert "n = 600" in str(lossctl.gradcheck(mean_absolute(N), X, T, reduction="mean").hint)


def test_a_tie_that_is_no_subgradient_is_wrong() -> None:
    found = lossctl.gradcheck(mean_absolute(at_ties=2.0), X, T, reduction="mean")
    assert (found.counts["ok"], found.counts["wrong"]) == (24, 5)


def margin(pred: Logits, target: Label):
    """The multiclass hinge of Crammer and Singer, the mean of a batch."""
    i = np.arange(len(pred))
    m = pred - pred[i, target][:, None] + 1.0
    m[i, target] = 0.0
    j = m.argmax(axis=1)
    g = np.zeros_like(pred)
    g[i, j] += 1.0
    g[i, target] -= 1.0
    return m.max(axis=1).mean(), g / len(pred)


def test_ties_of_classes_are_found_by_bisection() -> None:
    z, labels = RNG.normal(size=(200, 3)), np.zeros(200, int)
    z[:4, 1] = z[:4, 2] = 3.0
    found = lossctl.gradcheck(margin, z, labels, reduction="mean")
    assert found
    assert (found.counts["ok"], found.counts["kink"]) == (24, 8)


@pytest.mark.parametrize(("factor", "most"), [(1.0, 2_000), (0.5, 8_000)])
def test_a_batch_of_some_hundred_samples_is_evaluated_so_often(factor: float, most: int) -> None:
    calls = []

    def centred(pred: Real, target: Real):
        calls.append(1)
        r = pred - target
        r = r - r.mean()
        return r * r, factor * 2.0 * r

    assert bool(lossctl.gradcheck(centred, X[:100], T[:100])) is (factor == 1.0)
    assert len(calls) <= most


def test_a_batch_in_float32_has_a_verdict_at_every_coordinate() -> None:
    """Quotients of its shortest steps grow without end: a grid, and no infinite derivative."""

    def centred(pred: Real, target: Real):
        r = np.float32(pred) - np.float32(target)
        r = r - r.mean()
        return r * r, 2 * r

    assert lossctl.gradcheck(centred, X[5:45], T[5:45]).counts["ok"] == 40
