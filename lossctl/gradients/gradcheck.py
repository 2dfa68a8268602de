"""The gradient check of the Python API: its arguments, and which check they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from lossctl.conventions.like import single_like
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.core.registry import as_loss
from lossctl.core.user_kernel import kernel_name
from lossctl.core.validation import check_choice, check_class_weight
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError
from lossctl.frameworks import DTYPES, to_array
from lossctl.gradients.arrays_check import UserFunction, check_arrays
from lossctl.gradients.block_check import RTOL
from lossctl.gradients.check_run import check_on, check_points, from_logits
from lossctl.gradients.gradient_arguments import SIGNATURES
from lossctl.gradients.model_result import ModelCheck
from lossctl.gradients.named_function import constant
from lossctl.gradients.result import GradCheck
from lossctl.gradients.second_derivative import SECOND
from lossctl.gradients.tensors import backward_of
from lossctl.gradients.user_gradient import Gradient, is_gradient_function
from lossctl.gradients.user_loss import without_reduction
from lossctl.io.dataset import GIVEN_GRADIENT, from_arrays

REDUCTIONS = ("none", "mean", "sum")
_RANGES = {"samples": "at least 1", "seed": "at least 0", "rtol": "between 0 and 1"}


@overload
def gradcheck(
    loss: Callable[..., Any],
    pred: Mapping[str, npt.ArrayLike],
    *,
    grad: Callable[..., Any] | Mapping[str, npt.ArrayLike] | None = None,
    framework: str | None = None,
    dtype: str = "float64",
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    hvp: Callable[..., Any] | None = None,
    wrt: str | Sequence[str] | None = None,
    seed_arg: str | None = None,
    seed: int = 0,
) -> ModelCheck: ...


@overload
def gradcheck(
    loss: str | Loss | Callable[..., Any],
    pred: npt.ArrayLike | None = None,
    target: npt.ArrayLike | None = None,
    grad: npt.ArrayLike | Callable[..., Any] | None = None,
    *,
    framework: str | None = None,
    dtype: str = "float64",
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    signature: str = "auto",
    second: str = "surrogate",
    wrt: str | None = None,
    like: str | None = None,
    rtol: float = RTOL,
    samples: int = 2000,
    seed: int = 0,
    threads: int | None = None,
) -> GradCheck: ...


def gradcheck(
    loss: str | Loss | Callable[..., Any],
    pred: Mapping[str, npt.ArrayLike] | npt.ArrayLike | None = None,
    target: npt.ArrayLike | None = None,
    grad: Mapping[str, npt.ArrayLike] | npt.ArrayLike | Callable[..., Any] | None = None,
    *,
    framework: str | None = None,
    dtype: str = "float64",
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
    signature: str = "auto",
    second: str = "surrogate",
    wrt: str | Sequence[str] | None = None,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    hvp: Callable[..., Any] | None = None,
    seed_arg: str | None = None,
    like: str | None = None,
    rtol: float = RTOL,
    samples: int = 2000,
    seed: int = 0,
    threads: int | None = None,
) -> GradCheck | ModelCheck:
    """Check a gradient against finite differences.

    Args:
        loss: ``"huber:delta=0.5"``, a :class:`Loss`, or a function ``(pred, target) -> (loss, gradient)``. With
            arrays by name as ``pred``: a function that takes them as keywords or in a dict, and returns
            ``(loss, gradients by name)``; or a layer, which returns arrays.
        pred, target: (n, ...) the points. Default: ``samples`` points drawn from the domain of the loss. A dict of
            arrays by name, of any shapes: the parameters of a model, or the inputs of a layer.
        grad: the gradient to check: an array of the shape of ``pred``, or a function that returns such an
            array or ``(grad, hess)``. Default: the gradient of the loss. With arrays by name: gradients by name.
        framework: ``"torch"``, ``"jax"`` or ``"tensorflow"``: the function ``grad``, or if there is none the function
            ``loss``, takes tensors and returns a loss, whose backward pass is checked. With arrays by name ``loss`` may
            be a module, and the arrays its state and the inputs of its forward pass, or dicts and lists of arrays.
            Default: functions of arrays.
        dtype: precision in which a function of tensors runs: ``"float64"`` (the default), ``"float32"``,
            ``"bfloat16"`` or ``"float16"``.
        inputs: further inputs of the loss, by name.
        weight: (n,) sample weights; the gradient of ``reduction`` mean and sum includes them.
        class_weight, ignore_index: as in :func:`lossctl.compute`.
        reduction: function whose gradient the array ``grad``, or that of a function ``loss``, is: each sample's loss
            (``"none"``, the default), the ``"mean"`` or the ``"sum"`` of the losses. A function ``loss`` may then
            return this one number.
        signature: arguments of a function ``grad``: ``"pred,target"``, ``"target,pred"`` or ``"pred,dataset"``.
            Default ``"auto"``: by their names.
        second: how the second derivative of an objective is judged: ``"exact"``: against that of the loss;
            ``"surrogate"`` (the default): a surrogate that practice knows by name passes too; ``"off"``: not at all.
        wrt: ``"logits"`` if ``pred`` of a probability loss holds logits and ``grad`` is the derivative with
            respect to them. With arrays by name: the names to check. Default: ``pred``, or every array of floats.
        vjp, jvp, hvp: derivatives of a layer or a model, with arrays by name: ``vjp(cotangent, inputs)``,
            ``jvp(tangents, inputs)``, ``hvp(v, arrays)``. Default: not checked.
        seed_arg: parameter of the functions that takes ``seed``, for dropout. Default: none.
        like: a library, ``"torch"`` or ``"keras@3"``, by whose definition of ``loss`` the gradient is judged. Default:
            by the registered loss.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        samples, seed: number of points drawn and seed of their generator. Defaults 2000 and 0.
        threads: number of threads. Default: the number of cores.

    Returns:
        The verdicts; true in a condition if the gradient passed.

    Raises:
        UsageError: there is no gradient, or an option is invalid.
        DataError: shapes differ, or a value cannot be used.

    >>> import lossctl, numpy as np
    >>> assert lossctl.gradcheck("huber")
    >>> result = lossctl.gradcheck("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], grad=[1.0, 2.0, 4.0])
    >>> result.passed, result.hint
    (False, 'given ÷ numeric is 0.5 at every sample: a factor of 2 is missing')
    >>> def model(W, b):
    ...     r = W.sum(axis=0) + b - 1.0
    ...     return (r**2).sum(), {"W": np.broadcast_to(2.0 * r, W.shape), "b": r}
    >>> lossctl.gradcheck(model, {"W": np.eye(3), "b": np.ones(3)}).hints
    ['given ÷ numeric is 0.5 in all of b: a factor of 2 is missing']
    """
    if isinstance(pred, Mapping):
        derivatives = {"grad": grad, "vjp": vjp, "jvp": jvp, "hvp": hvp}
        return _by_name(loss, pred, derivatives, framework, dtype=dtype, wrt=wrt, seed_arg=seed_arg, seed=seed)
    if vjp is not None or jvp is not None or hvp is not None or seed_arg is not None:
        raise UsageError("vjp, jvp, hvp and seed_arg belong to a function of arrays by name: gradcheck(f, {'x': x}, …)")
    options = ComputeOptions(class_weight=check_class_weight(class_weight or ()), ignore_index=ignore_index)
    if like is None:
        bound = as_loss(loss, framework if grad is None or not isinstance(loss, (str, Loss)) else None)
    else:
        convention = single_like(loss if isinstance(loss, str) else as_loss(loss).spec, like)
        bound = convention.loss(options.class_weight)
        options = replace(options, **convention.settings(options.class_weight, ignore_index))
    check_choice("dtype", dtype, DTYPES)
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("signature", signature, SIGNATURES)
    check_choice("second", second, SECOND)
    check_choice("wrt", str(wrt or "pred"), ("pred", "logits"))
    for name, value, fits in (
        ("samples", samples, samples >= 1),
        ("seed", seed, seed >= 0),
        ("rtol", rtol, 0 < rtol < 1),
    ):
        if not fits:
            raise UsageError(f"{name} {value}: {_RANGES[name]}")
    if wrt == "logits":
        bound = from_logits(bound)
    said = "none"
    if grad is None:
        bound, said, reduction = without_reduction(bound, reduction), reduction, "none"
    gradient = None
    if framework is not None and callable(grad):
        gradient = gradient_of_tensors(as_loss(grad, framework), signature, kernel_name(grad), bound, dtype)
    elif is_gradient_function(grad):
        gradient = Gradient(grad, signature, kernel_name(cast(Any, grad)), bound)
    if pred is None:
        if grad is not None and gradient is None:
            raise UsageError("an array of gradients needs the predictions that it was computed at")
        drawn = check_points(
            bound,
            samples=samples,
            seed=seed,
            gradient=gradient,
            second=second,
            rtol=rtol,
            dtype=dtype,
            whole=True,
            said=said,
        )
        return _joined(drawn)
    array = None if grad is None or gradient is not None else to_array(grad)
    data = from_arrays({"pred": pred, "target": target, "weight": weight, GIVEN_GRADIENT: array, **(inputs or {})})
    results = check_on(
        lambda: data,
        bound,
        gradient=gradient,
        second=second,
        reduction=reduction,
        options=options,
        rtol=rtol,
        dtype=dtype,
        whole=True,
        said=said,
        workers=ExecutionConfig(threads),
    )
    return _joined(results)


def _by_name(
    function: str | Loss | Callable[..., Any],
    arrays: Mapping[str, Any],
    derivatives: Mapping[str, Any],
    framework: str | None,
    *,
    dtype: str,
    wrt: str | Sequence[str] | None,
    seed_arg: str | None,
    seed: int,
) -> ModelCheck:
    """Check a function of arrays by name."""
    if not callable(function) or isinstance(function, Loss):
        raise UsageError("arrays by name are the inputs of a function: gradcheck(f, {'W': W}), where f takes W")

    def derivative(name: str) -> UserFunction | None:
        f = derivatives[name]
        if isinstance(f, Mapping):
            f = constant({key: np.asarray(a) for key, a in f.items()})
        return None if f is None else UserFunction(f, kernel_name(f))

    return check_arrays(
        UserFunction(function, kernel_name(function)),
        arrays,
        framework=framework,
        dtype=dtype,
        grad=derivative("grad"),
        vjp=derivative("vjp"),
        jvp=derivative("jvp"),
        hvp=derivative("hvp"),
        wrt=[name.strip() for name in wrt.split(",")] if isinstance(wrt, str) else wrt,
        seed_arg=seed_arg,
        seed=seed,
    )


def gradient_of_tensors(function: Loss, signature: str, where: str, loss: Loss, dtype: str) -> Gradient:
    """Return the backward pass of a function of tensors as the gradient of another loss.

    Args:
        function: the function of tensors.
        signature, where, loss: as for :class:`Gradient`.
        dtype: precision in which the function runs.
    """

    def rounded(of: Loss, arrays: Sequence[Array]) -> list[Array]:
        kinds = [i.kind for i in of.inputs]
        return [a if k.is_code else function.kernel.rounded(a, dtype) for a, k in zip(arrays, kinds, strict=True)]  # type: ignore[attr-defined]

    return Gradient(backward_of(function, dtype), signature, where, loss, rounded)


def _joined(results: list[GradCheck]) -> GradCheck:
    """Return the check of the gradient, with that of the second derivative, if any, as its ``second``."""
    return replace(results[0], second=results[1]) if len(results) > 1 else results[0]
