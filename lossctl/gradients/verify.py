"""Outputs of a kernel against a registered loss: values and gradients of any precision, without a tolerance.

The registered loss is right to 1e-14 of its terms. An error is measured in ε·terms: ε of the precision of the output,
and the terms that the formula sums (:mod:`lossctl.gradients.rounding`, :mod:`lossctl.gradients.value_rounding`). Right
implementations, PyTorch's and optax's in four precisions, are off by at most 4 of these; up to 8 are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.loss import Loss
from lossctl.core.registry import as_loss
from lossctl.core.validation import check_choice, check_class_weight
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.errors import DataError
from lossctl.frameworks import to_array
from lossctl.gradients.rounding import precision_of_number
from lossctl.gradients.verify_result import Verification
from lossctl.gradients.verify_run import REDUCTIONS, ReducedValue, verify_on
from lossctl.io.dataset import BASELINE, GIVEN_GRADIENT, GIVEN_VALUE, UPSTREAM, from_arrays


def verify(
    loss: str | Loss,
    pred: npt.ArrayLike,
    target: npt.ArrayLike | None = None,
    *,
    value: npt.ArrayLike | None = None,
    grad: npt.ArrayLike | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
    dtype: str | None = None,
    reduction: str = "none",
    upstream: npt.ArrayLike | None = None,
    baseline: npt.ArrayLike | None = None,
    strict: bool = False,
    threads: int | None = None,
) -> Verification:
    """Judge values and a gradient that a kernel computed, without a tolerance.

    Args:
        loss: ``"cross_entropy"``, ``"huber:delta=0.5"`` or a :class:`Loss` of the registry.
        pred, target: (n, ...) the inputs as the kernel got them.
        value: the loss of each sample or element, weight included; with a reduction the one number.
        grad: the gradient, in the shape of ``pred``.
        inputs: further inputs of the loss, by name.
        weight: (n,) sample weights.
        class_weight, ignore_index: as in :func:`lossctl.compute`.
        dtype: the precision in which the kernel computes: ``"bfloat16"``, ``"float16"``, ``"float32"`` or
            ``"float64"``. Default: that of the arrays, or a lower one that their numbers show.
        reduction: ``"none"`` (the default), ``"mean"`` or ``"sum"``: what ``value`` and ``grad`` are of.
        upstream: (n,) or one per element: the gradient is that of sum(upstream · loss). With a reduction, one number.
        baseline: the same output of another implementation, whose error is compared.
        strict: whether lost digits fail too. Default False.
        threads: number of threads. Default: the number of cores.

    Raises:
        UsageError: there is nothing to check, or an option is invalid.
        DataError: shapes differ, or a value cannot be used.

    >>> import lossctl
    >>> assert lossctl.verify("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], value=[1.0, 4.0, 16.0], grad=[2.0, 4.0, 8.0])
    >>> lossctl.verify("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], grad=[1.0, 2.0, 4.0]).arrays[0].cause
    'given ÷ exact is 0.5 at every sample: a factor of 2 is missing'
    """
    check_choice("reduction", reduction, REDUCTIONS)
    bound = as_loss(loss)
    arrays: dict[str, Any] = {"pred": pred, "target": target, "weight": weight, **(inputs or {})}
    reduced: ReducedValue | None = None
    if value is not None and reduction != "none":
        number = _single("value", value)
        other = None if baseline is None or grad is not None else float(_single("baseline", baseline))
        reduced = ReducedValue(float(number), precision=precision_of_number(number), baseline=other)
        baseline = baseline if other is None else None
        value = None
    scale = 1.0
    if upstream is not None and reduction != "none":
        scale, upstream = float(_single("upstream", upstream)), None
    given = {GIVEN_VALUE: value, GIVEN_GRADIENT: grad, UPSTREAM: upstream, BASELINE: baseline}
    data = from_arrays(arrays | given)
    return verify_on(
        lambda: data,
        bound,
        reduced=reduced,
        upstream=scale,
        dtype=dtype,
        reduction=reduction,
        strict=strict,
        options=ComputeOptions(class_weight=check_class_weight(class_weight or ()), ignore_index=ignore_index),
        workers=ExecutionConfig(threads),
    )


def _single(name: str, value: npt.ArrayLike) -> np.ndarray:
    array = to_array(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{name}: shape {array.shape}, and with a reduction it is one number")
    return array.reshape(())
