"""Losses of one's own: every function here can be named on the command line, as ``samples/my_losses.py:asym``."""

# mypy: allow-untyped-defs
# (a plain function needs no annotations to be a loss: its inputs are taken as real numbers)

from typing import Annotated

import numpy as np

from lossctl import POSITIVE, Param, Real, loss


@loss(formula="alpha·r² where r > 0, else r²;  r = pred − target")
def asym(
    pred: Real,
    target: Real,
    *,
    alpha: Annotated[float, Param("how much more an over-prediction costs", POSITIVE)] = 2.0,
):
    """Squared error that charges more for predicting too much."""
    r = pred - target
    w = np.where(r > 0, alpha, 1.0)
    return w * r**2, lambda: 2 * w * r


def cubic(pred, target):
    """|r|³: the loss alone. ``compute`` works, ``grad`` has nothing to show."""
    return np.abs(pred - target) ** 3


def wrong_grad(pred, target):
    """r² with its gradient, which is WRONG on purpose (it should be 2r): see ``lossctl gradcheck`` find out."""
    r = pred - target
    return r**2, r


def squared_objective(pred, target):
    """Not a loss: r² as XGBoost and LightGBM want an objective, (gradient, second derivative).

    For ``lossctl gradcheck mse … --grad samples/my_losses.py:squared_objective``.
    """
    return 2 * (pred - target), np.full_like(pred, 2.0)
