"""What libraries of gradient boosting pass to an objective: the data sets of XGBoost and LightGBM, CatBoost's calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.user_kernel import CATBOOST_METHODS
from lossctl.errors import DataError

_RANGE, _MULTI = CATBOOST_METHODS


class Labelled:
    """The methods of a data set that an objective of XGBoost or LightGBM calls.

    Args:
        target: (n, ...) the targets.
        weight: (n,) the sample weights; without weights an empty array (XGBoost) or None (LightGBM).
    """

    def __init__(self, target: Array, weight: Array | None) -> None:
        self.label = target
        self.weight = weight

    def get_label(self) -> Array:
        """Return the targets."""
        return self.label

    def get_weight(self) -> Array | None:
        """Return the sample weights."""
        return self.weight

    def get_group(self) -> None:
        """Return None: the samples have no groups."""

    def get_init_score(self) -> None:
        """Return None: predictions start at 0."""

    def get_base_margin(self) -> Array:
        """Return an empty array, as XGBoost does without a base margin."""
        return np.empty(0)

    def get_field(self, field_name: str) -> Array | None:
        """Return a field of LightGBM's data set: ``label``, ``weight``; None for ``group`` and all others."""
        return {"label": self.label, "weight": self.weight}.get(field_name)

    def get_float_info(self, field: str) -> Array:
        """Return a field of XGBoost's data set: ``label``, ``weight``; an empty array for all others."""
        value = self.get_field(field)
        return np.empty(0) if value is None else value

    def num_row(self) -> int:
        """Return the number of samples, as XGBoost's data set does."""
        return len(self.label)

    def num_data(self) -> int:
        """Return the number of samples, as LightGBM's data set does."""
        return len(self.label)


def call_catboost(objective: Any, pred: Array, target: Array, weight: Array | None) -> tuple[Any, Any]:
    """Call an objective of CatBoost, which returns the derivatives of −loss.

    Args:
        objective: an object with ``calc_ders_range(approxes, targets, weights)`` for one prediction per sample, or
            ``calc_ders_multi(approx, target, weight)`` for several.
        pred: (n,) or (n, k) the predictions.
        target: (n, ...) the targets.
        weight: (n,) the sample weights, or None.

    Returns:
        The gradient of the loss and the diagonal of its second derivatives, in the shape of `pred`.

    Raises:
        DataError: the method does not fit the predictions, or does not return pairs.
    """
    name = _RANGE if pred.ndim == 1 else _MULTI
    if not hasattr(objective, name):
        shape = "one prediction" if pred.ndim == 1 else "several predictions"
        raise DataError(f"has no method {name}, which CatBoost calls for {shape} per sample")
    if name == _RANGE:
        pairs = _numbers(objective.calc_ders_range(pred, target, weight))
        if pairs.shape != (len(pred), 2):
            raise DataError(f"{name} returned shape {pairs.shape}: return {len(pred):,} pairs (der1, der2)")
        return -pairs[:, 0], -pairs[:, 1]
    first, second = np.empty(pred.shape), np.empty(pred.shape)
    k = pred.shape[1]
    for i in range(len(pred)):
        result = objective.calc_ders_multi(pred[i], target[i], 1.0 if weight is None else weight[i])
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise DataError(f"{name}: return (der1, der2)")
        der1, der2 = (_numbers(part) for part in result)
        if der1.shape != (k,) or der2.shape not in ((k,), (k, k)):
            raise DataError(
                f"{name} returned shapes {der1.shape} and {der2.shape}: return der1 of shape ({k},) and der2 of "
                f"shape ({k}, {k})"
            )
        first[i], second[i] = -der1, -(np.diagonal(der2) if der2.ndim == 2 else der2)
    return first, second


def _numbers(value: Any) -> Array:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array(np.nan)
