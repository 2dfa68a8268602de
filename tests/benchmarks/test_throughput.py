"""The plain expressions of tests/benchmarks/throughput.py compute the same losses as the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from plain import Plain, expression
from throughput import block, calls

from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss, registered

ALL = list(registered().values())
LOSSES = [loss for loss in ALL if expression(loss.name)]


def share_that_agrees(loss: Loss, other: Plain) -> float:
    """Of the samples of which plain NumPy makes a number."""
    arrays = [a[:512] for a in block(loss, np.random.default_rng(1))]
    values = loss.value(*arrays)
    with np.errstate(all="ignore"):
        plain = other(*arrays)
    told = np.isfinite(plain) & np.isfinite(values)
    assert plain.shape == values.shape
    assert told.mean() > 0.5
    size = np.abs(values[told])
    return float((np.abs(plain[told] - values[told]) <= 1e-5 * size + 1e-6 * np.median(size)).mean())


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.slow
def test_plain_numpy_computes_the_loss(loss: Loss) -> None:
    """But for the digits and the edges, of which it takes no care."""
    other = expression(loss.name)
    assert other is not None
    assert share_that_agrees(loss, other) > 0.9


@pytest.mark.parametrize(("name", "other"), [("mse", "mae"), ("dice", "jaccard"), ("kl_divergence", "reverse_kl")])
def test_another_loss_is_seen(name: str, other: str) -> None:
    wrong = expression(other)
    assert wrong is not None
    assert share_that_agrees(get_loss(name), wrong) < 0.5


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
@pytest.mark.slow
def test_what_is_measured_is_the_value_and_the_gradient(loss: Loss) -> None:
    arrays = [a[:64].copy(order="K") for a in block(loss, np.random.default_rng(2))]
    with np.errstate(all="ignore"):
        value, gradient, *plain = (call() for call in calls(loss, arrays))
    np.testing.assert_array_equal(value, loss.evaluate(*arrays)[0])
    thunk = loss.evaluate(*arrays)[1]
    assert thunk is not None
    np.testing.assert_array_equal(gradient, thunk())
    assert [x.shape for x in plain] == ([] if expression(loss.name) is None else [value.shape])
