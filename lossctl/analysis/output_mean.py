"""The mean over the outputs of their losses, ``--reduction output``: for rmse the mean of the columns' roots."""

from __future__ import annotations

import math
from dataclasses import replace

from lossctl.analysis.breakdown import BreakdownRequest, break_down
from lossctl.analysis.grouping import GroupBy
from lossctl.core.loss import Loss
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.result import Result, make_result
from lossctl.errors import UsageError
from lossctl.io.dataset import Dataset


def mean_over_outputs(data: Dataset, loss: Loss, options: ComputeOptions, workers: ExecutionConfig) -> Result:
    """Compute the loss of each output column over all rows, and their plain mean.

    It differs from the mean over all elements for a loss that is no plain mean (rmse, a ratio), and where outputs have
    different weights or missing values.

    Args:
        data: several outputs per row.
        loss: an element-wise loss.
        options: options of the computation.
        workers: configuration of the workers.

    Returns:
        The result, without a standard error and extremes.

    Raises:
        UsageError: a sample has a single output.
        DataError: a row is invalid, or an output has no element that counts.
    """
    if plan_loss(loss, data, options).per_row == 1:
        raise UsageError("--reduction output: a sample has a single output; several columns of PREDS are several")
    breakdown = break_down(data, loss, options, BreakdownRequest(by=GroupBy("output")), workers)
    assert breakdown.groups is not None  # requested
    values = [make_result(breakdown.plan.loss, summary, "mean").value for summary in breakdown.groups.values()]
    return replace(
        breakdown.result,
        value=math.fsum(values) / len(values),
        reduction="output",
        denominator=None,
        std_error=None,
        min=None,
        max=None,
        argmin=None,
        argmax=None,
        top=None,
        top_share=None,
    )
