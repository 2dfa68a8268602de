"""Formulas of likelihoods of counts."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle
from oracle.terms import weighted, wlog


@oracle("poisson_nll", relative_gradient=always)
def poisson_nll(pred: Number, target: Number, *, full: bool) -> list[Number]:
    """Of a rate p: p − t·log p, with log Γ(t + 1) if full."""
    return [pred, -wlog(target, pred), mp.loggamma(target + 1) if full else ZERO]


@oracle("poisson_nll_log_rate")
def poisson_nll_log_rate(pred: Number, target: Number, *, full: bool) -> list[Number]:
    """e^x − t·x, with log Γ(t + 1) if full."""
    return [mp.exp(pred), -target * pred, mp.loggamma(target + 1) if full else ZERO]


@oracle("negative_binomial_nll", relative_gradient=always)
def negative_binomial_nll(pred: Number, target: Number, *, dispersion: Number) -> list[Number]:
    """−log of Γ(t + n)/(Γ(n)·t!)·(n/(n + m))^n·(m/(n + m))^t, n = 1/dispersion."""
    n = 1 / dispersion
    return [
        mp.loggamma(target + 1),
        mp.loggamma(n) - mp.loggamma(target + n),
        n * mp.log(1 + pred / n),
        weighted(target, lambda: mp.log((n + pred) / pred) if pred else mp.inf),
    ]
