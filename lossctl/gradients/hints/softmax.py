"""Hints on logits and probabilities: the chain rule through the softmax or the sigmoid, and the target's class."""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    fit,
    hint,
    share_of,
    share_text,
    short,
    softmax,
    target_class,
    tolerance_of,
    visible,
)

HINTS: list[Hint] = []
# Least number of samples that show a sum over the samples, one number for each class.
_LEAST_ROWS = 5
# Largest relative deviation of such a number.
_SAME = 1e-3


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
    is_target = target_class(failing)
    if is_target is None:
        return None
    k = is_target.shape[1]
    difference, mask = failing.given - failing.numeric, failing.informative
    if np.count_nonzero(mask & is_target) < ENOUGH or np.count_nonzero(mask & ~is_target) < ENOUGH:
        return None
    at_own, at_others = (float(np.median(difference[mask & part])) for part in (is_target, ~is_target))
    epsilon = abs(at_others) * k
    if not 0.0 < epsilon < 1.0 or abs(at_own + (k - 1) * at_others) > VISIBLE * FITS:
        return None
    share = fit(failing, failing.numeric + np.where(is_target, at_own, at_others))
    if share is None:
        return None
    what = "is missing" if at_own < 0 else "is too much"
    return f"a label smoothing of {number(short(epsilon))} {what}{share_text(share)}"


@hint(HINTS, "label-shifted")
def _label_shifted(case: Evidence) -> str | None:
    """Explain a one-hot target at the class before or after that of the target."""
    failing = case.failing
    is_target = target_class(failing)
    if is_target is None or is_target.shape[1] < 3:
        return None
    for step, words in ((1, "after"), (-1, "before")):
        shifted = np.roll(is_target, step, axis=1)
        share = fit(failing, failing.numeric + is_target - shifted)
        if share and share_of((failing.wrong == is_target | shifted).ravel()):
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
        if share_of((np.abs(through - failing.numeric) <= tolerance_of(failing))[failing.informative]):
            return "given is the derivative with respect to the probabilities, not to the logits"
    if kind == "Real" and pred.shape[1] == 1:
        p = 1.0 / (1.0 + np.exp(-pred))
        if fit(failing, failing.numeric / (p * (1.0 - p))):
            return "numeric ÷ given is p(1 − p): it is the derivative with respect to the probability, not the logit"
    return None


@hint(HINTS, "not-softmax")
def _not_softmax(case: Evidence) -> str | None:
    """Explain something else in the place of the softmax or of the sigmoid: over another axis, its logarithm, twice."""
    every = case.every
    z = every.inputs[0].reshape(len(every), -1)
    kinds = [i.kind.name for i in case.loss.inputs]
    if z.shape != every.given.shape or case.loss.batch_coupled:
        return None
    if kinds[0] == "Logits" and z.shape[1] > 1:
        p = softmax(z)
        words, others = "softmax over the classes", _not_softmaxes(z, every.given - every.numeric + p)
    elif kinds[:2] == ["Real", "Probability"]:
        words, p, others = "sigmoid", _sigmoid(z), _not_sigmoids(z)
    else:
        return None
    wrong = every.wrong.any(axis=1)
    for name, other in others.items():
        if share := fit(every[wrong], (every.numeric + other - p)[wrong]):
            return f"given takes {name} for the {words}{share_text(share)}"
    return None


def _sigmoid(z: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def _not_softmaxes(z: Array, taken: Array) -> dict[str, Array]:
    """Return what may be taken for the softmax over the classes.

    Args:
        z: (n, classes) the logits, not necessarily of all samples: sums over the samples are estimated.
        taken: the given gradient, as far as it is taken for the softmax.
    """
    p, e = softmax(z), np.exp(z - z.max())
    others = {
        "the softmax of the softmax": softmax(p),
        "the logarithm of the softmax": np.log(p),
        "the sigmoid": _sigmoid(z),
        "1 at the largest prediction, 0 elsewhere,": (z == z.max(axis=1, keepdims=True)).astype(float),
        "the predictions themselves": z,
    }
    if len(z) >= _LEAST_ROWS:
        large = np.argsort(e, axis=0)[len(e) // 2 :]  # of the others the quotient has few digits
        shares = np.take_along_axis(taken / e, large, axis=0)
        share = np.median(shares, axis=0)
        if np.mean(np.abs(shares - share) <= _SAME * share) > 0.9:
            where = "all numbers" if np.ptp(share) <= _SAME * share.max() else "the samples"
            others["e^pred, not divided by its sum,"] = np.exp(z)
            others[f"the softmax over {where}"] = e * share
    return others


def _not_sigmoids(z: Array) -> dict[str, Array]:
    return {
        "the prediction itself": z,
        "the sigmoid of the sigmoid": _sigmoid(_sigmoid(z)),
        "the sigmoid of −pred": _sigmoid(-z),
        "tanh": np.tanh(z),
        "1 where pred > 0, otherwise 0,": (z > 0.0).astype(float),
    }


@hint(HINTS, "class-weight")
def _class_weight(case: Evidence) -> str | None:
    """Explain a weight of the class of the target that only one of the terms p and [k = y] has."""
    failing = case.failing
    is_target = target_class(failing)
    if case.loss.inputs[0].kind.name != "Logits" or is_target is None:
        return None
    p = softmax(failing.inputs[0].reshape(len(failing), -1))
    seen = visible(failing) & ~is_target
    if np.count_nonzero(seen) < ENOUGH:
        return None
    classes = is_target.argmax(axis=1)
    predicted = failing.numeric.copy()
    extra = []
    for c in np.unique(classes):
        rows = classes == c
        amount = np.median(((failing.given - failing.numeric) / p)[rows][seen[rows]]) if seen[rows].any() else 0.0
        predicted[rows] += amount * p[rows]
        extra.append(amount)
    share = fit(failing, predicted)
    if share is None or np.ptp(extra) <= VISIBLE * FITS:
        return None
    return (
        f"given − numeric is p times a number for each class of the target{share_text(share)}: p or the target lacks "
        "the weight of the class"
    )


@hint(HINTS, "softmax-mean")
def _softmax_mean(case: Evidence) -> str | None:
    """Explain p·v in the place of p·(v − Σ p·v): the mean over the row, which normalises the softmax, is missing."""
    failing = case.failing
    z = failing.inputs[0].reshape(len(failing), -1)
    if case.loss.inputs[0].kind.name not in ("Logits", "Scores") or z.shape[1] < ENOUGH:
        return None
    p = softmax(z)
    amount = np.nansum(failing.given, axis=1, keepdims=True)  # the right rows sum to 0
    if np.median(np.abs(np.nansum(failing.numeric, axis=1)) / failing.scale[:, 0]) > FITS:
        return None
    share = fit(failing, failing.numeric + amount * p)
    return share and (
        f"given − numeric is the softmax of pred times one number in each row{share_text(share)}: the mean over the "
        "row is not subtracted"
    )
