"""Formulas of distances between two distributions."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import INF, Number, Row, always, oracle


@oracle("hellinger", relative_value=always, relative_gradient=always)
def hellinger(pred: Row, target: Row, *, squared: bool) -> list[Number]:
    """√(Σ (√p − √q)² / 2)."""
    terms = [(mp.sqrt(p) - mp.sqrt(q)) ** 2 / 2 for q, p in zip(pred, target, strict=True)]
    return terms if squared else [mp.sqrt(mp.fsum(terms))]


@oracle("bhattacharyya")
def bhattacharyya(pred: Row, target: Row) -> list[Number]:
    """−log Σ √(p·q): of a sum of parts that make up nearly 1 where the two are close."""
    parts = [mp.sqrt(p * q) for q, p in zip(pred, target, strict=True)]
    overlap = mp.fsum(parts)
    if overlap == 0:
        return [INF]
    return [*(-part for part in parts), mpf(1), -mp.log(overlap) + overlap - 1]


@oracle("total_variation", relative_value=always, relative_gradient=always)
def total_variation(pred: Row, target: Row) -> list[Number]:
    """Σ |p − q| / 2."""
    return [abs(p - q) / 2 for q, p in zip(pred, target, strict=True)]


@oracle("chi_squared", relative_value=always, relative_gradient=always)
def chi_squared(pred: Row, target: Row) -> list[Number]:
    """Σ (p − q)²/q; q where p = 0."""
    pairs = zip(pred, target, strict=True)
    return [q if p == 0 else (p - q) ** 2 / q if q != 0 else INF for q, p in pairs]


@oracle("wasserstein_1d", relative_gradient=always)
def wasserstein_1d(pred: Row, target: Row) -> list[Number]:
    """Σ |P[j] − Q[j]| over all classes but the last."""
    return [abs(mp.fsum(target[: j + 1]) - mp.fsum(pred[: j + 1])) for j in range(len(pred) - 1)]
