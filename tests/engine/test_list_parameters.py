"""Parameters with one value for each column of the predictions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main
from lossctl.core.list_parameters import with_list_inputs

QUANTILES = np.array([[90.0, 120.0, 160.0], [10.0, 14.0, 25.0]])
OBSERVED = np.array([150.0, 9.0])
LOGITS = np.array([[0.3, -1.2, 2.0], [1.1, 0.4, -0.3], [-0.5, 0.8, 0.2]])
LABELS = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])


@pytest.mark.parametrize(("spec", "value"), [("pos_weight=1,3,9", 0.925138), ("label_weight=1,2,0.5", 0.661142)])
def test_weights_of_labels(spec: str, value: float) -> None:
    """Values of torch 2.13, with ``pos_weight`` and ``weight``."""
    assert float(lossctl.compute(f"bce_with_logits:{spec}", LOGITS, LABELS)) == pytest.approx(value, abs=5e-7)


def test_quantiles() -> None:
    """The targets belong to every quantile; the value is the mean over rows and quantiles."""
    assert float(lossctl.compute("quantile:tau=0.1,0.5,0.9", QUANTILES, OBSERVED)) == pytest.approx(4.5)
    each = [
        float(lossctl.compute(f"quantile:tau={t}", QUANTILES[:, i], OBSERVED)) for i, t in enumerate((0.1, 0.5, 0.9))
    ]
    assert each == pytest.approx([3.45, 8.75, 1.3])


def test_interval_form() -> None:
    """The score is the weighted sum over the median and the central intervals."""
    low, median, high = QUANTILES.T
    alpha = 0.2
    outside = 2 / alpha * (np.maximum(low - OBSERVED, 0) + np.maximum(OBSERVED - high, 0))
    score = (0.5 * np.abs(median - OBSERVED) + alpha / 2 * (high - low + outside)) / 1.5
    got = lossctl.compute("wis:tau=0.1,0.5,0.9", QUANTILES, OBSERVED)
    assert float(got) == pytest.approx(score.mean())


def test_elements_that_do_not_count() -> None:
    """A NaN and a weight of 0 leave out an element together with its value of the parameter."""
    pred, weight = QUANTILES.copy(), np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    pred[1, 0] = np.nan
    got = lossctl.compute("quantile:tau=0.1,0.5,0.9", pred, OBSERVED, weight=weight, nan="skip")
    assert float(got) == pytest.approx((0.1 * 60 + 0.5 * 30 + 0.5 * 5 + 0.1 * 16) / 4)


def test_gradient_check() -> None:
    """The analytic gradient agrees with differences, at the data and at random points."""
    for arrays in ([QUANTILES, OBSERVED], []):
        assert lossctl.gradcheck("quantile:tau=0.1,0.5,0.9", *arrays).passed
    assert lossctl.gradcheck("bce_with_logits:pos_weight=1,3,9:label_weight=2,1,1", LOGITS, LABELS).passed


def tilted(pred: lossctl.Real, target: lossctl.Real, *, a: Annotated[float, lossctl.Param("", per_column=True)] = 1.0):  # type: ignore[no-untyped-def]
    """A loss of a user."""
    return a * np.abs(pred - target)


def test_a_wrong_gradient_is_explained() -> None:
    spec = "bce_with_logits:pos_weight=1,3,9"
    result = lossctl.gradcheck(spec, LOGITS, LABELS, grad=3 * lossctl.get_loss(spec).gradient(LOGITS, LABELS))
    assert not result.passed
    assert result.hint
    assert "3 at every sample" in result.hint


def test_loss_of_a_user() -> None:
    """A function of a user takes lists, too."""
    loss = lossctl.loss(tilted).bind(a=[1, 10])
    assert float(lossctl.compute(loss, [[1.0, 2.0]], [0.0])) == pytest.approx(10.5)


def test_pickle() -> None:
    """Workers of a cluster get the loss with its lists."""
    loss = with_list_inputs(lossctl.get_loss("quantile:tau=0.1,0.9"))
    again = pickle.loads(pickle.dumps(loss))  # noqa: S301
    assert [i.name for i in again.inputs] == ["pred", "target", "tau"]
    assert again.spec == "quantile:tau=0.1,0.9"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("quantile:tau=0.1,0.9", "quantile: 2 values of tau, one for each column, and pred has 3 columns"),
        ("quantile:tau=0.1,1,0.9", "quantile: parameter 'tau': '1' is not a number above 0 and below 1"),
        ("huber:delta=1,2,3", "huber: parameter 'delta': '1,2,3' is not a number above 0"),
    ],
)
def test_lists_that_do_not_fit(spec: str, message: str) -> None:
    """An error says what the list is compared with."""
    with pytest.raises(lossctl.UsageError) as error:
        lossctl.compute(spec, QUANTILES, OBSERVED)
    assert str(error.value) == message


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A comma is the next loss only where a loss can begin; ``breakdown`` shows a row for each quantile."""
    file = tmp_path / "q.csv"
    file.write_text("q0.1,q0.5,q0.9,y\n90,120,160,150\n10,14,25,9\n")
    data = [str(file), "-p", "q*", "-t", "y"]
    limit = ["--fail-above", "quantile:tau=0.1,0.5,0.9=5"]
    assert main(["compute", "quantile:tau=0.1,0.5,0.9,wis:tau=0.1,0.5,0.9", *data, "-q", *limit]) == 0
    assert [float(line) for line in capsys.readouterr().out.split()] == pytest.approx([4.5, 9.0])
    assert main(["breakdown", "quantile:tau=0.1,0.5,0.9", *data, "--by", "output", "-f", "csv"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    assert {row[0]: float(row[3]) for row in rows} == pytest.approx({"q0.1": 3.45, "q0.5": 8.75, "q0.9": 1.3})
    for command in (["info", "quantile:tau=0.1,0.9"], ["plot", "quantile:tau=0.1,0.9"]):
        assert main(command) == 0
