"""Elements with several axes (images, vectors, lists, sequences), from input arrays to gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lossctl
from lossctl.core.arrays import Array
from lossctl.core.kind import as_elements
from lossctl.core.registry import get_loss
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.errors import DataError, UsageError
from lossctl.gradients.gradient_rows import spool_gradient
from lossctl.io.dataset import from_arrays

RNG = np.random.default_rng(0)
N = 7
MASK, TRUE = RNG.uniform(size=(N, 4, 5)), RNG.integers(0, 2, (N, 4, 5)).astype(float)
CHANCES = RNG.dirichlet(np.ones(3), (N, 4, 5))
LABELS = RNG.integers(0, 3, (N, 4, 5))
FRAMES = np.log(RNG.dirichlet(np.ones(5), (N, 8)))
SYMBOLS = RNG.integers(1, 5, (N, 3))
LENGTHS = {"input_lengths": np.full(N, 8), "target_lengths": RNG.integers(0, 4, N)}


def gradient(loss: str, options: ComputeOptions | None = None, **arrays: Array) -> Array:
    """Return the array that ``lossctl grad`` writes."""
    data = from_arrays(arrays)
    return np.concatenate(
        [
            *spool_gradient(
                data, get_loss(loss), options or ComputeOptions(), "none", workers=ExecutionConfig(1)
            ).chunks()
        ]
    )


@pytest.mark.parametrize("loss", ["dice", "squared_dice", "jaccard", "tversky", "focal_tversky"])
def test_an_image_is_one_sample_whatever_its_axes(loss: str) -> None:
    whole = lossctl.compute(loss, MASK, TRUE)
    flat = lossctl.compute(loss, MASK.reshape(N, -1), TRUE.reshape(N, -1))
    assert whole.count == whole.elements == N
    assert float(whole) == float(flat)
    assert float(lossctl.compute(loss, MASK.reshape(N, 2, 2, 5, 1), TRUE.reshape(N, 2, 2, 5, 1))) == float(whole)


def test_a_large_image_is_one_block_and_not_computed_twice() -> None:
    """A single row of up to 128 pixels is computed as two rows, whose layout is that of a block."""
    seen: list[tuple[int, ...]] = []
    dice = get_loss("dice")

    def spy(pred: Array, target: Array, **params: float) -> tuple[Array, object]:
        seen.append(pred.shape)
        result: tuple[Array, object] = dice.kernel(pred, target, **params)
        return result

    spied = replace(dice, kernel=spy)
    for pixels, shape in ((129, (1, 129)), (128, (2, 128))):
        image = RNG.uniform(size=(1, pixels))
        assert spied.evaluate(image, image)[0] == dice.evaluate(image, image)[0]
        assert seen[-1] == shape


def test_the_gradient_of_an_image_has_its_shape() -> None:
    g = gradient("dice", pred=MASK, target=TRUE)
    assert g.shape == MASK.shape
    np.testing.assert_array_equal(g, get_loss("dice").gradient(MASK, TRUE))
    assert lossctl.gradcheck("dice", MASK, TRUE, g)
    assert not lossctl.gradcheck("dice", MASK, TRUE, g * 1.001)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_the_classes_of_an_image_can_be_along_any_axis(axis: int) -> None:
    """The value does not depend on the class axis, and the gradient has the shape of the predictions."""
    moved = np.moveaxis(CHANCES, -1, axis)
    want = get_loss("lovasz_softmax").value(CHANCES, LABELS).mean()
    assert float(lossctl.compute("lovasz_softmax", moved, LABELS, class_axis=axis)) == pytest.approx(want, rel=1e-15)
    g = gradient("lovasz_softmax", ComputeOptions(class_axis=axis), pred=moved, target=LABELS)
    np.testing.assert_array_equal(np.moveaxis(g, axis, -1), get_loss("lovasz_softmax").gradient(CHANCES, LABELS))


def test_the_gradient_of_pixels_has_its_class_axis_where_the_predictions_have_it() -> None:
    logits = RNG.normal(size=(N, 3, 4, 4))
    g = gradient("ce", ComputeOptions(class_axis=1), pred=logits, target=LABELS[:, :, :4])
    last = gradient("ce", ComputeOptions(class_axis=3), pred=np.moveaxis(logits, 1, -1), target=LABELS[:, :, :4])
    assert g.shape == logits.shape
    np.testing.assert_array_equal(np.moveaxis(g, 1, -1), last)


@pytest.mark.parametrize(
    ("loss", "pred", "target", "message"),
    [
        ("dice", MASK, TRUE.swapaxes(1, 2), "target has 5, 4 pixels a row, pred has 4, 5"),
        ("dice", MASK[:, 0, 0], TRUE[:, 0, 0], r"pred has 1 column, where dice takes shape \(n, pixels...\); a single"),
        ("lovasz_softmax", CHANCES, LABELS[:, 0], r"target has 5 pixels a row, pred has 4, 5"),
        ("lovasz_softmax", CHANCES, np.where(LABELS == 2, 3, LABELS), r"^target\[0, \d+\]: label 3 is not a class"),
        ("lovasz_softmax", CHANCES * 0.5, LABELS, r"^pred\[0\]: the row sums to 0\.[45]"),
        ("lovasz_hinge", MASK, MASK, r"^target\[0, 0\]: .* is not 0 or 1"),
        ("triplet", MASK[:, :, 0], MASK[:, :2, 0], "target has 2 features a row, pred has 4"),
        ("cosine_distance", np.eye(4)[:, 1:], np.ones((4, 3)), r"^pred\[0\]: a vector of zeros has no direction"),
    ],
)
def test_shapes_and_values_that_do_not_fit_are_told(loss: str, pred: Array, target: Array, message: str) -> None:
    negative = {"negative": pred} if loss == "triplet" else None
    axis = -1 if loss == "lovasz_softmax" else None
    with pytest.raises(DataError, match=message):
        lossctl.compute(loss, pred, target, class_axis=axis, inputs=negative)


def test_images_with_classes_want_to_know_which_axis_has_them() -> None:
    with pytest.raises(UsageError, match="class_axis says which axis holds the classes"):
        lossctl.compute("lovasz_softmax", CHANCES, LABELS)


def test_the_target_is_the_input_of_that_name() -> None:
    """margin_ranking takes (x1, x2, target): x1 is pred, x2 another input."""
    loss = get_loss("margin_ranking")
    assert loss.roles == ("pred", "x2", "target")
    assert get_loss("triplet").roles == ("pred", "target", "negative")
    x1, x2, t = RNG.normal(size=N), RNG.normal(size=N), RNG.choice([-1.0, 1.0], N)
    got = float(lossctl.compute("margin_ranking", x1, t, inputs={"x2": x2}))
    assert got == pytest.approx(float(np.maximum(0, -t * (x1 - x2)).mean()), rel=1e-14)


def test_one_symbol_a_sequence_is_a_sequence() -> None:
    one = {"input_lengths": np.full(N, 8), "target_lengths": np.ones(N)}
    assert lossctl.compute("ctc", FRAMES, SYMBOLS[:, :1], inputs=one).count == N


def test_ctc_does_not_look_at_padding() -> None:
    lengths = {"input_lengths": np.array([8, 5, 8, 8, 6, 7, 8]), "target_lengths": np.array([3, 2, 1, 0, 3, 2, 3])}
    want = float(lossctl.compute("ctc", FRAMES, SYMBOLS, inputs=lengths))
    symbols, frames = SYMBOLS.copy(), FRAMES.copy()
    for i in range(N):
        symbols[i, lengths["target_lengths"][i] :] = -1
        frames[i, lengths["input_lengths"][i] :] = 0.0
    assert float(lossctl.compute("ctc", frames, symbols, inputs=lengths)) == want
    g = gradient("ctc", pred=frames, target=symbols, **lengths)
    assert not g[1, 5:].any()
    assert lossctl.gradcheck("ctc", frames, symbols, g, inputs=lengths)


def broken(name: str, at: tuple[int, ...], value: float) -> dict[str, Array]:
    """The inputs of ctc with one number changed."""
    given = {"pred": FRAMES, "target": SYMBOLS, "input_lengths": np.full(N, 8), "target_lengths": np.full(N, 3)}
    given[name] = given[name].astype(float)
    given[name][at] = value
    return given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (broken("target", (2, 1), 0), r"^target\[2\]: symbol 0 is the blank, which no target has; blank=N"),
        (broken("target", (2, 1), 7), r"^target\[2\]: symbol 7 is not a class: 5 are classes 0 to 4"),
        (broken("target", (2, 1), 1.5), r"^target\[2, 1\]: 1.5 is not a whole number"),
        (broken("input_lengths", (3,), 9), r"^input_lengths\[3\]: length 9 is more than the 8 frames"),
        (broken("target_lengths", (3,), 4), r"^target_lengths\[3\]: length 4 is more than the 3 symbols"),
        (broken("pred", (1, 2, 0), 0.0), r"^pred\[1\]: the probabilities of frame 2 sum to 1\.\d+, .*normalize=True"),
    ],
)
def test_ctc_says_whose_row_is_wrong(given: dict[str, Array], message: str) -> None:
    pred, target = given.pop("pred"), given.pop("target")
    with pytest.raises(DataError, match=message):
        lossctl.compute("ctc", pred, target, inputs=given)


def test_the_tolerance_of_sums_holds_for_checks_across_inputs() -> None:
    """Probabilities of a frame that sum to 1.02 pass with a tolerance of 0.1 and fail with the default."""
    frames = FRAMES.copy()
    frames[1, 2] += np.log(1.02)
    arrays = [frames, SYMBOLS, *(np.asarray(LENGTHS[name]) for name in ("input_lengths", "target_lengths"))]
    dims = {"frames": 8, "classes": 5, "symbols": 3}
    domain = lossctl.get_loss("ctc").domain
    assert domain.first_violation(arrays, dims, tolerance=0.1) is None
    violation = domain.first_violation(arrays, dims)
    assert violation is not None
    assert (violation.input, violation.element, violation.across_inputs) == (0, 1, True)
    symbols = SYMBOLS.copy()
    symbols[2, 0] = 7
    arrays = [frames, symbols, np.full(N, 8.0), np.full(N, 3.0)]
    assert np.flatnonzero(domain.invalid_mask(arrays)).tolist() == [1, 2]


def test_the_tolerance_of_sums_holds_for_kinds() -> None:
    rows, domain = np.full((2, 3), 0.34), lossctl.get_loss("kl_divergence").domain
    assert domain.first_violation([rows, rows], {"classes": 3}, tolerance=0.1) is None
    assert domain.first_violation([rows, rows], {"classes": 3}) is not None
    assert domain.first_violation([rows, rows], {"classes": 3}, skip={0, 1}) is None


def test_ctc_without_its_blank_says_so() -> None:
    with pytest.raises(DataError, match=r"pred.*5 classes, 0 to 4, and blank=5"):
        lossctl.compute("ctc:blank=5", FRAMES, SYMBOLS, inputs=LENGTHS)


def test_ctc_of_what_cannot_be_is_inf() -> None:
    """Three equal symbols need two blanks between them, that is five frames. No frame fits no symbol."""
    frames = np.log(np.full((3, 4, 2), 0.5))
    lengths = {"input_lengths": np.array([4, 0, 0]), "target_lengths": np.array([3, 1, 0])}
    values = get_loss("ctc").value(frames, np.ones((3, 3)), *lengths.values())
    assert values.tolist() == [np.inf, np.inf, 0.0]
    assert not np.isnan(get_loss("ctc").gradient(frames, np.ones((3, 3)), *lengths.values())).any()


def test_ctc_of_targets_next_to_impossible() -> None:
    """The target has a probability of e^-2000; in logarithms the visits of each frame still sum to 1."""
    frames = np.tile([-2000.0, 0.0, -1000.0], (1, 6, 1))
    lengths = [np.array([6.0]), np.array([2.0])]
    value = get_loss("ctc:blank=0").value(frames, np.array([[2.0, 1.0]]), *lengths)
    assert value == pytest.approx([1000.0], rel=1e-13)
    g = get_loss("ctc").gradient(frames, np.array([[2.0, 1.0]]), *lengths)
    np.testing.assert_allclose(-g.sum(axis=-1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "core", "axis", "want"),
    [
        ((2, 3, 4), (), None, (24,)),
        ((2, 3, 4), ("classes",), 1, (8, 3)),
        ((2, 3, 4), ("pixels...",), 1, (2, 12)),
        ((2, 3, 4, 5), ("pixels...", "classes"), 1, (2, 20, 3)),
        ((2, 3, 4), ("frames", "classes"), 1, (2, 3, 4)),
        ((0, 3, 4), ("pixels...",), None, (0, 12)),
    ],
)
def test_arrays_as_elements(
    shape: tuple[int, ...], core: tuple[str, ...], axis: int | None, want: tuple[int, ...]
) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape)
    got = as_elements(array, core, axis)
    assert got.shape == want
    assert sorted(got.ravel()) == sorted(array.ravel())


def test_items_of_equal_relevance_stay_in_the_order_of_the_row() -> None:
    """Four hundred items of two grades: NumPy sorts short arrays stably with any method."""
    scores = RNG.normal(size=400)
    ordered = np.concatenate([scores[1::2], scores[::2]])
    want = sum(float(np.log(np.exp(ordered[i:]).sum()) - ordered[i]) for i in range(400))
    got = get_loss("listmle").value(scores[None], np.tile([1.0, 2.0], 200)[None])
    assert got == pytest.approx([want], rel=1e-13)


@pytest.mark.parametrize(
    ("loss", "pred", "target", "message"),
    [
        ("bce", [0.5, 2.0], [1.0, 1.0], r"^pred\[1\]: 2 is not a probability"),
        ("kl_divergence", np.full((2, 2), 0.5), np.full((2, 4), 0.25), "^target has 4 classes a row, pred has 2: "),
        ("mse", np.ones((2, 2)), np.ones((2, 3)), "^pred has 2 columns, target has 3 columns: nothing is broadcast"),
    ],
)
def test_value_checks_its_arrays(loss: str, pred: Array, target: Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        get_loss(loss).value(pred, target)
