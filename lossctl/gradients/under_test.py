"""The gradient that is checked: from the data, from a function, or that of the loss itself."""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.kind import has_channels
from lossctl.core.user_kernel import tensor_hint
from lossctl.engine.block import Block
from lossctl.engine.elements import Elements
from lossctl.errors import UsageError
from lossctl.gradients.points import Points
from lossctl.gradients.rounding import ULPS_OF_TERMS, Precision, estimated_terms, precision_of
from lossctl.gradients.user_gradient import Gradient
from lossctl.gradients.user_loss import gradient_precision
from lossctl.immutable import immutable
from lossctl.io.dataset import GIVEN_GRADIENT, GIVEN_GRADIENT_ROUNDING


@immutable
class GradientUnderTest:
    """The gradient of the loss of each sample; every array but `second` has the shape of the predictions.

    Attributes:
        given: the gradient, computed·factor.
        computed: the numbers as they were given or computed.
        factor: n for the gradient of a mean, divided by the weights of the samples.
        atol: the difference that rounding explains.
        precision: that of `computed`. None if the gradient is that of a registered loss itself: differences judge it
            by its own digits.
        second: the second derivative; None if there is none.
    """

    given: Array
    computed: Array
    factor: Array
    atol: Array
    precision: Precision | None
    second: Array | None = None


def gradient_under_test(
    block: Block, points: Points, elements: Elements, gradient: Gradient | None, *, factor: float, weighted: bool
) -> GradientUnderTest:
    """Return the gradient to check at the samples of a block.

    Args:
        block, elements: the block and its samples.
        points: the same samples.
        gradient: the function that computes it. None: the gradient in the data, or that of the loss.
        factor: multiplier that turns a gradient of the data or of `gradient` into that of each sample's loss.
        weighted: whether the gradient in the data is that of w·loss.

    Raises:
        UsageError: there is no gradient.
    """
    loss = points.loss
    core = loss.inputs[0].kind.core
    each = (-1, *(1,) * len(core))
    second, quantum, factors = None, np.zeros(1), np.full(len(points), factor).reshape(each)
    if GIVEN_GRADIENT in block.places:
        place, index = block.places[GIVEN_GRADIENT], elements.rows.index
        precision = precision_of(block.rows[place.source][place.field])
        axis = block.options.class_axis if has_channels(core, block.options.class_axis) else None
        computed = _selected(block.input(GIVEN_GRADIENT, core, axis), index)
        if GIVEN_GRADIENT_ROUNDING in block.places:  # half a unit of the last digit in a text file
            quantum = _selected(block.input(GIVEN_GRADIENT_ROUNDING, core, axis), index)
        if weighted and elements.weights is not None:
            factors = factors / elements.weights.reshape(each)
    elif gradient is not None:
        computed, second = gradient(elements.arrays, elements.weights)
        precision = precision_of(computed)
    else:
        thunk = loss.evaluate(*elements.arrays)[1]
        if thunk is None:
            hint = tensor_hint(loss.kernel)
            raise UsageError(f"{loss.name} gives no gradient to check: return (loss, gradient), or give --grad{hint}")
        given = thunk()
        if loss.is_builtin:
            return GradientUnderTest(given, given, np.ones(given.shape), np.zeros(given.shape), None)
        computed, factors = given, np.ones(len(points)).reshape(each)
        precision = gradient_precision(loss, elements.arrays, given)
    given = computed * factors
    atol = (ULPS_OF_TERMS * precision.tiny + np.abs(quantum)) * np.abs(factors)
    if not loss.is_builtin:  # the terms of a registered loss are known
        terms = estimated_terms(given.reshape(len(given), -1), points.magnitude).reshape(each)
        atol = atol + ULPS_OF_TERMS * precision.eps * terms
    factors, atol = (np.broadcast_to(a, given.shape) for a in (factors, atol))
    return GradientUnderTest(given, computed, factors, atol, precision, second)


def _selected(values: Array, index: np.ndarray | None) -> Array:
    return values if index is None else values[index]
