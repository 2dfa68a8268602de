"""Points of the sizes that people work with, at which a function of a user is checked.

Formulas from textbooks overflow at a logit of 1000 and lose all digits at a residual of 1e-6; that is known, and
not what a check of the gradient is asked. The points are:

==================  =====================================================================================
input               points
==================  =====================================================================================
real numbers        |target| from 0.01 to 100; predictions |r| = 0.01 to 30 away from it, one in 30 equal to it
                    (a tie), one in ten next to a distance where the formula changes (a parameter, or 0),
                    one in 50 equal to 0
without a target    as logits: from −10 to 10
positive numbers    from 0.01 to 100; where 0 is allowed, one in 50 is 0
probabilities       the sigmoid of −8 to 8; as targets 0 and 1, one in five from 0 to 1; four points each are
                    p = t = 0 and p = t = 1
counts              from 0 to 100
rows of scores      normal, with a standard deviation from 0.1 to 4, one row in 50 with equal scores
rows of             the softmax of such rows, one in 50 certain; as targets one-hot rows, one in five soft
probabilities
others              as the kind draws them
==================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossctl.core.array_kinds import ArrayKind, ProbabilityArrayKind
from lossctl.core.arrays import Array, Dims
from lossctl.core.input_kinds import (
    AboveKind,
    CountKind,
    LogitsKind,
    LogProbabilitiesKind,
    ProbabilitiesKind,
    ProbabilityKind,
)
from lossctl.core.kind import Kind

# Of so many points one is a zero or a certain row; of so many one is a tie.
_RARE, _TIES = 50, 30
# Number of points at each corner, p = t = 0 and p = t = 1: fewer than the 1 % that may be unresolved.
_CORNERS = 4


def draw_ordinary(
    kinds: Sequence[Kind], n: int, dims: Dims, marks: Sequence[float], rng: np.random.Generator
) -> list[Array]:
    """Draw n samples of each input.

    Args:
        kinds: the kinds of the inputs, predictions first.
        n: the number of samples.
        dims: the length of each named axis.
        marks: distances at which the formula of the loss may change.
        rng: the generator.

    Returns:
        One array (n, ...) for each input.
    """
    arrays = [_draw(kind, n, dims, rng, target=i > 0) for i, kind in enumerate(kinds)]
    if _is_real(kinds[0]) and arrays[0].ndim == 1:
        arrays[0] = _predictions(kinds, arrays, marks, rng)
    if len(kinds) > 1 and type(kinds[0]) is type(kinds[1]) is ProbabilityKind and n > 100 * _CORNERS:
        for corner in (0.0, 1.0):
            at = slice(int(corner) * _CORNERS, (int(corner) + 1) * _CORNERS)
            arrays[0][at] = arrays[1][at] = corner
    return arrays


def _is_real(kind: Kind) -> bool:
    return kind.name == "Real"


def _predictions(
    kinds: Sequence[Kind], arrays: Sequence[Array], marks: Sequence[float], rng: np.random.Generator
) -> Array:
    n = len(arrays[0])
    sign = rng.choice([-1.0, 1.0], n)
    share = rng.random(n)
    next_to_mark = rng.choice(marks, n) * sign + 10.0 ** rng.uniform(-3, 0, n) * rng.choice([-1.0, 1.0], n)
    if len(kinds) > 1 and _is_real(kinds[1]):
        residual = sign * 10.0 ** rng.uniform(-2, 1.5, n)
        residual = np.where(share < 0.1, next_to_mark, np.where(share > 1.0 - 1.0 / _TIES, 0.0, residual))
        pred = arrays[1] + residual
    else:
        pred = np.where(share < 0.1, next_to_mark, rng.uniform(-10.0, 10.0, n))
    return np.where(rng.random(n) < 1.0 / _RARE, 0.0, pred)


def _draw(kind: Kind, n: int, dims: Dims, rng: np.random.Generator, *, target: bool) -> Array:
    sizes = 10.0 ** rng.uniform(-2, 2, n)
    # A kind that only changes what a message says, or its domain, is drawn as the kind whose samples it has.
    drawn = next(ancestor for ancestor in type(kind).__mro__ if "sample" in vars(ancestor))
    if drawn is LogProbabilitiesKind:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(_rows(n, dims, rng, target=target)))
    if drawn is ProbabilitiesKind:
        return _rows(n, dims, rng, target=target)
    if drawn is ProbabilityKind:
        p = 1.0 / (1.0 + np.exp(-rng.uniform(-8.0, 8.0, n)))
        return np.where(rng.random(n) < 0.8, np.round(p), p) if target else p
    if drawn is ProbabilityArrayKind:
        p = 1.0 / (1.0 + np.exp(-rng.uniform(-8.0, 8.0, (n, *(dims[name] for name in kind.core)))))
        return np.where(rng.random(p.shape) < 0.8, np.round(p), p) if target else p
    if drawn in (LogitsKind, ArrayKind):
        return _scores(tuple(dims[name] for name in kind.core), n, rng)
    if drawn is CountKind:
        return np.floor(10.0 ** rng.uniform(-0.5, 2, n))
    if drawn is AboveKind:
        return np.where(rng.random(n) < 1.0 / _RARE, 0.0, sizes) if kind.domain.low == 0 else sizes
    if drawn is Kind and not kind.core:
        return sizes if kind.domain.low >= 0 else sizes * rng.choice([-1.0, 1.0], n)
    return kind.sample(rng, n, dims)


def _scores(shape: tuple[int, ...], n: int, rng: np.random.Generator) -> Array:
    each = (n, *(1,) * len(shape))
    z = rng.normal(size=(n, *shape)) * 10.0 ** rng.uniform(-1, 0.6, each)
    return np.where(rng.random(each) < 1.0 / _RARE, 0.5, z)


def _rows(n: int, dims: Dims, rng: np.random.Generator, *, target: bool) -> Array:
    z = _scores((dims["classes"],), n, rng)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    certain = np.eye(dims["classes"])[rng.integers(0, dims["classes"], n)]
    return np.where(rng.random((n, 1)) < (0.8 if target else 1.0 / _RARE), certain, p)
