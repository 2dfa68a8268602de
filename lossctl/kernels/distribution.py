"""Losses between two distributions over the same classes."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import POSITIVE
from lossctl.kernels.kinds import Array, LogProbabilities, Probabilities
from lossctl.kernels.numerics import xlogy
from lossctl.kernels.ratios import bregman, log_ratio, relative_entropy, shared
from lossctl.kernels.shaped import Amounts, Distribution
from lossctl.kernels.spec import Param, Thunk, loss


@loss(
    formula="Σ p·log(p/q) over classes;  q = pred, p = target",
    see="Kullback & Leibler 1951, doi:10.1214/aoms/1177729694",
    aliases=("kl", "kl_div", "relative_entropy"),
    differs=(
        "torch kl_div(input, target) takes log q as input; its 'mean' divides by n·k, its 'batchmean' by n as here",
        "scipy entropy(p, q) and rel_entr(p, q) take the target first, and entropy divides rows by their sum",
    ),
    pitfalls=(
        "pred is q, the distribution that is judged, and target is p: KL(target ‖ pred); swapped it is another number",
        "natural logarithm: divide by log 2 for bits",
        "a class with p > 0 and q = 0 costs inf",
    ),
)
def kl_divergence(pred: Probabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of the prediction from the target, in nats."""
    q, p = pred, target
    return relative_entropy(p, q), lambda: np.where(p == 0, 0.0, -(p / q))


@loss(
    formula="Σ q·log(q/p) over classes;  q = pred, p = target",
    see="Kullback & Leibler 1951, doi:10.1214/aoms/1177729694",
    pitfalls=("KL(pred ‖ target): a class with q > 0 and p = 0 costs inf, and so does every one-hot target but one",),
)
def reverse_kl(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of the target from the prediction, in nats.

    At q = 0 its slope is −∞ as that of a logarithm is: differences, which grow by the same amount at
    every step, leave it unresolved (0.4 % of the coordinates that are drawn).
    """
    q, p = pred, target
    # Off 0 a class that the target rules out costs inf at once.
    return relative_entropy(q, p), lambda: np.where(p == 0, np.inf, log_ratio(q, p) + 1.0)


@loss(
    formula="Σ p·(log p − z) over classes;  z = pred, p = target",
    see="https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html",
    differs=("torch kl_div: its 'mean' divides by n·k, its 'batchmean' by n as here",),
    pitfalls=("pred is log-probabilities, as log_softmax gives them",),
)
def kl_divergence_log_input(pred: LogProbabilities, target: Probabilities) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence from log-probabilities, in nats."""
    spent = np.where(target == 0, 0.0, target * pred)
    return (xlogy(target, target) - spent).sum(axis=-1), lambda: -target


@loss(
    formula="Σ [p·log(p/m) + q·log(q/m)] / 2 over classes;  m = (p + q)/2, q = pred, p = target",
    see="Lin 1991, doi:10.1109/18.61115",
    aliases=("jensen_shannon",),
    differs=("scipy jensenshannon is the square root of it, and divides rows by their sum",),
    pitfalls=("in nats, at most log 2", "the same either way round"),
    relative="everywhere",
)
def js_divergence(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Jensen–Shannon divergence, in nats; not its square root, which is the distance.

    At q = 0 its slope is −∞ as that of a logarithm is: differences, which grow by the same amount at
    every step, leave it unresolved (0.4 % of the coordinates that are drawn).
    """
    q, p = pred, target
    # With d = (q − p)/(q + p) a class costs m·[(1 − d)·log(1 − d) + (1 + d)·log(1 + d)]/2, m = (q + p)/2.
    d = np.where(p == 0, 1.0, (q - p) / (q + p))

    def gradient() -> Array:
        # 1 + d cancels where q is the smaller by far
        return np.asarray(0.5 * np.where(d < -0.5, np.log(2.0 * (q / (q + p))), np.log1p(d)))

    return (0.25 * (q + p) * shared(d)).sum(axis=-1), gradient


@loss(
    formula="Σ (p − q)·log(p/q) over classes;  q = pred, p = target",
    see="Jeffreys 1946, doi:10.1098/rspa.1946.0056",
    aliases=("symmetric_kl",),
    pitfalls=("the sum of both Kullback–Leibler divergences: a class that only one of them has costs inf",),
    relative="everywhere",
)
def jeffreys(pred: Distribution, target: Distribution) -> tuple[Array, Thunk]:
    """Jeffreys divergence: both Kullback–Leibler divergences together, in nats."""
    q, p = pred, target
    ratio = log_ratio(q, p)

    def gradient() -> Array:
        return np.where(p == 0, np.inf, ratio + (q - p) / q)

    return np.where(q == p, 0.0, (q - p) * ratio).sum(axis=-1), gradient


@loss(
    formula="Σ [p·log(p/q) − p + q];  q = pred, p = target",
    see="Lee & Seung 2000, https://papers.nips.cc/paper/1861-algorithms-for-non-negative-matrix-factorization",
    aliases=("i_divergence", "csiszar"),
    differs=("scipy kl_div(p, q) is one term of it, and takes the target first",),
    pitfalls=("rows need not sum to 1: for probabilities it is kl_divergence, to the last digits",),
    relative="everywhere",
)
def generalized_kl(pred: Amounts, target: Amounts) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of amounts that need not sum to 1."""
    q, p = pred, target
    return bregman(p, q).sum(axis=-1), lambda: np.where(p == 0, 1.0, (q - p) / q)


@loss(
    formula="log(Σ p^alpha·q^(1 − alpha) / Σ p) / (alpha − 1);  q = pred, p = target",
    see="van Erven & Harremoës 2014, doi:10.1109/TIT.2014.2320500",
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
    ratio, total, a = p / q, p.sum(axis=-1), alpha - 1.0
    power = np.where(p == 0, -np.inf, a * log_ratio(p, q) if a else 0.0)
    # Powers of the ratios, beside the largest of them: none of them overflows.
    largest = power.argmax(axis=-1)[:, None]
    top = np.take_along_axis(power, largest, axis=-1)[:, 0]
    beside = np.where(p == 0, 0.0, (ratio / np.take_along_axis(ratio, largest, axis=-1)) ** a)
    inner = (p * beside).sum(axis=-1)
    if a:
        # Σ p·r^a / Σ p is 1 and terms that cancel in part where p and q are close.
        grown = np.where(p == 0, 0.0, p * np.expm1(power)).sum(axis=-1) / total
        few = np.log(np.where(p == 0, 0.0, p * ratio**a).sum(axis=-1) / total)
        logarithm = np.where(grown < -0.5, few, np.log1p(grown))
        value = np.where(grown == np.inf, top + np.log(inner / total), logarithm) / a
    else:
        value = relative_entropy(p, q) / total

    def gradient() -> Array:
        steep = beside * (ratio / inner[:, None])
        return np.where(p == 0, 0.0, -np.where(q == 0, np.inf, np.where(np.isnan(steep), 0.0, steep)))

    return np.where(top == np.inf, np.inf, value), gradient
