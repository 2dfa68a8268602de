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


IMAGES = RNG.normal(0, 2, (20, 3, 4, 5))
LABELS = RNG.integers(0, 3, (20, 4, 5))
SOFT = np.exp(IMAGES) / np.exp(IMAGES).sum(1, keepdims=True)
MASKS = np.moveaxis(np.eye(3)[LABELS], -1, 1)
PIXELS = -(MASKS * np.log(SOFT)).sum(1)


def dice(p: Any, t: Any) -> float:
    """Return the mean over channels of 1 − (2 Σ pt + 1)/(Σ p + Σ t + 1)."""
    both, each = (p * t).sum((2, 3)), p.sum((2, 3)) + t.sum((2, 3))
    return float((1 - (2 * both + 1) / (each + 1)).mean())


@pytest.mark.parametrize(
    ("number", "target", "options", "says"),
    [
        (PIXELS.mean(), LABELS, {}, "sparse_softmax_cross_entropy"),
        (PIXELS.mean(), MASKS, {}, "sparse_softmax_cross_entropy"),
        (PIXELS.sum(), LABELS, {}, "sparse_softmax_cross_entropy; is the sum"),
        (dice(SOFT, MASKS), LABELS, {}, "dice; applies a softmax first"),
        (
            (PIXELS * (1.0 + np.arange(20.0))[:, None, None]).sum() / 4200,
            LABELS,
            {"weight": 1.0 + np.arange(20.0)},
            "sparse_softmax_cross_entropy",
        ),
        (
            np.mean([PIXELS[:, :, :1].mean(), PIXELS[:, :, 1:].mean()]),
            LABELS,
            {"groups": np.broadcast_to(np.arange(5) > 0, LABELS.shape)},
            "sparse_softmax_cross_entropy; averages the means of groups",
        ),
    ],
)
@pytest.mark.slow
def test_classes_along_an_axis(number: float, target: Any, options: Any, says: str) -> None:
    explanation = lossctl.explain(f"{number:.9g}", IMAGES, target, class_axis=1, **options)
    assert explanation.found
    assert says in [text for c in explanation.best for text in (c.text, *c.names)]


@pytest.mark.slow
def test_steps_after_the_classes_have_lengths() -> None:
    """Scores (n, k, steps), as torch takes them."""
    explanation = lossctl.explain(f"{CE[KEPT].mean():.8g}", np.moveaxis(Z, -1, 1), Y, lengths=LENGTHS, class_axis=1)
    assert "sparse_softmax_cross_entropy" in (explanation.best[0].text, *explanation.best[0].names)
    explanation = lossctl.explain(f"{CE.mean():.8g}", np.moveaxis(Z, -1, 1), Y, lengths=LENGTHS, class_axis=1)
    assert explanation.best[0].text == "sparse_softmax_cross_entropy; counts padding as data"
    assert explanation.best[0].cost == 1


def test_an_axis_of_classes_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"class_axis=4: pred has shape \(20, 3, 4, 5\)"):
        lossctl.explain("0.5", IMAGES, LABELS, class_axis=4)
    with pytest.raises(
        DataError, match=r"target has shape \(20, 4, 5\).*class_axis=2 it is \(20, 3, 5\), or that of pred"
    ):
        lossctl.explain("0.5", IMAGES, LABELS, class_axis=2)
    with pytest.raises(DataError, match="no loss takes them; class_axis says which axis holds the classes"):
        lossctl.explain("0.5", IMAGES, LABELS)


def test_classes_along_an_axis_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", IMAGES)
    np.save("y.npy", LABELS)
    number = f"{PIXELS.mean():.8g}"
    assert main(["explain", number, "z.npy", "y.npy", "--class-axis", "1", "-f", "json"]) == 0
    (answer, *_) = json.loads(capsys.readouterr().out)["definitions"]
    assert answer["departs"] == []
    assert main(["explain", number, "z.npy", "y.npy", "--class-axis", "0"]) == 2
    assert "--class-axis 0: pred has axes 1 to 3 besides that of the samples, 0" in capsys.readouterr().err


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


def test_losses_of_samples_are_those_of_all_samples() -> None:
    x, r, w = X.ravel(), R.ravel(), np.arange(1.0, X.size + 1)
    losses = (x - r) ** 2
    weighted = lossctl.explain(w * losses, x, r, weight=w, loss="mse")
    assert weighted.best[0].text == "mse; is multiplied by the weights"
    losses[-1] *= 1.1
    assert not lossctl.explain(losses, x, r, loss="mse").found


def test_roots_of_rows_and_of_columns_are_single_departures() -> None:
    for axis, says in ((0, "column"), (1, "row")):
        number = f"{np.sqrt(SQUARES.mean(axis=axis)).mean():.9g}"
        (best,) = lossctl.explain(number, X, R, loss="rmse").best
        assert best.text == f"rmse; takes the root for each {says}, and averages the roots"


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


@pytest.mark.slow
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
