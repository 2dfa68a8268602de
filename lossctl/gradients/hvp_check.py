"""Check products of the second derivatives of a loss with a vector, ``hvp(v, arrays)``, against its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import DataError
from lossctl.gradients.array_hints import Hint
from lossctl.gradients.layer import copies
from lossctl.gradients.layer_check import one_or_all
from lossctl.gradients.named_function import Arrays, NamedFunction, by_name
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.slope_check import Outcome
from lossctl.gradients.vector_check import check_vector

# Codes of explanations that name the cause.
_CAUSES = {"ignores-vector", "constant-factor", "not-linear", "ignores-a-vector", "diagonal", "flat"}
# Arrays up to which the second derivatives of each pair are checked.
_BLOCKS = 8
# wᵀHv and vᵀHw, or H(2v) and 2Hv, differ by more than rounding.
_APART = 1e-3


def check_hvp(
    gradient: Callable[[Arrays], dict[str, np.ndarray]],
    hvp: NamedFunction,
    arrays: Arrays,
    names: Sequence[str],
    seed: int,
) -> Outcome:
    """Check a Hessian-vector product against differences of the gradient.

    Args:
        gradient: the gradients by name at the arrays.
        hvp: ``hvp(v, arrays)`` returns the products by name.
        arrays: the arrays.
        names: those to differentiate with respect to.
        seed: of v.
    """
    rng = np.random.default_rng(seed)

    def draw() -> dict[str, np.ndarray]:
        return {
            n: np.asarray(
                rng.choice([-1.0, 1.0], arrays[n].shape)
                * rng.uniform(0.5, 1.5, arrays[n].shape)
                * (rms(arrays[n].astype(float)) or 1.0),
                dtype=arrays[n].dtype,
            )
            for n in names
        }

    def product(v: Arrays, at: Arrays = arrays) -> dict[str, np.ndarray]:
        result = by_name(hvp(copies(at), one_or_all(copies(v))), names, hvp.where, "products")
        for n in names:
            if n not in result or result[n].shape != arrays[n].shape:
                shape = f"shape {result[n].shape}" if n in result else "nothing"
                raise DataError(f"{hvp.where}: returned {shape} for {n}, which has shape {arrays[n].shape}")
        return result

    def vector(at: Arrays) -> Array:
        result = gradient(at)
        return np.concatenate([result[n].astype(np.float64).ravel() for n in names])

    def check(v: Arrays) -> Outcome:
        direction = {n: a for n, a in v.items() if np.any(a)}
        return check_vector(arrays, direction, vector, product(v), lambda at: product(v, at), what="hvp")

    v = draw()
    claimed, outcome = product(v), check(v)
    hints = list(outcome.hints)
    if any(c.verdict == "wrong" for c in outcome.checks) and any(np.any(claimed[n]) for n in names):
        hints = _hints(product, v, draw(), claimed, hints)
        if not any(hint.code in _CAUSES for hint in hints) and 1 < len(names) <= _BLOCKS:
            hints = [*_wrong_blocks(product, check, v), *hints]
    return Outcome(outcome.checks, outcome.entries, hints)


def _hints(
    product: Callable[[Arrays], dict[str, np.ndarray]], v: Arrays, w: Arrays, claimed: Arrays, fitting: list[Hint]
) -> list[Hint]:
    """Return what other vectors show of wrong products, and the explanations that already fit.

    Args:
        product: the function under test.
        v, w: two vectors.
        claimed: its product with v.
        fitting: explanations of this product.
    """
    other = product(w)
    if all(np.array_equal(other[n], claimed[n]) for n in claimed):
        return [Hint("ignores-vector", "the hvp ignores the vector"), *fitting]
    if fitting and fitting[0].ratio is not None:
        return fitting
    twice = product({n: 2.0 * a for n, a in v.items()})
    if any(rms(twice[n] - 2.0 * claimed[n]) > _APART * rms(claimed[n]) for n in claimed):
        return [Hint("not-linear", "the hvp is not proportional to the vector"), *fitting]
    for name in v if len(v) > 1 else ():
        without = product({n: np.zeros_like(a) if n == name else a for n, a in v.items()})
        if all(np.array_equal(without[n], claimed[n]) for n in claimed):
            words = f"the hvp does not use the vector of {name}: derivatives with respect to {name} are missing"
            return [Hint("ignores-a-vector", words), *fitting]
    if _is_diagonal(product, v, claimed):
        words = "the hvp has only the diagonal of the second derivatives: it multiplies each entry of the vector alone"
        return [Hint("diagonal", words), *fitting]
    left = sum(float(np.sum(w[n].astype(float) * claimed[n])) for n in claimed)
    right = sum(float(np.sum(v[n].astype(float) * other[n])) for n in claimed)
    if abs(left - right) > _APART * max(abs(left), abs(right)):
        words = f"the hvp is not symmetric: wᵀHv = {left:.4g}, vᵀHw = {right:.4g}: one of its passes lacks a derivative"
        return [*fitting, Hint("asymmetric", words)]
    return fitting


def _wrong_blocks(
    product: Callable[[Arrays], dict[str, np.ndarray]], check: Callable[[Arrays], Outcome], v: Arrays
) -> list[Hint]:
    """Return which second derivatives are wrong, from vectors that are 0 but for one array; nothing if all are."""
    wrong, right = [], 0
    for name in v:
        alone = {n: a if n == name else np.zeros_like(a) for n, a in v.items()}
        parts = product(alone)
        for c in check(alone).checks:
            right += c.verdict == "ok"
            if c.verdict == "wrong":
                wrong.append((c.name, name, "wrong" if np.any(parts[c.name]) else "0"))
    if not wrong or not right:
        return []
    words = "; ".join(f"d²/d{a} d{b} is {verdict}" for a, b, verdict in wrong[:3]) + (" …" if len(wrong) > 3 else "")
    return [Hint("blocks", f"in the hvp {words}: the derivative of the gradient of {wrong[0][0]} along {wrong[0][1]}")]


def _is_diagonal(product: Callable[[Arrays], dict[str, np.ndarray]], v: Arrays, claimed: Arrays) -> bool:
    """Return whether a change of every second entry of the vector changes these entries of the product only."""
    if all(a.size < 2 for a in v.values()):
        return False
    second = {n: np.arange(a.size).reshape(a.shape) % 2 == 1 for n, a in v.items()}
    changed = product({n: np.where(second[n], -a, a) for n, a in v.items()})
    return all(np.array_equal(changed[n], np.where(second[n], -claimed[n], claimed[n])) for n in claimed)
