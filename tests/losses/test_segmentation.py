"""Class weights of the generalised Dice loss, from the frequencies of the classes in a batch of images."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from draws import hurtful

from lossctl import get_loss
from lossctl.core.loss import Loss

BOUND = 1e-14  # as tests/losses/test_losses.py
SPECS = ["", ":smooth=0", ":smooth=1e-150", ":epsilon=1e-150", ":smooth=37:epsilon=37"]


def worst(loss: Loss, seed: int) -> float:
    """Return the error of the sum of a batch and of its derivatives, compared with 50 digits."""
    batch = hurtful(loss, np.random.default_rng(seed), 4)
    found = [oracle.error(float(loss.value(*batch).sum()), *oracle.value(loss.name, batch, loss.params))]
    got = loss.gradient(*batch).ravel()
    at = oracle.some(len(got), most=8)
    for j, slope in zip(at, oracle.slopes(loss.name, batch, loss.params, at), strict=True):
        found.append(oracle.error(float(got[j]), slope.left, slope.magnitude))
    return max(found)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.slow
def test_a_batch_agrees_with_fifty_digits(seed: int, spec: str) -> None:
    assert worst(get_loss("multiclass_generalized_dice" + spec), seed) <= BOUND


def test_a_class_that_no_image_has_weighs_the_inverse_of_epsilon() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.dirichlet(np.ones(3), (2, 16)), rng.integers(0, 2, (2, 16))
    only = get_loss("dice").value(pred[..., 2], np.zeros((2, 16)))
    for epsilon in (1e-12, 1e-300, 1e-320):
        loss = get_loss(f"multiclass_generalized_dice:epsilon={epsilon}")
        np.testing.assert_allclose(loss.value(pred, target), only, rtol=1e-12)
        assert np.isfinite(loss.gradient(pred, target)).all()
    # and the smaller it is the more: not so where all classes are there
    target[0, :4] = 2
    near, far = (get_loss(f"multiclass_generalized_dice:epsilon={e}").value(pred, target) for e in (1e-7, 1e-300))
    np.testing.assert_allclose(near, far, rtol=1e-7)


def test_images_share_the_weights_of_their_batch() -> None:
    """For two images with different classes, the weights of the batch differ from those of each image."""
    rng = np.random.default_rng(1)
    pred, target = rng.dirichlet(np.ones(2), (2, 8)), np.array([[0] * 7 + [1], [1] * 7 + [0]])
    loss = get_loss("multiclass_generalized_dice")
    together, alone = loss.value(pred, target), loss.value(pred[:1], target[:1])
    parts = [get_loss("dice").value(pred[:1, :, c], (target[:1] == c).astype(float))[0] for c in (0, 1)]
    assert together[0] == pytest.approx(sum(parts) / 2, rel=1e-12)
    assert alone[0] == pytest.approx((parts[0] / 49 + parts[1]) / (1 / 49 + 1), rel=1e-7)
