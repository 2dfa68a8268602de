"""Mistakes of functions as people write them: the hint names each, and not a similar function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Real
from lossctl.core.array_kinds import Vector
from lossctl.core.registry import get_loss
from lossctl.errors import DataError

RNG = np.random.default_rng(0)
N, K = 300, 5
X, T = RNG.normal(size=(2, N))
Z, Y = RNG.normal(size=(N, K)), RNG.integers(0, K, N)
ONE_HOT = np.eye(K)[Y]


def softmax(z: np.ndarray, axis: int | None = 1) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def lse(z: np.ndarray) -> np.ndarray:
    return np.log(np.exp(z).sum(axis=1))


def hint_of(check: lossctl.GradCheck) -> str:
    assert not check.passed
    return check.hint or ""


@pytest.mark.parametrize(("axis", "words"), [(0, "over the samples"), (None, "over all numbers")])
def test_a_softmax_over_another_axis(axis: int | None, words: str) -> None:
    def own(z: Logits, y: Label) -> tuple[np.ndarray, np.ndarray]:
        return lse(z) - z[np.arange(len(z)), y], softmax(z, axis) - np.eye(z.shape[1])[y]

    gradient = softmax(Z, axis) - ONE_HOT
    for check in (lossctl.gradcheck(own, Z, Y), lossctl.gradcheck("cross_entropy", Z, Y, grad=gradient)):
        assert f"takes the softmax {words} for the softmax over the classes" in hint_of(check)


def test_a_softmax_divided_by_random_sums_is_no_softmax_over_the_samples() -> None:
    gradient = softmax(Z) * RNG.uniform(0.5, 2.0, (N, 1)) - ONE_HOT
    assert "over the samples" not in hint_of(lossctl.gradcheck("cross_entropy", Z, Y, grad=gradient))


def test_the_gradient_in_the_place_of_the_loss() -> None:
    def twice(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        gradient = 2 * (pred - target)
        return gradient, gradient

    def loss_twice(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        loss = (pred - target) ** 2
        return loss, loss

    assert "of both signs: the gradient twice?" in hint_of(lossctl.gradcheck(twice, X, T))
    assert "is the value of the loss, not its gradient" in hint_of(lossctl.gradcheck(loss_twice, X, T))


def test_a_gradient_of_each_class_in_the_place_of_the_loss() -> None:
    def own(z: Logits, y: Label) -> tuple[np.ndarray, np.ndarray]:
        gradient = softmax(z) - np.eye(z.shape[1])[y]
        return gradient, gradient

    with pytest.raises(DataError, match=r"one loss per sample, not the gradient: return \(losses, gradient\)"):
        lossctl.gradcheck(own, Z, Y)


@pytest.mark.parametrize("factor", [1.01, 1.05, 0.99])
def test_a_factor_in_half_precision(factor: float) -> None:
    z = Z.astype(np.float16)
    gradient = (factor * (softmax(z.astype(float)) - ONE_HOT)).astype(np.float16)
    assert f"{factor:g} at every sample: a constant factor" in hint_of(
        lossctl.gradcheck("cross_entropy", z, Y, grad=gradient)
    )


def test_rounding_to_half_precision_is_no_mistake() -> None:
    z = Z.astype(np.float16)
    gradient = (softmax(z.astype(float)) - ONE_HOT).astype(np.float16)
    assert lossctl.gradcheck("cross_entropy", z, Y, grad=gradient)


def test_the_derivative_of_tanh_that_is_missing() -> None:
    def missing(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        r = np.tanh(pred) - target
        return r * r, 2 * r

    assert "1 − tanh² pred" in hint_of(lossctl.gradcheck(missing, X, T))


def test_z_loss_without_its_factor() -> None:
    """The auxiliary loss of PaLM, lse²: its gradient is 2·lse·softmax."""

    def missing(z: Logits, y: Label) -> tuple[np.ndarray, np.ndarray]:
        value = lse(z) - z[np.arange(len(z)), y] + 0.1 * lse(z) ** 2
        return value, softmax(z) - np.eye(z.shape[1])[y]

    assert "the softmax of pred times its log-sum-exp" in hint_of(lossctl.gradcheck(missing, Z, Y))


def test_a_gradient_that_is_nan_where_two_inputs_are_equal() -> None:
    def distance(pred: Vector, target: Vector) -> tuple[np.ndarray, np.ndarray]:
        r = pred - target
        d = np.sqrt((r**2).sum(axis=1))
        with np.errstate(all="ignore"):
            return d**2, 2 * d[:, None] * (r / d[:, None])

    other = Z + RNG.normal(size=Z.shape)
    other[:30] = Z[:30]
    assert "NaN where pred equals target" in hint_of(lossctl.gradcheck(distance, Z, other))


def test_a_hint_of_the_gradient_and_of_the_second_derivative_is_said_once() -> None:
    def half(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pred - target, np.ones_like(pred)

    text = repr(lossctl.gradcheck("mse", X, T, grad=half))
    assert text.count("a factor of 2 is missing") == 1
    assert text.count("FAIL") == 2


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_scores_far_below_a_margin_are_no_false_alarm(scale: float) -> None:
    loss = get_loss("multi_margin")
    scores = (scale * RNG.normal(size=(N, K))).astype(np.float32)
    gradient: Callable[[], np.ndarray] = loss.evaluate(scores.astype(float), Y.astype(float))[1]
    assert lossctl.gradcheck(loss, scores, Y, grad=gradient().astype(np.float32))


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Round to nearest: to the upper 16 bits of a float32 number."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def test_scores_that_are_equal_after_rounding_beside_a_margin_are_no_false_alarm() -> None:
    """Of 1 + z − z[y] in bfloat16 the two largest may be equal, and optax gives each a half."""
    z = bfloat16(0.3 * RNG.normal(size=(2000, K)))
    y = RNG.integers(0, K, 2000)
    other = np.arange(K) != y[:, None]
    margins = np.where(other, bfloat16(1 + bfloat16(z - z[np.arange(2000), y, None])), -np.inf)
    largest = (margins == margins.max(axis=1, keepdims=True)) & (margins > 0)
    gradient = bfloat16(largest / np.maximum(largest.sum(axis=1, keepdims=True), 1))
    gradient -= np.where(other, 0, gradient.sum(axis=1, keepdims=True))
    assert (gradient == 0.5).any()
    assert lossctl.gradcheck("crammer_singer", z, y, grad=gradient)
    assert not lossctl.gradcheck("crammer_singer", z, y, grad=np.roll(gradient, 1, axis=1))


def test_near_vectors_at_the_margin_of_a_triplet_are_no_false_alarm() -> None:
    """1 + d(a, p) − d(a, n) is −0.0007, and above 0 in bfloat16: the gradient of torch is that of the active loss."""
    arrays = [bfloat16(RNG.normal(size=(300, 5))) for _ in range(3)]
    slope = get_loss("triplet").evaluate(*[a.astype(float) for a in arrays])[1]
    assert slope is not None
    gradient = bfloat16(slope())
    signs = RNG.choice([-1.0, 1.0], (100, 5))
    arrays[0][:100] = signs * [-0.1640625, 0.01531982421875, 0.294921875, 0.0164794921875, 0.06494140625]
    arrays[1][:100] = signs * [-0.1630859375, 0.01519775390625, 0.296875, 0.0166015625, 0.06396484375]
    arrays[2][:100] = signs * [0.56640625, 0.419921875, 0.04931640625, 0.203125, 0.52734375]
    gradient[:100] = signs * [0.322265625, 0.455078125, -1.0625, 0.1357421875, 0.87109375]
    negative = {"negative": arrays[2]}
    assert lossctl.gradcheck("triplet", *arrays[:2], inputs=negative, grad=gradient)
    gradient[:100] *= 2
    assert not lossctl.gradcheck("triplet", *arrays[:2], inputs=negative, grad=gradient)
