"""Gradient check of one block of data, as a function for the engine to map over blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.engine.block import Block
from lossctl.engine.plan import LossPlan
from lossctl.errors import UsageError
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.judge import check
from lossctl.gradients.sampling import is_batch_coupled, sample_magnitude
from lossctl.gradients.tally import CheckSummary, summarize_verdicts
from lossctl.gradients.user_gradient import Gradient
from lossctl.gradients.verdict import CoordinateVerdicts

# Allowed difference relative to the scale of a sample: 1/100 of an error that matters, and 1000 times the
# uncertainty of the differences of a smooth loss.
RTOL = 1e-6
# Allowed error, in ulps of its terms, of a gradient given in float32 or float16.
_PRECISION_ULPS = 8.0
# In a batch whose samples depend on each other, up to _JACOBIAN coordinates are perturbed one by one; a larger
# batch is perturbed along _DIRECTIONS random directions.
_JACOBIAN, _DIRECTIONS = 512, 24
BY_COORDINATE = "every coordinate of the batch, one by one"
BY_DIRECTION = f"{_DIRECTIONS} random directions"


@dataclass(frozen=True)
class Checker:
    """The function that the engine maps over blocks: ``checker(block, job)`` checks the gradient of a block.

    Attributes:
        gradient: function that returns the gradient to check. Default None: the role ``grad`` of the data if
            there is one, otherwise the gradient of the loss.
        factor: multiplier that turns the given gradient into that of each sample's loss (n for the gradient
            of a mean). Default 1.
        weighted: whether the given gradient is that of w·loss. Default False.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        whole: whether to keep all verdicts. Default False.
    """

    gradient: Gradient | None = None
    factor: float = 1.0
    weighted: bool = False
    rtol: float = RTOL
    keep_verdicts: bool = False

    def __call__(self, block: Block, job: LossPlan) -> tuple[CheckSummary, ...]:
        """Return the tally of the gradient and, if the function returned one, that of the second derivative."""
        elements = block.elements(job)
        index = elements.rows.index
        arrays = elements.arrays
        rows = block.start + (np.arange(len(arrays[0])) if index is None else index) // job.per_row
        core = job.loss.inputs[0].kind.core
        atol: Array | float = 0.0
        second = None
        if "grad" in block.places:
            raw = block.rows[block.places["grad"].source][block.places["grad"].field]
            given = _kept(block.input("grad", core), index) * self.factor
            atol = _rounding(raw.dtype, given)
            if "grad_quantum" in block.places:  # half a unit of the last digit in a text file
                atol = atol + np.abs(_kept(block.input("grad_quantum", core), index) * self.factor)
            if self.weighted and elements.weights is not None:
                given = given / elements.weights.reshape(-1, *(1,) * len(core))
        elif self.gradient is not None:
            given, second = self.gradient(arrays)
            atol = _rounding(given.dtype, given)
            given = given * self.factor
        else:
            thunk = job.loss.evaluate(*arrays)[1]
            if thunk is None:
                raise UsageError(f"{job.loss.name} gives no gradient to check: return (loss, gradient), or give --grad")
            given = thunk()
        if job.loss.batch_coupled:
            return (self._check_batch(job.loss, arrays, given, atol, rows),)
        if block.start == 0 and is_batch_coupled(job.loss, arrays):
            raise CoupledError
        tallies = [self._check_samples(job.loss, arrays, given, atol, rows)]
        if second is not None:
            tallies.append(self._check_second(job.loss, arrays, second, rows))
        return tuple(tallies)

    def _check_samples(
        self, loss: Loss, arrays: list[Array], given: Array, atol: Array | float, rows: np.ndarray
    ) -> CheckSummary:
        """Check samples that do not depend on each other, one coordinate at a time."""
        pred = arrays[0]

        def f(chosen: np.ndarray | None, x: Array) -> Array:
            others = arrays[1:] if chosen is None else [a[chosen] for a in arrays[1:]]
            return np.asarray(loss.evaluate(x.reshape(-1, *pred.shape[1:]), *others)[0])

        x = pred.reshape(len(pred), -1)
        flat = given.reshape(x.shape)
        problem = DerivativeProblem(
            f,
            x,
            flat,
            sample_magnitude(loss, arrays),
            *_edges(loss),
            self.rtol,
            atol if isinstance(atol, float) else atol.reshape(x.shape),
        )
        return self._summarize(check(problem), arrays, flat, rows)

    def _summarize(
        self, verdicts: CoordinateVerdicts, arrays: Sequence[Array], given: Array, rows: np.ndarray, method: str = ""
    ) -> CheckSummary:
        return summarize_verdicts(verdicts, arrays, given, rows, method=method, keep_verdicts=self.keep_verdicts)

    def _check_second(self, loss: Loss, arrays: list[Array], second: Array, rows: np.ndarray) -> CheckSummary:
        """Check the Hessian diagonal of an objective against differences of its gradient, one coordinate at a time."""
        assert self.gradient is not None
        gradient, pred = self.gradient, arrays[0]
        x = pred.reshape(len(pred), -1)
        parts = []
        for j in range(x.shape[1]):

            def f(chosen: np.ndarray | None, moved: Array, j: int = j) -> Array:
                whole = np.array(x if chosen is None else x[chosen])
                whole[:, j] = moved[:, 0]
                others = arrays[1:] if chosen is None else [a[chosen] for a in arrays[1:]]
                return gradient([whole.reshape(-1, *pred.shape[1:]), *others])[0].reshape(len(whole), -1)[:, j]

            column = second.reshape(x.shape)[:, j : j + 1]
            problem = DerivativeProblem(
                f,
                x[:, j : j + 1],
                column,
                sample_magnitude(loss, arrays),
                *_edges(loss),
                self.rtol,
                _rounding(second.dtype, column),
            )
            parts.append(check(problem))
        verdict, numeric, error, clipped = (
            np.concatenate([getattr(p, name) for p in parts], axis=1)
            for name in ("verdict", "numeric", "error", "clipped")
        )
        verdicts = CoordinateVerdicts(verdict, numeric, error, np.max([p.scale for p in parts], axis=0), clipped)
        return self._summarize(verdicts, arrays, second.reshape(x.shape), rows)

    def _check_batch(
        self, loss: Loss, arrays: list[Array], given: Array, atol: Array | float, rows: np.ndarray
    ) -> CheckSummary:
        """Check a batch whose samples depend on each other; its gradient is that of the sum of the losses."""
        pred, x = arrays[0], arrays[0].reshape(-1)
        low, high = _edges(loss)
        size = sample_magnitude(loss, arrays).max()
        atol = np.broadcast_to(atol, given.shape)

        def total(moved: Array) -> float:
            return float(loss.evaluate(moved.reshape(pred.shape), *arrays[1:])[0].sum())

        if x.size <= _JACOBIAN:

            def change_coordinate(chosen: np.ndarray | None, at: Array) -> Array:
                places = np.arange(x.size) if chosen is None else chosen
                return np.array(
                    [total(np.where(np.arange(x.size) == i, v, x)) for i, v in zip(places, at, strict=True)]
                )

            sizes = np.full(x.size, size)
            verdicts = check(
                DerivativeProblem(
                    change_coordinate,
                    x[:, None],
                    given.reshape(-1, 1),
                    sizes,
                    low,
                    high,
                    self.rtol,
                    atol.reshape(-1, 1),
                )
            )
            shape = (len(pred), -1)
            # All coordinates of a sum over the batch share one scale, the largest slope.
            scale = np.full((len(pred), 1), verdicts.scale.max())
            verdict, numeric, error, clipped = (
                getattr(verdicts, name).reshape(shape) for name in ("verdict", "numeric", "error", "clipped")
            )
            whole = CoordinateVerdicts(verdict, numeric, error, scale, clipped)
            return self._summarize(whole, arrays, given.reshape(shape), rows, BY_COORDINATE)
        # If the domain has an edge nearby, each direction is scaled such that ±1 along it stays inside; a coordinate
        # on the edge is not perturbed.
        room = np.where(np.isfinite(x), np.minimum(x - low, high - x), 0.0)
        edge = np.inf if (room > size).all() else 1.0
        directions = np.random.default_rng(0).uniform(-1.0, 1.0, (_DIRECTIONS, x.size)) * np.minimum(room, 1.0)

        def along(chosen: np.ndarray | None, at: Array) -> Array:
            of = directions if chosen is None else directions[chosen]
            return np.array([total(x + step * u) for step, u in zip(at[:, 0], of, strict=True)])

        slopes = (directions @ given.reshape(-1))[:, None]
        sizes = np.full(_DIRECTIONS, size)
        atol = np.abs(directions) @ atol.reshape(-1, 1)
        verdicts = check(
            DerivativeProblem(along, np.zeros((_DIRECTIONS, 1)), slopes, sizes, -edge, edge, self.rtol, atol)
        )
        nothing = tuple(np.empty((_DIRECTIONS, 0)) for _ in arrays)
        return replace(
            self._summarize(verdicts, nothing, slopes, np.arange(_DIRECTIONS), BY_DIRECTION), samples=len(pred)
        )


class CoupledError(Exception):
    """Raised if samples depend on each other although the loss was not declared coupled."""


def _edges(loss: Loss) -> tuple[float, float]:
    """Return the least and the greatest float64 number of the domain of predictions; open bounds are excluded."""
    domain = loss.inputs[0].kind.domain
    low = np.nextafter(domain.low, np.inf) if domain.open_low and np.isfinite(domain.low) else domain.low
    high = np.nextafter(domain.high, -np.inf) if domain.open_high and np.isfinite(domain.high) else domain.high
    return float(low), float(high)


def _kept(array: Array, index: np.ndarray | None) -> Array:
    return array if index is None else array[index]


def _rounding(dtype: np.dtype[Any], given: Array) -> Array | float:
    """Return the rounding error that the precision of a gradient explains, 8 ulps of its terms; 0 for float64.

    The magnitude of the terms (for example of p and t in p − t) is not known. It is estimated as the larger of
    the largest gradient in the row and the RMS of the block.
    """
    if dtype.kind != "f" or dtype.itemsize >= 8:
        return 0.0
    flat = np.abs(given.reshape(len(given), -1).astype(np.float64))
    common = np.sqrt(np.mean(np.square(flat[np.isfinite(flat)]))) if flat.size else 0.0
    row = np.where(np.isfinite(flat), flat, 0.0).max(axis=1, keepdims=True)
    size = np.broadcast_to(np.maximum(row, common), flat.shape)
    return np.asarray(_PRECISION_ULPS * float(np.finfo(dtype).eps) * size).reshape(given.shape)
