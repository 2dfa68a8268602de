"""Distances between two distributions over the same classes, other than divergences with log(p/q)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import Distribution
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import Probabilities

# If Σ √(p·q) is below this, the products p·q may be subnormal or 0.
_OVERLAP = 1e-140

TASK = "distribution"


@loss(
    formula="√(Σ (√p − √q)² / 2) over classes;  q = pred, p = target",
    reference="https://en.wikipedia.org/wiki/Hellinger_distance",
    pitfalls=("from 0 to 1", "the same either way round"),
    relative_accuracy="everywhere",
)
def hellinger(
    pred: Distribution,
    target: Distribution,
    *,
    squared: Annotated[bool, Param("without the square root")] = False,
) -> tuple[Array, Thunk]:
    """Hellinger distance of two distributions."""
    q, p = pred, target
    root_q, root_p = np.sqrt(q), np.sqrt(p)
    apart = np.where(q == p, 0.0, (q - p) / (root_q + root_p))
    square = 0.5 * (apart * apart).sum(axis=-1)
    distance = np.sqrt(square)

    def gradient() -> Array:
        slope = np.where(p == 0, 0.5, 0.5 * apart / root_q)
        if squared:
            return slope
        # For p = q the distance has a kink, except at the bounds: the slope is infinite at q = 0 and finite at q = 1.
        beside = np.where(q == 0, np.inf, np.where(q == 1, -np.sqrt(0.125), 0.0))
        return np.where(distance[:, None] == 0, beside, slope / (2.0 * distance)[:, None])

    return square if squared else distance, gradient


@loss(
    formula="−log Σ √(p·q) over classes;  q = pred, p = target",
    reference="Bhattacharyya 1946, https://www.jstor.org/stable/25047882",
    pitfalls=("distributions without a class in common cost inf", "it is −log(1 − h²) of the Hellinger distance h"),
)
def bhattacharyya(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Bhattacharyya distance of two distributions."""
    q, p = pred, target
    roots = q * p
    np.sqrt(roots, out=roots)
    overlap = roots.sum(axis=-1)
    few = np.flatnonzero(overlap < _OVERLAP)
    if few.size:  # in C order: the roundoff of a row sum does not depend on the other rows
        overlap[few] = np.ascontiguousarray(np.sqrt(q[few]) * np.sqrt(p[few])).sum(axis=-1)
    # The overlap is 1 − less with less = Σ (√q − √p)²/2 + (1 − Σ q)/2 + (1 − Σ p)/2, which is accurate near 1.
    r = q - p
    roots *= 2.0
    roots += q
    roots += p
    np.divide(r, roots, out=roots)
    roots *= r
    apart = roots.sum(axis=-1)
    rows = np.flatnonzero(np.isnan(apart))  # a class with p = q = 0
    apart[rows] = np.fmax(np.ascontiguousarray(roots[rows]), 0.0).sum(axis=-1)
    less = 0.5 * (apart + (1.0 - q.sum(axis=-1)) + (1.0 - p.sum(axis=-1)))
    value = np.where(np.abs(less) < 0.5, -np.log1p(-less), -np.log(overlap))

    def gradient() -> Array:
        return np.where(p == 0, 0.0, -0.5 * (np.sqrt(p) / np.sqrt(q)) / overlap[:, None])

    return value, gradient


@loss(
    formula="Σ |p − q| / 2 over classes;  q = pred, p = target",
    reference="https://en.wikipedia.org/wiki/Total_variation_distance_of_probability_measures",
    aliases=("tv",),
    relative_accuracy="everywhere",
)
def total_variation(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Total variation distance: the most that an event's probability can differ."""
    r = pred - target
    return 0.5 * np.abs(r).sum(axis=-1), lambda: 0.5 * np.where(r == 0, _inwards(pred), np.sign(r))


def _inwards(p: Array) -> Array:
    """Return the slope of |p − p₀| at p = p₀: 1 at p = 0, −1 at p = 1 (one-sided), otherwise 0."""
    return np.where(p == 0, 1.0, np.where(p == 1, -1.0, 0.0))


@loss(
    formula="Σ (p − q)²/q over classes;  q = pred, p = target",
    reference="Pearson 1900, doi:10.1080/14786440009463897",
    aliases=("pearson_chi_squared",),
    differences=(
        "scipy chisquare takes counts, the target (f_obs) first, and gives n times it",
        "scikit-learn chi2_kernel is exp(−gamma·Σ (x − y)²/(x + y))",
    ),
    pitfalls=("it divides by the prediction: of the target from the prediction, as kl_divergence",),
    relative_accuracy="everywhere",
)
def chi_squared(pred: Probabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Pearson's χ² divergence of the target from the prediction."""
    q, p = pred, target
    r = q - p
    value = np.where(r == 0, 0.0, (r / q) * r).sum(axis=-1)
    return value, lambda: np.where(p == 0, 1.0, (r / q) * (1.0 + p / q))


@loss(
    formula="Σ |P[j] − Q[j]| over all classes but the last;  P, Q = sums of target, pred up to class j",
    reference="Hou et al. 2016, doi:10.48550/arXiv.1611.05916",
    aliases=("emd", "earth_mover"),
    differences=("scipy wasserstein_distance takes places and weights, and divides the weights by their sum",),
    pitfalls=(
        "classes are bins in their order, 1 apart",
        "the paper squares the differences; ranked_probability_score does",
    ),
)
def wasserstein_1d(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Earth mover's distance of two distributions over ordered classes."""
    flow, side = _flow(pred, target)

    def gradient() -> Array:
        g = np.zeros_like(pred)
        still = _inwards(pred[:, :-1]) * np.cumsum(side[:, ::-1] == 0, axis=-1)[:, ::-1]
        g[:, :-1] = np.cumsum(side[:, ::-1], axis=-1)[:, ::-1] + still
        return g

    return np.abs(flow).sum(axis=-1), gradient


def _flow(pred: Array, target: Array) -> tuple[Array, Array]:
    """Return the mass (n, k − 1) that moves from each class to the next, and its sign.

    The gradient jumps where that mass is 0.

    Differences and sums are computed with their roundoff (Knuth's two-sum), so that the sign is right.
    """
    n, k = pred.shape
    flow, side = np.empty((n, k - 1)), np.empty((n, k - 1))
    total, lost = np.zeros(n), np.zeros(n)
    for j in range(k - 1):
        for part in (pred[:, j], -target[:, j]):
            more = total + part
            seen = more - total
            lost = lost + ((total - (more - seen)) + (part - seen))
            total = more
        flow[:, j] = total + lost
        side[:, j] = np.sign(flow[:, j])
    return flow, side
