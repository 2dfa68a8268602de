"""Explanations of wrong gradients: each planted mistake is named, and no hint is given if none fits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Positive, Probabilities, Real, Sign
from lossctl.core.array_kinds import Vector
from lossctl.core.loss import MeanTransform
from lossctl.core.registry import registered
from lossctl.gradients.diagnosis import HINTS

RNG = np.random.default_rng(0)
N, K = 300, 7
PRED, TARGET = RNG.normal(size=(2, N))
R = PRED - TARGET
MSE = 2 * R
PROB = RNG.uniform(0.05, 0.95, N)
HARD = (RNG.random(N) < 0.5) * 1.0
LOGITS, LABELS = RNG.normal(size=(N, K)), RNG.integers(0, K, N)
CE = "sparse_softmax_cross_entropy"


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PROBS, ONE_HOT = softmax(LOGITS), np.eye(K)[LABELS]


def hint(spec: str, *arrays: Any, **options: Any) -> str | None:
    found = lossctl.gradcheck(spec, *arrays, **options)
    assert not found.passed
    return found.hint


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.5, "0.5 at every sample: a factor of 2 is missing"),
        (2.0, "2 at every sample: a factor of 2 too much"),
        (-1.0, "-1 at every sample: the sign is wrong"),
        (1 / N, "1/n: it is the gradient of the mean over n = 300; say --reduction mean"),
        (float(N), "n = 300: it was multiplied by the number of samples"),
        (math.log(2), "log 2"),
        (1 / math.log(2), "1/log 2: the loss was taken in bits"),
        (1 / math.log(10), "a logarithm to base 10"),
        (3.3, "3.3 at every sample: a constant factor"),
    ],
)
def test_a_constant_ratio_is_named(factor: float, words: str) -> None:
    assert words in str(hint("mse", PRED, TARGET, factor * MSE))


def test_a_parameter_that_is_missing_is_named() -> None:
    given = lossctl.get_loss("pseudo_huber:delta=3").gradient(PRED, TARGET) / 3
    assert "a factor delta = 3, one is missing" in str(hint("pseudo_huber:delta=3", PRED, TARGET, given))


@pytest.mark.parametrize(("factor", "words"), [(1 / K, "1/k"), (float(K), "k: it was"), (1 / (N * K), "1/(n·k)")])
def test_the_number_of_classes_is_named(factor: float, words: str) -> None:
    given = (softmax(LOGITS) - ONE_HOT) * factor
    assert words in str(hint("ce", LOGITS, LABELS, given))


def test_zeros_and_one_repeated_element() -> None:
    assert "given is 0 everywhere" in str(hint("mse", PRED, TARGET, 0 * MSE))
    assert "given is the same at every sample (1.5)" in str(hint("mse", PRED, TARGET, np.full(N, 1.5)))


def test_a_gradient_that_is_0_at_some_samples_was_not_computed_there() -> None:
    given = np.where(np.arange(N) % 2 == 0, 0.0, 2 * R)
    assert hint("mse", PRED, TARGET, given) == (
        "wrong only at samples 0, 2, 4, …: every k-th with k = 2; there given ÷ numeric is 0"
    )
    given = np.where(RNG.random(N) < 0.5, 0.0, 2 * R)
    assert hint("mse", PRED, TARGET, given) == "given ÷ numeric is 0 at every wrong sample: it was not computed there"


def test_a_transposed_gradient() -> None:
    given = (softmax(LOGITS) - ONE_HOT).T.reshape(N, K)
    assert hint("ce", LOGITS, LABELS, given) == "given is transposed: read as (7, 300) it is right"


def test_the_derivative_by_the_logit_instead_of_the_probability() -> None:
    assert "p(1 − p): it is the derivative with respect to the logit" in str(hint("bce", PROB, HARD, PROB - HARD))
    assert "with respect to the logits, through the softmax" in str(hint("cce", PROBS, ONE_HOT, PROBS - ONE_HOT))


def test_the_derivative_by_the_probability_instead_of_the_logit() -> None:
    p = 1 / (1 + np.exp(-PRED))
    found = hint("bce_with_logits", PRED, HARD, (p - HARD) / (p * (1 - p)))
    assert "with respect to the probability, not the logit" in str(found)


def test_the_derivative_by_probabilities_instead_of_logits() -> None:
    by_probability = lossctl.get_loss("scce").gradient(softmax(LOGITS), LABELS)
    assert hint(CE, LOGITS, LABELS, by_probability) == (
        "given is the derivative with respect to the probabilities, not to the logits"
    )


def test_prediction_and_target_swapped() -> None:
    soft = RNG.uniform(0.05, 0.95, N)
    given = lossctl.get_loss("bce").gradient(soft, PROB)
    assert hint("bce", PROB, soft, given) == "given is the gradient with prediction and target swapped"


def test_a_constant_along_each_row() -> None:
    """The gradient of a loss that divides rows by their sum has one amount more in each row."""
    given = lossctl.get_loss("scce").gradient(PROBS, LABELS) + 1 + np.arange(N)[:, None] / N
    assert "off by one constant along each row" in str(hint("scce", PROBS, LABELS, given))


def test_a_forgotten_target() -> None:
    assert hint("ce", LOGITS, LABELS, softmax(LOGITS)) == (
        "given − numeric is 1 at the target's class, and right elsewhere"
    )


# --- some samples alone ---


def test_a_branch_is_told_with_where_it_begins_and_what_it_gives() -> None:
    assert hint("mse", PRED, TARGET, np.where(R > 0.25, R, 2 * R)) == (
        "wrong only where pred − target > 0.25, right below; there given ÷ numeric is 0.5"
    )
    assert hint("mse", PRED, TARGET, np.where(TARGET < -0.7, 3 * R, 2 * R)) == (
        "wrong only where target < -0.7, right above; there given ÷ numeric is 1.5"
    )
    # Too small a mistake to tell its ratio from 1.
    assert hint("mse", PRED, TARGET, np.where(R > 0.25, 2 * R * (1 + 2e-5), 2 * R)) == (
        "wrong only where pred − target > 0.25, right below"
    )
    sign = np.sign(TARGET)
    given = np.where(sign * PRED > 1, -sign, lossctl.get_loss("hinge").gradient(PRED, sign))
    assert hint("hinge", PRED, sign, given) == ("wrong only where target·pred > 1, right below; there the loss is flat")


def test_a_branch_is_told_at_drawn_points_too() -> None:
    """Over twelve decades: the samples right by chance are those in a tail, and say nothing."""
    found = spoilt("huber", lambda g, p, t: np.where(np.abs(p - t) > 1, p - t, g))
    # Where it begins the mistake is nothing: how far beyond it is seen is what the check can tell.
    begins = re.fullmatch(r"wrong only where \|pred − target\| > (\S+), right below", str(found.hint))
    assert begins is not None
    assert 1.0 <= float(begins[1]) < 1.00001


@pytest.mark.parametrize(
    ("name", "at", "words"),
    [
        ("mae", lambda p, t: p == t, "pred equals target"),
        ("hinge", lambda p, t: p * t == 1, "target·pred is 1"),
        ("hinge:margin=-2", lambda p, t: p * t == -2, "target·pred is -2"),
    ],
)
def test_a_kink_is_told_wherever_the_loss_has_it(name, at, words) -> None:
    bound = lossctl.get_loss(name)
    kind = bound.inputs[1].kind.name
    target = np.sign(TARGET) if kind == "Sign" else TARGET
    kinked = target * bound.params.get("margin", 1.0) if kind == "Sign" else target
    pred = np.where(np.arange(N) % 10 == 0, kinked, PRED)
    given = np.where(at(pred, target), 3.0, bound.gradient(pred, target))
    assert hint(name, pred, target, given) == (
        f"wrong only where {words}: at a kink any value between the one-sided slopes is right"
    )


# --- silence ---


def test_three_wrong_samples_of_six_are_no_branch() -> None:
    """Some quantity always separates three from three."""
    pred, target = PRED[:6], TARGET[:6]
    given = 2 * (pred - target) * np.where(np.argsort(np.argsort(pred)) < 3, [0.3, 0.7, 2, 0.1, 5, 1.1], 1.0)
    assert hint("mse", pred, target, given) is None


@pytest.mark.parametrize("seed", range(5))
def test_silence_where_nothing_simple_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert hint("mse", PRED, TARGET, MSE * rng.uniform(0.5, 1.5, N)) is None
    assert hint("mse", PRED, TARGET, np.where(rng.random(N) < 0.5, 2 * MSE, MSE / 3)) is None


def test_two_wrong_coordinates_are_too_few_to_explain() -> None:
    given = MSE.copy()
    given[[3, 8]] *= 2
    found = lossctl.gradcheck("mse", PRED, TARGET, given)
    assert (found.counts["wrong"], found.hint) == (2, None)
    assert {c.row for c in found.worst_coordinates(5)} == {3, 8}


# --- every loss, at points over twelve decades ---

# Samples of 25 coordinates cost a hundred times what those of one do.
SAMPLES = {"lovasz_softmax": 50, "ctc": 50}
# Of a step function every gradient is 0, and so is every multiple of it.
STEPS = {"zero_one", "label_ranking", "coverage"}
SLOPING = [name for name, loss in registered().items() if not loss.batch_coupled and name not in STEPS]
# Given less than it is, more, and the other way; the names of others are read above.
FACTORS: list[tuple[Callable[[int], float], str]] = [
    (lambda _n: 0.5, "a factor of 2 is missing"),
    (lambda _n: -1.0, "the sign is wrong"),
    (float, "n = {n:,}: it was multiplied by the number of samples"),
    (lambda n: 1 / n, "1/n: it is the gradient of the mean over n = {n:,}; say --reduction mean"),
]


def own(name: str) -> Callable[..., np.ndarray]:
    """The gradient function of a registered loss, of arrays that it does not prove."""

    def gradient(*arrays: np.ndarray) -> np.ndarray:
        thunk = registered()[name].evaluate(*arrays)[1]
        assert thunk is not None
        with np.errstate(all="ignore"):
            return thunk()

    return gradient


def spoilt(name: str, mistake: Callable[..., np.ndarray]) -> lossctl.GradCheck:
    """The check of a registered loss at drawn points, its own gradient gone through ``mistake``."""

    def gradient(*arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return mistake(own(name)(*arrays), *arrays)

    return lossctl.gradcheck(name, grad=gradient, samples=SAMPLES.get(name, 1000))


@pytest.mark.parametrize("name", SLOPING)
@pytest.mark.slow
def test_a_factor_is_named_for_every_loss(name) -> None:
    n = SAMPLES.get(name, 1000)
    for factor, words in FACTORS:
        found = spoilt(name, lambda g, *_, factor=factor: factor(n) * g)
        # Where some gradients are right by chance, at a corner or a kink, the hint is about the wrong samples.
        told = [
            f"given ÷ numeric is {factor(n):.4g} at every {what}: {words.format(n=n)}"
            for what in ("sample", "wrong sample", "wrong coordinate")
        ]
        if factor(n) == -1.0:  # of a loss that is the same with the inputs swapped that is as true
            told.append("given is the gradient with prediction and target swapped")
        assert found.hint in told, repr(found)


@pytest.mark.parametrize("name", SLOPING)
@pytest.mark.slow
def test_silence_where_no_simple_explanation_fits(name) -> None:
    """Noise, two mistakes at once, and what is too small to tell one explanation from the other."""

    def rng() -> np.random.Generator:
        return np.random.default_rng(1)  # the same noise at every call: a random gradient is refused

    for mistake in (
        lambda g, *_: g * (1 + 0.3 * rng().normal(size=g.shape)),
        lambda g, *_: g * rng().choice([0.5, -1.0, 1.0], g.shape),
        lambda g, *_: g * (1 + 1.5e-5 * rng().choice([-1.0, 1.0], g.shape)),
    ):
        found = spoilt(name, mistake)
        assert not found
        assert found.hint is None


# --- each hint: a planted mistake, and a similar one at which it is silent ---

GRAD_CE = PROBS - ONE_HOT
NOISE = np.random.default_rng(2).uniform(0.5, 1.5, N)
SOFT = RNG.uniform(0.05, 0.95, N)
KINKED = np.where(np.arange(N) % 10 == 0, TARGET, PRED)
MAE = lossctl.get_loss("mae").gradient(KINKED, TARGET)
ROW = np.arange(N)[:, None]
Case = tuple[Any, ...]


def clipped(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A loss that is flat below -1 and above 0.5, with a gradient that is not."""
    r = np.clip(pred, -1.0, 0.5) - target
    return r**2, 2 * r


def clipped_noisy(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with a gradient that is wrong where the loss is not flat, too."""
    loss, gradient = clipped(pred, target)
    return loss, gradient * (1.5 + np.sin(7 * target))


def without_finish(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The gradient of each square, a third of what it should be."""
    return 2 * (pred - target) / 3


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def warm(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The loss of logits that are divided by the temperature 4."""
    row = z / 4
    return np.log(np.exp(row).sum(axis=1)) - row[np.arange(len(row)), y]


def temperature_missing(logits: Logits, label: Label) -> tuple[np.ndarray, np.ndarray]:
    return warm(logits, label), softmax(logits) - np.eye(K)[label]


def temperature_and_more(logits: Logits, label: Label) -> tuple[np.ndarray, np.ndarray]:
    return warm(logits, label), softmax(logits) ** 2 - np.eye(K)[label]


def log_rate(pred: Positive, target: Real) -> np.ndarray:
    return pred - target * np.log(pred)


def epsilon_added(pred: Positive, target: Real) -> tuple[np.ndarray, np.ndarray]:
    return log_rate(pred, target), 1 - target / (pred + 1e-3)


def epsilon_random(pred: Positive, target: Real) -> tuple[np.ndarray, np.ndarray]:
    return log_rate(pred, target), 1 - target / (pred + 1e-3 * (2 + np.sin(99 * target)))


def cosine(pred: Vector, target: Vector) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    norms = np.linalg.norm(pred, axis=1), np.linalg.norm(target, axis=1)
    cos = (pred * target).sum(axis=1) / (norms[0] * norms[1])
    return 1 - cos, -target / (norms[0] * norms[1])[:, None], cos[:, None] * pred / (norms[0] ** 2)[:, None]


def projection_missing(pred: Vector, target: Vector) -> tuple[np.ndarray, np.ndarray]:
    loss, towards, _ = cosine(pred, target)
    return loss, towards


def projection_and_more(pred: Vector, target: Vector) -> tuple[np.ndarray, np.ndarray]:
    loss, towards, along = cosine(pred, target)
    return loss, towards + 2 * along + 0.1 * target**2


def exponential(pred: Real, target: Sign) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(-pred * target), -pred * np.exp(-pred * target)


def exponential_and_more(pred: Real, target: Sign) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(-pred * target), (1 - pred) * np.exp(-pred * target)


RMSE = lossctl.get_loss("rmse")
WRONG_FINISH = replace(RMSE, finish=MeanTransform(math.sqrt, lambda mean: 1 / math.sqrt(mean), per_sample="r²"))
RATES, COUNTS = RNG.uniform(0.01, 2, N), RNG.integers(0, 5, N) * 1.0
VECTORS = RNG.normal(size=(2, N, 6))
WEIGHTS = np.array([1.0, 3.0, 0.5, 1.0, 2.0, 4.0, 1.0])[LABELS][:, None]
HALF = (2 * (PRED - TARGET).astype(np.float16).astype(float)) * (1 + 2.0**-11 * RNG.uniform(-1, 1, N))
BCE = sigmoid(PRED) - HARD


def cumulative(turn):
    """The square of the cumulative differences; its gradient is a cumulative sum from the last column on."""

    def loss(pred: Vector, target: Vector):
        c = np.cumsum(pred - target, axis=1)
        return (c**2).sum(axis=1), 2 * turn(c)

    return loss


def sorted_rows(turn):
    def loss(pred: Vector, target: Vector):
        r = (pred - target) ** 3
        return (np.abs(pred - target) ** 4).sum(axis=1) / 4, turn(r, pred)

    return loss


def coarse(step):
    def loss(pred: Real, target: Real):
        def f(x):
            return np.log(1 + (x - target) ** 2)

        return f(pred), (f(pred + step) - f(pred)) / step

    return loss


def reverse_kl(turn):
    def loss(pred: Logits, target: Probabilities):
        q = softmax(pred)
        a = np.log(q) - np.log(target)
        mean = (q * a).sum(axis=1, keepdims=True)
        return mean[:, 0], q * turn(a, mean)

    return loss


FOCAL, CHANCE = "focal_with_logits:alpha=none", np.where(HARD == 1, sigmoid(PRED), sigmoid(-PRED))
SOFT_ROWS = softmax(0.5 * LOGITS[::-1])
CODES: dict[str, tuple[Case, Case]] = {
    "not-computed": (("mse", PRED, TARGET, 0 * MSE), ("mse", PRED, TARGET, np.where(PRED > 0, 0, MSE))),
    "same-everywhere": (("mse", PRED, TARGET, np.full(N, 1.5)), ("mse", PRED, TARGET, 1.5 + NOISE)),
    "not-finite": (
        ("mse", PRED, TARGET, np.where(np.arange(N) % 7 < 2, np.nan, MSE)),
        ("mse", PRED, TARGET, np.where(np.arange(N) % 7 < 2, 1e3 * NOISE, MSE)),
    ),
    "loss-returned": (("mse", PRED, TARGET, R**2), ("mse", PRED, TARGET, R**2 + 0.1 * NOISE)),
    "few-digits": (
        ("mse", PRED, TARGET, HALF),
        ("mse", PRED, TARGET, MSE * (1 + 1e-3 * np.sin(R))),  # errors of this size that depend on the residual
    ),
    "kink": (
        ("mae", KINKED, TARGET, np.where(KINKED == TARGET, 3.0, MAE)),
        ("mae", KINKED, TARGET, np.where(KINKED == TARGET, 0.5, 3 * MAE)),
    ),
    "end-sample": (
        ("mse", PRED, TARGET, np.where(np.arange(N) == N - 1, 0, MSE)),
        ("mse", PRED, TARGET, np.where(np.arange(N) == N - 2, 0, MSE)),
    ),
    "row-range": (
        ("mse", PRED, TARGET, np.where(np.arange(N) >= N - 40, MSE * NOISE, MSE)),
        ("mse", PRED, TARGET, np.where((np.arange(N) >= N - 40) == (NOISE > 1.1), MSE * NOISE, MSE)),
    ),
    "outside-range": (
        ("mse", PRED, TARGET, np.where(np.abs(PRED - 0.2) > 1, MSE * NOISE, MSE)),
        ("mse", PRED, TARGET, MSE * (1 + (PRED - 0.2) ** 8 * NOISE)),  # grows from 0.2 on until it is seen
    ),
    "rows": (
        ("mse", PRED, TARGET, np.where(np.arange(N) % 5 == 2, MSE * NOISE, MSE)),
        ("mse", PRED, TARGET, np.where(np.isin(np.arange(N) % 5, (1, 2)), MSE * NOISE, MSE)),
    ),
    "one-side": (
        ("mse", PRED, TARGET, np.where(R > 0.25, R, MSE)),
        ("mse", PRED, TARGET, np.where(NOISE > 1.1, R, MSE)),
    ),
    "diagonal": (
        (CE, LOGITS, LABELS, GRAD_CE * ONE_HOT),
        (CE, LOGITS, LABELS, GRAD_CE * (1 - ONE_HOT)),
    ),
    "not-softmax": (
        (CE, LOGITS, LABELS, softmax(LOGITS.T).T - ONE_HOT),
        (CE, LOGITS, LABELS, PROBS**0.9 - ONE_HOT),
    ),
    "class-weight": (
        (CE, LOGITS, LABELS, PROBS * WEIGHTS - ONE_HOT),
        (CE, LOGITS, LABELS, PROBS * (1 + ROW / N) - ONE_HOT),
    ),
    "constant-factor": (("mse", PRED, TARGET, 3 * MSE), ("mse", PRED, TARGET, MSE * NOISE)),
    "transposed": (("ce", LOGITS, LABELS, GRAD_CE.T.reshape(N, K)), ("ce", LOGITS, LABELS, GRAD_CE[::-1])),
    "other-variable": (("bce", PROB, HARD, PROB - HARD), ("bce", PROB, HARD, PROB * (PROB - HARD))),
    "flat": ((clipped, PRED, TARGET), (clipped_noisy, PRED, TARGET)),
    "moved": (("mse", PRED, TARGET, np.roll(MSE, 1)), ("mse", PRED, TARGET, np.roll(MSE, 7))),
    "swapped": (
        ("bce", PROB, SOFT, lossctl.get_loss("bce").gradient(SOFT, PROB)),
        ("mse", PRED, TARGET, R**2),  # symmetric: the loss, returned as its gradient
    ),
    "other-input": (
        (exponential, PRED, np.sign(TARGET)),
        (exponential_and_more, PRED, np.sign(TARGET)),
    ),
    "other-parameter": (
        ("huber:delta=2", 4 * PRED, TARGET, lossctl.get_loss("huber").gradient(4 * PRED, TARGET)),
        # A threshold beyond the data: any such value fits.
        ("huber:delta=4", 2 * PRED, TARGET, 2 * PRED - TARGET),
    ),
    "rounded-input": (
        ("mse", PRED, 3 * TARGET, 2 * (PRED - np.round(3 * TARGET))),
        ("mse", PRED, 3 * TARGET, 2 * (PRED - np.round(9 * TARGET) / 3)),
    ),
    "other-row": (
        ("mse", PRED, TARGET, 2 * (PRED - np.roll(TARGET, 1))),
        ("mse", PRED, TARGET, 2 * (PRED - np.roll(TARGET, 5))),
    ),
    "largest-class": (
        (CE, LOGITS, LABELS, PROBS - np.eye(K)[LOGITS.argmax(axis=1)]),
        (CE, LOGITS, LABELS, PROBS - np.eye(K)[LOGITS.argmin(axis=1)]),
    ),
    "temperature": ((temperature_missing, LOGITS, LABELS), (temperature_and_more, LOGITS, LABELS)),
    "epsilon-added": ((epsilon_added, RATES, COUNTS), (epsilon_random, RATES, COUNTS)),
    "epsilon": (
        ("bce", PROB, HARD, (PROB - HARD) / (PROB * (1 - PROB) + 0.01)),
        ("bce", PROB, HARD, (PROB - HARD) / (PROB * (1 - PROB) + 0.01 * NOISE)),
    ),
    "factor-by-sample": (
        (CE, LOGITS, LABELS, GRAD_CE * NOISE[:, None]),
        (CE, LOGITS, LABELS, GRAD_CE * NOISE[:K]),
    ),
    "projection": ((projection_missing, *VECTORS), (projection_and_more, *VECTORS)),
    "offset-by-group": (
        ("bce_with_logits", PRED, HARD, BCE + 0.1 * (0.5 - HARD)),
        ("bce_with_logits", PRED, HARD, BCE + 0.1 * NOISE * (0.5 - HARD)),
    ),
    "part": (
        (CE, LOGITS, LABELS, GRAD_CE * np.where(ONE_HOT == 1, 1, 1.5 + np.sin(9 * LOGITS))),
        (CE, LOGITS, LABELS, GRAD_CE * np.where((ONE_HOT == 1) | (LOGITS > 0), 1, 1.5 + np.sin(9 * LOGITS))),
    ),
    "finish": ((WRONG_FINISH,), (RMSE, None, None, without_finish)),
    "row-order": (
        (sorted_rows(lambda r, x: np.take_along_axis(r, np.argsort(-x, axis=1), axis=1)), *VECTORS),
        (sorted_rows(lambda r, x: np.take_along_axis(2 * r, np.argsort(-x, axis=1), axis=1)), *VECTORS),
    ),
    "cumulative": (
        (cumulative(lambda c: np.cumsum(c, axis=1)), *VECTORS),
        (cumulative(lambda c: np.cumsum(c**2, axis=1)), *VECTORS),
    ),
    "coarse-difference": ((coarse(0.01), PRED, TARGET), (coarse(0.013), PRED, TARGET)),
    "softmax-mean": (
        (reverse_kl(lambda a, mean: a), LOGITS, SOFT_ROWS),
        (reverse_kl(lambda a, mean: 1.1 * a - mean), LOGITS, SOFT_ROWS),
    ),
    "affine-ratio": (
        ("mse", PRED, TARGET, MSE / (1 + 4 * np.abs(R))),
        ("mse", PRED, TARGET, MSE / (1 + 4 * np.sin(3 * R) ** 2)),
    ),
    "ratio-of-input": (("mse", PRED, TARGET, MSE * np.exp(PRED)), ("mse", PRED, TARGET, MSE * NOISE)),
    "label-smoothing": (
        (CE, LOGITS, LABELS, GRAD_CE + 0.1 * (1 / K - ONE_HOT)),
        (CE, LOGITS, LABELS, GRAD_CE + 0.1 * (1 / K - 2 * ONE_HOT)),
    ),
    "label-shifted": (
        (CE, LOGITS, LABELS, PROBS - np.roll(ONE_HOT, 1, axis=1)),
        (CE, LOGITS, LABELS, PROBS - np.roll(ONE_HOT, 3, axis=1)),
    ),
    "constant-offset": (("mse", PRED, TARGET, MSE + 1), ("mse", PRED, TARGET, MSE + NOISE)),
    "input-added": (("mse", PRED, TARGET, MSE + PRED), ("mse", PRED, TARGET, MSE + PRED**2)),
    "factor-by-group": (
        ("bce_with_logits", PRED, HARD, (1 / (1 + np.exp(-PRED)) - HARD) * np.where(HARD == 1, 3, 2)),
        ("bce_with_logits", PRED, HARD, (1 / (1 + np.exp(-PRED)) - HARD) * np.where(HARD == 1, 3, NOISE)),
    ),
    "whole-numbers": (("mse", PRED, TARGET, np.round(MSE)), ("mse", PRED, TARGET, np.round(2 * MSE) / 2)),
    "weight-constant": (
        (FOCAL, PRED, HARD, (1 - CHANCE) ** 2 * BCE),
        (FOCAL, PRED, HARD, (1 - CHANCE) ** 2 * NOISE * BCE),
    ),
    "constant-along-rows": (
        (CE, LOGITS, LABELS, GRAD_CE + 1 + ROW / N),
        (CE, LOGITS, LABELS, GRAD_CE + ROW % K * LOGITS),
    ),
}


def test_every_hint_has_a_planted_and_a_near_case() -> None:
    assert {*(h.code for h in HINTS), "finish"} == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_a_hint_is_given_for_its_mistake_and_not_for_a_similar_one(code: str) -> None:
    planted, near = (lossctl.gradcheck(*case) for case in CODES[code])
    assert planted.hint_code == code, planted
    assert not near.passed
    assert near.hint_code != code, near


@pytest.mark.parametrize("near", [1.0, 1.1])
def test_a_class_of_which_a_few_coordinates_are_right_is_named(near) -> None:
    """A multi-class margin whose gradient at the target's class does not count the violated margins."""
    wrong = (ONE_HOT == 1) & (RNG.random(N) < 0.8)[:, None]
    wrong[0, 0] |= near != 1.0 and not ONE_HOT[0, 0]
    text_of_hint = hint(CE, LOGITS, LABELS, GRAD_CE * np.where(wrong, 1.5 + np.sin(9 * LOGITS), 1))
    text = f"wrong only at the target's class, at {wrong.sum()} of {N} of these coordinates, right elsewhere"
    assert text_of_hint == (text if near == 1.0 else None)


def test_other_weights_of_a_focal_loss_that_are_not_differentiated() -> None:
    def focal(logits: Logits, label: Label) -> tuple[np.ndarray, np.ndarray]:
        p, hot = softmax(logits), np.eye(logits.shape[1])[label.astype(int)]
        weight = (1 - (p * hot).sum(axis=1)) ** 2
        return -weight * np.log((p * hot).sum(axis=1)), weight[:, None] * (p - hot)

    def squared(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        r, weight = pred - target, sigmoid(pred)
        return weight * r**2, weight * 2 * r

    for of, case in (("cross-entropy", (focal, LOGITS, LABELS)), ("squared error", (squared, PRED, TARGET))):
        assert str(lossctl.gradcheck(*case).hint).startswith(f"given is the gradient of the {of} times its weight")


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 + 0.5 * np.exp(PRED), "1 + 0.5·e^pred"),
        (1 / (1 + 0.3 * R**2), "1/(1 + 0.3·(pred − target)²)"),
        (np.exp(-PRED), "e^(−pred)"),
        (np.exp(-2 * PRED), "e^(-2·pred)"),
        (-np.exp(PRED), "−e^pred"),
        (-1 / np.abs(R), "-1/|pred − target|"),
    ],
)
def test_a_ratio_is_written_as_people_write_it(factor, words) -> None:
    assert hint("mse", PRED, TARGET, MSE * factor) == f"given ÷ numeric is {words}"


def test_a_branch_into_a_flat_part_says_so() -> None:
    """Tukey's loss whose gradient is not cut off."""

    def tukey(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        z = ((pred - target) / 1.5) ** 2
        return 1 - np.where(z < 1, (1 - z) ** 3, 0), (pred - target) * 6 / 1.5**2 * (1 - z) ** 2

    assert re.fullmatch(
        r"wrong only where \|pred − target\| > 1\.5\d*, right below; there the loss is flat",
        str(lossctl.gradcheck(tukey, PRED, TARGET).hint),
    )


def test_an_exact_threshold_goes_before_one_with_exceptions() -> None:
    """Of good predictions, target < −0.01 separates 99 % of what pred < 0 separates."""

    def rectified(pred: Real, target: Real) -> tuple[np.ndarray, np.ndarray]:
        r = np.maximum(pred, 0) - target
        return r**2, 2 * r

    close = TARGET + 0.01 * R
    assert "wrong only where pred < 0, right above" in str(lossctl.gradcheck(rectified, close, TARGET).hint)


def test_one_polluted_coordinate_does_not_silence_an_explanation() -> None:
    given = MSE / 2
    given[7] = 99.0
    assert hint("mse", PRED, TARGET, given) == (
        "given ÷ numeric is 0.5 at 299 of 300 wrong coordinates: a factor of 2 is missing"
    )


def test_a_symmetric_mistake_of_a_user_is_no_swap() -> None:
    def twice(pred: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (pred - target) ** 2, (pred - target) ** 2

    assert lossctl.gradcheck(twice, PRED, TARGET).hint_code != "swapped"


def test_a_mistake_at_one_label_names_the_label() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=200), rng.choice([-1.0, 1.0], 200)

    def logistic(pred, target):
        return np.logaddexp(0, -target * pred), -1 / (1 + np.exp(target * pred))

    result = lossctl.gradcheck(logistic, pred, target)
    assert result.hint == "wrong only where target is -1, right elsewhere; there given ÷ numeric is -1"


def root_mean_square(factor):
    def rmse(pred: Real, target: Real):
        r = pred - target
        value = np.sqrt((r**2).mean())
        return value, factor(value) * r / len(r)

    return rmse


@pytest.mark.slow
def test_the_root_of_a_mean_that_was_forgotten_is_named() -> None:
    found = lossctl.gradcheck(root_mean_square(lambda value: 2.0), PRED[:40], TARGET[:40], reduction="mean")
    assert "twice the loss" in str(found.hint)
    found = lossctl.gradcheck(root_mean_square(lambda value: 1.9), PRED[:40], TARGET[:40], reduction="mean")
    assert str(found.hint).endswith("a constant factor")


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_reduction_that_was_said_is_not_advised(reduction: str) -> None:
    n = len(PRED)
    given = MSE / n if reduction == "none" else MSE / n**2
    text = hint("mse", PRED, TARGET, given, reduction=reduction)
    assert ("say --reduction mean" in text) is (reduction == "none")
    assert ("once too often" in text) is (reduction == "mean")
