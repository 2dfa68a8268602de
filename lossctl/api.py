"""The Python API over arrays: what the command line does over files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.decorator import Loss, from_function
from lossctl.core.input_kinds import SUM_TOLERANCE
from lossctl.core.registry import get_loss, registered
from lossctl.engine.executors.config import Workers
from lossctl.engine.plan import Job, Policy, make_job
from lossctl.engine.result import Result, make_result
from lossctl.engine.run import run
from lossctl.errors import DataError, UsageError, nearest, quoted
from lossctl.io.dataset import Dataset, Place
from lossctl.io.source import ArraySource

REDUCTIONS = ("mean", "sum")
NAN = ("error", "skip", "propagate")


def list_losses() -> list[str]:
    """The names of every registered loss.

    >>> import lossctl
    >>> "huber" in lossctl.list_losses()
    True
    """
    return list(registered())


def as_loss(loss: str | Loss | Callable[..., Any]) -> Loss:
    """A loss from a spec, a loss, or a plain function."""
    if isinstance(loss, str):
        return get_loss(loss)
    return loss if isinstance(loss, Loss) else from_function(loss)


def compute(
    loss: str | Loss | Callable[..., Any],
    pred: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    weight: npt.ArrayLike | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    reduction: str = "mean",
    nan: str = "error",
    normalize: bool = False,
    sum_tolerance: float = SUM_TOLERANCE,
    class_axis: int | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    threads: int | None = None,
) -> Result:
    """The loss of predictions on targets.

    Args:
        loss: ``"huber:delta=0.5"``, a :class:`Loss`, or a function ``(pred, target) -> loss``.
        pred, target: one row a sample: ``(n,)``, ``(n, m)`` (the mean over m), or ``(n, k)`` for
            losses over classes. Nothing is broadcast but ``(n, 1)`` against ``(n,)``.
        weight: ``(n,)`` or one for each element, finite and at least 0.
        inputs: what the loss takes besides, by name.
        reduction: ``"mean"`` (Σwℓ/Σw) or ``"sum"`` (Σwℓ).
        nan: ``"error"``, ``"skip"`` or ``"propagate"``.
        normalize: divide rows of probabilities by their sum.
        sum_tolerance: how far from 1 these sums may be otherwise.
        class_axis: the axis of the classes, needed above two dimensions.
        class_weight: a weight for each class, multiplied with ``weight``; where targets are rows of
            classes, a row weighs Σ target·class_weight.
        ignore_index: the label of samples to leave out.
        threads: how many; the result does not depend on it.

    Raises:
        UsageError: the loss, a parameter or an option is wrong.
        DataError: shapes that differ, or the first value that cannot be used.

    >>> import lossctl
    >>> result = lossctl.compute("mse", [2.0, 4.0], [1.0, 1.0])
    >>> float(result), result.count, result.max, result.argmax
    (5.0, 2, 9.0, 1)
    """
    bound = as_loss(loss)
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("nan", nan, NAN)
    data = from_arrays({"pred": pred, "target": target, "weight": weight, **(inputs or {})})
    policy = Policy(nan, sum_tolerance, normalize, class_axis, check_class_weight(class_weight or ()), ignore_index)
    return compute_on(data, [bound], policy, reduction, Workers(threads))[0]


def from_arrays(named: Mapping[str, npt.ArrayLike | None]) -> Dataset:
    """Arrays by role as a data set; those that are None are not there.

    Raises:
        DataError: something that is no array of real numbers.
    """
    arrays = {role: _array(role, value) for role, value in named.items() if value is not None}
    return Dataset(
        tuple(ArraySource(role, (array,), (role,)) for role, array in arrays.items()),
        {role: Place(i, 0) for i, role in enumerate(arrays)},
    )


def compute_on(data: Dataset, bound: Sequence[Loss], policy: Policy, reduction: str, workers: Workers) -> list[Result]:
    """The results of several losses in one pass over the data."""
    jobs: list[Job] = [make_job(loss, roles_of(loss, data), data, policy) for loss in bound]
    with workers.on(data, bound) as executor:
        summaries = run(data, jobs, policy, executor)
    return [make_result(loss, summary, reduction) for loss, summary in zip(bound, summaries, strict=True)]


def roles_of(loss: Loss, data: Dataset) -> list[str]:
    """Which role each input of the loss has.

    Raises:
        UsageError: an input that the data do not have.
    """
    roles = list(loss.roles)
    for role, spec in zip(roles, loss.inputs, strict=True):
        if role not in data.places:
            cure = "give TARGETS, or --target COLUMN" if role == "target" else f"--input {role}=FILE or COLUMN"
            raise UsageError(f"{loss.name} needs {role} ({spec.kind.words}): {cure}")
    return roles


def check_class_weight(weights: Sequence[float]) -> tuple[float, ...]:
    """Class weights as numbers, each finite and at least 0, and not all of them 0.

    Raises:
        UsageError: they are not.
    """
    known = tuple(float(w) for w in weights)
    if any(not 0.0 <= w < math.inf for w in known) or (known and not any(known)):
        raise UsageError(f"class weights {known}: one for each class, finite and at least 0, and not all of them 0")
    return known


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        raise UsageError(f"{name} {quoted(value)}: one of {', '.join(choices)}{nearest(value, choices)}")


def _array(role: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{role}: not an array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{role}: an array of {array.dtype}; real numbers are needed")
    if not array.ndim or not len(array):
        raise DataError(f"{role}: shape {array.shape}; at least one sample is needed")
    return array
