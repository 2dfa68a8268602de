"""The loss of a whole data set, with its standard error, extremes and counts."""

from __future__ import annotations

from collections.abc import Mapping

from lossctl.core.decorator import Loss, Value
from lossctl.core.html_repr import html_of
from lossctl.engine.accumulate import Extreme, Summary
from lossctl.engine.exact_sum import rounded
from lossctl.errors import DataError, UsageError, counted
from lossctl.immutable import immutable


@immutable
class Result:
    """A loss value; ``float(result)`` is the number.

    Attributes:
        loss: the loss with the parameters that differ from their default, such as ``huber:delta=0.5``.
        name: the name of the loss.
        params: the value of every parameter.
        value: the mean or the sum of the losses.
        reduction: ``mean`` or ``sum``.
        count: samples (rows) that count.
        elements: elements that count; more than ``count`` if a sample has several.
        denominator: the divisor of the sum, such as the sum of the weights; None for a sum.
        std_error: standard error of ``value``, from the variance over the samples; None if it is
            unknown (one sample, an infinite loss, one number for all samples).
        min, max: the least and the greatest loss of a sample, on the scale of ``value`` (rmse: |r|); None if the loss
            is one number for all samples.
        argmin, argmax: the rows of ``min`` and ``max``, counted from 0.
        infinite: elements whose loss is infinite.
        nans: elements whose loss is NaN though no input is.
        missing: elements with a NaN in an input, left out (``nan="skip"``) or let through ("propagate").
        ignored: elements left out because their label is ``ignore_index``.
        top, top_share: the row whose part of the sum is largest in magnitude, and that part divided by the sum.
        per_sample: the name of the terms whose mean is transformed into ``value`` (rmse: r²); else None.
    """

    loss: str
    name: str
    params: Mapping[str, Value]
    value: float
    reduction: str
    count: int
    elements: int
    denominator: float | None
    std_error: float | None
    min: float | None
    max: float | None
    argmin: int | None
    argmax: int | None
    infinite: int
    nans: int
    missing: int
    ignored: int
    top: int | None
    top_share: float | None
    per_sample: str | None

    def __repr__(self) -> str:
        error = "" if self.std_error is None else f" ± {self.std_error:.3g}"
        return f"<{self.loss} {self.reduction}: {self.value:.9g}{error}, {counted(self.count, 'sample')}>"

    def _repr_html_(self) -> str:
        cells = {
            "value": self.value,
            "std err": self.std_error,
            "min": self.min,
            "max": self.max,
            "at row": self.argmax,
        }
        return html_of(f"{self.loss} · {self.reduction} · {counted(self.count, 'sample')}", cells)

    def __float__(self) -> float:
        return self.value


def make_result(loss: Loss, summary: Summary, reduction: str) -> Result:
    """Reduce a summary to a mean or a sum, with its standard error.

    Args:
        loss: the loss that was summed.
        summary: the summary over all rows.
        reduction: "mean" or "sum".

    Raises:
        UsageError: a sum of a loss that is not a plain mean (rmse), is a ratio, or returned one number.
        DataError: no element counts, or the denominator is 0.
    """
    finish = loss.finish
    if reduction == "sum" and (finish or loss.denominator):
        raise UsageError(
            f"{loss.name} is {'not a plain mean' if finish else 'a ratio'}: it has no sum; use --reduction mean"
        )
    if reduction == "sum" and summary.reduced:
        raise UsageError(f"{loss.spec} returns one number for all samples: it has no other sum; leave --reduction out")
    check_not_empty(loss, summary, reduction)
    spread, top = summary.spread, summary.top
    if reduction == "sum":
        value, error = summary.sum, spread.error_of_sum() if spread else None
    else:
        if not summary.weight and summary.nonfinite_sum == 0.0:
            raise DataError(f"{loss.name}: the denominator is 0")
        value, error = summary.mean, spread.error_of_mean() if spread else None
        if finish and value == value:
            error = None if error is None else error * finish.derivative(value)
            value = finish.value(value)
    total = summary.sum
    return Result(
        loss=loss.spec,
        name=loss.name,
        params=loss.params,
        value=value + 0.0,
        reduction=reduction,
        count=summary.samples,
        elements=summary.elements,
        denominator=None if reduction == "sum" else rounded(summary.weight),
        std_error=error if summary.nonfinite_sum == 0.0 else None,
        min=_value(loss, summary.low),
        max=_value(loss, summary.high),
        argmin=_row(summary.low),
        argmax=_row(summary.high),
        infinite=summary.infinite,
        nans=summary.nans,
        missing=summary.missing,
        ignored=summary.ignored,
        top=_row(top),
        top_share=top.value / total if top and total and summary.nonfinite_sum == 0.0 else None,
        per_sample=finish.per_sample if finish else None,
    )


def check_not_empty(loss: Loss, summary: Summary, reduction: str) -> None:
    """Check that an element counts. The sum of no element is 0, but not if the NaN of an element is the reason.

    Raises:
        DataError: no element counts.
    """
    if not summary.elements and summary.nonfinite_sum == 0.0 and (reduction != "sum" or summary.missing):
        why = "every sample has a NaN" if summary.missing else "the weight of every sample is 0"
        if summary.ignored:
            why = "every sample is left out" + (" or has a NaN" if summary.missing else "")
        raise DataError(f"{loss.name}: no sample is left: {why}")


def _value(loss: Loss, extreme: Extreme | None) -> float | None:
    """Return the loss of a single sample; for rmse the root of its term, as the loss of a file of one row."""
    if extreme is None or loss.finish is None:
        return extreme.value if extreme else None
    return loss.finish.value(extreme.value)


def _row(extreme: Extreme | None) -> int | None:
    return extreme.row if extreme else None
