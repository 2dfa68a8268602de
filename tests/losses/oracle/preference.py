"""Formulas of losses of preferences."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import Number, oracle
from oracle.terms import softplus


def _surprise(parts: list[Number]) -> list[Number]:
    """Return −log σ(z) = log(1 + e^z) − z, z = Σ parts, as terms."""
    return [softplus(mp.fsum(parts)), *(-part for part in parts)]


@oracle("dpo")
def dpo(
    pred: Number,
    target: Number,
    reference_chosen: Number,
    reference_rejected: Number,
    *,
    beta: Number,
    label_smoothing: Number,
) -> list[Number]:
    """−(1 − s)·log σ(z) − s·log σ(−z), z = beta·(pred − target − chosen + rejected)."""
    parts = [beta * x for x in (pred, -target, -reference_chosen, reference_rejected)]
    wrong = _surprise([-part for part in parts])
    return [*((1 - label_smoothing) * x for x in _surprise(parts)), *(label_smoothing * x for x in wrong)]


@oracle("ipo")
def ipo(
    pred: Number, target: Number, reference_chosen: Number, reference_rejected: Number, *, beta: Number
) -> list[Number]:
    """(pred − target − chosen + rejected − 1/(2·beta))², multiplied out."""
    parts = [pred, -target, -reference_chosen, reference_rejected, -1 / (2 * beta)]
    return [a * b for a in parts for b in parts]


@oracle("simpo")
def simpo(pred: Number, target: Number, *, beta: Number, gamma: Number) -> list[Number]:
    """−log σ(beta·(pred − target) − gamma)."""
    return _surprise([beta * pred, -beta * target, -gamma])


@oracle("orpo")
def orpo(pred: Number, target: Number, *, beta: Number) -> list[Number]:
    """−pred − beta·log σ of the difference of the log odds."""
    odds = [pred, -target, -mp.log(-mp.expm1(pred)), mp.log(-mp.expm1(target))]
    return [-pred, *(beta * term for term in _surprise(odds))]


@oracle("kto")
def kto(
    pred: Number,
    target: Number,
    reference: Number,
    kl: Number,
    *,
    beta: Number,
    desirable_weight: Number,
    undesirable_weight: Number,
) -> list[Number]:
    """w·σ(−z), z = ±beta·(pred − reference − kl); of what z subtracts as much as shows in the sigmoid."""
    sign, weight = (1, desirable_weight) if target else (-1, undesirable_weight)
    z = sign * beta * (pred - reference - kl)
    value = weight / (1 + mp.exp(z))
    slope = value * (1 - value / weight)
    shown = [slope * beta * abs(x) for x in (pred, reference, kl)]
    return [value, *shown, *(-x for x in shown)] if mpf(0) < value else [value]
