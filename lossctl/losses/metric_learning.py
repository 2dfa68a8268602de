"""Losses of distances: between two or three vectors, of a predicted distance, of a pair of scores."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import Direction, Vector
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import NonNegative, Probability, Real, Sign
from lossctl.core.interval import POSITIVE, Interval
from lossctl.losses.numerics.cosine import LARGE, SMALL, unit

# The task cannot be derived from the inputs.
TASK = "pairs"

# The relative error of a distance is below this.
_ROUNDING = 16.0 * float(np.finfo(np.float64).eps)


def _apart(x: Array, y: Array) -> tuple[Array, Array, Array, Thunk]:
    """Return the directions u, v of two vectors, 1 − cos as |u − v|²/2, and its gradient by the first vector."""
    u, shrink = unit(x)
    v, _ = unit(y)
    r = u - v
    apart = 0.5 * (r * r).sum(axis=-1)

    def gradient() -> Array:
        cosine = (u * v).sum(axis=-1)[:, None]
        across = np.where(cosine > 0.5, r - apart[:, None] * u, cosine * u - v)
        return np.asarray(across * shrink[0] * shrink[1])

    return u, v, apart, gradient


@loss(
    formula="1 − x·y/(|x|·|y|);  x = pred, y = target",
    reference="https://en.wikipedia.org/wiki/Cosine_similarity",
    differences=(
        "torch cosine_similarity takes lengths for at least 1e-8, so that vectors of zeros have a cosine",
        "keras cosine_similarity is −cos, and 0 for vectors of zeros; optax and scipy give NaN for them",
    ),
    pitfalls=("a vector of zeros is an error", "from 0 to 2; the length of a vector does not matter"),
)
def cosine_distance(pred: Direction, target: Direction) -> tuple[Array, Thunk]:
    """One minus the cosine of the angle between two vectors."""
    _, _, apart, gradient = _apart(pred, target)
    return apart, gradient


@loss(
    formula="1 − cos where target = 1, max(0, cos − margin) where it is −1;  cos of pred and x2",
    reference="torch.nn.CosineEmbeddingLoss",
    pitfalls=("a vector of zeros is an error", "the other vectors are --input x2=…, target is 1 (alike) or −1"),
)
def cosine_embedding(
    pred: Direction,
    x2: Direction,
    target: Sign,
    *,
    margin: Annotated[float, Param("the cosine up to which unlike vectors cost nothing", Interval(-1, 1))] = 0.0,
) -> tuple[Array, Thunk]:
    """Cosine distance of pairs that are alike, cosine of others."""
    u, v, apart, slope = _apart(pred, x2)
    alike, cosine = target > 0, (u * v).sum(axis=-1)
    above = np.where(cosine > 0.5, (1.0 - margin) - apart, cosine - margin)

    def gradient() -> Array:
        return np.asarray(np.where(alike, 1.0, np.where(above > 0, -1.0, 0.0))[:, None] * slope())

    return np.where(alike, apart, np.maximum(above, 0.0)), gradient


@loss(
    formula="t·d² + (1 − t)·max(0, margin − d)²;  d = pred, t = target",
    reference="Hadsell et al. 2006, doi:10.1109/CVPR.2006.100",
    differences=("the paper halves both terms, and calls pairs that are alike 0",),
    pitfalls=("pred is a distance; target is 1 for pairs that are alike, 0 for others",),
    relative_accuracy="the value everywhere, the gradient with hard targets",
)
def contrastive(
    pred: NonNegative,
    target: Probability,
    *,
    margin: Annotated[float, Param("the distance from which unlike pairs cost nothing", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Squared distance of pairs that are alike, squared hinge of it for others."""
    d, t = pred, target
    short = np.maximum(margin - d, 0.0)
    return t * (d * d) + (1.0 - t) * (short * short), lambda: 2.0 * (t * d - (1.0 - t) * short)


@loss(
    formula="x where t = 1, max(0, margin − x) where it is −1;  x = pred, t = target",
    reference="torch.nn.HingeEmbeddingLoss",
    pitfalls=("pred is a distance, target 1 for pairs that are alike and −1 for others", "not the hinge of a score"),
    relative_accuracy="everywhere",
)
def hinge_embedding(
    pred: Real,
    target: Sign,
    *,
    margin: Annotated[float, Param("the distance from which unlike pairs cost nothing", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Distance of pairs that are alike, hinge of the distance of others."""
    alike = target > 0
    short = margin - pred
    return np.where(alike, pred, np.maximum(short, 0.0)), lambda: np.where(alike, 1.0, -(short > 0).astype(float))


@loss(
    formula="max(0, margin − t·(x1 − x2));  x1 = pred, t = target",
    reference="torch.nn.MarginRankingLoss",
    pitfalls=("the other scores are --input x2=…; target is 1 where pred should be the larger, −1 where x2 should",),
)
def margin_ranking(
    pred: Real,
    x2: Real,
    target: Sign,
    *,
    margin: Annotated[float, Param("how far the larger must be ahead, in units of scores")] = 0.0,
) -> tuple[Array, Thunk]:
    """Hinge of the difference of two scores that should be in a known order."""
    short = margin - target * (pred - x2)
    return np.maximum(short, 0.0), lambda: np.where(short > 0, -target, 0.0)


def _distance(r: Array, p: float) -> tuple[Array, Thunk]:
    """Return ``(Σ |r|^p)^(1/p)`` and its gradient, which is 0 at distance 0."""
    size = np.abs(r)
    total = (size**p).sum(axis=-1)
    length = total ** (1.0 / p)
    # The root of huge or tiny sums magnifies the roundoff of 1/p, unless 1/p is exact.
    low, high = (SMALL, LARGE) if p in {1.0, 2.0} else (1e-8, 1e8)
    rows = np.flatnonzero(~((total > low) & (total < high)))
    if rows.size:
        extreme = np.ascontiguousarray(size[rows])
        top = extreme.max(axis=-1)
        scaled = extreme / np.where(top == 0, 1.0, top)[:, None]
        length[rows] = top * (scaled**p).sum(axis=-1) ** (1.0 / p)

    def gradient() -> Array:
        top = size.max(axis=-1, keepdims=True)
        scaled = np.where(top == 0, 0.0, size / top)
        total = (scaled**p).sum(axis=-1, keepdims=True)
        slope = np.sign(r) * scaled ** (p - 1.0) / total ** (1.0 - 1.0 / p)
        return np.where(top == 0, 0.0, slope)

    return length, gradient


@loss(
    formula="max(0, d(pred, target) − d(pred, negative) + margin);  d(x, y) = (Σ |x − y|^p)^(1/p)",
    reference="Schroff et al. 2015, doi:10.1109/CVPR.2015.7298682",
    differences=("optax triplet_margin_loss adds 1e-6 under the root",),
    pitfalls=("pred is the anchor, target the positive, --input negative=…", "the paper squares the distances"),
)
def triplet(
    pred: Vector,
    target: Vector,
    negative: Vector,
    *,
    margin: Annotated[float, Param("how much farther the negative must be", POSITIVE)] = 1.0,
    # Above 10, the power magnifies an ulp of a difference beyond the accuracy promised, 1e-14.
    p: Annotated[float, Param("the norm: 1 adds up, 2 is Euclid's", Interval(1, 10))] = 2.0,
    swap: Annotated[bool, Param("takes the negative's distance to the positive where it is the smaller")] = False,
) -> tuple[Array, Thunk]:
    """Hinge of the distance from an anchor to a like minus that to an unlike vector."""
    positive_distance, toward = _distance(pred - target, p)
    far, away = _distance(pred - negative, p)
    other = _distance(target - negative, p)[0] if swap else np.full(len(pred), np.inf)
    short = (positive_distance - np.minimum(far, other)) + margin

    def gradient() -> Array:
        from_negative = away()
        # If anchor and positive almost coincide, roundoff hides which distance is smaller. The sign of the slope of the
        # distance, along the line from the positive to the anchor, decides.
        same = np.abs(far - other) <= _ROUNDING * far
        nearer = np.where(same, (from_negative * (pred - target)).sum(axis=-1) <= 0, far <= other)
        slope = toward() - np.where(nearer[:, None], from_negative, 0.0)
        return np.where((short > 0)[:, None], slope, 0.0)

    return np.maximum(short, 0.0), gradient
