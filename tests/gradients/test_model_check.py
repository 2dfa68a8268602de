"""The gradient check of models: right ones pass within 30 evaluations, mistakes are named by array, place and cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradients.networks import MLP_MISTAKES, TRANSFORMER_MISTAKES, Loss, Params, mlp, transformer

import lossctl
from lossctl.errors import DataError, UsageError
from lossctl.gradients.model_result import ArrayCheck, ModelCheck

NETWORKS: dict[str, Callable[..., tuple[Loss, Params]]] = {"mlp": mlp, "transformer": transformer}
MISTAKES = [
    (network, mistake, *expected)
    for network, mistakes in (("mlp", MLP_MISTAKES), ("transformer", TRANSFORMER_MISTAKES))
    for mistake, expected in mistakes.items()
]
X = np.linspace(-1.0, 1.0, 12).reshape(4, 3)


def inside_float32(loss: Loss) -> Loss:
    """Return a loss that computes in float32 whatever it gets."""
    return lambda p: loss({name: a.astype(np.float32) for name, a in p.items()})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_network_passes_within_30_evaluations(network: str, dtype: Any, seed: int) -> None:
    loss, params = NETWORKS[network](dtype=dtype, seed=seed)
    result = lossctl.gradcheck(loss, params, seed=seed)
    assert result, result
    assert {a.verdict for a in result.arrays} == {"ok"}
    assert result.evaluations <= 30


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("network", "mistake", "array", "words"), MISTAKES)
def test_a_mistake_is_named(network: str, mistake: str, array: str, words: str, dtype: Any) -> None:
    loss, params = NETWORKS[network](dtype=dtype, mistake=mistake)
    result = lossctl.gradcheck(loss, params)
    assert not result
    assert result.verdict_of(array) == "wrong"
    assert any(words in hint for hint in result.hints), result
    assert result.evaluations <= 200
    if mistake != "twice":
        assert [a.name for a in result.arrays if a.verdict == "wrong"] == [array]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_loss_that_computes_in_float32_is_no_false_alarm(network: str) -> None:
    """Its noise is measured: a function of float64 numbers that has 7 digits."""
    loss, params = NETWORKS[network]()
    assert not [a for a in lossctl.gradcheck(inside_float32(loss), params).arrays if a.verdict == "wrong"]
    loss, params = NETWORKS[network](mistake="entry" if network == "mlp" else "sign")
    scaled = {"entry": "W1", "sign": "g1"}["entry" if network == "mlp" else "sign"]

    def worse(p: Params) -> tuple[Any, Params]:
        value, g = loss(p)
        g[scaled] = g[scaled] * 3.0
        return value, g

    assert lossctl.gradcheck(inside_float32(worse), params).verdict_of(scaled) == "wrong"


def test_a_saved_tensor_that_is_overwritten_spoils_every_array_before_it() -> None:
    loss, params = mlp(mistake="overwritten")
    result = lossctl.gradcheck(loss, params)
    assert [a.verdict for a in result.arrays] == ["wrong", "wrong", "ok", "ok", "ok", "ok"]
    assert result.worst[0].place.startswith(("W1[", "b1["))
    for seed in range(3):
        loss, params = mlp(mistake="overwritten", seed=seed)
        (hint, *_) = lossctl.gradcheck(loss, params, seed=seed).hints
        assert hint.startswith("every array up to b1 is wrong and every array from W2 on right")


def test_a_parameter_that_is_overwritten_in_place_is_said() -> None:
    """The loss normalises w in place, so that its gradient function starts from other numbers."""

    def loss(w: np.ndarray) -> Any:
        w /= np.sqrt((w**2).sum())
        return ((X @ w) ** 2).sum()

    def grad(w: np.ndarray) -> Any:
        size = np.sqrt((w**2).sum())
        d = 2.0 * X.T @ (X @ w / size)
        return {"w": (d - w / size * (d * w / size).sum()) / size}

    params = {"w": np.arange(1.0, 7.0).reshape(3, 2)}
    result = lossctl.gradcheck(loss, params, grad=grad)
    assert result.verdict_of("w") == "wrong"
    assert "w is overwritten in place" in result.notes[0]
    assert lossctl.gradcheck(lambda w: loss(w.copy()), params, grad=grad)


def test_two_gradients_in_one_buffer_are_said() -> None:
    buffer = np.empty(3)

    def loss(a: np.ndarray, b: np.ndarray) -> Any:
        np.multiply(2.0, a, out=buffer)
        first = buffer
        np.multiply(4.0, b, out=buffer)
        return (a**2).sum() + 2.0 * (b**2).sum(), {"a": first, "b": buffer}

    result = lossctl.gradcheck(loss, {"a": np.ones(3), "b": np.arange(3.0)})
    assert (result.verdict_of("a"), result.verdict_of("b")) == ("wrong", "ok")
    assert "the gradients of a and b are one array in memory" in result.notes


def test_zero_gradients_beside_a_right_loss() -> None:
    loss, params = mlp()
    result = lossctl.gradcheck(loss, params, grad={name: np.zeros_like(a) for name, a in params.items()})
    assert {a.verdict for a in result.arrays} == {"wrong"}
    assert result.hints == ["the gradients of W1, b1, W2, b2, W3, b3 are 0, and the loss depends on them"]


def test_a_weight_decay_that_the_gradient_forgets() -> None:
    loss, params = mlp()

    def decayed(p: Params) -> Any:
        value, g = loss(p)
        return value + 0.005 * (p["W2"] ** 2).sum(), g

    result = lossctl.gradcheck(decayed, params)
    assert result.hints == ["a term 0.01·W2 is missing: is it the derivative of a weight decay?"]


def test_a_missing_factor_of_the_chain_rule_at_the_clip() -> None:
    """The clipped objective of PPO: the ratio exp(new − old) is a factor of its derivative."""
    rng = np.random.default_rng(0)
    arrays = {"new": rng.normal(-1.0, 0.1, 40), "old": rng.normal(-1.0, 0.1, 40), "gain": rng.normal(0.0, 1.0, 40)}

    def loss(new: np.ndarray, old: np.ndarray, gain: np.ndarray, factor: bool = False) -> Any:
        ratio = np.exp(new - old)
        inside = ratio * gain <= np.clip(ratio, 0.8, 1.2) * gain
        slope = -gain * inside * (ratio if factor else 1.0)
        return -np.minimum(ratio * gain, np.clip(ratio, 0.8, 1.2) * gain).mean(), {"new": slope / len(new)}

    assert lossctl.gradcheck(lambda new, old, gain: loss(new, old, gain, factor=True), arrays, wrt="new")
    result = lossctl.gradcheck(loss, arrays, wrt="new")
    assert result.hint_codes == ["input-factor"]
    assert "exp(old − new)" in result.hints[0]


def test_a_gradient_where_values_are_clipped() -> None:
    x = {"x": np.linspace(-2.0, 2.0, 23)}

    def loss(x: np.ndarray) -> Any:
        return (3.0 * np.clip(x, -1.0, 1.0)).sum(), {"x": np.full_like(x, 3.0)}

    assert lossctl.gradcheck(loss, x).hint_codes == ["flat"]


def test_kinks_are_no_false_alarm_and_hide_no_mistake() -> None:
    """An L1 penalty at weights that are 0: every number between −1 and 1 is a subgradient."""
    w = np.where(np.arange(40) % 2, np.linspace(-1.0, 1.0, 40), 0.0)

    def loss(w: np.ndarray, b: np.ndarray, wrong: float = 1.0) -> Any:
        return np.abs(w).sum() + (b**2).sum(), {"w": np.sign(w) * wrong, "b": 2.0 * b}

    arrays = {"w": w, "b": np.linspace(0.5, 1.0, 5)}
    result = lossctl.gradcheck(loss, arrays)
    assert result
    assert (result.verdict_of("w"), result.verdict_of("b")) == ("kink", "ok")
    worse = lossctl.gradcheck(lambda w, b: loss(w, b, 8.0), arrays)
    assert (worse.verdict_of("w"), worse.verdict_of("b")) == ("wrong", "ok")


@pytest.mark.parametrize("seed", [21, 161])
def test_a_kink_at_the_point_is_seen_at_the_shortest_steps(seed: int) -> None:
    """A sample without an active unit has z2 = b2 = 0. Kinks that the longer steps cross cancel the gap of this one."""
    loss, params = mlp(seed=seed)
    result = lossctl.gradcheck(loss, params, seed=seed)
    assert result
    assert [a.verdict for a in result.arrays] == ["ok", "ok", "ok", "kink", "ok", "ok"]
    loss, params = mlp(seed=seed, mistake="entry")
    assert lossctl.gradcheck(loss, params, seed=seed).verdict_of("W1") == "wrong"


def test_no_evaluation_lets_a_swapped_pair_pass() -> None:
    """Errors +d and −d of two entries cancel along directions of equal magnitudes, with a chance of 1/2."""
    x = {"x": np.arange(1.0, 9.0)}

    def loss(x: np.ndarray) -> Any:
        g = 2.0 * x
        g[[2, 3]] = g[[3, 2]]
        return (x**2).sum(), {"x": g}

    for seed in range(20):
        assert not lossctl.gradcheck(loss, x, seed=seed)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_scaling_changes_no_verdict(size: float) -> None:
    loss, params = mlp()

    def scaled(p: Params) -> Any:
        value, g = loss(p)
        return size * value, {name: size * a for name, a in g.items()}

    def wrong(p: Params) -> Any:
        value, g = scaled(p)
        return value, g | {"b3": 1.001 * g["b3"]}

    assert lossctl.gradcheck(scaled, params)
    assert lossctl.gradcheck(wrong, params).verdict_of("b3") == "wrong"


def test_integers_frozen_arrays_and_missing_gradients_are_skipped_and_said() -> None:
    def loss(p: Params) -> Any:
        return (p["w"][p["ids"]] ** 2).sum() + p["frozen"].sum() + p["c"].sum(), {"w": 2.0 * p["w"], "frozen": None}

    arrays = {"w": np.ones(3), "ids": np.arange(3), "frozen": np.ones(2), "c": np.ones(2)}
    result = lossctl.gradcheck(loss, arrays)
    assert result
    assert [(a.name, a.verdict, a.reason) for a in result.arrays[1:]] == [
        ("ids", "skipped", "int64 has no gradient"),
        ("frozen", "skipped", "no gradient was returned"),
        ("c", "skipped", "no gradient was returned"),
    ]
    assert lossctl.gradcheck(loss, arrays, wrt="w").arrays[3].reason == "not in --wrt"
    with pytest.raises(DataError, match="returned no gradient of c, which --wrt names"):
        lossctl.gradcheck(loss, arrays, wrt=["w", "c"])


def test_randomness_is_seen_and_a_seed_makes_it_a_function() -> None:
    def loss(w: np.ndarray, seed: int | None = None) -> Any:
        kept = np.random.default_rng(seed).random(w.shape) < 0.5
        return (kept * w**2).sum(), {"w": 2.0 * kept * w}

    arrays = {"w": np.arange(1.0, 41.0)}
    with pytest.raises(UsageError, match=r"its loss differs .* pass its seed: --seed-arg seed"):
        lossctl.gradcheck(loss, arrays)
    assert lossctl.gradcheck(loss, arrays, seed_arg="seed")


def test_a_gradient_that_is_not_finite_is_named() -> None:
    loss, params = mlp()

    def nan(p: Params) -> Any:
        value, g = loss(p)
        g["W2"][1, 3] = np.nan
        return value, g

    result = lossctl.gradcheck(nan, params)
    assert result.hints == ["the gradient is nan at W2[1, 3] (1 of 80)"]
    assert [a.verdict for a in result.arrays] == ["ok", "ok", "wrong", "ok", "ok", "ok"]


def test_a_loss_that_is_rounded_verifies_nothing() -> None:
    """A plateau is no slope of 0."""
    loss, params = mlp()
    result = lossctl.gradcheck(lambda p: (round(float(loss(p)[0]), 1), loss(p)[1]), params)
    assert not result


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (1.0, "returned the loss alone, 1: return \\(loss, gradients by name\\)"),
        ((np.ones(3), {"w": np.ones(3)}), "returned shape \\(3,\\): the loss is one number"),
        ((np.nan, {"w": np.ones(3)}), "the loss is nan at these arrays"),
        ((1.0, {"v": np.ones(3)}), "gradients for v; the arrays are w"),
        ((1.0, {"w": np.ones(4)}), "the gradient of w has shape \\(4,\\), w \\(3,\\)"),
        ((1.0, {"w": ["a"]}), "gradients of w: of type <U1: return numbers"),
        ((1.0, 2.0, 3.0), "returned shape \\(3,\\): the loss is one number"),
        ({"w": 1.0}, "a value of type dict: the loss is one number"),
    ],
)
def test_other_results_are_refused(result: Any, cause: str) -> None:
    with pytest.raises((DataError, UsageError), match=cause):
        lossctl.gradcheck(lambda w: result, {"w": np.ones(3)})


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"w": np.array([1.0, np.inf])}, r"w\[1\] is inf: parameters must be finite"),
        ({"w": np.ones(2, complex)}, "array 'w' is of type complex128: give its real and imaginary part"),
        ({"w": np.arange(3)}, "no array of floats is left to check"),
        ({"q": np.ones(3)}, "returned no gradient of any array|gradients for w; the arrays are q"),
    ],
)
def test_other_arrays_are_refused(arrays: Params, cause: str) -> None:
    with pytest.raises((DataError, UsageError), match=cause):
        lossctl.gradcheck(lambda p: (1.0, {"w": np.ones(3)}), arrays)


def test_a_gradient_of_transposed_shape_is_named() -> None:
    result = lossctl.gradcheck(lambda w: ((X @ w) ** 2).sum(), {"w": np.ones((3, 2))}, grad={"w": np.ones((2, 3))})
    assert result.hints == ["the gradient of w has shape (2, 3): it is transposed"]


def test_a_float32_gradient_may_have_the_errors_of_rounded_inputs() -> None:
    """The angle 1000·w has an error of 3e-5 in float32, and so has the gradient, relatively."""
    w = np.linspace(0.5, 1.0, 50, dtype=np.float32)

    def loss(w: np.ndarray, factor: float = 1.0) -> Any:
        return np.cos(1000 * w).sum(), {"w": -np.sin(1000 * w) * np.float32(1000 * factor)}

    assert lossctl.gradcheck(loss, {"w": w})
    assert lossctl.gradcheck(lambda w: loss(w, 1.05), {"w": w}).verdict_of("w") == "wrong"


def test_a_check_with_many_unresolved_entries_does_not_pass() -> None:
    def check(unresolved: int) -> ModelCheck:
        arrays = [
            ArrayCheck("a", "gradient", (200,), "float64", 200, "ok"),
            ArrayCheck("b", "gradient", (unresolved,), "float64", unresolved, "unresolved"),
        ]
        return ModelCheck("f", arrays, [], [], [], 1)

    assert check(2)
    assert not check(3)
