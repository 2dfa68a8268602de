"""The Python API: losses of arrays, with the options of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from lossctl.conventions.like import Like, find_like
from lossctl.core.arrays import Array
from lossctl.core.decorator import Loss
from lossctl.core.kind import SUM_TOLERANCE, has_class_axis
from lossctl.core.python_words import in_python_words
from lossctl.core.registry import as_loss, registered
from lossctl.core.validation import NAN, REDUCTIONS, check_choice, check_class_weight
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.result import Result
from lossctl.engine.run import compute_losses
from lossctl.engine.sample_arrays import element_gradients, sample_losses
from lossctl.errors import DataError, UsageError, printable
from lossctl.frameworks import to_array
from lossctl.io.dataset import Dataset, from_arrays


def list_losses() -> list[str]:
    """Return the names of all registered losses.

    >>> import lossctl
    >>> "huber" in lossctl.list_losses()
    True
    """
    return list(registered())


class _Keywords(TypedDict, total=False):
    """The keywords of :func:`compute` that do not change the type of its result."""

    framework: str | None
    weight: npt.ArrayLike | None
    inputs: Mapping[str, npt.ArrayLike] | None
    nan: str
    normalize: bool
    sum_tolerance: float
    class_axis: int | None
    class_weight: Sequence[float] | None
    ignore_index: int | None
    allow_negative_weights: bool
    labels: Sequence[str | float] | None
    like: str | None
    threads: int | None


@overload
def compute(
    loss: str | Loss | Callable[..., Any],
    pred: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    reduction: Literal["none"],
    **keywords: Unpack[_Keywords],
) -> Array: ...


@overload
def compute(
    loss: str | Loss | Callable[..., Any],
    pred: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    **keywords: Unpack[_Keywords],
) -> Result: ...


@in_python_words
def compute(
    loss: str | Loss | Callable[..., Any],
    pred: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    framework: str | None = None,
    weight: npt.ArrayLike | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    reduction: str = "mean",
    nan: str = "error",
    normalize: bool = False,
    sum_tolerance: float = SUM_TOLERANCE,
    class_axis: int | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    allow_negative_weights: bool = False,
    labels: Sequence[str | float] | None = None,
    like: str | None = None,
    threads: int | None = None,
) -> Result | Array:
    """Compute the loss of predictions on targets.

    Args:
        loss: a spec such as ``"huber:delta=0.5"``, a :class:`Loss`, or a function ``(pred, target) -> loss``.
        pred, target: one row per sample: ``(n,)``, ``(n, m)`` (the loss of a sample is the mean over m), or ``(n, k)``
            for losses over k classes. Shapes are not broadcast, except ``(n, 1)`` against ``(n,)``.
        framework: ``"torch"``, ``"jax"`` or ``"tensorflow"`` if ``loss`` is a function of its tensors. Default None.
        weight: ``(n,)`` weights of samples, one weight per element, or per pixel for losses of masks; finite and at
            least 0. Default: 1.
        inputs: further inputs of the loss, by name.
        reduction: ``"mean"`` (Σwℓ/Σw, the default), ``"sum"`` (Σwℓ), both over all n·m elements, or
            ``"none"``, the loss of each sample as an array ``(n,)``: NaN for a sample that is left out.
        nan: treatment of samples with a NaN input: ``"error"`` (the default), ``"skip"`` or ``"propagate"``.
        normalize: divide rows of probabilities by their sum.
        sum_tolerance: without ``normalize``, the allowed deviation from 1 of the sum of a row of probabilities.
        class_axis: the axis of the classes; required above two dimensions; 0 for ``(k, n)``. For losses of masks, the
            axis of the channels, each of which is then an element; the target may be a map of labels without this axis.
        class_weight: ``(k,)`` weights of the classes, multiplied by ``weight``. If targets are rows over classes, the
            factor of a row is Σ target·class_weight.
        ignore_index: the target label of samples, elements or pixels to leave out.
        allow_negative_weights: whether weights may be negative. Default False.
        labels: the names or numbers of the classes in the targets, in the order of the classes. Default: the targets
            hold what the loss takes.
        like: a library, ``"keras"`` or ``"sklearn@1.1"``, whose number is computed; ``loss`` may then be the name of
            its function. Default: the registered loss.
        threads: number of threads; default: one per core. The result does not depend on it.

    Raises:
        UsageError: the loss, a parameter or an option is invalid.
        DataError: shapes differ, or a value is invalid; the message names the first such value.

    >>> import lossctl
    >>> result = lossctl.compute("mse", [2.0, 4.0], [1.0, 1.0])
    >>> float(result), result.count, result.max, result.argmax
    (5.0, 2, 9.0, 1)
    >>> float(lossctl.compute("log_loss", [0.0, 0.9], [1.0, 1.0], like="sklearn"))
    18.07450695...
    """
    candidates = [] if like is None else find_like(loss if isinstance(loss, str) else as_loss(loss).spec, like)
    bound = candidates[0].loss() if candidates else as_loss(loss, framework)
    check_choice("reduction", reduction, (*REDUCTIONS, "none"))
    named = {"pred": pred, "target": _coded(bound, target, labels), "weight": weight, **(inputs or {})}
    class_axis = _classes_last(named, class_axis)
    data = from_arrays(named)
    options = _options(
        nan=nan,
        sum_tolerance=sum_tolerance,
        normalize=normalize,
        class_axis=class_axis,
        class_weight=class_weight,
        ignore_index=ignore_index,
        allow_negative_weights=allow_negative_weights,
        labels=labels,
    )
    if candidates:
        chosen, bound, options = choose_like(candidates, data, options)
        reduction = chosen.reduction(reduction)
    workers = ExecutionConfig(threads)
    if reduction == "none":
        return sample_losses(data, bound, options, workers)
    return compute_losses(data, [bound], options, reduction, workers).results[0]


def choose_like(
    candidates: Sequence[Like], data: Dataset, options: ComputeOptions
) -> tuple[Like, Loss, ComputeOptions]:
    """Return the convention that takes the shapes of the data, with its loss and options.

    Args:
        candidates: the conventions that may be meant.
        data: the data set.
        options: options of the computation.

    Raises:
        UsageError: the function takes no weights, or no class weights, and there are such.
        DataError: the shapes fit none of the conventions.
    """
    for i, like in enumerate(candidates):
        loss = like.loss(options.class_weight)
        changed = replace(options, **like.settings(options.class_weight, options.ignore_index))
        try:
            plan = plan_loss(loss, data, changed)
        except DataError:
            if i == len(candidates) - 1:
                raise
            continue
        like.check(weighted="weight" in data.places, class_weighted=bool(options.class_weight))
        if like.row.per_column and plan.per_row > 1:
            raise UsageError(f"--like: {like.row.title} takes the root of each column: compute one column at a time")
        return like, loss, changed
    raise AssertionError("found is not empty")


def _options(
    *,
    nan: str = "error",
    sum_tolerance: float = SUM_TOLERANCE,
    normalize: bool = False,
    class_axis: int | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    allow_negative_weights: bool = False,
    labels: Sequence[str | float] | None = None,
) -> ComputeOptions:
    check_choice("nan", nan, NAN)
    return ComputeOptions(
        nan,
        sum_tolerance,
        normalize,
        class_axis,
        check_class_weight(class_weight or ()),
        ignore_index,
        allow_negative_weights,
        labelled=frozenset() if labels is None else frozenset({"target"}),
    )


def _coded(loss: Loss, target: npt.ArrayLike | None, labels: Sequence[str | float] | None) -> npt.ArrayLike | None:
    """Return the targets as codes 0, 1, 2 … of the labels; without labels, the targets themselves.

    Raises:
        DataError: a target is none of the labels.
        UsageError: the targets of the loss are no labels, or not of so many classes.
    """
    if labels is None or target is None:
        return target
    takes = next((i.kind.labels for i, role in zip(loss.inputs, loss.roles, strict=True) if role == "target"), 0)
    if takes == 0:
        raise UsageError(f"labels: the targets of {loss.name} are not labels")
    if takes not in (-1, len(labels)) or len(set(labels)) < max(len(labels), 2):
        raise UsageError(f"labels={tuple(labels)}: {loss.name} takes {'two' if takes == 2 else 'different'} labels")
    values = to_array(target)
    codes = np.full(values.shape, -1.0)
    for code, label in enumerate(labels):
        codes[values == label] = code
    if (codes < 0).any():
        place = tuple(int(i) for i in np.argwhere(codes < 0)[0])
        at, names = ", ".join(map(str, place)), ", ".join(map(str, labels))
        raise DataError(f"target[{at}]: {printable(repr(values[place].item()))} is none of the labels {names}")
    return codes


@in_python_words
def value_of(loss: Loss, arrays: Sequence[npt.ArrayLike], *, threads: int | None = None, **options: Any) -> Array:
    """Compute ``Loss.value``: the loss of each sample."""
    return sample_losses(*_prepared(loss, arrays, options), ExecutionConfig(threads))


@in_python_words
def gradient_of(loss: Loss, arrays: Sequence[npt.ArrayLike], *, threads: int | None = None, **options: Any) -> Array:
    """Compute ``Loss.gradient``: the gradient of the loss of each element."""
    gradient = element_gradients(*_prepared(loss, arrays, options), ExecutionConfig(threads))
    if options.get("class_axis") == 0:
        gradient = np.moveaxis(gradient, -1, 0)
    return np.ascontiguousarray(gradient).reshape(np.shape(to_array(arrays[0])))


def _classes_last(named: dict[str, npt.ArrayLike | None], class_axis: int | None) -> int | None:
    """Move a first axis of classes to the end in every input that has it, and return the axis of the classes.

    Args:
        named: the inputs by role, in which arrays are replaced. Those with as many axes as the predictions have it.
        class_axis: the axis of the classes; only 0, where others have the samples, is moved.
    """
    if class_axis != 0:
        return class_axis
    axes = np.ndim(to_array(named["pred"]))
    for role, value in named.items():
        if value is not None and role != "weight" and np.ndim(array := to_array(value)) == axes > 1:
            named[role] = np.moveaxis(array, 0, -1)
    return -1


def _prepared(
    loss: Loss, arrays: Sequence[npt.ArrayLike], options: Mapping[str, Any]
) -> tuple[Dataset, Loss, ComputeOptions]:
    """Return the data set of the arrays, the loss and the options; without ``class_axis`` classes are the last axis."""
    further = dict(options)
    by_name = further.pop("inputs", None) or {}
    named: dict[str, npt.ArrayLike | None] = {**dict(zip(loss.roles, arrays, strict=False)), **by_name}
    if len(arrays) + len(by_name) != len(loss.inputs) or named.keys() != set(loss.roles):
        names = ", ".join(i.name for i in loss.inputs)
        unknown = "".join(f" and {printable(name)}" for name in by_name)
        raise UsageError(f"{loss.name} takes {len(loss.inputs)} inputs ({names}), not {len(arrays)}{unknown}")
    if "target" in named:
        named["target"] = _coded(loss, named["target"], options.get("labels"))
    further["class_axis"] = _classes_last(named, further.get("class_axis"))
    data = from_arrays({**named, "weight": further.pop("weight", None)})
    if any(has_class_axis(i.kind.core) for i in loss.inputs):
        further["class_axis"] = -1 if further["class_axis"] is None else further["class_axis"]
    return data, loss, _options(**further)
