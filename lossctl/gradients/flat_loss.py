"""Losses that are flat at every point although a gradient of 0 is not what they show.

A staircase jumps between the points, as after round or argmax; another loss underflows. A gradient of 0 agrees with
every difference quotient of both, and is verified at neither.
"""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.points import Points, edges

STAIRCASE = (
    "nothing was verified: the loss is flat at every point and jumps between points, as after round, floor, argmax or "
    "a comparison, so that its gradient is 0 and shows nothing"
)
UNDERFLOW = "nothing was verified: the inputs are so small that the loss underflows to the same number at every point"
# Number of samples that are looked at.
_PROBED = 64
# Lengths of the moves, as a share of the magnitude of the inputs, and number of halvings between a move that changes
# the loss and one that does not: what is left is 2⁻⁵⁰ of the magnitude.
_MOVES, _HALVINGS = 2.0 ** -np.arange(1, 7), 50
# A change of more than this share of the largest change over that last distance is a jump: a loss that is flat and then
# rises, such as a hinge, changes by a share of 2⁻⁴⁴ or so.
_JUMP = 2.0**-20
# The loss is a staircase if at least this share of the samples whose loss changes at all jump.
_SHARE = 0.5


# The cube of smaller inputs underflows.
_UNDERFLOWS = 2.0**-341


@np.errstate(all="ignore")
def why_flat(points: Points) -> str:
    """Return why differences show nothing of a loss that is flat at all these points; empty if they do.

    Each sample is moved along one random direction by up to half of the magnitude of its inputs; a batch whose samples
    depend on each other is moved as a whole. Most losses that change at all do so by a jump: a staircase.
    """
    rows = np.unique(np.linspace(0, len(points) - 1, _PROBED).astype(np.intp))
    part = points if points.loss.batch_coupled else points.subset(rows)
    pred = part.pred
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, pred.shape) * part.magnitude[:, None]

    def f(share: Array) -> Array:
        value = part.value(None, np.clip(pred + share[:, None] * direction, *edges(part.loss)))
        return np.full(len(value), value.sum()) if part.loss.batch_coupled else value

    start = f(np.zeros(len(part)))
    far, change = np.zeros((2, len(part)))
    for share in (*_MOVES, *-_MOVES):
        now = np.abs(f(np.full(len(part), share)) - start)
        larger = now > change
        far[larger], change[larger] = share, now[larger]
    if not change.any():
        return UNDERFLOW if part.magnitude.max(initial=0.0) < _UNDERFLOWS else ""
    low, high, step = np.zeros(len(part)), far, change
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        now = np.abs(f(middle) - start)
        low, high = np.where(now == 0.0, middle, low), np.where(now == 0.0, high, middle)
        step = np.where(now == 0.0, step, now)
    jumps = (step > _JUMP * change) & np.isfinite(step)
    return STAIRCASE if jumps.sum() >= _SHARE * (change > 0.0).sum() else ""
