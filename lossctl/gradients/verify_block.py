"""Compare outputs of a kernel with a registered loss, one block of rows at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.engine.block import Block
from lossctl.engine.elements import Elements
from lossctl.engine.plan import LossPlan
from lossctl.gradients.finite_differences import Indices
from lossctl.gradients.points import Points
from lossctl.gradients.rounding import ULPS_OF_TERMS, Precision, precision_of, precision_seen
from lossctl.gradients.tally import CheckSummary, summarize_verdicts
from lossctl.gradients.value_rounding import value_slack
from lossctl.gradients.verdict import Verdict
from lossctl.gradients.verify_outputs import compare_outputs
from lossctl.immutable import immutable
from lossctl.io.dataset import (
    BASELINE,
    GIVEN_GRADIENT,
    GIVEN_GRADIENT_ROUNDING,
    GIVEN_VALUE,
    GIVEN_VALUE_ROUNDING,
    UPSTREAM,
)

# The largest share of an output that is hidden by its rounding and counts as visible.
_SMALL_ERROR = 1e-3
# Most values of one block that are kept to repeat an accumulation.
KEPT_VALUES = 1 << 20


@immutable
class ArrayTally:
    """Comparison of one output at some rows; ``a + b`` merges two.

    Attributes:
        summary: counts of verdicts and some samples. The inputs of a sample are those of the loss, then c and u.
        exact: number of outputs that are the reference, rounded.
        visible: number of outputs, not 0, at which an error of 0.1 % is more than rounding explains.
        worst, worst_row: the largest error in ε·terms and its row; None if every error is 0.
        squares, baseline_squares: sums of the squared errors of the output and of the baseline.
        left_out: number of outputs at samples without weight that are not 0.
        left_out_row: the first row of these; None without one.
        written: whether the output was read from text, whose last digit adds to the allowed errors.
    """

    summary: CheckSummary
    exact: int
    visible: int
    worst: float
    worst_row: int | None
    squares: float
    baseline_squares: float
    left_out: int
    left_out_row: int | None
    written: bool

    def __add__(self, other: ArrayTally) -> ArrayTally:
        first = self if self.worst >= other.worst else other
        return ArrayTally(
            self.summary + other.summary,
            self.exact + other.exact,
            self.visible + other.visible,
            first.worst,
            first.worst_row,
            self.squares + other.squares,
            self.baseline_squares + other.baseline_squares,
            self.left_out + other.left_out,
            self.left_out_row if self.left_out_row is not None else other.left_out_row,
            self.written,
        )


@immutable
class Totals:
    """Sums over rows that judge a reduced value and a wrong upstream gradient; ``a + b`` merges two.

    Attributes:
        slack, magnitude: sums of the weighted allowed errors and magnitudes of the values.
        upstream, elements: sum of the upstream gradients, and number of elements that count.
        rows: number of elements, also those left out.
        values: the weighted values, to repeat their accumulation; empty if there are more than KEPT_VALUES.
    """

    slack: float
    magnitude: float
    upstream: float
    elements: int
    rows: int
    values: tuple[Array, ...]

    def __add__(self, other: Totals) -> Totals:
        elements = self.elements + other.elements
        return Totals(
            self.slack + other.slack,
            self.magnitude + other.magnitude,
            self.upstream + other.upstream,
            elements,
            self.rows + other.rows,
            (*self.values, *other.values) if elements <= KEPT_VALUES else (),
        )


@immutable
class BlockOutcome:
    """Comparison of the outputs of one block: the arrays by role, and the sums; ``a + b`` merges two."""

    arrays: dict[str, ArrayTally]
    totals: Totals

    def __add__(self, other: BlockOutcome) -> BlockOutcome:
        arrays = {role: tally + other.arrays[role] for role, tally in self.arrays.items()}
        return BlockOutcome(arrays, self.totals + other.totals)


@immutable
class Verifier:
    """The function that the engine maps over blocks: ``verifier(block, plan)`` compares the outputs of a block.

    Attributes:
        precisions: the precision of each output, by role.
        value_precision: that of a reduced value, whose terms are summed; None without one.
        factor: derivative of the reduced loss with respect to the sum of the losses. Default 1.
        baseline_of: role of the output that the baseline is compared with. Default: the gradient.
    """

    precisions: dict[str, Precision]
    value_precision: Precision | None = None
    factor: float = 1.0
    baseline_of: str = GIVEN_GRADIENT

    def __call__(self, block: Block, plan: LossPlan) -> BlockOutcome:
        """Return the comparison of every output that the data have."""
        values, gradient = (scaled_elements(block, plan, f) for f in (None, self.factor))
        arrays = {}
        if GIVEN_VALUE in block.places:
            arrays[GIVEN_VALUE] = self._compare(block, plan, values, GIVEN_VALUE)
        if GIVEN_GRADIENT in block.places:
            arrays[GIVEN_GRADIENT] = self._compare(block, plan, gradient, GIVEN_GRADIENT)
        return BlockOutcome(arrays, self._totals(block, plan, values, float(gradient.upstream.sum())))

    def _compare(self, block: Block, plan: LossPlan, scaled: ScaledElements, role: str) -> ArrayTally:
        core, axis = (plan.loss.inputs[0].kind.core, plan.channel_axis) if role == GIVEN_GRADIENT else ((), None)
        every = block.input(role, core, axis)
        rounding: Array | None = None  # half a unit of the last digit in a text file
        of_role = GIVEN_GRADIENT_ROUNDING if role == GIVEN_GRADIENT else GIVEN_VALUE_ROUNDING
        if of_role in block.places:
            rounding = np.abs(block.input(of_role, core, axis)[scaled.index])
        gradient = role == GIVEN_GRADIENT
        comparison = compare_outputs(
            scaled.points,
            every[scaled.index],
            widened(scaled.factor, len(core)),
            self.precisions[role],
            rounding,
            gradient=gradient,
        )
        verdicts, factor = comparison.verdicts, comparison.factor
        summary = summarize_verdicts(verdicts, scaled.inputs, comparison.given, scaled.points.rows)
        judged = np.isin(verdicts.verdict, (Verdict.OK, Verdict.WRONG))
        with np.errstate(all="ignore"):
            error = np.abs(comparison.given - verdicts.numeric)
            units = np.where(judged & (error != 0), ULPS_OF_TERMS * error / comparison.slack, 0.0)
            error = error * np.abs(factor)
        units[np.isnan(units)] = np.inf
        baseline = 0.0
        if BASELINE in block.places and role == self.baseline_of:
            others = block.input(BASELINE, core, axis)[scaled.index].reshape(error.shape)
            baseline = _squares(others - verdicts.numeric * factor, judged)
        worst = float(units.max(initial=0.0))
        outside = self._left_out(block, plan, scaled, every)
        return ArrayTally(
            summary,
            int(np.count_nonzero(comparison.exact & judged)),
            int(np.count_nonzero((comparison.slack < _SMALL_ERROR * np.abs(verdicts.numeric)) & judged)),
            worst,
            int(scaled.points.rows[units.max(axis=1).argmax()]) if worst else None,
            _squares(error, judged),
            baseline,
            len(outside),
            int(outside[0]) if len(outside) else None,
            rounding is not None,
        )

    def _left_out(self, block: Block, plan: LossPlan, scaled: ScaledElements, every: Array) -> Indices:
        """Return the rows of samples without weight at which the output is not 0; one entry for each element."""
        if block.options.nan != "error" or len(scaled.index) == len(every):
            return np.empty(0, np.intp)
        out = np.ones(len(every), bool)
        out[scaled.index] = False
        bad = out & (every.reshape(len(every), -1) != 0).any(axis=1)
        return np.asarray(block.start + np.flatnonzero(bad) // plan.per_row)

    def _totals(self, block: Block, plan: LossPlan, scaled: ScaledElements, upstream: float) -> Totals:
        points = scaled.points
        elements, rows = len(points), block.count * plan.per_row
        if self.value_precision is None:
            return Totals(0.0, 0.0, upstream, elements, rows, ())
        values = plan.loss.evaluate(*points.arrays)[0]
        slack = value_slack(plan.loss, points.arrays, values, self.value_precision)
        weight = scaled.weight
        finite = np.isfinite(values) & np.isfinite(slack)
        allowed, magnitude = (float(np.where(finite, a * np.abs(weight), 0.0).sum()) for a in (slack, np.abs(values)))
        return Totals(allowed, magnitude, upstream, elements, rows, (values * weight,))


@immutable
class ScaledElements:
    """The elements of a block whose output is not 0 because of their weight or upstream gradient.

    Attributes:
        points: the loss and its inputs.
        index: (m,) their positions among all elements of the block.
        weight, upstream: (m,) the weight and the upstream gradient of each; 1 without one.
        factor: (m,) their product with the factor of the reduction.
    """

    points: Points
    index: Indices
    weight: Array
    upstream: Array
    factor: Array

    @property
    def inputs(self) -> list[Array]:
        """The inputs of the loss, and after them c, the factor without the upstream gradient, and u."""
        with np.errstate(all="ignore"):
            return [*self.points.arrays, self.factor / self.upstream, self.upstream]


def scaled_elements(block: Block, plan: LossPlan, factor: float | None) -> ScaledElements:
    """Return the elements of a block that count, with their weights and upstream gradients.

    Args:
        block: the block.
        plan: the loss and its columns.
        factor: factor of the reduction in a gradient; None for values, which the upstream gradient does not scale.
    """
    elements: Elements = block.elements(plan)
    count = len(elements)
    index = np.arange(count) if elements.rows.index is None else elements.rows.index
    weight = np.ones(count) if elements.weights is None else elements.weights
    upstream = np.ones(count)
    if UPSTREAM in block.places and factor is not None:
        every = block.input(UPSTREAM)
        if len(every) < block.count * plan.per_row:  # one number for each sample
            every = np.repeat(every, plan.per_row)
        upstream = every[index]
    moving = np.flatnonzero(upstream != 0.0)
    rows = block.start + index // plan.per_row
    points = Points(plan.loss, elements.arrays, rows)
    if len(moving) < count:
        points, index, weight, upstream = points.subset(moving), index[moving], weight[moving], upstream[moving]
    return ScaledElements(points, index, weight, upstream, weight * upstream * (1.0 if factor is None else factor))


@immutable
class Head:
    """The function that finds, in a block, the precision of each output and the first upstream gradient.

    Attributes:
        factor: derivative of the reduced loss with respect to the sum of the losses.
        first: whether the first block alone is looked at; None of a block without samples that count.
    """

    factor: float
    first: bool

    def __call__(self, block: Block, plan: LossPlan) -> tuple[dict[str, Precision], float] | None:
        if (self.first and block.start) or not len(block.elements(plan).arrays[0]):
            return None
        seen = {}
        for role in (GIVEN_VALUE, GIVEN_GRADIENT):
            if role not in block.places:
                continue
            place = block.places[role]
            scaled = scaled_elements(block, plan, self.factor if role == GIVEN_GRADIENT else None)
            values, thunk = plan.loss.evaluate(*scaled.points.arrays)
            gradient = role == GIVEN_GRADIENT and thunk is not None
            reference = thunk() if gradient and thunk is not None else values
            core, axis = (plan.loss.inputs[0].kind.core, plan.channel_axis) if gradient else ((), None)
            outputs = block.input(role, core, axis)[scaled.index]
            of_type = precision_of(block.rows[place.source][place.field])
            expected = reference * widened(scaled.factor, len(core))
            seen[role] = precision_seen(outputs, expected, scaled.points.pred, of_type)
        first = float(block.input(UPSTREAM)[0]) if UPSTREAM in block.places else 1.0
        return seen, first


def _squares(errors: Array, judged: npt.NDArray[np.bool_]) -> float:
    return float(np.square(np.where(judged & np.isfinite(errors), errors, 0.0)).sum())


def widened(factor: Array, axes: int) -> Array:
    """Return the factors (m,) with so many more axes."""
    return factor.reshape(-1, *(1,) * axes)
