"""Losses and gradients of all samples of a data set as arrays in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.kind import has_class_axis
from lossctl.core.loss import Loss
from lossctl.engine.block import Block
from lossctl.engine.elements import Elements
from lossctl.engine.evaluate import aggregate_rows, evaluate_block
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import UsageError
from lossctl.io.dataset import Dataset


def sample_losses(data: Dataset, loss: Loss, options: ComputeOptions, workers: ExecutionConfig) -> Array:
    """Return the loss of each sample, (n,): the weighted mean over its elements; NaN if none of them counts."""
    return _all(data, loss, options, workers, _losses)


def element_gradients(data: Dataset, loss: Loss, options: ComputeOptions, workers: ExecutionConfig) -> Array:
    """Return the gradient of the loss of each element with respect to it, in the shape of the predictions.

    It is 0 at elements that do not count.

    Raises:
        UsageError: the loss of a user has no gradient.
    """
    return _all(data, loss, options, workers, _gradients)


def _all(
    data: Dataset,
    loss: Loss,
    options: ComputeOptions,
    workers: ExecutionConfig,
    map_block: Callable[[Block, LossPlan], Array],
) -> Array:
    plan = plan_loss(loss, data, options)
    with workers.executor_for(data) as executor:
        parts = map_blocks(data, [plan], replace(options, detail=False), map_block, executor)
        return np.concatenate([part for (part,) in parts]) + 0.0  # -0.0 becomes 0.0


def _losses(block: Block, plan: LossPlan) -> Array:
    evaluated = evaluate_block(block, plan)
    rows = evaluated.elements.rows
    losses = np.full(block.count, np.nan)
    if len(evaluated.values):
        places = slice(None) if rows.index is None else np.unique(rows.index // plan.per_row)
        losses[places] = aggregate_rows(evaluated).loss
    return losses


def _gradients(block: Block, plan: LossPlan) -> Array:
    elements = block.elements(plan)
    thunk = plan.loss.evaluate(*elements.arrays)[1] if len(elements) else None
    if thunk is None and len(elements):
        raise UsageError(f"{plan.loss.name} has no gradient: return (loss, gradient)")
    return in_rows(block, plan, elements, None if thunk is None else thunk())


def in_rows(block: Block, plan: LossPlan, elements: Elements, gradient: Array | None) -> Array:
    """Return a gradient of the elements that count in the shape of the rows of the predictions, 0 elsewhere.

    Args:
        block, plan, elements: the block and the elements that count.
        gradient: (m, *core); None if no element counts.
    """
    core, index = plan.loss.inputs[0].kind.core, elements.rows.index
    whole = np.zeros((block.count * plan.per_row, *(plan.dims[name] for name in core)))
    if gradient is not None:
        whole[slice(None) if index is None else index] = gradient
    if elements.missing and block.options.nan == "propagate":
        whole[:] = np.where(np.isnan(block.input("pred", core, plan.channel_axis)), np.nan, whole)
    shaped = whole.reshape(block.count, *plan.loop, *plan.core)
    if block.options.class_axis is not None and has_class_axis(core) and shaped.ndim > 2:
        shaped = np.moveaxis(shaped, -1, block.options.class_axis)  # the class axis of the predictions
    if plan.channel_axis is not None:
        shaped = np.moveaxis(shaped, 1, plan.channel_axis)
    return shaped
