"""Proper scoring rules for a probability, a distribution, an ensemble or an interval. Smaller is better."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

import numpy as np

from lossctl.core.array_kinds import ArrayKind
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import LabelOrProbabilities, Positive, Probabilities, Probability, Real
from lossctl.core.interval import REAL, Interval
from lossctl.core.kind import CLASSES
from lossctl.errors import UsageError
from lossctl.losses.numerics.gamma_functions import erf

Members: TypeAlias = Annotated[Array, ArrayKind("Members", "a finite number", REAL, CLASSES)]


@loss(
    formula="(p − t)²;  p = pred, t = target",
    reference="Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    aliases=("brier_score",),
    differences=("Brier's own score of two classes is twice this, as multiclass_brier is of them",),
    pitfalls=("of rare events it is small whatever is predicted: compare it with that of the base rate",),
    relative_accuracy="everywhere",
)
def brier(pred: Probability, target: Probability) -> tuple[Array, Thunk]:
    """The squared error of a probability."""
    r = pred - target
    return r * r, lambda: 2.0 * r


@loss(
    formula="Σ (p[k] − [k = y])² over classes;  p = pred, y = target, or Σ (p − t)² with a row t",
    reference="Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    differences=("scikit-learn brier_score_loss halves it for two classes by default, and not for more",),
    pitfalls=("from 0 to 2, not halved; of two classes it is twice brier",),
    relative_accuracy="everywhere",
)
def multiclass_brier(pred: Probabilities, target: LabelOrProbabilities) -> tuple[Array, Thunk]:
    """The squared distance between a row of probabilities and the one-hot target."""
    if target.ndim > 1:
        r = pred - target
    else:
        r = pred.copy(order="K")
        r[np.arange(len(r)), target.astype(np.intp)] -= 1.0
    return (r * r).sum(axis=-1), lambda: 2.0 * r


@loss(
    formula="Σ (P[k] − [y ≤ k])² over classes, P[k] = p[0] + … + p[k];  p = pred, y = target",
    reference="Epstein 1969, doi:10.1175/1520-0450(1969)008<0985:ASSFPF>2.0.CO;2",
    aliases=("rps",),
    differences=("some divide by the number of classes less one; scoringrules rps_score counts classes from 1",),
    pitfalls=("the classes have an order, that of the columns: near misses cost less",),
)
def ranked_probability_score(pred: Probabilities, target: LabelOrProbabilities) -> tuple[Array, Thunk]:
    """The sum of the squared errors of cumulative probabilities: for ordered classes."""
    reached = np.cumsum(target, axis=-1) if target.ndim > 1 else np.arange(pred.shape[-1]) >= target[:, None]
    d = np.cumsum(pred, axis=-1)
    d -= reached  # in place: for F − C order NumPy returns C order, or F order if it reuses a large temporary
    return (d * d).sum(axis=-1), lambda: np.asarray(2.0 * np.cumsum(d[:, ::-1], axis=-1)[:, ::-1])


@loss(
    formula="sigma·(z·erf(z/√2) + 2·φ(z) − 1/√π), z = (target − pred)/sigma;  φ the normal density",
    reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
    aliases=("crps_normal",),
    differences=("scoringrules crps_normal takes the observation first",),
    pitfalls=(
        "pred is the mean, sigma a standard deviation, not a variance: --input sigma=COLUMN or FILE",
        "in the units of the target; as sigma falls it tends to mae",
        "the gradient is that of the mean, not of sigma",
    ),
    relative_accuracy="everywhere",
)
def crps_gaussian(pred: Real, target: Real, sigma: Positive) -> tuple[Array, Thunk]:
    """The continuous ranked probability score of a normal distribution."""
    r = pred - target
    z = np.abs(r) / sigma
    share = erf(z * math.sqrt(0.5))
    density = np.exp(-0.5 * np.minimum(z, 1e3) ** 2) * math.sqrt(2.0 / math.pi)
    value = np.abs(r) * share + sigma * (density - 1.0 / math.sqrt(math.pi))
    return value, lambda: np.copysign(share, r)


def _surplus(x: Array) -> Array:
    """Return for each member of a row the number of smaller members minus the number of larger ones."""
    order = np.argsort(x, axis=-1, kind="stable")
    ordered = np.take_along_axis(x, order, axis=-1)
    m = x.shape[-1]
    place = np.broadcast_to(np.arange(m), x.shape)
    new = np.ones(x.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    smaller = np.maximum.accumulate(np.where(new, place, 0), axis=-1)
    last = np.ones(x.shape, dtype=bool)
    last[:, :-1] = new[:, 1:]
    end = np.minimum.accumulate(np.where(last, place, m)[:, ::-1], axis=-1)[:, ::-1]
    surplus = np.empty(x.shape)
    np.put_along_axis(surplus, order, smaller - (m - 1.0 - end), axis=-1)
    return surplus


@loss(
    formula="mean |x[i] − t| − Σ|x[i] − x[j]|/(2m²), or /(2m(m − 1)) if fair;  x = pred, m members, t = target",
    reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437; Ferro 2014, doi:10.1002/qj.2270",
    differences=("scoringrules crps_ensemble calls them nrg and fair; its default, qd, is the same as nrg",),
    pitfalls=(
        "the columns are the members, in any order: -p 'member_*'",
        "fair does not favour small ensembles; it needs two members, and can be negative",
    ),
)
def crps_ensemble(
    pred: Members,
    target: Real,
    *,
    estimator: Annotated[
        Literal["energy", "fair"], Param("energy: of the ensemble as it is; fair: of what it is drawn from")
    ] = "energy",
) -> tuple[Array, Thunk]:
    """The continuous ranked probability score of an ensemble.

    The mean absolute error of the members, minus half the mean distance between them.
    """
    m = pred.shape[-1]
    if estimator == "fair" and m < 2:
        raise UsageError("crps_ensemble:estimator=fair needs two members or more, and here is one column")
    pairs = m * (m - 1.0) if estimator == "fair" else float(m * m)
    away = pred - target[:, None]
    ordered = np.sort(pred, axis=-1)
    # Σ |x[i] − x[j]| over pairs: the k-th gap between neighbours counts in k·(m − k) pairs.
    k = np.arange(1.0, m)
    spread = ((ordered[:, 1:] - ordered[:, :-1]) * (k * (m - k) / pairs)).sum(axis=-1)
    return np.abs(away).sum(axis=-1) / m - spread, lambda: np.sign(away) / m - _surplus(pred) / pairs


@loss(
    formula="(u − l) + 2/alpha·max(0, l − t) + 2/alpha·max(0, t − u);  l = pred, u = upper, t = target",
    reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
    aliases=("winkler", "winkler_score"),
    differences=("scoringrules takes the observation first, then lower, upper, alpha",),
    pitfalls=(
        "PREDS is the lower bound; the upper: --input upper=COLUMN or FILE",
        "alpha = 0.1 is for intervals that should hold 90 % of the targets",
        "bounds that cross are not refused: they cost both penalties; the gradient is that of the lower bound",
    ),
)
def interval_score(
    pred: Real,
    upper: Real,
    target: Real,
    *,
    alpha: Annotated[float, Param("share of misses", Interval(0.0, 1.0, open_low=True, open_high=True))] = 0.1,
) -> tuple[Array, Thunk]:
    """The width of a prediction interval, plus a penalty for misses."""
    cost = 2.0 / alpha
    below, above = np.maximum(0.0, pred - target), np.maximum(0.0, target - upper)
    value = (upper - pred) + cost * below + cost * above
    return value, lambda: np.where(below > 0, cost - 1.0, -1.0)
