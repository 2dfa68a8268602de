"""Check derivatives of a function of arrays by name: a model, or a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossctl.errors import UsageError
from lossctl.gradients.given_gradients import select_arrays
from lossctl.gradients.layer import Layer
from lossctl.gradients.layer_check import agreement, check_jvp, check_vjp
from lossctl.gradients.model_check import check_model, result
from lossctl.gradients.model_result import ModelCheck
from lossctl.gradients.named_function import NamedFunction, bind
from lossctl.gradients.slope_check import Outcome


@dataclass(frozen=True)
class UserFunction:
    """A function and its name in messages."""

    function: Callable[..., Any]
    where: str


def check_arrays(
    function: UserFunction,
    arrays: Mapping[str, np.ndarray],
    *,
    grad: UserFunction | None = None,
    vjp: UserFunction | None = None,
    jvp: UserFunction | None = None,
    hvp: UserFunction | None = None,
    wrt: Sequence[str] | None = None,
    seed_arg: str | None = None,
    seed: int = 0,
) -> ModelCheck:
    """Check the derivatives of a function of arrays by name.

    Args:
        function: takes a dict of arrays, or arrays as keyword arguments. With `vjp` or `jvp` it returns arrays,
            otherwise the loss or (loss, gradients by name).
        arrays: its inputs by name.
        grad: returns the gradients by name. Default: `function` does.
        vjp: ``vjp(cotangent, inputs)`` returns gradients by name, or a tuple in the order of `wrt`.
        jvp: ``jvp(tangents, inputs)`` returns what `function` returns.
        hvp: ``hvp(v, inputs)`` returns the products of the second derivatives of the loss with v.
        wrt: names of the inputs to differentiate with respect to. Default: every array of floats.
        seed_arg: parameter of the functions that takes a seed. Default: none.
        seed: of everything random. Default 0.

    Raises:
        UsageError: the functions do not fit together, take other arguments or raise an exception.
        DataError: an array or a result cannot be used.
    """
    if (vjp or jvp) and (grad or hvp):
        raise UsageError("--vjp and --jvp check a layer, --grad and --hvp a loss: check them one after the other")

    def bound(f: UserFunction | None, leading: int) -> NamedFunction | None:
        return None if f is None else bind(f.function, f.where, arrays, leading=leading, seed_arg=seed_arg, seed=seed)

    forward = bind(function.function, function.where, arrays, seed_arg=seed_arg, seed=seed)
    if vjp or jvp:
        return check_layer(forward, arrays, vjp=bound(vjp, 1), jvp=bound(jvp, 1), wrt=wrt, seed=seed)
    return check_model(forward, arrays, gradient=bound(grad, 0), hvp=bound(hvp, 1), wrt=wrt, seed=seed)


def check_layer(
    forward: NamedFunction,
    arrays: Mapping[str, np.ndarray],
    *,
    vjp: NamedFunction | None,
    jvp: NamedFunction | None,
    wrt: Sequence[str] | None,
    seed: int,
) -> ModelCheck:
    """Check the backward and the forward derivative of a layer; see :func:`check_arrays`."""
    names, skipped = select_arrays(arrays, wrt, "vjp" if vjp else "jvp")
    layer = Layer(forward, arrays, names, seed)
    outcomes: list[Outcome] = []
    notes: list[str] = []
    if vjp:
        outcome, cotangent, given = check_vjp(layer, vjp, strict=wrt is not None, seed=seed)
        outcomes.append(outcome)
    if jvp:
        outcome, tangents, claimed = check_jvp(layer, jvp)
        outcomes.append(outcome)
    if vjp and jvp and all(n in given and given[n].shape == tangents[n].shape for n in tangents):
        notes.append(agreement(cotangent, given, tangents, claimed))
    if layer.changed:
        notes.append(f"{forward.where} overwrites {', '.join(layer.changed)} in place; lossctl passed copies")
    checks = [*skipped, *(check for outcome in outcomes for check in outcome.checks)]
    entries = [entry for outcome in outcomes for entry in outcome.entries]
    hints = [hint for outcome in outcomes for hint in outcome.hints]
    return result(forward, arrays, checks, entries, hints, evaluations=layer.evaluations, notes=notes)
