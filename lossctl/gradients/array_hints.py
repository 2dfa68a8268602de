"""Explanations of a wrong gradient of an array of parameters.

An explanation is a statement on the whole array, such as "the gradient is transposed": it predicts the slopes along all
directions, which are already measured. One that fits several random directions is no coincidence.

To add one, write a function ``(evidence) -> str | None`` with the decorator ``@_hint("its-code")``; they are tried in
the order of this file, those that evaluate the function again after the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import number
from lossctl.gradients.localize import ArrayPart, Entry, check_entry, wrong_entry
from lossctl.gradients.model_result import ArrayCheck
from lossctl.gradients.random_slopes import SURE, Part, RandomSlopes, Slope
from lossctl.immutable import immutable

# An explanation is tested only if the slopes are known to this share of the largest of them.
_SHARP = 0.02
# A ratio is named if it agrees with a number to this share.
_SAME = 1e-4
# Rows, or columns, of a wrong array that are checked one by one.
_ROWS = 6
# Entries that are checked one by one to compare them with other arrays of the same shape.
_ENTRIES = 8


@immutable
class Evidence:
    """What is known of a wrong array.

    Attributes:
        slopes: the slopes of the function.
        array: the array.
        residuals: its residual along each direction.
        others: the other arrays, and whether they are wrong.
        inputs: all arrays that the function takes, by name.
    """

    slopes: RandomSlopes
    array: ArrayPart
    residuals: Sequence[Slope]
    others: Sequence[tuple[ArrayPart, bool]]
    inputs: dict[str, Array]

    @property
    def given(self) -> Array:
        """The gradient under test, in the shape of the array."""
        return self.slopes.gradient[self.array.part].reshape(self.array.shape)

    @cached_property
    def entry(self) -> Entry | None:
        """A wrong entry, by bisection along the direction with the largest residual; None if there is none."""
        k = int(np.argmax([abs(r.residual) for r in self.residuals]))
        return wrong_entry(self.slopes, self.array, k, self.residuals[k])

    @cached_property
    def sample(self) -> list[Entry]:
        """Some entries with a gradient, checked one by one."""
        filled = np.flatnonzero(self.given.ravel())
        chosen = filled[np.linspace(0, len(filled) - 1, min(_ENTRIES, len(filled))).astype(int)]
        return [check_entry(self.slopes, self.array, self.array.part.start + int(i)) for i in chosen]

    def along(self, gradient: Array, k: int) -> float:
        """Return the slope that a gradient of this array has along a direction."""
        return float(gradient.ravel() @ self.slopes.directions[k][self.array.part])

    def explains(self, change: Array) -> bool:
        """Return whether the gradient plus a change is right along every direction."""
        amounts = [self.along(change, k) for k in range(len(self.residuals))]
        size = max(abs(r.residual) for r in self.residuals)
        errors = [
            SURE * r.error + self.slopes.allowed(k, self.array.part) + _SAME * size
            for k, r in enumerate(self.residuals)
        ]
        return max(errors) <= _SHARP * size + _SAME * size and all(
            abs(amount - r.residual) <= error for amount, r, error in zip(amounts, self.residuals, errors, strict=True)
        )


@immutable
class Hint:
    """An explanation.

    Attributes:
        code: its name.
        words: the sentence.
        ratio: given ÷ numeric if it is one number for the whole array; otherwise None.
    """

    code: str
    words: str
    ratio: float | None = None


_Explanation = Callable[[Evidence], str | Hint | None]
_HINTS: list[tuple[str, bool, _Explanation]] = []


def _hint(code: str, *, evaluates: bool = False) -> Callable[[_Explanation], _Explanation]:
    """Register an explanation; `evaluates`: it evaluates the function at further points."""

    def register(function: _Explanation) -> _Explanation:
        _HINTS.append((code, evaluates, function))
        return function

    return register


def explain(evidence: Evidence, *, evaluate: bool) -> Hint | None:
    """Return the first explanation that fits, or None; of those that evaluate the function, or of the others."""
    for code, evaluates, function in _HINTS:
        explanation = function(evidence) if evaluates is evaluate else None
        if explanation:
            return explanation if isinstance(explanation, Hint) else Hint(code, explanation)
    return None


@_hint("zero")
def _zero(e: Evidence) -> str | None:
    if np.any(e.given != 0):
        return None
    return f"the gradient of {e.array.name} is 0, and the loss depends on it: it was not computed, or not stored"


@_hint("constant-factor")
def _constant_factor(e: Evidence) -> Hint | None:
    ratio = _factor(e, e.given)
    if ratio is None:
        return None
    if ratio == 0.0:
        return Hint("constant", f"the loss does not depend on {e.array.name}: its gradient should be 0")
    return Hint("constant-factor", factor_words(1.0 / ratio, f"all of {e.array.name}"), 1.0 / ratio)


@_hint("transposed")
def _transposed(e: Evidence) -> str | None:
    if len(e.array.shape) != 2 or min(e.array.shape) < 2:
        return None
    ratio = _factor(e, e.given.reshape(e.array.shape[::-1]).T)
    if not ratio:
        return None
    factor = "" if abs(ratio - 1.0) <= _SAME else f", and given ÷ numeric is {_short(1.0 / ratio)}"
    return f"the gradient of {e.array.name} is transposed{factor}"


@_hint("weight-decay")
def _weight_decay(e: Evidence) -> str | None:
    x = e.slopes.x[e.array.part].reshape(e.array.shape)
    lengths = [e.along(x, k) for k in range(len(e.residuals))]
    best = int(np.argmax(np.abs(lengths)))
    if not lengths[best]:
        return None
    decay = e.residuals[best].residual / lengths[best]
    if not e.explains(decay * x):
        return None
    what = "is missing" if decay > 0 else "is too much"
    return f"a term {number(float(f'{abs(decay):.3g}'))}·{e.array.name} {what}: is it the derivative of a weight decay?"


@_hint("one-entry", evaluates=True)
def _one_entry(e: Evidence) -> str | None:
    if e.entry is None:
        return None
    change = np.zeros(e.given.size)
    change[e.entry.flat - e.array.part.start] = e.entry.numeric - e.entry.given
    if not e.explains(change):
        return None
    return f"{e.entry.place} alone is wrong: {e.array.name} is right everywhere else"


@_hint("one-row", evaluates=True)
def _one_row(e: Evidence) -> str | None:
    if e.entry is None or len(e.array.shape) < 2:
        return None
    index = np.unravel_index(e.entry.flat - e.array.part.start, e.array.shape)
    for axis in range(len(e.array.shape)):
        if e.array.shape[axis] < 2:
            continue
        line = _line(e.array, axis, int(index[axis]))
        parts = [e.slopes.slope(k, line) for k in range(len(e.residuals))]
        right_elsewhere = [
            abs(whole.residual - part.residual) <= SURE * (whole.error + part.error) + e.slopes.allowed(k, e.array.part)
            for k, (whole, part) in enumerate(zip(e.residuals, parts, strict=True))
        ]
        if all(right_elsewhere):
            place = ", ".join(str(int(index[axis])) if i == axis else ":" for i in range(len(e.array.shape)))
            return f"{e.array.name}[{place}] is wrong: {e.array.name} is right everywhere else"
    return None


@_hint("flat", evaluates=True)
def _flat(e: Evidence) -> str | None:
    entries = e.sample
    wrong = [entry for entry in entries if entry.wrong]
    if len(wrong) < len(entries) and wrong and all(abs(w.numeric) <= SURE * w.error for w in wrong):
        return (
            f"wrong where the loss is flat, such as {wrong[0].place}: is the gradient cut off where values are clipped?"
        )
    return None


@_hint("input-factor", evaluates=True)
def _input_factor(e: Evidence) -> str | None:
    entries = [entry for entry in e.sample if entry.wrong and entry.error < _SHARP * abs(entry.numeric)]
    if len(entries) < 3:
        return None
    at = [entry.flat - e.array.part.start for entry in entries]
    ratios = np.array([entry.given / entry.numeric for entry in entries])
    values = {
        name: a.ravel()[at].astype(np.float64)
        for name, a in e.inputs.items()
        if a.shape == e.array.shape and a.dtype.kind in "fiub"
    }
    with np.errstate(all="ignore"):
        factors = values | {f"1/{name}": 1.0 / v for name, v in values.items()}
        for a, value in values.items():
            factors |= {f"exp({a})": np.exp(value), f"exp(−{a})": np.exp(-value)}
            factors |= {f"exp({a} − {b})": np.exp(value - values[b]) for b in values if b != a}
    for words, factor in factors.items():
        if not np.isfinite(factor).all():
            continue
        if np.ptp(factor) > _SAME * np.abs(factor).max() and np.allclose(ratios, factor, rtol=1e-3, atol=0.0):
            return f"given ÷ numeric is {words} in {e.array.name}: a factor of the chain rule is missing or too much"
    return None


@_hint("some-rows", evaluates=True)
def _some_rows(e: Evidence) -> str | None:
    if e.entry is None or len(e.array.shape) < 2:
        return None
    index = np.unravel_index(e.entry.flat - e.array.part.start, e.array.shape)
    size = np.abs(e.given)
    for axis in (0, len(e.array.shape) - 1):
        weight = size.sum(axis=tuple(a for a in range(size.ndim) if a != axis))
        filled = np.flatnonzero(weight)
        if len(filled) < 2:
            continue
        # The largest lines are most likely of both kinds: those of repeated indices, and the others.
        chosen = [int(index[axis]), *(int(i) for i in filled[np.linspace(0, len(filled) - 1, _ROWS).astype(int)])]
        wrong, right = [], []
        for i in dict.fromkeys(chosen):
            line = _line(e.array, axis, i)
            slope = e.slopes.slope(0, line)
            share = float(np.linalg.norm(e.slopes.gradient[line] * e.slopes.directions[0][line]))
            if e.slopes.is_wrong(slope, 0, line):
                wrong.append(i)
            elif SURE * slope.error <= _SHARP * share:
                right.append(i)
        if wrong and right:
            name = f"{e.array.name}[{'{}' if axis == 0 else ':, {}'}]"
            parts = [", ".join(name.format(i) for i in lines[:3]) for lines in (wrong, right)]
            gather = axis == 0 and len(filled) < e.array.shape[0]
            cause = ": rows that are looked up several times must add up (np.add.at)" if gather else ""
            return f"{parts[0]} {'is' if len(wrong) == 1 else 'are'} wrong, {parts[1]} right{cause}"
    return None


@_hint("sum-over-batch", evaluates=True)
def _sum_over_batch(e: Evidence) -> str | None:
    if len(e.array.shape) != 1:
        return None
    weights = [(a, wrong) for a, wrong in e.others if len(a.shape) >= 2 and e.array.shape[0] in a.shape]
    if not weights:
        return None
    start = e.array.part.start
    layer, wrong = min(weights, key=lambda pair: min(abs(pair[0].part.stop - start), abs(pair[0].part.start - start)))
    if wrong:
        return None
    return (
        f"{e.array.name} is wrong while {layer.name} is right: is its gradient summed over the batch and all positions?"
    )


def _factor(e: Evidence, gradient: Array) -> float | None:
    """Return the number that, times `gradient`, explains the slopes; 0 if they are all 0, None if none does."""
    lengths = [e.along(gradient, k) for k in range(len(e.residuals))]
    totals = [r.residual + e.along(e.given, k) for k, r in enumerate(e.residuals)]
    best = int(np.argmax(np.abs(lengths)))
    if not lengths[best]:
        return None
    ratio = totals[best] / lengths[best]
    error = (SURE * e.residuals[best].error + e.slopes.allowed(best, e.array.part)) / abs(lengths[best])
    if abs(ratio) <= error <= _SHARP:
        ratio = 0.0
    return ratio if e.explains(ratio * gradient - e.given) else None


def factor_words(ratio: float, where: str) -> str:
    """Return the sentence on a constant ratio of given to numeric.

    >>> factor_words(1 / 64, "all of W1")
    'given ÷ numeric is 1/64 in all of W1: it was divided by 64 once too often: the size of the batch?'
    >>> factor_words(-1.0, "b2")
    'given ÷ numeric is -1 in b2: the sign is wrong'
    """
    named = {0.5: "a factor of 2 is missing", 1.0: "", 2.0: "a factor of 2 too much"}
    size, sign = abs(ratio), "the sign is wrong" if ratio < 0 else ""
    text, words = _short(ratio), "a constant factor"
    for value, name in named.items():
        if abs(size - value) <= _SAME * value:
            text, words = _short(value if ratio > 0 else -value), name
    for n, prefix, name in (
        (1.0 / size, "1/", "it was divided by {:,} once too often: the size of the batch?"),
        (size, "", "it was multiplied by {:,}, or not divided by it: the size of the batch?"),
    ):
        if 2.5 < n < 1e9 and abs(n - round(n)) <= _SAME * n:
            text, words = f"{'-' * (ratio < 0)}{prefix}{round(n)}", name.format(round(n))
    cause = ", and ".join(part for part in (sign, words) if part)
    return f"given ÷ numeric is {text} in {where}: {cause}"


def _short(x: float) -> str:
    return number(float(f"{x:.4g}"))


def _line(array: ArrayPart, axis: int, i: int) -> Part:
    """Return the positions of a row, a column or another slice of an array in the vector of all parameters."""
    flat = np.arange(array.part.start, array.part.stop).reshape(array.shape)
    return np.ascontiguousarray(np.take(flat, i, axis=axis)).ravel()


def merged(hints: Sequence[Hint], checks: Sequence[ArrayCheck]) -> list[Hint]:
    """Say once what is true of every wrong array, and where the wrong arrays end."""
    judged = [check for check in checks if check.verdict != "skipped"]
    wrong = [check.name for check in judged if check.verdict == "wrong"]
    ratios = [hint.ratio for hint in hints if hint.ratio is not None]
    if 1 < len(wrong) == len(ratios) and np.ptp(ratios) <= _SAME * abs(ratios[0]):
        where = "every array" if len(wrong) == len(judged) else f"every wrong array ({', '.join(wrong)})"
        return [Hint("constant-factor", factor_words(float(np.median(ratios)), where))]
    zeros = [hint for hint in hints if hint.code == "zero"]
    if 1 < len(zeros) == len(wrong):
        return [Hint("zero", f"the gradients of {', '.join(wrong)} are 0, and the loss depends on them")]
    last = len(wrong)
    vague = all(hint.code == "some-rows" for hint in hints)
    if vague and 1 < last < len(judged) and all(check.verdict == "wrong" for check in judged[:last]):
        before, after = judged[last - 1].name, judged[last].name
        words = (
            f"every array up to {before} is wrong and every array from {after} on right: the gradient that the step "
        )
        return [Hint("upstream", f"{words}back from {after} to {before} hands on is wrong"), *hints]
    return list(hints)
