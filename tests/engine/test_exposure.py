"""``--input exposure=``: the loss of target/exposure with the exposure as weight, against the formula of each loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import xlogy

import lossctl
from lossctl.cli.app import main

RNG = np.random.default_rng(5)
YEARS = RNG.uniform(0.1, 2.0, 60)
RATE = np.exp(RNG.normal(-1.0, 0.5, 60))
CLAIMS = RNG.poisson(RATE * YEARS).astype(float)
WEIGHT = RNG.uniform(1.0, 2.0, 60)

# The total over the counts of each period, which has rate·exposure; it is divided by the sum of the exposures.
TOTALS = {
    "poisson_deviance": 2.0 * (xlogy(CLAIMS, CLAIMS / (RATE * YEARS)) - CLAIMS + RATE * YEARS),
    "poisson_nll": RATE * YEARS - CLAIMS * np.log(RATE),
}


@pytest.mark.parametrize("loss", TOTALS)
def test_counts_over_different_times(loss: str) -> None:
    result = lossctl.compute(loss, RATE, CLAIMS, inputs={"exposure": YEARS})
    assert float(result) == pytest.approx(TOTALS[loss].sum() / YEARS.sum(), rel=1e-13)
    assert result.denominator == pytest.approx(YEARS.sum(), rel=1e-14)
    log_rate = lossctl.compute("poisson_nll_log_rate", np.log(RATE), CLAIMS, inputs={"exposure": YEARS})
    assert float(log_rate) == pytest.approx(TOTALS["poisson_nll"].sum() / YEARS.sum(), rel=1e-12)


def test_it_is_the_weighted_loss_of_rates() -> None:
    for loss in ("tweedie_deviance", "poisson_deviance"):
        exposed = lossctl.compute(loss, RATE, CLAIMS, inputs={"exposure": YEARS}, weight=WEIGHT)
        assert float(exposed) == float(lossctl.compute(loss, RATE, CLAIMS / YEARS, weight=WEIGHT * YEARS))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", p=RATE, t=CLAIMS, e=YEARS, zero=np.zeros(60), g=np.arange(60) % 7)
    return tmp_path


def test_gradient_and_groups(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "d.npz -p p -t t --input exposure=e"
    assert main(f"grad poisson_deviance {line} --reduction mean -f value".split()) == 0
    gradient = [float(text) for text in capsys.readouterr().out.split()]
    expected = 2.0 * (RATE * YEARS - CLAIMS) / RATE / YEARS.sum()
    assert gradient == pytest.approx(expected.tolist(), rel=1e-12)
    assert main(f"compute poisson_deviance {line} --group g -f json".split()) == 0
    value = json.loads(capsys.readouterr().out)["losses"][0]["value"]
    assert value == pytest.approx(TOTALS["poisson_deviance"].sum() / YEARS.sum(), rel=1e-13)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mse d.npz -p p -t t --input exposure=e", "mse has no input 'exposure'"),
        ("poisson_nll:full=true d.npz -p p -t t --input exposure=e", "full adds a term of the counts"),
        ("poisson_nll d.npz -p p -t t --input exposure=zero", "row 0: exposure 0 is not a finite number above 0"),
        ("poisson_nll,mae d.npz -p p -t t --input exposure=e", "has no input 'exposure'"),
    ],
)
def test_refused(folder: Path, capsys: pytest.CaptureFixture[str], line: str, part: str) -> None:
    assert main(["compute", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert part in err
    assert err.count("\n") == 1
