"""Evaluate a loss on one block, and summarize the block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.accumulate import Extreme, Summary, WeightedMoments, sum_losses
from lossctl.engine.block import Block
from lossctl.engine.elements import Elements
from lossctl.engine.exact_sum import exact, exact_sum
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan
from lossctl.errors import DataError, UsageError


@dataclass(slots=True)  # not frozen, like PerSampleSums: one is made for every block
class Evaluated:
    """The losses of the m elements of a block that count.

    Attributes:
        elements: the inputs, weights and rows of these elements.
        values: (m,) the loss of each element.
        parts: (m,) what each element adds to the sum: its loss times its weight.
        scale: (m,) what each element adds to the denominator; None if each adds 1.
        amounts: (m,) ``scale`` without the weights, for a loss with a denominator; else None.
        total: the sum of ``values`` in double precision; None if it was not computed.
        reduced: the loss returned one number for all samples: every element of ``values`` is this number.
    """

    elements: Elements
    values: Array
    parts: Array
    scale: Array | None
    amounts: Array | None = None
    total: float | None = None
    reduced: bool = False

    @property
    def index(self) -> npt.NDArray[np.intp]:
        """The positions (m,) of these elements among all elements of the block."""
        index = self.elements.rows.index
        return np.arange(len(self.values)) if index is None else index

    @property
    def shares(self) -> Array:
        """What each element adds to the denominator (m,), as an array even if all are 1."""
        return np.ones(len(self.values)) if self.scale is None else self.scale


def evaluate_block(block: Block, plan: LossPlan) -> Evaluated:
    """Evaluate the loss of each element of a block.

    If the loss has ``propagates_nonfinite``, the finiteness of its inputs is checked only if the sum is not finite.

    Raises:
        UsageError: a loss that returns one number for all samples has weights, which cannot act in it.
    """
    elements = block.elements(plan, defer_domain_check=True)
    if not len(elements):
        return Evaluated(elements, np.empty(0), np.empty(0), None)
    arrays, weights = elements.arrays, elements.weights
    values = plan.loss.evaluate(*arrays)[0]
    total = float(np.add.reduce(values)) if elements.domain_check_deferred else None
    if total is not None and not math.isfinite(total):
        block.check_domain(plan, elements)
    if plan.loss.is_reduced and weights is not None:
        raise UsageError(f"{plan.loss.spec} returns one number for all samples, so that weights cannot act: {_CURE}")
    denominator = plan.loss.denominator
    amounts = None if denominator is None else denominator(*arrays, **plan.loss.params)
    parts, scale = _weighted(values, amounts, weights, block.options)
    return Evaluated(elements, values, parts, scale, amounts, total, plan.loss.is_reduced)


_CURE = "return one loss per sample (reduction='none')"


def refuse_reduced(evaluated: Evaluated, loss: Loss) -> None:
    """Raise if a loss returned one number for all samples, where the loss of each is needed.

    Raises:
        UsageError: it did.
    """
    if evaluated.reduced:
        raise UsageError(f"{loss.spec} returns one number for all samples: {_CURE}")


def _weighted(
    values: Array, amounts: Array | None, weights: Array | None, options: ComputeOptions
) -> tuple[Array, Array | None]:
    """Return what each element adds to the sum and to the denominator."""
    if weights is None:
        return values, amounts
    if options.weight_divisor == "count":
        return values * weights, amounts
    return values * weights, weights if amounts is None else amounts * weights


@dataclass(slots=True)
class PerSampleSums:
    """The sums over the elements of each of n samples.

    Attributes:
        part: (n,) what each sample adds to the sum.
        share: (n,) what each sample adds to the denominator; None if each adds 1.
        loss: (n,) the loss of each sample: the weighted mean over its elements.
    """

    part: Array
    share: Array | None
    loss: Array


# Weights of up to 2**±64 do not make products overflow or underflow that matter beside the other products.
_ORDINARY = 64


def scaled_weights(evaluated: Evaluated, options: ComputeOptions) -> tuple[Evaluated, int]:
    """Return the losses with weights near 1, and the exponent of the power of two that the weights were divided by.

    Ordinary weights, and those that divide by a count, stay, and the exponent is 0.
    """
    elements, exponent = evaluated.elements, weight_exponent(evaluated.elements, options)
    if elements.weights is None or not exponent:
        return evaluated, 0
    weights = np.ldexp(elements.weights, -exponent)
    parts, scale = _weighted(evaluated.values, evaluated.amounts, weights, options)
    return replace(evaluated, elements=replace(elements, weights=weights), parts=parts, scale=scale), exponent


def weight_exponent(elements: Elements, options: ComputeOptions) -> int:
    """Return the exponent of the largest weight; 0 if it is near 1, or if the weights divide by a count."""
    if elements.weights is None or not len(elements) or options.weight_divisor != "sum":
        return 0
    exponent = math.frexp(np.abs(elements.weights).max())[1]
    return exponent if abs(exponent) > _ORDINARY else 0


class CommonUnit:
    """The unit of the weights of a pass, a power of two, for weights that each block has in a unit of its own.

    Attributes:
        exponent: the unit is 2**exponent, that of the first block in which a product is not 0.
    """

    def __init__(self) -> None:
        self.exponent = 0
        self._known = False

    def convert(self, array: Array, exponent: int) -> Array:
        """Return an array of products with weights in the common unit.

        Raises:
            DataError: a product is beyond doubles there.
        """
        if not self._known and array.any():
            self.exponent, self._known = exponent, True
        if exponent == self.exponent:
            return array
        converted: Array = np.ldexp(array, exponent - self.exponent)
        if (np.isinf(converted) & np.isfinite(array)).any():
            raise DataError("weights of different rows are too far apart: their ratio is beyond doubles")
        return converted


def aggregate_rows(evaluated: Evaluated) -> PerSampleSums:
    """Sum the losses of the elements of each sample of a block."""
    rows, weights = evaluated.elements.rows, evaluated.elements.weights
    if rows.per_row == 1 or not len(evaluated.values):
        return PerSampleSums(evaluated.parts, evaluated.scale, evaluated.values)
    ones = np.ones(len(evaluated.values))
    part, share = rows.sums(evaluated.parts), rows.sums(ones if evaluated.scale is None else evaluated.scale)
    return PerSampleSums(part, share, part / rows.sums(ones if weights is None else weights))


def summarize_block(block: Block, plan: LossPlan) -> Summary:
    """Evaluate a loss on a block; return its sums and, with ``ComputeOptions.detail``, its moments and extremes."""
    evaluated = evaluate_block(block, plan)
    detail = block.options.detail and not evaluated.reduced
    return summarize_elements(evaluated, block, aggregate_rows(evaluated) if detail else None)


def summarize_elements(evaluated: Evaluated, block: Block, samples: PerSampleSums | None) -> Summary:
    """Summarize a block: its sums and, if its samples are given, moments for the standard error, and extremes."""
    elements = evaluated.elements
    scaled, exponent = scaled_weights(evaluated, block.options)
    if exponent:
        return summarize_elements(scaled, block, samples and aggregate_rows(scaled)).weighed(exponent)
    nonfinite_sum = math.nan if elements.missing and block.options.nan == "propagate" else 0.0
    if not len(elements):
        return Summary(missing=elements.missing, nonfinite_sum=nonfinite_sum, ignored=elements.ignored)
    weight = exact(float(len(elements))) if evaluated.scale is None else exact_sum(evaluated.scale)
    total = evaluated.total if evaluated.parts is evaluated.values else None
    summary = sum_losses(evaluated.values, evaluated.parts, weight, elements.weights, total=total)
    summary.samples, summary.reduced = elements.rows.kept, evaluated.reduced
    summary.missing, summary.ignored = elements.missing, elements.ignored
    if samples is not None:
        total = summary.sum if elements.rows.per_row == 1 else float(np.add.reduce(samples.part))
        summary.spread = WeightedMoments.of(samples.part, samples.share, total)
        summary.low, summary.high, summary.top = _extremes(evaluated, samples, summary.nonfinite_sum)
    summary.nonfinite_sum += nonfinite_sum
    return summary


def _extremes(
    evaluated: Evaluated, samples: PerSampleSums, nonfinite_sum: float
) -> tuple[Extreme, Extreme, Extreme] | tuple[None, None, None]:
    """Return the least loss, the greatest loss and the part of largest magnitude.

    NaN losses are left out (their number is reported instead); if all are NaN, each result is None.
    """
    loss, part, rows = samples.loss, samples.part, evaluated.elements.rows
    known = None
    if nonfinite_sum != 0.0:
        known = np.flatnonzero(~np.isnan(loss))
        if not len(known):
            return None, None, None
        loss, part = loss[known], part[known]

    def extreme(values: Array, at: int) -> Extreme:
        # + 0.0 turns -0.0 into 0.0
        return Extreme(float(values[at]) + 0.0, rows.number(at if known is None else int(known[at])))

    low, high = extreme(loss, int(loss.argmin())), extreme(loss, int(loss.argmax()))
    if samples.part is samples.loss:  # the largest part is one of low and high; on a tie the first row
        return low, high, min(low, high, key=lambda e: (-abs(e.value), e.row))
    return low, high, extreme(part, int(np.abs(part).argmax()))
