"""Inputs for the values of other libraries: moderate, with few digits, none at a limit of a domain."""

from __future__ import annotations

import numpy as np

rng = np.random.default_rng(20240607)
N, K = 10, 4


def probability_rows(n: int, k: int) -> np.ndarray:
    """Return rows of multiples of 0.001 that sum to 1, each at least 0.02."""
    return (rng.multinomial(1000 - 20 * k, rng.dirichlet(np.ones(k), size=n)) + 20) / 1000


real = (np.round(rng.normal(0, 2, N), 3), np.round(rng.normal(0, 2, N), 3))
table = (np.round(rng.normal(0, 2, (N, 3)), 3), np.round(rng.normal(0, 2, (N, 3)), 3))
probability = np.round(rng.uniform(0.02, 0.98, N), 3)
soft = np.round(rng.uniform(0.05, 0.95, N), 3)
hard = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
logit = np.round(rng.normal(0, 3, N), 3)
sign = 2 * hard - 1
rows, soft_rows = probability_rows(N, K), probability_rows(N, K)
labels = np.array([0, 1, 2, 3, 3, 2, 1, 0, 1, 2])
one_hot = np.eye(K)[labels]
logits = np.round(rng.normal(0, 3, (N, K)), 3)
log_rows = np.log(rows)
weight = np.round(rng.uniform(0.5, 3, N), 2)
