"""Check the gradient of wide rows along random directions, and find the wrong coordinates by bisection.

One coordinate at a time, a row of k coordinates costs k times the evaluations of a row of one, and k² arithmetic.
Beyond 128 coordinates each sample is moved along 8 random vectors v of ±1, times the magnitude of the sample. The slope
of the loss along v must be g·v.

What is seen: an error d of one coordinate changes g·v by ±d in every direction. The slope is a sum of k terms of both
signs, of a magnitude up to √k·max|g|; it is therefore judged with rtol/√k, so that the same d is visible as one
coordinate at a time. Two equal errors cancel in half of the directions, so in all 8 in 1 of 256 samples.

What is lost: a kink of one coordinate is not told from others, and a small loss of digits hides in the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.finite_differences import EPS, Bools, DerivativeProblem, Indices
from lossctl.gradients.judge import check
from lossctl.gradients.noisy_derivative import NoisyDerivative, measure
from lossctl.gradients.points import Points, edges
from lossctl.gradients.remeasure import check_measured, is_noisy
from lossctl.gradients.tally import CheckedSamples, CheckSummary, summarize_verdicts
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

# Up to 128 coordinates are checked one by one: 8 directions cost less from some tens on, but single coordinates show
# more.
_WIDE, _DIRECTIONS = 128, 8
# The same text for each block: a report shows the first.
BY_DIRECTION_IN_ROWS = (
    f"{_DIRECTIONS} random directions in each sample, and coordinates of some wrong samples one by one"
)
BY_ONE_DIRECTION = "1 random direction in each sample, and coordinates of some wrong samples one by one"
# If so many samples are wrong along one direction, the others show no more.
_MOSTLY_WRONG = 0.5
# Number of wrong samples of the first block (one of each other block) in which coordinates are looked for, and of
# coordinates with the largest gradients that are checked one by one in each of them, besides the one that bisection
# finds.
_SEARCHED, _LARGEST = 4, 8
# A block of 1,000 coordinates has some 100 samples, and each measurement evaluates one of them 80 times: with the 64
# samples and 500 wrong slopes of narrow rows, a softmax that is wrong everywhere takes 4 times as long.
_PROBED, _PROBED_AGAIN, _APPEALS = 16, 8, 64
# Number of directions along which kinks of one sample are tested together: all up, and three of random signs.
_JOINT = 4


def is_wide(points: Points) -> bool:
    """Return whether the samples have so many coordinates that they are checked along directions."""
    return int(points.pred.shape[1]) > _WIDE


def check_directions(points: Points, given: Array, atol: Array, rtol: float, eps: float) -> CheckSummary:
    """Check samples of many coordinates along random directions.

    Args:
        points: the loss and the samples.
        given: the gradient under test, in the shape of the predictions.
        atol: its allowed absolute difference, in the same shape.
        rtol: its allowed difference relative to the scale of a sample.
        eps: its precision.

    Returns:
        The summary. Its counts are of directions; its failing samples have verdicts on the coordinates that were looked
        at, the others are undefined.
    """
    n, k = points.pred.shape
    given, atol = given.reshape(n, k), np.broadcast_to(atol, given.shape).reshape(n, k)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_DIRECTIONS, k))
    line = _Line(points, given, atol, rtol / np.sqrt(k), eps)
    verdicts, method = line.check(list(signs[:1]), probed=_PROBED), BY_ONE_DIRECTION
    if (verdicts.verdict == Verdict.WRONG).mean() < _MOSTLY_WRONG:
        others = line.check(list(signs[1:]), probed=_PROBED_AGAIN)
        verdicts, method = _side_by_side(verdicts, others), BY_DIRECTION_IN_ROWS
    slopes = np.stack([line.slope(v, None) for v in signs[: verdicts.verdict.shape[1]]], axis=1)
    summary = summarize_verdicts(
        verdicts, [np.empty((n, 0)) for _ in points.arrays], slopes, points.rows, method=method
    )
    wrong = np.flatnonzero((verdicts.verdict == Verdict.WRONG).any(axis=1))
    if not wrong.size:
        return replace(summary, passing=summary.passing[:0])
    rows = wrong[: _SEARCHED if points.rows[0] == 0 else 1]
    found_in = (verdicts.verdict[rows] == Verdict.WRONG).argmax(axis=1)
    failing = _search(line, rows, signs[found_in])
    return replace(summary, failing=failing, passing=failing[:0])


def _side_by_side(first: CoordinateVerdicts, others: CoordinateVerdicts) -> CoordinateVerdicts:
    """Return the verdicts on the same samples along more directions."""
    parts = zip(vars(first).values(), vars(others).values(), strict=True)
    verdicts = CoordinateVerdicts(*(np.concatenate(pair, axis=1) for pair in parts))
    return replace(verdicts, scale=verdicts.scale.max(axis=1, keepdims=True))


class _Line:
    """Moves samples along a direction and checks the slope.

    Attributes:
        points, given, atol, rtol, eps: as in :func:`check_directions`, with rtol for a direction.
        size: (samples, coordinates) the length of a direction in each coordinate: the magnitude of the sample, or half
            of the distance to an edge of the domain if that is shorter.
    """

    def __init__(self, points: Points, given: Array, atol: Array, rtol: float, eps: float) -> None:
        self.points, self.given, self.atol, self.rtol, self.eps = points, given, atol, rtol, eps
        low, high = edges(points.loss)
        self.size = np.broadcast_to(points.magnitude[:, None], given.shape)
        self.bound = np.inf
        if np.isfinite(low) or np.isfinite(high):
            pred = points.pred
            self.size = np.minimum(self.size, np.maximum(np.minimum(pred - low, high - pred), 0.0) / 2.0)
            self.bound = 1.0

    def slope(self, direction: Array, rows: Indices | None) -> Array:
        """Return g·v of the samples `rows` (None: all) along a direction, (coordinates,) or (rows, coordinates)."""
        given, size = (self.given, self.size) if rows is None else (self.given[rows], self.size[rows])
        with np.errstate(all="ignore"):
            return np.asarray((given * size * direction).sum(axis=1))

    def problem(self, directions: Sequence[Array], rows: Indices | None = None) -> DerivativeProblem:
        """Return the problem of checking the slopes along some directions, (samples, directions) steps from 0."""
        n = len(self.given) if rows is None else len(rows)
        part = self.points if rows is None else self.points.subset(rows)
        pred = part.pred
        size, atol = (self.size, self.atol) if rows is None else (self.size[rows], self.atol[rows])
        moves = [size * v for v in directions]

        def f(chosen: Indices | None, steps: Array) -> Array:
            moved = np.array(pred if chosen is None else pred[chosen])
            for m, move in enumerate(moves):
                if steps[:, m].any():  # one direction at a time is moved
                    moved += steps[:, m, None] * (move if chosen is None else move[chosen])
            return part.value(chosen, moved)

        slopes = np.stack([self.slope(v, rows) for v in directions], axis=1)
        # Rounding errors of the coordinates have random signs.
        slack = np.stack([4.0 * np.sqrt(((atol * size * v) ** 2).sum(axis=1)) for v in directions], axis=1)
        start, unit = np.zeros((n, len(directions))), np.ones(n)
        return DerivativeProblem(f, start, slopes, unit, -self.bound, self.bound, self.rtol, slack, self.eps)

    def check(self, directions: Sequence[Array], *, probed: int) -> CoordinateVerdicts:
        """Return the verdicts (samples, directions) on slopes; `probed` samples show whether the loss has noise."""
        problem = self.problem(directions)
        if self.points.loss.is_builtin:
            return check(problem)
        return check_measured(problem, is_noisy(problem, probed), appeals=_APPEALS, alike=True)

    def measure(self, direction: Array, rows: Indices) -> tuple[NoisyDerivative, Array, Array]:
        """Measure slopes along one direction; return them, the slopes g·v, and the allowed difference."""
        problem = self.problem([direction], rows)
        m = measure(problem, 0, np.arange(len(rows)), problem.f(None, problem.x))
        allowed = problem.rtol * np.abs(m.derivative) + np.asarray(problem.atol)[:, 0]
        return m, problem.given[:, 0], allowed


def reject_joint_subgradients(
    points: Points, given: Array, atol: Array | float, rtol: float, verdicts: CoordinateVerdicts
) -> int:
    """Turn kinks into wrong coordinates where they are no subgradient together, in place; return in how many samples.

    Each coordinate of a sample may be a subgradient by itself and the row be none: of max(z) with two equal largest z,
    1 for both. Along every direction v over these coordinates, g·v has to lie between the one-sided slopes of the loss.
    """
    kinks = verdicts.verdict == Verdict.KINK
    rows = np.flatnonzero(kinks.sum(axis=1) > 1)
    if not rows.size:
        return 0
    n, k = points.pred.shape
    line = _Line(points, given.reshape(n, k), np.broadcast_to(atol, given.shape).reshape(n, k), rtol, EPS)
    rng = np.random.default_rng(0)
    bad = np.zeros(len(rows), bool)
    for trial in range(_JOINT):
        signs = np.ones(k) if trial == 0 else rng.choice([-1.0, 1.0], k)
        m, slope, allowed = line.measure(np.where(kinks[rows], signs, 0.0), rows)
        bad |= _wrong(m, slope, allowed) & np.isfinite(m.error)
    part = verdicts.verdict[rows]
    part[bad[:, None] & kinks[rows]] = Verdict.WRONG
    verdicts.verdict[rows] = part
    return int(bad.sum())


def _search(line: _Line, rows: Indices, directions: Array) -> CheckedSamples:
    """Return verdicts on single coordinates of some samples that are wrong along a direction each.

    Bisection halves the set of coordinates, and goes on with the half along which the slope is wrong.
    """
    k = line.given.shape[1]
    low, high = np.zeros(len(rows), int), np.full(len(rows), k)
    columns = np.arange(k)
    while (high - low > 1).any():
        middle = (low + high) // 2
        half = np.where((columns >= low[:, None]) & (columns < middle[:, None]), directions, 0.0)
        wrong = _wrong(*line.measure(half, rows))
        split = high - low > 1
        high = np.where(split & wrong, middle, high)
        low = np.where(split & ~wrong, middle, low)
    verdict = np.full((len(rows), k), Verdict.UNDEFINED, np.int8)
    numeric, error = np.full((len(rows), k), np.nan), np.full((len(rows), k), np.inf)
    largest = np.argsort(-np.abs(np.nan_to_num(line.given[rows])), axis=1, kind="stable")[:, :_LARGEST]
    chosen = np.concatenate([low[:, None], largest], axis=1)
    at, column = np.repeat(np.arange(len(rows)), chosen.shape[1]), chosen.ravel()
    m, given, allowed = line.measure((columns == column[:, None]).astype(float), rows[at])
    right = np.abs(given - m.derivative) <= m.error + allowed
    judged = np.where(right, Verdict.OK, Verdict.UNRESOLVED)
    verdict[at, column] = np.where(_wrong(m, given, allowed), Verdict.WRONG, judged)
    length = line.size[rows[at], column]
    with np.errstate(all="ignore"):
        numeric[at, column], error[at, column] = m.derivative / length, m.error / length
    scale = np.fmax(np.abs(np.nan_to_num(numeric)), np.abs(np.nan_to_num(line.given[rows]))).max(axis=1, keepdims=True)
    arrays = tuple(a[rows] for a in line.points.arrays)
    clipped = np.zeros((len(rows), k), bool)
    return CheckedSamples(line.points.rows[rows], arrays, line.given[rows], numeric, error, scale, verdict, clipped)


def _wrong(m: NoisyDerivative, given: Array, allowed: Array) -> Bools:
    """Return where a slope is outside three times the error of the measured one, or of the two sides of a kink."""
    return np.asarray(np.abs(given - m.derivative) > 3.0 * m.error + m.half_jump + allowed)
