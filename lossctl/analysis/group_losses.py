"""The losses of groups of rows as a data set, so that whatever takes samples takes groups, ``--group``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.analysis.comparison import roles_for_model
from lossctl.analysis.per_sample import per_sample_losses
from lossctl.core.arrays import Array, Dims
from lossctl.core.interval import REAL
from lossctl.core.kind import SUM_TOLERANCE, DomainViolation, Kind
from lossctl.core.loss import Loss
from lossctl.core.parameters import Parameter
from lossctl.core.signature import Input, Signature
from lossctl.engine.all_rows import RowsInMemory
from lossctl.engine.block import Block
from lossctl.engine.evaluate import evaluate_block
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.lists import Groups
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import DataError, UsageError, counted
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset, FieldRef


@immutable
class GroupSource(RowsInMemory):
    """The losses of groups, a row for each.

    Attributes:
        first: (groups,) the first row of each group in ``data``.
    """

    first: npt.NDArray[np.int64]

    def locate(self, row: int, field: int, place: int | None) -> str:
        """Return the position of the first item of a group."""
        return self.data.locate("pred", int(self.first[row]))

    def line(self, row: int) -> str | None:
        """Return None: a group has several lines."""
        return None


class _LossKind(Kind):
    """A loss that is computed: any number, infinite or NaN too."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        return None


# The axis of length 1 keeps it out of the inputs that tables show beside a loss.
_LOSS = _LossKind("Loss", "a loss", REAL, core=("loss",))


@immutable(eq=False)
class _GroupSignature(Signature):
    """One input, the loss of a group, and the parameters of the loss.

    Attributes:
        items: the signature of the loss.
    """

    items: Signature

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (Input("pred", _LOSS),)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.items.parameters

    @property
    def kernel_order(self) -> tuple[int, ...]:
        return (0,)

    @property
    def optional(self) -> tuple[Input, ...]:
        return ()

    def for_rows(self, tails: Sequence[tuple[int, ...]]) -> Signature:
        return self


def group_losses(
    groups: Groups,
    loss: Loss,
    options: ComputeOptions,
    workers: ExecutionConfig,
    *,
    reduction: str = "mean",
    models: int = 1,
) -> tuple[Dataset, Loss, ComputeOptions]:
    """Compute the loss of each group.

    Args:
        groups: the groups, from :func:`lossctl.engine.lists.read_groups`.
        loss: a loss of lists, or of single items: the loss of a group is the weighted mean over its items.
        options: options of the computation.
        workers: configuration of the workers.
        reduction: "mean": a group counts as much as in the mean over all items; "group": groups of items count the
            same, and the loss of a group is that of a file of its items (rmse: the root). Default "mean".
        models: number of models; default 1.

    Returns:
        A data set with a row for each group, a loss of the same name whose value is that of the row, and the options
        for them.

    Raises:
        UsageError: groups count differently for two models.
        DataError: a row is invalid, or no group counts.
    """
    of_models = [
        _losses_of_model(groups, loss, options, workers, reduction=reduction, model=model) for model in range(models)
    ]
    values, shares, items, bound = zip(*of_models, strict=True)
    counted_items = np.array(items)
    keep = np.flatnonzero((counted_items[0] > 0) & (counted_items == counted_items[0]).all(axis=0))
    if not len(keep):
        raise DataError(f"{loss.name}: no group has an item that counts")
    if any((other[keep] != shares[0][keep]).any() for other in shares[1:]):
        raise UsageError(f"{loss.name} divides by what depends on the predictions: --group cannot compare models by it")
    fields: dict[str, npt.NDArray[Any]] = {
        "pred" if i == 0 else f"pred {i + 1}": value[keep, None] for i, value in enumerate(values)
    }
    finish = bound[0].finish
    if finish and reduction == "group":
        fields = {role: np.vectorize(finish.value, otypes=[float])(value) for role, value in fields.items()}
        finish = None
    share = np.ones(len(keep)) if reduction == "group" and not loss.row_wise else shares[0][keep]
    if (share != 1.0).any():
        fields["weight"] = share
    fields |= {role: cells[keep] for role, cells in groups.cells.items()}
    source = GroupSource(groups.data, tuple(fields), tuple(fields.values()), groups.first[keep])
    notes = groups.data.notes
    if absent := len(groups) - len(keep):
        notes = (*notes, f"{counted(absent, 'group')} left out: no item counts, or not the same items for each model")
    data = Dataset((source,), {role: FieldRef(0, i) for i, role in enumerate(fields)}, notes=notes)
    of_group = replace(
        bound[0],
        kernel=_loss_in_data,
        signature=_GroupSignature(_loss_in_data, bound[0].signature),
        called="",
        finish=finish,
        from_logits="",
        denominator=None,
        validate=None,
        propagates_nonfinite=False,
        neutral=None,
        counts_items=False,
    )
    signed = options.allow_negative_weights
    return data, of_group, ComputeOptions(nan="propagate", allow_negative_weights=signed, detail=options.detail)


def _loss_in_data(pred: Array, **_params: Any) -> Array:
    """Return the losses that stand in the data."""
    return pred[:, 0]


def _losses_of_model(
    groups: Groups, loss: Loss, options: ComputeOptions, workers: ExecutionConfig, *, reduction: str, model: int
) -> tuple[Array, Array, Array, Loss]:
    """Return the loss, the share of the denominator and the number of items that count of each group, (groups,)."""
    values, shares, items = (np.zeros(len(groups)) for _ in range(3))
    bound = loss
    for lists, _, numbers in groups.data_sets(loss, reduction):
        plan = plan_loss(loss, lists, options, roles_for_model(loss, lists, model))
        bound = plan.loss
        with workers.executor_for(lists, [loss]) as executor:
            for (part,) in map_blocks(lists, [plan], replace(options, detail=False), _losses_of_block, executor):
                index, value, share, count = part
                values[numbers[index]], shares[numbers[index]], items[numbers[index]] = value, share, count
    return values, shares, items, bound


def _losses_of_block(block: Block, plan: LossPlan) -> tuple[npt.NDArray[np.intp], Array, Array, Array]:
    samples = per_sample_losses(plan, evaluate_block(block, plan))
    # A copy, because the weights are in a buffer that the next block overwrites.
    return block.start + samples.index, samples.loss, np.array(samples.share), samples.elements
