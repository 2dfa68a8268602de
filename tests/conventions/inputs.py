"""Inputs for every registered loss that has a convention, by the kinds of its inputs: ordinary rows, then edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossctl.core.loss import Loss

ROWS, CLASSES = 1000, 4


def _probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.dirichlet(np.ones(shape[-1]), shape[0])


def _of_kind(kind: str, name: str, rng: np.random.Generator) -> Any:
    n, k = ROWS, CLASSES
    match kind:
        case "Real":
            return rng.normal(0, 2, n)
        case "Positive" | "NonNegative" | "AboveMinusOne":
            return rng.uniform(0.1, 5, n)
        case "NonZero":
            return rng.uniform(1.5, 5, n) * rng.choice([-1.0, 1.0], n)
        case "Count":
            return rng.poisson(3, n).astype(float)
        case "Probability":
            return (rng.random(n) < 0.4).astype(float) if name == "target" else rng.beta(0.7, 0.7, n).clip(1e-4, 0.9999)
        case "Sign":
            return rng.choice([-1.0, 1.0], n)
        case "Label":
            return rng.integers(0, k, n)
        case "Group":
            return rng.integers(0, n // 4, n)
        case "Logits" | "ClassScores":
            return rng.normal(0, 2, (n, k))
        case "ClassFlags" | "ClassChances":
            flags = rng.integers(0, 2, (n, k))
            flags[:, 0], flags[:, 1] = 1, 0  # both are needed for pairs
            return flags.astype(float)
        case "Probabilities":
            return _probabilities(rng, (n, k))
        case "LogProbabilities":
            return np.log(_probabilities(rng, (n, k)))
        case "Direction" | "Vector" | "Amounts":
            return rng.uniform(0.1, 2, (n, k)) if kind == "Amounts" else rng.normal(size=(n, k))
        case "Frames":
            return np.log(rng.dirichlet(np.ones(k), (n, 12)))
        case "Symbols":
            return rng.integers(1, k, (n, 4))
        case "InputLength" | "TargetLength":
            return np.full(n, 12 if kind == "InputLength" else 4)
        case "Members":
            return rng.normal(0, 2, (n, 6))
        case "NegativeLog":
            return -rng.uniform(0.05, 3, n)
        case "Desirable":
            return rng.integers(0, 2, n).astype(float)
        case "Mask":  # of two classes, (n, 2, 3, 4)
            first = rng.random((n, 3, 4)) if name == "pred" else rng.integers(0, 2, (n, 3, 4)).astype(float)
            return np.stack([1.0 - first, first], axis=1)
        case "PixelScores":
            return rng.normal(0, 2, (n, 3, 4))
        case "HardMask":
            return rng.integers(0, 2, (n, 3, 4)).astype(float)
        case "PixelProbabilities":
            return rng.dirichlet(np.ones(k), (n, 12))
        case "PixelLabels":
            return rng.integers(0, k, (n, 12))
    raise NotImplementedError(kind)


def inputs_of(loss: Loss, seed: int = 0) -> dict[str, Any]:
    """Return the inputs of a loss by name: 1,000 rows."""
    rng = np.random.default_rng(seed)
    return {spec.name: _of_kind(spec.kind.name, spec.name, rng) for spec in loss.inputs}
