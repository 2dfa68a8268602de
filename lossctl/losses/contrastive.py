"""Losses that compare each vector of a batch with the vectors of its group and of other groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.array_kinds import Direction, Group
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.interval import POSITIVE, UNIT
from lossctl.losses.numerics.cosine import pieces, similar, unit
from lossctl.losses.numerics.elementary import log1p
from lossctl.losses.numerics.softmax import complement, restored, softmax

# The task cannot be derived from the inputs; it is that of metric_learning.
TASK = "pairs"

# Masks (rows, n): the other samples of the group of each row, and the samples of other groups.
Others: TypeAlias = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
# Maps cosines (rows, n) of some rows with the whole batch to their losses, and the derivatives by the cosines.
Each: TypeAlias = Callable[[Array, Others], tuple[Array, Thunk]]

# The least finite number: replaces −∞, the maximum over an empty set.
_LEAST = float(np.finfo(np.float64).min)

_BATCH = "all rows are one batch; a sample of weight 0 is not in it"
_TIME = "its memory grows with n, its time with n²"


def _of_cosines(pred: Array, group: Array, each: Each) -> tuple[Array, Thunk]:
    """Return the loss of each sample and the gradient of the sum of the losses; works on pieces of the batch."""
    u, shrink = unit(pred)

    def some() -> Iterator[tuple[slice, Array, Thunk]]:
        for rows, part in pieces(len(u)):
            alike = group[part, None] == group
            other = ~alike
            alike[np.arange(len(rows)), rows] = False
            yield part, *each(similar(u[part], u), (alike, other))

    value = np.empty(len(u))
    for part, lost, _ in some():
        value[part] = lost

    def gradient() -> Array:
        pull = np.zeros_like(u)
        for part, _, slopes in some():
            slope = slopes()
            pull[part] += np.einsum("ij,jd->id", slope, u)
            pull += np.einsum("ij,id->jd", slope, u[part])
        pull -= (pull * u).sum(axis=-1, keepdims=True) * u
        return np.asarray(pull * shrink[0] * shrink[1])

    return value, gradient


def _log_sum(z: Array, among: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return ``log Σ e^z`` over the elements in the mask, −inf if there are none, and their shares in the sum."""
    z = np.where(among, z, -np.inf)
    top = np.maximum(z.max(axis=-1, keepdims=True), _LEAST)
    z -= top
    share = np.exp(z, out=z)
    total = share.sum(axis=-1, keepdims=True)
    share /= np.where(total > 0, total, 1.0)
    return (top + np.log(total))[:, 0], share


def _softplus(x: Array) -> tuple[Array, Array]:
    """Return ``log(1 + e^x)`` and its derivative."""
    e = np.exp(-np.abs(x))
    return np.maximum(x, 0.0) + log1p(e), np.where(x > 0, 1.0, e) / (1.0 + e)


def _partners(_pred: Array, group: Array, **_params: object) -> Array:
    """Return for each sample the number of other samples in its group."""
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(counts[place] - 1.0)


@loss(
    formula="Σ log(1 + Σ e^((s[i, k] − s[i, j])/temperature))/pairs, over j like i, k unlike i;  s = cosine",
    reference="Chen et al. 2020, doi:10.48550/arXiv.2002.05709",
    differences=(
        "optax adds its eps below the cosine",
        "SupCon (Khosla et al. 2020) counts the other samples of a group below as well",
    ),
    pitfalls=(
        "pred is one vector a sample, target its group; for two arrays of partners see infonce",
        "per-sample values are sums over a group: the mean divides by the number of pairs, not of samples",
        _BATCH,
        _TIME,
    ),
    batch_coupled=True,
    denominator=_partners,
)
def supervised_ntxent(
    pred: Direction,
    target: Group,
    *,
    temperature: Annotated[float, Param("what cosines are divided by", POSITIVE)] = 0.07,
) -> tuple[Array, Thunk]:
    """Cross-entropy of each pair within a group against the pairs with other groups."""

    def each(s: Array, others: Others) -> tuple[Array, Thunk]:
        alike, other = others
        s /= temperature
        other_logsum, share = _log_sum(s, other)
        lost, slope = _softplus(other_logsum[:, None] - s)
        lost[~alike] = 0.0

        def slopes() -> Array:
            slope[~alike] = 0.0
            return np.asarray((share * slope.sum(axis=-1, keepdims=True) - slope) / temperature)

        return lost.sum(axis=-1), slopes

    return _of_cosines(pred, target, each)


@loss(
    formula="log(1 + Σ e^(gamma·(d[j]² − margin²))·Σ e^(gamma·max(0, 1 + margin − d[k])·(1 − margin − d[k]))), "
    "over j like i, k unlike i;  d = 1 − cosine with i",
    reference="Sun et al. 2020, doi:10.1109/CVPR42600.2020.00643",
    aliases=("circle_loss",),
    differences=(
        "keras circle takes vectors of length 1, as they are",
        "the paper's slope leaves out the slope of its weights",
    ),
    pitfalls=("pred is a vector, target its group: a sample that is alone costs nothing, and counts", _BATCH, _TIME),
    batch_coupled=True,
)
def circle(
    pred: Direction,
    target: Group,
    *,
    gamma: Annotated[float, Param("how much the worst counts beyond others", POSITIVE)] = 80.0,
    margin: Annotated[float, Param("distances up to it, or within it of 1, are right", UNIT)] = 0.4,
) -> tuple[Array, Thunk]:
    """Distances within a group and closeness to other groups, weighted by their error."""

    def each(s: Array, others: Others) -> tuple[Array, Thunk]:
        alike, other = others
        d = 1.0 - s
        apart, far = _log_sum(gamma * (d - margin) * (d + margin), alike)
        other_logsum, close = _log_sum(gamma * np.maximum(s + margin, 0.0) * (s - margin), other)
        lost, wrong = _softplus(apart + other_logsum)

        def slopes() -> Array:
            slope = np.where(s > -margin, s, 0.0) * close - d * far
            return np.asarray((2.0 * gamma * wrong)[:, None] * slope)

        return lost, slopes

    return _of_cosines(pred, target, each)


@loss(
    formula="logsumexp(s[i, :]/temperature) − s[i, i]/temperature;  s[i, j] = cosine of pred[i] and target[j]",
    reference="van den Oord et al. 2018, doi:10.48550/arXiv.1807.03748",
    differences=(
        "SimCLR's and optax's NT-Xent, of both directions and all negatives, is supervised_ntxent of all 2n vectors",
    ),
    pitfalls=(
        "the batch matters: all rows are one batch, every other target a negative",
        "it takes n² similarities, a piece at a time: its memory grows with n, its time with n²",
    ),
    batch_coupled=True,
)
def infonce(
    pred: Direction,
    target: Direction,
    *,
    temperature: Annotated[float, Param("what cosines are divided by", POSITIVE)] = 0.07,
) -> tuple[Array, Thunk]:
    """Cross-entropy of identifying the partner of each vector in the batch."""
    u, shrink = unit(pred)
    v, _ = unit(target)
    n = len(u)
    value = np.empty(n)
    for rows, part in pieces(n):
        z = similar(u[part], v)
        z /= temperature
        top, _, tail_sum = softmax(z)
        value[part] = (top[:, 0] - z[np.arange(len(rows)), rows]) + np.log1p(tail_sum)

    def gradient() -> Array:
        g = np.empty_like(u)
        for rows, part in pieces(n):
            z = similar(u[part], v) / temperature
            top, e, tail_sum = softmax(z)
            share = restored(e, top, z) / (1.0 + tail_sum)[:, None]
            at = np.arange(len(rows)), rows
            share[at] = -complement(e[at], share[at], tail_sum)
            pull = np.einsum("ij,jd->id", share, v) / temperature
            g[part] = pull - (pull * u[part]).sum(axis=-1, keepdims=True) * u[part]
        return np.asarray(g * shrink[0] * shrink[1])

    return value, gradient
