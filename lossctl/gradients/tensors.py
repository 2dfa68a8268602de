"""Check functions of tensors: points for them, the upstream gradient, and lower precisions.

In float64 the gradient of the framework is compared with differences of the function, like that of any other loss. In a
lower precision it is compared with the gradient in float64, which the differences have confirmed: a difference of two
float32 losses has no digits left.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from lossctl.core.array_kinds import Vector
from lossctl.core.arrays import Array
from lossctl.core.input_kinds import Label, Logits, Positive, Probabilities, Probability, Real
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.core.tensor_kernel import TensorKernel, TensorKind, TensorSignature
from lossctl.core.user_kernel import kernel_inputs
from lossctl.errors import LossctlError, UsageError
from lossctl.frameworks import WIDENED
from lossctl.gradients.points import Points
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, estimated_terms
from lossctl.gradients.sampling import is_batch_coupled, sample_points
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

# Number of points at which kinds of inputs are tried, and the share of finite losses with which they are taken.
_TRIED, _FINITE = 64, 0.9
# What the first two inputs of a function of tensors are tried as, in this order; the further ones as the last kind.
_DRAWN: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("logits of 5 classes and labels", (Logits, Label, Positive)),
    ("numbers", (Real, Real, Positive)),
    ("probabilities", (Probability, Probability, Positive)),
    ("vectors of 5 numbers", (Vector, Vector, Vector)),
    ("logits and probabilities of 5 classes", (Logits, Probabilities, Positive)),
    ("vectors of 5 numbers and labels", (Vector, Vector, Label)),
)
# Inputs changed by up to 8 ε show what rounding does: to a right gradient (its change in float64) and in the lower
# precision (how its error varies). Of 8 such errors the largest is rarely below a quarter of another one.
_CHANGES, _SPREAD = 8, 4.0
# Largest difference, of the largest slope of a row, between the gradient for an upstream gradient u and u times that
# for ones. They differ by roundoff.
_LINEAR = 1e-6


def _kernel(loss: Loss) -> TensorKernel:
    assert isinstance(loss.kernel, TensorKernel)
    return loss.kernel


def with_kernel(loss: Loss, *, coupled: bool) -> Loss:
    """Return a function of tensors as a gradient check takes it: losses whose sum has the framework's own gradient."""
    return replace(loss, kernel=replace(_kernel(loss), summed=True, independent=not coupled), batch_coupled=coupled)


def with_drawn_kinds(loss: Loss, seed: int) -> tuple[Loss, str]:
    """Return a function of tensors with kinds from which points can be drawn, and the name of these points.

    Kinds that its annotations say stay. Of others the first are taken with which it returns finite losses.

    Raises:
        UsageError: there are none.
    """
    assert isinstance(loss.signature, TensorSignature)
    first_error: LossctlError | None = None
    if not any(isinstance(i.kind, TensorKind) for i in loss.inputs):
        return loss, ""
    for name, kinds in _DRAWN:
        chosen = [
            _kind(kinds[min(i, 2)]) if isinstance(spec.kind, TensorKind) else spec.kind
            for i, spec in enumerate(loss.inputs)
        ]
        candidate = replace(loss, signature=replace(loss.signature, kinds=tuple(chosen)))
        candidate = replace(candidate, kernel=replace(_kernel(loss), summed=True))
        try:
            with warnings.catch_warnings():  # at points that do not fit
                warnings.simplefilter("ignore")
                losses = candidate.evaluate(*sample_points(candidate, _TRIED, seed, ordinary=True))[0]
        except LossctlError as error:
            first_error = first_error or error
            continue
        except Exception as error:  # noqa: BLE001 - called from Python: whatever the user's function raises
            first_error = first_error or UsageError(f"{loss.name}: {type(error).__name__}: {error}")
            continue
        if np.isfinite(losses).mean() >= _FINITE:
            return replace(loss, signature=candidate.signature), name
    cause = str(first_error) if first_error is not None else f"{loss.name}: its losses are not finite"
    raise UsageError(
        f"{cause}; at points of other kinds, too: give PREDS and TARGETS, or annotate the parameters: "
        "pred: lossctl.Logits, target: lossctl.Label"
    )


def _kind(annotated: Any) -> Kind:
    kind = get_args(annotated)[1]
    assert isinstance(kind, Kind)
    return kind


def drawn_coupled(loss: Loss, seed: int) -> bool:
    """Return whether the samples of a function of tensors depend on each other, as all do of a mean."""
    single = with_kernel(loss, coupled=True)
    return is_batch_coupled(single, sample_points(single, _TRIED, seed, ordinary=True))


def tensor_gradient(
    loss: Loss,
    arrays: Sequence[Array],
    dtype: str = "float64",
    upstream: Callable[[tuple[int, ...]], Array] | None = None,
) -> Array:
    """Return the gradient that the framework computes in a precision, in float64; the arguments as for the kernel."""
    order = loss.signature.kernel_order
    inputs = kernel_inputs([arrays[i] for i in order], [loss.inputs[i].kind for i in order])
    with np.errstate(all="ignore"):
        gradient: Array = _kernel(loss).gradient(inputs, loss.params, dtype, upstream)
    return gradient.reshape(arrays[0].shape)


def is_of_probabilities(loss: Loss, arrays: Sequence[Array]) -> bool:
    """Return whether a function of tensors has no loss outside of 0 to 1, and all predictions lie there.

    The losses of probabilities in PyTorch raise an exception for the whole batch if a difference leaves this interval.
    """
    pred = arrays[0]
    if loss.inputs[0].kind.domain.low == 0.0 or not ((pred >= 0.0) & (pred <= 1.0)).all():
        return False
    for step in (-1.5, 1.5):
        try:
            if np.isnan(loss.evaluate(pred + step, *arrays[1:])[0]).any():
                return True
        except Exception:  # noqa: BLE001 - whatever the user's function raises
            return True
    return False


def with_unit_domain(loss: Loss) -> Loss:
    """Return a function of tensors whose predictions are probabilities."""
    assert isinstance(loss.signature, TensorSignature)
    return replace(loss, signature=replace(loss.signature, unit=True))


def rounded_inputs(loss: Loss, arrays: Sequence[Array], dtype: str) -> list[Array]:
    """Return the inputs as numbers of a precision; whole numbers that are labels stay."""
    kernel = _kernel(loss)
    loss.evaluate(*arrays)  # finds which inputs are labels
    integers = kernel.integers
    position = {of: i for i, of in enumerate(loss.signature.kernel_order)}
    return [a if integers[position[i]] else kernel.rounded(a, dtype) for i, a in enumerate(arrays)]


def for_upstream(loss: Loss, arrays: Sequence[Array], given: Array) -> tuple[Array, str]:
    """Check that the backward pass multiplies by the upstream gradient.

    Args:
        loss: a function of tensors.
        arrays: its inputs.
        given: its gradient for an upstream gradient of ones.

    Returns:
        The gradient and a remark: `given` and '', or the gradient for another upstream gradient, divided by it.
    """
    n = len(given)
    signs = np.random.default_rng(0).choice([-2.0, -0.5, 0.5, 2.0], n)
    if loss.batch_coupled:
        signs[:] = signs[0]

    def upstream(shape: tuple[int, ...]) -> Array:
        factor = signs.reshape(-1, *(1,) * (len(shape) - 1)) if shape and shape[0] == n else signs[0]
        return np.broadcast_to(factor, shape)

    raw = tensor_gradient(loss, arrays, upstream=upstream)
    up = signs.reshape(-1, *(1,) * (given.ndim - 1))
    scale = np.abs(given).reshape(n, -1).max(axis=1, initial=0.0).reshape(up.shape)

    def same(expected: Array) -> bool:
        with np.errstate(all="ignore"):
            away = np.abs(raw - expected)
        return not (away > _LINEAR * np.maximum(scale, scale.mean())).any()

    if same(up * given):
        return given, ""
    if same(given):
        return raw / up, "its backward pass ignores the upstream gradient: multiply by it"
    if same(signs[0] * given):
        return raw / up, "its backward pass uses only the first element of the upstream gradient"
    return raw / up, "its backward pass is not proportional to the upstream gradient of each sample"


def compare_precisions(points: Points, reference: Array, dtype: str, rtol: float) -> tuple[CoordinateVerdicts, Array]:
    """Compare the gradient in a precision with that in float64.

    Args:
        points: a function of tensors, and inputs that this precision holds.
        reference: the gradient in float64, in the shape of the predictions.
        dtype: the precision.
        rtol: allowed difference relative to the scale of a sample.

    Returns:
        The verdicts, and the gradient in the lower precision.
    """
    n, precision = len(points), PRECISIONS[dtype]
    given = tensor_gradient(points.loss, points.arrays, dtype)
    flat, right = given.reshape(n, -1), reference.reshape(n, -1)
    with np.errstate(all="ignore"):
        away = np.abs(flat - right)
        slack = _slack(points, flat, right, dtype)
    size = np.where(np.isfinite(right), np.abs(right), 0.0)
    scale = size.max(axis=1, keepdims=True)
    if points.loss.batch_coupled:
        scale = np.full_like(scale, scale.max(initial=0.0))
    verdict = np.where(away <= slack + rtol * scale, np.int8(Verdict.OK), np.int8(Verdict.WRONG))
    verdict[flat == right] = Verdict.OK
    beyond = np.isinf(flat) & (size + slack >= precision.largest)
    verdict[~np.isfinite(right) | beyond] = Verdict.UNDEFINED
    none = np.zeros(flat.shape, np.int8)
    return CoordinateVerdicts(verdict, right, slack / 8.0, scale, none.astype(bool), none), given


def _slack(points: Points, given: Array, reference: Array, dtype: str) -> Array:
    """Return how far rounding can move the gradient: by ε·terms, by changed inputs, and as its error varies."""
    loss, n = points.loss, len(points)
    precision = PRECISIONS[dtype]
    amount = ULPS_OF_TERMS * precision.eps
    least: Array = amount * estimated_terms(reference, points.magnitude) + ULPS_OF_TERMS * precision.tiny
    largest = np.zeros(given.shape)
    rng = np.random.default_rng(0)
    integers = _kernel(loss).integers
    position = {of: i for i, of in enumerate(loss.signature.kernel_order)}
    for _ in range(_CHANGES):
        # Within the range of the input: a probability stays one.
        moved = [
            a
            if integers[position[i]]
            else np.clip(a * (1.0 + amount * rng.uniform(-1.0, 1.0, a.shape)), a.min(), a.max())
            for i, a in enumerate(points.arrays)
        ]
        moved = rounded_inputs(loss, moved, dtype)
        low, high = (tensor_gradient(loss, moved, d).reshape(n, -1) for d in (dtype, "float64"))
        spread = np.abs((low - high) - (given - reference)).max(axis=1, keepdims=True)
        largest = np.fmax(largest, np.abs(high - reference) + _SPREAD * spread)
    return np.asarray(least + largest)


def backward_of(loss: Loss, dtype: str) -> Callable[..., Any]:
    """Return the gradient of a function of tensors as a function of arrays, for the place of a gradient function.

    A function that returns the mean of the batch gives n times its gradient, that of each sample's loss.
    """
    kernel = replace(_kernel(loss), summed=True)

    def backward(*arrays: Array) -> Any:
        inputs = [a if a.dtype.kind in "iu" else kernel.rounded(a, dtype) for a in arrays]
        gradient = kernel.gradient(inputs, loss.params, dtype) * _averaged(kernel, loss, inputs)
        if dtype == "bfloat16":
            return gradient.astype(np.dtype(np.float32, metadata={WIDENED: dtype}))
        return gradient.astype(dtype)

    backward.__name__ = loss.name
    backward.__wrapped__ = kernel.framework.defined_by(kernel.value)  # type: ignore[attr-defined]
    backward.__signature__ = inspect.Signature([p for p in kernel.parameters if p.default is p.empty])  # type: ignore[attr-defined]
    return backward


def _averaged(kernel: TensorKernel, loss: Loss, inputs: Sequence[Array]) -> float:
    """Return n if a function returns the mean of a batch, which two copies of the batch do not change; 1 otherwise."""
    n = len(inputs[0])
    once = kernel.losses(inputs, loss.params)
    if n < 2 or np.ptp(once) > 0:
        return 1.0
    total = once.sum()
    twice = kernel.losses([np.concatenate([a, a]) for a in inputs], loss.params).sum()
    return float(n) if abs(twice - total) < abs(twice - 2.0 * total) else 1.0
