"""Derivatives of layers: backward passes at random cotangents, forward derivatives, Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.errors import DataError, UsageError

RNG = np.random.default_rng(0)
ARRAYS = {"x": RNG.standard_normal((6, 5)), "w": 0.4 * RNG.standard_normal((5, 5)), "b": RNG.standard_normal(5)}
Array = np.ndarray


def forward(x: Array, w: Array, b: Array) -> Array:
    return np.tanh(x @ w + b)


def backward(u: Array, x: Array, w: Array, b: Array) -> Any:
    d = u * (1.0 - forward(x, w, b) ** 2)
    return d @ w.T, x.T @ d, d.sum(axis=0)


def tangent(t: dict[str, Array], x: Array, w: Array, b: Array) -> Array:
    return (1.0 - forward(x, w, b) ** 2) * (t["x"] @ w + x @ t["w"] + t["b"])


def loss(x: Array, w: Array, b: Array) -> Any:
    y = forward(x, w, b)
    return (y**2).sum(), dict(zip("xwb", backward(2.0 * y, x, w, b), strict=True))


def second(v: dict[str, Array], x: Array, w: Array, b: Array) -> dict[str, Array]:
    y = forward(x, w, b)
    dy = tangent(v, x, w, b)
    d, dd = 2.0 * y * (1.0 - y**2), 2.0 * dy * (1.0 - y**2) - 4.0 * y * y * dy
    return {"x": dd @ w.T + d @ v["w"].T, "w": x.T @ dd + v["x"].T @ d, "b": dd.sum(axis=0)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right_derivatives_pass(dtype: Any) -> None:
    arrays = {name: a.astype(dtype) for name, a in ARRAYS.items()}
    result = lossctl.gradcheck(forward, arrays, vjp=backward, jvp=tangent)
    assert result, result
    assert [(a.name, a.what) for a in result.arrays] == [("x", "vjp"), ("w", "vjp"), ("b", "vjp"), ("output", "jvp")]
    assert result.notes[0].startswith("forward and reverse agree")
    assert lossctl.gradcheck(loss, arrays, hvp=second)


WRONG_VJP: list[tuple[str, Callable[..., Any], str]] = [
    ("ignores-upstream", lambda u, **a: backward(np.ones_like(u), **a), "ignores the upstream gradient"),
    ("first-element", lambda u, **a: backward(np.full_like(u, u.flat[0]), **a), "only the first element"),
    ("first-row", lambda u, **a: backward(np.broadcast_to(u[:1], u.shape), **a), "only the first row"),
    ("first-column", lambda u, **a: backward(np.broadcast_to(u[:, :1], u.shape), **a), "only the first column"),
    ("mean-upstream", lambda u, **a: backward(np.full_like(u, u.mean()), **a), "only the mean"),
    ("not-linear", lambda u, **a: backward(u**2, **a), "not proportional to the upstream gradient"),
    ("constant-factor", lambda u, **a: backward(-u, **a), "given ÷ numeric is -1 in every array: the sign is wrong"),
    ("transposed", lambda u, **a: [g.T if i == 1 else g for i, g in enumerate(backward(u, **a))], "w is transposed"),
    ("zero", lambda u, **a: (*backward(u, **a)[:2], np.zeros(5)), "the gradient of b is 0"),
]


@pytest.mark.parametrize(("code", "vjp", "words"), WRONG_VJP, ids=[case[0] for case in WRONG_VJP])
def test_a_wrong_backward_pass_is_named(code: str, vjp: Callable[..., Any], words: str) -> None:
    result = lossctl.gradcheck(forward, ARRAYS, vjp=vjp)
    assert not result
    assert result.hint_codes[0] == code, result
    assert words in result.hints[0]


def test_every_tokens_gradient_times_the_first_upstream_element() -> None:
    """A fused cross-entropy without reduction: the kernel scales all rows with the upstream gradient of row 0."""
    labels = np.array([0, 3, 1, 2, 2, 0, 1])
    arrays = {"logits": np.random.default_rng(1).standard_normal((7, 4)), "labels": labels}

    def losses(logits: Array, labels: Array) -> Array:
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]

    def vjp(u: Array, logits: Array, labels: Array, *, fused: bool = True) -> Array:
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1.0
        return p * (u[0] if fused else u[:, None])

    assert lossctl.gradcheck(losses, arrays, vjp=lambda u, logits, labels: vjp(u, logits, labels, fused=False))
    result = lossctl.gradcheck(losses, arrays, vjp=vjp)
    assert result.hints[0] == "the vjp uses only the first element of the upstream gradient"


def test_an_input_that_the_forward_pass_overwrites_is_what_the_backward_pass_reads() -> None:
    """Softplus in place: its backward pass needs x, and finds log(1 + eˣ)."""

    def softplus(x: Array) -> Array:
        return np.log1p(np.exp(x, out=x), out=x)

    def vjp(u: Array, x: Array) -> Array:
        return u / (1.0 + np.exp(-x))

    arrays = {"x": np.linspace(-2.0, 2.0, 9)}
    result = lossctl.gradcheck(softplus, arrays, vjp=vjp)
    assert result.hint_codes[0] == "overwritten"
    assert "overwrites x in place before the backward pass reads it" in result.hints[0]
    assert lossctl.gradcheck(lambda x: softplus(x.copy()), arrays, vjp=vjp)


def test_a_factor_that_is_missing_where_values_are_clipped() -> None:
    arrays = {"x": np.linspace(-2.0, 2.0, 21), "scale": np.linspace(0.5, 1.5, 21)}

    def clipped(x: Array, scale: Array) -> Array:
        return np.clip(x * scale, -1.0, 1.0)

    def inside(x: Array, scale: Array) -> Array:
        return np.abs(x * scale) < 1.0

    def right(u: Array, x: Array, scale: Array) -> Array:
        return u * scale * inside(x, scale)

    assert lossctl.gradcheck(clipped, arrays, vjp=right, wrt="x")
    straight = lossctl.gradcheck(clipped, arrays, vjp=lambda u, x, scale: u * scale, wrt="x")
    assert straight.hint_codes == ["flat"]
    factor = lossctl.gradcheck(clipped, arrays, vjp=lambda u, x, scale: u * inside(x, scale), wrt="x")
    assert factor.hints == ["given ÷ numeric is 1/scale in x: a factor of the chain rule is missing or too much"]


WRONG_JVP: list[tuple[str, Callable[..., Any], str]] = [
    ("ignores-a-tangent", lambda t, **a: tangent(t | {"w": 0.0 * t["w"]}, **a), "does not use the tangent of w"),
    ("constant-factor", lambda t, **a: 0.5 * tangent(t, **a), "given ÷ numeric is 0.5 in the jvp"),
    ("zero", lambda t, **a: np.zeros((6, 5)), "the jvp is 0"),
    (
        "ignores-tangents",
        lambda t, **a: tangent({n: np.ones_like(b) for n, b in a.items()}, **a),
        "ignores the tangents",
    ),
]


@pytest.mark.parametrize(("code", "jvp", "words"), WRONG_JVP, ids=[case[0] for case in WRONG_JVP])
def test_a_wrong_forward_derivative_is_named(code: str, jvp: Callable[..., Any], words: str) -> None:
    result = lossctl.gradcheck(forward, ARRAYS, vjp=backward, jvp=jvp)
    assert [a.verdict for a in result.arrays] == ["ok", "ok", "ok", "wrong"]
    assert result.hint_codes[0] == code, result
    assert words in result.hints[0]
    assert "forward and reverse disagree" in result.notes[0]


def test_wrong_outputs_are_named_one_by_one() -> None:
    def jvp(t: dict[str, Array], **arrays: Array) -> Array:
        y = tangent(t, **arrays)
        y[3, 2] = 0.0
        return y

    result = lossctl.gradcheck(forward, ARRAYS, jvp=jvp)
    assert [entry.place for entry in result.worst] == ["jvp output[3, 2]"]


def test_forward_over_reverse_that_is_wrong() -> None:
    """The derivative of the backward pass without that of its weights."""

    def hvp(v: dict[str, Array], **arrays: Array) -> dict[str, Array]:
        result = second(v, **arrays)
        y = forward(**arrays)
        return result | {"x": result["x"] - 2.0 * y * (1.0 - y**2) @ v["w"].T}

    result = lossctl.gradcheck(loss, ARRAYS, hvp=hvp)
    assert [a.verdict for a in result.arrays] == ["ok"] * 3 + ["wrong", "ok", "ok"]
    assert result.hints[0] == "in the hvp d²/dx dw is wrong: the derivative of the gradient of x along w"
    assert result.hints[1] == "the hvp of x is wrong, and that of w, b right"
    assert result.hints[2].startswith("the hvp is not symmetric")


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("ignores-vector", lambda v, hv, arrays: arrays),
        ("ignores-a-vector", lambda v, hv, arrays: second(v | {"w": 0.0 * v["w"]}, **arrays)),
        ("not-linear", lambda v, hv, arrays: {n: a * np.abs(v[n]) for n, a in hv.items()}),
        ("diagonal", lambda v, hv, arrays: {n: a * v[n] for n, a in arrays.items()}),
        ("constant-factor", lambda v, hv, arrays: {n: 0.5 * a for n, a in hv.items()}),
    ],
)
def test_a_wrong_product_of_second_derivatives_is_named(code: str, change: Callable[..., Any]) -> None:
    def hvp(v: dict[str, Array], **arrays: Array) -> dict[str, Array]:
        return change(v, second(v, **arrays), arrays)

    result = lossctl.gradcheck(loss, ARRAYS, hvp=hvp)
    assert not result
    assert result.hint_codes[0] == code


def test_several_outputs_and_inputs_that_are_integers() -> None:
    arrays = {"x": np.linspace(0.5, 2.0, 6), "k": np.array([0, 2, 4])}

    def split(p: dict[str, Array]) -> dict[str, Array]:
        return {"log": np.log(p["x"]), "taken": p["x"][p["k"]] ** 2, "order": np.argsort(p["x"])}

    def vjp(u: dict[str, Any], p: dict[str, Array]) -> dict[str, Array]:
        assert u["order"] is None
        d = u["log"] / p["x"]
        np.add.at(d, p["k"], 2.0 * u["taken"] * p["x"][p["k"]])
        return {"x": d}

    def jvp(t: Array, p: dict[str, Array]) -> dict[str, Array]:
        return {"log": t / p["x"], "taken": 2.0 * p["x"][p["k"]] * t[p["k"]]}

    result = lossctl.gradcheck(split, arrays, vjp=vjp, jvp=jvp)
    assert result, result
    assert [a.name for a in result.arrays if a.what == "jvp"] == ["log", "taken"]


def test_kinks_of_relu_are_no_false_alarm() -> None:
    x = {"x": np.array([-1.0, 0.0, 0.0, 1.0, 2.0])}
    result = lossctl.gradcheck(lambda x: np.maximum(x, 0.0), x, vjp=lambda u, x: u * (x > 0))
    assert result.verdict_of("x") in ("ok", "kink")
    wrong = lossctl.gradcheck(lambda x: np.maximum(x, 0.0), x, vjp=lambda u, x: u * (x > -2))
    assert wrong.verdict_of("x") == "wrong"


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (lambda: lossctl.gradcheck(forward, ARRAYS, vjp=backward, hvp=second), "--vjp and --jvp check a layer"),
        (lambda: lossctl.gradcheck(forward, ARRAYS, vjp=lambda u, q: u), r"takes \(u, q\)|returned a value"),
        (
            lambda: lossctl.gradcheck(forward, ARRAYS, vjp=lambda u, **a: u),
            "returned a value of type ndarray as gradients",
        ),
        (lambda: lossctl.gradcheck(forward, ARRAYS, jvp=lambda t, **a: 1.0), r"returned shape \(\) for output"),
        (
            lambda: lossctl.gradcheck(lambda x: "a", {"x": np.ones(2)}, vjp=lambda u, x: u),
            "output is a value of type str",
        ),
        (lambda: lossctl.gradcheck("mse", [1.0], [2.0], vjp=backward), "belong to a function of arrays by name"),
        (lambda: lossctl.gradcheck("mse", {"x": np.ones(2)}), "arrays by name are the inputs of a function"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], cause: str) -> None:
    with pytest.raises((DataError, UsageError), match=cause):
        call()


def test_an_hvp_that_is_wrong_everywhere_names_no_pair_of_arrays() -> None:
    factors = {name: np.random.default_rng(0).uniform(1.5, 3.0, a.shape) for name, a in ARRAYS.items()}

    def hvp(v: dict[str, Array], **arrays: Array) -> dict[str, Array]:
        return {name: factors[name] * a for name, a in second(v, **arrays).items()}

    assert "blocks" not in lossctl.gradcheck(loss, ARRAYS, hvp=hvp).hint_codes
