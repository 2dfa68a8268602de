"""``lossctl.explain``: which definition gives a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.registry import get_loss
from lossctl.errors import DataError, UsageError
from lossctl.explanation.number import read_number
from lossctl.explanation.reductions import weigh
from lossctl.explanation.result import Explanation
from lossctl.explanation.search import Search
from lossctl.explanation.views import as_pair
from lossctl.frameworks import to_array


def explain(
    value: str | float,
    pred: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    loss: str | Sequence[str] = (),
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] = (),
    groups: npt.ArrayLike | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
) -> Explanation:
    """Search the definition that gives a number: loss, library, reading of the inputs, reduction, factor, precision.

    Args:
        value: the number; as text it agrees to one unit of its last digit.
        pred, target: ``(n,)``, ``(n, k)`` with targets ``(n,)`` that are labels, or both ``(n, m)``.
        loss: names of losses to which the search is limited; then answers of three departures are searched, not two.
        weight: ``(n,)`` weights of samples. Default: none.
        class_weight: ``(k,)`` weights of classes. Default: none.
        groups: ``(n,)`` the group of each sample, such as a document or a query. Default: none.
        inputs: further inputs of losses, by name.

    Returns:
        the definitions that agree, fewest departures first. ``found`` says whether there is one, and that chance is no
        likely explanation.

    Raises:
        UsageError: the value is no number, or a loss is unknown.
        DataError: the shapes fit no loss, or a number is NaN.

    >>> import lossctl
    >>> found = lossctl.explain("0.6100", [0.25, 0.5, 0.75], [0.0, 0.0, 1.0]).best[0]
    >>> found.loss, found.departures
    ('bce', ('is in bits',))
    """
    names = [loss] if isinstance(loss, str) else list(loss)
    text = value if isinstance(value, str) else _written(value)
    p, t = as_pair(to_array(pred), to_array(target))
    return Search(
        read_number(text),
        p,
        t,
        weigh(t, _rows("weight", weight, len(p)), class_weight, _codes(groups, len(p))),
        tuple(dict.fromkeys(name for n in names for name in twins(n))),
        {name: np.asarray(to_array(x), np.float64) for name, x in (inputs or {}).items()},
    ).run()


def twins(name: str) -> list[str]:
    """Return the names of a loss and of the same loss of logits, of labels and of rows, which people confuse."""
    loss = get_loss(name).name
    for family in _TWINS:
        if loss in family:
            return list(family)
    return [loss]


_TWINS = (
    ("bce", "bce_with_logits"),
    ("focal", "focal_with_logits"),
    ("mse", "rmse", "half_squared_error", "brier"),
    (
        "categorical_cross_entropy",
        "sparse_categorical_cross_entropy",
        "nll",
        "softmax_cross_entropy",
        "sparse_softmax_cross_entropy",
        "bce",
        "bce_with_logits",
    ),
    ("kl_divergence", "reverse_kl", "kl_divergence_log_input", "kl_divergence_log_target", "generalized_kl"),
    ("poisson_nll", "poisson_nll_log_rate", "poisson_deviance"),
    ("huber", "smooth_l1", "pseudo_huber"),
)


def _written(value: Any) -> str:
    """Return the shortest text of a number in its own type: float32 has fewer digits."""
    array = np.asarray(to_array(value))
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise UsageError(f"value: an array of shape {array.shape} of {array.dtype}; one number is needed")
    return str(array.reshape(())[()]) if array.dtype.kind == "f" else str(int(array.reshape(())))


def _rows(name: str, values: npt.ArrayLike | None, count: int) -> Array | None:
    if values is None:
        return None
    array = np.asarray(to_array(values), np.float64).reshape(-1)
    if len(array) != count:
        raise DataError(f"{name} has {len(array)} rows, pred {count}")
    return array


def _codes(groups: npt.ArrayLike | None, count: int) -> npt.NDArray[np.intp] | None:
    if groups is None:
        return None
    codes = np.unique(np.asarray(to_array(groups)).reshape(-1), return_inverse=True)[1]
    if len(codes) != count:
        raise DataError(f"groups has {len(codes)} rows, pred {count}")
    return np.asarray(codes, np.intp)
