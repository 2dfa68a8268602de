"""Formulas of ranking losses."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, Row, always, oracle
from oracle.terms import hard_targets, softplus, surprise


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


def chance(x: Number) -> Number:
    """σ(x)."""
    return 1 / (1 + mp.exp(-x))


def level(x: Row, t: Row) -> Number:
    """The s at which Σ σ(x + s) = Σ t.

    That is Σ σ(x + s) over those below 0 = c + Σ σ(−x − s) over the others, c = Σ t less how many these are, whose
    logarithms are two lines but for a bend: Newton's method, from where the first or the last of them is at 0.
    """
    total = mp.fsum(t)
    up = [i for i, own in enumerate(x) if mp.fsum(chance(other - own) for other in x) <= total]
    down = [i for i in range(len(x)) if i not in up]
    c = total - len(up)
    ends = [-min((x[i] for i in up), default=max(x)), -max((x[i] for i in down), default=min(x))]
    s = ends[0] if c >= 0 else ends[1]
    for _ in range(500):
        below, above = [chance(x[i] + s) for i in down], [chance(-x[i] - s) for i in up]
        left, right = mp.fsum(below) + max(-c, 0), mp.fsum(above) + max(c, 0)
        slope = mp.fsum(p * (1 - p) for p in below) / left + mp.fsum(p * (1 - p) for p in above) / right
        step = mp.log(left / right) / slope
        s -= step
        s = max(s, ends[0]) if up else s
        s = min(s, ends[1]) if down else s
        if abs(step) < mp.mpf(10) ** (20 - mp.dps) * max(1, abs(s)):
            return s
    raise ArithmeticError("Newton's method did not arrive")


def log_losses(x: Row, t: Row, factor: Number) -> list[Number]:
    """−t·log σ(x) and −(1 − t)·log σ(−x) of each, times a factor."""
    return [part * factor for a, b in zip(x, t, strict=True) for part in (b * softplus(-a), (1 - b) * softplus(a))]


@oracle("query_cross_entropy", relative_value=always, relative_gradient=hard_targets)
def query_cross_entropy(pred: Row, target: Row, *, alpha: Number) -> list[Number]:
    """Means over a list of (1 − alpha)·H(x) + alpha·H(x + s), s the best; nothing of it where that is infinite."""
    k = len(pred)
    plain = log_losses(pred, target, (1 - alpha) / k)
    if all(t == target[0] for t in target) and target[0] in (0, 1):
        return plain
    s = level(pred, target)
    return plain + log_losses([x + s for x in pred], target, alpha / k)
