"""Formulas of proper scoring rules."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Label, Number, Row, always, oracle


@oracle("brier", relative_value=always, relative_gradient=always)
def brier(pred: Number, target: Number) -> list[Number]:
    """(p − t)²."""
    return [(pred - target) ** 2]


@oracle("multiclass_brier", relative_value=always, relative_gradient=always)
def multiclass_brier(pred: Row, target: Label) -> list[Number]:
    """Σ (p[k] − [k = y])²."""
    return [(p - mpf(k == target)) ** 2 for k, p in enumerate(pred)]


@oracle("ranked_probability_score")
def ranked_probability_score(pred: Row, target: Label) -> list[Number]:
    """Σ (P[k] − [y ≤ k])², P[k] = p[0] + … + p[k]; multiplied out."""
    terms = []
    for k in range(len(pred)):
        total = mp.fsum(pred[: k + 1])
        reached = mpf(target <= k)
        terms += [total**2, -2 * total * reached, reached]
    return terms


@oracle("crps_gaussian", relative_value=always, relative_gradient=always)
def crps_gaussian(pred: Number, target: Number, sigma: Number) -> list[Number]:
    """sigma·(z·(2Φ(z) − 1) + 2φ(z) − 1/√π), z = (t − p)/sigma."""
    z = (target - pred) / sigma
    return [sigma * (z * mp.erf(z / mp.sqrt(2)) + 2 * mp.npdf(z) - 1 / mp.sqrt(mp.pi))]


@oracle("crps_ensemble")
def crps_ensemble(pred: Row, target: Number, *, estimator: str) -> list[Number]:
    """Of m members: mean |x[i] − t| − Σ|x[i] − x[j]|/(2m²), or /(2m(m − 1)) if fair."""
    m = len(pred)
    pairs = 2 * m * (m - 1 if estimator == "fair" else m)
    return [abs(x - target) / m for x in pred] + [-abs(x - y) / pairs for x in pred for y in pred]


@oracle("interval_score")
def interval_score(pred: Number, upper: Number, target: Number, *, alpha: Number) -> list[Number]:
    """(u − l) + 2/alpha·(l − t) where t < l, + 2/alpha·(t − u) where t > u."""
    below = 2 / alpha * (pred - target) if target < pred else ZERO
    above = 2 / alpha * (target - upper) if target > upper else ZERO
    return [upper, -pred, below, above]
