"""Quantities of a sample that thresholds, factors and differences are functions of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.hints.evidence import WAYS, Evidence, share_of, softmax, target_class
from lossctl.gradients.tally import CheckedSamples

# Most values of a target that are taken for classes, and most columns that are listed.
_MOST_CLASSES = 6
# Most outputs of a sample, such as a mean and a log-variance, of which each may be a factor of the others.
_FEW_OUTPUTS = 3
# Least share of the coordinates in a part, and outside it, that the wrong ones are named by.
_LEAST_PART = 0.1


def _flat_inputs(case: Evidence, cases: CheckedSamples) -> dict[str, Array]:
    """Return the inputs with one value per sample or per coordinate, (n, 1 or coordinates), by role."""
    flat = {
        role: a.reshape(len(cases), -1).astype(float) for role, a in zip(case.loss.roles, cases.inputs, strict=True)
    }
    return {role: a for role, a in flat.items() if a.shape[1] in (1, cases.given.shape[1])}


def thresholds(case: Evidence, cases: CheckedSamples) -> Iterator[tuple[str, Array]]:
    """Yield the quantities that a branch may depend on, in words and as (n,) numbers, for one coordinate a sample."""
    inputs = [a for a in cases.inputs[:2] if a.shape == (len(cases),)]
    kinds = [i.kind.name for i in case.loss.inputs[:2]]
    if len(inputs) == 2:
        pred, target = inputs
        if kinds == ["Real", "Real"]:
            yield "|pred − target|", np.abs(pred - target)
            yield "pred − target", pred - target
        if kinds == ["Real", "Sign"]:
            yield "target·pred", pred * target
        yield "target", target
    if inputs:
        yield "pred", inputs[0]
        yield "|pred|", np.abs(inputs[0])


def scales(case: Evidence, cases: CheckedSamples) -> Iterator[tuple[str, Array]]:
    """Yield positive quantities whose powers may be factors, in words and as (n, 1 or coordinates) numbers."""
    inputs = _flat_inputs(case, cases)
    kinds = {role: i.kind.name for role, i in zip(case.loss.roles, case.loss.inputs, strict=True)}
    for role, x in inputs.items():
        yield role, x
        if (x < 0.0).any():
            yield f"|{role}|", np.abs(x)
        if (x > -1.0).all():
            yield f"(1 + {role})", 1.0 + x
            yield f"(1 + {role})/{role}", (1.0 + x) / x
        if ((x >= 0.0) & (x <= 1.0)).all():
            yield f"(1 − {role})", 1.0 - x
            yield f"{role}·(1 − {role})", x * (1.0 - x)
            yield f"{role}/(1 − {role})", x / (1.0 - x)
    roles = case.loss.roles
    if roles[0] not in inputs:
        return
    x = inputs[roles[0]]
    yield "e^pred", np.exp(x)
    yield "(1 − tanh² pred)", 1.0 / np.cosh(x) ** 2
    if kinds[roles[0]] == "Real" and x.shape[1] == 1:
        yield from _probability(1.0 / (1.0 + np.exp(-x)), "s", ", where s is the sigmoid of pred")
    if kinds[roles[0]] == "Logits":
        p = softmax(x)
        yield from _probability(p, "p", ", where p is the softmax of pred")
    t = inputs.get(roles[1]) if len(roles) > 1 else None
    if t is not None and t.shape == x.shape and kinds[roles[1]] != "Label":
        r = x - t
        yield "|pred − target|", np.abs(r)
        yield "(1 + |pred − target|)", 1.0 + np.abs(r)
        yield "(1 + (pred − target)²)", 1.0 + r**2
        yield "cosh(pred − target)", np.cosh(r)
        yield "e^((pred − target)²/2)", np.exp(r**2 / 2.0)
        if (t != 0.0).all():
            yield "|pred|/|target|", np.abs(x / t)
        if kinds[roles[1]] == "Sign":
            yield "e^(target·pred)", np.exp(t * x)
        if min(x.min(), t.min()) > -1.0:
            yield "(1 + pred)/(1 + target)", (1.0 + x) / (1.0 + t)
        if ((x >= 0.0) & (x <= 1.0) & ((t == 0.0) | (t == 1.0))).all():
            yield "the probability of the target", np.where(t == 1.0, x, 1.0 - x)
            yield "(1 − the probability of the target)", np.where(t == 1.0, 1.0 - x, x)
        if x.shape[1] > 1:
            yield "the norm of pred − target", np.linalg.norm(r, axis=1, keepdims=True)
            yield "the norm of target", np.linalg.norm(t, axis=1, keepdims=True)
    if x.shape[1] > 1:
        yield "the norm of pred", np.linalg.norm(x, axis=1, keepdims=True)
    if 1 < x.shape[1] <= _FEW_OUTPUTS:
        for j in range(x.shape[1]):
            yield f"e^pred[{j}]", np.exp(x[:, [j]])
            yield f"|pred[{j}]|", np.abs(x[:, [j]])
    yield "the loss", loss_of(case, cases)


def _probability(p: Array, name: str, words: str) -> Iterator[tuple[str, Array]]:
    yield f"{name}{words}", p
    yield f"(1 − {name}){words}", 1.0 - p
    yield f"{name}(1 − {name}){words}", p * (1.0 - p)
    yield f"{name}/(1 − {name}){words}", p / (1.0 - p)


def loss_of(case: Evidence, cases: CheckedSamples) -> Array:
    """Return the loss of each sample, (n, 1); NaN if samples depend on each other."""
    if case.loss.batch_coupled:
        return np.full((len(cases), 1), np.nan)
    return np.asarray(case.loss.evaluate(*cases.inputs)[0], dtype=float).reshape(-1, 1)


def groups(case: Evidence, cases: CheckedSamples) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield partitions of the coordinates: the words of each part, and its number at every coordinate."""
    shape = cases.given.shape
    inputs = _flat_inputs(case, cases)
    x: Array | None = inputs.get(case.loss.roles[0])
    target: Array | None = None
    if len(cases.inputs) > 1:
        target = inputs.get(case.loss.roles[1])
        values, codes = np.unique(cases.inputs[1], return_inverse=True)
        codes = codes.reshape(len(cases), -1)
        if 1 < len(values) <= _MOST_CLASSES and codes.shape[1] in (1, shape[1]):
            yield [f"where target is {v:g}" for v in values.astype(float)], np.broadcast_to(codes, shape)
        is_target = target_class(cases)
        if is_target is not None:
            yield ["at the classes that are not the target", "at the target's class"], is_target.astype(int)
    if x is not None and target is not None and x.shape == target.shape and case.loss.inputs[1].kind.name != "Label":
        side = np.nan_to_num(np.sign(x - target)).astype(int) + 1  # infinite numbers may be equal
        yield ["where pred < target", "where pred equals target", "where pred > target"], np.broadcast_to(side, shape)
    for role, a in list(inputs.items())[2:]:
        values, codes = np.unique(a, return_inverse=True)
        if 1 < len(values) <= _MOST_CLASSES:
            yield [f"where {role} is {v:g}" for v in values], np.broadcast_to(codes.reshape(a.shape), shape)
    if 2 < shape[1] <= 2 * _MOST_CLASSES:
        yield [f"in column {j}" for j in range(shape[1])], np.broadcast_to(np.arange(shape[1]), shape)


def place_of(case: Evidence) -> str | None:
    """Return which part of a partition the wrong coordinates are, if all of it is wrong and nothing else."""
    every, judged = case.every, case.judged
    if math.comb(int(judged.sum()), int(every.wrong.sum())) < WAYS:
        return None
    for words, code in groups(case, every):
        for g, part in enumerate(words):
            inside = code == g
            size = inside[judged].mean()
            if _LEAST_PART < size < 1.0 - _LEAST_PART and share_of((every.wrong == inside)[judged]):
                return part
    return None
