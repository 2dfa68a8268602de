"""Gradient checks of whole data sets and of sampled points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import has_class_axis
from lossctl.core.loss import Loss
from lossctl.core.registry import as_loss, get_loss
from lossctl.core.tensor_kernel import TensorKernel
from lossctl.core.user_kernel import kernel_name, source_line
from lossctl.core.validation import check_choice, check_class_weight
from lossctl.engine.exact_sum import rounded
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.plan import ComputeOptions, check_unweighted_gradient, plan_loss
from lossctl.engine.run import map_blocks, summarize
from lossctl.errors import DataError, UsageError, counted
from lossctl.frameworks import DTYPES, to_array
from lossctl.gradients.arrays_check import UserFunction, check_arrays
from lossctl.gradients.block_check import RTOL, Checker, CoupledError, ProbabilityError
from lossctl.gradients.diagnosis import diagnose
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.gradient_arguments import SIGNATURES
from lossctl.gradients.judge import check
from lossctl.gradients.model_result import ModelCheck
from lossctl.gradients.named_function import constant
from lossctl.gradients.result import GradCheck
from lossctl.gradients.sampling import is_batch_coupled, sample_points
from lossctl.gradients.second_derivative import SECOND
from lossctl.gradients.tally import CheckSummary
from lossctl.gradients.tensors import backward_of, drawn_coupled, with_drawn_kinds, with_kernel, with_unit_domain
from lossctl.gradients.user_gradient import Gradient, is_gradient_function
from lossctl.gradients.user_loss import without_reduction
from lossctl.gradients.verdict import Reason, Verdict
from lossctl.io.arrays import ArraySource
from lossctl.io.dataset import GIVEN_GRADIENT, Dataset, FieldRef, from_arrays

REDUCTIONS = ("none", "mean", "sum")
_RANGES = {"samples": "at least 1", "seed": "at least 0", "rtol": "between 0 and 1"}
_REASONS = {
    Reason.DIGITS: "the loss has too few digits there",
    Reason.EDGE: "the prediction is next to an edge of the domain",
    Reason.JUMP: "the loss jumps there",
    Reason.TINY: "too small against the RMS gradient to count as right or as wrong",
}
# Number of samples drawn for a loss whose samples depend on each other.
_BATCH = 100


@overload
def gradcheck(
    loss: Callable[..., Any],
    pred: Mapping[str, npt.ArrayLike],
    *,
    grad: Callable[..., Any] | Mapping[str, npt.ArrayLike] | None = None,
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
            ``loss``, takes tensors and returns a loss, whose backward pass is checked. Default: functions of arrays.
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
        return _by_name(loss, pred, grad=grad, vjp=vjp, jvp=jvp, hvp=hvp, wrt=wrt, seed_arg=seed_arg, seed=seed)
    if vjp is not None or jvp is not None or hvp is not None or seed_arg is not None:
        raise UsageError("vjp, jvp, hvp and seed_arg belong to a function of arrays by name: gradcheck(f, {'x': x}, …)")
    bound = as_loss(loss, framework if grad is None or not isinstance(loss, (str, Loss)) else None)
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
    if grad is None:
        bound, reduction = without_reduction(bound, reduction), "none"
    gradient = None
    if framework is not None and callable(grad):
        gradient = gradient_of_tensors(as_loss(grad, framework), signature, kernel_name(grad), bound, dtype)
    elif is_gradient_function(grad):
        gradient = Gradient(grad, signature, kernel_name(cast(Any, grad)), bound)
    if pred is None:
        if grad is not None and gradient is None:
            raise UsageError("an array of gradients needs the predictions that it was computed at")
        drawn = check_points(
            bound, samples=samples, seed=seed, gradient=gradient, second=second, rtol=rtol, dtype=dtype, whole=True
        )
        return _joined(drawn)
    given = None if grad is None or gradient is not None else to_array(grad)
    data = from_arrays({"pred": pred, "target": target, "weight": weight, GIVEN_GRADIENT: given, **(inputs or {})})
    results = check_on(
        lambda: data,
        bound,
        gradient=gradient,
        second=second,
        reduction=reduction,
        options=ComputeOptions(class_weight=check_class_weight(class_weight or ()), ignore_index=ignore_index),
        rtol=rtol,
        dtype=dtype,
        whole=True,
        workers=ExecutionConfig(threads),
    )
    return _joined(results)


def _by_name(
    function: str | Loss | Callable[..., Any],
    arrays: Mapping[str, npt.ArrayLike],
    *,
    grad: Any,
    wrt: str | Sequence[str] | None,
    seed_arg: str | None,
    seed: int,
    **derivatives: Callable[..., Any] | None,
) -> ModelCheck:
    """Check a function of arrays by name."""
    if not callable(function) or isinstance(function, Loss):
        raise UsageError("arrays by name are the inputs of a function: gradcheck(f, {'W': W}), where f takes W")
    functions = {name: None if f is None else UserFunction(f, kernel_name(f)) for name, f in derivatives.items()}
    if isinstance(grad, Mapping):
        grad = constant({name: np.asarray(a) for name, a in grad.items()})
    return check_arrays(
        UserFunction(function, kernel_name(function)),
        {name: np.asarray(a) for name, a in arrays.items()},
        grad=None if grad is None else UserFunction(grad, kernel_name(grad)),
        **functions,
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


def from_logits(loss: Loss) -> Loss:
    """Return the loss of logits that corresponds to a loss of probabilities, with the same parameters.

    Raises:
        UsageError: there is no such loss.
    """
    if not loss.from_logits:
        raise UsageError(f"--wrt logits: {loss.name} is not a loss of probabilities with a twin from logits")
    twin = get_loss(loss.from_logits)
    return twin.bind(**{name: value for name, value in loss.params.items() if name in twin.params})


def check_points(
    loss: Loss,
    *,
    samples: int,
    seed: int,
    gradient: Gradient | None = None,
    second: str = "surrogate",
    rtol: float = RTOL,
    dtype: str = "float64",
    whole: bool = False,
) -> list[GradCheck]:
    """Check a gradient at points drawn from the domain of the loss.

    Args:
        loss: the loss.
        samples: number of points; at most 100 are drawn if samples depend on each other.
        seed: seed of their generator.
        gradient: function that returns the gradient. Default: the gradient of the loss.
        second: how its second derivative is judged: ``exact``, ``surrogate`` (the default) or ``off``.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        dtype: precision in which a function of tensors runs. Default float64.
        whole: whether to keep every verdict. Default False.
    """
    points = ""
    if loss.takes_tensors:
        loss, points = with_drawn_kinds(loss, seed)
        loss = replace(loss, batch_coupled=drawn_coupled(loss, seed))
    # The cost of a batch whose samples depend on each other is quadratic, and a small batch shows as much.
    count = min(samples, _BATCH) if loss.batch_coupled else samples
    # A kernel of the registry keeps its digits over twelve decades; nobody else's gradient has to.
    ordinary = gradient is not None or not loss.is_builtin
    arrays = sample_points(loss, count, seed, ordinary=ordinary)
    if count > _BATCH and not loss.is_builtin and is_batch_coupled(loss, arrays):
        # Directions through thousands of points all cross a kink at one of them; coordinates are checked by themselves.
        loss = replace(loss, batch_coupled=True)
        arrays = sample_points(loss, _BATCH, seed, ordinary=ordinary)
    sources = tuple(ArraySource(role, (a,), (role,)) for role, a in zip(loss.roles, arrays, strict=True))
    data = Dataset(sources, {role: FieldRef(i, 0) for i, role in enumerate(loss.roles)})
    classes = any(has_class_axis(spec.kind.core) for spec in loss.inputs)
    options = ComputeOptions(class_axis=-1 if classes else None)  # where the kinds draw it
    results = check_on(
        lambda: data, loss, gradient=gradient, second=second, options=options, rtol=rtol, dtype=dtype, whole=whole
    )
    if points:
        note = f"points drawn as {points}; for others give PREDS and TARGETS, or annotate the parameters"
        results[0] = replace(results[0], notes=(*results[0].notes, note))
    if loss.finish is not None:
        results[0] = _with_finish(results[0], loss, rtol, seed)
    return results


def check_on(
    data: Callable[[], Dataset],
    loss: Loss,
    *,
    gradient: Gradient | None = None,
    second: str = "surrogate",
    reduction: str = "none",
    options: ComputeOptions | None = None,
    rtol: float = RTOL,
    dtype: str = "float64",
    whole: bool = False,
    workers: ExecutionConfig | None = None,
) -> list[GradCheck]:
    """Check a gradient at the points of a data set.

    Args:
        data: function that opens the data. It is called again if the gradient is that of the mean, or if
            samples turn out to depend on each other.
        loss: the loss.
        gradient: function that returns the gradient. Default: the role ``grad`` of the data if there is one,
            otherwise the gradient of the loss.
        second: how its second derivative is judged: ``exact``, ``surrogate`` (the default) or ``off``.
        reduction: function whose gradient is given: ``none`` (the default), ``mean`` or ``sum``.
        options: options of the engine.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        dtype: precision in which a function of tensors runs. Default float64.
        whole: whether to keep every verdict. Default False.
        workers: configuration of the executor.

    Returns:
        The check of the gradient and, if `gradient` returns a second derivative, the check of the latter.

    Raises:
        UsageError: the data has weights and samples depend on each other.
        DataError: the gradient and the predictions differ in shape.
    """
    options, workers = options or ComputeOptions(), workers or ExecutionConfig()
    opened = data()
    check_unweighted_gradient(loss, opened, reduction)
    if GIVEN_GRADIENT in opened.places and opened.row_shape(GIVEN_GRADIENT) != opened.row_shape("pred"):
        row_shapes = [opened.row_shape(role) for role in (GIVEN_GRADIENT, "pred")]
        shapes = [f"(n, {', '.join(map(str, shape))})" if shape else "(n,)" for shape in row_shapes]
        raise DataError(f"grad has shape {shapes[0]}, pred {shapes[1]}: one derivative for each prediction")
    small = [loss] if gradient is None and not whole else []  # a user's function must not run in a forked worker
    factor = 1.0
    if reduction == "mean":
        plan = plan_loss(loss, opened, options)
        with workers.executor_for(opened, small) as executor:
            (summary,), _ = summarize(opened, [plan], replace(options, detail=False), executor)
        slope = loss.finish.derivative(summary.mean) if loss.finish else 1.0
        factor = rounded(summary.weight) / slope if slope else 1.0
        opened = data()
    checker = Checker(gradient, factor, reduction != "none", rtol, whole, second, dtype)

    def tallies(opened: Dataset, loss: Loss) -> list[CheckSummary]:
        plan = plan_loss(loss, opened, options)
        with workers.executor_for(opened, small) as executor:
            blocks = [block[0] for block in map_blocks(opened, [plan], options, checker, executor)]
        return [reduce(add, parts) for parts in zip(*blocks, strict=True)]

    if loss.takes_tensors:
        loss = with_kernel(loss, coupled=False)
    results: list[CheckSummary] = []
    while not results:
        try:
            results = tallies(opened, loss)
        except ProbabilityError:
            loss, opened = with_unit_domain(loss), data()
        except CoupledError:
            loss = with_kernel(loss, coupled=True) if loss.takes_tensors else replace(loss, batch_coupled=True)
            check_unweighted_gradient(loss, opened, reduction)
            opened = data()
    if gradient is not None and results[0].counts[Verdict.WRONG]:
        results[0] = replace(results[0], notes=(*results[0].notes, *gradient.doubts()))
    if dtype != "float64" and loss.takes_tensors and len(results) > 1:
        # The gradient in float64 is the reference: if it is wrong itself, it is what the report shows.
        results = [replace(results[1], notes=results[0].notes) if results[0].passed else results[0]]
    checked: object = loss.kernel if gradient is None else gradient.function
    if isinstance(checked, TensorKernel):
        checked = getattr(checked.value, "forward", checked.value)
    place = None if GIVEN_GRADIENT in opened.places else source_line(checked)
    return [_result(loss, t, what, place) for t, what in zip(results, ("gradient", "second derivative"), strict=False)]


def _result(loss: Loss, tally: CheckSummary, what: str, place: tuple[str, int] | None) -> GradCheck:
    whole = tally.verdicts
    second = what != "gradient"
    code, hint = (None if tally.passed else diagnose(loss, tally, second=second)) or (None, None)
    return GradCheck(
        loss=loss.spec,
        name=loss.name,
        params=loss.params,
        what=what,
        samples=tally.samples,
        counts={v.name.lower(): n for v, n in zip(Verdict, tally.counts, strict=True)},
        passed=tally.passed,
        worst=tally.worst,
        worst_row=tally.worst_row,
        hint=hint,
        hint_code=code,
        method=tally.method,
        failing=tally.failing,
        passing=tally.passing,
        verdict=whole.verdict if whole else None,
        numeric=whole.numeric if whole else None,
        error=whole.error if whole else None,
        given=tally.given,
        notes=(*tally.notes, *_notes(tally, what)),
        place=place,
    )


def _notes(tally: CheckSummary, what: str) -> list[str]:
    """Return why coordinates are unresolved, and whether anything was verified."""
    notes = [
        f"{counted(n, 'coordinate')} unresolved: {_REASONS[reason]}"
        for reason, n in zip(Reason, tally.reasons, strict=True)
        if n and reason != Reason.NONE
    ]
    if tally.checked and not tally.verified and not tally.counts[Verdict.WRONG] and not tally.notes:
        notes.append("nothing was verified: no coordinate is ok; check other points")
    elif tally.checked and not tally.moving and tally.passed and what == "gradient":
        notes.append("the gradient is 0 at every point, as it should be: these points show little; check others too")
    return notes


def _with_finish(result: GradCheck, loss: Loss, rtol: float, seed: int) -> GradCheck:
    """Check the derivative of the transform of the mean at 200 random means, and add its verdicts to the counts."""
    finish = loss.finish
    assert finish is not None
    means = 10.0 ** np.random.default_rng(seed).uniform(-12, 12, 200)

    def f(_rows: np.ndarray | None, x: Array) -> Array:
        return np.array([finish.value(float(v)) for v in x[:, 0]])

    given = np.array([[finish.derivative(float(v))] for v in means])
    checked = check(DerivativeProblem(f, means[:, None], given, np.maximum(means, 1.0), 0.0, np.inf, rtol))
    more = np.bincount(checked.verdict.ravel(), minlength=len(Verdict))
    counts = {name: n + int(m) for (name, n), m in zip(result.counts.items(), more, strict=True)}
    if not more[Verdict.WRONG]:
        return replace(result, counts=counts)
    if result.hint:
        return replace(result, counts=counts, passed=False)
    hint = "the derivative of its finish is wrong"
    return replace(result, counts=counts, passed=False, hint=hint, hint_code="finish")
