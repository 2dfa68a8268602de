"""Rows on which definitions differ that give the same number: what to compute next."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lossctl.core.arrays import Array
from lossctl.explanation.matching import candidate_of
from lossctl.explanation.reductions import Weighing
from lossctl.explanation.result import Explanation, loss_in
from lossctl.explanation.search import Search
from lossctl.immutable import immutable

_ROWS = 12
# Relative difference from which on two numbers differ in single precision, too.
_DIFFERENCE = 1e-5
# What replaces the first predictions, if all are probabilities: clips and padding show there.
_EDGES = (0.0, 1.0, 1e-9, 1.0 - 1e-9)
_SINGLE = "; is in single precision"


@immutable(eq=False)
class Probe:
    """Rows, and what each definition gives on them.

    Attributes:
        pred, target: (rows,) or (rows, k) arrays.
        values: the number of each definition, by its text.
    """

    pred: Array
    target: Array
    values: dict[str, float]

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """The names of the columns of the predictions and of the targets."""
        preds, targets = (1 if x.ndim == 1 else x.shape[1] for x in (self.pred, self.target))
        return _names("pred", preds), _names("target", targets)

    @property
    def csv(self) -> str:
        """The rows as text, with all digits."""
        table = np.column_stack([self.pred, self.target]).tolist()
        header = ",".join(name for names in self.columns for name in names)
        return "\n".join([header, *(",".join(map(repr, row)) for row in table)]) + "\n"

    @property
    def distinct(self) -> int:
        """How many numbers can be told apart."""
        ordered = sorted(self.values.values())
        steps = (not math.isclose(a, b, rel_tol=_DIFFERENCE) for a, b in pairwise(ordered))
        return min(len(ordered), 1) + sum(steps)


def _names(role: str, count: int) -> list[str]:
    return [role] if count == 1 else [f"{role}_{i}" for i in range(count)]


def make_probe(explanation: Explanation, search: Search) -> Probe | None:
    """Return rows of the data, some of them changed, on which the definitions that are left differ most.

    Args:
        explanation: the answer of the search.
        search: the search, whose data are changed.

    Returns:
        the rows, without weights; None if only one definition is left or no rows tell two apart.
    """
    texts = {text.replace(_SINGLE, "") for c in explanation.best for text in (c.text, *c.names)}
    if not explanation.found or len(texts) < 2:
        return None
    losses = tuple(dict.fromkeys(map(loss_in, sorted(texts))))
    probes = [
        _probe(replace(search, losses=losses, weighing=Weighing(), images=None), texts, edges)
        for edges in (True, False)
    ]
    best = max(probes, key=lambda probe: probe.distinct)
    return best if best.distinct > 1 else None


def _probe(search: Search, texts: set[str], edges: bool) -> Probe:
    rows = np.random.default_rng(0).permutation(len(search.pred))[:_ROWS]
    pred, target = search.pred[rows].copy(), search.target[rows].copy()
    if edges:
        _to_edges(pred)
    small = replace(search, pred=pred, target=target)
    values: dict[str, float] = {}
    with np.errstate(all="ignore"):
        for computed in small.computed():
            for function in small.functions:
                if computed.cost + function.cost > small.most:
                    continue
                value = float(function.forward(computed.statistic.value))
                text = candidate_of(computed, function, value, "double").text
                if text in texts and not math.isnan(value):
                    values.setdefault(text, value)
    return Probe(pred, target, values)


def _to_edges(pred: Array) -> None:
    """Move some predictions to where definitions differ: probabilities to 0 and 1, others far from 0."""
    for i, p in enumerate(_EDGES[: len(pred)]):
        if ((pred < 0) | (pred > 1)).any() or pred.max() == pred.min():
            pred[i] *= 10.0
        elif pred.ndim == 1:
            pred[i] = p
        else:
            pred[i] = (1.0 - p) / (pred.shape[1] - 1)
            pred[i, 0] = p
