"""Formulas of losses of relative errors."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Number, always, oracle


@oracle("msle", relative_value=always, relative_gradient=always)
def msle(pred: Number, target: Number) -> list[Number]:
    """(log(1 + p) − log(1 + t))²."""
    return [(mp.log(1 + pred) - mp.log(1 + target)) ** 2]


@oracle("rmsle", relative_value=always, relative_gradient=always)
def rmsle(pred: Number, target: Number) -> list[Number]:
    """(log(1 + p) − log(1 + t))² per sample; the root of the mean is the whole's."""
    return msle(pred, target)


@oracle("mape", relative_value=always, relative_gradient=always)
def mape(pred: Number, target: Number) -> list[Number]:
    """|r/t|."""
    return [abs((pred - target) / target)]


@oracle("smape", relative_value=always, relative_gradient=always)
def smape(pred: Number, target: Number) -> list[Number]:
    """|r|/((|p| + |t|)/2); 0 where both are 0."""
    size = (abs(pred) + abs(target)) / 2
    return [abs(pred - target) / size if size else ZERO]


@oracle("wape", relative_value=always, relative_gradient=always)
def wape(pred: Number, target: Number) -> list[Number]:
    """|r| per sample; the whole's sum is divided by Σ|t|."""
    return [abs(pred - target)]


@oracle("mase", relative_value=always, relative_gradient=always)
def mase(pred: Number, target: Number, scale: Number) -> list[Number]:
    """|r|/scale."""
    return [abs(pred - target) / scale]


@oracle("rmsse", relative_value=always, relative_gradient=always)
def rmsse(pred: Number, target: Number, scale: Number) -> list[Number]:
    """(r/scale)², of which the root of the mean is taken."""
    return [((pred - target) / scale) ** 2]
