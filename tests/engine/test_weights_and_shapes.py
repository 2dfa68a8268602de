"""Weights and shapes as people have them: negative weights, one scale a sample, axes of length 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main

RNG = np.random.default_rng(5)
PRED, TARGET = RNG.normal(size=(3, 2, 4)), RNG.normal(size=(3, 2, 4))


def test_negative_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights of simulated events: the value of scikit-learn's log_loss, and an error without the option."""
    file = tmp_path / "events.csv"
    file.write_text("p,y,w\n.9,1,1.2\n.2,0,.8\n.7,1,-.3\n.4,0,1.1\n.1,1,-.1\n")
    words = ["compute", "bce", str(file), "-p", "p", "-t", "y", "-w", "w", "-q"]
    assert main([*words, "--allow-negative-weights"]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(0.196146, abs=5e-7)
    assert main(words) == 2
    assert capsys.readouterr().err.endswith(
        "weight -0.3 is not a finite number of at least 0; --allow-negative-weights lets it count\n"
    )
    with pytest.raises(lossctl.DataError, match="allow_negative_weights=True lets it count"):
        lossctl.compute("mse", [1.0], [0.0], weight=[-1.0])
    got = lossctl.compute("mse", [1.0, 2.0], [0.0, 0.0], weight=[-1.0, 3.0], allow_negative_weights=True)
    assert float(got) == pytest.approx((-1 + 12) / 2)


def test_a_weight_for_each_step_of_a_series() -> None:
    """Weights (n, t) of (n, t, m) belong to the steps."""
    weight = RNG.uniform(0.5, 2.0, (3, 2))
    got = lossctl.compute("mse", PRED, TARGET, weight=weight)
    assert float(got) == pytest.approx(
        np.average((PRED - TARGET) ** 2, weights=np.broadcast_to(weight[..., None], PRED.shape))
    )
    with pytest.raises(lossctl.DataError, match=r"^weight has 4 columns: one per sample or one per element"):
        lossctl.compute("mse", PRED, TARGET, weight=np.ones((3, 4)))


def test_one_variance_for_each_sample() -> None:
    """A scale of a sample belongs to all its elements; a second operand is still not broadcast."""
    pred, target, var = PRED[:, 0], TARGET[:, 0], np.array([0.5, 1.0, 2.0])
    each = np.repeat(var[:, None], 4, axis=1)
    once = lossctl.compute("gaussian_nll", pred, target, inputs={"var": var})
    assert float(once) == float(lossctl.compute("gaussian_nll", pred, target, inputs={"var": each}))
    with pytest.raises(lossctl.DataError, match="nothing is broadcast"):
        lossctl.compute("mse", pred, target[:, 0])


def test_an_axis_of_length_one() -> None:
    """Logits (n, k, 1) fit labels (n, 1)."""
    labels = np.array([[0], [3], [1]])
    got = lossctl.compute("ce", PRED[:, :1].transpose(0, 2, 1), labels, class_axis=1)
    assert float(got) == float(lossctl.compute("ce", PRED[:, 0], labels[:, 0]))


def test_nothing_counts() -> None:
    """The sum of no element is 0; a mean of none is an error."""
    zeros = np.zeros(2)
    assert float(lossctl.compute("mse", [1.0, 2.0], zeros, weight=zeros, reduction="sum")) == 0.0
    assert float(lossctl.compute("ce", np.ones((2, 3)), [-100, -100], ignore_index=-100, reduction="sum")) == 0.0
    with pytest.raises(lossctl.DataError, match="no sample is left: the weight of every sample is 0"):
        lossctl.compute("mse", [1.0, 2.0], zeros, weight=zeros)


def test_a_percentage_of_zero() -> None:
    """The message names ways out, and they work."""
    with pytest.raises(lossctl.DataError, match=r"target\[1\]: 0 .*a weight of 0 leaves such samples out, and wape"):
        lossctl.compute("mape", [1.0, 2.0], [2.0, 0.0])
    assert float(lossctl.compute("mape", [1.0, 2.0], [2.0, 0.0], weight=[1.0, 0.0])) == 0.5


def test_scaled_errors_of_series() -> None:
    """One scale for each series (n, horizon), from its training part: the value of sktime's definition."""
    train = RNG.normal(size=(3, 20)).cumsum(axis=1)
    pred, target = PRED[:, 0], TARGET[:, 0]
    naive = np.abs(np.diff(train, axis=1)).mean(axis=1)
    each = [np.abs(p - t).mean() / s for p, t, s in zip(pred, target, naive, strict=True)]
    assert float(lossctl.compute("mase", pred, target, inputs={"scale": naive})) == pytest.approx(np.mean(each))
