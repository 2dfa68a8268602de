"""Hints on logits and probabilities: the chain rule through the softmax or the sigmoid, and the target's class."""

from __future__ import annotations

import numpy as np

from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    ERROR_FACTOR,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    class_of_target,
    fit,
    hint,
    share_of,
    share_text,
    short,
    softmax,
    tolerance_of,
)

HINTS: list[Hint] = []


@hint(HINTS, "diagonal")
def _diagonal(case: Evidence) -> str | None:
    """Explain a gradient through a softmax that takes only p(1 − p), the diagonal of its Jacobian."""
    failing = case.failing
    if case.loss.inputs[0].kind.name != "Logits" or failing.given.shape[1] < 3:
        return None
    p = softmax(failing.inputs[0].reshape(len(failing), -1))
    by_probability = failing.given / (1.0 - p)  # times p
    whole = by_probability - p * by_probability.sum(axis=1, keepdims=True)
    soft = (p.max(axis=1, keepdims=True) < 0.99) & np.isfinite(whole)
    mask = failing.informative & soft
    share = share_of((np.abs(whole - failing.numeric) <= tolerance_of(failing))[mask])
    if share is None:
        return None
    return f"given has only the diagonal of the Jacobian of the softmax, p(1 − p){share_text(share)}"


@hint(HINTS, "label-smoothing")
def _label_smoothing(case: Evidence) -> str | None:
    """Explain a difference of ε(1/k − 1) at the class of the target and ε/k at the others."""
    failing = case.failing
    target_class = class_of_target(failing)
    if target_class is None:
        return None
    k = target_class.shape[1]
    difference, mask = failing.given - failing.numeric, failing.informative
    if np.count_nonzero(mask & target_class) < ENOUGH or np.count_nonzero(mask & ~target_class) < ENOUGH:
        return None
    at_own, at_others = (float(np.median(difference[mask & part])) for part in (target_class, ~target_class))
    epsilon = abs(at_others) * k
    if not 0.0 < epsilon < 1.0 or abs(at_own + (k - 1) * at_others) > VISIBLE * FITS:
        return None
    share = fit(failing, failing.numeric + np.where(target_class, at_own, at_others))
    if share is None:
        return None
    what = "is missing" if at_own < 0 else "is too much"
    return f"a label smoothing of {number(short(epsilon))} {what}{share_text(share)}"


@hint(HINTS, "label-shifted")
def _label_shifted(case: Evidence) -> str | None:
    """Explain a one-hot target at the class before or after that of the target."""
    failing = case.failing
    target_class = class_of_target(failing)
    if target_class is None or target_class.shape[1] < 3:
        return None
    for step, words in ((1, "after"), (-1, "before")):
        shifted = np.roll(target_class, step, axis=1)
        share = fit(failing, failing.numeric + target_class - shifted)
        if share and share_of((failing.wrong == target_class | shifted).ravel()):
            return f"given takes the class {words} the target for the target{share_text(share)}"
    return None


@hint(HINTS, "other-variable")
def _logit(case: Evidence) -> str | None:
    failing = case.failing
    pred = failing.inputs[0].reshape(len(failing), -1)
    kind = case.loss.inputs[0].kind.name
    if pred.shape[1] != failing.given.shape[1]:
        return None
    if kind == "Probability" and fit(failing, failing.numeric * pred * (1.0 - pred)):
        return "given ÷ numeric is p(1 − p): it is the derivative with respect to the logit; say --wrt logits"
    if kind == "Probabilities":
        slope = np.nan_to_num(failing.numeric)
        by_logit = pred * (slope - (pred * slope).sum(axis=1, keepdims=True))
        if fit(failing, by_logit):
            return "given is the derivative with respect to the logits, through the softmax; say --wrt logits"
    if kind == "Logits":
        p = np.exp(pred - pred.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        through = p * (failing.given - (p * failing.given).sum(axis=1, keepdims=True))
        if (np.abs(through - failing.numeric) <= FITS * failing.scale + ERROR_FACTOR * failing.error)[
            failing.informative
        ].all():
            return "given is the derivative with respect to the probabilities, not to the logits"
    if kind == "Real" and pred.shape[1] == 1:
        p = 1.0 / (1.0 + np.exp(-pred))
        if fit(failing, failing.numeric / (p * (1.0 - p))):
            return "numeric ÷ given is p(1 − p): it is the derivative with respect to the probability, not the logit"
    return None
