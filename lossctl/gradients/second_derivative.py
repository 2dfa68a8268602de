"""The second derivative of an objective: its exact value, and the surrogates that practice uses in its place."""

from __future__ import annotations

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.registry import is_registered
from lossctl.gradients.finite_differences import DerivativeProblem, Indices
from lossctl.gradients.points import Points, edges
from lossctl.gradients.user_gradient import Gradient


def second_problem(
    points: Points, j: int, second: Array, *, atol: Array, rtol: float, gradient: Gradient | None
) -> DerivativeProblem:
    """Return the problem of checking the second derivative in coordinate j by differences of a gradient.

    The gradient of the loss is the reference, so that one factor in both derivatives of an objective shows. Only a
    user's loss without a gradient is replaced by the objective's own gradient.

    Args:
        points: the loss and the samples.
        j: the coordinate.
        second: (samples, 1) the second derivative in coordinate j.
        atol: (samples, 1) its allowed absolute difference.
        rtol: its allowed difference relative to the scale of a sample.
        gradient: the gradient function of the objective.
    """
    x = points.pred
    shape = points.arrays[0].shape[1:]
    own_gradient = is_registered(points.loss) or points.loss.evaluate(*points.arrays)[1] is not None

    def f(chosen: Indices | None, moved: Array) -> Array:
        whole = np.array(x if chosen is None else x[chosen])
        whole[:, j] = moved[:, 0]
        others = [a if chosen is None else a[chosen] for a in points.arrays[1:]]
        arrays = [whole.reshape(-1, *shape), *others]
        if own_gradient:
            thunk = points.loss.evaluate(*arrays)[1]
            assert thunk is not None
            return np.array(thunk().reshape(len(whole), -1)[:, j])
        assert gradient is not None
        return gradient(arrays, None)[0].reshape(len(whole), -1)[:, j].astype(np.float64)

    return DerivativeProblem(f, x[:, j : j + 1], second, points.magnitude, *edges(points.loss), rtol, atol)
