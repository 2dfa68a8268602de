"""Second derivatives: exact ones and the surrogates of practice pass, mistakes do not."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl

RNG = np.random.default_rng(0)
Z, T = RNG.normal(size=400) * 2, (RNG.random(400) < 0.5).astype(float)
ROWS, Y = RNG.normal(size=(200, 4)), RNG.integers(0, 4, 200)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_loss(hessian):
    return lambda pred, target: (sigmoid(pred) - target, hessian(sigmoid(pred)))


def multiclass(hessian):
    return lambda pred, target: (softmax(pred) - np.eye(4)[target.astype(int)], hessian(softmax(pred)))


SURROGATES = [
    ("bce_with_logits", Z, T, log_loss(np.ones_like), "ones"),
    ("bce_with_logits", Z * 8, T, log_loss(lambda p: np.maximum(p * (1 - p), 1e-6)), "at least 1e-06"),
    ("cross_entropy", ROWS, Y, multiclass(lambda p: 2 * p * (1 - p)), "2p(1 − p)"),
    ("cross_entropy", ROWS, Y, multiclass(lambda p: np.maximum(2 * p * (1 - p), 1e-2)), "2p(1 − p)"),
    ("cross_entropy", ROWS, Y, multiclass(lambda p: 4 / 3 * p * (1 - p)), "k/(k − 1)"),
    ("poisson_nll_log_rate", Z, np.floor(np.abs(Z)), lambda z, t: (np.exp(z) - t, np.exp(z + 0.7)), "e^0.7"),
    ("mae", Z, T, lambda z, t: (np.sign(z - t), np.ones_like(z)), "ones"),
    ("mae", Z, T, lambda z, t: (np.sign(z - t), np.abs(z - t)), "|residual|"),
]


@pytest.mark.parametrize(("loss", "pred", "target", "objective", "name"), SURROGATES)
def test_a_surrogate_passes_by_name_and_fails_where_exact_is_asked(loss, pred, target, objective, name) -> None:
    result = lossctl.gradcheck(loss, pred, target, grad=objective)
    assert result
    assert result.second is not None
    assert name in result.second.notes[0]
    assert not lossctl.gradcheck(loss, pred, target, grad=objective, second="exact")
    assert lossctl.gradcheck(loss, pred, target, grad=objective, second="off").second is None


def test_the_exact_one_needs_no_name() -> None:
    for second in ("surrogate", "exact"):
        result = lossctl.gradcheck("bce_with_logits", Z, T, grad=log_loss(lambda p: p * (1 - p)), second=second)
        assert result
        assert not result.second.notes


@pytest.mark.parametrize(
    ("loss", "pred", "target", "objective"),
    [
        ("bce_with_logits", Z, T, log_loss(lambda p: 2 * p * (1 - p))),
        ("bce_with_logits", Z, T, log_loss(lambda p: p)),
        ("bce_with_logits", Z, T, log_loss(lambda p: -p * (1 - p))),
        ("cross_entropy", ROWS, Y, multiclass(lambda p: p * p)),
        ("cross_entropy", ROWS, Y, multiclass(lambda p: 3 * p * (1 - p))),
        ("mse", Z, T, lambda z, t: (2 * (z - t), np.ones_like(z))),
        # Both halved: the second derivative is that of the given gradient, not of the loss.
        ("mse", Z, T, lambda z, t: (z - t, np.ones_like(z))),
    ],
)
def test_a_wrong_one_is_none(loss, pred, target, objective) -> None:
    result = lossctl.gradcheck(loss, pred, target, grad=objective)
    assert not result
    assert not result.second
