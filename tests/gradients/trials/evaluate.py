"""The arrays of a trial, and what it returns for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from gradients.trials import objectives
from gradients.trials.data import FAMILIES, Arrays
from gradients.trials.record import Trial

# By registered name, the same loss in NumPy.
_REGISTERED: dict[str, Callable[..., Any]] = {
    "mse": objectives.squared,
    "bce_with_logits": objectives.log_loss,
    "sparse_softmax_cross_entropy": objectives.cross_entropy,
}


class Dataset:
    """The data set that XGBoost gives to an objective, as far as the trials use it."""

    def __init__(self, label: np.ndarray) -> None:
        self._label = label

    def get_label(self) -> np.ndarray:
        return self._label


def arrays_of(trial: Trial, points: str) -> Arrays:
    """Return copies of the inputs of a trial, by role."""
    return {name: a.copy() for name, a in FAMILIES[trial.family][points].items()}


def evaluated(trial: Trial, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the loss (n,), the gradient (n, k) and the second derivative (n, k) that a trial returns."""
    pred, target, *others = (a.copy() for a in arrays.values())
    second: Any = None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if trial.loss is None:
            first = next(iter(signature(trial.function).parameters))
            pair = (target, pred) if first == "y_true" else (pred, target)
            loss, gradient = trial.function(*pair, *others)
        else:
            loss = (_REGISTERED[trial.loss] if isinstance(trial.loss, str) else trial.loss)(pred.copy(), target.copy())
            given = {
                "pred,target": (pred, target),
                "target,pred": (target, pred),
                "pred,dataset": (pred, Dataset(target)),
            }[trial.signature]
            gradient = trial.function(*given)
            if isinstance(gradient, tuple):
                gradient, second = gradient
    return _flat(loss, -1), _flat(gradient, len(pred), -1), None if second is None else _flat(second, len(pred), -1)


def _flat(a: Any, *shape: int) -> np.ndarray:
    return np.array(a, dtype=float).reshape(shape)
