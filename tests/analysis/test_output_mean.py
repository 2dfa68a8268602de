"""``--reduction output``: the mean over the columns of their losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main

RNG = np.random.default_rng(3)
PRED, TARGET = RNG.normal(size=(50, 3)), RNG.normal(loc=[0.0, 1.0, 5.0], size=(50, 3))
ERROR = PRED - TARGET


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    holes = PRED.copy()
    holes[:20, 2] = np.nan
    np.savez("d.npz", p=PRED, t=TARGET, w=RNG.uniform(1, 2, PRED.shape), holes=holes)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rmse d.npz -p p -t t", np.sqrt((ERROR**2).mean(axis=0)).mean()),
        ("mae d.npz -p p -t t", np.abs(ERROR).mean()),
        ("wape d.npz -p p -t t", (np.abs(ERROR).sum(axis=0) / np.abs(TARGET).sum(axis=0)).mean()),
        (
            "mae d.npz -p holes -t t --nan skip",
            np.mean([np.abs(ERROR[20 if i == 2 else 0 :, i]).mean() for i in range(3)]),
        ),
    ],
)
def test_the_mean_over_columns(folder: Path, capsys: pytest.CaptureFixture[str], line: str, expected: float) -> None:
    assert main(["compute", *line.split(), "--reduction", "output", "-q"]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(expected, rel=1e-13)


def test_a_single_column_has_no_mean_over_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("one.npz", p=PRED[:, 0], t=TARGET[:, 0])
    for line in ("rmse one.npz -p p -t t", "rmse d.npz -p p -t t --group w"):
        assert main(["compute", *line.split(), "--reduction", "output"]) == 2
        assert "--reduction output" in capsys.readouterr().err
