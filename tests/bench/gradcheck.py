"""What the gradient check lets through, and what it costs: ``python tests/bench/gradcheck.py [bar|speed|torch]``.

The kernels and the planted mistakes are those of tests/test_verdicts.py, which is the bar in small.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lossctl.differences import Problem
from lossctl.kernels.spec import Loss
from lossctl.points import magnitude
from lossctl.verdicts import Checked, Verdict, check

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]


# --- kernels by hand ---


def wide(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Predictions and targets over twelve decades, a third of them close to each other or to 0."""
    x, t = 10.0 ** rng.uniform(-6, 6, (2, n)) * rng.choice([-1.0, 1.0], (2, n))
    m = rng.random(n)
    x = np.where(m < 0.3, rng.normal(size=n), x)
    t = np.where(m < 0.4, rng.normal(size=n), t)
    t = np.where((m > 0.5) & (m < 0.8), x + 10.0 ** rng.uniform(-9, 2, n) * rng.choice([-1.0, 1.0], n), t)
    return x, np.where(m > 0.995, x, t)


def small(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """The same up to 100, for kernels that oscillate 10⁶ times a unit.

    Theirs is the limit: of 10⁶·x the last digit is 1.5e-8 at x = 100, and sin of it is off by as
    much; where the oscillation is seen (steps of 1e-9 and less) that is all of the difference.
    """
    x, t = wide(rng, n)
    return x * (big := np.minimum(1.0, 100.0 / np.abs(x))), t * big


def positive(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Above 0, and sometimes 0, where the domain ends."""
    x, t = wide(rng, n)
    return np.where(rng.random(n) < 0.005, 0.0, np.abs(x)), np.abs(t)


def unit(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Between 0 and 1, log-uniform in the distance from both."""
    near = 10.0 ** rng.uniform(-12, np.log10(0.5), (2, n))
    x, t = np.where(rng.random((2, n)) < 0.5, near, 1.0 - near)
    m = rng.random(n)
    return np.where(m < 0.005, 0.0, np.where(m > 0.995, 1.0, x)), t


@dataclass(frozen=True)
class Kernel:
    """A loss f(x, t), its gradient, its domain and where to look at it."""

    f: Callable[[Array, Array], Array]
    g: Callable[[Array, Array], Array]
    draw: Draw = wide
    low: float = -np.inf
    high: float = np.inf
    unresolved: float = 0.01  # of 1: the share that may be beyond the reach of differences


def _tukey(r: Array) -> Array:
    u = np.minimum((r / 4.685) ** 2, 1.0)
    return 4.685**2 / 6 * u * (3 - 3 * u + u * u)


def _log_cosh(r: Array) -> Array:
    a = np.abs(r)
    near = np.log1p(2 * np.sinh(np.minimum(a, 1.0) / 2) ** 2)
    return np.where(a < 1, near, a + np.log1p(np.exp(-2 * a)) - np.log(2))


KERNELS: dict[str, Kernel] = {
    # smooth
    "linear": Kernel(lambda x, t: 2 * x + 0 * t, lambda x, t: 2 + 0 * x),
    "quartic": Kernel(lambda x, t: (x - t) ** 4, lambda x, t: 4 * (x - t) ** 3),
    "exp": Kernel(lambda x, t: np.exp(np.clip(x - t, -700, 700)),
                  lambda x, t: np.exp(np.clip(x - t, -700, 700)) * (np.abs(x - t) < 700)),
    "log cosh": Kernel(lambda x, t: _log_cosh(x - t), lambda x, t: np.tanh(x - t)),
    "constant": Kernel(lambda x, t: 0 * x + 3.0, lambda x, t: 0 * x),
    "zero": Kernel(lambda x, t: 0 * x, lambda x, t: 0 * x),
    # flat far away
    "cauchy": Kernel(lambda x, t: 0.5 * np.log1p((x - t) ** 2), lambda x, t: (x - t) / (1 + (x - t) ** 2)),
    "welsch": Kernel(lambda x, t: -np.expm1(-((x - t) ** 2) / 2), lambda x, t: (x - t) * np.exp(-((x - t) ** 2) / 2)),
    "geman": Kernel(lambda x, t: (x - t) ** 2 / (1 + (x - t) ** 2), lambda x, t: 2 * (x - t) / (1 + (x - t) ** 2) ** 2),
    "tukey": Kernel(lambda x, t: _tukey(x - t),
                    lambda x, t: np.where(np.abs(x - t) < 4.685, (x - t) * (1 - ((x - t) / 4.685) ** 2) ** 2, 0)),
    "dip at 3e5": Kernel(lambda x, t: -np.exp(-((x - 3e5) ** 2)), lambda x, t: 2 * (x - 3e5) * np.exp(-((x - 3e5) ** 2)),
                         draw=lambda rng, n: (3e5 + wide(rng, n)[1] * 1e-3, wide(rng, n)[1])),
    # steep, tiny
    "1e9 · square": Kernel(lambda x, t: 1e9 * (x - t) ** 2, lambda x, t: 2e9 * (x - t)),
    # Two per cent lie within a few ulp of x of a transition that is 1e-9 wide.
    "tanh of 1e9·r": Kernel(lambda x, t: np.tanh(1e9 * (x - t)),
                            lambda x, t: 1e9 / np.cosh(np.minimum(np.abs(1e9 * (x - t)), 700)) ** 2, unresolved=0.02),
    "softplus of 1e9·x": Kernel(lambda x, t: np.logaddexp(0, 1e9 * x) / 1e9, lambda x, t: 1 / (1 + np.exp(-1e9 * x))),
    "1e-12 · cauchy": Kernel(lambda x, t: 1e-12 * np.log1p((x - t) ** 2),
                             lambda x, t: 1e-12 * 2 * (x - t) / (1 + (x - t) ** 2)),
    # oscillating
    "sin": Kernel(lambda x, t: np.sin(x), lambda x, t: np.cos(x)),
    "sin of 1000·x": Kernel(lambda x, t: np.sin(1000 * x), lambda x, t: 1000 * np.cos(1000 * x)),
    "sin of 1e6·x": Kernel(lambda x, t: np.sin(1e6 * x), lambda x, t: 1e6 * np.cos(1e6 * x), draw=small),
    "x + 1e-7 sin(1e6·x)": Kernel(lambda x, t: x + 1e-7 * np.sin(1e6 * x), lambda x, t: 1 + 0.1 * np.cos(1e6 * x), draw=small),
    # kinks
    "abs": Kernel(lambda x, t: np.abs(x - t), lambda x, t: np.sign(x - t)),
    "relu": Kernel(lambda x, t: np.maximum(x, 0) * t, lambda x, t: (x > 0) * t),
    "epsilon-insensitive": Kernel(lambda x, t: np.maximum(np.abs(x - t) - 0.1, 0),
                                  lambda x, t: np.sign(x - t) * (np.abs(x - t) > 0.1)),
    "quantile": Kernel(lambda x, t: np.maximum(0.3 * (t - x), -0.7 * (t - x)), lambda x, t: np.where(t > x, -0.3, 0.7)),
    "two kinks 1e-7 apart": Kernel(lambda x, t: np.abs(x) + np.abs(x - 1e-7), lambda x, t: np.sign(x) + np.sign(x - 1e-7)),
    # piecewise
    "x² or 3x²": Kernel(lambda x, t: np.where(x > 0, 3 * x * x, x * x), lambda x, t: np.where(x > 0, 6 * x, 2 * x)),
    "huber, delta 1e-6": Kernel(lambda x, t: np.where(np.abs(x - t) < 1e-6, 0.5 * (x - t) ** 2, 1e-6 * (np.abs(x - t) - 0.5e-6)),
                                lambda x, t: np.clip(x - t, -1e-6, 1e-6)),
    "|r|³": Kernel(lambda x, t: np.abs(x - t) ** 3, lambda x, t: 3 * (x - t) * np.abs(x - t)),
    "|r|^1.5": Kernel(lambda x, t: np.abs(x - t) ** 1.5, lambda x, t: 1.5 * np.sign(x - t) * np.sqrt(np.abs(x - t))),
    # domains that end
    "sqrt": Kernel(lambda x, t: np.sqrt(x), lambda x, t: 0.5 / np.sqrt(x), draw=positive, low=0.0),
    "log": Kernel(lambda x, t: -np.log(x), lambda x, t: -1 / x, draw=positive, low=0.0),
    "poisson": Kernel(lambda x, t: x - t * np.log(x), lambda x, t: 1 - t / x, draw=positive, low=0.0),
    "x log x": Kernel(lambda x, t: np.where(x == 0, 0.0, x * np.log(x)), lambda x, t: np.log(x) + 1, draw=unit, low=0.0, high=1.0),
    "entropy of two": Kernel(lambda x, t: -np.log1p(-x) * (1 - t) - t * np.log(x), lambda x, t: (1 - t) / (1 - x) - t / x,
                             draw=unit, low=0.0, high=1.0),
    "arcsin": Kernel(lambda x, t: np.arcsin(2 * x - 1), lambda x, t: 1 / np.sqrt(x * (1 - x)), draw=unit, low=0.0, high=1.0),
}


# --- mistakes ---


@dataclass(frozen=True)
class Case:
    """A gradient (n, k) at points, and what its differences say."""

    f: Callable[[np.ndarray | None, Array], Array]
    x: Array
    gradient: Array
    size: Array
    low: float
    high: float

    def check(self, given: Array, rtol: float = 1e-6) -> Checked:
        """The verdicts on a gradient."""
        return check(Problem(self.f, self.x, given, self.size, self.low, self.high, rtol))


def kernel_case(kernel: Kernel, rng: np.random.Generator, n: int) -> Case:
    """A kernel by hand at n points."""
    x, t = kernel.draw(rng, n)
    size = np.maximum(1.0, np.maximum(np.abs(x), np.abs(t)))

    def f(rows: np.ndarray | None, moved: Array) -> Array:
        return kernel.f(moved[:, 0], t if rows is None else t[rows])

    with np.errstate(all="ignore"):
        return Case(f, x[:, None], kernel.g(x, t)[:, None], size, kernel.low, kernel.high)


def loss_case(loss: Loss, arrays: Sequence[Array]) -> Case:
    """A registered loss at points."""
    pred, *others = arrays
    x = pred.reshape(len(pred), -1)

    def f(rows: np.ndarray | None, moved: Array) -> Array:
        return loss.evaluate(moved.reshape(-1, *pred.shape[1:]), *(others if rows is None else [a[rows] for a in others]))[0]

    thunk = loss.evaluate(*arrays)[1]
    assert thunk is not None
    domain = loss.inputs[0].kind.domain
    return Case(f, x, thunk().reshape(x.shape), magnitude(loss, arrays), domain.low, domain.high)


Plant = Callable[[Case, Array, np.random.Generator], Array]


def _off(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    return case.gradient + 1.01e-5 * scale * rng.choice([-1.0, 1.0], case.gradient.shape)


def _branch(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    x = case.x[:, :1]
    return np.where(x > np.median(x), 1.5 * case.gradient, case.gradient)


def _one_sample(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    given = case.gradient.copy()
    at = rng.choice(np.flatnonzero((np.isfinite(given) & (np.abs(given) > 1e-4 * scale)).any(axis=1))) if given.any() else 0
    given[at] *= 1.5
    return given


def _one_coordinate(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    given = case.gradient.copy()
    given[np.arange(len(given)), rng.integers(0, given.shape[1], len(given))] *= -1.0
    return given


PLANTS: dict[str, Plant] = {
    "1e-5 of the scale": _off,
    "factor 1.001": lambda case, scale, rng: 1.001 * case.gradient,
    "half": lambda case, scale, rng: 0.5 * case.gradient,
    "sign": lambda case, scale, rng: -case.gradient,
    "one branch": _branch,
    "one sample": _one_sample,
    "1/n": lambda case, scale, rng: case.gradient / len(case.gradient),
    "zero": lambda case, scale, rng: 0.0 * case.gradient,
    "base 2": lambda case, scale, rng: case.gradient / np.log(2),
    "next index": lambda case, scale, rng: np.roll(case.gradient, 1, axis=1 if case.gradient.shape[1] > 1 else 0),
    "one sign a row": _one_coordinate,
}


@dataclass(frozen=True)
class Score:
    """What became of coordinates that are wrong by 1e-5 of the scale or more."""

    planted: int
    caught: int
    missed: int  # judged right
    example: str = ""


def score(case: Case, given: Array, found: Checked) -> Score:
    """What became of a planted mistake."""
    with np.errstate(all="ignore"):
        away = np.abs(given - case.gradient)
        off = (away >= 1e-5 * found.scale) & (away > 0)
    caught, missed = off & (found.verdict == Verdict.WRONG), off & (found.verdict == Verdict.OK)
    example = ""
    if missed.any():
        i, j = np.argwhere(missed)[0]
        example = told(case, given, found, int(i), int(j))
    return Score(*(int(np.count_nonzero(a)) for a in (off, caught, missed)), example)


def told(case: Case, given: Array, found: Checked, i: int, j: int) -> str:
    """A coordinate, to be looked at again."""
    return (
        f"x {case.x[i].tolist()} [{j}] right {case.gradient[i, j]!r} given {given[i, j]!r} "
        f"numeric {found.numeric[i, j]!r} ± {found.error[i, j]:.2g} scale {found.scale[i, 0]!r}"
    )
