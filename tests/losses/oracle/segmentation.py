"""Formulas of losses of a whole image, here a row of pixels."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Label, Number, Row, always, never, oracle
from oracle.terms import hard_targets, quotient

# 1 less two quotients that make 1 leaves a last digit, which must be below the least double.
EXACT = 200


def overlap(shared: Row, smooth: Number, whole: Number) -> list[Number]:
    """1 − (Σ shared + smooth)/whole; nothing where the whole is."""
    if whole == 0:
        return [ZERO] * (2 * len(shared) + 3)
    return [mpf(1), *(-term for part in (*shared, smooth) for term in quotient(part, whole))]


@oracle("dice", digits=EXACT, relative_value=always, relative_gradient=hard_targets)
def dice(pred: Row, target: Row, *, smooth: Number) -> list[Number]:
    """1 − (2·Σ p·t + s)/(Σ p + Σ t + s)."""
    both = [2 * p * t for p, t in zip(pred, target, strict=True)]
    return overlap(both, smooth, mp.fsum(pred) + mp.fsum(target) + smooth)


@oracle("squared_dice", digits=EXACT, relative_value=always)
def squared_dice(pred: Row, target: Row, *, smooth: Number) -> list[Number]:
    """1 − (2·Σ p·t + s)/(Σ p² + Σ t² + s)."""
    both = [2 * p * t for p, t in zip(pred, target, strict=True)]
    return overlap(both, smooth, mp.fsum(x**2 for x in (*pred, *target)) + smooth)


@oracle("jaccard", digits=EXACT, relative_value=always, relative_gradient=hard_targets)
def jaccard(pred: Row, target: Row, *, smooth: Number) -> list[Number]:
    """1 − (Σ p·t + s)/(Σ p + Σ t − Σ p·t + s)."""
    both = [p * t for p, t in zip(pred, target, strict=True)]
    return overlap(both, smooth, mp.fsum(pred) + mp.fsum(target) - mp.fsum(both) + smooth)


@oracle("tversky", digits=EXACT, relative_value=always, relative_gradient=hard_targets)
def tversky(pred: Row, target: Row, *, alpha: Number, beta: Number, smooth: Number) -> list[Number]:
    """1 − (TP + s)/(TP + alpha·FP + beta·FN + s)."""
    pairs = list(zip(pred, target, strict=True))
    both = [p * t for p, t in pairs]
    off = mp.fsum(alpha * p * (1 - t) + beta * t * (1 - p) for p, t in pairs)
    return overlap(both, smooth, mp.fsum(both) + off + smooth)


@oracle("focal_tversky", digits=EXACT, relative_value=always, relative_gradient=hard_targets)
def focal_tversky(
    pred: Row, target: Row, *, alpha: Number, beta: Number, gamma: Number, smooth: Number
) -> list[Number]:
    """tversky^gamma, as tversky^(gamma − 1) times each of its terms."""
    terms = tversky(pred, target, alpha=alpha, beta=beta, smooth=smooth)
    missed = mp.fsum(terms)
    if abs(missed) < mp.mpf(10) ** (10 - mp.dps):  # 0, but for rounding
        return [ZERO**gamma, *[ZERO] * (len(terms) - 1)]
    return [missed ** (gamma - 1) * term for term in terms]


def lovasz(errors: Row, there: list[bool]) -> list[Number]:
    """The Lovász extension of the Jaccard loss: errors in falling order times the rises of the loss."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    count = sum(there)

    def cost(missed: list[int]) -> Number:
        hits = count - sum(there[i] for i in missed)
        union = count + sum(not there[i] for i in missed)
        return 1 - mpf(hits) / union if missed else ZERO

    return [errors[i] * (cost(order[: m + 1]) - cost(order[:m])) for m, i in enumerate(order)]


@oracle("lovasz_hinge", relative_value=always, relative_gradient=always)
def lovasz_hinge(pred: Row, target: Row) -> list[Number]:
    """Σ max(0, 1 − s·x)·ΔJ, s = ±1."""
    hinges = [max(ZERO, 1 - (2 * t - 1) * x) for x, t in zip(pred, target, strict=True)]
    return lovasz(hinges, [t == 1 for t in target])


@oracle("lovasz_softmax", relative_value=always, relative_gradient=never)
def lovasz_softmax(pred: Row, target: list[Label]) -> list[Number]:
    """The mean over the classes that are there of Σ |t − p|·ΔJ."""
    terms, present = [], sorted(set(target))
    for c in present:
        there = [label == c for label in target]
        errors = [abs(mpf(t) - pixel[c]) for t, pixel in zip(there, pred, strict=True)]
        terms += [term / len(present) for term in lovasz(errors, there)]
    return terms


@oracle("multiclass_generalized_dice", digits=EXACT, relative_value=always, relative_gradient=always)
def multiclass_generalized_dice(
    pred: list[list[Row]], target: list[list[Label]], *, smooth: Number, epsilon: Number
) -> list[Number]:
    """Of a whole batch: Σ over images and classes of v[c]/Σ v·dice, v = 1/(N² + epsilon), N = how many pixels."""
    classes = range(len(pred[0][0]))
    counts = [sum(label == c for image in target for label in image) for c in classes]
    v = [1 / (mpf(count) ** 2 + epsilon) for count in counts]
    terms = []
    for image, labels in zip(pred, target, strict=True):
        for c in classes:
            there = [mpf(label == c) for label in labels]
            terms += [v[c] / mp.fsum(v) * part for part in dice([pixel[c] for pixel in image], there, smooth=smooth)]
    return terms
