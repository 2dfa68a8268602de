"""Formulas of losses of distances."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, Row, always, oracle
from oracle.terms import hard_targets, hinged, quotient

# What a hinge leaves of parts that add up to less than 0 is their last digit, which must be below the least double.
NOTHING = 200


def cosine(x: Row, y: Row) -> list[Number]:
    """x·y/(|x|·|y|), product by product."""
    length = mp.sqrt(mp.fsum(a**2 for a in x)) * mp.sqrt(mp.fsum(b**2 for b in y))
    return [term for a, b in zip(x, y, strict=True) for term in quotient(a * b, length)]


@oracle("cosine_distance")
def cosine_distance(pred: Row, target: Row) -> list[Number]:
    """1 − cos."""
    return [mpf(1), *(-part for part in cosine(pred, target))]


@oracle("cosine_embedding", digits=NOTHING)
def cosine_embedding(pred: Row, x2: Row, target: Number, *, margin: Number) -> list[Number]:
    """1 − cos where t = 1, max(0, cos − margin) where t = −1."""
    if target == 1:
        return cosine_distance(pred, x2)
    return hinged([*cosine(pred, x2), -margin])


@oracle("contrastive", relative_value=always, relative_gradient=hard_targets)
def contrastive(pred: Number, target: Number, *, margin: Number) -> list[Number]:
    """t·d² + (1 − t)·max(0, margin − d)²."""
    return [target * pred**2, (1 - target) * max(ZERO, margin - pred) ** 2]


@oracle("hinge_embedding", relative_value=always, relative_gradient=always)
def hinge_embedding(pred: Number, target: Number, *, margin: Number) -> list[Number]:
    """The distance x where t = 1, max(0, margin − x) where t = −1."""
    return [pred if target == 1 else max(ZERO, margin - pred)]


@oracle("margin_ranking", digits=NOTHING)
def margin_ranking(pred: Number, x2: Number, target: Number, *, margin: Number) -> list[Number]:
    """max(0, margin − t·(x1 − x2))."""
    return hinged([margin, -target * pred, target * x2])


def distance(x: Row, y: Row, p: Number) -> Number:
    """(Σ |x − y|^p)^(1/p)."""
    return mp.fsum(abs(a - b) ** p for a, b in zip(x, y, strict=True)) ** (1 / p)


@oracle("triplet", digits=NOTHING)
def triplet(pred: Row, target: Row, negative: Row, *, margin: Number, p: Number, swap: bool) -> list[Number]:
    """max(0, d(a, p) − d(a, n) + margin), with the smaller of d(a, n) and d(p, n) where they are swapped."""
    far = distance(pred, negative, p)
    if swap:
        far = min(far, distance(target, negative, p))
    return hinged([distance(pred, target, p), -far, margin])
