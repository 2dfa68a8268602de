"""Lengths, losses of samples, several numbers and probes narrow what a number alone leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main
from lossctl.errors import DataError, UsageError
from lossctl.explanation.joint import narrow
from lossctl.explanation.result import Candidate, Explanation

RNG = np.random.default_rng(8)
N, STEPS, CLASSES = 30, 12, 4
X = RNG.normal(size=(N, STEPS))
R = X + RNG.normal(size=(N, STEPS))
LENGTHS = RNG.integers(2, STEPS, N)
KEPT = np.arange(STEPS) < LENGTHS[:, None]
SQUARES = (X - R) ** 2
MEANS = [SQUARES[i, :k].mean() for i, k in enumerate(LENGTHS)]
Z, Y = RNG.normal(size=(N, STEPS, CLASSES)), RNG.integers(0, CLASSES, (N, STEPS))
E = np.exp(Z)
CE = -np.log(np.take_along_axis(E / E.sum(-1, keepdims=True), Y[..., None], -1))[..., 0]
P = RNG.beta(0.7, 0.7, 200).clip(1e-3, 0.999)
T = (RNG.random(200) < P).astype(float)
BCE = -(T * np.log(P) + (1 - T) * np.log(1 - P))


@pytest.mark.parametrize(
    ("number", "pred", "target", "says"),
    [
        (SQUARES[KEPT].mean(), X, R, "mse"),
        (np.mean(MEANS), X, R, "mse; averages the means of groups"),
        ((SQUARES * KEPT).sum(1).mean(), X, R, "mse; averages the sums of groups"),
        ((SQUARES * KEPT).mean(), X, R, "mse; divides by all places, padding too"),
        (SQUARES.mean(), X, R, "mse; counts padding as data"),
        (CE[KEPT].mean(), Z, Y, "sparse_softmax_cross_entropy"),
        (np.exp(CE[KEPT].mean()), Z, Y, "sparse_softmax_cross_entropy; is its exponential, a perplexity"),
    ],
)
def test_lengths_say_what_is_padding(number: float, pred: Any, target: Any, says: str) -> None:
    explanation = lossctl.explain(f"{number:.8g}", pred, target, lengths=LENGTHS, loss=says.partition(";")[0])
    assert explanation.found
    assert says in (explanation.best[0].text, *explanation.best[0].names)


def test_lengths_of_sequences_that_follow_one_another() -> None:
    explanation = lossctl.explain(f"{np.mean(MEANS):.8g}", X[KEPT], R[KEPT], lengths=LENGTHS, loss="mse")
    assert explanation.best[0].text == "mse; averages the means of groups"


def test_lengths_that_fit_nothing_are_refused() -> None:
    with pytest.raises(DataError, match=r"the lengths add up to 3, and there are 4 rows"):
        lossctl.explain("0.5", [1.0, 2, 3, 4], [1.0, 2, 3, 5], lengths=[1, 2])
    with pytest.raises(DataError, match=r"lengths\[1\] is 13: a row has 12 steps"):
        lossctl.explain("0.5", X, R, lengths=np.where(np.arange(N) == 1, 13, LENGTHS))
    with pytest.raises(DataError, match=r"lengths\[0\] is 1\.5"):
        lossctl.explain("0.5", [1.0, 2, 3], [1.0, 2, 4], lengths=[1.5, 1.5])
    with pytest.raises(UsageError, match="groups or lengths, not both"):
        lossctl.explain("0.5", X[KEPT], R[KEPT], lengths=LENGTHS, groups=KEPT.nonzero()[0])


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        (BCE, "bce"),
        (BCE / np.log(2), "bce; is in bits"),
        (np.round(BCE, 4), "bce"),
        (np.array([float(f"{v:.5g}") for v in BCE]), "bce"),
        (BCE.astype(np.float32), "bce; is in single precision"),
        ((P - T) ** 2 / 2, "half_squared_error"),
    ],
)
@pytest.mark.slow
def test_losses_of_samples_name_the_definition(losses: Any, says: str) -> None:
    explanation = lossctl.explain(losses, P, T)
    assert says in (explanation.best[0].text, *explanation.best[0].names)


def test_losses_of_samples_that_nothing_gives() -> None:
    assert not lossctl.explain(BCE + 0.01 * RNG.random(len(BCE)), P, T).found
    with pytest.raises(DataError, match="200 samples need one loss each"):
        lossctl.explain(BCE[1:], P, T)


def candidate(loss: str, *departures: str) -> Candidate:
    return Candidate(loss, departures, len(departures), 1.0, "double")


def test_numbers_of_one_run_share_their_causes() -> None:
    """Each number has two answers; the clip that both need is one cause, the others are two."""
    clip = "clips predictions to [1e-06, 1 − 1e-06]"
    first = Explanation("1", (candidate("bce", clip), candidate("mse", "is half of it")), 9, 0.0, 5)
    second = Explanation("2", (candidate("mae", "is the sum"), candidate("bce", clip, "is the sum")), 9, 0.0, 5)
    none = Explanation("3", (), 9, 0.0, 5)
    one, two, three = narrow([first, second, none])
    assert [c.loss for c in one.best] == ["bce"]
    assert [c.loss for c in two.best] == ["bce"]
    assert three is none


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([P, T, np.arange(200) < 100]), delimiter=",", header="p,t,half", comments="")
    return str(path)


def test_rows_that_do_not_count_are_left_out(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    number = f"{BCE[:100].mean():.9g}"
    options = [number, table, "-p", "p", "-t", "t", "--where", "half==1", "--loss", "bce"]
    assert main(["explain", *options]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("100 samples")
    assert "note: 100 rows left out by --where" in shown.err
    assert main(["explain", number, table, "-p", "p", "-t", "t", "--where", "half==7"]) == 2


def test_a_file_of_losses_and_a_file_of_lengths(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = [table, "-p", "p", "-t", "t"]
    losses = str(tmp_path / "losses.csv")
    Path(losses).write_text("loss\n" + "".join(f"{v:.6f}\n" for v in BCE))
    assert main(["explain", losses, *columns, "-f", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["definitions"]
    assert (row["number"], row["definition"]) == (losses, "bce")
    lengths = tmp_path / "lengths.csv"
    lengths.write_text("length\n50\n150\n")
    number = f"{(BCE[:50].mean() + BCE[50:].mean()) / 2:.9g}"
    assert main(["explain", number, *columns, "--lengths", str(lengths), "--loss", "bce"]) == 0
    assert "averages the means of groups" in capsys.readouterr().out


def test_a_probe_separates_what_is_left(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of scikit-learn on the probe has one definition, which none of the numbers before it could tell."""
    probe = str(tmp_path / "probe.csv")
    assert main(["explain", f"{BCE.mean():.9g}", table, "-p", "p", "-t", "t", "--probe", probe, "-f", "json"]) == 0
    capsys.readouterr()
    p, t = np.loadtxt(probe, delimiter=",", skiprows=1).T
    q = np.clip(p, 2.0**-52, 1 - 2.0**-52)
    number = repr(float(-(t * np.log(q) + (1 - t) * np.log(1 - q)).mean()))
    assert main(["explain", number, probe, "-p", "pred", "-t", "target", "--loss", "bce", "-f", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["definitions"]
    assert row["departs"] == ["clips predictions to [2.22e-16, 1 − 2.22e-16]"]
    names = (row["definition"], *row["same_here"])
    assert any("sklearn log_loss from 1.2" in name for name in names)
    assert not any("before 1.2" in name for name in names)
