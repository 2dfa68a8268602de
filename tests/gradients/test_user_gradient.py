"""Gradient functions and objectives as people write them: arguments, weights, layouts, results, errors."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl import Real
from lossctl.cli.app import main
from lossctl.core.user_functions import load_function
from lossctl.errors import DataError, UsageError

RNG = np.random.default_rng(0)
N, K = 60, 4
PRED, TARGET = RNG.normal(size=(2, N))
WEIGHT = RNG.uniform(0.5, 2.0, N)
LOGITS, LABELS = 2 * RNG.normal(size=(N, K)), RNG.integers(0, K, N)
ONES = np.ones(N)
CE = "sparse_softmax_cross_entropy"


def check(function, loss="mse", pred=PRED, target=TARGET, **options):
    return lossctl.gradcheck(loss, pred, target, function, **options)


# --- arguments ---


def keras(y_true, y_pred):
    return 2 * (y_pred - y_true)


def labels_first(labels, preds):
    return 2 * (preds - labels)


def xgboost(predt, dtrain):
    return 2 * (predt - dtrain.get_label()), np.full_like(predt, 2.0)


def lightgbm(preds, train_data):
    return 2 * (preds - train_data.get_field("label")), np.full_like(preds, 2.0)


def target_unknown(t, y_hat):
    return 2 * (y_hat - t)


def nameless_data(a, b):
    return 2 * (a - b.get_label())


class Instance:
    def __call__(self, y_true, y_pred, *, scale=2.0):
        return scale * (y_pred - y_true)


def with_factor(y_true, y_pred, factor):
    return factor * (y_pred - y_true)


def variable(*args):
    return 2 * (args[0] - args[1])


@pytest.mark.parametrize(
    "function",
    [
        *(keras, labels_first, xgboost, lightgbm, target_unknown, nameless_data, Instance, Instance(), variable),
        partial(with_factor, factor=2.0),
    ],
)
def test_arguments_are_bound_by_name(function) -> None:
    assert check(function)
    assert lossctl.gradcheck("mse", grad=function)


def test_names_that_say_nothing_are_told_where_the_gradient_is_wrong() -> None:
    def swapped(a, b):
        return 2 * (b - a)

    found = check(swapped)
    assert not found
    assert found.notes[-1].startswith("its arguments (a, b) were taken as (pred, target)")
    assert not check(lambda a, b: 2 * (a - b)).notes


def test_what_takes_other_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match=r"with_factor: takes \(y_true, y_pred, factor\); a gradient function takes"):
        check(with_factor)
    with pytest.raises(UsageError, match=r"takes \(pred\)"):
        check(lambda pred: 2 * pred)


def test_further_inputs_are_bound_by_name() -> None:
    def scaled(pred: Real, target: Real, scale: Real):
        return scale * (pred - target) ** 2

    def gradient(scale, pred, target):
        return 2 * scale * (pred - target)

    def last(pred, target, s):
        return 2 * s * (pred - target)

    inputs = {"scale": WEIGHT}
    assert check(last, scaled, inputs=inputs)
    with pytest.raises(UsageError, match="takes"):
        check(lambda pred, target, s, q: pred, scaled, inputs=inputs)


# --- weights ---


def weighted(pred, data):
    w = data.get_weight()
    w = np.ones(len(pred)) if w is None or not len(w) else w
    return 2 * w * (pred - data.get_label()), 2 * w


def weighted_none(pred, data):  # as LightGBM without weights
    w = data.get_weight()
    gradient = 2 * (pred - data.get_label())
    return (gradient, 2 + 0 * pred) if w is None else (gradient * w, 2 * w)


def field(pred, data):
    w = data.get_field("weight")
    assert data.get_field("group") is None
    return 2 * (pred - data.get_field("label")) * (1 if w is None or not len(w) else w)


def three(y_true, y_pred, weight):
    gradient = 2 * (y_pred - y_true)
    return gradient if weight is None else gradient * weight


def four(y_true, y_pred, weight, group):
    assert group is None
    return three(y_true, y_pred, weight)


def optional(y_true, y_pred, sample_weight=None):
    return three(y_true, y_pred, sample_weight)


@pytest.mark.parametrize("function", [weighted, weighted_none, field, three, four, optional])
def test_weights_reach_an_objective_and_are_divided_out(function) -> None:
    for weight in (None, WEIGHT, ONES, np.where(PRED > 0, WEIGHT, 0.0)):
        found = check(function, weight=weight)
        assert found
        assert not found.notes


def test_ignored_weights_are_told() -> None:
    found = check(xgboost, weight=WEIGHT)
    assert found
    assert found.notes == ("the weights were passed and ignored: multiply gradient and second derivative by them",)
    assert not check(keras, weight=WEIGHT).notes  # they were not passed


def test_wrong_weights_are_caught() -> None:
    assert not check(lambda y_true, y_pred, weight: three(y_true, y_pred, weight**2), weight=WEIGHT)
    assert not check(lambda pred, data: (weighted(pred, data)[0], np.full(N, 2.0)), weight=WEIGHT)
    assert not check(lambda pred, data: (2 * (pred - data.get_label()), weighted(pred, data)[1]), weight=WEIGHT)


# --- several classes ---


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def rows(preds, data):
    labels, p = data.get_label().astype(int), softmax(preds)
    gradient = p.copy()
    gradient[np.arange(len(p)), labels] -= 1
    return gradient, p * (1 - p)


def flat_rows(preds, data):
    return tuple(a.reshape(-1, 1) for a in rows(preds, data))


def by_class(preds, data):
    return tuple(a.ravel(order="F") for a in rows(preds.reshape(-1, K, order="F"), data))


def by_class_transposed(preds, data):
    return tuple(a.T.reshape(-1) for a in rows(preds.reshape(K, -1).T, data))


def by_sample(preds, data):
    return tuple(a.ravel() for a in rows(preds.reshape(len(data.get_label()), -1), data))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (rows, ""),
        (flat_rows, "flat, sample by sample"),
        (by_sample, "flat, sample by sample"),
        (by_class, "flat, class by class"),
        (by_class_transposed, "flat, class by class"),
    ],
)
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.slow
def test_the_layout_of_several_classes_is_recognised_and_told(function, words, weight) -> None:
    def with_weights(preds, data):
        return function(preds, data)

    found = check(with_weights, CE, LOGITS, LABELS, weight=weight)
    assert found
    assert any(words in note for note in found.notes) or not words
    wrong = check(lambda preds, data: tuple(-a for a in function(preds, data)), CE, LOGITS, LABELS)
    assert wrong.hint is not None
    assert "sign" in wrong.hint


def test_labels_are_whole_numbers_in_arrays() -> None:
    def by_index(logits, labels):
        p = softmax(logits)
        p[np.arange(len(p)), labels] -= 1
        return p

    assert check(by_index, CE, LOGITS, LABELS)


def test_a_transposed_result_is_wrong() -> None:
    found = check(lambda preds, data: rows(preds, data)[0].T, CE, LOGITS, LABELS)
    assert not found
    assert found.hint == f"given is transposed: read as ({K}, {N}) it is right"


# --- CatBoost ---


class Logloss:
    def calc_ders_range(self, approxes, targets, weights):
        pairs = []
        for i in range(len(targets)):
            p = 1 / (1 + np.exp(-approxes[i]))
            w = 1.0 if weights is None else weights[i]
            pairs.append(((targets[i] - p) * w, -p * (1 - p) * w))
        return pairs


class MultiClass:
    def calc_ders_multi(self, approx, target, weight):
        p = softmax(approx[None])[0]
        return list(((np.arange(K) == target) - p) * weight), (np.outer(p, p) - np.diag(p)) * weight


class Minimises(Logloss):
    def calc_ders_range(self, approxes, targets, weights):
        return [(-a, -b) for a, b in super().calc_ders_range(approxes, targets, weights)]


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_an_objective_of_catboost_maximises(weight) -> None:
    target = (TARGET > 0) * 1.0
    for objective in (Logloss, Logloss()):
        found = check(objective, "bce_with_logits", PRED, target, weight=weight)
        assert found
        assert found.second is not None
        assert found.notes == ("Logloss: CatBoost maximises: the signs of its derivatives were turned",)
    assert check(MultiClass, CE, LOGITS, LABELS, weight=weight)
    wrong = check(Minimises(), "bce_with_logits", PRED, target, weight=weight)
    assert wrong.hint is not None
    assert "sign" in wrong.hint


def test_an_objective_of_catboost_that_does_not_fit_is_refused() -> None:
    class Short(Logloss):
        def calc_ders_range(self, approxes, targets, weights):
            return super().calc_ders_range(approxes, targets, weights)[1:]

    class Words(Logloss):
        def calc_ders_range(self, approxes, targets, weights):
            return "text"

    class Needs(Logloss):
        def __init__(self, alpha):
            self.alpha = alpha

    with pytest.raises(DataError, match="has no method calc_ders_multi"):
        check(Logloss(), CE, LOGITS, LABELS)
    for objective in (Short, Words):
        with pytest.raises(DataError, match=r"return 60 pairs \(der1, der2\)"):
            check(objective(), "bce_with_logits", PRED, ONES)
    with pytest.raises(UsageError, match="class Needs needs arguments"):
        check(Needs, "bce_with_logits", PRED, ONES)


# --- results ---


@pytest.mark.parametrize(
    "result",
    [
        lambda g, h: (g, h),
        lambda g, h: [g, h],
        lambda g, h: np.stack([g, h]),
        lambda g, h: (list(g), list(h)),
        lambda g, h: (g.reshape(-1, 1), h.reshape(1, -1)),
        lambda g, h: (g, None),
        lambda g, h: g,
        lambda g, h: list(g),
        lambda g, h: tuple(g),
    ],
)
def test_forms_of_a_result(result) -> None:
    assert check(lambda pred, target: result(2 * (pred - target), 2 + 0 * pred))
    two = check(lambda pred, target: result(2 * (pred - target), 2 + 0 * pred), pred=[1.0, 2.0], target=[0.5, 3.0])
    assert two


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned nothing: return the gradient, or"),
        ({"grad": PRED}, "returned a dict"),
        ((PRED, PRED, PRED), "returned 3 values"),
        ((), "returned 0 values"),
        (1.0, "returned one number for predictions"),
        ((PRED, 1.0), "the second derivative: returned one number"),
        (PRED[:5], r"returned shape \(5,\) for predictions of shape \(60,\)"),
        ((PRED, PRED[:5]), r"the second derivative: returned shape \(5,\)"),
        (np.stack([PRED, PRED], axis=1), r"shape \(60, 2\)"),
        (PRED + 1j, "of complex128"),
        (np.ma.masked_less(PRED, 0), "masked"),
        ("text", "of type str"),
        ((PRED, "text"), "the second derivative is a value of type str"),
        ([[1.0], [2.0, 3.0], [4.0]], "returned 3 values"),
        (object(), "object"),
    ],
)
def test_results_that_do_not_fit_are_refused_in_one_sentence(result, words) -> None:
    def returns(pred, target):
        return result

    with pytest.raises(DataError, match=f"^returns: .*{words}") as raised:
        check(returns)
    assert "\n" not in str(raised.value)


def test_a_result_is_copied_and_changed_inputs_are_told() -> None:
    buffer = np.empty(N)

    def reuses(pred, target):
        np.subtract(pred, target, out=buffer)
        return np.multiply(buffer, 2, out=buffer)

    assert check(reuses)

    def vandal(pred, target):
        pred -= target
        pred *= 2
        return pred

    assert check(vandal).notes == ("vandal changes its input pred in place; it got a copy",)

    def clips_label(pred, dtrain):
        label = dtrain.get_label()
        gradient = 2 * (pred - label)
        label[label < 0] = 0
        return gradient

    assert check(clips_label).notes == ("clips_label changes its input target in place; it got a copy",)


def test_a_random_function_is_refused() -> None:
    rng = np.random.default_rng(0)

    def noisy(pred, target):
        return 2 * (pred - target) + rng.normal(size=len(pred))

    with pytest.raises(UsageError, match="noisy: its gradient differs between two calls at the same point"):
        check(noisy)


def test_an_exception_has_the_file_and_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(
        "def inner(a):\n    return a['no']\n\n"
        "def fails(pred, target):\n    return inner({})\n\n"
        "class Objective:\n    def calc_ders_range(self, approxes, targets, weights):\n        return 1 / 0\n\n"
        "instance = Objective()\n"
        "def weighs(pred, data):\n    raise ValueError('not this')\n"
    )
    for name, line, words in (
        ("fails", 2, "KeyError: 'no'"),
        ("Objective", 9, "ZeroDivisionError"),
        ("instance", 9, "ZeroDivisionError"),
        ("weighs", 13, "ValueError: not this"),
    ):
        assert main(["gradcheck", "mse", "--grad", f"{tmp_path}/own.py:{name}"]) == 2
        assert f"own.py:{line}: {name}: {words}" in capsys.readouterr().err.replace("\n", "")


def test_a_function_that_returns_the_loss_first_is_told() -> None:
    def both(pred, target):
        return (pred - target) ** 2, 2 * (pred - target)

    result = lossctl.gradcheck("mse", grad=both)
    assert not result
    assert "both returns the loss first, then a gradient: give it as LOSS, without --grad" in result.notes
    assert not any("loss first" in note for note in lossctl.gradcheck("mse", grad=lambda p, t: 3 * (p - t)).notes)


def test_a_loss_in_the_place_of_a_gradient_function_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("import lossctl\n@lossctl.loss\ndef f(pred, target):\n    return pred, pred\n")
    with pytest.raises(UsageError, match="f is a loss; give it as LOSS"):
        load_function(f"{tmp_path}/f.py:f")
