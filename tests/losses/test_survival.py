"""Survival losses of times at the limits of double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp  # type: ignore[import-untyped]

import lossctl
from lossctl import get_loss


@pytest.mark.parametrize(
    "pred", [(400.1, -200.123456), (650.7, 0.0123456), (-0.3, -690.123), (1.0, 1.0), (1.7e308, -1.7e308)]
)
def test_cox_of_one_other_who_hardly_counts(pred: tuple[float, float]) -> None:
    """e^−gap keeps its digits for a large gap."""
    with mp.workdps(50):
        want = float(mp.log1p(mp.exp(mp.mpf(pred[1]) - mp.mpf(pred[0]))))
    for times in ((1.0, 2.0), (1.0, 1.0)):  # the other comes first, or in the order of the rows
        for rows in ([0, 1], [1, 0]):
            value = get_loss("cox").value(*(np.array(x)[rows] for x in (pred, times, (1.0, 0.0))))
            np.testing.assert_allclose(value[rows], [want, 0.0], rtol=1e-15, atol=0)


def test_cox_of_a_falling_and_of_a_rising_row() -> None:
    """The running maximum of the scores changes with each sample, or never."""
    n = 300
    rng = np.random.default_rng(0)
    x, event = np.sort(rng.normal(size=n)) * 30, (rng.random(n) < 0.5).astype(float)
    for time in (np.arange(n, dtype=float), np.arange(n, dtype=float)[::-1], np.floor(np.arange(n) / 7)):
        at_risk = time[None] >= time[:, None]
        top = np.where(at_risk, x, -np.inf).max(axis=1)
        with np.errstate(under="ignore"):
            e = np.where(at_risk, np.exp(x - top[:, None]), 0.0)
        value = event * (top - x + np.log(e.sum(axis=1)))
        gradient = (event[:, None] * e / e.sum(axis=1, keepdims=True)).sum(axis=0) - event
        loss = get_loss("cox")
        np.testing.assert_allclose(loss.value(x, time, event), value, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(loss.gradient(x, time, event), gradient, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 0.3, 2.0])
@pytest.mark.parametrize("distribution", ["normal", "logistic", "extreme"])
def test_aft_of_times_without_a_bound(distribution: str, sigma: float) -> None:
    """Without bounds loss and gradient are 0; with one bound the loss is that of a tail."""
    loss: Any = get_loss(f"aft:distribution={distribution}:sigma={sigma}")
    assert loss.value([0.5], [0.0], [math.inf])[0] == 0
    assert loss.gradient([0.5], [0.0], [math.inf])[0] == 0
    below, above = loss.value([0.5, 0.5], [0.0, 2.0], [2.0, math.inf])
    assert math.exp(-below) + math.exp(-above) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("distribution", ["normal", "logistic", "extreme"])
def test_aft_with_a_spread_of_one_is_that_of_a_spread_beside_it(distribution: str) -> None:
    rng = np.random.default_rng(0)
    pred, lower = rng.normal(size=50), rng.choice([0.0, 0.5, 2.0], 50)
    upper = np.where(rng.random(50) < 0.3, np.inf, lower + rng.choice([0.0, 1.0], 50) * (lower > 0) + (lower == 0))
    one, near = (get_loss(f"aft:sigma={s!r}:distribution={distribution}") for s in (1.0, math.nextafter(1.0, 2.0)))
    np.testing.assert_allclose(one.value(pred, lower, upper), near.value(pred, lower, upper), rtol=1e-13, atol=1e-14)


def test_cox_of_equal_times() -> None:
    """The forms of Breslow and of Efron, summed and per event: values of statsmodels 0.15 and R's survival."""
    pred, time, event = [0.1, 0.3, -0.2, 0.8, 0.5, -0.4], [5, 5, 7, 2, 7, 9], [1, 1, 0, 1, 1, 0]

    def value(spec: str, reduction: str = "mean") -> float:
        return float(lossctl.compute(spec, pred, time, inputs={"event": event}, reduction=reduction))

    assert value("cox", "sum") == pytest.approx(4.942946, abs=5e-7)
    assert value("cox:ties=efron", "sum") == pytest.approx(4.695150, abs=5e-7)
    assert value("cox:mean=events") == pytest.approx(1.235737, abs=5e-7)
    assert lossctl.gradcheck("cox:ties=efron:mean=events", pred, time, inputs={"event": event}).passed
