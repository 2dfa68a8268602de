"""Extreme inputs: for each kind, samples over three hundred decades and at every limit of the domain."""

from __future__ import annotations

import math
import types
from collections.abc import Callable

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Loss, Value

CLASSES = 4
# The length of every axis that kinds name: as many pixels, features and items as classes.
AXES = {"classes": CLASSES, "pixels...": CLASSES, "features": CLASSES, "items": CLASSES, "frames": 5, "symbols": 3}
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


def _above_minus_one(rng: np.random.Generator, n: int) -> Array:
    near = 10.0 ** rng.uniform(-15, 0, n) - 1.0
    return np.where(rng.random(n) < 0.3, near, np.where(rng.random(n) < 0.3, -1.0, 1.0) * 0.1 + np.abs(_real(rng, n)))


def _count(rng: np.random.Generator, n: int) -> Array:
    few, many = np.floor(rng.uniform(0, 30, n)), np.floor(10.0 ** rng.uniform(0, 18, n))
    return np.where(rng.random(n) < 0.7, few, many)


def _members(rng: np.random.Generator, n: int) -> Array:
    wide = _real(rng, n * CLASSES).reshape(n, CLASSES)
    near = rng.normal(size=(n, 1)) * (1 + 10.0 ** rng.uniform(-16, -1, (n, CLASSES)))
    rows = np.where(rng.random((n, 1)) < 0.3, near, wide)
    rows[rng.random(n) < 0.2, 0] = 1.5
    rows[rng.random(n) < 0.2, 1] = 1.5  # some members are equal
    return rows


def _vectors(rng: np.random.Generator, n: int) -> Array:
    size = np.where(rng.random((n, 1)) < 0.5, 10.0 ** rng.uniform(-150, 150, (n, 1)), 20.0)
    return (
        rng.normal(size=(n, CLASSES)) * size * 10.0 ** (rng.uniform(-3, 3, (n, CLASSES)) * rng.integers(0, 2, (n, 1)))
    )


def _amounts(rng: np.random.Generator, n: int) -> Array:
    return np.abs(_vectors(rng, n)) * (rng.random((n, CLASSES)) > 0.1)


def _bound(rng: np.random.Generator, n: int) -> Array:
    return 10.0 ** rng.choice([-150, -1, 0, 1, 150], n)


def _latest(rng: np.random.Generator, n: int) -> Array:
    later = _bound(rng, n) * (1.0 + 10.0 ** rng.uniform(-16, 1, n) * rng.integers(0, 2, n))
    return np.where(rng.random(n) < 0.2, np.inf, later)


def _flags(rng: np.random.Generator, n: int) -> Array:
    return rng.integers(0, 2, (n, CLASSES)).astype(float) * (rng.random((n, 1)) > 0.1)


def _chances(rng: np.random.Generator, n: int) -> Array:
    flags = rng.random((n, 1)) < 0.3
    return np.where(flags, _flags(rng, n), _probability(rng, n * CLASSES).reshape(n, CLASSES))


def _pixels(rng: np.random.Generator, n: int) -> Array:
    return _probabilities(rng, n * AXES["pixels..."]).reshape(n, AXES["pixels..."], CLASSES)


def _frames(rng: np.random.Generator, n: int) -> Array:
    rows = 10.0 ** rng.uniform(-14, 0, (n, AXES["frames"], CLASSES))
    return np.log(rows / rows.sum(axis=-1, keepdims=True))


DRAWS: dict[str, Draw] = {
    **dict.fromkeys(("Vector", "Direction", "Scores", "ClassScores", "PixelScores"), _vectors),
    **dict.fromkeys(("Amounts", "Relevances"), _amounts),
    **dict.fromkeys(("ClassFlags", "HardMask"), _flags),
    **dict.fromkeys(("ClassChances", "Chances", "Mask"), _chances),
    "PixelProbabilities": _pixels,
    "PixelLabels": lambda rng, n: rng.integers(0, CLASSES, (n, AXES["pixels..."])).astype(float),
    "Frames": _frames,
    "Symbols": lambda rng, n: rng.integers(0, CLASSES, (n, AXES["symbols"])).astype(float),
    "Group": lambda rng, n: rng.integers(-1, n // 3 + 1, n).astype(float),
    "InputLength": lambda rng, n: rng.integers(0, AXES["frames"] + 1, n).astype(float),
    "TargetLength": lambda rng, n: rng.integers(0, AXES["symbols"] + 1, n).astype(float),
    "Event": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "Earliest": lambda rng, n: _bound(rng, n) * (rng.random(n) > 0.2),
    "Latest": _latest,
    "Members": _members,
    "Real": _real,
    "Positive": lambda rng, n: np.abs(_real(rng, n)) + 1e-150,
    "NonNegative": lambda rng, n: np.abs(_real(rng, n)),
    "NegativeLog": lambda rng, n: -np.abs(_real(rng, n)) - 1e-150,
    "LogLikelihood": lambda rng, n: -np.abs(_real(rng, n)),
    "Desirable": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "NonZero": lambda rng, n: np.where((x := _real(rng, n)) == 0, 1.0, x),
    "AboveMinusOne": _above_minus_one,
    "Count": _count,
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
        near = loss.inputs[0].kind.normalize(near)
        close = rng.random((n, *(1,) * (arrays[1].ndim - 1))) < 0.2
        domain = loss.inputs[0].kind.domain
        lowest = np.nextafter(domain.low, np.inf) if domain.open_low else domain.low
        arrays[0] = np.where(close, np.clip(near, lowest, domain.high), arrays[0])
        if loss.inputs[0].kind.name == "Real":  # around where a parameter says that something bends
            marks = [abs(v) for v in loss.params.values() if isinstance(v, float) and 0 < abs(v) < math.inf] or [1.0]
            away = rng.choice(marks, n) * 10.0 ** rng.uniform(-3, 2, n) * rng.choice([-1.0, 1.0], n)
            arrays[0] = np.where(rng.random(n) < 0.3, arrays[1] + away, arrays[0])
    return admitted(loss, arrays)


def admitted(loss: Loss, arrays: list[Array]) -> list[Array]:
    """The inputs, with each sample that the loss rejects replaced by a valid one."""
    invalid, places = loss.domain.invalid_mask(arrays), np.arange(len(arrays[0]))
    kept = np.flatnonzero(~invalid)
    return [a[np.where(invalid, kept[places % len(kept)], places)] for a in arrays]


# Where a parameter has values at which the formula changes, or must fit another.
SPECIAL: dict[str, list[dict[str, Value]]] = {
    "barron": [{"alpha": x} for x in (2.0, 2.0 - 1e-9, 1.9, 1e-12, 0.0, -1e-9, -2.0, -15.3, -math.inf)],
    "tweedie_deviance": [
        {"power": x} for x in (-3.0, -1.0, 0.0, 0.5, 1.0 + 1e-12, 1.1, 1.9, 2.0 - 1e-12, 2.0, 2.0 + 1e-9, 3.0)
    ],
    "hampel": [{"a": 1.0, "b": 1.0, "c": 1.5}, {"a": 1e-150, "b": 2e-150, "c": 3e-150}, {"b": 1e100, "c": 1e150}],
    "linex": [{"a": -0.5}],
    "renyi": [{"alpha": 1.0}, {"alpha": 1.0 + 1e-9}],
    "multi_margin": [{"p": 2}],
    "ctc": [{"blank": 3}, {"per_symbol": True}, {"zero_infinity": True}],
}
FITS: dict[str, Callable[[dict[str, Value]], bool]] = {
    # mpmath has no erfc of 1e300
    "aft": lambda params: params.get("sigma") != 1e-150,
    "hampel": lambda params: len(params) != 1,
    # beyond q = 50 digits are lost in proportion to q, as its declaration says
    "lq": lambda params: params.get("q") != 1e150,
    # (1 − p)^1e-150 is 0 at p = 1 and 1 at its nearest neighbour: no derivative can be had there
    "asymmetric": lambda params: params.get("gamma_pos") != 1e-150,
}


def settings(loss: Loss) -> list[dict[str, Value]]:
    """Parameter values to test: the defaults, and other values of each parameter."""
    tried: list[dict[str, Value]] = [{}]
    for p in loss.parameters:
        candidates = (0.1, 1.0, 0.37, 3.7, 1e-150, 1e150)
        tried += [{p.name: x} for x in candidates if float in p.types and x in p.domain and x != p.default][:4]
        tried += [{p.name: x} for x in (True, False) if bool in p.types and x != p.default]
        tried += [{p.name: x} for x in p.choices if x != p.default]
        tried += [{p.name: None}] if types.NoneType in p.types and p.default is not None else []
    fits = FITS.get(loss.name, lambda _: True)
    return [params for params in [*tried, *SPECIAL.get(loss.name, [])] if fits(params)]
