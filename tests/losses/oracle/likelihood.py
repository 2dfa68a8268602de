"""Formulas of likelihoods of a real number with a predicted scale or variance."""

from __future__ import annotations

from functools import lru_cache

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle


@oracle("gaussian_nll", relative_gradient=always)
def gaussian_nll(pred: Number, target: Number, var: Number, *, full: bool) -> list[Number]:
    """(log var + r²/var)/2, with log(2π)/2 if full."""
    return [mp.log(var) / 2, (pred - target) ** 2 / var / 2, mp.log(2 * mp.pi) / 2 if full else ZERO]


@oracle("laplace_nll", relative_gradient=always)
def laplace_nll(pred: Number, target: Number, scale: Number) -> list[Number]:
    """log(2·scale) + |r|/scale."""
    return [mp.log(2 * scale), abs(pred - target) / scale]


@oracle("student_t_nll", relative_gradient=always)
def student_t_nll(pred: Number, target: Number, scale: Number, df: Number) -> list[Number]:
    """−log of Γ((df + 1)/2)/(Γ(df/2)·√(π·df)·scale)·(1 + r²/(df·scale²))^(−(df + 1)/2)."""
    return [mp.log(scale), (df + 1) / 2 * mp.log(1 + ((pred - target) / scale) ** 2 / df), _student_t(df)]


@lru_cache(maxsize=8)  # it stays the same while the prediction is moved
def _student_t(df: Number) -> Number:
    # For df up to 1e150 the two logarithms cancel 153 digits. One precision for all samples: mpmath computes the
    # coefficients of log Γ anew, in a second, for each higher precision.
    with mp.workdps(260):
        return mp.loggamma(df / 2) - mp.loggamma((df + 1) / 2) + mp.log(mp.pi * df) / 2
