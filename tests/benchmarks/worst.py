"""Worst errors: ``python tests/benchmarks/worst.py`` and ``python tests/benchmarks/worst.py all [LOSS…]``.

The first prints, for points at which the usual forms cancel, overflow or clip, the worst relative error of lossctl
and of every library that is installed, all in double precision, against tests/losses/oracle at 50 digits: of the value
and, where the library differentiates, of the gradient. The second prints the worst error of each loss of lossctl over
the points of tests/losses/draws.py, in units of the sum of the magnitudes of its terms (tests/losses/oracle).

    pip install mpmath pytest torch keras optax scikit-learn scipy statsmodels scoringrules kornia
    PYTHONPATH=.:tests/losses python tests/benchmarks/worst.py

Libraries that are missing are named and left out.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # its numpy backend rounds to float32 throughout

import numpy as np
import oracle
from hard import POINTS, Points
from mpmath import mpf  # type: ignore[import-untyped]

import lossctl
from lossctl.core.loss import Loss
from lossctl.core.registry import registered

SEEDS = (7, 8)  # of `all`: the first is that of the tests
BATCH = 4  # of `all`, where samples depend on each other: each of so many differences takes the whole batch


def _each(function: Callable[..., float], *arrays: np.ndarray, **options: Any) -> np.ndarray:
    """A function that gives a mean, of every sample on its own."""
    return np.array([function(*(a[i : i + 1] for a in arrays), **options) for i in range(len(arrays[0]))])


# What an expression begins with, and the package that it is of; and the modules that these use.
PACKAGES = {
    "torch": "torch",
    "keras": "keras",
    "optax": "optax",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
    "statsmodels": "statsmodels",
    "scoringrules": "scoringrules",
    "kornia": "kornia",
}
MODULES = {
    "torch": ("torch",),
    "keras": ("keras", "torch"),
    "optax": ("optax", "jax"),
    "sklearn": ("sklearn.metrics",),
    "scipy": ("scipy.special", "scipy.stats", "scipy.spatial"),
    "statsmodels": ("statsmodels.robust.norms",),
    "scoringrules": ("scoringrules",),
    "kornia": ("kornia.losses", "torch"),
}
TENSORS = ("torch", "keras", "kornia")


def _installed() -> dict[str, dict[str, Any]]:
    """The names that expressions use, of each library that can be imported; set to double precision."""
    found: dict[str, dict[str, Any]] = {}
    for library, names in MODULES.items():
        try:
            modules = {name.partition(".")[0]: import_module(name.partition(".")[0]) for name in names}
            for name in names:
                import_module(name)
        except ImportError:
            continue
        found[library] = {**modules, "np": np, "each": _each}
    if "optax" in found:
        found["optax"]["jax"].config.update("jax_enable_x64", val=True)
    if "keras" in found:
        found["keras"]["keras"].config.set_floatx("float64")
    if "torch" in found:
        found["torch"]["F"] = found["torch"]["torch"].nn.functional
    return found


def _told(library: str, names: dict[str, Any], points: Points) -> tuple[Any, Any]:
    """Values and, where the library has them, derivatives by the first input."""

    def evaluate(**inputs: Any) -> Any:
        return eval(points.peers[library], names | inputs)  # noqa: S307 - expressions of this file

    if library in TENSORS:
        inputs = {name: names["torch"].as_tensor(x) for name, x in points.inputs.items()}
        inputs["p"] = inputs["p"].clone().requires_grad_()
        values = evaluate(**inputs)
        values.sum().backward()
        return values.detach().numpy(), inputs["p"].grad.numpy()
    if library == "optax":
        jax = names["jax"]
        inputs = {name: jax.numpy.asarray(x) for name, x in points.inputs.items()}
        first = inputs.pop("p")
        return evaluate(p=first, **inputs), jax.grad(lambda p: evaluate(p=p, **inputs).sum())(first)
    return evaluate(**points.inputs), None


def _right(points: Points) -> tuple[list[Any], list[Any]]:
    """Values and derivatives in 50 digits."""
    loss = lossctl.get_loss(points.loss)
    values, slopes = [], []
    for i in range(len(points.inputs["p"])):
        sample = [x[i] for x in points.inputs.values()]
        values.append(oracle.value(loss.name, sample, loss.params)[0])
        try:
            slopes += [slope.left for slope in oracle.slopes(loss.name, sample, loss.params)]
        except oracle.EdgeError:  # the loss is infinite there
            slopes += [None] * np.size(sample[0])
    return values, slopes


def _worst(got: Any, want: list[Any]) -> float:
    """The largest |got − want|/|want|; inf where one is infinite or got is NaN, and where want is 0 and got is not."""
    errors = [
        oracle.error(float(x), w, abs(w) or mpf(1)) for x, w in zip(np.ravel(got), want, strict=True) if w is not None
    ]
    return max(errors, default=math.nan)


def compared() -> None:
    """Print a line for the value and one for the gradient of each loss and its points."""
    libraries = _installed()
    columns = [name for name in PACKAGES if name in libraries]
    wide = {name: max(len(name), 5) + 2 for name in columns}
    print(", ".join(f"{PACKAGES[name]} {version(PACKAGES[name])}" for name in columns))
    if missing := [PACKAGES[name] for name in PACKAGES if name not in libraries]:
        print(f"not installed: {', '.join(missing)}")
    print(f"\n{'worst relative error':64}{'lossctl':>9}" + "".join(f"{name:>{wide[name]}}" for name in columns))
    for points in POINTS:
        loss, inputs = lossctl.get_loss(points.loss), list(points.inputs.values())
        answers = {"lossctl": (loss.value(*inputs), loss.gradient(*inputs))}
        answers |= {name: _told(name, libraries[name], points) for name in columns if name in points.peers}
        for i, want in enumerate(_right(points)):
            if all(w is None for w in want):
                continue
            errors = {name: _worst(answer[i], want) for name, answer in answers.items() if answer[i] is not None}
            title = f"{loss.name}, {points.where}, {('value', 'gradient')[i]}"
            cells = "".join(f"{_cell(errors.get(name)):>{wide[name]}}" for name in columns)
            print(f"{title:64}{_cell(errors['lossctl']):>9}{cells}")


def _cell(error: float | None) -> str:
    return "" if error is None else f"{error:.0e}" if error else "0"


def every(names: list[str]) -> None:
    """Print the worst errors of value and gradient of each loss, and the parameters at which they are."""
    from draws import settings
    from test_kernels import errors

    for loss in (registered()[name] for name in names or registered()):
        worst = {"value": (0.0, ""), "gradient": (0.0, "")}
        for bound in (loss.bind(**params) for params in settings(loss)):
            for seed in SEEDS:
                for what, error, _ in (_batch_errors if loss.batch_coupled else errors)(
                    bound, np.random.default_rng(seed)
                ):
                    if what in worst:  # a kink is right or wrong
                        worst[what] = max(worst[what], (error, bound.spec))
        print(f"{loss.name:32}" + "   ".join(f"{what} {e:.1e} {spec:40}" for what, (e, spec) in worst.items()).rstrip())


def _batch_errors(loss: Loss, rng: np.random.Generator) -> Iterator[tuple[str, float, str]]:
    """The errors of a batch's sum, and of its derivatives: its samples depend on each other."""
    from draws import hurtful

    batch = hurtful(loss, rng, BATCH)
    yield "value", oracle.error(float(loss.value(*batch).sum()), *oracle.value(loss.name, batch, loss.params)), ""
    slopes = oracle.slopes(loss.name, batch, loss.params)
    for got, slope in zip(loss.gradient(*batch).flat, slopes, strict=True):
        yield "gradient", oracle.error(float(got), slope.left, slope.magnitude), ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    run = partial(every, sys.argv[2:]) if sys.argv[1:2] == ["all"] else compared
    run()
