"""Gradients that PyTorch 2.13 computed in float32 and bfloat16, and their verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.gradients.result import GradCheck
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, reference_slack, round_to

Z = [[8.25, -3.5, 0.75], [-2.5, 9.0, 1.25], [0.5, 0.25, -0.75]]
Y = [0, 1, 2]
V = [[1.0, 2.0, -0.5], [0.25, -1.5, 3.0]]
W = [[1.015625, 1.984375, -0.50390625], [0.251953125, -1.515625, 2.984375]]
L1 = ("mae", [1.0, 2.0, -3.0, 5.0, -0.5, 0.25], [0.0] * 6)
HIDDEN = "which hide an error of"

# In bfloat16 the numbers below are those of z.to(torch.bfloat16), as float32 numbers.
RIGHT: dict[str, tuple[Any, ...]] = {
    # The gradient of F.cross_entropy(z, y, reduction='sum') by autograd
    "cross_entropy, float32": (
        ("sparse_softmax_cross_entropy", Z, Y),
        [
            [-0.0005607008934020996, 7.884901606303174e-06, 0.0005527742905542254],
            [1.0125631888513453e-05, -0.0004406571388244629, 0.00043055281275883317],
            [0.48418986797332764, 0.37708747386932373, -0.8612772822380066],
        ],
        {},
    ),
    "cross_entropy, bfloat16": (  # p − 1 of a certain class is 0: it has no digit left
        ("sparse_softmax_cross_entropy", Z, Y),
        [
            [0.0, 7.867813110351562e-06, 0.000553131103515625],
            [1.0132789611816406e-05, 0.0, 0.000431060791015625],
            [0.486328125, 0.37890625, -0.859375],
        ],
        {},
    ),
    # The gradient of F.binary_cross_entropy_with_logits(x, t, reduction='sum') by autograd
    "bce_with_logits, float32": (
        ("bce_with_logits", [-7.5, 0.25, 3.0, 9.5], [0.0, 1.0, 1.0, 0.0]),
        [0.000552778656128794, -0.43782347440719604, -0.04742586612701416, 0.9999251365661621],
        {},
    ),
    # F.l1_loss(x, t): 1/6 has one magnitude, which shows its precision only next to the reference
    "l1_loss, float32": (L1, np.float32([1, 1, -1, 1, -1, 1]) / np.float32(6), {"reduction": "mean"}),
    "l1_loss, bfloat16": (L1, np.float32([1, 1, -1, 1, -1, 1]) * 0.1669921875, {"reduction": "mean"}),
    # F.poisson_nll_loss(x, t, reduction='sum'): e⁹⁰ is above the largest number
    "poisson_nll_loss, float32": (
        ("poisson_nll_log_rate", [90.0, 1.0, -2.0], [1.0, 2.0, 0.0]),
        [np.inf, 0.7182817459106445, 0.1353352814912796],
        {},
    ),
    # F.cosine_embedding_loss(v, w, torch.ones(2), reduction='sum'): of vectors that are nearly alike
    "cosine_embedding_loss, float32": (
        ("cosine_distance", V, W),
        [
            [-0.003481149673461914, 0.0019891858100891113, 0.0009946227073669434],
            [-0.00021792203187942505, 0.0016535371541976929, 0.0008449256420135498],
        ],
        {},
    ),
}


def _check(name: str, factor: float = 1.0) -> GradCheck:
    inputs, gradient, options = RIGHT[name]
    return lossctl.gradcheck(*inputs, grad=np.float32(np.float64(gradient) * factor), **options)


@pytest.mark.parametrize("name", RIGHT)
def test_gradients_of_pytorch_pass(name: str) -> None:
    assert _check(name)


@pytest.mark.parametrize("name", RIGHT)
def test_an_error_of_a_thousandth_is_seen_in_float32(name: str) -> None:
    assert not _check(name, 0.999)


def test_the_report_says_what_bfloat16_hides() -> None:
    result = _check("l1_loss, bfloat16")
    assert "bfloat16" in result.method
    assert "which hide an error of 6 % at most coordinates" in result.method
    assert HIDDEN not in _check("l1_loss, float32").method


def test_infinity_is_wrong_where_the_precision_has_the_number() -> None:
    gradient = np.float32([np.inf, 0.7182817459106445, 0.1353352814912796])
    result = lossctl.gradcheck("poisson_nll_log_rate", [80.0, 1.0, -2.0], [1.0, 2.0, 0.0], grad=gradient)
    assert result.counts["wrong"] == 1


@pytest.mark.parametrize("delta", [0.5, 2.0])
def test_huber_as_a_sum_of_two_parts(delta: float) -> None:
    rng = np.random.default_rng(0)
    pred, target = np.float32(rng.normal(0, 1e-3, (2, 500)))
    r = pred - target
    # optax: q = min(|r|, delta); q²/2 + delta·(|r| − q)
    gradient = np.sign(r) * (np.float32(delta) - (np.float32(delta) - np.abs(r)))
    assert lossctl.gradcheck(f"huber:delta={delta}", pred, target, grad=gradient)
    assert not lossctl.gradcheck(f"huber:delta={delta}", pred, target, grad=np.float32(0.999) * gradient)


def test_bfloat16_is_seen_before_class_weights_are_divided_out() -> None:
    weights, labels = np.array([0.3, 2.0, 1.0]), np.arange(30) % 3
    logs = np.log(np.full((30, 3), 1 / 3))
    in_bfloat16 = np.array([0.30078125, 2.0, 1.0])  # F.nll_loss(x, y, weight=w, reduction='sum')
    gradient = np.float32(-np.eye(3)[labels] * in_bfloat16[labels, None])
    options = {"class_weight": list(weights), "reduction": "sum"}
    assert lossctl.gradcheck("nll", logs, labels, grad=gradient, **options)
    assert not lossctl.gradcheck("nll", logs, labels, grad=gradient * 1.1, **options)


def test_the_other_side_of_a_hinge_is_rounded_too() -> None:
    # In bfloat16 x1 − x2 is −0.5, and 1/100 is 0.0100098: F.margin_ranking_loss(x1, x2, t, margin=0.5)
    x1, x2 = np.tile([-0.5859375, 2.0], 50), np.tile([-0.08447265625, 1.0], 50)
    gradient = np.full(100, 0.010009765625, np.float32)
    given = {"inputs": {"x2": x2}, "reduction": "mean"}
    assert lossctl.gradcheck("margin_ranking:margin=0.5", x1, -np.ones(100), grad=gradient, **given)
    assert not lossctl.gradcheck("margin_ranking:margin=0.5", x1, -np.ones(100), grad=1.1 * gradient, **given)


def _textbook_cosine(x: Any, y: Any, up: float) -> Any:
    """The gradient of up·(1 − x·y/√(x·x·y·y)), with every number rounded to the type of x."""
    dtype = x.dtype.type
    rows = {"axis": 1, "keepdims": True, "dtype": dtype}
    c, a, b = (x * y).sum(**rows), (x * x).sum(**rows), (y * y).sum(**rows)
    d = np.sqrt(a * b)
    to_dot, to_product = dtype(-up) / d, dtype(up) * c / (a * b) / d / dtype(2)
    return to_dot * y + to_product * b * dtype(2) * x


@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 1), (np.float16, 1), (np.float16, 300)])
def test_a_textbook_cosine_of_nearly_equal_vectors(dtype: Any, n: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)) + 5.0 * np.eye(5)[rng.integers(0, 5, 300)]  # one element is nearly the length
    x = dtype(x)
    y = dtype(x * (1.0 + 0.01 * rng.normal(size=x.shape)))
    gradient = _textbook_cosine(x, y, 1.0 / n)
    options = {"reduction": "mean" if n > 1 else "sum"}
    result = lossctl.gradcheck("cosine_distance", x, y, grad=gradient, **options)
    assert result, result
    assert (HIDDEN in result.method) == (dtype == np.float16)
    if dtype == np.float32:
        assert not lossctl.gradcheck("cosine_distance", x, y, grad=gradient * dtype(0.99), **options)


@pytest.mark.parametrize("spec", ["mse", "bce_with_logits", "cross_entropy", "huber"])
@pytest.mark.parametrize(("dtype", "factor"), [("float32", 0.999), ("float16", 0.99), ("bfloat16", 0.99)])
def test_a_small_factor_is_wrong_or_said_to_be_hidden(spec: str, dtype: str, factor: float) -> None:
    rng = np.random.default_rng(0)
    precision = PRECISIONS[dtype]
    pred, target = rng.normal(size=200), rng.normal(size=200)
    if spec == "bce_with_logits":
        pred, target = 3 * pred, (target > 0).astype(float)
    elif spec == "cross_entropy":
        pred, target = 3 * rng.normal(size=(60, 5)), rng.integers(0, 5, 60)
    pred = round_to(pred, precision)
    target = round_to(target, precision) if target.dtype.kind == "f" else target
    gradient = lossctl.get_loss(spec).gradient(pred, target)
    assert lossctl.gradcheck(spec, pred, target, grad=round_to(gradient, precision))
    result = lossctl.gradcheck(spec, pred, target, grad=round_to(factor * gradient, precision))
    assert not result or HIDDEN in result.method
    assert (dtype == "float32") == (HIDDEN not in result.method)
    assert not lossctl.gradcheck(spec, pred, target, grad=round_to(0.75 * gradient, precision))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_terms_of_an_angle_are_the_unit_vectors(sign: float) -> None:
    """Of nearly equal vectors too, and at every element: by another direction some elements had a tenth of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 5))
    arrays = [x, x * (1 + 0.01 * rng.normal(size=x.shape)), np.full(len(x), sign)]
    loss, bfloat16 = lossctl.get_loss("cosine_embedding"), PRECISIONS["bfloat16"]
    slack = reference_slack(loss, arrays, loss.gradient(*arrays), bfloat16)
    u, v = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in arrays[:2])
    terms = ULPS_OF_TERMS * bfloat16.eps * (np.abs(u) + np.abs(v)) / np.linalg.norm(x, axis=1, keepdims=True)
    assert (slack >= 0.999 * terms).all()
    assert np.median(slack / terms) < 3.0
