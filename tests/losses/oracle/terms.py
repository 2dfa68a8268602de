"""Terms that the formulas of several losses share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import INF, ZERO, Inputs, Label, Number, Params, Row, leaves


def wlog(weight: Number, p: Number) -> Number:
    """Return ``weight``·log p; 0 where the weight is 0, for any p."""
    if weight == 0:
        return ZERO
    return weight * (mp.log(p) if p != 0 else -INF)


def softplus(x: Number) -> Number:
    """Return log(1 + e^x)."""
    return mp.log1p(mp.exp(x))


def surprise(logits: Row, j: int) -> Number:
    """Return −log softmax(logits)[j] = log(1 + Σ e^(z[i] − z[j])) over i ≠ j."""
    return INF if mp.isinf(logits[j]) else _surprise(tuple(logits), j, mp.prec)


@lru_cache(maxsize=256)  # targets stay the same while one prediction after the other is moved
def _surprise(logits: tuple[Number, ...], j: int, _precision: int) -> Number:
    return mp.log1p(mp.fsum(mp.exp(z - logits[j]) for i, z in enumerate(logits) if i != j))


def weighted(weight: Number, loss: Callable[[], Number]) -> Number:
    """Return ``weight``·loss(); 0 if the weight is 0, without evaluating the loss, which may be infinite."""
    return weight * loss() if weight != 0 else ZERO


def smoothed(targets: Row, amount: Number) -> Row:
    """Label smoothing: the targets with ``amount`` of their mass spread evenly over the k classes."""
    return [t * (1 - amount) + amount / len(targets) for t in targets]


def quotient(a: Number, b: Number) -> list[Number]:
    """Return a/b as two terms, so that the parts a′/b and a·b′/b² of its derivative are in different terms."""
    near = mpf(2) ** mp.floor(mp.log(b, 2))  # which does not move with b
    return [a / near, a / b - a / near]


def hinged(parts: list[Number]) -> list[Number]:
    """Return max(0, Σ parts); the parts are its terms, also if their sum is below 0."""
    total = mp.fsum(parts)
    return [*parts, -total if total <= 0 else ZERO]


def one_hot(label: Label, k: int) -> Row:
    """Return a row of k numbers with a 1 at ``label``."""
    return [mpf(j == label) for j in range(k)]


def hard_targets(inputs: Inputs, params: Params) -> bool:
    """Return whether the target is 0 or 1 (a label, a one-hot row) and no label smoothing changes it."""
    target = inputs[1]
    hard = isinstance(target, Label) or all(t in (0, 1) for t in leaves(target))
    return hard and not params.get("label_smoothing", 0)
