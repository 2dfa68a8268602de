"""``--like`` computes the number of a library, says how it departs, and refuses what the library does not have."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from convention_cases import cases

import lossctl
from lossctl.cli.app import main
from lossctl.conventions.as_loss import loss_of
from lossctl.conventions.like import find_like
from lossctl.conventions.lookup import conventions
from lossctl.errors import UsageError

P, T = np.array([0.0, 0.9, 0.2, 1.0]), np.array([1.0, 1.0, 0.0, 1.0])
Z, Y = np.array([[0.0, 1, 2], [1, 0, 0]]), np.array([2, 1])
GRADIENT = (
    (0.03795922147679498, 0.1071743165653744, -0.14513353804216947),
    (0.18648340603305413, -0.2404639252387493, 0.053980519205695146),
    (-0.0639773050897995, 0.009322758581426057, 0.05465454650837339),
)
LOGS = -(np.log(0.9) + np.log1p(-0.2))


# Measured with torch 2.13, keras 3.15.1 and scikit-learn 1.9.1; see also test_rows.
@pytest.mark.parametrize(
    ("loss", "library", "value"),
    [
        ("bce", "torch", (100 + LOGS) / 4),
        ("bce", "sklearn", (-np.log(2.0**-52) + LOGS - np.log1p(-(2.0**-52))) / 4),
        ("log_loss", "sklearn@1.1", (-np.log(1e-15) + LOGS) / 4),
        ("BinaryCrossentropy", "keras", (-np.log(float(np.float32(1e-7))) + LOGS + 1.19209e-07) / 4),
        ("l2_loss", "optax", ((P - T) ** 2).mean() / 2),
    ],
)
def test_the_number_of_the_library(loss: str, library: str, value: float) -> None:
    assert float(lossctl.compute(loss, P, T, like=library)) == pytest.approx(value, rel=1e-6)


def test_a_function_for_several_shapes_takes_the_one_of_the_data() -> None:
    rows = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert float(lossctl.compute("log_loss", rows, [1, 0], like="sklearn")) == pytest.approx(-np.log(0.48) / 2)
    assert float(lossctl.compute("log_loss", rows[:, 1], [1.0, 0.0], like="sklearn")) == pytest.approx(
        -np.log(0.48) / 2
    )


def test_class_weights_within_the_sum() -> None:
    """Measured with torch 2.13: soft targets, and labels with smoothing."""
    value = lossctl.compute(
        "softmax_cross_entropy", [[0.0, 1, 2]], [[0.2, 0.3, 0.5]], class_weight=(1, 2, 3), like="torch"
    )
    assert float(value) == pytest.approx(1.9374937, abs=1e-7)
    value = lossctl.compute("cross_entropy:label_smoothing=0.1", Z, Y, class_weight=(1, 2, 3), like="torch")
    assert float(value) == pytest.approx(0.8769893, abs=1e-7)


def test_weights_of_0_count() -> None:
    weight = [0.0, 1.0, 1.0, 2.0]
    p = [0.5, 0.5, 0.25, 0.5]
    expected = (np.log(2) - np.log(0.75) + 2 * np.log(2)) / 4
    assert float(lossctl.compute("bce", p, T, weight=weight, like="torch")) == pytest.approx(expected)
    assert float(lossctl.compute("bce", p, T, weight=weight)) == pytest.approx(expected * 4 / 4)


@pytest.mark.parametrize(
    ("loss", "library", "message"),
    [
        ("bce", "toch", "did you mean 'torch'"),
        ("tversky", "torch", "torch has no function for tversky"),
        ("nope", "keras", "functions of keras: BinaryCrossentropy"),
        ("bce", "sklearn@new", "numbers and dots"),
    ],
)
def test_what_a_library_does_not_have_is_refused(loss: str, library: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_like(loss, library)


def test_weights_that_a_function_does_not_take_are_refused() -> None:
    with pytest.raises(UsageError, match="optax l2_loss takes no weights of samples"):
        lossctl.compute("l2_loss", P, T, weight=P + 1, like="optax")
    with pytest.raises(UsageError, match="takes no weights of classes"):
        lossctl.compute("log_loss", [[0.2, 0.8]], [1], class_weight=(1, 2), like="sklearn")


def test_the_command_names_each_departure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([P, T]), delimiter=",", header="p,t", comments="")
    assert main(["compute", "bce", str(path), "-p", "p", "-t", "t", "--like", "keras"]) == 0
    assert "bce like keras BinaryCrossentropy: computes in single precision; clips" in capsys.readouterr().err
    assert main(["compute", "bce,mse", str(path), "-p", "p", "-t", "t", "--like", "torch"]) == 2
    assert "reduce differently" in capsys.readouterr().err


# Targets 1, 1, 0, 1; a weight of 0 counts for keras, which divides by the count, and not for scikit-learn.
WEIGHTS = (1.0, 2.0, 0.0, 0.5)


@pytest.fixture
def weighted(tmp_path: Path) -> list[str]:
    path = tmp_path / "w.csv"
    np.savetxt(path, np.column_stack([P, T, WEIGHTS, 0.5 + 0.0 * P]), delimiter=",", header="p,t,w,q", comments="")
    return [str(path), "-p", "p", "-t", "t", "-w", "w", "-f", "json"]


@pytest.mark.parametrize(
    ("library", "least", "divisor"), [("keras", float(np.float32(1e-7)), 4.0), ("sklearn@1.1", 1e-15, 3.5)]
)
def test_every_command_takes_the_number_of_the_library(
    weighted: list[str], library: str, least: float, divisor: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean is (−log ε − 2 log 0.9)/divisor; the slope of the second sample is −2/(0.9·divisor)."""

    def run(*words: str) -> str:
        assert main([*words, "--like", library]) == 0
        shown = capsys.readouterr()
        assert "bce like " in shown.err
        return shown.out

    mean = pytest.approx((-np.log(least) - 2 * np.log(0.9)) / divisor, rel=1e-6)
    assert json.loads(run("compute", "bce", *weighted))["losses"][0]["value"] == mean
    document = json.loads(run("breakdown", "bce", *weighted))
    assert document["value"] == mean
    assert document["worst"][0]["loss"] == pytest.approx(-np.log(least), rel=1e-6)
    compared = json.loads(run("compare", "bce", *weighted, "-p", "q"))
    assert compared["models"][0]["value"] == mean
    gradient = run("grad", "bce", *weighted[:-1], "csv", "--reduction", "mean").splitlines()
    assert float(gradient[2]) == pytest.approx(-2.0 / 0.9 / divisor, rel=1e-6)
    curve = run("plot", "bce", "-f", "csv").splitlines()
    assert float(curve[1].split(",")[-2]) == pytest.approx(-np.log(least), rel=1e-6)
    assert "bce" in run("plot", "bce", *weighted[:-2])


def test_where_a_convention_has_no_place_the_reason_is_said(
    weighted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words, says in (
        (["breakdown", "l2_loss", *weighted[:5], "--like", "tensorflow"], "tensorflow l2_loss is a sum, and breakdown"),
        (["compare", "l2_loss", *weighted[:5], "-p", "q", "--like", "tensorflow"], "is a sum, and compare shows means"),
        (["grad", "bce", *weighted[:5], "--like", "torch", "--framework", "torch"], "give one of them"),
        (["verify", "bce", weighted[0], "--like", "torch"], "no option --like: verify needs the exact loss"),
        (["explain", "0.5", weighted[0], "--like", "torch"], "no option --like: explain searches all libraries"),
        (["list", "--like", "torch"], "no option --like: list shows all losses; info LOSS --like"),
    ):
        assert main(words) == 2
        shown = capsys.readouterr()
        assert says in shown.err
        assert not shown.out


DIFFERENTIABLE = [row for row in conventions() if row.steps or row.kernel or row.factor != 1 or row.per_class]


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=[f"{row.title} {row.loss}" for row in DIFFERENTIABLE])
@pytest.mark.slow
def test_the_gradient_of_a_convention_is_that_of_its_value(row) -> None:  # type: ignore[no-untyped-def]
    case = next(case for case in cases() if case.row is row)
    loss = loss_of(row)
    pred, *others = (np.asarray(case.inputs[i.name], float)[:20] for i in loss.inputs)
    if loss.inputs[0].kind.core == ("pixels...",):
        pred, *others = (x.reshape(20, -1) for x in (pred, *others))
    step = 1e-4 if row.library.single else 1e-6  # the roundoff of the inputs in single precision is 6e-8
    direction = np.random.default_rng(0).choice([-1.0, 1.0], pred.shape) * step
    up, down = (loss.evaluate(pred + sign * direction, *others)[0] for sign in (1, -1))
    middle, thunk = loss.evaluate(pred, *others)
    assert thunk is not None
    smooth = np.abs(up - 2 * middle + down) <= 0.02 * np.abs(up - down)
    assert smooth.sum() >= 8
    slope = thunk() * direction
    slope = slope.reshape(len(slope), -1).sum(axis=1)
    assert ((up - down) / 2)[smooth] == pytest.approx(slope[smooth], rel=2e-2, abs=0.02 * step)


def test_gradcheck_judges_by_the_definition_of_the_library() -> None:
    """The gradient of torch 2.13 of a mean with smoothing and class weights, by its autograd."""
    z = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0], [0.5, -1.0, 0.25]])
    torchs = np.array(GRADIENT)
    options = {"reduction": "mean", "class_weight": (1.0, 2.0, 3.0)}
    spec, y = "cross_entropy:label_smoothing=0.1", [2, 1, 0]
    assert lossctl.gradcheck(spec, z, y, torchs, like="torch", **options)
    assert not lossctl.gradcheck(spec, z, y, torchs, **options)
    assert not lossctl.gradcheck(spec, z, y, torchs * 1.001, like="torch", **options)


def test_gradcheck_by_a_library_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "log_cosh", "--like", "sklearn"]) == 2
    assert "sklearn has no function for log_cosh" in capsys.readouterr().err
    assert main(["gradcheck", "cross_entropy,mse", "--like", "torch"]) == 2
    assert "belongs to a single loss" in capsys.readouterr().err
    for name, x in (("z", Z), ("y", Y), ("g", np.zeros_like(Z))):
        np.save(tmp_path / f"{name}.npy", x)
    paths = [str(tmp_path / f"{name}.npy") for name in "zyg"]
    assert main(["gradcheck", "sparse_softmax_cross_entropy", *paths[:2], "--grad", paths[2], "--like", "torch"]) == 1
    assert "like torch cross_entropy" in capsys.readouterr().err


def test_info_shows_the_convention(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "bce", "--like", "keras"]) == 0
    text = capsys.readouterr().out
    assert "clips predictions to [1e-07, 1 − 1e-07]" in text
    assert "keras.losses.BinaryCrossentropy()(target, pred, sample_weight=weight)" in text
    assert main(["info", "log_loss", "--like", "sklearn@1.1"]) == 0
    assert "sparse_categorical_cross_entropy: divides rows of probabilities by their sum" in capsys.readouterr().out
    assert main(["info", "huber"]) == 0
    assert "--like torch, keras, tensorflow, optax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "mode"),
    [
        ("poisson_nll", 2.0 - 3.0 * math.log(2.0 + 1e-8), "pred is a rate, log_input=False; for log rates"),
        ("poisson_nll_loss", math.exp(2.0) - 6.0, "pred is a log rate, the default log_input=True; for rates"),
        ("poisson_nll_log_rate", math.exp(2.0) - 6.0, "pred is a log rate, the default log_input=True; for rates"),
    ],
)
def test_the_poisson_loss_of_torch_says_what_it_takes(
    name: str, value: float, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("p,t\n2,3\n")
    assert main(["compute", name, str(tmp_path / "a.csv"), "-p", "p", "-t", "t", "--like", "torch", "-f", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["losses"][0]["value"] == pytest.approx(value, rel=1e-14)
    assert mode in err
