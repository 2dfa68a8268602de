"""The Python API: losses of arrays, with the options of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from lossctl.core.decorator import Loss
from lossctl.core.input_kinds import SUM_TOLERANCE
from lossctl.core.registry import as_loss, registered
from lossctl.core.validation import NAN, REDUCTIONS, check_choice, check_class_weight
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.plan import ComputeOptions
from lossctl.engine.result import Result
from lossctl.engine.run import compute_losses
from lossctl.io.dataset import from_arrays


def list_losses() -> list[str]:
    """Return the names of all registered losses.

    >>> import lossctl
    >>> "huber" in lossctl.list_losses()
    True
    """
    return list(registered())


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
    threads: int | None = None,
) -> Result:
    """Compute the loss of predictions on targets.

    Args:
        loss: a spec such as ``"huber:delta=0.5"``, a :class:`Loss`, or a function ``(pred, target) -> loss``.
        pred, target: one row per sample: ``(n,)``, ``(n, m)`` (the loss of a sample is the mean over m), or ``(n, k)``
            for losses over k classes. Shapes are not broadcast, except ``(n, 1)`` against ``(n,)``.
        framework: ``"torch"``, ``"jax"`` or ``"tensorflow"`` if ``loss`` is a function of its tensors. Default None.
        weight: ``(n,)`` weights of samples, or one weight per element; finite and at least 0. Default: 1.
        inputs: further inputs of the loss, by name.
        reduction: ``"mean"`` (Σwℓ/Σw, the default) or ``"sum"`` (Σwℓ).
        nan: treatment of samples with a NaN input: ``"error"`` (the default), ``"skip"`` or ``"propagate"``.
        normalize: divide rows of probabilities by their sum.
        sum_tolerance: without ``normalize``, the allowed deviation from 1 of the sum of a row of probabilities.
        class_axis: the axis of the classes; required above two dimensions.
        class_weight: ``(k,)`` weights of the classes, multiplied by ``weight``. If targets are rows over classes, the
            factor of a row is Σ target·class_weight.
        ignore_index: the target label of samples to leave out.
        threads: number of threads; default: one per core. The result does not depend on it.

    Raises:
        UsageError: the loss, a parameter or an option is invalid.
        DataError: shapes differ, or a value is invalid; the message names the first such value.

    >>> import lossctl
    >>> result = lossctl.compute("mse", [2.0, 4.0], [1.0, 1.0])
    >>> float(result), result.count, result.max, result.argmax
    (5.0, 2, 9.0, 1)
    """
    bound = as_loss(loss, framework)
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("nan", nan, NAN)
    data = from_arrays({"pred": pred, "target": target, "weight": weight, **(inputs or {})})
    options = ComputeOptions(
        nan, sum_tolerance, normalize, class_axis, check_class_weight(class_weight or ()), ignore_index
    )
    return compute_losses(data, [bound], options, reduction, ExecutionConfig(threads)).results[0]
