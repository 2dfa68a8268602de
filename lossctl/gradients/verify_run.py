"""The passes over the data that judge the outputs of a kernel, and their verdicts."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from lossctl.core.loss import Loss
from lossctl.core.validation import check_choice
from lossctl.engine.accumulate import Summary
from lossctl.engine.exact_sum import rounded
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.result import make_result
from lossctl.engine.run import Computation, compute_losses, map_blocks, summarize
from lossctl.errors import DataError, LossctlError, UsageError, counted
from lossctl.gradients.lost_digits import Cause
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, Precision, half_unit
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.value_rounding import accumulation_slack
from lossctl.gradients.verdict import Verdict
from lossctl.gradients.verify_block import ArrayTally, BlockOutcome, Head, Verifier
from lossctl.gradients.verify_causes import Context, cause_of, cause_of_number, rivals
from lossctl.gradients.verify_result import Output, Verification, VerifiedArray
from lossctl.gradients.verify_shapes import NAMES, check_outputs
from lossctl.immutable import immutable
from lossctl.io.dataset import BASELINE, GIVEN_GRADIENT, GIVEN_VALUE, UPSTREAM, Dataset

REDUCTIONS = ("none", "mean", "sum")
DTYPES = tuple(PRECISIONS)
_KEPT_OUTPUTS = 100


@immutable
class ReducedValue:
    """A reduced value to check.

    Attributes:
        given: the number.
        rounding: half a unit of its last digit, if it was written as text. Default 0.
        precision: that of its type; None if it was written as text.
        typed: its text, if it was written as text. Default None.
        baseline: the number of another implementation. Default None.
    """

    given: float
    rounding: float = 0.0
    precision: Precision | None = None
    typed: str | None = None
    baseline: float | None = None

    @property
    def digits(self) -> int:
        """The number of significant digits typed."""
        return len(re.sub(r"[eE].*|\D", "", self.typed or "").lstrip("0"))

    def judged(self, precision: Precision) -> str | None:
        """Return by what a number typed is judged, for a sentence; None for a number of a file."""
        if self.typed is None:
            return None
        if not self.rounding:
            return f"as the {precision.name} number {self.typed}"
        wider = "" if precision.name == "float64" else f" and the rounding of {precision.name}"
        return f"to the {counted(self.digits, 'digit')} typed, ± {self.rounding:.3g}{wider}"


def verify_on(
    data: Callable[[], Dataset],
    loss: Loss,
    *,
    reduced: ReducedValue | None = None,
    upstream: float = 1.0,
    dtype: str | None = None,
    reduction: str = "none",
    strict: bool = False,
    options: ComputeOptions | None = None,
    workers: ExecutionConfig | None = None,
) -> Verification:
    """Judge the outputs in a data set.

    Args:
        data: function that opens the data. It is called up to four times.
        loss: the loss.
        reduced: the reduced value, if one is checked. Default None.
        upstream: the gradient with respect to the reduced loss. Default 1.
        dtype: the precision in which the kernel computes. Default: that of each output.
        reduction: ``none`` (the default), ``mean`` or ``sum``.
        strict: whether lost digits fail too. Default False.
        options: options of the engine.
        workers: configuration of the executor.

    Raises:
        UsageError: there is nothing to check, or an option does not fit the loss.
        DataError: the shapes of the outputs and the inputs do not fit.
    """
    options, workers = options or ComputeOptions(), workers or ExecutionConfig()
    if dtype is not None:
        check_choice("dtype", dtype, DTYPES)
    if not loss.is_builtin:
        raise UsageError(f"{loss.name} is not registered: verify compares with lossctl's own losses; use gradcheck")
    opened = data()
    plan = plan_loss(loss, opened, options)
    loss = plan.loss
    baseline_of = check_outputs(opened, plan, reduced is not None, reduction)
    run = _Run(data, plan, options, workers)
    summary = run.summary(opened) if reduction != "none" else None
    factor = upstream * (1.0 if summary is None else _slope(loss, summary, reduction))
    precisions, first = run.head(factor)
    if dtype is not None:
        precisions = dict.fromkeys(precisions, PRECISIONS[dtype])
    value_precision = None
    if reduced is not None:
        value_precision = _precision_of_value(reduced, dtype, precisions)
    read, outcome = run.outcome(Verifier(precisions, value_precision, factor, baseline_of))
    weight = 1.0 if summary is None or reduction == "sum" else rounded(summary.weight)
    samples = max((t.summary.samples for t in outcome.arrays.values()), default=outcome.totals.rows)
    has_upstream = UPSTREAM in opened.places or upstream != 1.0
    context = Context(loss, samples, reduction, weight, first * upstream if has_upstream else None, outcome.totals)
    arrays = [
        _verified(
            context, role, tally, precisions[role], read, baseline=BASELINE in opened.places and role == baseline_of
        )
        for role, tally in outcome.arrays.items()
    ]
    if reduced is not None and summary is not None and value_precision is not None:
        context = replace(context, denominator=rounded(summary.weight))
        arrays.insert(0, _verified_number(context, reduced, value_precision, summary, run))
    return Verification(loss.spec, loss.name, loss.params, samples, reduction, tuple(arrays), strict, _notes(arrays))


@immutable
class _Run:
    """The passes over the data of one call."""

    data: Callable[[], Dataset]
    plan: LossPlan
    options: ComputeOptions
    workers: ExecutionConfig

    def summary(self, opened: Dataset) -> Summary:
        """Return the sums of the losses."""
        with self.workers.executor_for(opened, [self.plan.loss]) as executor:
            (summary,), _ = summarize(opened, [self.plan], replace(self.options, detail=False), executor)
        return summary

    def head(self, factor: float) -> tuple[dict[str, Precision], float]:
        """Return the precision of each output, and the first upstream gradient.

        Raises:
            DataError: no sample counts.
        """
        if not {GIVEN_VALUE, GIVEN_GRADIENT} & set(self.data().places):
            return {}, 1.0
        for first in (True, False):
            opened = self.data()
            with self.workers.executor_for(opened) as executor:
                for (head,) in map_blocks(opened, [self.plan], self.options, Head(factor, first), executor):
                    if head is not None:
                        return head
        raise DataError(f"{self.plan.loss.name}: no sample is left to check: every sample is left out")

    def outcome(self, verifier: Verifier) -> tuple[Dataset, BlockOutcome]:
        """Return the data set, which after reading knows its lines, and the comparison of all rows."""
        opened = self.data()
        with self.workers.executor_for(opened) as executor:
            blocks = map_blocks(opened, [self.plan], self.options, verifier, executor, combine=operator.add)
            outcomes: Iterator[BlockOutcome] = (block[0] for block in blocks)
            return opened, reduce(BlockOutcome.__add__, outcomes)

    def others(self, reduction: str) -> list[tuple[str, float]]:
        """Return the reduced values of other losses with the same inputs."""
        values = []
        for other in rivals(self.plan.loss):
            try:
                computed: Computation[Any] = compute_losses(self.data(), [other], self.options, reduction, self.workers)
            except LossctlError:  # outside its domain
                continue
            values.append((other.spec, computed.results[0].value))
        return values


def _slope(loss: Loss, summary: Summary, reduction: str) -> float:
    """Return the derivative of the reduced loss with respect to the sum of the losses."""
    if reduction == "sum":
        return 1.0
    slope = loss.finish.derivative(summary.mean) if loss.finish else 1.0
    return slope / rounded(summary.weight) if summary.weight else 1.0


def _precision_of_value(reduced: ReducedValue, dtype: str | None, others: Mapping[str, Precision]) -> Precision:
    if dtype is not None:
        return PRECISIONS[dtype]
    if reduced.precision is not None:
        return reduced.precision
    return others.get(GIVEN_GRADIENT, PRECISIONS["float64"])


def _verified(
    context: Context, role: str, tally: ArrayTally, precision: Precision, data: Dataset, *, baseline: bool
) -> VerifiedArray:
    summary = tally.summary
    counts = dict(zip(Verdict, summary.counts, strict=True))
    checked = summary.checked - counts[Verdict.UNDEFINED]
    beyond = counts[Verdict.WRONG] + tally.left_out
    cause: Cause | None = None
    if beyond:
        cause = cause_of(context, tally, precision, gradient=role == GIVEN_GRADIENT)
    verdict = _verdict(beyond=beyond, exact=tally.exact == checked, cause=cause, precision=precision)
    size = max(checked, 1)
    return VerifiedArray(
        what=NAMES[role],
        dtype=precision.name,
        verdict=verdict,
        checked=checked,
        exact=tally.exact,
        beyond=beyond,
        undefined=counts[Verdict.UNDEFINED],
        worst=tally.worst,
        worst_row=tally.worst_row,
        visible=tally.visible / size,
        rms=float(np.sqrt(tally.squares / size)),
        baseline_rms=float(np.sqrt(tally.baseline_squares / size)) if baseline else None,
        cause=cause.text if cause else None,
        cause_code=cause.code if cause else None,
        outputs=tuple(_worst_outputs(summary.failing, data)),
        failing=summary.failing,
    )


def _verdict(*, beyond: int, exact: bool, cause: Cause | None, precision: Precision) -> str:
    if beyond:
        return "loses digits" if cause is not None and cause.digits else "wrong"
    return "exact" if exact else f"as right as {precision.name} allows"


def _worst_outputs(failing: CheckedSamples, data: Dataset) -> list[Output]:
    """Return the outputs beyond rounding, the largest errors first."""
    if not len(failing):
        return []
    factor = np.abs(failing.inputs[-2] * failing.inputs[-1])
    sign = np.sign(failing.inputs[-2] * failing.inputs[-1])
    with np.errstate(all="ignore"):
        error = np.abs(failing.given - failing.numeric) / failing.error
    error = np.where(failing.wrong, np.where(np.isnan(error), np.inf, error), -1.0)
    outputs = []
    for flat in np.argsort(-error, axis=None, kind="stable")[:_KEPT_OUTPUTS]:
        i, j = (int(k) for k in np.unravel_index(int(flat), error.shape))
        if error[i, j] < 0:
            break
        scale = float(sign[i] * factor[i])
        index = j if failing.given.shape[1] > 1 else None
        outputs.append(
            Output(
                int(failing.row[i]),
                index,
                float(failing.given[i, j]) * scale,
                float(failing.numeric[i, j]) * scale,
                float(error[i, j]),
                data.line(int(failing.row[i])),
            )
        )
    return outputs


def _verified_number(
    context: Context, reduced: ReducedValue, precision: Precision, summary: Summary, run: _Run
) -> VerifiedArray:
    """Judge the reduced value: the sum of the allowed errors of the values, and that of their accumulation."""
    loss, totals = context.loss, context.totals
    exact = make_result(loss, replace(summary, spread=None), context.reduction).value
    slope = 1.0 if context.reduction == "sum" else abs(_slope(loss, summary, context.reduction))
    accumulation = accumulation_slack(precision, totals.elements, totals.magnitude)
    slack = slope * (totals.slack + accumulation) + ULPS_OF_TERMS * (precision.eps * abs(exact) + precision.tiny)
    slack += reduced.rounding
    error = abs(reduced.given - exact) if reduced.given != exact else 0.0
    is_exact = error <= float(half_unit(np.array([exact]), precision)[0]) + reduced.rounding
    undefined = not np.isfinite(exact) and not np.isnan(reduced.given)
    beyond = not is_exact and not undefined and not error <= slack
    cause = None
    if beyond:
        cause = cause_of_number(
            context,
            reduced.given,
            exact,
            slack,
            precision=precision,
            others=lambda: run.others(context.reduction),
            rounding=reduced.rounding,
        )
    verdict = _verdict(beyond=int(beyond), exact=is_exact, cause=cause, precision=precision)
    if reduced.rounding:
        verdict = "wrong" if beyond else f"right to {counted(reduced.digits, 'digit')}"
    worst = ULPS_OF_TERMS * error / slack if not undefined else 0.0
    baseline = None if reduced.baseline is None else abs(reduced.baseline - exact)
    return VerifiedArray(
        what="value",
        dtype=precision.name,
        verdict=verdict,
        checked=int(not undefined),
        exact=int(is_exact),
        beyond=int(beyond),
        undefined=int(undefined),
        worst=float(worst),
        worst_row=None,
        visible=float(slack < 1e-3 * abs(exact)),
        rms=error,
        baseline_rms=baseline,
        cause=cause.text if cause else None,
        cause_code=cause.code if cause else None,
        outputs=(Output(None, None, reduced.given, exact, float(worst)),) if beyond else (),
        failing=None,
        judged=reduced.judged(precision),
    )


def _notes(arrays: Sequence[VerifiedArray]) -> tuple[str, ...]:
    notes = []
    for array in arrays:
        if array.judged is not None:
            notes.append(f"{array.what} is judged {array.judged}")
        if array.visible < 0.5 and array.verdict in ("exact", f"as right as {array.dtype} allows"):
            notes.append(f"{array.what}: {array.dtype} hides an error of 0.1 % at most places")
        if array.undefined:
            notes.append(f"{array.what}: {array.undefined:,} not compared, the loss or its slope is infinite there")
    verdicts = {a.what: a.verdict for a in arrays}
    detached = any(a.cause_code == "not-computed" and a.what == "gradient" for a in arrays)
    if detached and verdicts.get("value", "wrong") != "wrong":
        notes.append("the value beside it is right: the backward pass does not reach pred")
    return tuple(notes)
