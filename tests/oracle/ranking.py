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
