"""Losses of masks by channel, of maps of labels, with pixels left out and with weights of pixels.

The expected numbers are sums over sets of pixels, written out here.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lossctl
from lossctl.core.arrays import Array
from lossctl.core.pixels import with_pixel_weights
from lossctl.errors import DataError, UsageError

RNG = np.random.default_rng(3)
OVERLAPS = ["dice", "squared_dice", "jaccard", "tversky:alpha=0.3:beta=0.7", "focal_tversky:gamma=2"]
CHANNELS = RNG.dirichlet(np.ones(3), (4, 5, 6)).transpose(0, 3, 1, 2)
LABELS = RNG.integers(0, 3, (4, 5, 6))
VOID = np.where(RNG.random(LABELS.shape) < 0.3, 255, LABELS)
HOT = (LABELS[:, None] == np.arange(3)[:, None, None]).astype(float)


def dice(p: Array, t: Array, w: Array | float = 1.0, smooth: float = 1.0) -> float:
    """Return 1 − Dice of a set of pixels."""
    return float(1 - (2 * (w * p * t).sum() + smooth) / ((w * p).sum() + (w * t).sum() + smooth))


def value(loss: str, *arrays: npt.ArrayLike, **options: Any) -> float:
    return float(lossctl.compute(loss, *arrays, **options))


def test_an_image_as_one_mask_or_each_of_its_channels() -> None:
    pred = np.array([[[[0.9, 0.1], [0.1, 0.1]], [[0.1, 0.8], [0.9, 0.7]]]])
    target = np.array([[[[1, 0], [0, 0]], [[0, 1], [1, 1]]]])
    assert value("dice", pred, target) == pytest.approx(0.126437, abs=1e-6)
    by_channel = [dice(pred[0, c], target[0, c]) for c in (0, 1)]
    assert by_channel == pytest.approx([0.125, 0.107692], abs=1e-6)
    for pair in ((pred, target), (pred, target.argmax(axis=1))):
        assert value("dice", *pair, class_axis=1) == pytest.approx(0.116346, abs=1e-6)
    last = np.moveaxis(pred, 1, -1)
    assert value("dice", last, np.moveaxis(target, 1, -1), class_axis=-1) == pytest.approx(np.mean(by_channel))
    assert value("dice", last, target.argmax(axis=1), class_axis=3) == pytest.approx(np.mean(by_channel))


@pytest.mark.parametrize("spec", [*OVERLAPS, "lovasz_hinge"])
def test_a_map_of_labels_is_the_mask_of_each_channel(spec: str) -> None:
    loss = lossctl.get_loss(spec)
    single = [loss.value(CHANNELS[:, c], HOT[:, c]) for c in range(3)]
    np.testing.assert_allclose(loss.value(CHANNELS, LABELS, class_axis=1), np.mean(single, axis=0), rtol=1e-14)
    slopes = np.stack([loss.gradient(CHANNELS[:, c], HOT[:, c]) for c in range(3)], axis=1)
    np.testing.assert_array_equal(loss.gradient(CHANNELS, LABELS, class_axis=1), slopes)
    np.testing.assert_array_equal(loss.gradient(CHANNELS, HOT, class_axis=1), slopes)


@pytest.mark.parametrize("spec", [*OVERLAPS, "lovasz_hinge"])
def test_pixels_left_out_are_as_if_they_were_not_there(spec: str) -> None:
    loss = lossctl.get_loss(spec)
    target = np.where(VOID == 255, 255, VOID == 1)
    got = loss.value(CHANNELS[:, 1], target, ignore_index=255)
    cut = [target[i] != 255 for i in range(4)]
    expected = [loss.value(CHANNELS[i, 1][cut[i]][None], target[i][cut[i]][None])[0] for i in range(4)]
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    slopes = loss.gradient(CHANNELS[:, 1], target, ignore_index=255)
    assert not slopes[target == 255].any()
    for i in range(4):
        inside = loss.gradient(CHANNELS[i, 1][cut[i]][None], target[i][cut[i]][None])[0]
        np.testing.assert_allclose(slopes[i][cut[i]], inside, rtol=1e-13)


@pytest.mark.parametrize("spec", ["lovasz_softmax", "multiclass_generalized_dice"])
def test_pixels_of_maps_of_labels_are_left_out(spec: str) -> None:
    loss = lossctl.get_loss(spec)
    pred, target = CHANNELS[:1].transpose(0, 2, 3, 1), VOID[:1]
    kept = target[0] != 255
    expected = loss.value(pred[0][kept][None], target[0][kept][None])
    np.testing.assert_allclose(loss.value(pred, target, ignore_index=255), expected, rtol=1e-13)
    slopes = loss.gradient(pred, target, ignore_index=255)
    np.testing.assert_allclose(slopes[0][kept], loss.gradient(pred[0][kept][None], target[0][kept][None])[0])
    assert not slopes[0][~kept].any()


def test_maps_of_labels_with_pixels_left_out() -> None:
    expected = [
        dice(CHANNELS[i, c][VOID[i] != 255], (VOID[i] == c)[VOID[i] != 255]) for i in range(4) for c in range(3)
    ]
    assert value("dice", CHANNELS, VOID, class_axis=1, ignore_index=255) == pytest.approx(np.mean(expected), rel=1e-14)


@pytest.mark.parametrize("spec", OVERLAPS)
def test_weights_of_pixels_are_numbers_of_equal_pixels(spec: str) -> None:
    loss, weight = lossctl.get_loss(spec), RNG.integers(0, 4, LABELS.shape)
    target = HOT[:, 2]
    got, slopes = (f(CHANNELS[:, 2], target, weight=weight) for f in (loss.value, loss.gradient))
    for i in range(4):
        p, t = (np.repeat(a[i].ravel(), weight[i].ravel())[None] for a in (CHANNELS[:, 2], target))
        np.testing.assert_allclose(got[i], loss.value(p, t)[0], rtol=1e-13)
        one = loss.gradient(p, t)[0]
        first = np.concatenate([[0], np.cumsum(weight[i].ravel())[:-1]])
        taken = weight[i].ravel() > 0
        expected = one[first[taken]] * weight[i].ravel()[taken]
        np.testing.assert_allclose(slopes[i].ravel()[taken], expected, rtol=1e-12, atol=1e-300)
        assert not slopes[i].ravel()[~taken].any()


def test_weights_of_pixels_hold_for_each_channel_or_are_given_for_each() -> None:
    weight = RNG.random((4, 5, 6))
    expected = [dice(CHANNELS[i, c], HOT[i, c], weight[i]) for i in range(4) for c in range(3)]
    for given in (weight, np.repeat(weight[:, None], 3, axis=1)):
        got = value("dice", CHANNELS, LABELS, class_axis=1, weight=given)
        assert got == pytest.approx(np.mean(expected), rel=1e-14)
    both = value("dice", CHANNELS, VOID, class_axis=1, weight=weight, ignore_index=255)
    zero = np.where(VOID == 255, 0.0, weight)
    assert both == value("dice", CHANNELS, np.where(VOID == 255, 0, VOID), class_axis=1, weight=zero)


def test_weights_of_channels_and_of_images_weigh_the_mean() -> None:
    single = np.array([[dice(CHANNELS[i, c], HOT[i, c]) for c in range(3)] for i in range(4)])
    weight = RNG.random((4, 3))
    got = value("dice", CHANNELS, LABELS, class_axis=1, weight=weight)
    assert got == pytest.approx((single * weight).sum() / weight.sum(), rel=1e-14)
    got = value("dice", CHANNELS, LABELS, class_axis=1, weight=weight[:, 0])
    assert got == pytest.approx((single.mean(axis=1) * weight[:, 0]).sum() / weight[:, 0].sum(), rel=1e-14)


def test_an_image_without_a_pixel_that_counts_is_left_out() -> None:
    target = HOT[:, 0].copy()
    target[1] = 255
    result = lossctl.compute("dice", CHANNELS[:, 0], target, ignore_index=255)
    assert (result.count, result.ignored) == (3, 1)
    assert float(result) == pytest.approx(np.mean([dice(CHANNELS[i, 0], target[i]) for i in (0, 2, 3)]))
    assert np.isnan(lossctl.get_loss("dice").value(CHANNELS[:, 0], target, ignore_index=255)[1])


def test_masks_of_bytes_name_the_remedy() -> None:
    for loss in ("dice", "lovasz_hinge"):
        with pytest.raises(DataError, match=r"255 is not .* for a mask of 0 and 255 add labels=\(0, 255\); ignore_ind"):
            lossctl.compute(loss, CHANNELS[:, 0], HOT[:, 0] * 255)
        got = value(loss, CHANNELS[:, 0], HOT[:, 0] * 255, labels=(0, 255))
        assert got == value(loss, CHANNELS[:, 0], HOT[:, 0])
    with pytest.raises(DataError, match="128 is not a probability, from 0 to 1; divide levels of 8 bits by 255"):
        lossctl.compute("jaccard", CHANNELS[:, 0] * 0 + 128, HOT[:, 0])


def test_what_masks_refuse() -> None:
    with pytest.raises(DataError, match="label 255 is not a class: 3 channels are classes 0 to 2; ignore_index=255"):
        lossctl.compute("dice", CHANNELS, VOID, class_axis=1)
    with pytest.raises(UsageError, match="weight has a number for each pixel, where lovasz_hinge takes one"):
        lossctl.compute("lovasz_hinge", CHANNELS[:, 0], HOT[:, 0], weight=np.ones((4, 5, 6)))
    bad = np.ones((4, 5, 6))
    bad[2, 0, 1] = -1
    with pytest.raises(DataError, match=r"weight\[2, 1\]: weight -1 is not a finite number of at least 0"):
        lossctl.compute("dice", CHANNELS[:, 0], HOT[:, 0], weight=bad)
    with pytest.raises(UsageError, match="class_axis=4"):
        lossctl.compute("dice", CHANNELS, LABELS, class_axis=4)


def test_a_loss_with_weights_of_pixels_is_pickled() -> None:
    loss = pickle.loads(pickle.dumps(with_pixel_weights(lossctl.get_loss("dice:smooth=0"))))  # noqa: S301 - our own bytes
    got = loss.evaluate(*(np.array([x]) for x in ([1.0, 0.5], [1.0, 1.0], [1.0, 0.0])))[0]
    assert got.tolist() == [0.0]
