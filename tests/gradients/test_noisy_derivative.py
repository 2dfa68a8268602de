"""Derivatives of functions of unknown precision: the error bound holds, and says how many digits are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.noisy_derivative import NoisyDerivative, measure

RNG = np.random.default_rng(0)
X = RNG.normal(size=500) * 2


def measured(f: Callable, x: np.ndarray, low: float = -np.inf, high: float = np.inf) -> NoisyDerivative:
    size = np.maximum(np.abs(x), 0.1)
    problem = DerivativeProblem(lambda _r, at: f(at[:, 0]), x[:, None], x[:, None], size, low, high, 1e-6)
    return measure(problem, 0, np.arange(len(x)), f(x))


def in_float32(f: Callable) -> Callable:
    return lambda x: np.asarray(f(x.astype(np.float32)), float)


@pytest.mark.parametrize(
    ("f", "derivative", "x", "digits"),
    [
        (lambda x: x * x, lambda x: 2 * x, X, 1e-8),
        (lambda x: np.sqrt(1 + x * x) - 1, lambda x: x / np.sqrt(1 + x * x), X * 1e-4, 1e-6),
        (lambda x: np.log(np.cosh(x)), np.tanh, X * 1e-3, 1e-7),
        (lambda x: 1 - np.cos(x), np.sin, X * 1e-4, 1e-6),
        (lambda x: np.log(np.exp(x) + np.exp(8.0)) - 8.0, lambda x: 1 / (1 + np.exp(8.0 - x)), X - 8, 1e-5),
        (in_float32(lambda x: x * x), lambda x: 2 * x, X, 1e-4),
        (in_float32(lambda x: np.sqrt(1 + x * x) - np.float32(1)), lambda x: x / np.sqrt(1 + x * x), X, 1e-3),
        (lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x), X, 1e-2),
    ],
)
def test_the_error_bound_holds_and_is_small(f, derivative, x, digits) -> None:
    m = measured(f, x)
    true = derivative(x)
    assert (np.abs(m.derivative - true) <= 3.0 * m.error).all()
    assert np.median(m.error / np.abs(true)) < digits


def test_a_kink_is_told_from_a_smooth_minimum() -> None:
    at = np.zeros(3)
    np.testing.assert_allclose(measured(np.abs, at).half_jump, 1.0, rtol=1e-6)
    np.testing.assert_allclose(measured(lambda x: np.maximum(x, 0), at).half_jump, 0.5, rtol=1e-6)
    assert not measured(lambda x: x * x, at).half_jump.any()
    assert not measured(lambda x: np.log(np.cosh(x)), X * 1e-3).half_jump.any()


def test_flat_ground_next_to_a_kink_is_no_plateau_of_rounding() -> None:
    """A hinge that is satisfied has slope 0, and its kink is within reach of the long steps."""
    x = 1.0 + np.abs(X) + 1e-3
    m = measured(lambda at: np.maximum(1.0 - at, 0.0), x)
    assert not m.derivative.any()
    assert (m.error <= 1e-12).all()


def test_nothing_is_evaluated_outside_the_domain() -> None:
    seen = []

    def f(p):
        seen.append(p.copy())
        return -np.log(p)

    p = np.array([1e-9, 0.3, 1.0 - 1e-12])
    m = measured(f, p, low=0.0, high=1.0)
    assert all(((at > 0) & (at <= 1)).all() for at in seen)
    np.testing.assert_allclose(m.derivative[:2], -1 / p[:2], rtol=1e-6)
