"""The gradient of a loss over a data set of any size, spooled to disk with one row per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block
from lossctl.engine.evaluate import CommonUnit, summarize_block, weight_exponent
from lossctl.engine.exact_sum import rounded, shifted
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.lists import Groups
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, check_unweighted_gradient, plan_loss
from lossctl.engine.result import check_not_empty
from lossctl.engine.run import map_blocks
from lossctl.engine.sample_arrays import in_rows
from lossctl.errors import UsageError
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.judge import check
from lossctl.gradients.sampling import sample_magnitude
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset
from lossctl.io.spool import Spool


@immutable
class GradientRows:
    """The gradient of every sample, on disk.

    Attributes:
        spool: the file, one row per sample.
        shape: shape of a row.
        factor: multiplier of every row.
    """

    spool: Spool
    shape: tuple[int, ...]
    factor: float

    @property
    def rows(self) -> int:
        """Number of samples."""
        return self.spool.rows

    def chunks(self) -> Iterator[Array]:
        """Yield all rows in order, in chunks (rows, *shape)."""
        return (data * self.factor + 0.0 for data in self.spool.column(0))  # + 0.0: no -0.0


@immutable
class _Measure:
    """The function that the engine maps over blocks: returns the gradient of each row and the sums for the mean.

    Attributes:
        numeric: compute the gradient by finite differences.
        reduction: ``mean``, ``sum``: multiply it by the sample weights, which for the mean are in a unit near them.
    """

    numeric: bool
    reduction: str

    def __call__(self, block: Block, plan: LossPlan) -> tuple[Array, int, Summary]:
        elements = block.elements(plan)
        loss, arrays = plan.loss, elements.arrays
        core = plan.loss.inputs[0].kind.core
        exponent = weight_exponent(elements, block.options) if self.reduction == "mean" else 0
        summary, gradient = summarize_block(block, plan), None
        if len(elements):
            gradient = _by_differences(loss, arrays) if self.numeric else _analytic(loss, arrays)
            if self.reduction != "none" and elements.weights is not None:
                gradient = gradient * np.ldexp(elements.weights, -exponent).reshape(-1, *(1,) * len(core))
        return in_rows(block, plan, elements, gradient), exponent, summary


def _analytic(loss: Loss, arrays: list[Array]) -> Array:
    thunk = loss.evaluate(*arrays)[1]
    if thunk is None:
        raise UsageError(f"{loss.name} gives no gradient: return (loss, gradient) from it, or say --numeric")
    return thunk()


def _by_differences(loss: Loss, arrays: list[Array]) -> Array:
    pred = arrays[0]

    def f(chosen: np.ndarray | None, x: Array) -> Array:
        others = arrays[1:] if chosen is None else [a[chosen] for a in arrays[1:]]
        return np.asarray(loss.evaluate(x.reshape(-1, *pred.shape[1:]), *others)[0])

    x = pred.reshape(len(pred), -1)
    domain = loss.inputs[0].kind.domain
    # There is no gradient to check. With NaN no step ends the refinement early, so that the step with the smallest
    # error is used.
    nothing = np.full(x.shape, np.nan)
    result = check(DerivativeProblem(f, x, nothing, sample_magnitude(loss, arrays), domain.low, domain.high, 1e-6))
    return result.numeric.reshape(pred.shape)


def spool_gradient(
    data: Dataset,
    loss: Loss,
    options: ComputeOptions,
    reduction: str,
    *,
    workers: ExecutionConfig,
    numeric: bool = False,
) -> GradientRows:
    """Compute the gradient of every row and write it to an unnamed temporary file.

    Args:
        data: the inputs, read once.
        loss: the loss.
        options: options of the engine; `detail` is ignored.
        reduction: ``none``: gradient of each sample's loss; ``mean``, ``sum``: gradient of the mean or the sum
            of the losses, weights included.
        workers: configuration of the executor.
        numeric: compute the gradient by finite differences. Default False.

    Raises:
        UsageError: the loss has no sum or no gradient per row, or its samples depend on each other and
            `numeric` is set.
        DataError: no sample counts.
    """
    _check_has_rows(loss, reduction, numeric=numeric)
    check_unweighted_gradient(loss, data, reduction)
    spool, shape, total, unit = Spool(), (), Summary(), CommonUnit()
    for part, exponent, summary in _parts(data, loss, options, _Measure(numeric, reduction), workers):
        spool.write(unit.convert(part, exponent))
        shape, total = part.shape[1:], total + summary
    check_not_empty(loss, total, reduction)
    return GradientRows(spool, shape, _factor(loss, total, unit) if reduction == "mean" else 1.0)


def spool_gradient_of_lists(
    groups: Groups,
    loss: Loss,
    options: ComputeOptions,
    reduction: str,
    *,
    workers: ExecutionConfig,
    numeric: bool = False,
) -> GradientRows:
    """Compute the gradient where a sample is a group of rows; the gradient of a row is 0 if it does not count.

    Args:
        groups: the groups, in memory.
        loss, options, reduction, workers, numeric: as for :func:`spool_gradient`.

    Raises:
        UsageError, DataError: as for :func:`spool_gradient`.
    """
    _check_has_rows(loss, reduction, numeric=numeric)
    rows, total, unit = np.zeros(groups.rows), Summary(), CommonUnit()
    for lists, index, _ in groups.data_sets(loss, reduction):
        start = 0
        for part, exponent, summary in _parts(lists, loss, options, _Measure(numeric, reduction), workers):
            rows[index[start : start + len(part)]] = unit.convert(part, exponent).reshape(len(part), -1)
            start, total = start + len(part), total + summary
    check_not_empty(loss, total, reduction)
    spool = Spool()
    spool.write(rows)
    return GradientRows(spool, (), _factor(loss, total, unit) if reduction == "mean" else 1.0)


def _check_has_rows(loss: Loss, reduction: str, *, numeric: bool) -> None:
    """Raise UsageError if the loss has no sum or no gradient per row."""
    if reduction == "sum" and (loss.finish or loss.denominator):
        raise UsageError(f"{loss.name} is no plain mean: it has no sum")
    if loss.denominator:
        raise UsageError(f"{loss.name} divides by what depends on the data: its gradient is not written")
    if loss.batch_coupled and numeric:
        raise UsageError(f"{loss.name}: samples depend on each other: --numeric moves one at a time")


def _parts(
    data: Dataset, loss: Loss, options: ComputeOptions, mapper: _Measure, workers: ExecutionConfig
) -> Iterator[tuple[Array, int, Summary]]:
    """Yield the result of each block, in the order of the rows."""
    plan = plan_loss(loss, data, options)
    with workers.executor_for(data) as executor:
        for (part,) in map_blocks(data, [plan], replace(options, detail=False), mapper, executor):
            yield part


def _factor(loss: Loss, total: Summary, unit: CommonUnit) -> float:
    """Return the factor of the gradient of the mean."""
    slope = loss.finish.derivative(total.mean) if loss.finish else 1.0
    return slope / rounded(shifted(total.weight, -unit.exponent))
