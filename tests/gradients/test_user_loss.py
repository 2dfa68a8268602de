"""Losses as people write them: each is taken, or answered by one sentence."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest

import lossctl
from lossctl.core.array_kinds import Vector
from lossctl.errors import DataError, UsageError

RNG = np.random.default_rng(0)
PRED, TARGET = RNG.normal(size=(2, 200))


def mse(pred, target):
    r = pred - target
    return r * r, 2 * r


def huber(pred, target, delta):
    r = pred - target
    near = np.abs(r) < delta
    return np.where(near, r * r / 2, delta * (np.abs(r) - delta / 2)), np.clip(r, -delta, delta)


class Mse:
    def __call__(self, pred, target):
        return mse(pred, target)


@lossctl.loss
def without_parentheses(pred, target):
    return mse(pred, target)


def changes_its_input(pred, target):
    pred -= target
    return pred**2, 2 * pred


def keras(y_true, y_pred):
    return (y_pred - y_true) ** 2, 2 * (y_pred - y_true)


def weighted_by_grad(pred, target, grad):
    return grad * (pred - target) ** 2, 2 * grad * (pred - target)


class Layer:
    """Keeps what its gradient needs until the next call, as layers of small frameworks do."""

    def __call__(self, pred, target):
        self.difference = pred - target
        return self.difference**2, self.backward

    def backward(self):
        return 2 * self.difference


def columns(pred, target):
    return tuple(result[:, None] for result in mse(pred, target))


RIGHT = [mse, partial(huber, delta=1.5), Mse(), Mse, without_parentheses, changes_its_input, keras, weighted_by_grad]
RIGHT += [Layer, columns, np.vectorize(keras)]


@pytest.mark.parametrize("loss", RIGHT)
def test_a_right_one_passes_whatever_its_form(loss) -> None:
    assert lossctl.gradcheck(loss)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda pred, target: (pred, target, pred), "returned 3 values"),
        (lambda pred, target: {"loss": pred}, "returned a dict"),
        (lambda pred, target: None, "returned nothing"),
        (
            lambda pred, target: (((pred - target) ** 2).mean(), pred),
            "return one loss per sample, .*--reduction mean",
        ),
        (lambda pred, target: ((pred - target) ** 2 * np.random.default_rng().uniform(), pred), "two calls"),
        (lambda pred, target: (np.ma.masked_array(pred, pred > 0), pred), "masked"),
    ],
)
def test_others_are_answered_by_one_sentence(loss, words) -> None:
    with pytest.raises((DataError, UsageError), match=words):
        lossctl.gradcheck(loss, PRED, TARGET)


class Lagging(Layer):
    """Returns the gradient of the call before, which is the same at the same points."""

    def __call__(self, pred, target):
        lagging = (
            self.difference if hasattr(self, "difference") and len(self.difference) == len(pred) else pred - target
        )
        self.difference = pred - target
        return self.difference**2, 2 * lagging


def test_a_gradient_of_the_call_before_is_found_by_a_call_at_other_points() -> None:
    with pytest.raises(UsageError, match="its gradient differs between two calls"):
        lossctl.gradcheck(Lagging, PRED, TARGET)


@pytest.mark.slow
def test_threads_call_a_function_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 50)
    buffer, layer = np.empty(50), Layer()

    def reuses(pred, target):
        np.subtract(pred, target, out=buffer)
        time.sleep(1e-4)  # another thread would run now
        return buffer**2, 2 * buffer

    def derivative(pred, target):
        reuses(pred, target)
        np.multiply(buffer, 2, out=buffer)
        return buffer

    def slow_layer(pred, target):
        value, backward = layer(pred, target)
        time.sleep(1e-4)
        return value, backward

    pred, target = (np.tile(a, 4) for a in (PRED, TARGET))
    assert lossctl.gradcheck("mse", pred, target, derivative, threads=4)
    for loss in (reuses, slow_layer):
        assert float(lossctl.compute(loss, pred, target, threads=4)) == float(lossctl.compute("mse", pred, target))
        assert lossctl.gradcheck(loss, pred, target, threads=4)


def softmax_brier(z: lossctl.Logits, y: lossctl.Label):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    d = p - np.eye(z.shape[1])[y]
    return (d**2).sum(axis=1), 2 * p * (d - (d * p).sum(axis=1, keepdims=True))


def float32_cross_entropy(z: lossctl.Logits, y: lossctl.Label, *, factor: float = 1.0):
    z = z.astype(np.float32)
    z -= z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    one_hot = np.eye(z.shape[1], dtype=np.float32)[y]
    return -log_p[np.arange(len(z)), y], np.float32(factor) * (np.exp(log_p) - one_hot)


@pytest.mark.slow
def test_saturated_rows_with_few_digits_do_not_fail() -> None:
    z = 8.0 * RNG.normal(size=(300, 4))
    y = np.argmax(z + RNG.gumbel(size=z.shape), axis=1)
    for loss in (softmax_brier, float32_cross_entropy):
        result = lossctl.gradcheck(loss, z, y)
        assert result, result
        assert any("too small against the RMS gradient" in note for note in result.notes)
    assert not lossctl.gradcheck(partial(float32_cross_entropy, factor=0.999), z, y)


@pytest.mark.slow
def test_a_mean_that_has_ties_is_verified_at_drawn_points() -> None:
    def mean_absolute(pred, target, factor=1.0):
        return np.abs(pred - target).mean(), factor * np.sign(pred - target) / len(pred)

    assert lossctl.gradcheck(mean_absolute, reduction="mean")
    assert not lossctl.gradcheck(partial(mean_absolute, factor=2.0), reduction="mean")


def test_rows_for_a_function_without_kinds_are_answered_by_the_annotation() -> None:
    with pytest.raises(DataError, match="annotate the parameters of mse: pred: "):
        lossctl.gradcheck(mse, PRED.reshape(-1, 4), TARGET[:50])


def by_row(pred, target):
    return 1.0 - (2.0 * (pred * target).sum(axis=1) + 1.0) / (pred.sum(axis=1) + target.sum(axis=1) + 1.0)


def by_row_gradient(pred, target):
    total = (pred.sum(axis=1) + target.sum(axis=1) + 1.0)[:, None]
    return -(2.0 * target * total - (2.0 * (pred * target).sum(axis=1) + 1.0)[:, None]) / total**2


def test_a_function_of_rows_without_kinds_is_answered_by_the_annotation() -> None:
    rng = np.random.default_rng(0)
    rows, flags = rng.random((50, 8)), (rng.random((50, 8)) > 0.5) * 1.0
    for call in (lossctl.compute, lossctl.gradcheck, partial(lossctl.gradcheck, grad=by_row_gradient)):
        with pytest.raises(UsageError, match=r"axis 1 is out of bounds.*annotate the parameters: .*lossctl.Vector"):
            call(by_row, rows, flags)

    def annotated(pred: lossctl.Vector, target: lossctl.Vector):
        return by_row(pred, target)

    assert lossctl.gradcheck(annotated, rows, flags, grad=by_row_gradient)
    assert not lossctl.gradcheck(annotated, rows, flags, grad=lambda p, t: 0.9 * by_row_gradient(p, t))


def test_a_changed_input_is_noted() -> None:
    result = lossctl.gradcheck(changes_its_input)
    assert result.notes == ("changes_its_input changes its input pred in place; it got a copy",)
    assert not lossctl.gradcheck(mse).notes


def test_results_in_one_buffer_are_copied() -> None:
    buffer = np.empty(2000)

    def reuses(pred, target, factor=1.0):
        np.square(pred - target, out=buffer[: len(pred)])
        return buffer[: len(pred)], factor * 2 * (pred - target)

    assert lossctl.gradcheck(reuses)
    assert not lossctl.gradcheck(partial(reuses, factor=0.5))


@pytest.mark.parametrize("scale", [2.0**-50, 1.0, 2.0**60])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_unit_of_the_data_changes_no_verdict(scale, factor) -> None:
    def loss(pred, target):
        return (pred - target) ** 2, factor * 2 * (pred - target)

    assert lossctl.gradcheck(loss, scale * PRED, scale * TARGET).passed == (factor == 1.0)


def test_labels_arrive_as_integers() -> None:
    def cross_entropy(z: lossctl.Logits, y: lossctl.Label):
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(z))
        value = -np.log(p[rows, y])
        p[rows, y] -= 1
        return value, p

    assert lossctl.gradcheck(cross_entropy)


def test_labels_may_be_the_classes_of_another_array_than_the_predictions() -> None:
    centres = np.array([0.0, 1.0, 2.0, 3.0, 5.0])

    def to_centre(pred: lossctl.Real, y: lossctl.Label):
        r = pred - centres[y]
        return r * r, 2 * r

    def to_row(pred: Vector, y: lossctl.Label):
        r = pred - centres[y][:, None]
        return (r * r).sum(axis=1), 2 * r

    for loss, pred in ((to_centre, PRED), (to_row, PRED[:, None] * [1.0, 2.0])):
        assert lossctl.gradcheck(loss)
        assert lossctl.gradcheck(loss, pred, np.arange(200) % 5)
        with pytest.raises(DataError, match="label -1 is not a class: classes are 0, 1, 2, …"):
            lossctl.gradcheck(loss, pred, np.full(200, -1))
        with pytest.raises(UsageError, match="has no column for each class"):
            lossctl.compute(loss, pred, np.arange(200) % 5, class_weight=[1, 2, 3, 4, 5])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.slow
def test_a_loss_that_returns_one_number(reduction) -> None:
    def loss(pred, target, factor=1.0):
        r = pred - target
        n = len(r) if reduction == "mean" else 1
        return (r * r).sum() / n, factor * 2 * r / n

    assert lossctl.gradcheck(loss, PRED, TARGET, reduction=reduction)
    assert lossctl.gradcheck(loss, reduction=reduction)
    assert not lossctl.gradcheck(partial(loss, factor=1.01), PRED, TARGET, reduction=reduction)


def test_an_objective_in_the_place_of_a_loss_fails() -> None:
    result = lossctl.gradcheck(lambda pred, target: (pred - target, np.ones(len(pred))))
    assert not result
    assert "looks like (gradient, second derivative)" in result.notes[0]
    # A loss of both signs that falls with the prediction of one class and rises with the other is none.
    assert lossctl.gradcheck(lambda pred, target: (pred * target, target), PRED, TARGET)


def test_a_run_that_verified_nothing_fails() -> None:
    absolute = lossctl.gradcheck(lambda pred, target: (np.abs(pred - target), np.sign(pred - target)), PRED, PRED)
    assert not absolute
    assert "nothing was verified" in absolute.notes[0]
    zero = lossctl.gradcheck(lambda pred, target: (0 * pred, 0 * pred), PRED, TARGET)
    assert zero
    assert "the gradient is 0 at every point" in zero.notes[0]


def test_what_the_user_raises_has_its_file_and_line(tmp_path, capsys, monkeypatch) -> None:
    from lossctl.cli.app import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbour.py").write_text("FACTOR = 2\n")
    (tmp_path / "own.py").write_text(
        "import neighbour\ndef good(pred, target):\n    r = pred - target\n    return r * r, neighbour.FACTOR * r\n"
        "def bad(pred, target):\n    return pred.nothing\n"
    )
    assert main(["gradcheck", "own.py:good", "-q"]) == 0
    capsys.readouterr()
    assert main(["gradcheck", "own.py:bad"]) == 2
    assert capsys.readouterr().err.startswith("lossctl: own.py:6: bad: AttributeError")


def test_residuals_that_the_formula_cannot_see_are_unresolved() -> None:
    def pseudo_huber(pred, target, factor=1.0):
        r = pred - target
        root = np.sqrt(1 + r * r)
        return root - 1, factor * r / root

    result = lossctl.gradcheck(pseudo_huber, 1e-15 * PRED, 1e-15 * TARGET)
    assert not result
    assert result.counts["wrong"] == 0
    assert "too few digits" in result.notes[0]
    assert lossctl.gradcheck(partial(pseudo_huber, factor=2.0), PRED, TARGET).counts["wrong"] == len(PRED)


def test_a_raw_prediction_is_a_prediction() -> None:
    """The order of scikit-learn's compiled losses."""

    def half_square(y_true, raw_prediction):
        return 0.5 * (raw_prediction - y_true) ** 2, raw_prediction - y_true

    assert lossctl.gradcheck(half_square, [1.0, 2.0, 4.0], [0.5, 0.0, 1.0])


def test_a_loss_that_is_nan_is_unresolved_for_this_reason() -> None:
    def divergence(pred: lossctl.Probability, target: lossctl.Probability):
        return target * np.log(target / pred), -target / pred

    found = lossctl.gradcheck(divergence, [0.5, 0.4, 0.3], [0.0, 0.0, 1.0])
    assert not found
    assert "2 coordinates unresolved: the loss is NaN there" in found.notes


@pytest.mark.slow
def test_a_million_samples_cost_fifty_evaluations_each() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(2, 1_000_000))
    rows = []

    def huber(pred: lossctl.Real, target: lossctl.Real):
        rows.append(len(pred))
        r = pred - target
        return np.where(np.abs(r) < 1, 0.5 * r**2, np.abs(r) - 0.5), np.clip(r, -1, 1)

    assert lossctl.gradcheck(huber, x, t)
    assert sum(rows) <= 50 * len(x)
