"""Inputs that hurt: for each kind, samples over three hundred decades and at every edge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lossctl.kernels.kinds import Array
from lossctl.kernels.spec import Loss, Value

CLASSES = 4
Draw = Callable[[np.random.Generator, int], Array]


def _real(rng: np.random.Generator, n: int) -> Array:
    wide = rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-150, 150, n)
    return np.where(rng.random(n) < 0.5, wide, np.where(rng.random(n) < 0.1, 0.0, rng.normal(size=n) * 20))


def _probability(rng: np.random.Generator, n: int) -> Array:
    u = rng.random(n)
    tiny, near = 10.0 ** rng.uniform(-150, 0, n), 10.0 ** rng.uniform(-17, 0, n)
    return np.where(u < 0.3, tiny, np.where(u < 0.5, near, np.where(u < 0.8, 1 - near, np.round(u * 1e3) % 2)))


def _probabilities(rng: np.random.Generator, n: int) -> Array:
    rows = 10.0 ** rng.uniform(-14, 0, (n, CLASSES)) * (rng.random((n, CLASSES)) > 0.1)
    rows[:, 0] += 1e-30
    rows /= rows.sum(axis=1, keepdims=True)
    one_hot = np.eye(CLASSES)[rng.integers(0, CLASSES, n)]
    return np.where(rng.random((n, 1)) < 0.3, one_hot, rows)


def _logits(rng: np.random.Generator, n: int) -> Array:
    z = rng.normal(size=(n, CLASSES)) * 10.0 ** rng.uniform(-3, 3, (n, 1))
    z[rng.random((n, CLASSES)) < 0.03] = -np.inf
    z[:, 0] = np.where(np.isinf(z[:, 0]), 0.0, z[:, 0])
    return z


def _log_probabilities(rng: np.random.Generator, n: int) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(_probabilities(rng, n))


DRAWS: dict[str, Draw] = {
    "Real": _real,
    "Positive": lambda rng, n: np.abs(_real(rng, n)) + 1e-150,
    "Probability": _probability,
    "Sign": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Label": lambda rng, n: rng.integers(0, CLASSES, n).astype(float),
    "Logits": _logits,
    "Probabilities": _probabilities,
    "LogProbabilities": _log_probabilities,
}


def hurtful(loss: Loss, rng: np.random.Generator, n: int) -> list[Array]:
    """Inputs of a loss; a fifth of the samples have inputs that agree nearly or exactly."""
    arrays = [DRAWS[spec.kind.name](rng, n) for spec in loss.inputs]
    if len(arrays) > 1 and arrays[0].shape == arrays[1].shape and loss.inputs[0].kind == loss.inputs[1].kind:
        near = arrays[1] * (1 + rng.choice([0.0, 1.0], arrays[1].shape) * 10.0 ** rng.uniform(-16, -1, arrays[1].shape))
        if arrays[1].ndim > 1:
            near /= near.sum(axis=1, keepdims=True)
        close = rng.random((n, *(1,) * (arrays[1].ndim - 1))) < 0.2
        arrays[0] = np.where(close, np.minimum(near, loss.inputs[0].kind.domain.high), arrays[0])
    return arrays


def settings(loss: Loss) -> list[dict[str, Value]]:
    """Parameter values to try: the defaults, and each parameter at others of its domain."""
    tried: list[dict[str, Value]] = [{}]
    for p in loss.parameters:
        candidates = (0.1, 1.0, 0.37, 3.7, 1e-150, 1e150)
        tried += [{p.name: x} for x in candidates if float in p.types and x in p.domain and x != p.default][:4]
        tried += [{p.name: x} for x in (True, False) if bool in p.types and x != p.default]
        tried += [{p.name: x} for x in p.choices if x != p.default]
    return tried
