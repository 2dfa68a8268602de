"""Formulas of losses of the order of a list."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, Row, always, oracle
from oracle.terms import softplus, surprise


@oracle("ranknet", relative_value=always)
def ranknet(pred: Row, target: Row) -> list[Number]:
    """The mean of log(1 + e^−(x[i] − x[j])) over pairs with t[i] > t[j]."""
    places = range(len(pred))
    pairs = [(i, j) for i in places for j in places if target[i] > target[j]]
    return [softplus(pred[j] - pred[i]) / len(pairs) for i, j in pairs] or [ZERO]


@oracle("listnet", relative_value=always)
def listnet(pred: Row, target: Row) -> list[Number]:
    """−Σ softmax(t)·log softmax(x)."""
    return [mp.exp(-surprise(target, j)) * surprise(pred, j) for j in range(len(pred))]


@oracle("softmax_ranking", relative_value=always)
def softmax_ranking(pred: Row, target: Row) -> list[Number]:
    """−Σ t·log softmax(x)."""
    return [t * surprise(pred, j) for j, t in enumerate(target)]


@oracle("listmle", relative_value=always)
def listmle(pred: Row, target: Row) -> list[Number]:
    """Σ −log softmax(x[i:])[0], the list sorted so that t falls, equals in their order."""
    order = sorted(range(len(pred)), key=lambda i: -target[i])
    scores = [pred[i] for i in order]
    return [surprise(scores[i:], 0) for i in range(len(scores))]


@oracle("query_rmse")
def query_rmse(pred: Row, target: Row) -> list[Number]:
    """The mean of (r − r̄)² over a list, the square multiplied out: Σ r²/k − ΣΣ r[i]·r[j]/k²."""
    r, k = [x - t for x, t in zip(pred, target, strict=True)], len(pred)
    return [*(a * a / k for a in r), *(-a * b / k**2 for a in r for b in r)]


@oracle("query_mae")
def query_mae(pred: Row, target: Row) -> list[Number]:
    """The mean of |r − r̄| over a list, by which each r̄ is a sum."""
    r, k = [x - t for x, t in zip(pred, target, strict=True)], len(pred)
    sides = [mp.sign(a - mp.fsum(r) / k) for a in r]
    return [*(s * a / k for s, a in zip(sides, r, strict=True)), *(-s * b / k**2 for s in sides for b in r)]
