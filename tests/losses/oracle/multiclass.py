"""Formulas of losses for one class out of several."""

from __future__ import annotations

from functools import partial

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Label, Number, Row, always, oracle
from oracle.terms import hard_targets, one_hot, smoothed, surprise, weighted, wlog


@oracle("categorical_cross_entropy", relative_value=always, relative_gradient=always)
def categorical_cross_entropy(pred: Row, target: Row, *, label_smoothing: Number) -> list[Number]:
    """−Σ t·log p, with t smoothed over the classes."""
    return [-wlog(t, p) for p, t in zip(pred, smoothed(target, label_smoothing), strict=True)]


@oracle("sparse_categorical_cross_entropy", relative_value=always, relative_gradient=always)
def sparse_categorical_cross_entropy(pred: Row, target: Label, *, label_smoothing: Number) -> list[Number]:
    """−log p[y], or −Σ t·log p with the one-hot t smoothed over the classes."""
    one_hot = [mpf(j == target) for j in range(len(pred))]
    return categorical_cross_entropy(pred, one_hot, label_smoothing=label_smoothing)


@oracle("softmax_cross_entropy", relative_value=always, relative_gradient=hard_targets)
def softmax_cross_entropy(pred: Row, target: Row, *, label_smoothing: Number) -> list[Number]:
    """−Σ t·log softmax(z), with t smoothed over the classes."""
    return [weighted(t, partial(surprise, pred, j)) for j, t in enumerate(smoothed(target, label_smoothing))]


@oracle("sparse_softmax_cross_entropy", relative_value=always, relative_gradient=hard_targets)
def sparse_softmax_cross_entropy(pred: Row, target: Label, *, label_smoothing: Number) -> list[Number]:
    """logsumexp(z) − z[y] = −log softmax(z)[y], with the one-hot y smoothed over the classes."""
    return softmax_cross_entropy(pred, one_hot(target, len(pred)), label_smoothing=label_smoothing)


@oracle("nll", relative_value=always, relative_gradient=always)
def nll(pred: Row, target: Label) -> list[Number]:
    """−z[y] of log-probabilities z."""
    return [-pred[target]]


@oracle("crammer_singer")
def crammer_singer(pred: Row, target: Label, *, margin: Number) -> list[Number]:
    """max(0, margin + max z[j] − z[y]) over j ≠ y."""
    rival = max(z for j, z in enumerate(pred) if j != target)
    on = margin + rival - pred[target] > 0
    return [on * term for term in (margin, rival, -pred[target])]


@oracle("sparsemax")
def sparsemax(pred: Row, target: Label) -> list[Number]:
    """½ + max over probabilities p of Σ p[j]·(z[j] − z[y]) − ½·Σ p[j]²: its definition as a conjugate."""
    ordered = sorted(pred, reverse=True)
    # Of k classes, the level at which what is above it sums to 1: it rises as long as there is a class above it.
    level = max((mp.fsum(ordered[:k]) - 1) / k for k in range(1, len(pred) + 1))
    terms = [mpf(1) / 2]
    for z in pred:
        p = max(z - level, ZERO)
        terms += [weighted(p, partial(mp.fsub, z, pred[target])), -(p**2) / 2]
    return terms


@oracle("multi_margin")
def multi_margin(pred: Row, target: Label, *, p: Number, margin: Number) -> list[Number]:
    """Σ max(0, margin − z[y] + z[j])^p / k over j ≠ y; a square is the sum of all products of its parts."""
    terms = []
    for j, z in enumerate(pred):
        parts = [margin, -pred[target], z]
        on = j != target and sum(parts) > 0
        products = parts if p == 1 else [a * b for a in parts for b in parts]
        terms += [on * product / len(pred) for product in products]
    return terms


def missed(logits: Row, y: Label) -> Number:
    """1 − softmax(logits)[y], as the sum of the others."""
    return mp.fsum(mp.exp(-surprise(logits, j)) for j in range(len(logits)) if j != y)


@oracle("softmax_focal", relative_value=always, relative_gradient=always)
def softmax_focal(pred: Row, target: Label, *, gamma: Number) -> list[Number]:
    """−(1 − p)^gamma · log p, p = softmax(z)[y]."""
    return [missed(pred, target) ** gamma * surprise(pred, target)]


@oracle("generalized_cross_entropy", relative_value=always, relative_gradient=always)
def generalized_cross_entropy(pred: Row, target: Label, *, q: Number) -> list[Number]:
    """(1 − p[y]^q) / q."""
    return [(1 - pred[target] ** q) / q]


@oracle("poly1_softmax", relative_value=always, relative_gradient=always)
def poly1_softmax(pred: Row, target: Label, *, epsilon: Number) -> list[Number]:
    """−log p + epsilon·(1 − p), p = softmax(z)[y]."""
    return [surprise(pred, target), epsilon * missed(pred, target)]
