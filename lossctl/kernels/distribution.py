"""Losses between two distributions over the same classes."""

from __future__ import annotations

import numpy as np

from lossctl.kernels.kinds import Array, Probabilities
from lossctl.kernels.numerics import u_minus_log1p, xlogy
from lossctl.kernels.spec import Thunk, loss


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
    # p·log(p/q) has the sign of p − q and cancels in the sum where q ≈ p. With u = (q − p)/p it is
    # p·(u − log1p u) + (p − q): a term that is never negative, and one that is exact.
    u = (q - p) / p
    close = np.abs(u) < 0.5  # Sterbenz: p − q is exact there; false where p = 0
    ratio = p / q
    far = xlogy(p, ratio)
    overflown = np.isinf(ratio) & (q > 0)
    if overflown.any():  # q is subnormal
        far[overflown] = p[overflown] * (np.log(p[overflown]) - np.log(q[overflown]))
    near = p * u_minus_log1p(np.where(close, u, 0.0))
    value = np.where(close, near, far).sum(axis=-1) + np.where(close, p - q, 0.0).sum(axis=-1)
    return value, lambda: np.where(p == 0, 0.0, -ratio)
