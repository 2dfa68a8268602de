"""Hints on the difference between the gradient and its reference, and on its digits."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import number
from lossctl.gradients.hints.evidence import (
    ENOUGH,
    FITS,
    VISIBLE,
    Evidence,
    Hint,
    fit,
    hint,
    share_of,
    share_text,
    short,
    softmax,
    tolerance_of,
    visible,
)
from lossctl.gradients.hints.quantities import groups, place_of
from lossctl.gradients.verdict import Verdict

HINTS: list[Hint] = []
# Least number of visible errors that show a multiple, and of coordinates that show one number along a row.
_LEAST_VALUES, _LEAST_COLUMNS = 10, 3
# Steps of differences that people take.
_STEPS = (1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0001)


@hint(HINTS, "constant-offset")
def _offset(case: Evidence) -> str | None:
    """Explain a constant difference at every wrong coordinate, for example a forgotten one-hot target."""
    failing = case.failing
    amount = float(np.median((failing.given - failing.numeric)[failing.informative]))
    if not np.isfinite(amount) or not np.ptp(failing.numeric[failing.informative]):
        return None
    share = fit(failing, failing.numeric + amount)
    if share is None:
        return None
    where = f"at {share[0]:,} of {share[1]:,} wrong coordinates" if share[0] < share[1] else "at every wrong coordinate"
    if part := place_of(case):
        where = f"{part}, and right elsewhere"
    return f"given − numeric is {number(short(amount))} {where}"


@hint(HINTS, "offset-by-group")
def _offset_by_group(case: Evidence) -> str | None:
    """Explain a difference that is one number for each class, for example a smoothing of the labels."""
    every = case.every
    judged = np.isin(every.verdict, (Verdict.OK, Verdict.WRONG)) & ~every.clipped
    difference = every.given - every.numeric
    for words, code in groups(case, every):
        amounts = np.zeros(len(words))
        for g in range(len(words)):
            part = judged & (code == g)
            if np.count_nonzero(part) >= ENOUGH:
                amounts[g] = np.median(difference[part])
        close = np.abs(difference - amounts[code]) <= tolerance_of(every)
        share = share_of(close[every.informative])
        if share and np.ptp(amounts) and share_of(close[visible(every)]) and share_of(close[judged]):
            listed = ", ".join(f"{number(short(amounts[g]))} {words[g]}" for g in np.flatnonzero(amounts))
            return f"given − numeric is {listed}{share_text(share)}"
    return None


@hint(HINTS, "input-added")
def _input_added(case: Evidence) -> str | None:
    """Explain a difference that is a multiple of an input or of its softmax: a term is missing, or one too much."""
    failing = case.failing
    seen = visible(failing) & (failing.error <= FITS * failing.scale)
    if np.count_nonzero(seen) < _LEAST_VALUES:
        return None
    difference = failing.given - failing.numeric
    for words, quantity in _terms(case):
        q = np.broadcast_to(quantity, difference.shape)
        multiples = (difference / q)[seen & (np.abs(q) > 0.1 * np.abs(q[seen]).max(initial=0.0))]
        multiple = float(np.median(multiples)) if multiples.size else math.nan
        if not np.isfinite(multiple) or len(np.unique(q[seen])) < 2 or not multiple:
            continue
        share = fit(failing, failing.numeric + multiple * q)
        if share:
            rounded = short(multiple)
            shown = {1.0: "", -1.0: "−"}.get(rounded, f"{number(rounded)}·")
            return (
                f"given − numeric is {shown}{words}{share_text(share)}: "
                f"{_TERM.get(rounded, 'such a term is missing or too much')}"
            )
    return None


_TERM = {1.0: "one too much", -1.0: "one is missing"}


def _terms(case: Evidence) -> Iterator[tuple[str, Array]]:
    """Yield what may be added by mistake."""
    failing = case.failing
    for role, array in zip(case.loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1).astype(float)
        if flat.shape[1] == failing.given.shape[1]:
            yield role, flat
            if ((flat >= 0.0) & (flat <= 1.0)).all():
                yield f"(1 − {role})", 1.0 - flat
    x = failing.inputs[0].reshape(len(failing), -1)
    if x.shape[1] == failing.given.shape[1]:
        yield "the sign of pred", np.sign(x)
        target = failing.inputs[1].reshape(len(failing), -1) if len(failing.inputs) > 1 else x[:, :0]
        if target.shape == x.shape and (x > 0.0).all():
            yield "target/pred", target / x
        if case.loss.inputs[0].kind.name == "Logits":
            p = softmax(x)
            yield "the softmax of pred", p
            top = x.max(axis=1, keepdims=True)
            total = top + np.log(np.exp(x - top).sum(axis=1, keepdims=True))
            yield "the softmax of pred times its log-sum-exp", p * total


@hint(HINTS, "projection")
def _projection(case: Evidence) -> str | None:
    """Explain a gradient with a part along pred where the reference has none: the loss depends on a direction."""
    failing = case.failing
    x = failing.inputs[0].reshape(len(failing), -1)
    if x.shape != failing.given.shape or x.shape[1] < _LEAST_COLUMNS:
        return None
    length = np.square(x).sum(axis=1)
    along, reference = ((a * x).sum(axis=1) / length for a in (failing.given, failing.numeric))
    size = np.linalg.norm(failing.numeric, axis=1) / np.sqrt(length)
    if np.median(np.abs(reference) / size) > FITS or np.median(np.abs(along) / size) < VISIBLE * FITS:
        return None
    share = fit(failing, failing.numeric + along[:, None] * x)
    return share and (
        f"given − numeric is along pred{share_text(share)}: the derivative of the norm of pred is missing"
    )


@hint(HINTS, "constant-along-rows")
def _along_rows(case: Evidence) -> str | None:
    failing = case.failing
    if failing.given.shape[1] < 2:
        return None
    difference = failing.given - failing.numeric
    usable = np.isfinite(difference) & (failing.error <= FITS * failing.scale)
    middle = np.array(
        [np.median(row[use]) if use.any() else np.nan for row, use in zip(difference, usable, strict=True)]
    )
    close = np.abs(difference - middle[:, None]) <= FITS * failing.scale
    telling = usable & (usable.sum(axis=1, keepdims=True) >= _LEAST_COLUMNS) if failing.given.shape[1] > 2 else usable
    share = share_of(close[telling])
    if share and np.count_nonzero(visible(failing) & telling) >= ENOUGH:
        return (
            f"given is off by one constant along each row{share_text(share)}: the gradient of a loss that renormalises "
            "its rows"
        )
    return None


@hint(HINTS, "coarse-difference", few=False)
def _coarse_difference(case: Evidence) -> str | None:
    """Explain a gradient that is itself a difference of the loss, with a step that is too long."""
    failing = case.failing
    x = failing.inputs[0]
    if failing.given.shape[1] != 1 or case.loss.batch_coupled:
        return None

    def at(step: float) -> Array:
        return np.asarray(case.loss.evaluate(x + step, *failing.inputs[1:])[0], dtype=float).reshape(-1, 1)

    for step in _STEPS:
        middle, above = at(0.0), at(step)
        for words, quotient in (
            ("forward", (above - middle) / step),
            ("central", (above - at(-step)) / (2.0 * step)),
        ):
            if share := fit(failing, quotient):
                return f"given is the {words} difference of the loss with a step of {number(step)}{share_text(share)}"
    return None
