"""Divergences: losses between two distributions over the same classes.

The gradient check leaves 0.4 % of the random coordinates of ``reverse_kl`` and ``js_divergence`` unresolved: at q = 0
the slope is −∞ like that of a logarithm, so a difference quotient grows by the same amount at every step.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.array_kinds import Amounts, Distribution
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, loss
from lossctl.core.input_kinds import LogProbabilities, Probabilities
from lossctl.core.interval import OPEN_UNIT, POSITIVE
from lossctl.losses.numerics.elementary import xlogy
from lossctl.losses.numerics.log_ratio import bregman, log_ratio, relative_entropy, shared

TASK = "distribution"


@loss(
    formula="Σ p·log(p/q) over classes;  q = pred, p = target",
    reference="Kullback & Leibler 1951, doi:10.1214/aoms/1177729694",
    aliases=("kl", "kl_div", "relative_entropy"),
    differences=(
        "torch kl_div(input, target) takes log q as input; its 'mean' divides by n·k, its 'batchmean' by n as here",
        "scipy entropy(p, q) and rel_entr(p, q) take the target first, and entropy divides rows by their sum",
    ),
    pitfalls=(
        "pred is q, the distribution that is judged, and target is p: KL(target ‖ pred); swapped it is another number",
        "a class with p > 0 and q = 0 costs inf; divide by log 2 for bits",
    ),
)
def kl_divergence(pred: Probabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of prediction from target, in nats."""
    q, p = pred, target
    return relative_entropy(p, q), lambda: np.where(p == 0, 0.0, -(p / q))


@loss(
    formula="Σ q·log(q/p) over classes;  q = pred, p = target",
    reference="Kullback & Leibler 1951, doi:10.1214/aoms/1177729694",
    pitfalls=("KL(pred ‖ target): a class with q > 0 and p = 0 costs inf, and so does every one-hot target but one",),
)
def reverse_kl(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of the target from the prediction, in nats."""
    q, p = pred, target
    # A class with p = 0 costs inf for every q > 0.
    return relative_entropy(q, p), lambda: np.where(p == 0, np.inf, log_ratio(q, p) + 1.0)


@loss(
    formula="Σ p·(log p − z) over classes;  z = pred, p = target",
    reference="torch.nn.KLDivLoss",
    differences=("torch kl_div: its 'mean' divides by n·k, its 'batchmean' by n as here",),
    pitfalls=("pred is log-probabilities, as log_softmax gives them",),
)
def kl_divergence_log_input(pred: LogProbabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence from log-probabilities, in nats."""
    spent = np.where(target == 0, 0.0, target * pred)
    return (xlogy(target, target) - spent).sum(axis=-1), lambda: -target


@loss(
    formula="Σ e^w·(w − z) over classes;  z = pred, w = target",
    reference="torch.nn.KLDivLoss",
    aliases=("kl_divergence_with_log_targets",),
    differences=("torch kl_div(log_target=True): 'mean' divides by n·k",),
    pitfalls=("both are log-probabilities; of other targets it is kl_divergence_log_input",),
)
def kl_divergence_log_target(pred: LogProbabilities, target: LogProbabilities) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of two rows of log-probabilities, in nats."""
    p = np.exp(target)
    apart = target - pred
    apart[p == 0] = 0.0  # 0·∞, and ∞ − ∞
    apart *= p
    return apart.sum(axis=-1), lambda: -p


@loss(
    formula="Σ [p·log(p/m) + q·log(q/m)] / 2 over classes;  m = (p + q)/2, q = pred, p = target",
    reference="Lin 1991, doi:10.1109/18.61115",
    aliases=("jensen_shannon", "jsd"),
    differences=("scipy jensenshannon is the square root of it, and divides rows by their sum",),
    pitfalls=("in nats, at most log 2", "the same either way round"),
    relative_accuracy="everywhere",
)
def js_divergence(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Jensen–Shannon divergence, in nats; not its square root, which is the distance."""
    q, p = pred, target
    # A class contributes m·[(1 − d)·log(1 − d) + (1 + d)·log(1 + d)]/2, with d = (q − p)/(q + p), m = (q + p)/2.
    d = np.fmin((q - p) / (q + p), 1.0)  # 1 where both are 0

    def gradient() -> Array:
        # 1 + d cancels if q is much smaller than p
        return np.asarray(0.5 * np.where(d < -0.5, np.log(2.0 * (q / (q + p))), np.log1p(d)))

    return (0.25 * (q + p) * shared(d)).sum(axis=-1), gradient


@loss(
    formula="Σ [b·p·log(p/m) + (1 − b)·q·log(q/m)], m = b·p + (1 − b)·q;  q = pred, p = target, b = beta",
    reference="Agarwal et al. 2023, arXiv:2306.13649",
    aliases=("generalized_jsd", "gkd"),
    differences=("TRL generalized_jsd_loss takes logits and a temperature",),
    pitfalls=("beta = 0.5 is js_divergence",),
)
def generalized_js_divergence(
    pred: Distribution,
    target: Distribution,
    *,
    beta: Annotated[float, Param("the share of the target in the mixture", OPEN_UNIT)] = 0.5,
) -> tuple[Array, Thunk]:
    """Jensen–Shannon divergence with unequal weights: for distillation."""
    q, p = pred, target
    m = beta * p + (1.0 - beta) * q
    value = beta * bregman(p, m) + (1.0 - beta) * bregman(q, m)
    return value.sum(axis=-1), lambda: (1.0 - beta) * np.where(m == 0, -np.log1p(-beta), np.log(q / m))


@loss(
    formula="Σ (p − q)·log(p/q) over classes;  q = pred, p = target",
    reference="Jeffreys 1946, doi:10.1098/rspa.1946.0056",
    aliases=("symmetric_kl",),
    pitfalls=("the sum of both Kullback–Leibler divergences: a class that only one of them has costs inf",),
    relative_accuracy="everywhere",
)
def jeffreys(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Jeffreys divergence: the sum of both Kullback–Leibler divergences, in nats."""
    q, p = pred, target
    ratio = log_ratio(q, p)

    def gradient() -> Array:
        return np.where(p == 0, np.inf, ratio + (q - p) / q)

    return np.where(q == p, 0.0, (q - p) * ratio).sum(axis=-1), gradient


@loss(
    formula="Σ [p·log(p/q) − p + q];  q = pred, p = target",
    reference="Lee & Seung 2000, https://papers.nips.cc/paper/1861-algorithms-for-non-negative-matrix-factorization",
    aliases=("i_divergence", "csiszar"),
    differences=("scipy kl_div(p, q) is one term of it, and takes the target first",),
    pitfalls=("rows need not sum to 1: for probabilities it is kl_divergence, to the last digits",),
    relative_accuracy="everywhere",
)
def generalized_kl(pred: Amounts, target: Amounts) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of amounts that need not sum to 1."""
    q, p = pred, target
    return bregman(p, q).sum(axis=-1), lambda: np.where(p == 0, 1.0, (q - p) / q)


@loss(
    formula="log(Σ p^alpha·q^(1 − alpha) / Σ p) / (alpha − 1);  q = pred, p = target",
    reference="van Erven & Harremoës 2014, doi:10.1109/TIT.2014.2320500",
    pitfalls=(
        "pred is q, and target p: the divergence of order alpha of the target from the prediction",
        "alpha = 1 is the limit, kl_divergence; alpha = 2 is log(1 + chi_squared)",
    ),
)
def renyi(
    pred: Distribution,
    target: Distribution,
    *,
    alpha: Annotated[float, Param("the order: the larger, the more the worst class counts", POSITIVE)] = 2.0,
) -> tuple[Array, Thunk]:
    """Rényi divergence of the target from the prediction, in nats."""
    q, p = pred, target
    total, a = p.sum(axis=-1), alpha - 1.0
    if a:
        # log1p of Σ p·(r^a − 1) / Σ p, because Σ p·r^a / Σ p is close to 1 where p and q are close.
        grown = _growth(p, q, a).sum(axis=-1) / total
        value = np.log1p(grown)
        rows = np.flatnonzero((grown < -0.5) | (grown == np.inf))
        if rows.size:  # in C order: the roundoff of a row sum does not depend on the other rows
            value[rows] = _powers(np.ascontiguousarray(p[rows]), np.ascontiguousarray(q[rows]), a, grown[rows])
        value /= a
    else:
        value = relative_entropy(p, q) / total

    def gradient() -> Array:
        ratio, beside, _ = _beside(p, q, a)
        steep = beside * (ratio / (p * beside).sum(axis=-1)[:, None])
        return np.where(p == 0, 0.0, -np.where(q == 0, np.inf, np.where(np.isnan(steep), 0.0, steep)))

    return value, gradient


def _growth(p: Array, q: Array, a: float) -> Array:
    """Return ``p·((p/q)^a − 1)``, 0 where p is 0."""
    if a == 1.0:
        grown = p - q
        grown /= q
        np.fmax(grown, -1.0, out=grown)  # 0/0
        grown *= p
        return grown
    return np.where(p == 0, 0.0, p * np.expm1(a * log_ratio(p, q)))


def _beside(p: Array, q: Array, a: float) -> tuple[Array, Array, Array]:
    """Return r = p/q, r^a divided by the largest r^a of the row (so none overflows), and the log of that largest."""
    ratio = p / q
    power = np.where(p == 0, -np.inf, a * log_ratio(p, q) if a else 0.0)
    largest = power.argmax(axis=-1)[:, None]
    beside = np.where(p == 0, 0.0, (ratio / np.take_along_axis(ratio, largest, axis=-1)) ** a)
    return ratio, beside, np.take_along_axis(power, largest, axis=-1)[:, 0]


def _powers(p: Array, q: Array, a: float, grown: Array) -> Array:
    """Return ``log(Σ p·r^a / Σ p)`` for rows where it is far below 0 or where the sum may overflow."""
    ratio, beside, top = _beside(p, q, a)
    total = p.sum(axis=-1)
    few = np.log(np.where(p == 0, 0.0, p * ratio**a).sum(axis=-1) / total)
    many = np.where(top == np.inf, np.inf, top + np.log((p * beside).sum(axis=-1) / total))
    return np.where(grown == np.inf, many, few)
