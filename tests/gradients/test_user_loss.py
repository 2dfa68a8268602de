"""Losses as people write them: each is taken, or answered by one sentence."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import lossctl
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


@pytest.mark.parametrize(
    "loss",
    [mse, partial(huber, delta=1.5), Mse(), Mse, without_parentheses, changes_its_input, keras, weighted_by_grad],
)
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
            "return one loss per sample, or .* --reduction mean",
        ),
        (lambda pred, target: ((pred - target) ** 2 * np.random.default_rng().uniform(), pred), "two calls"),
        (lambda pred, target: (np.ma.masked_array(pred, pred > 0), pred), "masked"),
    ],
)
def test_others_are_answered_by_one_sentence(loss, words) -> None:
    with pytest.raises((DataError, UsageError), match=words):
        lossctl.gradcheck(loss, PRED, TARGET)


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
