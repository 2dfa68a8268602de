"""``explain`` names the definition of a number, says which others agree, and finds nothing where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
import lossctl.explanation.definitions
from lossctl.cli.app import main
from lossctl.core.loss import Loss
from lossctl.errors import DataError, UsageError
from lossctl.explanation.definitions import definitions
from lossctl.explanation.matching import to_bfloat16
from lossctl.explanation.number import read_number
from lossctl.explanation.views import views

RNG = np.random.default_rng(5)
N, K = 400, 4
P = RNG.beta(0.7, 0.7, N).clip(1e-3, 0.999)
T = (RNG.random(N) < P).astype(float)
HARD = np.where(np.arange(N) % 20 == 0, 0.0, P)
Z = RNG.normal(0, 2, (N, K))
Y = RNG.integers(0, K, N)
X, R = RNG.normal(0, 2, N), RNG.normal(0, 2, N)
W = np.round(RNG.uniform(0.2, 3, N), 2)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def bce(p: Any, t: Any = T) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def ce(p: Any) -> Any:
    return -np.log(p[np.arange(N), Y])


def clipped(eps: float) -> float:
    return float(bce(np.clip(HARD, eps, 1 - eps)).mean())


def ranknet(x: Any, r: Any) -> float:
    """Return the mean of log(1 + exp(x_j − x_i)) over the pairs of items with r_i > r_j."""
    i, j = np.nonzero(r[:, None] > r)
    return float(np.log1p(np.exp(x[j] - x[i])).mean())


SINGLE = np.clip(HARD.astype(np.float32), np.float32(1e-7), np.float32(1 - 1e-7)).astype(float)
# The number as it is written, the inputs, options, and what the answer must say.
NUMBERS: dict[str, tuple[str, Any, Any, dict[str, Any], str]] = {
    "textbook": (f"{bce(P).mean():.7g}", P, T, {}, "bce"),
    "bits": (f"{bce(P).mean() / np.log(2):.7g}", P, T, {}, "bce; is in bits"),
    "sum": (f"{bce(P).sum():.8g}", P, T, {}, "bce; is the sum"),
    "numpy clip": (f"{clipped(1e-5):.9g}", HARD, T, {}, "bce; clips predictions to [1e-05, 1 − 1e-05]"),
    "sklearn": (repr(clipped(2.0**-52)), HARD, T, {}, "bce; clips predictions to [2.22e-16, 1 − 2.22e-16]"),
    "old sklearn": (repr(clipped(1e-15)), HARD, T, {}, "bce; clips predictions to [1e-15, 1 − 1e-15]"),
    "keras": (f"{bce(SINGLE).mean():.8g}", HARD, T, {}, "bce of keras BinaryCrossentropy"),
    "softmax of probabilities": (
        f"{ce(softmax(softmax(Z))).mean():.7g}",
        softmax(Z),
        Y,
        {},
        "sparse_softmax_cross_entropy; takes the probabilities for logits",
    ),
    "softmax twice": (f"{ce(softmax(softmax(Z))).mean():.7g}", Z, Y, {}, "applies a softmax twice"),
    "nll of probabilities": (
        f"{-softmax(Z)[np.arange(N), Y].mean():.7g}",
        softmax(Z),
        Y,
        {},
        "nll; takes the probabilities for log-probabilities",
    ),
    "all pairs": (
        f"{((X[:, None] - R) ** 2).mean():.8g}",
        X[:, None],
        R,
        {},
        "mse; (n, 1) against (n,): the mean over all pairs",
    ),
    "twice the pinball": (f"{2 * np.maximum(0.9 * (R - X), -0.1 * (R - X)).mean():.7g}", X, R, {}, "quantile"),
    "weights by the count": (
        f"{(W * bce(P)).mean():.8g}",
        P,
        T,
        {"weight": W},
        "bce; divides the weighted sum by the count",
    ),
    "weighted": (f"{(W * bce(P)).sum() / W.sum():.8g}", P, T, {"weight": W}, "bce"),
    "class weights by the count": (
        f"{(np.array([1.0, 2, 3, 4])[Y] * ce(softmax(Z))).mean():.8g}",
        Z,
        Y,
        {"class_weight": (1.0, 2.0, 3.0, 4.0)},
        "sparse_softmax_cross_entropy; divides the weighted sum by the count",
    ),
    "smoothing and class weights": (
        f"{-((0.9 * np.eye(K)[Y] + 0.1 / K) * np.arange(1.0, K + 1) * np.log(softmax(Z))).sum():.8g}",
        Z,
        Y,
        {"class_weight": (1.0, 2.0, 3.0, 4.0)},
        "label_smoothing is 0.1; with class weights within the sum over the classes, is the sum",
    ),
    "perplexity": (
        f"{np.exp(ce(softmax(Z)).mean()):.7g}",
        Z,
        Y,
        {},
        "sparse_softmax_cross_entropy; is its exponential, a perplexity",
    ),
    "means of batches": (
        f"{np.mean([((X - R) ** 2)[i : i + 64].mean() for i in range(0, N, 64)]):.8g}",
        X,
        R,
        {},
        "mse; averages the means of batches of 64",
    ),
    "means of groups": (
        f"{np.mean([bce(P)[i : i + 40].mean() for i in (0,)] + [bce(P)[40:].mean()]):.8g}",
        P,
        T,
        {"groups": np.arange(N) < 40},
        "bce; averages the means of groups",
    ),
    "R²": (f"{1 - ((X - R) ** 2).mean() / R.var():.8g}", X, R, {}, "mse; is 1 − mse ÷ variance of the targets, R²"),
    "root of columns": (
        f"{np.sqrt(((Z - Z[::-1] / 3) ** 2).mean(0)).mean():.8g}",
        Z,
        Z[::-1] / 3,
        {},
        "rmse; takes the root for each column, and averages the roots",
    ),
    "root of rows": (
        f"{np.sqrt(((Z - Z[::-1] / 3) ** 2).mean(1)).mean():.8g}",
        Z,
        Z[::-1] / 3,
        {},
        "rmse; takes the root for each row, and averages the roots",
    ),
    "log10": (
        f"{np.abs(np.log10(W) - np.log10(W[::-1])).mean():.8g}",
        W,
        W[::-1],
        {},
        "mae; takes log10 of predictions and targets",
    ),
    "log10 of a loss": (f"{bce(P).mean() / np.log(10):.8g}", P, T, {}, "bce; takes log10 for the logarithm"),
    "accuracy of rows": (
        f"{(Z.argmax(1) == Y).mean():.4f}",
        Z,
        Y,
        {},
        "zero_one; takes decisions, the class of the greatest score; is 1 minus it, the accuracy",
    ),
    "accuracy of one-hot rows": (
        f"{100 * (Z.argmax(1) == Y)[1:].mean():.7g}%",
        Z[1:],
        np.eye(K)[Y[1:]],
        {},
        "zero_one; takes decisions, the class of the greatest score; is 1 minus it, the accuracy",
    ),
    "accuracy": (f"{((P >= 0.5) == T)[1:].mean():.7g}", P[1:], T[1:], {}, "zero_one; is 1 minus it, the accuracy"),
    "weighted accuracy": (
        f"{(W * (Z.argmax(1) == Y)).sum() / W.sum():.8g}",
        Z,
        Y,
        {"weight": W},
        "zero_one; takes decisions, the class of the greatest score; is 1 minus it, the accuracy",
    ),
    "per cent": (f"{100 * np.abs((X - R) / R).mean():.3f} %", X, R, {}, "mape"),
    "lists": (
        f"{np.mean([ranknet(X[i::37], R[i::37]) for i in range(37)]):.8g}",
        X,
        R,
        {"groups": np.arange(N) % 37},
        "ranknet",
    ),
    "greatest group": (
        f"{((X - R) ** 2).sum() / 2 / 300:.8g}",
        X,
        R,
        {"groups": np.arange(N) < 300},
        "mse; divides the sums of groups by the greatest size, 300",
    ),
    "swapped divergence": (
        f"{(softmax(Z) * np.log(softmax(Z) / softmax(Z[::-1]))).sum(1).mean():.8g}",
        softmax(Z),
        softmax(Z[::-1]),
        {},
        "reverse_kl",
    ),
}


# Each search takes half a second of CPU.
QUICK = (
    "accuracy of rows",
    "bits",
    "keras",
    "softmax twice",
    "weights by the count",
    "all pairs",
    "R²",
    "root of columns",
    "lists",
)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NUMBERS])
def test_the_definition_is_named(name: str) -> None:
    number, pred, target, options, says = NUMBERS[name]
    explanation = lossctl.explain(number, pred, target, **options)
    assert explanation.found
    texts = [text for c in explanation.best for text in (c.text, *c.names)]
    assert any(says in text for text in texts), texts


def test_a_value_of_bfloat16_is_seen() -> None:
    value = float(to_bfloat16(np.array([ce(softmax(Z)).mean()]))[0])
    explanation = lossctl.explain(repr(value), Z, Y, loss="cross_entropy")
    assert "is rounded to bfloat16" in explanation.candidates[0].departures


def test_sixteen_digits_exclude_single_precision() -> None:
    p, t = (np.round(4096 * x) / 4096 for x in (P, T))  # exact in single precision
    (best,) = lossctl.explain(repr(float(bce(p, t).mean())), p, t, loss="bce").best
    assert best.text == "bce"
    assert not any("computes in single precision" in name for name in best.names)
    assert all("computes in double precision" in name for name in best.names if "keras" in name)
    single = float(np.float32(bce(p, t).mean()))
    assert any("keras" in text for c in lossctl.explain(repr(single), p, t, loss="bce").best for text in c.names)


def test_a_sample_has_the_row_with_most_of_the_loss() -> None:
    """Of 20,000 rows, one target near 0 has all of keras's mean, and no random sample of the rows has it."""
    rng = np.random.default_rng(3)
    target = rng.uniform(1.0, 2.0, 20_000)
    target[7] = 1e-9
    pred = target + 0.1
    mape = 100 * (0.1 / np.maximum(target.astype(np.float32), np.float32(1e-7)).astype(float)).mean()
    explanation = lossctl.explain(f"{mape:.6g}", pred, target, loss="mape")
    assert any("MeanAbsolutePercentageError" in text for c in explanation.best for text in (c.text, *c.names))


def test_no_definition_is_found_for_a_number_of_none() -> None:
    assert not lossctl.explain("1.2345678", P, T).found


@pytest.mark.slow
def test_few_digits_are_said_to_be_few() -> None:
    explanation = lossctl.explain(f"{bce(P).mean():.2g}", P, T)
    assert not explanation.found
    assert explanation.by_chance > 0.5


@pytest.mark.slow
def test_sampling_loses_no_answer() -> None:
    """Of many rows, a definition is tried on a sample first: the answers are those of a search of all rows."""
    rng = np.random.default_rng(0)
    p = rng.beta(0.7, 0.7, 60_000).clip(1e-3, 0.999)
    t = (rng.random(60_000) < p).astype(float)
    for number, says in ((bce(p, t).mean() / np.log(2), "bce; is in bits"), (((p - t) ** 2).sum(), "mse; is the sum")):
        explanation = lossctl.explain(f"{number:.8g}", p, t, loss=("bce", "mse"))
        assert explanation.best[0].text == says


def test_conventions_that_compute_the_same_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[str] = []
    original = lossctl.explanation.definitions._losses

    def counting(loss: Loss, arrays: Any) -> Any:
        evaluated.append(loss.spec)
        return original(loss, arrays)

    (plain, *_) = views(P, T)
    rows = [d for d in definitions(plain, ("bce",), {}, 1) if d.row and d.row.library.name in ("keras", "tensorflow")]
    monkeypatch.setattr(lossctl.explanation.definitions, "_losses", counting)
    values = [d.values() for d in rows]
    assert len(rows) == 3
    assert len(evaluated) == 2  # keras is tensorflow 2.16, and before it another
    assert [np.array_equal(v, values[0]) for v in values] == [d.row is not None and not d.row.before for d in rows]


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a number"):
        lossctl.explain("86.3 percent", P, T)
    with pytest.raises(UsageError, match="not a finite number"):
        lossctl.explain("nan", P, T)
    with pytest.raises(DataError, match="pred has 400 rows, target 399"):
        lossctl.explain("0.5", P, T[1:])
    with pytest.raises(DataError, match=r"target\[1\]: NaN"):
        lossctl.explain("0.5", P, np.where(np.arange(N) == 1, np.nan, T))


def test_a_unit_of_a_number_in_per_cent_is_that_of_its_last_digit() -> None:
    number = read_number("12.50 %")
    assert (number.value, number.significant) == (0.125, 4)
    assert number.unit == pytest.approx(1e-4)


def test_negative_numbers_are_no_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scores of scikit-learn whose names begin with neg_."""
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([X, R])[:40], delimiter=",", header="p,t", comments="")
    mse, mae = (f"{-(np.abs(X - R)[:40] ** power).mean():.7g}" for power in (2, 1))
    command = ["explain", f"{mse},{mae}", str(path), "-p", "p", "-t", "t", "--loss", "mse,mae", "-f", "json"]
    assert main(command) == 0
    of_mse, of_mae = json.loads(capsys.readouterr().out)["definitions"]
    assert (of_mse["number"], of_mse["loss"], of_mse["departs"]) == (mse, "mse", ["is the negative"])
    assert (of_mae["loss"], of_mae["departs"]) == ("mae", ["is the negative"])
    assert main(["explain", "-q"]) == 2
    assert main(["explain", "-x", *command[2:]]) == 2
    assert "no option -x" in capsys.readouterr().err


def test_a_script_gets_the_definitions_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([P, T]), delimiter=",", header="p,t", comments="")
    columns = [str(path), "-p", "p", "-t", "t", "--loss", "bce", "-q"]
    assert main(["explain", f"{bce(P).mean() / np.log(2):.9g},{bce(P).sum():.9g}", *columns]) == 0
    assert capsys.readouterr() == ("bce; is in bits\nbce; is the sum\n", "")
    assert main(["explain", "1.2345678", *columns]) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_command_says_how_sure_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([HARD, T]), delimiter=",", header="p,t", comments="")
    columns = [str(path), "-p", "p", "-t", "t"]
    assert main(["explain", repr(clipped(1e-5)), *columns, "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["found"]
    assert document["definitions"][0]["departs"] == ["clips predictions to [1e-05, 1 − 1e-05]"]
    assert main(["explain", "1.2345678", *columns]) == 1
    shown = capsys.readouterr()
    assert "\n1.2345678\n  none  of " in shown.out
    assert "lossctl: " not in shown.err
    assert "--loss NAME searches deeper" in shown.err
    assert main(["explain", "1.2345678", *columns, "-f", "csv"]) == 1
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("number,departures,value,definition")
    assert row.startswith("1.2345678,,,none,")
    assert main(["explain", "0.4", *columns]) == 1
    assert "none  is certain: about " in capsys.readouterr().out
    assert main(["explain", "86 percent", *columns]) == 2
    assert not capsys.readouterr().out
