"""Check derivatives of a function of arrays by name: a model, or a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.core.validation import check_choice
from lossctl.errors import UsageError
from lossctl.frameworks import DTYPES, get_framework, to_array
from lossctl.gradients.given_gradients import select_arrays
from lossctl.gradients.layer import Layer
from lossctl.gradients.layer_check import agreement, check_jvp, check_vjp
from lossctl.gradients.lower_precision import compare_precisions, random_cotangent
from lossctl.gradients.model_check import check_model, result
from lossctl.gradients.model_result import ModelCheck
from lossctl.gradients.named_function import NamedFunction, bind
from lossctl.gradients.named_tensors import TensorFunction, bind_tensors
from lossctl.gradients.random_slopes import rms
from lossctl.gradients.slope_check import Outcome
from lossctl.immutable import immutable

# A gradient is proportional to the upstream gradient up to this share.
_LINEAR = 1e-6


@immutable
class UserFunction:
    """A function and its name in messages."""

    function: Callable[..., Any]
    where: str


def check_arrays(
    function: UserFunction,
    arrays: Mapping[str, Any],
    *,
    framework: str | None = None,
    dtype: str = "float64",
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
        framework: ``torch``, ``jax`` or ``tensorflow``: the function takes tensors and returns the loss, or results of
            a layer; or it is a module. Its backward pass is checked. Default: a function of arrays.
        dtype: precision in which the backward pass runs with `framework`. Default float64.
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
    check_choice("dtype", dtype, DTYPES)
    if framework is not None:
        for name, other in (("grad", grad), ("vjp", vjp), ("jvp", jvp), ("hvp", hvp)):
            if other is not None:
                raise UsageError(f"--{name}: with --at and --framework the backward pass of the framework is checked")
        tensors = bind_tensors(
            function.function, function.where, arrays, get_framework(framework), wrt=wrt, seed_arg=seed_arg, seed=seed
        )
        return check_tensors(tensors, dtype, wrt=wrt, seed=seed)
    if dtype != "float64":
        raise UsageError(f"--dtype {dtype} is the precision of a function of tensors: add --framework")
    arrays = {name: to_array(a) for name, a in arrays.items()}
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
    constants: Mapping[str, str] | None = None,
) -> ModelCheck:
    """Check the backward and the forward derivative of a layer; see :func:`check_arrays`."""
    names, skipped = select_arrays(arrays, wrt, "vjp" if vjp else "jvp", constants)
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


def check_tensors(f: TensorFunction, dtype: str, *, wrt: Sequence[str] | None, seed: int) -> ModelCheck:
    """Check the backward pass of a function of tensors by name.

    In float64 it is compared with differences of the function: as the gradient of a function that returns one number,
    otherwise at a random cotangent. In a lower precision it is then compared with float64.

    Args:
        f: the function.
        dtype: precision in which the backward pass runs.
        wrt: names of the inputs to differentiate with respect to. Default None: every array of floats.
        seed: of random directions and cotangents.
    """
    if dtype != "float64":
        f = f.rounded(dtype)
    output = f.forward()(f.arrays)
    if isinstance(output, np.ndarray) and output.size == 1:
        gradient = f.gradient("float64")
        result = check_model(
            f.forward(), f.arrays, gradient=gradient, hvp=None, wrt=wrt, seed=seed, constants=f.constants
        )
        result = _with_upstream(result, f, output.shape)
    else:
        result = check_layer(
            f.forward(), f.arrays, vjp=f.vjp("float64"), jvp=None, wrt=wrt, seed=seed, constants=f.constants
        )
    result = _with_saved(result, f, output)
    return result if dtype == "float64" else compare_precisions(result, f, output, dtype)


def _with_saved(result: ModelCheck, f: TensorFunction, output: Any) -> ModelCheck:
    """Add the explanation that a tensor is overwritten between the forward and the backward pass, if it is."""
    wrong = [a.name for a in result.arrays if a.verdict == "wrong"]
    if not wrong:
        return result
    cotangent = random_cotangent(output, np.random.default_rng(0))
    first, second = (g.vjp("float64")(g.arrays, cotangent) for g in (f, replace(f, copies_saved=True)))
    changed = [n for n in wrong if rms(second[n] - first[n]) > _LINEAR * rms(first[n])]
    if not changed:
        return result
    words = (
        "a tensor that the forward pass saved is overwritten before the backward pass reads it: with a copy of it the "
        f"gradient of {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''} is another"
    )
    return replace(result, hints=[words, *result.hints], hint_codes=["overwritten", *result.hint_codes])


def _with_upstream(result: ModelCheck, f: TensorFunction, shape: tuple[int, ...]) -> ModelCheck:
    """Return the result with the arrays called wrong whose gradient does not follow the upstream gradient of a loss."""
    ones, twice = f.gradient("float64")(f.arrays), f.vjp("float64")(f.arrays, np.full(shape, -2.0))
    apart = {
        check.name
        for check in result.arrays
        if check.verdict != "skipped"
        and np.isfinite(ones[check.name]).all()
        and not rms(twice[check.name] + 2.0 * ones[check.name]) <= _LINEAR * rms(ones[check.name])
    }
    if not apart:
        return result
    same = all(np.array_equal(ones[name], twice[name]) for name in apart)
    what = "ignores" if same else "is not proportional to"
    reason = f"{what} the upstream gradient"
    checks = [replace(a, verdict="wrong", reason=reason) if a.name in apart else a for a in result.arrays]
    hints = [f"the backward pass {reason}, such as the scale of a loss", *result.hints]
    codes = ["ignores-upstream" if same else "not-linear", *result.hint_codes]
    return replace(result, arrays=checks, hints=hints, hint_codes=codes)
