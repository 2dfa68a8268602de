"""The second derivative of an objective: its exact value, and the surrogates that practice uses in its place."""

from __future__ import annotations

from collections.abc import Iterator

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


# Share of the coordinates that a surrogate has to fit, and its allowed relative difference there.
_SHARE, _CLOSE = 0.99, 1e-5
# XGBoost multiplies the second derivative of the Poisson loss by e^max_delta_step, by default e^0.7.
_POISSON_STEP = 0.7


@np.errstate(all="ignore")
def named_surrogate(points: Points, second: Array, exact: Array) -> str | None:
    """Return the name of the surrogate that practice uses for the second derivative, if it is one.

    A surrogate is positive and bounded where the second derivative is 0, tiny or negative, so that a Newton step
    g/h stays short.

    Args:
        points: the loss and the samples.
        second: (samples, coordinates) what the objective returned.
        exact: (samples, coordinates) the second derivative of the loss; NaN where it is not known.
    """
    if not np.isfinite(second).all() or (second < 0).any():
        return None
    if second.size > 1 and np.ptp(second) == 0 and _is_constant(exact):
        return None  # a constant other than the right one is a forgotten factor
    for name, values in _surrogates(points, exact):
        if _fits(second, values):
            return name
        floor = second.min()
        at_floor = second == floor
        if floor > 0 and at_floor.sum() > 1 and _fits(second, np.maximum(values, floor)):
            return f"{name}, at least {floor:.3g}"
    floor = second.min()
    if floor > 0 and _fits(second, np.maximum(exact, floor)):
        return f"the second derivative, at least {floor:.3g}"
    return None


def _is_constant(exact: Array) -> bool:
    known = exact[np.isfinite(exact)]
    return bool(known.any() and np.ptp(known) <= _CLOSE * np.abs(known).max())


def _fits(second: Array, values: Array) -> bool:
    known = np.isfinite(values)
    close = np.abs(second - values) <= _CLOSE * np.abs(second)
    return bool(known.any() and np.count_nonzero(close & known) >= _SHARE * np.count_nonzero(known))


def _surrogates(points: Points, exact: Array) -> Iterator[tuple[str, Array]]:
    pred = points.pred
    k = pred.shape[1]
    yield "ones", np.ones_like(pred)
    if k > 1:
        p = np.exp(pred - pred.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        yield "2p(1 − p), as in XGBoost's softprob", 2.0 * p * (1.0 - p)
        yield "k/(k − 1)·p(1 − p), as in LightGBM's multiclass", k / (k - 1.0) * p * (1.0 - p)
        yield "p(1 − p)", p * (1.0 - p)
    else:
        p = 1.0 / (1.0 + np.exp(-pred))
        yield "p(1 − p)", p * (1.0 - p)
        yield "(p(1 − p))², the Gauss-Newton approximation", np.square(p * (1.0 - p))
        yield "e^0.7 times the second derivative, as in XGBoost's count:poisson", np.exp(_POISSON_STEP) * exact
    if len(points.arrays) > 1 and points.arrays[1].size == pred.size:
        yield "|residual|", np.abs(pred - points.arrays[1].reshape(pred.shape))
