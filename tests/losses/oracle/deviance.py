"""Formulas of deviances."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import INF, Number, always, oracle
from oracle.terms import wlog


@oracle("poisson_deviance", relative_value=always, relative_gradient=always)
def poisson_deviance(pred: Number, target: Number) -> list[Number]:
    """2·(t·log(t/p) − t + p)."""
    return [2 * wlog(target, target) - 2 * wlog(target, pred) - 2 * target + 2 * pred]


@oracle("gamma_deviance", relative_value=always, relative_gradient=always)
def gamma_deviance(pred: Number, target: Number) -> list[Number]:
    """2·(log(p/t) + t/p − 1)."""
    return [2 * (mp.log(pred / target) + target / pred - 1)]


# 1 − power and 2 − power divide: near them the formula's terms are 1e12 and more times what they leave.
@oracle("tweedie_deviance", relative_value=always, relative_gradient=always, digits=60)
def tweedie_deviance(pred: Number, target: Number, *, power: Number) -> list[Number]:
    """2·(t^b/(a·b) − t·p^a/a + p^b/b), a = 1 − power, b = 2 − power; Poisson's at 1, the gamma's at 2."""
    if power == 1:
        return poisson_deviance(pred, target)
    if power >= 2 and target == 0:
        return [INF]
    if power == 2:
        return gamma_deviance(pred, target)
    a, b = 1 - power, 2 - power
    return [2 * (target**b / (a * b) - target * pred**a / a + pred**b / b)]
