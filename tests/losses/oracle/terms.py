"""What the formulas of more than one loss are made of."""

from __future__ import annotations

from collections.abc import Callable

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import INF, ZERO, Inputs, Label, Number, Params, Row, leaves


def wlog(weight: Number, p: Number) -> Number:
    """``weight``·log p; 0 where the weight is 0, whatever p."""
    if weight == 0:
        return ZERO
    return weight * (mp.log(p) if p != 0 else -INF)


def softplus(x: Number) -> Number:
    """log(1 + e^x)."""
    return mp.log1p(mp.exp(x))


def surprise(logits: Row, j: int) -> Number:
    """−log softmax(logits)[j] = log Σᵢ e^(zᵢ − zⱼ), with the term i = j, which is 1, apart."""
    if mp.isinf(logits[j]):
        return INF
    return mp.log1p(mp.fsum(mp.exp(z - logits[j]) for i, z in enumerate(logits) if i != j))


def weighted(weight: Number, loss: Callable[[], Number]) -> Number:
    """``weight``·loss(); 0 where the weight is 0, the loss (which may be infinite) not being asked for."""
    return weight * loss() if weight != 0 else ZERO


def smoothed(targets: Row, amount: Number) -> Row:
    """Label smoothing: the targets with ``amount`` of their mass spread evenly over the k classes."""
    return [t * (1 - amount) + amount / len(targets) for t in targets]


def quotient(a: Number, b: Number) -> list[Number]:
    """a/b in two terms, so that of its derivative, a′/b − a·b′/b², the parts do not cancel within one of them."""
    near = mpf(2) ** mp.floor(mp.log(b, 2))  # which does not move with b
    return [a / near, a / b - a / near]


def hinged(parts: list[Number]) -> list[Number]:
    """max(0, Σ parts); the parts are its terms whether or not they add up to more than 0."""
    total = mp.fsum(parts)
    return [*parts, -total if total <= 0 else ZERO]


def one_hot(label: Label, k: int) -> Row:
    """The row of k with a 1 at ``label``."""
    return [mpf(j == label) for j in range(k)]


def hard_targets(inputs: Inputs, params: Params) -> bool:
    """The target is 0 or 1 (a label, a one-hot row) and no label smoothing softens it."""
    target = inputs[1]
    hard = isinstance(target, Label) or all(t in (0, 1) for t in leaves(target))
    return hard and not params.get("label_smoothing", 0)
