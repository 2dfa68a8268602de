"""Check of a batch whose samples depend on each other: its gradient is that of the sum of the losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, FIRST, ULPS, Bools, DerivativeProblem, Indices
from lossctl.gradients.judge import check
from lossctl.gradients.points import Points, edges
from lossctl.gradients.remeasure import check_measured, is_noisy
from lossctl.gradients.tally import CheckSummary, summarize_verdicts
from lossctl.gradients.verdict import CoordinateVerdicts
from lossctl.immutable import immutable

# Up to _COORDINATES coordinates are perturbed one by one; a larger batch is perturbed along _DIRECTIONS random
# directions.
_COORDINATES, _DIRECTIONS = 512, 24
BY_COORDINATE = "every coordinate of the batch, one by one"
BY_DIRECTION = f"{_DIRECTIONS} random directions"
# One measurement evaluates the batch 80 times: with the 64 samples and 500 wrong coordinates of independent samples,
# 300 samples that are wrong everywhere take 29,000 evaluations.
_PROBED, _APPEALS, _MANY = 8, 24, 64
# If at least this share of the directions is at a kink, the coordinates that have one are looked for.
_AT_KINKS = 0.5
# Most evaluations of this search: it costs four for each half of the batch, quarter, …, that has a kink or not.
_SEARCH = 2_000
# Of two steps, one 16 times the other, a second difference over a step is 16 times smaller if the loss is smooth and
# the same at a kink.
_SHORTER = 16.0


@immutable
class _Batch:
    """A batch as a function of all its predictions.

    Attributes:
        points: the loss and the batch.
        given: (coordinates,) the gradient under test.
        atol: (coordinates,) its allowed absolute difference.
        rtol: its allowed difference relative to the scale.
    """

    points: Points
    given: Array
    atol: Array
    rtol: float

    @property
    def x(self) -> Array:
        return self.points.arrays[0].reshape(-1)

    def total(self, moved: Array) -> float:
        """Return the sum of the losses at other predictions."""
        pred, *others = self.points.arrays
        return float(self.points.loss.evaluate(moved.reshape(pred.shape), *others)[0].sum())

    def is_noisy(self, problem: DerivativeProblem) -> bool:
        return not self.points.loss.is_builtin and is_noisy(problem, _PROBED)

    def check(self, problem: DerivativeProblem, noisy: bool) -> CoordinateVerdicts:
        if self.points.loss.is_builtin:
            return check(problem)
        return check_measured(problem, noisy, appeals=_APPEALS, many=_MANY)


def check_batch(points: Points, given: Array, atol: Array, rtol: float, *, keep_verdicts: bool) -> CheckSummary:
    """Check the gradient of the sum of the losses of a batch.

    Args:
        points: the loss and the batch.
        given: the gradient under test, in the shape of the predictions.
        atol: its allowed absolute difference, in the same shape.
        rtol: its allowed difference relative to the scale.
        keep_verdicts: whether to keep the verdicts on coordinates.
    """
    batch = _Batch(points, given.reshape(-1), atol.reshape(-1), rtol)
    if given.size > _COORDINATES:
        return _check_directions(batch)
    problem = _single(batch, np.arange(given.size))
    noisy = batch.is_noisy(problem)
    if noisy and given.size > _MANY:
        # Every coordinate of a function with noise is measured, right or wrong: 24,000 evaluations of 300 samples.
        summary = _check_directions(batch)
        if summary.passed:
            return summary
    n = len(points)
    verdicts = batch.check(problem, noisy)
    # All coordinates of a sum over the batch share one scale, the largest slope.
    scale = np.full((n, 1), verdicts.scale.max())
    verdicts = replace(verdicts.map(lambda a: a.reshape(n, -1)), scale=scale)
    return summarize_verdicts(
        verdicts, points.arrays, given.reshape(n, -1), points.rows, method=BY_COORDINATE, keep_verdicts=keep_verdicts
    )


def _single(batch: _Batch, coordinates: Indices) -> DerivativeProblem:
    """Return the problem of checking single coordinates, (coordinates, 1)."""
    x = batch.x

    def move(chosen: Indices | None, to: Array) -> Array:
        totals = []
        for i, value in zip(coordinates if chosen is None else coordinates[chosen], to[:, 0], strict=True):
            moved = x.copy()
            moved[i] = value
            totals.append(batch.total(moved))
        return np.array(totals)

    sizes = np.full(len(coordinates), batch.points.magnitude.max())
    start, given, slack = (a[coordinates, None] for a in (x, batch.given, batch.atol))
    return DerivativeProblem(move, start, given, sizes, *edges(batch.points.loss), batch.rtol, slack)


def _check_directions(batch: _Batch) -> CheckSummary:
    """Check slopes along random directions; coordinates at a kink that all directions would cross, one by one."""
    low, high = edges(batch.points.loss)
    x, magnitude = batch.x, batch.points.magnitude.max()
    # If the domain has an edge nearby, each direction is scaled such that ±1 along it stays inside; a coordinate
    # on the edge is not perturbed.
    room = np.where(np.isfinite(x), np.minimum(x - low, high - x), 0.0)
    edge = np.inf if (room > magnitude).all() else 1.0
    size = np.minimum(room, magnitude)
    directions = np.random.default_rng(0).uniform(-1.0, 1.0, (_DIRECTIONS, x.size)) * size
    problem = _along(batch, directions, edge)
    verdicts = batch.check(problem, batch.is_noisy(problem))
    notes: tuple[str, ...] = ()
    if verdicts.clipped.mean() >= _AT_KINKS:
        kinks = _at_kink(batch, size)
        if kinks.any() and not kinks.all():
            alone = np.flatnonzero(kinks)[:_DIRECTIONS]
            directions = np.concatenate([directions * ~kinks, np.eye(x.size)[alone] * size])
            problem = _along(batch, directions, edge)
            verdicts = batch.check(problem, batch.is_noisy(problem))
            left_out = f"{int(kinks.sum()):,} of {x.size:,} coordinates are at a kink and not in the random directions"
            notes = (f"{left_out}; {len(alone)} of them are checked one by one",)
    n = len(problem.x)
    inputs = [np.empty((n, 0)) for _ in batch.points.arrays]
    summary = summarize_verdicts(verdicts, inputs, problem.given, np.arange(n), method=BY_DIRECTION, notes=notes)
    return replace(summary, samples=len(batch.points))


def _along(batch: _Batch, directions: Array, edge: float) -> DerivativeProblem:
    """Return the problem of checking the slopes along some directions, (directions, coordinates), up to ±`edge`."""

    def f(chosen: Indices | None, to: Array) -> Array:
        of = directions if chosen is None else directions[chosen]
        return np.array([batch.total(batch.x + step * u) for step, u in zip(to[:, 0], of, strict=True)])

    slopes = (directions @ batch.given)[:, None]
    start, unit = np.zeros((len(directions), 1)), np.ones(len(directions))
    slack = np.abs(directions) @ batch.atol[:, None]
    return DerivativeProblem(f, start, slopes, unit, -edge, edge, batch.rtol, slack)


def _at_kink(batch: _Batch, size: Array) -> Bools:
    """Return which coordinates are at a kink, by bisection; ties with another input first, which need no evaluation.

    Parts of the batch that are not yet divided when the evaluations are used up count as kinks.
    """
    x, pred = batch.x, batch.points.arrays[0]
    at_kink = np.zeros(x.size, np.bool_)
    for other in batch.points.arrays[1:]:
        if other.shape == pred.shape:
            at_kink |= x == other.reshape(-1)
    # Moves of different lengths: two equal largest scores that move alike stay equal, and show no kink.
    rng = np.random.default_rng(1)
    moves = size * rng.choice([-1.0, 1.0], x.size) * rng.uniform(0.5, 1.0, x.size)
    value = batch.total(x)
    has_kink = _kink_test(lambda part, h: _second_difference(batch, value, moves, part, h), ULPS * EPS * abs(value))
    parts, evaluations = [np.flatnonzero(~at_kink)], 0
    while parts:
        part = parts.pop(0)
        if evaluations < _SEARCH:
            evaluations += 4
            if not has_kink(part):
                continue
            if part.size > 1:
                parts += np.array_split(part, 2)
                continue
        at_kink[part] = True
    return at_kink


def _second_difference(batch: _Batch, value: float, moves: Array, part: Indices, h: float) -> float:
    """Return |f(x + h·u) + f(x − h·u) − 2·f(x)| for the moves u of some coordinates."""
    step = np.zeros_like(moves)
    step[part] = h * moves[part]
    return abs((batch.total(batch.x + step) - value) + (batch.total(batch.x - step) - value))


def _kink_test(second_difference: Callable[[Indices, float], float], roundoff: float) -> Callable[[Indices], bool]:
    """Return a function that tests whether some coordinates have a kink."""

    def has_kink(part: Indices) -> bool:
        long, short = (second_difference(part, FIRST / ratio) for ratio in (1.0, _SHORTER))
        return bool(part.size and short > _SHORTER * roundoff and short * _SHORTER > 0.5 * long)

    return has_kink
