"""Formulas of losses of language models."""

from __future__ import annotations

from mpmath import mp  # type: ignore[import-untyped]

from oracle.mechanism import Number, always, oracle


@oracle("perplexity", relative_value=always, relative_gradient=always)
def perplexity(pred: Number, target: Number) -> list[Number]:
    """−pred, of which the mean is taken per unit, and its exponential."""
    return [-pred]


@oracle("bits_per_unit", relative_value=always, relative_gradient=always)
def bits_per_unit(pred: Number, target: Number) -> list[Number]:
    """−pred in bits."""
    return [-pred / mp.log(2)]


@oracle(
    "kl_estimator", relative_value=always, relative_gradient=lambda _, params: params["estimator"] != "k3", digits=400
)
def kl_estimator(pred: Number, target: Number, *, estimator: str) -> list[Number]:
    """−d, d²/2 or e^d − d − 1, d = target − pred."""
    d = target - pred
    return {"k1": [-d], "k2": [d**2 / 2], "k3": [mp.exp(d) - d - 1]}[estimator]


@oracle("ppo_clip")
def ppo_clip(pred: Number, target: Number, advantage: Number, *, low: Number, high: Number) -> list[Number]:
    """−min(r·A, clip(r)·A), r = e^(pred − target)."""
    ratio = mp.exp(pred - target)
    clipped = min(max(ratio, 1 - low), 1 + high)
    return [-min(ratio * advantage, clipped * advantage)]
