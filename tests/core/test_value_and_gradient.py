"""``Loss.value`` and ``Loss.gradient`` take what ``compute`` takes, and errors speak Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl import get_loss

PRED, TARGET = np.array([[1.0, 2.0], [3.0, np.nan]]), np.array([[0.0, 0.0], [1.0, 0.0]])


def test_samples_of_several_elements() -> None:
    """The loss of a sample is the weighted mean of its elements; its gradient has the shape of the predictions."""
    whole = PRED[:1]
    assert get_loss("mse").value(whole, TARGET[:1]).tolist() == [2.5]
    assert get_loss("mse").value(whole, TARGET[:1], weight=[[3.0, 1.0]]).tolist() == [1.75]
    assert get_loss("mse").gradient(whole, TARGET[:1]).tolist() == [[2.0, 4.0]]


def test_elements_that_are_left_out() -> None:
    """A NaN or an ignored label is left out; a sample without an element has a NaN."""
    assert get_loss("mse").value(PRED, TARGET, nan="skip").tolist() == [2.5, 4.0]
    assert get_loss("mse").gradient(PRED, TARGET, nan="skip").tolist() == [[2.0, 4.0], [4.0, 0.0]]
    logits = np.array([[0.0, 0.0], [1.0, 2.0]])
    values = get_loss("ce").value(logits, [1, -100], ignore_index=-100)
    np.testing.assert_array_equal(values, [np.log(2.0), np.nan])
    assert get_loss("ce").gradient(logits, [1, -100], ignore_index=-100)[1].tolist() == [0.0, 0.0]


def test_rows_and_axes_of_classes() -> None:
    """Classes are the last axis, or ``class_axis``; ``normalize`` divides rows by their sums."""
    assert get_loss("scce").value([[1.0, 3.0]], [1], normalize=True) == pytest.approx(-np.log(0.75))
    logits = np.random.default_rng(0).normal(size=(3, 4, 2))
    labels = np.array([[0, 1], [2, 3], [3, 0]])
    last = np.moveaxis(logits, 1, -1)
    np.testing.assert_array_equal(
        get_loss("ce").value(logits, labels, class_axis=1), get_loss("ce").value(last, labels)
    )
    moved = np.moveaxis(get_loss("ce").gradient(last, labels), -1, 1)
    np.testing.assert_array_equal(get_loss("ce").gradient(logits, labels, class_axis=1), moved)


def test_classes_along_the_first_axis() -> None:
    """``class_axis=0`` takes (k, n) and (k, n, m), as ``axis=0`` of optax does."""
    rng = np.random.default_rng(1)
    for shape in ((4, 3), (4, 3, 2)):
        logits, labels = rng.normal(size=shape), rng.integers(0, 4, shape[1:])
        last, ce, soft = np.moveaxis(logits, 0, -1), get_loss("ce"), get_loss("softmax_cross_entropy")
        np.testing.assert_array_equal(ce.value(logits, labels, class_axis=0), ce.value(last, labels))
        slopes = np.moveaxis(ce.gradient(last, labels), -1, 0)
        np.testing.assert_array_equal(ce.gradient(logits, labels, class_axis=0), slopes)
        hot = np.eye(4)[labels]
        value = lossctl.compute("softmax_cross_entropy", logits, np.moveaxis(hot, -1, 0), class_axis=0)
        assert float(value) == pytest.approx(soft.value(last, hot).mean(), rel=1e-15)
    masks, maps = rng.random((2, 3, 4, 4)), rng.integers(0, 2, (3, 4, 4))
    moved = np.moveaxis(masks, 0, 1)
    dice = get_loss("dice")
    np.testing.assert_array_equal(
        dice.gradient(masks, maps, class_axis=0), np.moveaxis(dice.gradient(moved, maps, class_axis=1), 1, 0)
    )


def test_further_inputs_by_name() -> None:
    """``inputs=`` names what else a loss takes, as in ``compute``."""
    loss, arrays = get_loss("gaussian_nll"), ([1.0, 2.0], [0.0, 0.0], [1.0, 4.0])
    (name,) = [i.name for i in loss.inputs[2:]]
    for method in (loss.value, loss.gradient):
        assert method(*arrays[:2], inputs={name: arrays[2]}).tolist() == method(*arrays).tolist()
    for wrong in ({"x": arrays[2]}, {name: arrays[2], "x": [1.0]}, {"target": arrays[2]}):
        with pytest.raises(lossctl.UsageError, match=f"takes 3 inputs .pred, target, {name}., not 2 and"):
            loss.value(*arrays[:2], inputs=wrong)


def test_a_sum_adds_elements_and_the_loss_of_a_sample_is_their_mean() -> None:
    pred, target = np.array([[3.0, 12.0, 0.0], [6.0, 6.0, 6.0], [0.0, 0.0, 6.0]]), np.zeros((3, 3))
    assert float(lossctl.compute("mse", pred, target, reduction="sum")) == 297.0
    assert float(lossctl.compute("mse", pred, target)) == 33.0
    assert lossctl.compute("mse", pred, target, reduction="none").sum() == 99.0


def test_labels() -> None:
    """Targets may be names, or numbers other than those of the loss."""
    assert get_loss("hinge").value([2.0, 2.0], [0, 1], labels=(0, 1)).tolist() == [3.0, 0.0]
    assert float(lossctl.compute("scce", [[0.25, 0.75]], ["dog"], labels=("cat", "dog"))) == pytest.approx(0.2876820724)
    with pytest.raises(lossctl.DataError, match=r"^target\[1\]: 'cow' is none of the labels cat, dog$"):
        lossctl.compute("bce", [0.5, 0.5], ["cat", "cow"], labels=("cat", "dog"))
    with pytest.raises(lossctl.UsageError, match=r"^labels: the targets of mse are not labels$"):
        lossctl.compute("mse", [0.5], ["cat"], labels=("cat", "dog"))


def test_reduction_none() -> None:
    """``compute`` with reduction "none" returns the losses of the samples."""
    assert lossctl.compute("mse", PRED, TARGET, nan="skip", reduction="none").tolist() == [2.5, 4.0]
    assert lossctl.compute("mse", [1.0, 2.0], [0.0, 0.0], reduction="none").tolist() == [1.0, 4.0]


@pytest.mark.parametrize(
    ("loss", "arrays", "options", "message"),
    [
        ("hinge", ([1.0], [0]), {}, "target[0]: 0 is not -1 or +1; for 0/1 or named labels, add labels=(NEG, POS)"),
        (
            "scce",
            ([[1.0, 1.0]], [0]),
            {},
            ": normalize=True divides rows by their sum, sum_tolerance allows for rounding",
        ),
        ("mse", ([np.nan], [0.0]), {}, "; nan='skip' leaves such samples out, nan='propagate' lets them through"),
        (
            "mse",
            ([1.0], [0.0]),
            {"weight": 2.0},
            "weight: a single number; an array with one for each sample is needed",
        ),
        ("mse", ([1.0],), {}, "mse takes 2 inputs (pred, target), not 1"),
        ("mse", ([1.0], [0.0]), {"class_axis": 1}, "class_axis: the inputs of mse have no axis of classes"),
    ],
)
def test_errors_name_keywords(loss: str, arrays: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    """An error says what to write in Python."""
    with pytest.raises(lossctl.LossctlError) as error:
        get_loss(loss).value(*arrays, **options)
    assert str(error.value).endswith(message)
