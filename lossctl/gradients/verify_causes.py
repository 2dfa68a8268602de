"""Causes of wrong outputs of a kernel: the upstream gradient, the reduction, another loss, a narrower type, or noise.

The causes of a wrong gradient that have nothing to do with a kernel are in :mod:`lossctl.gradients.diagnosis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.errors import number
from lossctl.gradients.diagnosis import diagnose
from lossctl.gradients.lost_digits import ENOUGH, FEW, LOST, Cause, lost_digits
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, Precision, reference_slack, round_to
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.value_rounding import value_slack
from lossctl.gradients.verdict import Verdict
from lossctl.gradients.verify_block import ArrayTally, Totals
from lossctl.immutable import immutable

# The share of all outputs at which an explanation need not fit.
_EXCEPTIONS = 0.01
# A typed number shows a cause if the difference to explain is at least 1,000 times what its digits leave open: of 3
# types and about 30 losses, one fits by chance in 3 % of cases.
_SHOWN = 1e-3
# Samples of the kept ones at which other losses are evaluated.
_TRIED = 500


@immutable
class Context:
    """What is known of a run besides the samples.

    Attributes:
        loss: the loss.
        samples: number of samples.
        reduction: ``none``, ``mean`` or ``sum``.
        denominator: the divisor of the mean; 1 without one.
        upstream: the first upstream gradient; None without one.
        totals: sums over all rows.
    """

    loss: Loss
    samples: int
    reduction: str
    denominator: float
    upstream: float | None
    totals: Totals


@np.errstate(all="ignore")
def cause_of(context: Context, tally: ArrayTally, precision: Precision, *, gradient: bool) -> Cause | None:
    """Return why an output of many numbers is not right; None if nothing simple explains it.

    Args:
        context: the run.
        tally: the comparison of the output.
        precision: that of the output.
        gradient: whether the output is a gradient; otherwise it holds the values of the samples.
    """
    summary = tally.summary
    if tally.left_out and not summary.counts[Verdict.WRONG]:
        return Cause(
            "left-out",
            f"{tally.left_out:,} outputs at samples that are left out are not 0, first at sample {tally.left_out_row}",
        )
    kept = summary.failing + summary.passing
    if not kept.given.any():
        return Cause("not-computed", "it is 0 everywhere: it was never computed, or it was reset")
    if cause := _factor(context, kept):
        return cause
    if cause := lost_digits(tally, precision):
        return cause
    failing = _of_loss(summary.failing)
    hint: tuple[str, str] | None = None
    if gradient:
        stripped = replace(summary, failing=failing, passing=_of_loss(summary.passing))
        hint = diagnose(context.loss, stripped)
    else:
        hint = _value_hint(failing)
    if hint is not None and hint[0] in _CERTAIN:
        return Cause(hint[0], hint[1].replace("numeric", "exact"))
    if other := _other_loss(context.loss, _of_loss(kept), precision, gradient=gradient):
        return Cause("other-loss", f"it is that of {other}")
    if hint is not None:
        return Cause(hint[0], hint[1].replace("numeric", "exact"))
    return _constant_factor(failing)


def _constant_factor(failing: CheckedSamples) -> Cause | None:
    """Explain a factor so near 1 that only the precision of the output shows it."""
    wrong = failing.wrong
    given, exact, slack = (a[wrong] for a in (failing.given, failing.numeric, ULPS_OF_TERMS * failing.error))
    ratio = float(np.median((given / exact)[exact != 0])) if exact.any() else 1.0
    close = np.abs(given - ratio * exact) <= slack
    if len(given) < ENOUGH or close.mean() < 1.0 - _EXCEPTIONS or not np.ptp(exact):
        return None
    return Cause("constant-factor", f"given ÷ exact is {number(float(f'{ratio:.5g}'))} at every wrong number")


# Hints that leave no doubt; before all others a loss with this gradient is looked for.
_CERTAIN = ("not-finite", "same-everywhere", "constant-factor", "transposed", "rows")


def _of_loss(cases: CheckedSamples) -> CheckedSamples:
    """Return the samples with the inputs of the loss alone, without the factors c and u."""
    return replace(cases, inputs=cases.inputs[:-2])


def _fits(cases: CheckedSamples, predicted: Array, actual: Array, slack: Array) -> bool:
    """Return whether `predicted` is the output, at 99 % of the wrong numbers and of all that were kept."""
    close = np.abs(actual - predicted) <= slack
    for mask in (cases.wrong, cases.verdict <= Verdict.WRONG):
        judged = close[mask & np.isfinite(predicted)]
        if judged.size < ENOUGH or float(judged.mean()) < 1.0 - _EXCEPTIONS:
            return False
    return True


def _factor(context: Context, cases: CheckedSamples) -> Cause | None:
    """Explain an output that has another factor than c·u."""
    c, u = (a[:, None] for a in cases.inputs[-2:])
    n = context.denominator
    upstream = context.upstream
    candidates: list[tuple[str, str, Array]] = []
    if upstream is not None and np.ptp(u):
        total = context.totals.upstream
        mean = total / max(context.totals.elements, 1)
        candidates = [
            ("upstream-ignored", "it ignores the upstream gradient", c + 0.0 * u),
            ("upstream-first", "it is multiplied by the first upstream element only", c * upstream + 0.0 * u),
            ("upstream-mean", "it is multiplied by the mean of the upstream gradient", c * mean + 0.0 * u),
            (
                "upstream-sum",
                "it is multiplied by the sum of the upstream gradient",
                c * total + 0.0 * u,
            ),
            ("upstream-twice", "it is multiplied by the upstream gradient twice", c * u * u),
        ]
    elif upstream is not None and upstream != 1.0:
        candidates = [("upstream-ignored", "it ignores the upstream gradient", c * u / upstream)]
    if context.reduction == "mean" and n != 1.0:
        candidates += [
            ("divided-twice", f"it is divided by the number of samples, {number(n)}, twice", c * u / n),
            ("not-divided", "it is that of the sum, not of the mean: it is not divided", c * u * n),
        ]
    elif context.reduction == "sum" and context.samples > 1:
        candidates.append(("divided", "it is that of the mean, not of the sum", c * u / context.samples))
    elif context.samples > 1:
        text = f"it is that of the mean over {context.samples:,} samples: --reduction mean"
        candidates.append(("divided", text, c * u / context.samples))
    judged = cases.verdict <= Verdict.WRONG
    if np.ptp(c) and judged.any():
        ratio = float(np.median((cases.given * c / cases.numeric)[judged & (cases.numeric != 0)]))
        candidates.append(("weights-ignored", "it ignores the weights", ratio * u + 0.0 * c))
    actual = cases.given * c * u
    for code, text, factor in candidates:
        if _fits(cases, cases.numeric * factor, actual, 2.0 * ULPS_OF_TERMS * cases.error * np.abs(factor)):
            return Cause(code, text)
    return None


# --- values ---


_RATIOS = (
    (0.0, "not computed there"),
    (-1.0, "the sign is wrong"),
    (0.5, "a factor of 2 is missing"),
    (2.0, "a factor of 2 too much"),
    (1.0 / math.log(2.0), "1/log 2: in bits"),
    (math.log(2.0), "log 2: another base of the logarithm"),
)


def _value_hint(failing: CheckedSamples) -> tuple[str, str] | None:
    """Explain wrong values of samples: not finite, a constant factor, or a constant difference."""
    wrong = failing.wrong[:, 0]
    given, exact, slack = (a[wrong, 0] for a in (failing.given, failing.numeric, ULPS_OF_TERMS * failing.error))
    bad = ~np.isfinite(given)
    if bad.mean() >= 1.0 - _EXCEPTIONS:
        return "not-finite", f"it is {'NaN' if np.isnan(given[bad]).all() else 'infinite'}, and finite if exact"
    if len(given) < ENOUGH:
        return None
    ratio = float(np.median((given / exact)[exact != 0]))
    close = np.abs(given - ratio * exact) <= 2.0 * slack * max(abs(ratio), 1.0)
    if close.mean() >= 1.0 - _EXCEPTIONS and np.ptp(exact):
        named = next((f": {words}" for r, words in _RATIOS if abs(ratio - r) <= 1e-3 * abs(r)), ": a constant factor")
        return "constant-factor", f"given ÷ exact is {number(float(f'{ratio:.4g}'))} at every wrong sample{named}"
    offset = float(np.median(given - exact))
    if (np.abs(given - exact - offset) <= 2.0 * slack).mean() >= 1.0 - _EXCEPTIONS and np.ptp(exact):
        return "constant-offset", f"given − exact is {number(float(f'{offset:.4g}'))} at every wrong sample"
    return None


def _other_loss(loss: Loss, cases: CheckedSamples, precision: Precision, *, gradient: bool) -> str | None:
    """Return the registered loss that has this output at all kept samples; None without one."""
    cases = cases[:_TRIED]
    arrays = [np.asarray(a) for a in cases.inputs]
    for other in rivals(loss):
        if loss.batch_coupled or other.domain.invalid_mask(arrays).any():
            continue
        values, thunk = other.evaluate(*arrays)
        if gradient and thunk is None:
            continue
        reference = thunk() if gradient and thunk is not None else values
        slack = (reference_slack if gradient else value_slack)(other, arrays, reference, precision)
        flat = (len(cases), -1)
        if _fits(cases, reference.reshape(flat), cases.given, np.asarray(slack).reshape(flat)):
            return other.spec
    return None


def rivals(loss: Loss) -> Iterator[Loss]:
    """Yield the losses with the same inputs: this one with its default parameters, then the others."""
    kinds = [i.kind.name for i in loss.inputs]
    for other in registered().values():
        same = other.name == loss.name and other.params == loss.params
        fits = [i.kind.name for i in other.inputs] == kinds and not other.batch_coupled and other.denominator is None
        if fits and not same:
            yield other


# --- a reduced value ---


@np.errstate(all="ignore")
def cause_of_number(
    context: Context,
    given: float,
    exact: float,
    slack: float,
    *,
    precision: Precision,
    others: Callable[[], Sequence[tuple[str, float]]],
    rounding: float = 0.0,
) -> Cause | None:
    """Return why a reduced value is not right; None if nothing simple explains it.

    Args:
        context: the run.
        given: the value.
        exact: what it should be.
        slack: its allowed error.
        precision: that of the value.
        others: function that returns the reduced values of other losses, by name.
        rounding: half a unit of the last digit of a value that was typed. Default 0.
    """
    if not math.isfinite(given):
        return Cause("not-finite", f"it is {given}, and finite if exact")
    n, samples = context.denominator, context.samples
    share = slack / abs(exact) if exact else math.inf
    candidates = [
        ("not-computed", "it is 0: it was never computed, or it was reset", 0.0),
        *(("constant-factor", f"given ÷ exact is {number(float(f'{r:.4g}'))}: {words}", r) for r, words in _RATIOS[1:]),
    ]
    if context.reduction == "mean":
        candidates += [
            ("not-divided", "it is the sum, not the mean", n),
            ("divided-twice", f"the sum is divided by the number of samples, {number(n)}, twice", 1.0 / n),
            ("denominator", f"it divides by all {context.totals.rows:,} elements", n / max(context.totals.rows, 1)),
            ("denominator", f"it divides by the {samples:,} samples", n / samples),
        ]
    else:
        candidates += [("divided", "it is the mean, not the sum", 1.0 / n)]
    for code, text, ratio in candidates:
        visible = abs(ratio - 1.0) * abs(exact) > 2.0 * slack
        if visible and abs(given - ratio * exact) <= max(2.0 * share * abs(ratio * exact), 2.0 * slack * (ratio == 0)):
            return Cause(code, text)
    allowed = 2.0 * precision.eps * abs(given) + rounding
    if rounding and allowed > _SHOWN * abs(exact - given):  # a narrower type or another loss could fit by chance
        return None
    divisor = n if context.reduction == "mean" else 1.0
    if context.totals.values and abs(given - exact) <= 2.0 * abs(exact):
        values = np.concatenate(context.totals.values)
        for name in ("bfloat16", "float16", "float32"):
            repeated = accumulate(values, PRECISIONS[name]) / divisor
            if not math.isfinite(repeated):
                continue
            if abs(given - repeated) <= allowed and abs(repeated - exact) > slack:
                lost = abs(given - exact) <= LOST * abs(exact)
                return Cause(
                    "narrower-type", f"loses digits: the sum is accumulated in {name}, one by one", digits=lost
                )
    for name, value in others():
        if abs(given - value) <= 2.0 * share * abs(value) and abs(value - exact) > 4.0 * slack:
            return Cause("other-loss", f"it is that of {name}")
    if abs(given - exact) <= FEW * slack and not rounding:
        return Cause("rounding", "loses digits: more than rounding of its terms and their accumulation", digits=True)
    return None


def accumulate(values: Array, precision: Precision) -> float:
    """Return the sum of numbers, added one after the other, each sum rounded to a precision.

    >>> accumulate(np.ones(1000), PRECISIONS["bfloat16"])
    256.0
    """
    rounded = round_to(values, precision)
    if precision.name != "bfloat16":
        return float(np.add.accumulate(rounded.astype(precision.name))[-1])
    total = 0.0
    for value in rounded.tolist():
        mantissa, exponent = math.frexp(total + value)
        total = math.ldexp(round(mantissa * 256.0), exponent - 8)  # 8 binary digits; round is half to even
    return total
