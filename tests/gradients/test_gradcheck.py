"""``lossctl.gradcheck`` and the commands ``gradcheck`` and ``grad``: inputs, options and errors.

test_verdict.py tests the verdicts on every loss, test_diagnosis.py the explanations of wrong gradients.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl import Positive, Probabilities, Probability, Real, loss
from lossctl.cli.app import main
from lossctl.core.loss import MeanTransform
from lossctl.engine import run
from lossctl.errors import DataError, UsageError
from lossctl.gradients.verdict import Verdict

RNG = np.random.default_rng(0)
N, K = 300, 7
PRED, TARGET = RNG.normal(size=(2, N))
R = PRED - TARGET
MSE = 2 * R
LOGITS, LABELS = RNG.normal(size=(N, K)), RNG.integers(0, K, N)
CE = "sparse_softmax_cross_entropy"


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def hint(spec: str, *arrays: Any, **options: Any) -> str | None:
    found = lossctl.gradcheck(spec, *arrays, **options)
    assert not found.passed
    return found.hint


# --- objectives ---


def objective(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 2 * (a - b), np.full_like(a, 2.0)


def test_the_second_derivative_counts() -> None:
    """A wrong second array fails the check, though the gradient is right."""
    right = lossctl.gradcheck("mse", PRED, TARGET, objective)
    assert right
    assert right.second is not None
    assert right.second.passed
    wrong = lossctl.gradcheck("mse", PRED, TARGET, lambda a, b: (2 * (a - b), np.ones_like(a)))
    assert not wrong
    assert wrong.passed  # of the gradient alone
    assert wrong.second is not None
    assert wrong.second.counts["wrong"] == N
    lines = repr(wrong).splitlines()
    assert lines[:2] == [
        "given ÷ numeric is 0.5 at every sample: a factor of 2 is missing",
        "second derivative check of mse: FAIL (300 wrong of 300 coordinates)",
    ]
    assert lines[-1] == "gradient check of mse: ok (300 ok of 300 coordinates)"
    assert not lossctl.gradcheck("mse", grad=lambda a, b: (2 * (a - b), np.ones_like(a)))


def test_the_order_of_arguments_is_said() -> None:
    def swapped(y: np.ndarray, y_hat: np.ndarray) -> np.ndarray:
        return 2 * (y_hat - y)

    assert not lossctl.gradcheck("mse", PRED, TARGET, swapped, signature="pred,target")
    assert lossctl.gradcheck("mse", PRED, TARGET, swapped, signature="target,pred")

    def boosted(y_hat: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
        assert not data.get_weight().size
        return objective(y_hat, data.get_label())

    assert lossctl.gradcheck("mse", PRED, TARGET, boosted, signature="pred,dataset")
    with pytest.raises(UsageError, match=r"boosted: .*test_gradcheck.py:\d+: AttributeError"):
        lossctl.gradcheck("mse", PRED, TARGET, boosted, signature="pred,target")


def test_an_objective_cannot_change_the_data() -> None:
    def vandal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a -= b
        a *= 2
        return a

    pred = PRED.copy()
    assert lossctl.gradcheck("mse", pred, TARGET, vandal)
    np.testing.assert_array_equal(pred, PRED)


def test_an_objective_on_logits() -> None:
    label = (TARGET > 0) * 1.0

    def binary(x: np.ndarray, t: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        p = 1 / (1 + np.exp(-x))
        return p - t, scale * p * (1 - p)

    assert lossctl.gradcheck("bce", PRED, label, binary, wrt="logits")
    assert not lossctl.gradcheck("bce", PRED, label, lambda x, t: binary(x, t, 2.0), wrt="logits")


def test_differences_of_an_objective_stay_inside_the_domain() -> None:
    seen = []

    def by_probability(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append((p.min(), p.max()))
        return (1 - t) / (1 - p) - t / p, (1 - t) / (1 - p) ** 2 + t / p**2

    p = np.array([1e-12, 1e-3, 0.3, 1 - 1e-9])
    lossctl.gradcheck("bce", p, [1.0, 0.0, 1.0, 0.0], by_probability)
    assert min(low for low, _ in seen) > 0
    assert max(high for _, high in seen) < 1


# --- batches ---


def centred(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = pred - pred.mean() - (target - target.mean())
    return r * r, 2 * r


def half(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, gradient = centred(pred, target)
    return value, gradient / 2


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("n", "how"), [(200, "every coordinate of the batch, one by one"), (2000, "24 random directions")]
)
@pytest.mark.slow
def test_a_batch_is_checked_as_one_and_says_how(declared, n, how) -> None:
    pred, target = np.random.default_rng(2).normal(size=(2, n))
    right, wrong = (loss(batch_coupled=True)(f) if declared else f for f in (centred, half))
    found = lossctl.gradcheck(right, pred, target)
    assert found, repr(found)
    assert (found.method, found.samples) == (how, n)
    found = lossctl.gradcheck(wrong, pred, target)
    assert not found
    assert found.hint == "given ÷ numeric is 0.5 at every sample: a factor of 2 is missing"


def test_a_batch_whose_predictions_are_all_the_same_is_noticed() -> None:
    """As in the first round of boosting: moving one sample to the place of another moves nothing."""
    found = lossctl.gradcheck(centred, np.full(50, 0.5), TARGET[:50])
    assert found
    assert found.method


def test_a_first_sample_that_does_not_count_does_not_hide_that_samples_depend_on_each_other() -> None:
    """As in a mean of the labels that are not ignored."""

    def kernel(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counts = target >= 0
        r = np.where(counts, pred - target, 0.0)
        return np.full(len(pred), (r * r).mean() / len(pred)), 2.0 * r / len(pred)

    pred, target = np.random.default_rng(0).normal(size=(2, 60))
    assert lossctl.gradcheck(kernel, pred, np.where(np.arange(60) % 3, np.abs(target), -1.0))


@pytest.mark.slow
def test_a_nan_somewhere_does_not_hide_that_samples_depend_on_each_other() -> None:
    def some_nan(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = centred(pred, target)
        return np.where(np.arange(len(pred)) == 3, np.nan, value), gradient

    assert lossctl.gradcheck(some_nan, PRED, TARGET).method


@pytest.mark.slow
def test_one_wrong_element_of_a_batch_is_seen_among_the_others() -> None:
    def one_off(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = centred(pred, target)
        gradient[17] += 0.01
        return value, gradient

    found = lossctl.gradcheck(one_off, PRED, TARGET)
    assert np.flatnonzero(found.verdict[:, 0] == Verdict.WRONG).tolist() == [17]
    pred, target = np.random.default_rng(3).normal(size=(2, 5000))
    found = lossctl.gradcheck(one_off, pred, target)
    assert not found
    assert "direction " in repr(found)


@pytest.mark.parametrize("n", [100, 2000])
@pytest.mark.slow
def test_a_batch_of_float32_gradients_is_judged_as_float32(n) -> None:
    pred, target = np.random.default_rng(4).normal(size=(2, n))
    given = centred(pred, target)[1].astype(np.float32)
    batch = loss(batch_coupled=True)(centred)
    assert lossctl.gradcheck(batch, pred, target, given)
    assert not lossctl.gradcheck(batch, pred, target, given * np.float32(1.001))
    half_precise = given.astype(np.float16)
    assert lossctl.gradcheck(batch, pred, target, half_precise)
    assert lossctl.gradcheck(batch, pred, target, half_precise.astype(float))  # its values show the precision
    assert not lossctl.gradcheck(batch, pred, target, half_precise * np.float16(1.5))


def test_a_float32_gradient_may_have_lost_what_float32_cannot_hold() -> None:
    """Of a row that is certain to 1e-6, p − 1 in float32 has one digit; it is right as float32, and not as float64."""
    z = LOGITS * 1.0
    z[::3, 2] += 16.0
    y = np.where(np.arange(N) % 3 == 0, 2, LABELS)
    given = softmax(z.astype(np.float32))
    given[np.arange(N), y] -= 1
    assert given.dtype == np.float32
    assert lossctl.gradcheck(CE, z, y, given)
    assert lossctl.gradcheck(CE, z, y, given.astype(float))  # the values show the precision
    assert not lossctl.gradcheck(CE, z, y, given * np.float32(1.001))
    half_precise = given.astype(np.float16)
    assert lossctl.gradcheck(CE, z, y, half_precise)
    assert not lossctl.gradcheck(CE, z, y, half_precise * np.float16(1.1))


# --- domains ---


def guarded(kind: Any, f: Callable[..., Any], inside: Callable[[np.ndarray], bool], *, coupled: bool = False) -> Any:
    """A loss that refuses predictions outside its domain."""

    def kernel(pred, target: Real) -> Any:
        assert inside(pred), f"called at {pred.min()} … {pred.max()}"
        with np.errstate(all="ignore"):
            return f(pred, target)

    kernel.__annotations__["pred"] = kind
    return loss(batch_coupled=coupled)(kernel)


def log_loss(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -np.log(p), -1 / p


def test_an_open_edge_is_never_touched() -> None:
    """Powers of two are whole steps away from 0, which does not belong to the domain."""
    bound = guarded(Positive, lambda x, _t: (1e14 + x - np.log(x), 1 - 1 / x), lambda x: (x > 0).all())
    x = 2.0 ** np.arange(-60.0, 20.0)
    assert not lossctl.gradcheck(bound, x, np.zeros(len(x))).counts["wrong"]
    assert not lossctl.gradcheck(bound).counts["wrong"]


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("n", [50, 1000])
@pytest.mark.slow
def test_probabilities_stay_probabilities(coupled, n) -> None:
    def inside(p: np.ndarray) -> bool:
        return bool(((p >= 0) & (p <= 1)).all())

    bound = guarded(Probability, log_loss, inside, coupled=coupled)
    p = np.concatenate([10.0 ** np.linspace(-12, -0.1, n // 2), 1 - 10.0 ** np.linspace(-12, -1, n // 2), [1.0]])
    found = lossctl.gradcheck(bound, p, np.zeros(len(p)))
    assert not found.counts["wrong"], repr(found)
    if coupled:
        assert found.method
        assert found
        wrong = guarded(Probability, lambda p, _t: (-np.log(p), -1.01 / p), inside, coupled=True)
        assert not lossctl.gradcheck(wrong, p, np.zeros(len(p)))


def test_rows_of_probabilities_are_moved_off_the_simplex_but_not_out_of_the_interval() -> None:
    def entropy(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (p * np.log(np.where(p > 0, p, 1))).sum(axis=1), np.log(p) + 1

    bound = guarded(Probabilities, entropy, lambda p: bool(((p >= 0) & (p <= 1)).all()))
    assert not lossctl.gradcheck(bound).counts["wrong"]


# --- drawn points ---


@pytest.mark.parametrize(
    "spec", ["huber:delta=1e-6", "huber:delta=1e6", "pseudo_huber:delta=1e-6", "hinge:margin=1e-6"]
)
def test_parameters_far_from_1_do_not_make_points_that_cannot_be_resolved(spec) -> None:
    """A mark a millionth from a target of a million is between two doubles: there are no points beside it."""
    for seed in range(5):
        found = lossctl.gradcheck(spec, seed=seed)
        assert found
        assert not found.counts["unresolved"]


# --- one's own loss ---


def test_a_function_needs_no_data_and_its_points_are_those_of_the_seed() -> None:
    def square(pred, target):
        return (pred - target) ** 2, 2 * (pred - target)

    first, again, other = (lossctl.gradcheck(square, seed=seed, samples=123) for seed in (5, 5, 6))
    assert first
    assert first.checked == 123
    np.testing.assert_array_equal(first.given, again.given)
    np.testing.assert_array_equal(first.numeric, again.numeric)
    assert not np.array_equal(first.given, other.given)


def test_points_crowd_the_kinks() -> None:
    """Of 2000 points of mae some lie on the kink, and some so near that only the smallest steps see the side."""
    found = lossctl.gradcheck("mae")
    assert found.counts["kink"] > 50
    sides = lossctl.gradcheck(lambda pred, target: (np.abs(pred - target), np.where(pred > target, 1.0, -1.0)))
    assert sides.counts["kink"] > 50
    assert not lossctl.gradcheck(lambda pred, target: (np.abs(pred - target), 0 * pred + 1.0))


def test_a_loss_that_is_nan_does_not_pass() -> None:
    found = lossctl.gradcheck(lambda pred, _target: (pred * np.nan, 2 * pred))
    assert not found
    assert found.counts["unresolved"] == found.checked


def test_a_loss_computed_in_float32_passes_with_its_own_noise_measured() -> None:
    def narrow(pred, target):
        r = (pred - target).astype(np.float32)
        return 0.5 * r * r, r

    assert lossctl.gradcheck(narrow)
    assert lossctl.gradcheck(narrow, PRED, TARGET)
    assert not lossctl.gradcheck(narrow, PRED, TARGET, grad=1.001 * R)
    # On the plateaus of float32 every difference is 0, and so is this gradient.
    assert not lossctl.gradcheck(narrow, PRED, TARGET, grad=0 * R)


def test_what_a_loss_takes_besides_is_drawn_or_given() -> None:
    def scaled(pred, target, scale):
        return scale * (pred - target) ** 2, 2 * scale * (pred - target)

    assert lossctl.gradcheck(scaled)
    assert lossctl.gradcheck(scaled, PRED, TARGET, inputs={"scale": np.full(N, 3.0)})
    assert not lossctl.gradcheck(scaled, PRED, TARGET, 2 * R, inputs={"scale": np.full(N, 3.0)})
    with pytest.raises(UsageError, match="scale"):
        lossctl.gradcheck(scaled, PRED, TARGET)


def test_the_finish_of_a_loss_is_checked_as_a_function_of_one_number() -> None:
    rmse = lossctl.get_loss("rmse")
    assert rmse.finish is not None
    found = lossctl.gradcheck(rmse, samples=100)
    assert found
    assert found.checked == 300  # and 200 means
    wrong = replace(rmse, finish=MeanTransform(math.sqrt, lambda mean: 1 / math.sqrt(mean), per_sample="r²"))
    found = lossctl.gradcheck(wrong, samples=100)
    assert not found
    assert found.hint == "the derivative of its finish is wrong"


# --- reductions and weights ---


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


@pytest.mark.parametrize("spec", ["mse", "rmse", CE])
def test_a_mean_that_is_taken_for_each_sample_is_named(spec) -> None:
    arrays = (LOGITS, LABELS) if spec == CE else (PRED, TARGET)
    given = lossctl.get_loss(spec).gradient(*arrays)
    assert lossctl.gradcheck(spec, *arrays, given)
    assert "1/n: it is the gradient of the mean over n = 300" in str(hint(spec, *arrays, given / N))
    if spec != "rmse":
        assert "n = 300: it was multiplied" in str(hint(spec, *arrays, given, reduction="mean"))


def test_forgotten_weights_are_wrong() -> None:
    weight = np.where(np.arange(N) % 3 == 0, 2.0, 1.0)
    assert not lossctl.gradcheck("mse", PRED, TARGET, 2 * R, weight=weight, reduction="sum")
    assert lossctl.gradcheck("mse", PRED, TARGET, 2 * R * weight, weight=weight, reduction="sum")
    assert lossctl.gradcheck("mse", PRED, TARGET, 2 * R, weight=weight)


def test_samples_of_weight_0_are_not_looked_at() -> None:
    weight = (np.arange(N) >= 10) * 1.0
    given = np.where(weight > 0, 2 * R, 99.0)
    found = lossctl.gradcheck("mse", PRED, TARGET, given, weight=weight, reduction="sum")
    assert found
    assert found.samples == N - 10


def test_several_columns_are_so_many_elements() -> None:
    pred, target = PRED.reshape(100, 3), TARGET.reshape(100, 3)
    assert lossctl.gradcheck("mse", pred, target, 2 * (pred - target))
    assert lossctl.gradcheck("mse", pred, target, 2 * (pred - target) / N, reduction="mean")


# --- results ---


def test_results_are_arrays_in_the_order_of_samples() -> None:
    given = lossctl.get_loss(CE).gradient(LOGITS, LABELS)
    given[7, 2] += 1e-3
    given[200, 0] = np.nan
    found = lossctl.gradcheck(CE, LOGITS, LABELS, given)
    for array in (found.verdict, found.numeric, found.error, found.given):
        assert array.shape == (N, K)
    assert np.argwhere(found.verdict == Verdict.WRONG).tolist() == [[7, 2], [200, 0]]
    np.testing.assert_allclose(found.numeric, lossctl.get_loss(CE).gradient(LOGITS, LABELS), atol=1e-7)
    assert (found.error < 1e-6).all()
    assert found.worst_row == 200
    assert [(c.row, c.index) for c in found.worst_coordinates(5)] == [(200, 0), (7, 2)]


@pytest.mark.parametrize("threads", [1, 4])
def test_blocks_and_threads_change_nothing(threads, monkeypatch) -> None:
    given = 2 * R * np.where(np.arange(N) == 123, 1.01, 1.0)
    whole = lossctl.gradcheck("mse", PRED, TARGET, given)
    monkeypatch.setattr(run, "BLOCK", 16)
    monkeypatch.setattr(run, "TASK_BLOCKS", 2)
    parts = lossctl.gradcheck("mse", PRED, TARGET, given, threads=threads)
    assert repr(parts) == repr(whole)
    assert whole.worst_row == parts.worst_row == 123
    np.testing.assert_array_equal(parts.verdict, whole.verdict)
    np.testing.assert_array_equal(parts.numeric, whole.numeric)


def test_one_wrong_sample_of_a_hundred_thousand_is_named() -> None:
    pred, target = np.random.default_rng(5).normal(size=(2, 100_000))
    given = 2 * (pred - target)
    given[77_777] *= 1 + 1e-4
    found = lossctl.gradcheck("mse", pred, target, given)
    assert (found.counts["wrong"], found.worst_row) == (1, 77_777)
    assert "sample 77777: given" in repr(found)


def test_a_failing_assertion_reads_well() -> None:
    given = np.array([[0.5, -0.5, 0.0], [0.1, 0.2, -0.3]])
    text = repr(lossctl.gradcheck(CE, [[0.0, 0.0, -50.0], [0.0, 0.0, 0.0]], [1, 2], given))
    assert re.sub(r"± \S+", "± …", text) == (
        f"gradient check of {CE}: FAIL (3 ok, 3 wrong of 6 coordinates)\n"
        "  sample 1 [2]: given -0.3, numeric -0.666667 ± …\n"
        "  sample 1 [0]: given 0.1, numeric 0.333333 ± …\n"
        "  sample 1 [1]: given 0.2, numeric 0.333333 ± …"
    )


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"grad": np.zeros((N, 2))}, DataError, r"grad has shape \(n, 2\), pred \(n,\)"),
        ({"grad": np.zeros(N - 1)}, DataError, "pred has 300 rows, given gradient has 299 rows"),
        ({"grad": lambda a, _b: a[:5]}, DataError, r"returned shape \(5,\) for predictions of shape \(300,\)"),
        ({"grad": lambda _a, _b: None}, DataError, "returned nothing"),
        ({"grad": lambda _a, _b: "text"}, DataError, "a value of type str"),
        ({"grad": lambda _a, _b: 1 / 0}, UsageError, "ZeroDivisionError"),
        ({"grad": ["a"] * N}, DataError, "grad"),
        ({"reduction": "total"}, UsageError, "reduction 'total'"),
        ({"signature": "y,x"}, UsageError, "signature 'y,x'"),
        ({"wrt": "x"}, UsageError, "wrt 'x'"),
        ({"wrt": "logits"}, UsageError, "twin"),
        ({"rtol": 0.0}, UsageError, "rtol 0.0: between 0 and 1"),
        ({"rtol": math.nan}, UsageError, "rtol nan: between 0 and 1"),
        ({"samples": 0}, UsageError, "samples 0: at least 1"),
        ({"seed": -1}, UsageError, "seed -1: at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, words) -> None:
    with pytest.raises(error, match=words):
        lossctl.gradcheck("mse", PRED, TARGET, **options)


def test_a_gradient_without_its_points_and_points_without_a_target_are_refused() -> None:
    with pytest.raises(UsageError, match="needs the predictions that it was computed at"):
        lossctl.gradcheck("mse", grad=R)
    with pytest.raises(UsageError, match="mse needs target"):
        lossctl.gradcheck("mse", PRED)
    with pytest.raises(UsageError, match="gives no gradient to check"):
        lossctl.gradcheck(lambda pred, target: (pred - target) ** 2)
    with pytest.raises(DataError, match="return one loss per sample"):
        lossctl.gradcheck(lambda pred, target: (((pred - target) ** 2).mean(), 2 * (pred - target)))


# --- the commands ---


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, values in (("p", PRED), ("t", TARGET), ("z", LOGITS), ("y", LABELS), ("w", np.abs(PRED))):
        np.save(tmp_path / f"{name}.npy", values)
    return tmp_path


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
    assert run("swapped", "--signature", "pred,target") == 1
    assert run("swapped", "--signature", "target,pred") == 0
    assert run("swapped") == 0
    assert run("boost", "--signature", "pred,dataset") == 0
    assert run("boost") == 0
    assert run("fails") == 2
    assert run("nothing") == 2


@pytest.mark.parametrize("form", ["%.4f", "%.5g", "%.3e"])
def test_text_is_judged_by_the_digits_that_were_written(form: str, tmp_path: Path) -> None:
    for name, values in (("p", PRED), ("t", TARGET), ("g", MSE), ("b", MSE * 1.01)):
        np.savetxt(tmp_path / f"{name}.csv", values, fmt="%.17g" if name in "pt" else form)
    files = ["gradcheck", "mse", f"{tmp_path}/p.csv", f"{tmp_path}/t.csv", "--grad"]
    assert main([*files, f"{tmp_path}/g.csv"]) == 0
    assert main([*files, f"{tmp_path}/b.csv"]) == 1


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_what_grad_writes_gradcheck_takes(files: Path, reduction: str) -> None:
    for name, pred, target in (("huber", "p", "t"), ("ce", "z", "y")):
        inputs = [name, f"{files}/{pred}.npy", f"{files}/{target}.npy", "-w", f"{files}/w.npy"]
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


@pytest.mark.slow
def test_every_loss_passes_at_drawn_points(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradcheck", "--samples", "500", "-f", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [c["loss"] for c in checks] == lossctl.list_losses()
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
        (["mse", "--grad", "g.npy"], "add PREDS and TARGETS"),
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
