"""Hints on a ratio of the gradient to its reference that varies with the sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ERROR_FACTOR,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    fit,
    fits_right_ones,
    hint,
    share_of,
    share_text,
    short,
    softmax,
    target_class,
    tolerance_of,
    visible,
)
from lossctl.gradients.hints.quantities import loss_of, scales
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []
# Powers of a quantity that a factor may be.
_POWERS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.5, -1.5, 3.0, -3.0)
# Least number of different values of a factor, and the least ratio of its upper to its lower decile: a function that
# is nearly constant over the points explains nothing.
_LEAST_VALUES, _LEAST_RANGE = 10, 1.1
# Largest relative deviation of a factor from a power of a quantity.
_SAME = 1e-3
# Least number of coordinates of a row that show that its factor is one number, and their least share of the largest.
_LEAST_COLUMNS, _LEAST_PART = 3, 1e-2


@hint(HINTS, "ratio-of-input", second=True)
def _ratio_of_input(case: Evidence) -> str | None:
    """Explain a ratio that is a constant times a power of a quantity at every wrong coordinate."""
    failing = case.failing
    seen = visible(failing) & (failing.error <= FITS * np.abs(failing.numeric)) & (failing.given != 0.0)
    if np.count_nonzero(seen) < _LEAST_VALUES:
        return None
    ratio = (failing.given / failing.numeric)[seen]
    if not _varies(np.abs(ratio)):
        return None
    for words, quantity in scales(case, failing):
        base = np.broadcast_to(quantity, failing.given.shape)
        for power in _POWERS:
            factor = _power(base, power)
            constants = ratio / factor[seen]
            constant = float(np.median(constants))
            if not np.isfinite(constant) or np.median(np.abs(constants - constant)) > _SAME * abs(constant):
                continue
            multiple = constant * factor
            share = fit(failing, multiple * failing.numeric, np.abs(multiple), seen)
            if share:
                return f"given ÷ numeric is {_powered(constant, words, power)}{share_text(share)}"
    return None


def _varies(values: Array) -> bool:
    """Return whether there are enough different values over a wide enough range."""
    low, high = np.quantile(values, (0.1, 0.9))
    return bool(len(np.unique(values.round(6))) >= _LEAST_VALUES and high > _LEAST_RANGE * low)


def _power(base: Array, power: float) -> Array:
    """Return base^power; of whole powers with the sign of the base."""
    return np.asarray(base**power if power == round(power) else np.abs(base) ** power)


_EXPONENTS = {2.0: "²", 3.0: "³", 0.5: "^½", 1.5: "^1.5"}


def _powered(constant: float, words: str, power: float) -> str:
    """Return for example ``2/pred²``; what follows a comma in `words` comes last."""
    name, comma, where = words.partition(",")
    if name.startswith("e^"):
        name, power = (name if power == 1.0 else f"e^({_times(power)}{name[2:]})"), 1.0
    elif "/" in name and power == -1.0:
        name, power = "/".join(reversed(name.split("/"))), 1.0
    elif abs(power) != 1.0:
        name = (f"({name})" if " " in name and not name.startswith("(") else name) + _EXPONENTS[abs(power)]
    if power < 0:
        rounded = 1.0 if abs(constant - 1.0) < _SAME else -1.0 if abs(constant + 1.0) < _SAME else short(constant)
        return f"{number(rounded)}/{f'({name})' if '·' in name else name}{comma}{where}"
    return f"{_times(constant)}{name}{comma}{where}"


def _times(constant: float) -> str:
    """Return a factor before a quantity; nothing for 1."""
    if abs(constant - 1.0) < _SAME:
        return ""
    return "−" if abs(constant + 1.0) < _SAME else f"{number(short(constant))}·"


@hint(HINTS, "affine-ratio", second=True)
def _affine_ratio(case: Evidence) -> str | None:
    """Explain a ratio, or its inverse, of 1 + c·q for a quantity q: a weight such as 1 + 4·target is missing."""
    failing = case.failing
    seen = visible(failing) & (failing.error <= FITS * np.abs(failing.numeric)) & (failing.given != 0.0)
    if np.count_nonzero(seen) < _LEAST_VALUES:
        return None
    ratio = failing.given / failing.numeric
    if not _varies(np.abs(ratio[seen])):
        return None
    for words, quantity in _summands(case, failing):
        q = np.broadcast_to(quantity, failing.given.shape)
        for turned in (False, True):
            slopes = (((1.0 / ratio if turned else ratio) - 1.0) / q)[seen & (np.abs(q) > _LEAST_PART)]
            slope = float(np.median(slopes)) if slopes.size else np.nan
            if not np.isfinite(slope) or np.median(np.abs(slopes - slope)) > _SAME * abs(slope):
                continue
            factor = 1.0 / (1.0 + slope * q) if turned else 1.0 + slope * q
            share = fit(failing, failing.numeric * factor, np.abs(factor), seen)
            if share:
                text = f"1 {'+' if slope > 0 else '−'} {_times(abs(slope))}{words}"
                return f"given ÷ numeric is {f'1/({text})' if turned else text}{share_text(share)}"
    return None


def _summands(case: Evidence, cases: CheckedSamples) -> Iterator[tuple[str, Array]]:
    """Yield the quantities of which a multiple is added to 1."""
    for words, quantity in scales(case, cases):
        if words in (*case.loss.roles, "|pred − target|", "e^pred"):
            yield words, quantity
        if words == "|pred − target|":
            yield "(pred − target)²", quantity**2


@hint(HINTS, "epsilon")
def _epsilon(case: Evidence) -> str | None:
    """Explain a ratio of q/(q + ε) or (q + ε)/q for a quantity q: an ε that only one of the two has."""
    failing = case.failing
    seen = visible(failing) & (failing.error <= FITS * np.abs(failing.numeric)) & (failing.given != 0.0)
    if np.count_nonzero(seen) < _LEAST_VALUES:
        return None
    ratio = failing.given / failing.numeric
    for words, quantity in scales(case, failing):
        q = np.broadcast_to(quantity, failing.given.shape)
        for turned, only in ((1.0 / ratio, "only in given"), (ratio, "only in the loss")):
            estimates = (q * (turned - 1.0))[seen]
            epsilon = float(np.median(estimates))
            off = np.abs(estimates - epsilon) > VISIBLE * _SAME * abs(epsilon)
            if not 0.0 < epsilon < 0.5 or off.mean() > 0.5 or not _varies(np.abs(q[seen])):
                continue
            epsilon = float(f"{epsilon:.2g}")
            factor = q / (q + epsilon) if only == "only in given" else (q + epsilon) / q
            share = fit(failing, factor * failing.numeric, np.abs(factor), seen)
            if share:
                return f"an ε of {number(epsilon)} is added to {words} {only}{share_text(share)}"
    return None


@hint(HINTS, "weight-constant")
def _weight_constant(case: Evidence) -> str | None:
    """Explain a loss w·b whose weight w depends on the predictions and is differentiated as a constant."""
    if case.loss.batch_coupled:
        return None
    every = case.every
    for words, slope in _bases(case.loss, every):
        predicted = loss_of(case, every) * slope
        share = fit(every, predicted)
        if share and fits_right_ones(every, predicted):
            return (
                f"given is the gradient of {words} times its weight in the loss, whose derivative is missing: "
                f"it depends on pred too{share_text(share)}"
            )
    return None


def _bases(loss: Loss, cases: CheckedSamples) -> Iterator[tuple[str, Array]]:
    """Yield functions that losses weight, such as a focal loss, in words and as their derivative over their value."""
    x = cases.inputs[0].reshape(cases.given.shape)
    hot = target_class(cases)
    if hot is not None and loss.inputs[0].kind.name == "Logits":
        above = x - np.where(hot, x, 0.0).sum(axis=1, keepdims=True)
        others = np.where(hot, 0.0, np.exp(above)).sum(axis=1, keepdims=True)
        yield "the cross-entropy", (softmax(x) - hot) / np.log1p(others)
    if len(cases.inputs) < 2 or cases.inputs[1].size != x.size:
        return
    t = cases.inputs[1].reshape(x.shape)
    binary = any(np.isin(cases.inputs[1], labels).all() for labels in ((0.0, 1.0), (-1.0, 1.0)))
    if cases.given.shape[1] == 1 and binary:
        sign = np.where(t == 1.0, 1.0, -1.0)
        yield "the cross-entropy", -sign / (1.0 + np.exp(sign * x)) / np.logaddexp(0.0, -sign * x)
        p = np.where(t == 1.0, x, 1.0 - x)
        yield "the cross-entropy", sign / (p * np.log(p))
    yield "the squared error", 2.0 / (x - t)
    yield "the absolute error", 1.0 / (x - t)


@hint(HINTS, "factor-by-sample")
def _by_sample(case: Evidence) -> str | None:
    """Explain a ratio that is one number along each row, and another in each row."""
    failing = case.failing
    if failing.given.shape[1] < _LEAST_COLUMNS:
        return None
    size = np.where(failing.informative | (failing.verdict == Verdict.OK), np.abs(failing.numeric), 0.0)
    largest = size.argmax(axis=1)[:, None]
    ratio = np.take_along_axis(failing.given / failing.numeric, largest, axis=1)
    telling = (size > _LEAST_PART * size.max(axis=1, keepdims=True)).sum(axis=1) >= _LEAST_COLUMNS
    if np.count_nonzero(telling) < max(_LEAST_VALUES, len(failing) // 2) or not _varies(np.abs(ratio[telling])):
        return None
    judged = telling[:, None] & (failing.wrong | (failing.verdict == Verdict.OK))
    # The error of the ratio is that of the largest coordinate.
    slack = ERROR_FACTOR * np.take_along_axis(failing.error, largest, axis=1) * np.abs(ratio)
    close = (
        np.abs(failing.given - ratio * failing.numeric)
        <= tolerance_of(failing, float(np.nanmax(np.abs(ratio)))) + slack
    )
    rows = telling[:, None] & (np.arange(failing.given.shape[1]) != largest)
    share = share_of(close[failing.informative])
    if share is None or not share_of(close[visible(failing) & rows]) or not share_of(close[judged]):
        return None
    return (
        f"given ÷ numeric is one number along each row, another in each row{share_text(share)}: a factor of the sample"
        " (a weight, a norm) is missing or too much"
    )
