"""What the gradient check lets through, and what it costs: ``python tests/benchmarks/gradcheck.py [bar|speed|torch]``.

``bar huber ctc …`` is the bar for the losses and kernels that are named, ``bar`` that for all of them.
The kernels and the planted mistakes are those of tests/gradients/test_verdict.py, which is the bar in small.
``torch`` needs an interpreter that has it, with this checkout on PYTHONPATH.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.decorator import Loss, Value
from lossctl.core.registry import registered
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.errors import UsageError
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.judge import check
from lossctl.gradients.sampling import sample_magnitude, sample_points
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]

# So many points of each loss, over all its seeds, and with right and wrong gradients alike. Of losses
# with many coordinates a point is a coordinate.
POINTS, SEEDS, CLASSES = 100_000, 20, 5
BATCH = 12  # samples that all depend on each other: a coordinate costs the whole batch


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
    "linear": Kernel(lambda x, t: 2 * x + 0 * t, lambda x, _t: 2 + 0 * x),
    "quartic": Kernel(lambda x, t: (x - t) ** 4, lambda x, t: 4 * (x - t) ** 3),
    "exp": Kernel(
        lambda x, t: np.exp(np.clip(x - t, -700, 700)),
        lambda x, t: np.exp(np.clip(x - t, -700, 700)) * (np.abs(x - t) < 700),
    ),
    "log cosh": Kernel(lambda x, t: _log_cosh(x - t), lambda x, t: np.tanh(x - t)),
    "constant": Kernel(lambda x, _t: 0 * x + 3.0, lambda x, _t: 0 * x),
    "zero": Kernel(lambda x, _t: 0 * x, lambda x, _t: 0 * x),
    # flat far away
    "cauchy": Kernel(lambda x, t: 0.5 * np.log1p((x - t) ** 2), lambda x, t: (x - t) / (1 + (x - t) ** 2)),
    "welsch": Kernel(lambda x, t: -np.expm1(-((x - t) ** 2) / 2), lambda x, t: (x - t) * np.exp(-((x - t) ** 2) / 2)),
    "geman": Kernel(lambda x, t: (x - t) ** 2 / (1 + (x - t) ** 2), lambda x, t: 2 * (x - t) / (1 + (x - t) ** 2) ** 2),
    "tukey": Kernel(
        lambda x, t: _tukey(x - t),
        lambda x, t: np.where(np.abs(x - t) < 4.685, (x - t) * (1 - ((x - t) / 4.685) ** 2) ** 2, 0),
    ),
    "dip at 3e5": Kernel(
        lambda x, _t: -np.exp(-((x - 3e5) ** 2)),
        lambda x, _t: 2 * (x - 3e5) * np.exp(-((x - 3e5) ** 2)),
        draw=lambda rng, n: (3e5 + rng.uniform(-10, 10, n) * 10.0 ** rng.uniform(-6, 0, n), wide(rng, n)[1]),
    ),
    # steep, tiny
    "1e9 · square": Kernel(lambda x, t: 1e9 * (x - t) ** 2, lambda x, t: 2e9 * (x - t)),
    # Two per cent lie within a few ulp of x of a transition that is 1e-9 wide.
    "tanh of 1e9·r": Kernel(
        lambda x, t: np.tanh(1e9 * (x - t)),
        lambda x, t: 1e9 / np.cosh(np.minimum(np.abs(1e9 * (x - t)), 700)) ** 2,
        unresolved=0.02,
    ),
    "softplus of 1e9·x": Kernel(lambda x, _t: np.logaddexp(0, 1e9 * x) / 1e9, lambda x, _t: 1 / (1 + np.exp(-1e9 * x))),
    "1e-12 · cauchy": Kernel(
        lambda x, t: 1e-12 * np.log1p((x - t) ** 2), lambda x, t: 1e-12 * 2 * (x - t) / (1 + (x - t) ** 2)
    ),
    # oscillating
    "sin": Kernel(lambda x, _t: np.sin(x), lambda x, _t: np.cos(x)),
    "sin of 1000·x": Kernel(lambda x, _t: np.sin(1000 * x), lambda x, _t: 1000 * np.cos(1000 * x)),
    "sin of 1e6·x": Kernel(lambda x, _t: np.sin(1e6 * x), lambda x, _t: 1e6 * np.cos(1e6 * x), draw=small),
    "x + 1e-7 sin(1e6·x)": Kernel(
        lambda x, _t: x + 1e-7 * np.sin(1e6 * x), lambda x, _t: 1 + 0.1 * np.cos(1e6 * x), draw=small
    ),
    # kinks
    "abs": Kernel(lambda x, t: np.abs(x - t), lambda x, t: np.sign(x - t)),
    "relu": Kernel(lambda x, t: np.maximum(x, 0) * t, lambda x, t: (x > 0) * t),
    "epsilon-insensitive": Kernel(
        lambda x, t: np.maximum(np.abs(x - t) - 0.1, 0), lambda x, t: np.sign(x - t) * (np.abs(x - t) > 0.1)
    ),
    "quantile": Kernel(lambda x, t: np.maximum(0.3 * (t - x), -0.7 * (t - x)), lambda x, t: np.where(t > x, -0.3, 0.7)),
    "two kinks 1e-7 apart": Kernel(
        lambda x, _t: np.abs(x) + np.abs(x - 1e-7), lambda x, _t: np.sign(x) + np.sign(x - 1e-7)
    ),
    # piecewise
    "x² or 3x²": Kernel(lambda x, _t: np.where(x > 0, 3 * x * x, x * x), lambda x, _t: np.where(x > 0, 6 * x, 2 * x)),
    "huber, delta 1e-6": Kernel(
        lambda x, t: np.where(np.abs(x - t) < 1e-6, 0.5 * (x - t) ** 2, 1e-6 * (np.abs(x - t) - 0.5e-6)),
        lambda x, t: np.clip(x - t, -1e-6, 1e-6),
    ),
    "|r|³": Kernel(lambda x, t: np.abs(x - t) ** 3, lambda x, t: 3 * (x - t) * np.abs(x - t)),
    "|r|^1.5": Kernel(lambda x, t: np.abs(x - t) ** 1.5, lambda x, t: 1.5 * np.sign(x - t) * np.sqrt(np.abs(x - t))),
    # domains that end
    "sqrt": Kernel(lambda x, _t: np.sqrt(x), lambda x, _t: 0.5 / np.sqrt(x), draw=positive, low=0.0),
    "log": Kernel(lambda x, _t: -np.log(x), lambda x, _t: -1 / x, draw=positive, low=0.0),
    "x − log x": Kernel(lambda x, _t: x - np.log(x), lambda x, _t: 1 - 1 / x, draw=positive, low=0.0),
    "x log x": Kernel(
        lambda x, _t: np.where(x == 0, 0.0, x * np.log(x)), lambda x, _t: np.log(x) + 1, draw=unit, low=0.0, high=1.0
    ),
    "entropy of two": Kernel(
        lambda x, t: -np.log1p(-x) * (1 - t) - t * np.log(x),
        lambda x, t: (1 - t) / (1 - x) - t / x,
        draw=unit,
        low=0.0,
        high=1.0,
    ),
    "sqrt of x(1 − x)": Kernel(
        lambda x, _t: np.sqrt(x * (1 - x)), lambda x, _t: (0.5 - x) / np.sqrt(x * (1 - x)), draw=unit, low=0.0, high=1.0
    ),
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

    def check(self, given: Array, rtol: float = 1e-6) -> CoordinateVerdicts:
        """The verdicts on a gradient."""
        return check(DerivativeProblem(self.f, self.x, given, self.size, self.low, self.high, rtol))


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
    if loss.batch_coupled:
        return batch_case(loss, arrays)
    pred, *others = arrays
    x = pred.reshape(len(pred), -1)

    def f(rows: np.ndarray | None, moved: Array) -> Array:
        return loss.evaluate(
            moved.reshape(-1, *pred.shape[1:]), *(others if rows is None else [a[rows] for a in others])
        )[0]

    thunk = loss.evaluate(*arrays)[1]
    assert thunk is not None
    domain = loss.inputs[0].kind.domain
    return Case(f, x, thunk().reshape(x.shape), sample_magnitude(loss, arrays), domain.low, domain.high)


def batch_case(loss: Loss, arrays: Sequence[Array]) -> Case:
    """A loss whose samples depend on each other: each coordinate of the batch moves the sum of its losses."""
    pred, *others = arrays
    x = pred.reshape(-1, 1)

    def f(rows: np.ndarray | None, moved: Array) -> Array:
        found = np.empty(len(moved))
        for i, j in enumerate(range(len(x)) if rows is None else rows):
            batch = pred.copy()
            batch.reshape(-1)[j] = moved[i, 0]
            found[i] = loss.evaluate(batch, *others)[0].sum()
        return found

    thunk = loss.evaluate(*arrays)[1]
    assert thunk is not None
    domain = loss.inputs[0].kind.domain
    size = np.full(len(x), sample_magnitude(loss, arrays).max())
    return Case(f, x, thunk().reshape(x.shape), size, domain.low, domain.high)


Plant = Callable[[Case, Array, np.random.Generator], Array]


def _off(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    return case.gradient + 1.01e-5 * scale * rng.choice([-1.0, 1.0], case.gradient.shape)


def _branch(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    x = case.x[:, :1]
    return np.where(x > np.median(x), 1.5 * case.gradient, case.gradient)


def _one_sample(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    given = case.gradient.copy()
    large = np.flatnonzero((np.isfinite(given) & (np.abs(given) > 1e-4 * scale)).any(axis=1))
    given[rng.choice(large) if large.size else 0] *= 1.5  # of a step function no slope is
    return given


def _one_coordinate(case: Case, scale: Array, rng: np.random.Generator) -> Array:
    given = case.gradient.copy()
    given[np.arange(len(given)), rng.integers(0, given.shape[1], len(given))] *= -1.0
    return given


PLANTS: dict[str, Plant] = {
    "1e-5 of the scale": _off,
    "factor 1.001": lambda case, _scale, _rng: 1.001 * case.gradient,
    "half": lambda case, _scale, _rng: 0.5 * case.gradient,
    "sign": lambda case, _scale, _rng: -case.gradient,
    "one branch": _branch,
    "one sample": _one_sample,
    "1/n": lambda case, _scale, _rng: case.gradient / len(case.gradient),
    "zero": lambda case, _scale, _rng: 0.0 * case.gradient,
    "base 2": lambda case, _scale, _rng: case.gradient / np.log(2),
    "next index": lambda case, _scale, _rng: np.roll(case.gradient, 1, axis=1 if case.gradient.shape[1] > 1 else 0),
    "one sign a row": _one_coordinate,
}


@dataclass(frozen=True)
class Score:
    """What became of coordinates that are wrong by 1e-5 of the scale or more."""

    planted: int
    caught: int
    missed: int  # judged right
    example: str = ""


# A slope below the least normal double has few digits or none, and what is wrong by less passes.
_SEEN = 1e-307


def score(case: Case, given: Array, found: CoordinateVerdicts) -> Score:
    """What became of a planted mistake."""
    with np.errstate(all="ignore"):
        away = np.abs(given - case.gradient)
        off = (away >= 1e-5 * found.scale) & (away > _SEEN)
    caught, missed = off & (found.verdict == Verdict.WRONG), off & (found.verdict == Verdict.OK)
    example = ""
    if missed.any():
        i, j = np.argwhere(missed)[0]
        example = told(case, given, found, int(i), int(j))
    return Score(*(int(np.count_nonzero(a)) for a in (off, caught, missed)), example)


def told(case: Case, given: Array, found: CoordinateVerdicts, i: int, j: int) -> str:
    """A coordinate, to be looked at again."""
    return (
        f"x {case.x[i].tolist()} [{j}] right {case.gradient[i, j]!r} given {given[i, j]!r} "
        f"numeric {found.numeric[i, j]!r} ± {found.error[i, j]:.2g} scale {found.scale[i, 0]!r}"
    )


# --- the bar: false alarms, and what is caught ---


# Parameters that are no lengths but exponents, steepnesses, weights or inverse lengths. At 1e-6 an
# exponent is 0 to an rtol of 1e-6 (a slope of (1 − p)^1e-6 is 1, and at p = 1 it is 0), at 1e6 all
# but a few values are 0 or infinite, and a weight of 1e6 in a quotient leaves the slope no digits.
SHAPES = {
    ("linex", "a"),
    ("renyi", "alpha"),
    ("focal", "gamma"),
    ("focal_with_logits", "gamma"),
    ("asymmetric", "gamma_neg"),
    ("asymmetric", "gamma_pos"),
    ("barron", "alpha"),
    ("dwd", "q"),
    ("softmax_focal", "gamma"),
    ("generalized_cross_entropy", "q"),
    ("infonce", "temperature"),
    ("supervised_ntxent", "temperature"),
    ("andrew_wave", "a"),
    ("ramsay", "a"),
    ("tversky", "alpha"),
    ("tversky", "beta"),
    ("focal_tversky", "alpha"),
    ("focal_tversky", "beta"),
    ("focal_tversky", "gamma"),
}


def settings(loss: Loss) -> list[dict[str, Value]]:
    """The defaults, and each parameter at others of its domain: lengths over twelve decades."""
    tried: list[dict[str, Value]] = [{}]
    for p in loss.parameters:
        values = (0.1, 3.7) if (loss.name, p.name) in SHAPES else (0.1, 3.7, 1e-6, 1e6)
        tried += [{p.name: v} for v in values if float in p.types and v in p.domain and v != p.default]
        tried += [{p.name: v} for v in (True, False) if bool in p.types and v != p.default]
        tried += [{p.name: v} for v in p.choices if v != p.default]
    return [setting for setting in tried if _goes_together(loss.bind(**setting))]


def _goes_together(loss: Loss) -> bool:
    """Whether the loss takes its parameters: some are bounds of each other (a ≤ b < c)."""
    try:
        loss.evaluate(*sample_points(loss, 2, 0, CLASSES))
    except UsageError:
        return False
    return True


def cases(name: str, points: int, seeds: int) -> Iterator[Case]:
    """A kernel, or a loss with a setting after the other, at points of one seed after the other."""
    for seed in range(seeds):
        if name in KERNELS:
            yield kernel_case(KERNELS[name], np.random.default_rng(seed), points)
            continue
        loss = registered()[name]
        tried = settings(loss)
        bound = loss.bind(**tried[seed % len(tried)])
        coordinates = sample_points(bound, 1, 0, CLASSES)[0].size
        samples = BATCH if loss.batch_coupled else max(points // coordinates, 1)
        yield loss_case(bound, sample_points(bound, samples, seed, CLASSES))


@dataclass
class Line:
    """What came of one kernel or loss."""

    name: str
    counts: np.ndarray
    scores: dict[str, Score]
    alarms: list[str]
    through: int = 0  # whole checks of planted mistakes that passed
    checks: int = 0


def line(name: str, points: int = POINTS, seeds: int = SEEDS) -> Line:
    """Check one kernel or loss, right and with every mistake."""
    found = Line(name, np.zeros(len(Verdict), int), {}, [])
    np.seterr(all="ignore")  # in a process of its own; a plant multiplies infinite slopes by 0
    for seed, case in enumerate(cases(name, points // seeds, seeds)):
        right = case.check(case.gradient)
        found.counts += np.bincount(right.verdict.ravel(), minlength=len(Verdict))
        alarms = np.argwhere(right.verdict == Verdict.WRONG)[:2]
        found.alarms += [f"seed {seed}: {told(case, case.gradient, right, i, j)}" for i, j in alarms.tolist()]
        rng = np.random.default_rng(seed)
        for mistake, plant in PLANTS.items():
            given = plant(case, right.scale, rng)
            checked = case.check(given)
            new = score(case, given, checked)
            old = found.scores.get(mistake, Score(0, 0, 0))
            found.scores[mistake] = Score(
                old.planted + new.planted, old.caught + new.caught, old.missed + new.missed, old.example or new.example
            )
            if new.planted:
                found.checks += 1
                found.through += not (checked.verdict == Verdict.WRONG).any()
    return found


def bar(folder: Path, *chosen: str) -> None:
    """No false alarm, and everything wrong by 1e-5 of its scale caught."""
    names = chosen or (*registered(), *KERNELS)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        lines = list(pool.map(line, names))
    print(f"\n{POINTS:,} points of {SEEDS} seeds, losses with a parameter setting a seed; right gradients\n")
    print(f"  {'':28} {'points':>10} {'false alarms':>12} {'kinks':>8} {'unresolved':>10} {'undefined':>10}")
    for r in lines:
        n = r.counts.sum()
        shares = (f"{100 * r.counts[v] / n:.3f} %" for v in (Verdict.KINK, Verdict.UNRESOLVED, Verdict.UNDEFINED))
        kink, unresolved, undefined = shares
        print(f"  {r.name:28} {n:10,} {r.counts[Verdict.WRONG]:12,} {kink:>8} {unresolved:>10} {undefined:>10}")
    print("\nwrong by 1e-5 of the scale or more: how many are caught, in per cent (the rest is unresolved, undefined")
    print("or a kink), and how many pass as right\n")
    print(f"  {'':28}" + "".join(f"{mistake:>10.9}" for mistake in PLANTS) + f"{'missed':>10}{'let through':>13}")
    for r in lines:
        caught = [f"{100 * s.caught / s.planted:.2f}" if s.planted else "–" for s in r.scores.values()]
        missed = sum(s.missed for s in r.scores.values())
        print(
            f"  {r.name:28}" + "".join(f"{c:>10}" for c in caught) + f"{missed:10,}{f'{r.through} of {r.checks}':>13}"
        )
    for r in lines:
        for text in [*r.alarms[:2], *(f"{m}: {s.example}" for m, s in r.scores.items() if s.example)]:
            print(f"  {r.name}: {text}")
    summary(lines)


def summary(lines: Sequence[Line]) -> None:
    """All lines in one table: what became of right gradients, and of each mistake.

    Undefined coordinates and kinks, where no single slope is right, are among the unresolved.
    """
    counts = np.sum([r.counts for r in lines], axis=0)
    print(f"\n  right: {counts.sum():,} coordinates, {counts[Verdict.WRONG]:,} false alarms\n")
    print(
        f"  {'wrong by 1e-5 of the scale or more':34} {'planted':>12} {'caught':>12} {'unresolved':>12} {'missed':>8}"
    )
    for mistake in PLANTS:
        planted, caught, missed = np.sum(
            [(s.planted, s.caught, s.missed) for r in lines if (s := r.scores.get(mistake))], axis=0
        )
        unresolved = planted - caught - missed
        print(f"  {mistake:34} {planted:12,} {caught:12,} {unresolved:12,} {missed:8,}")


# --- speed ---


def _huber(r: Array) -> Array:
    a = np.abs(r)
    return np.where(a <= 1, 0.5 * r * r, a - 0.5)


def _cross_entropy(z: Array, y: np.ndarray) -> Array:
    top = z.max(axis=1)
    return top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), y]


def _whole(name: str, pred: np.ndarray, target: np.ndarray) -> Callable[[], object]:
    """One evaluation of a loss on whole arrays, as anybody would write it."""
    if name == "huber":
        return lambda: _huber(pred - target).mean()
    return partial(lambda z, y: _cross_entropy(z, y).mean(), pred, target.astype(int))


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _measured(mode: str, name: str, pred: str, target: str, threads: str) -> None:
    """In a process of its own: the seconds of one thing, printed."""
    if mode == "numpy":
        whole = _whole(name, np.load(pred), np.load(target))
        whole()
        print(statistics.median(_timed(whole) for _ in range(9)))
        return
    from lossctl.core.registry import get_loss
    from lossctl.gradients.check_run import check_on
    from lossctl.io.dataset import Dataset, FieldRef
    from lossctl.io.formats import open_source
    from lossctl.io.source import Field, Options

    def data() -> Dataset:
        sources = [
            open_source(path, Options()).bind((Field(role),)) for path, role in ((pred, "pred"), (target, "target"))
        ]
        return Dataset(tuple(sources), {"pred": FieldRef(0, 0), "target": FieldRef(1, 0)})

    start = time.perf_counter()
    found = check_on(data, get_loss(name), workers=ExecutionConfig(int(threads) or None))[0]
    taken = time.perf_counter() - start
    if not found.passed:
        raise SystemExit(repr(found))
    print(taken)


def _child(*argv: str) -> tuple[float, float]:
    """(what a child printed, its peak resident MiB)."""
    process = subprocess.Popen([sys.executable, __file__, "-", *argv], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv} failed")
    return float(text), usage.ru_maxrss / 1024


def _save(path: Path, shape: tuple[int, ...], rng: np.random.Generator, labels: int = 0) -> None:
    """An NPY file, made in parts: a child's peak memory starts at what its parent has."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i8" if labels else "<f8", "fortran_order": False, "shape": shape}
        )
        for _ in range(math.prod(shape) // 100_000):
            file.write((rng.integers(0, labels, 100_000) if labels else rng.normal(size=100_000) * 2).tobytes())


def speed(folder: Path) -> None:
    """Time in whole-array evaluations, and peak memory."""
    rng = np.random.default_rng(0)
    jobs = [("huber", (1_000_000,), 0, 50), ("sparse_softmax_cross_entropy", (100_000, 10), 10, 300)]
    print("\na gradient check in evaluations of the same loss on whole arrays in NumPy (median of 5 of each)\n")
    for name, shape, labels, allowed in jobs:
        pred, target = folder / f"{name}_pred.npy", folder / f"{name}_target.npy"
        _save(pred, shape, rng)
        _save(target, shape[:1] if labels else shape, rng, labels)
        argv = (name, str(pred), str(target))
        base = statistics.median(_child("numpy", *argv, "0")[0] for _ in range(5))
        print(f"  {name}, {' × '.join(f'{n:,}' for n in shape)}: one evaluation {base * 1e3:.1f} ms")
        for threads, words in (("0", "default threads"), ("1", "1 thread")):
            runs = [_child("check", *argv, threads) for _ in range(5)]
            seconds, mib = statistics.median(r[0] for r in runs), max(r[1] for r in runs)
            print(
                f"    {words:16} {seconds:6.2f} s = {seconds / base:5.1f} evaluations"
                f" (aim: {allowed}), peak {mib:4.0f} MiB (aim: 400)"
            )


# --- against torch.autograd.gradcheck ---


@dataclass(frozen=True)
class Rival:
    """A loss by hand, what its backward pass gives, and where."""

    words: str
    value: Callable[[Any], Any]  # of r = pred − target, for NumPy and for torch
    gradient: Callable[[Any, Any], Any]  # of r and the module that has its functions
    right: bool
    r: Callable[[np.random.Generator, int], Array]
    offset: float = 0.0  # pred = offset + r, target = offset


def _rivals() -> list[Rival]:
    def normal(rng: np.random.Generator, n: int) -> Array:
        return rng.normal(size=n)

    def first_wrong(r: Any, np_or_torch: Any) -> Any:
        g = 2 * r
        g[0] = g[0] * 1.5
        return g

    square = partial(Rival, value=lambda r: r * r, r=normal)
    wrong = [
        square("half", gradient=lambda r, _m: r, right=False),
        square("sign", gradient=lambda r, _m: -2 * r, right=False),
        square("zero", gradient=lambda r, _m: 0 * r, right=False),
        square("1/n", gradient=lambda r, _m: 2 * r / len(r), right=False),
        square("base 2 (÷ log 2)", gradient=lambda r, _m: 2 * r / math.log(2), right=False),
        square("factor 1.0005", gradient=lambda r, _m: 2.001 * r, right=False),
        square("one branch (r > 1)", gradient=lambda r, m: m.where(r > 1, 3 * r, 2 * r), right=False),
        square("one sample", gradient=first_wrong, right=False),
        square("off by 1e-5", gradient=lambda r, _m: 2 * r + 2e-5, right=False),
    ]
    small = [
        replace(w, words=f"{w.words}, r of 1e-3", r=lambda rng, n: 1e-3 * rng.normal(size=n))
        for w in wrong
        if w.words in {"half", "sign", "zero"}
    ]
    right = [
        square("r²", gradient=lambda r, _m: 2 * r, right=True),
        replace(square("r² at x = 1e9", gradient=lambda r, _m: 2 * r, right=True), offset=1e9),
        Rival(
            "|r|, 1e-7 from the kink",
            abs,
            lambda r, m: m.sign(r),
            True,
            lambda rng, n: 1e-7 * rng.choice([-1.0, 1.0], n),
        ),
        Rival("|r|, on the kink", abs, lambda r, m: m.sign(r), True, lambda rng, n: 0.0 * rng.normal(size=n)),
        Rival("r⁴, r to 1e3", lambda r: r**4, lambda r, _m: 4 * r**3, True, lambda rng, n: 1e3 * rng.normal(size=n)),
        Rival(
            "√|r| near 0",
            lambda r: abs(r) ** 0.5,
            lambda r, m: 0.5 * m.sign(r) * abs(r) ** -0.5,
            True,
            lambda rng, n: 1e-6 * rng.normal(size=n),
        ),
    ]
    return [*wrong, *small, *right]


def _torch_says(rival: Rival, pred: Array, target: Array, reduction: str, **options: Any) -> bool:
    """Whether torch.autograd.gradcheck passes."""
    import torch

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, p: Any, t: Any) -> Any:
            ctx.save_for_backward(p - t)
            return rival.value(p - t)

        @staticmethod
        def backward(ctx: Any, up: Any) -> Any:
            (r,) = ctx.saved_tensors
            return up * rival.gradient(r.clone(), torch), None

    def function(p: Any) -> Any:
        each = Kernel.apply(p, torch.tensor(target))
        return each.mean() if reduction == "mean" else each

    x = torch.tensor(pred, requires_grad=True)
    return bool(torch.autograd.gradcheck(function, (x,), raise_exception=False, **options))


def _lossctl_says(rival: Rival, pred: Array, target: Array, reduction: str) -> bool:
    from lossctl.gradients.gradcheck import gradcheck

    def kernel(pred: Array, target: Array) -> Array:
        return rival.value(pred - target)

    given = rival.gradient(pred - target, np)
    scaled = given / len(pred) if reduction == "mean" else given
    return bool(gradcheck(kernel, pred, target, grad=scaled, reduction=reduction))


def _torch_timed(tool: str, reduction: str, n: str) -> None:
    """In a process of its own: the seconds of one check of n samples, printed."""
    rival = _rivals()[-6]
    pred = np.random.default_rng(0).normal(size=int(n))
    target = np.zeros(int(n))
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    says = _lossctl_says if tool == "lossctl" else _torch_says
    __import__("lossctl.gradients.gradcheck" if tool == "lossctl" else "torch")  # not timed
    options: dict[str, Any] = {"fast_mode": True} if tool == "torch, fast_mode" else {}
    start = time.perf_counter()
    passed = says(rival, pred, target, reduction, **options)
    print(time.perf_counter() - start if passed else math.nan)


def torch(folder: Path) -> None:
    """The same mistakes and the same right gradients for both."""
    import torch as library

    n = 1000
    print(f"\ntorch {library.__version__}, n = {n}, its default tolerances (a step of 1e-6, atol 1e-5, rtol 1e-3)\n")
    print(f"  {'':30} {'torch, each':>12} {'torch, mean':>12} {'fast, mean':>12} {'lossctl':>12} {'its mean':>12}")
    for rival in _rivals():
        rng = np.random.default_rng(1)
        r = rival.r(rng, n)
        pred, target = rival.offset + r, np.full(n, rival.offset)
        told = [
            _torch_says(rival, pred, target, "none"),
            _torch_says(rival, pred, target, "mean"),
            _torch_says(rival, pred, target, "mean", fast_mode=True),
            _lossctl_says(rival, pred, target, "none"),
            _lossctl_says(rival, pred, target, "mean"),
        ]
        if rival.right:
            words = ["passes" if passed else "FALSE ALARM" for passed in told]
        else:
            words = ["MISSED" if passed else "caught" for passed in told]
        label = f"{'right' if rival.right else 'wrong'}: {rival.words}"
        print(f"  {label:30}" + "".join(f" {word:>12}" for word in words))
    print(f"\n  seconds of one check of a right r² ({TIMEOUT} s at most)\n")
    sizes = ("500", "2000", "20000")
    print(f"  {'':30}" + "".join(f" {f'n = {int(size):,}':>12}" for size in sizes))
    for tool, reduction in (
        ("torch", "none"),
        ("torch", "mean"),
        ("torch, fast_mode", "none"),
        ("torch, fast_mode", "mean"),
        ("lossctl", "none"),
        ("lossctl", "mean"),
    ):
        times = [_within(tool, reduction, size) for size in sizes]
        print(f"  {f'{tool}, {reduction}':30}" + "".join(f" {t:>12}" for t in times))


TIMEOUT = 300


def _within(tool: str, reduction: str, n: str) -> str:
    """The seconds a child took, or why there are none."""
    argv = [sys.executable, __file__, "-", "torch", tool, reduction, n]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"> {TIMEOUT}"
    if done.returncode:
        return "no memory" if "emory" in done.stderr or "allocate" in done.stderr else "failed"
    seconds = float(done.stdout)
    return "FALSE ALARM" if math.isnan(seconds) else f"{seconds:.3f}"


FIGURES = {"bar": bar, "speed": speed, "torch": torch}


def main(argv: Sequence[str]) -> None:
    """Print the figures asked for, or all."""
    if argv[:1] == ["-"]:  # a child of this process
        _torch_timed(*argv[2:]) if argv[1] == "torch" else _measured(*argv[1:])
        return
    print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as folder:
        if argv[:1] == ["bar"]:
            bar(Path(folder), *argv[1:])
            return
        for name in argv or FIGURES:
            FIGURES[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
