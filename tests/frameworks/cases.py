"""Losses of tensors as people write them: what each is tried on, and whether its gradient is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from gradients.trials import data

# Rows of a batch whose samples depend on each other: each coordinate is moved by itself.
COUPLED_ROWS = 6


@dataclass(frozen=True)
class Case:
    """A function of tensors.

    Attributes:
        name, framework: its name and its framework.
        value: the function, class or instance.
        family: which data, a function of :mod:`gradients.trials.data`.
        right: whether its gradient is that of its value.
        coupled: samples depend on each other, as in a mean.
        only: the precisions in which the framework runs it and its formula has digits. Default: all.
    """

    name: str
    framework: str
    value: Any
    family: str
    right: bool
    coupled: bool = False
    only: tuple[str, ...] = ("float64", "float32", "bfloat16", "float16")

    def arrays(self, seed: int) -> dict[str, np.ndarray]:
        """Return the inputs by role for a seed."""
        arrays = getattr(data, self.family)(np.random.default_rng([seed, *self.name.encode()]), False)
        return {name: a[:COUPLED_ROWS] for name, a in arrays.items()} if self.coupled else arrays


CASES: dict[str, Case] = {}


def case(framework: str, family: str, *, right: bool = True, **more: Any) -> Callable[[Any], Any]:
    """Make the decorated function or class a case."""

    def decorate(value: Any) -> Any:
        name = f"{framework}_{value.__name__}"
        assert name not in CASES
        CASES[name] = Case(name, framework, value, family, right, **more)
        return value

    return decorate


def load() -> dict[str, Case]:
    """Return the cases of the frameworks that are installed."""
    if find_spec("torch"):
        import torch_losses  # noqa: F401 - adds to CASES
    if find_spec("jax") and find_spec("optax"):
        import jax_losses  # noqa: F401 - as above
    return CASES
