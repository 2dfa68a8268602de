"""Losses of sequences whose frames are not aligned with the symbols of the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from lossctl.core.array_kinds import Frames, InputLength, Symbols, TargetLength
from lossctl.core.arrays import Array
from lossctl.core.decorator import Param, Thunk, Violations, loss
from lossctl.core.interval import NON_NEGATIVE
from lossctl.errors import number

Bools = npt.NDArray[np.bool_]

# If forward × backward, each scaled to a maximum of 1, is below this, terms that underflowed (1e-308) may matter. Such
# samples are computed in logarithms, which are less accurate.
_LEAST = 1e-200


class _Algebra(NamedTuple):
    """Addition and multiplication of the probabilities of paths: as numbers, or as logarithms."""

    add: Callable[[Array, Array], Array]
    times: Callable[[Array, Array], Array]
    zero: float
    unit: float
    scaled: Callable[[Array], Array]


def _power_of_two(x: Array) -> Array:
    """Return ``x`` (n, states), each row scaled by a power of 2 to a maximum near 1; the scaling is exact."""
    return np.asarray(np.ldexp(x, -np.frexp(x.max(axis=-1, keepdims=True))[1]))


_PLAIN = _Algebra(np.add, np.multiply, 0.0, 1.0, _power_of_two)
_LOGS = _Algebra(np.logaddexp, np.add, -np.inf, 0.0, lambda x: x)


class _States(NamedTuple):
    """The states of a path: the symbols of the target, with a blank before, between and after them.

    Attributes:
        symbol: (n, 2s + 1) the class of each state.
        skips: (n, 2s + 1) whether a path may skip the blank before the state.
        frames: (n,) the number of frames, without padding.
        last: (n,) the index of the last state.
    """

    symbol: npt.NDArray[np.intp]
    skips: Bools
    frames: npt.NDArray[np.intp]
    last: npt.NDArray[np.intp]


def _states(target: Array, input_lengths: Array, target_lengths: Array, blank: int) -> _States:
    n, s = target.shape
    symbol = np.full((n, 2 * s + 1), blank, np.intp)
    there = np.arange(s) < target_lengths[:, None]  # the symbols after it are padding with any value
    symbol[:, 1::2] = np.where(there, target, blank)
    skips = np.zeros(symbol.shape, bool)
    skips[:, 3::2] = symbol[:, 3::2] != symbol[:, 1:-2:2]
    return _States(symbol, skips, input_lengths.astype(np.intp), 2 * target_lengths.astype(np.intp))


def _shifted(x: Array, by: int, zero: float) -> Array:
    """Return ``x`` (n, states) shifted by ``by`` states, to the left if negative, filled with ``zero``."""
    moved = np.full_like(x, zero)
    if by > 0:
        moved[:, by:] = x[:, :-by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def _forward(x: Array, states: _States, ways: _Algebra) -> list[Array]:
    """Return for each frame the probability (n, states) of the starts of paths that reach each state."""
    n, time, width = x.shape
    begun = np.where(np.arange(width) < 2, x[:, 0], ways.zero) if time else np.full((n, width), ways.zero)
    chances = [ways.scaled(begun)]
    for t in range(1, time):
        before = chances[-1]
        beside = ways.add(before, _shifted(before, 1, ways.zero))
        skipping = np.where(states.skips, _shifted(before, 2, ways.zero), ways.zero)
        now = ways.scaled(ways.times(ways.add(beside, skipping), x[:, t]))
        chances.append(np.where((t < states.frames)[:, None], now, before))
    return chances


def _backward(x: Array, states: _States, ways: _Algebra) -> list[Array]:
    """Return for each frame the probability (n, states) of the ends of paths that start after each state."""
    _, time, width = x.shape
    place = np.arange(width)
    ends = (place == states.last[:, None]) | (place == states.last[:, None] - 1)
    end = np.where(ends, ways.unit, ways.zero)
    chances = [end]
    for t in range(time - 2, -1, -1):
        after = ways.times(chances[-1], x[:, t + 1])
        beside = ways.add(after, _shifted(after, -1, ways.zero))
        skipping = _shifted(np.where(states.skips, after, ways.zero), -2, ways.zero)
        now = ways.scaled(ways.add(beside, skipping))
        chances.append(np.where((t < states.frames - 1)[:, None], now, end))
    return chances[::-1]


def _log_chance(x: Array, states: _States) -> Array:
    """Return the logarithm (n,) of the probability of all paths."""
    final = _forward(x, states, _LOGS)[-1]
    rows = np.arange(len(x))
    before = np.where(states.last > 0, final[rows, states.last - 1], -np.inf)
    log_chance = np.logaddexp(final[rows, states.last], before)
    # With no frame there is one path, which has no symbol.
    return np.where(states.frames == 0, np.where(states.last == 0, 0.0, -np.inf), log_chance)


def _visits(x: Array, states: _States) -> Array:
    """Return the probability (n, time, states) that the path is in a state at a frame, given the target."""
    rows = np.arange(len(x))
    plain = np.exp(x)
    both = np.stack(_forward(plain, states, _PLAIN), axis=1) * np.stack(_backward(plain, states, _PLAIN), axis=1)
    total = both.sum(axis=-1, keepdims=True)
    within = np.arange(x.shape[1]) < states.frames[:, None]
    poor = rows[(within & (total[..., 0] < _LEAST)).any(axis=-1)]
    if poor.size:
        poor_x, part = x[poor], _States(*(field[poor] for field in states))
        logs = np.stack(_forward(poor_x, part, _LOGS), axis=1) + np.stack(_backward(poor_x, part, _LOGS), axis=1)
        top = logs.max(axis=-1, keepdims=True)
        both[poor] = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
        total[poor] = both[poor].sum(axis=-1, keepdims=True)
    return np.where(within[..., None] & (total > 0), both / total, 0.0)


def _check_sequences(
    pred: Array, target: Array, input_lengths: Array, target_lengths: Array, *, blank: int, tolerance: float, **_: bool
) -> Violations:
    """Check the blank, the symbols and the sums of frames, without the padding."""
    n, time, classes = pred.shape
    yield "pred", np.full(n, blank >= classes), lambda _: f"{classes} classes, 0 to {classes - 1}, and blank={blank}"
    there = np.arange(target.shape[1]) < target_lengths[:, None]
    outside = there & ((target < 0) | (target >= classes))

    def unknown(i: int) -> str:
        return f"symbol {number(target[i][outside[i]][0])} is not a class: {classes} are classes 0 to {classes - 1}"

    yield "target", outside.any(axis=-1), unknown
    blanks = (there & (target == blank)).any(axis=-1)
    yield (
        "target",
        blanks,
        lambda _: f"symbol {blank} is the blank, which no target has; blank=N says which class it is",
    )
    sums = np.exp(pred).sum(axis=-1)
    off = (np.arange(time) < input_lengths[:, None]) & ~(np.abs(sums - 1.0) <= tolerance)

    def unequal(i: int) -> str:
        frame = int(off[i].argmax())
        cause = (
            f"the probabilities of frame {frame} sum to {number(sums[i, frame])}, not to 1 within {number(tolerance)}"
        )
        return f"{cause}: --normalize divides them by their sum, --sum-tolerance allows for rounding"

    yield "pred", off.any(axis=-1), unequal


@loss(
    formula="−log Σ Π p[t, path[t]] over the paths of the frames that, without repeats and blanks, are the target",
    reference="Graves et al. 2006, doi:10.1145/1143844.1143891",
    differences=("torch: its mean is per_symbol=true; its gradient is by logits",),
    pitfalls=(
        "pred is (n, frames, classes), torch's (frames, n, classes)",
        "too few frames cost inf: equal symbols need a blank between",
    ),
    validate=_check_sequences,
)
def ctc(
    pred: Frames,
    target: Symbols,
    input_lengths: InputLength,
    target_lengths: TargetLength,
    *,
    blank: Annotated[int, Param("the class that means no symbol", NON_NEGATIVE)] = 0,
    per_symbol: Annotated[bool, Param("divides by the target length")] = False,
    zero_infinity: Annotated[bool, Param("0 in place of inf")] = False,
) -> tuple[Array, Thunk]:
    """Connectionist temporal classification: a sequence under any alignment."""
    states = _states(target, input_lengths, target_lengths, blank)
    x = np.take_along_axis(pred, states.symbol[:, None, :], axis=2)

    def gradient() -> Array:
        g, visits = np.zeros_like(pred), _visits(x, states)
        rows, frames = np.ogrid[: len(pred), : pred.shape[1]]
        for state in range(visits.shape[2]):
            g[rows, frames, states.symbol[:, state, None]] -= visits[:, :, state]
        return g * scale[:, None, None] if per_symbol or zero_infinity else g

    value = -_log_chance(x, states) + 0.0
    scale = 1.0 / np.maximum(target_lengths, 1.0) if per_symbol else np.ones(len(pred))
    if zero_infinity:
        scale = np.where(value == np.inf, 0.0, scale)
        value = np.where(value == np.inf, 0.0, value)
    return value * scale, gradient
