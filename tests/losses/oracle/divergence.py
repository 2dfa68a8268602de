"""Formulas of divergences between two distributions."""

from __future__ import annotations

from functools import partial

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import INF, ZERO, Number, Row, always, oracle
from oracle.terms import weighted, wlog


def times_log_ratio(p: Number, q: Number) -> Number:
    """p·log(p/q); 0 where p = 0, whatever q."""
    return -wlog(p, q / p if p != 0 else ZERO)


@oracle("kl_divergence", relative_gradient=always)
def kl_divergence(pred: Row, target: Row) -> list[Number]:
    """Σ p·log(p/q), q the first input and p the second; 0 where p = 0."""
    return [times_log_ratio(p, q) for q, p in zip(pred, target, strict=True)]


@oracle("reverse_kl")
def reverse_kl(pred: Row, target: Row) -> list[Number]:
    """Σ q·log(q/p). Its derivative is log(q/p) + 1: where that cancels, the two are terms of their own."""
    terms = []
    for q, p in zip(pred, target, strict=True):
        cost = times_log_ratio(q, p)
        apart = q if p != 0 and 0.1 < q / p < 0.7 else ZERO
        terms += [cost - apart, apart]
    return terms


@oracle("kl_divergence_log_input")
def kl_divergence_log_input(pred: Row, target: Row) -> list[Number]:
    """Σ p·(log p − z)."""
    terms = []
    for z, p in zip(pred, target, strict=True):
        terms += [wlog(p, p), -p * z if p != 0 else ZERO]
    return terms


@oracle("kl_divergence_log_target", relative_gradient=always)
def kl_divergence_log_target(pred: Row, target: Row) -> list[Number]:
    """Σ e^w·(w − z); 0 where e^w = 0."""
    return [weighted(mp.exp(w), partial(mp.fsub, w, z)) for z, w in zip(pred, target, strict=True)]


@oracle("js_divergence", relative_value=always, relative_gradient=always)
def js_divergence(pred: Row, target: Row) -> list[Number]:
    """Σ [p·log(p/m) + q·log(q/m)] / 2, m = (p + q)/2."""
    pairs = [(q, p, (p + q) / 2) for q, p in zip(pred, target, strict=True)]
    return [(times_log_ratio(p, m) + times_log_ratio(q, m)) / 2 for q, p, m in pairs]


@oracle("generalized_js_divergence")
def generalized_js_divergence(pred: Row, target: Row, *, beta: Number) -> list[Number]:
    """Σ [beta·p·log(p/m) + (1 − beta)·q·log(q/m)], m = beta·p + (1 − beta)·q, with the sums of p, q and m."""
    terms = []
    for q, p in zip(pred, target, strict=True):
        m = beta * p + (1 - beta) * q
        terms += [beta * wlog(p, p), -beta * wlog(p, m), (1 - beta) * wlog(q, q), -(1 - beta) * wlog(q, m)]
    return terms


@oracle("jeffreys", relative_value=always, relative_gradient=always)
def jeffreys(pred: Row, target: Row) -> list[Number]:
    """Σ (p − q)·log(p/q)."""
    return [times_log_ratio(p, q) + times_log_ratio(q, p) for q, p in zip(pred, target, strict=True)]


@oracle("generalized_kl", relative_value=always, relative_gradient=always)
def generalized_kl(pred: Row, target: Row) -> list[Number]:
    """Σ p·log(p/q) − p + q."""
    return [times_log_ratio(p, q) - p + q for q, p in zip(pred, target, strict=True)]


@oracle("renyi")
def renyi(pred: Row, target: Row, *, alpha: Number) -> list[Number]:
    """log(Σ p^alpha·q^(1 − alpha) / Σ p) / (alpha − 1), and its limit at 1: of 1 and of terms that cancel."""
    total, a = mp.fsum(target), alpha - 1
    pairs = [(q, p) for q, p in zip(pred, target, strict=True) if p != 0]
    if a == 0:
        return [times_log_ratio(p, q) / total for q, p in pairs]
    if a > 0 and any(q == 0 for q, _ in pairs):
        return [INF]
    grown = [p * ((q / p) ** -a - 1) / total for q, p in pairs]
    whole = 1 + mp.fsum(grown)
    if whole == 0:
        return [INF]
    return [*(g / a for g in grown), (mp.log(whole) - mp.fsum(grown)) / a]
