"""How a gradient is wrong: each explanation, planted and read; and silence where none fits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.cli.main import main
from lossctl.errors import DataError, UsageError

N, K = 40, 4
RNG = np.random.default_rng(0)
PRED, TARGET = RNG.normal(size=(2, N)) * 3
PROB = RNG.uniform(0.05, 0.95, N)
HARD = (RNG.random(N) < 0.5) * 1.0
LOGITS, LABELS = RNG.normal(size=(N, K)) * 2, RNG.integers(0, K, N)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PROBS, ONE_HOT = softmax(LOGITS), np.eye(K)[LABELS]
R = PRED - TARGET
MSE = 2 * R


def hint(spec: str, *arrays: Any, **options: Any) -> str | None:
    found = lossctl.gradcheck(spec, *arrays, **options)
    assert not found.passed
    return found.hint


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.5, "0.5 at every sample: a factor of 2 is missing"),
        (2.0, "2 at every sample: a factor of 2 too much"),
        (-1.0, "-1 at every sample: the sign is wrong"),
        (1 / N, "1/n: it is the gradient of the mean over n = 40; say --reduction mean"),
        (float(N), "n = 40: it was multiplied by the number of samples"),
        (math.log(2), "log 2"),
        (1 / math.log(2), "1/log 2: the loss was taken in bits"),
        (1 / math.log(10), "a logarithm to base 10"),
        (3.3, "3.3 at every sample: a constant factor"),
    ],
)
def test_a_constant_ratio_is_named(factor: float, words: str) -> None:
    assert words in str(hint("mse", PRED, TARGET, factor * MSE))


def test_a_parameter_that_is_missing_is_named() -> None:
    given = lossctl.get_loss("pseudo_huber:delta=3").gradient(PRED, TARGET) / 3
    assert "a factor delta = 3, one is missing" in str(hint("pseudo_huber:delta=3", PRED, TARGET, given))


@pytest.mark.parametrize(("factor", "words"), [(1 / K, "1/k"), (float(K), "k: it was"), (1 / (N * K), "1/(n·k)")])
def test_the_number_of_classes_is_named(factor: float, words: str) -> None:
    given = (softmax(LOGITS) - ONE_HOT) * factor
    assert words in str(hint("ce", LOGITS, LABELS, given))


def test_zeros_and_one_repeated_element() -> None:
    assert "given is 0 everywhere" in str(hint("mse", PRED, TARGET, 0 * MSE))
    assert "given is the same at every sample (1.5)" in str(hint("mse", PRED, TARGET, np.full(N, 1.5)))


def test_one_side_of_a_branch_and_where_it_begins() -> None:
    given = lossctl.get_loss("huber").gradient(PRED, TARGET)
    far = np.abs(R) > 1
    found = str(hint("huber", PRED, TARGET, np.where(far, R, given)))
    assert "wrong only where |pred − target| > 1" in found or "a constant" not in found
    assert found.startswith("wrong only where |pred − target| >")
    begins = float(found.split("> ")[1].split(",", maxsplit=1)[0])
    assert np.abs(R)[~far].max() <= begins <= np.abs(R)[far].min()


def test_one_side_of_zero() -> None:
    found = str(hint("mse", PRED, TARGET, np.where(R < 0, R * R, MSE)))
    assert found.startswith("wrong only where pred − target <")


def test_a_transposed_gradient() -> None:
    given = (softmax(LOGITS) - ONE_HOT).T.reshape(N, K)
    assert hint("ce", LOGITS, LABELS, given) == "given is transposed: read as (4, 40) it is right"


def test_the_derivative_by_the_logit_instead_of_the_probability() -> None:
    assert "p(1 − p): it is the derivative with respect to the logit" in str(hint("bce", PROB, HARD, PROB - HARD))
    assert "with respect to the logits, through the softmax" in str(hint("cce", PROBS, ONE_HOT, PROBS - ONE_HOT))


def test_the_derivative_by_the_probability_instead_of_the_logit() -> None:
    p = 1 / (1 + np.exp(-PRED))
    found = hint("bce_with_logits", PRED, HARD, (p - HARD) / (p * (1 - p)))
    assert "with respect to the probability, not the logit" in str(found)


def test_prediction_and_target_swapped() -> None:
    soft = RNG.uniform(0.05, 0.95, N)
    given = lossctl.get_loss("bce").gradient(soft, PROB)
    assert hint("bce", PROB, soft, given) == "given is the gradient with prediction and target swapped"


def test_a_constant_along_each_row() -> None:
    """The gradient of a loss that divides rows by their sum has one amount more in each row."""
    given = lossctl.get_loss("scce").gradient(PROBS, LABELS) + 1 + np.arange(N)[:, None] / N
    assert "off by one constant along each row" in str(hint("scce", PROBS, LABELS, given))


def test_a_forgotten_target() -> None:
    assert hint("ce", LOGITS, LABELS, softmax(LOGITS)) == (
        "given − numeric is 1 at the target's own class, and right at the others"
    )


def test_only_kinks() -> None:
    pred = np.where(np.arange(N) % 4 == 0, TARGET, PRED)
    given = np.where(pred == TARGET, 7.0 + np.arange(N), np.sign(pred - TARGET))
    assert "wrong only where pred equals target" in str(hint("mae", pred, TARGET, given))


@pytest.mark.parametrize("seed", range(5))
def test_silence_where_nothing_simple_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert hint("mse", PRED, TARGET, MSE * rng.uniform(0.5, 1.5, N)) is None
    assert hint("mse", PRED, TARGET, np.where(rng.random(N) < 0.5, 2 * MSE, MSE / 3)) is None


def test_two_wrong_coordinates_are_too_few_to_explain() -> None:
    given = MSE.copy()
    given[[3, 8]] *= 2
    found = lossctl.gradcheck("mse", PRED, TARGET, given)
    assert (found.counts["wrong"], found.hint) == (2, None)
    assert {c.row for c in found.worst_coordinates(5)} == {3, 8}


# --- what can be checked ---


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("spec", ["mse", "rmse", "huber:delta=2"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_a_mean_or_a_sum(reduction: str, spec: str, weighted: bool) -> None:
    weight = RNG.uniform(0.5, 2, N) if weighted else np.ones(N)
    loss = lossctl.get_loss(spec)
    given = loss.gradient(PRED, TARGET)
    if reduction != "none":
        given = given * weight
    if reduction == "mean":
        mean = np.average(loss.value(PRED, TARGET), weights=weight)
        given = given / weight.sum() * (loss.finish.derivative(mean) if loss.finish else 1)
    options = {"reduction": reduction, "weight": weight if weighted else None}
    assert lossctl.gradcheck(spec, PRED, TARGET, given, **options)
    assert not lossctl.gradcheck(spec, PRED, TARGET, given * (1 + 1e-4), **options)


def test_an_objective_has_its_second_derivative_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "def right(pred, target): return 2 * (pred - target), np.full_like(pred, 2.0)\n"
        "def wrong(pred, target): return 2 * (pred - target), np.full_like(pred, 1.0)\n"
        "def swapped(target, pred): return 2 * (pred - target)\n"
        "def boost(pred, data): return 2 * (pred - data.get_label()), np.full_like(pred, 2.0)\n"
        "def fails(pred, target): raise KeyError('no')\n"
    )

    def run(name: str, *more: str) -> int:
        return main(["gradcheck", "mse", "--grad", f"{tmp_path}/own.py:{name}", *more])

    assert run("right") == 0
    assert run("wrong") == 1
    assert "second derivative" in capsys.readouterr().out
    assert run("swapped") == 1
    assert run("swapped", "--signature", "target,pred") == 0
    assert run("boost", "--signature", "pred,dataset") == 0
    assert run("fails") == 2
    assert run("nothing") == 2


def test_logits_of_a_probability_loss() -> None:
    given = 1 / (1 + np.exp(-PRED)) - HARD
    assert lossctl.gradcheck("bce", PRED, HARD, given, wrt="logits")
    assert lossctl.gradcheck("scce", LOGITS, LABELS, softmax(LOGITS) - ONE_HOT, wrt="logits")
    with pytest.raises(UsageError, match="twin"):
        lossctl.gradcheck("mse", PRED, TARGET, MSE, wrt="logits")


@pytest.mark.parametrize("n", [20, 2000])
@pytest.mark.parametrize("declared", [True, False])
def test_samples_that_depend_on_each_other(n: int, declared: bool, tmp_path: Path) -> None:
    """A batch is noticed, and checked as one: coordinate by coordinate, or along random directions."""
    (tmp_path / "own.py").write_text(
        "from lossctl import Real, loss\n"
        f"def off(scale):\n"
        "    def centred(pred: Real, target: Real):\n"
        "        c = pred - pred.mean() - target\n"
        "        return c * c, scale * 2 * (c - c.mean())\n"
        f"    return loss(coupled=True)(centred) if {declared} else centred\n"
        "right, wrong = off(1.0), off(1.5)\n"
    )
    pred, target = np.random.default_rng(1).normal(size=(2, n))
    right = lossctl.gradcheck(f"{tmp_path}/own.py:right", pred, target)
    assert right
    assert ("one by one" if n == 20 else "random directions") in right.how
    assert not lossctl.gradcheck(f"{tmp_path}/own.py:wrong", pred, target)


def test_float32_is_judged_as_float32() -> None:
    given = (softmax(LOGITS) - ONE_HOT).astype(np.float32)
    assert lossctl.gradcheck("ce", LOGITS, LABELS, given)
    assert not lossctl.gradcheck("ce", LOGITS, LABELS, given.astype(float), rtol=1e-9)
    assert not lossctl.gradcheck("ce", LOGITS, LABELS, given * np.float32(1.001))


@pytest.mark.parametrize("form", ["%.4f", "%.5g", "%.3e"])
def test_text_is_judged_by_the_digits_that_were_written(form: str, tmp_path: Path) -> None:
    for name, values in (("p", PRED), ("t", TARGET), ("g", MSE), ("b", MSE * 1.01)):
        np.savetxt(tmp_path / f"{name}.csv", values, fmt="%.17g" if name in "pt" else form)
    files = ["gradcheck", "mse", f"{tmp_path}/p.csv", f"{tmp_path}/t.csv", "--grad"]
    assert main([*files, f"{tmp_path}/g.csv"]) == 0
    assert main([*files, f"{tmp_path}/b.csv"]) == 1


def test_points_are_drawn_by_their_seed() -> None:
    first, again, other = (lossctl.gradcheck("huber", seed=s, samples=50) for s in (1, 1, 2))
    assert first.given is not None
    assert again.given is not None
    assert other.given is not None
    np.testing.assert_array_equal(first.given, again.given)
    assert (first.given != other.given).any()


def test_results_are_arrays_and_a_failing_assertion_reads_well() -> None:
    found = lossctl.gradcheck("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], grad=[1.0, 2.0, 4.0])
    assert found.verdict is not None
    assert found.verdict.shape == (3, 1)
    assert repr(found) == (
        "gradient check of mse: FAIL (3 wrong of 3 coordinates)\n"
        "  sample 0: given 1, numeric 2 ± 1e-08\n"
        "  sample 1: given 2, numeric 4 ± 3e-08\n"
        "  sample 2: given 4, numeric 8 ± 6e-08\n"
        "  hint: given ÷ numeric is 0.5 at every sample: a factor of 2 is missing"
    )


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError):
        lossctl.gradcheck("mse", PRED, TARGET, MSE[:-1])
    with pytest.raises(DataError):
        lossctl.gradcheck("ce", LOGITS, LABELS, LOGITS[:, :-1])
    with pytest.raises(UsageError, match="predictions"):
        lossctl.gradcheck("mse", grad=MSE)
    with pytest.raises(UsageError, match="gives no gradient"):
        lossctl.gradcheck(lambda pred, target: (pred - target) ** 2)


# --- the commands ---


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, values in (("p", PRED), ("t", TARGET), ("z", LOGITS), ("y", LABELS), ("w", np.abs(PRED))):
        np.save(tmp_path / f"{name}.npy", values)
    return tmp_path


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_what_grad_writes_gradcheck_takes(files: Path, reduction: str) -> None:
    for loss, pred, target in (("huber", "p", "t"), ("ce", "z", "y")):
        inputs = [loss, f"{files}/{pred}.npy", f"{files}/{target}.npy", "-w", f"{files}/w.npy"]
        for out in ("g.npy", "g.csv"):
            assert main(["grad", *inputs, "--reduction", reduction, "-o", f"{files}/{out}"]) == 0
            assert main(["gradcheck", *inputs, "--grad", f"{files}/{out}", "--reduction", reduction]) == 0
        np.testing.assert_array_equal(
            np.load(files / "g.npy").ravel(), np.loadtxt(files / "g.csv", delimiter=",", skiprows=1).ravel()
        )


def test_grad_gives_the_gradient_and_differences_where_there_is_none(files: Path) -> None:
    inputs = [f"{files}/p.npy", f"{files}/t.npy", "-o", f"{files}/g.npy"]
    assert main(["grad", "mse", *inputs]) == 0
    np.testing.assert_array_equal(np.load(files / "g.npy"), MSE)
    (files / "own.py").write_text("def cubic(pred, target): return abs(pred - target) ** 3\n")
    assert main(["grad", f"{files}/own.py:cubic", *inputs]) == 2
    assert main(["grad", f"{files}/own.py:cubic", *inputs, "--numeric"]) == 0
    np.testing.assert_allclose(np.load(files / "g.npy"), 3 * R * np.abs(R), rtol=1e-6)


def test_every_format_and_what_is_kept(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["gradcheck", "mse", f"{files}/p.npy", f"{files}/t.npy"]
    assert main([*argv, "-f", "jsonl", "--save-numeric", f"{files}/n.npy"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["sample"] for row in rows] == list(range(N))
    assert {row["verdict"] for row in rows} == {"ok"}
    np.testing.assert_allclose(np.load(files / "n.npy")[:, 0], MSE, rtol=1e-6)
    np.save(files / "bad.npy", MSE / 2)
    assert main([*argv, "--grad", f"{files}/bad.npy", "-f", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lossctl.gradcheck/1"
    assert document["passed"] is False
    assert document["checks"][0]["hint"].endswith("a factor of 2 is missing")
    for form in ("table", "markdown", "csv", "tsv", "value"):
        assert main([*argv, "-f", form]) == 0
        assert "mse" in capsys.readouterr().out or form == "value"


def test_every_loss_passes_at_drawn_points(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "--samples", "500", "-f", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [c["loss"] for c in checks] == lossctl.losses()
    assert all(c["wrong"] == 0 for c in checks)


def test_a_sweep_shows_truncation_and_rounding(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "pseudo_huber", f"{files}/p.npy", f"{files}/t.npy", "--sweep", "-f", "json"]) == 0
    steps = json.loads(capsys.readouterr().out)["sweep"]
    errors = [row["rel_err"] for row in steps]
    best = int(np.argmin(errors))
    assert 0 < best < len(errors) - 1
    assert errors[0] > 1e3 * errors[best]
    assert errors[-1] > 1e3 * errors[best]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mse", "--grad", "g.npy"], "give PREDS and TARGETS"),
        (["mse,mae", "--save-numeric", "n.npy"], "a single loss"),
        (["mse", "--rtol", "2"], "between 0 and 1"),
        (["mse", "--samples", "0"], "at least 1"),
        (["mse", "--wrt", "logit"], "did you mean 'logits'"),
        (["mse", "--reduction", "men"], "did you mean 'mean'"),
    ],
)
def test_options_that_do_not_fit(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
