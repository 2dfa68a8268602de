"""Losses that an outlier cannot own: quadratic near the target, flatter far from it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.kernels.domain import POSITIVE
from lossctl.kernels.kinds import Array, Real
from lossctl.kernels.spec import Param, Thunk, loss


@loss(
    formula="r²/2 where |r| ≤ delta, else delta·(|r| − delta/2);  r = pred − target",
    see="Huber 1964, doi:10.1214/aoms/1177703732",
    differs=(
        "torch smooth_l1_loss with beta is this with delta = beta, divided by beta",
        "LightGBM takes delta = 0.9 (its alpha), statsmodels 1.345",
    ),
    pitfalls=("delta is in the units of the target: scale the one with the other",),
    relative="everywhere",
)
def huber(
    pred: Real,
    target: Real,
    *,
    delta: Annotated[float, Param("where the parabola becomes a line, in target units", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """Squared near zero, absolute beyond ``delta``."""
    r = pred - target
    a = np.abs(r)
    q = np.minimum(a, delta)
    return q * (a - 0.5 * q), lambda: np.clip(r, -delta, delta)


@loss(
    formula="delta²·(√(1 + (r/delta)²) − 1);  r = pred − target",
    see="Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553; Hartley & Zisserman 2003, A6.8",
    aliases=("charbonnier",),
    differs=("image restoration writes √(r² + eps²): this divided by delta, plus delta",),
    pitfalls=("written as in the formula it is 0 for tiny r and overflows for huge r: not here",),
    relative="everywhere",
)
def pseudo_huber(
    pred: Real,
    target: Real,
    *,
    delta: Annotated[float, Param("where the parabola turns into a line, in target units", POSITIVE)] = 1.0,
) -> tuple[Array, Thunk]:
    """A smooth huber: r²/2 near zero, delta·|r| far away."""
    r = pred - target
    h = np.sqrt(delta * delta + r * r)
    # Squares overflow beyond 1e154 and vanish below 1e-162; hypot does neither, at 8 x the time.
    extreme = ~((h > 1e-150) & (h < 1e150))
    if extreme.any():
        h[extreme] = np.hypot(delta, r[extreme])
    return r * (delta * (r / (h + delta))), lambda: r * (delta / h)
