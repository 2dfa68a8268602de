"""Outputs of kernels, right and with the bugs of the public record, against the registered losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.gradients.rounding import PRECISIONS, round_to
from lossctl.gradients.verify_causes import accumulate
from lossctl.gradients.verify_result import VerifiedArray

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(7)
N, K = 300, 6
LABELS = RNG.integers(0, K, N)
RIGHT = ("exact", "as right as")


def inputs(dtype: str) -> tuple[Array, Array]:
    """Return logits and an upstream gradient that are numbers of a precision, in float64."""
    rng = np.random.default_rng(3)
    return round_to(rng.normal(0, 3, (N, K)), PRECISIONS[dtype]), round_to(rng.normal(size=N), PRECISIONS[dtype])


def cross_entropy(logits: Array, upstream: Array, dtype: str, after: Callable[[Array], Array] | None = None) -> Any:
    """Return value and gradient of a right kernel, computed in float32 and rounded once, as GPU kernels do."""
    work = np.float64 if dtype == "float64" else np.float32
    z, up = logits.astype(work), upstream.astype(work)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    total = e.sum(axis=1, keepdims=True)
    value = np.log(total[:, 0]) + z.max(axis=1) - z[np.arange(N), LABELS]
    grad = e / total
    grad[np.arange(N), LABELS] -= 1
    grad = grad * up[:, None]
    return tuple(round_to(a.astype(float), PRECISIONS[dtype]) for a in (value, grad))


def only(result: lossctl.Verification) -> VerifiedArray:
    (array,) = result.arrays
    return array


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_right_kernel_passes_in_every_precision(dtype: str) -> None:
    logits, upstream = inputs(dtype)
    value, grad = cross_entropy(logits, upstream, dtype)
    result = lossctl.verify("cross_entropy", logits, LABELS, value=value, grad=grad, upstream=upstream, dtype=dtype)
    assert result, result
    assert all(a.verdict.startswith(RIGHT) for a in result.arrays)
    assert all(a.worst < 4.0 for a in result.arrays)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("role", ["value", "grad"])
def test_0_1_percent_is_wrong_and_named(dtype: str, role: str) -> None:
    logits, upstream = inputs(dtype)
    outputs = dict(zip(("value", "grad"), cross_entropy(logits, upstream, dtype), strict=True))
    scaled = round_to(outputs[role] * 0.999, PRECISIONS[dtype])
    arguments: dict[str, Any] = {role: scaled}
    array = only(lossctl.verify("ce", logits, LABELS, upstream=upstream, dtype=dtype, **arguments))
    assert array.verdict == "wrong"
    assert "0.999" in str(array.cause)


def test_the_precision_is_that_of_the_numbers() -> None:
    logits, upstream = inputs("bfloat16")
    value, grad = cross_entropy(logits, upstream, "bfloat16")
    stored = [a.astype(np.float32) for a in (value, grad)]
    result = lossctl.verify("ce", logits, LABELS, value=stored[0], grad=stored[1], upstream=upstream)
    assert [a.dtype for a in result.arrays] == ["bfloat16", "bfloat16"]
    assert result


def test_numbers_of_a_narrower_type_lose_digits() -> None:
    logits, upstream = inputs("float32")
    _, grad = cross_entropy(logits, upstream, "bfloat16")
    array = only(lossctl.verify("ce", logits, LABELS, grad=grad, upstream=upstream, dtype="float32"))
    assert (array.verdict, array.cause_code) == ("loses digits", "narrower-numbers")
    strict = lossctl.verify("ce", logits, LABELS, grad=grad, upstream=upstream, dtype="float32", strict=True)
    assert not strict.passed


def test_a_sum_in_a_narrower_type_loses_digits() -> None:
    """The denominator of each row in bfloat16, everything else in float32."""
    logits, _ = inputs("float32")
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    noise = round_to(e, PRECISIONS["float16"])
    value = np.log(noise.sum(axis=1)) + logits.max(axis=1) - logits[np.arange(N), LABELS]
    array = only(lossctl.verify("ce", logits, LABELS, value=value.astype(np.float32), dtype="float32"))
    assert array.verdict == "loses digits"
    assert "digits" in str(array.cause)


def test_cancellation_loses_digits_where_it_happens() -> None:
    """log(1 + e^z) as such, from probabilities: log(1 − p) has no digits for p next to 1."""
    z = np.float32(np.random.default_rng(5).uniform(-14, 14, 2000))
    p = 1 / (1 + np.exp(-z))
    value = -np.log(1 - p)
    array = only(lossctl.verify("bce_with_logits", z, np.zeros(2000), value=value))
    assert array.verdict == "loses digits"
    assert 0 < array.beyond < 1500


def planted(name: str) -> tuple[dict[str, Any], str]:
    """Return the arguments of verify for a bug of the public record, and the code of its cause."""
    logits, upstream = inputs("float32")
    ones = np.ones(N)
    value, grad = cross_entropy(logits, ones, "float32")
    full = cross_entropy(logits, upstream, "float32")[1]
    row = {"upstream": upstream, "dtype": "float32"}
    whole = {"reduction": "mean", "dtype": "float32"}
    many: Array = np.abs(np.random.default_rng(1).normal(size=4000)).astype(np.float32)
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "times only the first upstream element": ({"grad": grad * upstream[0], **row}, "upstream-first"),
        "ignores the upstream gradient": ({"grad": grad, **row}, "upstream-ignored"),
        "ignores the upstream number of a mean": ({"grad": grad / N, **whole, "upstream": 2.0}, "upstream-ignored"),
        "times the upstream gradient twice": ({"grad": full * upstream[:, None], **row}, "upstream-twice"),
        "divided by the batch twice, gradient": ({"grad": grad / N**2, **whole}, "divided-twice"),
        "divided by the batch twice, value": ({"value": value.mean() / N, **whole}, "divided-twice"),
        "a sum and not the mean": ({"value": value.sum(), **whole}, "not-divided"),
        "zero gradient beside a right loss": ({"value": value, "grad": 0.0 * grad, "dtype": "float32"}, "not-computed"),
        "another objective": ({"grad": _poly1(logits), "dtype": "float32"}, "other-loss"),
        "half the gradient": ({"grad": grad / 2, "dtype": "float32"}, "constant-factor"),
        "NaN": ({"value": np.where(value > 3, np.nan, value), "dtype": "float32"}, "not-finite"),
        "accumulated in bfloat16": (
            {"loss": "mae", "pred": many, "target": 0 * many, "value": accumulate(many, PRECISIONS["bfloat16"]) / 4000}
            | whole,
            "narrower-type",
        ),
    }
    arguments, code = cases[name]
    return {"loss": "ce", "pred": logits, "target": LABELS, **arguments}, code


def _poly1(logits: Array) -> Array:
    return np.asarray(lossctl.get_loss("poly1_softmax").gradient(logits, LABELS).astype(np.float32))


@pytest.mark.parametrize(
    "name",
    [
        "times only the first upstream element",
        "ignores the upstream gradient",
        "ignores the upstream number of a mean",
        "times the upstream gradient twice",
        "divided by the batch twice, gradient",
        "divided by the batch twice, value",
        "a sum and not the mean",
        "zero gradient beside a right loss",
        "another objective",
        "half the gradient",
        "NaN",
        "accumulated in bfloat16",
    ],
)
def test_a_bug_is_found_with_its_cause(name: str) -> None:
    arguments, code = planted(name)
    result = lossctl.verify(arguments.pop("loss"), arguments.pop("pred"), arguments.pop("target"), **arguments)
    array = result.arrays[-1]
    assert (array.verdict, array.cause_code) == ("wrong", code), result
    assert not result


def test_samples_without_weight_have_no_output() -> None:
    logits, _ = inputs("float32")
    grad = cross_entropy(logits, np.ones(N), "float32")[1]
    labels = np.where(np.arange(N) % 3 == 0, -100, LABELS)
    masked = grad * (labels != -100)[:, None]
    assert lossctl.verify("ce", logits, labels, grad=masked, ignore_index=-100, dtype="float32")
    array = only(lossctl.verify("ce", logits, labels, grad=grad, ignore_index=-100, dtype="float32"))
    assert (array.verdict, array.cause_code) == ("wrong", "left-out")


def test_a_subgradient_at_a_kink_is_right() -> None:
    pred = np.array([0.0, 1.0, -2.0, 0.0])
    for at_kink in (-1.0, 0.0, 0.5, 1.0):
        grad = np.where(pred == 0, at_kink, np.sign(pred))
        assert lossctl.verify("mae", pred, 0 * pred, grad=grad), at_kink
    assert not lossctl.verify("mae", pred, 0 * pred, grad=np.where(pred == 0, 1.5, np.sign(pred)))


def test_the_baseline_is_compared() -> None:
    logits, _ = inputs("float32")
    low, high = (cross_entropy(logits, np.ones(N), dtype)[1] for dtype in ("bfloat16", "float32"))
    array = only(lossctl.verify("ce", logits, LABELS, grad=low, baseline=high, dtype="bfloat16"))
    assert array.ratio is not None
    assert array.ratio > 1000.0
    same = only(lossctl.verify("ce", logits, LABELS, grad=low, baseline=low, dtype="bfloat16"))
    assert same.ratio == 1.0


def test_the_result_does_not_depend_on_blocks() -> None:
    """Three blocks of 131,072 numbers, of which one number is wrong."""
    pred = np.random.default_rng(0).normal(size=300_000)
    value = np.square(pred)
    value[200_000] *= 1.001
    array = only(lossctl.verify("mse", pred, 0 * pred, value=value))
    assert (array.checked, array.beyond, array.worst_row, array.verdict) == (300_000, 1, 200_000, "wrong")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to check"),
        ({"grad": [1.0, 2.0]}, "given gradient has 2 rows"),
        ({"grad": [[1.0, 2.0]] * 3}, "gradient has shape (n, 2), and (n,)"),
        ({"value": [1.0, 2.0, 3.0], "reduction": "mean"}, "one number"),
        ({"value": [1.0, 2.0, 3.0], "dtype": "float8"}, "float8"),
        ({"value": [1.0, 2.0, 3.0], "grad": [1.0, 2.0, 3.0], "baseline": [1.0, 2.0, 3.0]}, "baseline"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(lossctl.LossctlError) as refused:
        lossctl.verify("mse", [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], **arguments)
    assert message in str(refused.value)


RNG = np.random.default_rng(5)
LONG = RNG.normal(size=(150_000, 2)), RNG.normal(size=(150_000, 2))


def test_outputs_at_samples_without_weight_are_counted_over_all_blocks() -> None:
    pred, target = LONG
    weight = np.ones(len(pred))
    weight[[7, 75_000, 149_999]] = 0.0
    gradient = 2.0 * (pred - target) * weight[:, None]
    assert lossctl.verify("mse", pred, target, grad=gradient, weight=weight)
    gradient[weight == 0.0] = 1.0
    (array,) = lossctl.verify("mse", pred, target, grad=gradient, weight=weight).arrays
    assert array.cause == "6 outputs at samples that are left out are not 0, first at sample 7"
    gradient[7] = 0.0
    (array,) = lossctl.verify("mse", pred, target, grad=gradient, weight=weight).arrays
    assert array.cause == "4 outputs at samples that are left out are not 0, first at sample 75000"


def test_a_baseline_is_compared_with_the_reduced_gradient() -> None:
    pred, target = (a[:50] for a in LONG)
    right = 2.0 * (pred - target) / pred.size
    result = lossctl.verify("mse", pred, target, grad=0.9 * right, reduction="mean", baseline=right)
    (array,) = result.arrays
    assert array.baseline_rms == pytest.approx(0.0, abs=1e-15)
    assert array.rms == pytest.approx(0.1 * float(np.sqrt(np.mean(right**2))))


def test_one_upstream_number_for_each_sample_of_several_elements() -> None:
    pred, target = (a[:50] for a in LONG)
    upstream = RNG.uniform(0.5, 2.0, 50)
    gradient = 2.0 * (pred - target)
    assert lossctl.verify("mse", pred, target, grad=gradient * upstream[:, None], upstream=upstream)
    assert not lossctl.verify("mse", pred, target, grad=gradient * np.resize(upstream, (50, 2)), upstream=upstream)


def test_the_sum_of_the_upstream_gradient_is_that_of_all_samples() -> None:
    pred, target = (a[:5000, 0] for a in LONG)
    upstream = RNG.uniform(0.5, 2.0, 5000)
    result = lossctl.verify("mse", pred, target, grad=2.0 * (pred - target) * upstream.sum(), upstream=upstream)
    assert result.arrays[0].cause_code == "upstream-sum"


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_reduced_value_is_allowed_the_rounding_of_its_own_size(reduction: str) -> None:
    pred, target = (a[:5000, 0] for a in LONG)
    exact = float(lossctl.compute("mse", pred, target, reduction=reduction))
    assert lossctl.verify("mse", pred, target, value=np.float32(exact), reduction=reduction)
    assert not lossctl.verify("mse", pred, target, value=np.float32(1.001 * exact), reduction=reduction)


def test_errors_with_a_sign_are_no_lost_digits() -> None:
    pred, target = (a[:5000, 0].astype(np.float32).astype(float) for a in LONG)
    gradient = np.float32(2.0 * (pred - target) * (1.0 + 40 * 2.0**-23))
    assert lossctl.verify("mse", pred, target, grad=gradient).arrays[0].verdict == "wrong"
    noisy = np.float32(2.0 * (pred - target) * (1.0 + 40 * 2.0**-23 * RNG.choice([-1.0, 1.0], 5000)))
    assert lossctl.verify("mse", pred, target, grad=noisy).arrays[0].verdict == "loses digits"
