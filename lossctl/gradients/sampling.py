"""Points at which a gradient is checked where no data are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.ordinary_points import draw_ordinary


def sample_magnitude(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return S, (samples,): the largest finite magnitude of the inputs and parameters of each sample, at least 1."""
    size = np.maximum(data_magnitude(arrays), 1.0)
    for value in loss.params.values():
        if isinstance(value, float) and np.isfinite(value):
            size = np.maximum(size, abs(value))
    return size


def data_magnitude(arrays: Sequence[Array]) -> Array:
    """Return the largest finite magnitude of the inputs of each sample, (samples,)."""
    size = np.zeros(len(arrays[0]))
    for array in arrays:
        flat = np.abs(array.reshape(len(size), -1))
        size = np.maximum(size, np.where(np.isfinite(flat), flat, 0.0).max(axis=1, initial=0.0))
    return size


# Relative change of a loss above which samples are coupled though only many at once show it: a function that takes
# another formula for the whole batch, as for large numbers, changes the last digits.
_COUPLED = 1e-12


def is_batch_coupled(loss: Loss, arrays: Sequence[Array], samples: int = 64) -> bool:
    """Return whether changes of predictions change the loss of other samples, tested on `samples` samples.

    First one prediction changes, then every second: that of a sample with an ignored label changes nothing.
    """
    head = [a[:samples] for a in arrays]
    if len(head[0]) < 2:
        return False
    moved = head[0].copy()
    others = np.flatnonzero((moved != moved[0]).reshape(len(moved), -1).any(axis=1))
    if others.size:
        moved[0] = moved[others[0]]
    else:  # all predictions are equal, as in the first round of boosting
        step = 2.0**-10 * np.maximum(np.abs(moved[0]), 1.0)
        moved[0] += np.where(moved[0] + step <= loss.inputs[0].kind.domain.high, step, -step)
    values = loss.evaluate(*head)[0]
    if not np.array_equal(values[1:], loss.evaluate(moved, *head[1:])[0][1:], equal_nan=True):
        return True
    every_second = head[0][1::2]
    moved = head[0].copy()
    moved[0 : 2 * len(every_second) : 2] = every_second
    before, after = values[1::2], loss.evaluate(moved, *head[1:])[0][1::2]
    with np.errstate(all="ignore"):
        same = np.isclose(after, before, rtol=_COUPLED, atol=0.0, equal_nan=True)
    return not same.all()


def sample_points(loss: Loss, samples: int, seed: int, classes: int = 5, *, ordinary: bool = False) -> list[Array]:
    """Return random inputs from the domain of the loss, with many points close to its edges and kinks.

    Args:
        loss: the loss.
        samples: number of points.
        seed: seed of the generator.
        classes: length of every named axis, such as that of the classes. Default 5.
        ordinary: draw numbers of the sizes that data have (see :mod:`lossctl.gradients.ordinary_points`) instead of
            numbers over twelve decades. Default False.

    Returns:
        One array (samples, ...) for each input of the loss.
    """
    rng = np.random.default_rng(seed)
    dims = {"classes": classes} | {name: classes for i in loss.inputs for name in i.kind.core}
    marks = [0.0, *(abs(v) for v in loss.params.values() if isinstance(v, float) and v)]
    if ordinary:
        arrays = draw_ordinary([i.kind for i in loss.inputs], samples, dims, marks, rng)
    else:
        arrays = [i.kind.sample(rng, samples, dims) for i in loss.inputs]
        _crowd_marks(loss, arrays, marks, rng)
    refused = loss.domain.invalid_mask(arrays)
    if refused.any() and not refused.all():  # constraints across inputs: replace invalid samples by valid ones
        valid = np.flatnonzero(~refused)
        chosen = np.where(refused, valid[np.arange(samples) % len(valid)], np.arange(samples))
        arrays = [a[chosen] for a in arrays]
    return arrays


def _crowd_marks(loss: Loss, arrays: list[Array], marks: list[float], rng: np.random.Generator) -> None:
    """Move predictions to where the formula of a loss often changes: |pred| or |pred − target| equals a parameter."""
    pred, samples = arrays[0], len(arrays[0])
    if pred.ndim != 1 or loss.inputs[0].kind.name != "Real":
        return
    at = rng.choice(marks, samples) * rng.choice([-1.0, 1.0], samples)
    beside = 10.0 ** rng.uniform(-9, 1, samples) * rng.choice([-1.0, 0.0, 1.0], samples)
    where = rng.random(samples)
    if len(arrays) > 1 and loss.inputs[1].kind.name == "Real":
        near_kink = arrays[1] + np.where(where < 0.5, at + beside, at)
        # Steps whose roundoff is small enough (4e-6 of |f|/S) are longer than 2e-10·|target|. Such a step
        # covers both sides of a mark, a distance to the target at which the formula changes, unless the
        # distance is many steps long; delta = 1e-6 at target 1e3 is not. Nor can such a step resolve r = 0 if
        # the loss curves within one step of it.
        finest = min(marks[1:], default=np.inf)
        fits = np.spacing(np.abs(arrays[1])) <= 2e-9 * np.where(at == 0, finest, np.abs(at))
        arrays[0] = np.where(fits & (where < 0.55), near_kink, pred)
    else:
        arrays[0] = np.where(where < 0.5, at + beside, np.where(where < 0.52, at, pred))
