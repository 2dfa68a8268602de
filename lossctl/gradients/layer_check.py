"""Check the derivatives of a layer: ``vjp(cotangent, inputs)`` and ``jvp(tangents, inputs)``.

A vjp is the gradient of Σ u·f(x), where u is a random cotangent whose entries are all different: a backward pass that
ignores u, or reads a part of it only, is not that gradient. A jvp is the derivative of f along random tangents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lossctl.errors import DataError
from lossctl.gradients.array_hints import Hint, merged
from lossctl.gradients.given_gradients import GivenGradients
from lossctl.gradients.layer import Layer, copies, named_outputs
from lossctl.gradients.named_function import Arrays, NamedFunction, by_name
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.rounding import precision_of
from lossctl.gradients.scalar_check import check_slopes
from lossctl.gradients.slope_check import Outcome
from lossctl.gradients.vector_check import check_vector

# Forward and reverse agree up to this many ulps of their terms; sums of 10⁶ terms differ by some tens.
_AGREE = 1024.0


def check_vjp(
    layer: Layer, vjp: NamedFunction, *, strict: bool, seed: int
) -> tuple[Outcome, dict[str, np.ndarray], Arrays]:
    """Check a backward pass; return the outcome, the cotangent and the gradients that it gave.

    The backward pass gets the arrays that the forward pass got: what one overwrites, the other reads.
    """
    cotangent = layer.cotangent()

    def backward(upstream: Arrays, arrays: Arrays | None = None) -> dict[str, np.ndarray]:
        passed = copies(layer.arrays if arrays is None else arrays)
        layer.forward(passed)
        return by_name(vjp(passed, layer.like_result(copies(upstream))), layer.names, vjp.where, "gradients")

    given = backward(cotangent)
    usable = GivenGradients(layer.arrays, layer.names, given, where=vjp.where, strict=strict, what="vjp")
    products = {n: cotangent[n].astype(np.float64) * a for n, a in layer.outputs.items()}
    base = float(sum(p.sum() for p in products.values())), float(sum(np.abs(p).sum() for p in products.values()))
    outcome = check_slopes(
        layer.weighted_sum(cotangent),
        lambda arrays, _: backward(cotangent, arrays),
        layer.arrays,
        usable,
        base,
        seed=seed,
        what="vjp",
    )
    checks = [*usable.checks, *outcome.checks]
    wrong = [check.name for check in checks if check.verdict == "wrong"]
    hints = merged([*usable.hints, *outcome.hints], checks)
    if wrong:
        hints = [*_upstream_hints(layer, backward, cotangent, {n: given[n] for n in wrong}), *hints]
    if wrong and layer.changed:
        text = f"{layer.forward.where} overwrites {', '.join(layer.changed)} in place before the backward pass reads it"
        hints = [Hint("overwritten", text), *hints]
    return Outcome(checks, outcome.entries, hints), cotangent, given


def _upstream_hints(
    layer: Layer,
    backward: Callable[[Arrays], dict[str, np.ndarray]],
    cotangent: Arrays,
    given: Arrays,
) -> list[Hint]:
    """Return what a wrong backward pass reads of the upstream gradient, from calls with others."""

    def same(upstream: Arrays, factor: float = 1.0) -> bool:
        other = backward(upstream)
        return all(
            n in other
            and other[n].shape == given[n].shape
            and np.allclose(other[n], factor * given[n], rtol=1e-5, atol=1e-6 * rms(given[n].astype(float)))
            for n in given
        )

    def kept(part: str) -> dict[str, np.ndarray]:
        """Return another upstream gradient that is the same in its first element, row or column."""
        upstream = layer.cotangent()
        for name, array in upstream.items():
            index: Any = {"element": (0,) * array.ndim, "row": (slice(1), ...), "column": (..., slice(1))}[part]
            if array.ndim:
                array[index] = cotangent[name][index]
        return upstream

    if not any(np.any(g) for g in given.values()):
        return []
    if same(layer.cotangent()):
        return [Hint("ignores-upstream", "the vjp ignores the upstream gradient")]
    if max(a.size for a in cotangent.values()) > 1:
        for part in ("element", "row", "column"):
            if same(kept(part)):
                return [Hint(f"first-{part}", f"the vjp uses only the first {part} of the upstream gradient")]
        if same({n: np.full_like(a, a.mean()) for n, a in cotangent.items()}):
            return [Hint("mean-upstream", "the vjp uses only the mean of the upstream gradient")]
    if not same({n: 2.0 * a for n, a in cotangent.items()}, 2.0):
        return [Hint("not-linear", "the vjp is not proportional to the upstream gradient")]
    return []


def check_jvp(layer: Layer, jvp: NamedFunction) -> tuple[Outcome, Arrays, dict[str, np.ndarray]]:
    """Check a forward derivative; return the outcome, the tangents and the derivatives that it gave."""
    tangents = layer.tangents()

    def forward(along: Arrays, arrays: Arrays) -> dict[str, np.ndarray]:
        result = named_outputs(jvp(copies(arrays), one_or_all(copies(along))), jvp.where)
        for name, output in layer.outputs.items():
            if name not in result or result[name].shape != output.shape:
                shape = f"shape {result[name].shape}" if name in result else "nothing"
                raise DataError(f"{jvp.where}: returned {shape} for {name}, which has shape {output.shape}")
        return {name: result[name] for name in layer.outputs}

    claimed = forward(tangents, layer.arrays)
    outcome = check_vector(
        layer.arrays, tangents, layer.vector, claimed, lambda arrays: forward(tangents, arrays), what="jvp"
    )
    hints = list(outcome.hints)
    if any(check.verdict == "wrong" for check in outcome.checks) and any(np.any(a) for a in claimed.values()):
        other = forward(layer.tangents(), layer.arrays)
        if all(np.array_equal(other[n], claimed[n]) for n in claimed):
            hints = [Hint("ignores-tangents", "the jvp ignores the tangents"), *hints]
        elif unused := [n for n in tangents if len(tangents) > 1 and not _uses(forward, tangents, n, layer.arrays)]:
            words = f"the jvp does not use the tangent of {', '.join(unused)}"
            hints = [Hint("ignores-a-tangent", words), *hints]
    return Outcome(outcome.checks, outcome.entries, hints), tangents, claimed


def _uses(
    forward: Callable[[Arrays, Arrays], dict[str, np.ndarray]], tangents: Arrays, name: str, arrays: Arrays
) -> bool:
    """Return whether a forward derivative is not 0 along the tangent of one input."""
    alone = {n: t if n == name else np.zeros_like(t) for n, t in tangents.items()}
    return any(np.any(a) for a in forward(alone, arrays).values())


def one_or_all(arrays: dict[str, np.ndarray]) -> Any:
    """Return the only array, or all by name if there are several."""
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


def agreement(cotangent: Arrays, given: Arrays, tangents: Arrays, claimed: Arrays) -> str:
    """Return a remark on Σ u·jvp(t) = Σ vjp(u)·t, which needs no differences."""
    products = [np.sum(cotangent[n].astype(float) * claimed[n]) for n in claimed]
    others = [np.sum(given[n].astype(float) * tangents[n]) for n in tangents if n in given]
    pairs = [*((cotangent[n], claimed[n]) for n in claimed), *((given[n], tangents[n]) for n in tangents if n in given)]
    terms = sum(float(np.sum(np.abs(a.astype(float) * b))) for a, b in pairs) / 2.0
    apart = abs(float(sum(products)) - float(sum(others))) / terms if terms else 0.0
    eps = max(precision_of(a).eps for a in (*claimed.values(), *given.values()))
    verb = "agree" if apart <= _AGREE * eps else "disagree"
    return f"forward and reverse {verb}: Σ u·jvp(t) and Σ vjp(u)·t differ by {apart:.1g} of their terms"
