"""Diagnosis of a wrong gradient: the first simple explanation that fits every wrong sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import number
from lossctl.gradients.tally import CheckedSamples, CheckSummary
from lossctl.gradients.verdict import Verdict

# Largest difference, relative to the scale, between the gradient that an explanation predicts and the given one:
# well above the uncertainty of the differences, well below any factor that is explained.
_FITS = 1e-4
# A mistake is large enough to be explained if it exceeds this many times _FITS.
_VISIBLE = 5.0
# Multiple of the estimated error of a difference that is allowed for: of one in some thousands the roundoff was five
# times the estimate.
_ERROR_FACTOR = 8.0
# Least number of wrong coordinates: with fewer, some explanation fits by chance.
_ENOUGH = 3
# Least number of ways to choose the wrong samples among all samples: with fewer, a threshold can separate the wrong
# samples from the right ones by chance.
_WAYS = 10_000


@np.errstate(all="ignore")  # an overflow fits no explanation
def diagnose(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Return one line on how the gradient is wrong, or None if no simple explanation fits.

    Args:
        loss: the loss.
        tally: the summary of the check.
        samples: number n of samples of the whole data, for factors of n and 1/n.
    """
    failing = tally.failing
    wrong = failing.wrong
    if np.count_nonzero(wrong) < _ENOUGH:
        return None
    if not failing.inputs[0].size:  # random directions: only a constant factor can be recognised
        return _ratio(loss, tally, samples)
    # Every explanation fits errors that are smaller than its tolerance.
    large = (
        np.median(failing.relative_error[wrong]) > _VISIBLE * _FITS and np.count_nonzero(failing.informative) >= _ENOUGH
    )
    for explain in (*_BY_PLACE, *(_BY_VALUE if large else ())):
        if hint := explain(loss, tally, samples):
            return hint
    return None


def _fits(cases: CheckedSamples, predicted: Array, factor: float = 1.0) -> bool:
    """Return whether `predicted` equals the given gradient at every wrong coordinate with a known derivative.

    Args:
        cases: the wrong samples.
        predicted: (n, coordinates) the gradient that the explanation predicts.
        factor: multiple of the numeric derivative in `predicted`, which scales its error. Default 1.
    """
    mask = cases.informative
    tolerance = (
        _FITS * np.broadcast_to(cases.scale, mask.shape)[mask] + _ERROR_FACTOR * max(factor, 1.0) * cases.error[mask]
    )
    return bool((np.abs(cases.given[mask] - predicted[mask]) <= tolerance).all())


def _same_everywhere(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    given = np.concatenate([tally.failing.given, tally.passing.given])
    if len(given) < _ENOUGH or not (given == given[0]).all() or not np.ptp(tally.failing.numeric[:, 0]):
        return None
    if not given.any():
        return "given is 0 everywhere: the gradient was never computed, or was reset"
    return f"given is the same at every sample ({number(float(given[0, 0]))}): one element, or a mean, was repeated"


def _ratio(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    ratio = _constant(tally.failing)
    if ratio is None:
        return None
    passing = tally.passing
    everywhere = (
        "every wrong sample" if len(passing) and _visibly_affected(tally.failing, passing).any() else "every sample"
    )
    return f"given ÷ numeric is {number(_short(ratio))} at {everywhere}{_named(ratio, loss, tally, samples)}"


def _constant(failing: CheckedSamples) -> float | None:
    """Return given ÷ numeric if it is the same number, not 1, at every wrong coordinate; otherwise None."""
    mask = failing.informative
    ratios = failing.given[mask] / failing.numeric[mask]
    # The ratio is known where the numeric slope is known to four digits; a slope of 0 gives no ratio.
    sure = (failing.error[mask] <= _FITS * np.abs(failing.numeric[mask])) & np.isfinite(ratios)
    if np.count_nonzero(sure) < _ENOUGH:
        return None
    ratio = float(np.median(ratios[sure]))
    sees = abs(ratio - 1.0) > _VISIBLE * _FITS
    return ratio if sees and _fits(failing, ratio * failing.numeric, abs(ratio)) else None


def _visibly_affected(failing: CheckedSamples, passing: CheckedSamples) -> np.ndarray:
    """Return a mask of the right samples whose gradient the mistake would have made wrong; in a flat tail none.

    The mistake is modelled as a constant share of the derivative, the median over the wrong coordinates. It
    counts as visible if it is at least 0.9 times the smallest error of a wrong coordinate, both relative to
    the scale.
    """
    mask = failing.informative
    shares = np.abs(failing.given[mask] / failing.numeric[mask] - 1.0)
    share = float(np.median(shares)) if shares.size else math.inf
    size, least = np.abs(passing.numeric), 0.9 * float(failing.relative_error[failing.wrong].min())
    seen = (size > 1e-3 * passing.scale) & (share * size > least * passing.scale)
    return np.asarray((seen & (passing.verdict == Verdict.OK)).any(axis=1))


def _short(x: float) -> float:
    return float(f"{x:.4g}")


def _named(ratio: float, loss: Loss, tally: CheckSummary, samples: int) -> str:
    k = tally.failing.given.shape[1]
    named = [
        (0.0, "it was not computed there"),
        (0.5, "a factor of 2 is missing"),
        (2.0, "a factor of 2 too much"),
        (-1.0, "the sign is wrong"),
        (-0.5, "the sign is wrong, and a factor of 2 is missing"),
        (-2.0, "the sign is wrong, and a factor of 2 is too much"),
        (1.0 / samples, f"1/n: it is the gradient of the mean over n = {samples:,}; say --reduction mean"),
        (float(samples), f"n = {samples:,}: it was multiplied by the number of samples"),
        (1.0 / math.log(2.0), "1/log 2: the loss was taken in bits"),
        (math.log(2.0), "log 2: the loss was taken in another base"),
        (1.0 / math.log(10.0), "1/log 10: a logarithm to base 10"),
        (math.log(10.0), "log 10: a logarithm to base 10"),
    ]
    if k > 1:
        named += [(1.0 / k, f"1/k: it was divided by the number of classes, {k}")]
        named += [(float(k), f"k: it was multiplied by the number of classes, {k}")]
        named += [(1.0 / (samples * k), f"1/(n·k): it is the gradient of the mean over all {samples * k:,} elements")]
    for value, words in named:
        if abs(ratio - value) <= 2e-5 * abs(value):
            return f": {words}"
    for parameter, bound in loss.params.items():
        if isinstance(bound, float) and bound not in (0.0, 1.0):
            for value, words in ((bound, "one too much"), (1.0 / bound, "one is missing")):
                if abs(ratio - value) <= 2e-5 * abs(value):
                    return f": a factor {parameter} = {number(bound)}, {words}"
    return ": a constant factor"


def _transposed(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    k = failing.given.shape[1]
    if k < 2 or len(failing) + len(tally.passing) != samples or len(tally.passing) + len(failing) != tally.samples:
        return None
    order = np.argsort(np.concatenate([failing.row, tally.passing.row]), kind="stable")
    given = np.concatenate([failing.given, tally.passing.given])[order]
    numeric = np.concatenate([failing.numeric, tally.passing.numeric])[order]
    scale = np.concatenate([failing.scale, tally.passing.scale])[order]
    sure = np.isfinite(numeric)
    other = given.reshape(k, samples).T
    if (np.abs(other - numeric)[sure] <= np.broadcast_to(10 * _FITS * scale, sure.shape)[sure]).all():
        return f"given is transposed: read as ({k}, {samples:,}) it is right"
    return None


def _logit(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    pred = failing.inputs[0].reshape(len(failing), -1)
    kind = loss.inputs[0].kind.name
    if pred.shape[1] != failing.given.shape[1]:
        return None
    if kind == "Probability" and _fits(failing, failing.numeric * pred * (1.0 - pred)):
        return "given ÷ numeric is p(1 − p): it is the derivative with respect to the logit; say --wrt logits"
    if kind == "Probabilities":
        slope = np.nan_to_num(failing.numeric)
        by_logit = pred * (slope - (pred * slope).sum(axis=1, keepdims=True))
        if _fits(failing, by_logit):
            return "given is the derivative with respect to the logits, through the softmax; say --wrt logits"
    if kind == "Logits":
        p = np.exp(pred - pred.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        through = p * (failing.given - (p * failing.given).sum(axis=1, keepdims=True))
        if (np.abs(through - failing.numeric) <= _FITS * failing.scale + _ERROR_FACTOR * failing.error)[
            failing.informative
        ].all():
            return "given is the derivative with respect to the probabilities, not to the logits"
    if kind == "Real" and pred.shape[1] == 1:
        p = 1.0 / (1.0 + np.exp(-pred))
        if _fits(failing, failing.numeric / (p * (1.0 - p))):
            return "numeric ÷ given is p(1 − p): it is the derivative with respect to the probability, not the logit"
    return None


def _swapped(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    if len(loss.inputs) < 2 or loss.inputs[0].kind != loss.inputs[1].kind:
        return None
    swapped = [failing.inputs[1], failing.inputs[0], *failing.inputs[2:]]
    thunk = loss.evaluate(*swapped)[1]
    if thunk is not None and _fits(failing, thunk().reshape(failing.given.shape)):
        return "given is the gradient with prediction and target swapped"
    return None


def _offset(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a constant difference at every wrong coordinate, for example a forgotten one-hot target."""
    failing, wrong = tally.failing, tally.failing.wrong
    amount = float(np.median((failing.given - failing.numeric)[failing.informative]))
    if (
        not np.isfinite(amount)
        or not np.ptp(failing.numeric[failing.informative])
        or not _fits(failing, failing.numeric + amount)
    ):
        return None
    where = "every wrong coordinate"
    if len(failing.inputs) > 1 and failing.inputs[1].ndim == 1 and failing.given.shape[1] > 1:
        own_class = np.arange(failing.given.shape[1]) == failing.inputs[1][:, None]
        if (own_class == wrong).all():
            where = "the target's own class, and right at the others"
    return f"given − numeric is {number(_short(amount))} at {where}"


def _along_rows(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    if failing.given.shape[1] < 2:
        return None
    difference = failing.given - failing.numeric
    usable = np.isfinite(difference) & (failing.error <= _FITS * failing.scale)
    middle = np.array(
        [np.median(row[use]) if use.any() else np.nan for row, use in zip(difference, usable, strict=True)]
    )
    if (
        np.abs(difference - middle[:, None])[usable] <= np.broadcast_to(_FITS * failing.scale, usable.shape)[usable]
    ).all():
        return "given is off by one constant along each row: the gradient of a loss that renormalises its rows"
    return None


def _one_side(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain samples that are wrong on one side of a threshold of a simple quantity and right on the other."""
    failing, passing = tally.failing, tally.passing
    if len(passing) < _ENOUGH or failing.given.shape[1] != 1:
        return None
    passing = passing[_visibly_affected(failing, passing)]
    # With few samples, one of the quantities (up to five) can separate the wrong ones by chance.
    if len(passing) < _ENOUGH or math.comb(len(failing) + len(passing), len(failing)) < _WAYS:
        return None
    ratio = _constant(failing)
    there = "" if ratio is None else f"; there given ÷ numeric is {number(_short(ratio))}"
    for words, of in _quantities(loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if wrong.min() > right.max():
            return f"wrong only where {words} > {_between(right.max(), wrong.min())}, right below{there}"
        if wrong.max() < right.min():
            return f"wrong only where {words} < {_between(wrong.max(), right.min())}, right above{there}"
    return None


def _between(low: float, high: float) -> str:
    """Return the shortest decimal number in [low, high], as the threshold to show."""
    for digits in range(1, 17):
        for value in (float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}"), float(f"{(low + high) / 2:.{digits}g}")):
            if low <= value <= high:
                return number(value)
    return number(low)


def _quantities(loss: Loss) -> Sequence[tuple[str, Callable[[Sequence[Array]], Array]]]:
    if len(loss.inputs) < 2:
        return (("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0])))
    kinds = [i.kind.name for i in loss.inputs[:2]]
    quantities: list[tuple[str, Callable[[Sequence[Array]], Array]]] = []
    if kinds == ["Real", "Real"]:
        quantities += [("|pred − target|", lambda a: np.abs(a[0] - a[1])), ("pred − target", lambda a: a[0] - a[1])]
    if kinds == ["Real", "Sign"]:
        quantities += [("target·pred", lambda a: a[0] * a[1])]
    quantities += [("target", lambda a: a[1]), ("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0]))]
    return quantities


def _kinks(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain samples that are wrong only at one value of a quantity: a kink, where the value is no subgradient."""
    failing, passing = tally.failing, tally.passing
    if len(passing) < _ENOUGH or failing.given.shape[1] != 1:
        return None
    for words, of in _quantities(loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if "pred" in words and (wrong == wrong[0]).all() and not (right == wrong[0]).any():
            at = "pred equals target" if "−" in words and not wrong[0] else f"{words} is {number(float(wrong[0]))}"
            return f"wrong only where {at}: at a kink any value between the one-sided slopes is right"
    return None


# The first explanation that fits is returned. Explanations of where the gradient is wrong come before those of its
# values.
_Explanation: TypeAlias = Callable[[Loss, CheckSummary, int], str | None]
_BY_PLACE: Sequence[_Explanation] = (_same_everywhere, _kinks, _one_side)
_BY_VALUE: Sequence[_Explanation] = (_ratio, _transposed, _logit, _swapped, _along_rows, _offset)
