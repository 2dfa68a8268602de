"""Questions from public threads, with the data of the thread or with data rebuilt from its code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossctl

RNG = np.random.default_rng(7)
N = 300
P = RNG.beta(1, 1, N).clip(0.01, 0.99)
T = (RNG.random(N) < P).astype(float)
BCE = -(T * np.log(P) + (1 - T) * np.log(1 - P))
Z, Y = RNG.normal(0, 2, (N, 4)), RNG.integers(0, 4, N)
S = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
ONE_HOT = np.eye(4)[Y]
CE = -np.log(S[np.arange(N), Y])
X = RNG.normal(3, 2, N)
R = X + RNG.normal(0, 1, N)
SQUARES = (X - R) ** 2
MASKS = RNG.beta(1, 1, (8, 40))
TRUTH = (RNG.random((8, 40)) < MASKS).astype(float)
DICE = 1 - (2 * (MASKS * TRUTH).sum(1) + 1) / (MASKS.sum(1) + TRUTH.sum(1) + 1)
LATER = 1 - (np.arange(N) % 20 == 0)  # 0 for some rows
BATCHES = [slice(i, i + 32) for i in range(0, N, 32)]

# Where the question is, the number, the inputs, and what the answer must say.
THREADS: dict[str, tuple[str, Any, Any, str]] = {
    "pytorch#12299": ("1.1064976453781128", [[0.2, 0.3, 0.5]] * 3, [0, 1, 2], "takes the probabilities for logits"),
    "stackoverflow 49473587": (
        "1.1549753967602232",
        [[0.25] * 4, [0.01, 0.01, 0.01, 0.97]],
        [[1, 0, 0, 0], [0, 0, 0, 1]],
        "bce; sums over columns",
    ),
    "stackoverflow 68427532": (
        "0.323968",
        [[0.9, 0.05, 0.05], [0.5, 0.89, 0.6], [0.05, 0.01, 0.94]],
        np.eye(3),
        "divides rows by their sum",
    ),
    "discuss.pytorch 112463": ("1.2106", [0.5401, 0.4482], [1, 0], "bce; is the sum"),
    "manual calculation with math.log(p, 2)": (f"{BCE.mean() / np.log(2):.7g}", P, T, "bce; is in bits"),
    "VNet#13": (f"{DICE.sum():.7g}", MASKS, TRUTH, "dice; is the sum"),
    "pytorch-toolbelt#99": (
        f"{1 - (2 * (MASKS * TRUTH).sum() + 1) / (MASKS.sum() + TRUTH.sum() + 1):.7g}",
        MASKS,
        TRUTH,
        "dice; takes the batch as one image",
    ),
    "running loss over the length of the data": (
        f"{sum(BCE[b].mean() for b in BATCHES) / N:.7g}",
        P,
        T,
        "bce; sums the means of batches of 32, and divides by the number of samples",
    ),
    "running loss": (f"{sum(BCE[b].mean() for b in BATCHES):.7g}", P, T, "bce; sums the means of batches of 32"),
    "rmse of an evaluation by batches": (
        f"{np.mean([np.sqrt(SQUARES[b].mean()) for b in BATCHES]):.7g}",
        X,
        R,
        "rmse; averages the losses of batches of 32, each with its own root",
    ),
    "smoothing of the wrong classes": (
        f"{-((0.9 * ONE_HOT + 0.1 / 3 * (1 - ONE_HOT)) * np.log(S)).sum(1).mean():.7g}",
        Z,
        Y,
        "label_smoothing is 0.1, all of it for the other classes",
    ),
    "2 to the power of nats": (f"{2 ** CE.mean():.7g}", Z, Y, "is 2 to the power of it, a perplexity from bits"),
    "nrmse by the range": (f"{np.sqrt(SQUARES.mean()) / np.ptp(R):.7g}", X, R, "rmse; is divided by the range of the"),
    "nrmse by the mean": (f"{np.sqrt(SQUARES.mean()) / R.mean():.7g}", X, R, "rmse; is divided by the mean of the"),
    "log(p + 1e-8)": (
        f"{-(T * np.log(P * LATER + 1e-8) + (1 - T) * np.log(1 - P * LATER + 1e-8)).mean():.8g}",
        P * LATER,
        T,
        "bce; adds 1e-08 to predictions",
    ),
    "torch kl_div, mean and batchmean": (
        f"{(S * np.log(S / S[::-1])).mean():.7g}",
        S[::-1],
        S,
        "divides the mean by the number of classes",
    ),
    "smape from 0 to 1": (f"{(np.abs(X - R) / (np.abs(X) + np.abs(R))).mean():.7g}", X, R, "smape; is half of it"),
    "nll_loss without log_softmax": (f"{-Z[np.arange(N), Y].mean():.7g}", Z, Y, "nll; takes the scores for log"),
    "BCEWithLogitsLoss on one-hot targets": (
        f"{(np.logaddexp(0, Z) - Z * ONE_HOT).mean():.7g}",
        Z,
        Y,
        "bce_with_logits; takes targets as one-hot rows, element by element",
    ),
    "pos_weight": (
        f"{-(3 * T * np.log(P) + (1 - T) * np.log(1 - P)).mean():.7g}",
        np.log(P / (1 - P)),
        T,
        "bce_with_logits; pos_weight is 3",
    ),
}
# The others take half a second of CPU each.
QUICK = [*THREADS][:4]


@pytest.mark.parametrize("thread", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in THREADS])
@pytest.mark.slow
def test_the_cause_is_named(thread: str) -> None:
    number, pred, target, says = THREADS[thread]
    explanation = lossctl.explain(number, pred, target)
    assert explanation.found
    assert any(says in text for c in explanation.best for text in (c.text, *c.names))
