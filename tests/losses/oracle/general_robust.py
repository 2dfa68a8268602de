"""Formula of Barron's general robust loss."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import INF, Number, always, oracle
from oracle.robust import welsch


@oracle("barron", relative_value=always, relative_gradient=always)
def barron(pred: Number, target: Number, *, alpha: Number, c: Number) -> list[Number]:
    """b/alpha·((u²/b + 1)^(alpha/2) − 1), b = |alpha − 2|, u = r/c, and its limits."""
    square = ((pred - target) / c) ** 2
    if alpha == 2:
        return [square / 2]
    if alpha == 0:
        return [mp.log(square / 2 + 1)]
    if alpha == -INF:
        return welsch(pred, target, c=c)
    b = abs(alpha - 2)
    return [-b / alpha, b / alpha * (square / b + 1) ** (alpha / 2)]
