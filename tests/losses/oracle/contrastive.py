"""Formulas of contrastive losses, for a whole batch."""

from __future__ import annotations

from collections.abc import Iterator

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import Label, Number, Row, oracle
from oracle.metric_learning import cosine
from oracle.terms import softplus


def beside(target: list[Label]) -> Iterator[tuple[int, list[int], list[int]]]:
    """Each sample, the others of its group and those of other groups."""
    for i, own in enumerate(target):
        others = [j for j in range(len(target)) if j != i]
        yield i, [j for j in others if target[j] == own], [j for j in others if target[j] != own]


@oracle("supervised_ntxent")
def supervised_ntxent(pred: list[Row], target: list[Label], *, temperature: Number) -> list[Number]:
    """Over pairs i, j of a group: log(e^s[i, j] + Σ e^s[i, k] of others), and −s[i, j]; s = cosine/temperature."""
    terms = []
    for i, alike, unlike in beside(target):
        s = {j: [part / temperature for part in cosine(pred[i], pred[j])] for j in (*alike, *unlike)}
        for j in alike:
            terms += [mp.log(mp.fsum(mp.exp(mp.fsum(s[k])) for k in (j, *unlike))), *(-part for part in s[j])]
    return terms


@oracle("circle")
def circle(pred: list[Row], target: list[Label], *, gamma: Number, margin: Number) -> list[Number]:
    """log(1 + Σ e^far·Σ e^near), of d = 1 − s far = gamma·(d + m)·(d − m), near = gamma·max(0, 1 + m − d)·(1 − m − d).

    What the exponents subtract, gamma and gamma·s by products, are terms.
    """
    terms = []
    for i, alike, unlike in beside(target):
        if not alike or not unlike:
            continue
        s = {j: cosine(pred[i], pred[j]) for j in (*alike, *unlike)}
        d = {j: 1 - mp.fsum(parts) for j, parts in s.items()}
        far = mp.log(mp.fsum(mp.exp(gamma * (d[j] ** 2 - margin**2)) for j in alike))
        near = mp.log(mp.fsum(mp.exp(gamma * max(mp.zero, 1 + margin - d[k]) * (1 - margin - d[k])) for k in unlike))
        parts = [gamma * part for j in s for part in (1, *(-part for part in s[j]))]
        terms += [softplus(far + near), *parts, -mp.fsum(parts)]
    return terms


@oracle("infonce")
def infonce(pred: list[Row], target: list[Row], *, temperature: Number) -> list[Number]:
    """Of a whole batch: Σ over i of log Σ e^(s[i, j]/temperature) over j, and of −s[i, i]/temperature."""
    terms = []
    for i, x in enumerate(pred):
        similar = [[part / temperature for part in cosine(x, y)] for y in target]
        terms += [mp.log(mp.fsum(mp.exp(mp.fsum(parts)) for parts in similar)), *(-part for part in similar[i])]
    return terms
