"""``lossctl.explain``: which definition gives a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.python_words import in_python_words
from lossctl.core.registry import get_loss
from lossctl.errors import DataError, UsageError
from lossctl.explanation.axes import as_elements, classes_last
from lossctl.explanation.number import read_number
from lossctl.explanation.per_sample import explain_samples
from lossctl.explanation.reductions import weigh
from lossctl.explanation.result import Explanation
from lossctl.explanation.search import Search
from lossctl.explanation.sequences import sequences, without_lengths
from lossctl.explanation.views import as_pair
from lossctl.frameworks import to_array


@in_python_words
def explain(
    value: str | float | npt.ArrayLike,
    pred: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    loss: str | Sequence[str] = (),
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] = (),
    groups: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    class_axis: int | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
) -> Explanation:
    """Search the definition that gives a number: loss, library, reading of the inputs, reduction, factor, precision.

    Args:
        value: the number; as text it agrees to one unit of its last digit. Or ``(n,)`` losses, one for each sample.
        pred, target: ``(n,)``, ``(n, k)`` with targets ``(n,)`` that are labels, or both ``(n, m)``.
        loss: names of losses to which the search is limited; then answers of three departures are searched, not two.
        weight: ``(n,)`` weights of samples. Default: none.
        class_weight: ``(k,)`` weights of classes. Default: none.
        groups: ``(n,)`` the group of each sample, such as a document or a query. Default: none.
        lengths: ``(n,)`` how many steps of each row of ``target`` ``(n, steps)`` count, or ``(s,)`` lengths of
            sequences that follow one another, whose sum is n. Default: none.
        class_axis: the axis of the classes in ``pred`` of more than two dimensions, such as 1 of ``(n, k, height,
            width)``; targets have the same shape, or that of labels, without the axis. Default: none.
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
    options = {"loss": loss, "weight": weight, "class_weight": class_weight, "groups": groups, "lengths": lengths}
    return explain_value(value, pred, target, class_axis=class_axis, inputs=inputs, **options)


def explain_value(
    value: str | float | npt.ArrayLike,
    pred: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    class_axis: int | None = None,
    **options: Any,
) -> Explanation:
    """:func:`explain`, with errors in the words of the command line."""
    if class_axis is not None:
        pred, target = classes_last(to_array(pred), to_array(target), class_axis)
        options["class_axis"] = -1
    search = make_search(pred, target, groups=groups, lengths=lengths, **options)
    if not isinstance(value, str):
        losses = np.asarray(to_array(value))
        if losses.ndim == 1 and losses.size > 1:
            return explain_samples(losses.astype(np.float64), search, "the losses")
    number = read_number(value if isinstance(value, str) else _written(value))
    explanation = replace(search, number=number).run()
    if explanation.found or search.weighing.places is None:
        return explanation
    steps = np.full(len(to_array(target)), to_array(target).shape[1])
    whole = replace(make_search(pred, target, lengths=steps, **options), number=number)
    return without_lengths(whole.run(), whole.most)


def make_search(
    pred: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    loss: str | Sequence[str] = (),
    weight: npt.ArrayLike | None = None,
    class_weight: Sequence[float] = (),
    groups: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    class_axis: int | None = None,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
) -> Search:
    """Return the search, of the number 0; the arguments are those of :func:`explain`."""
    names = [loss] if isinstance(loss, str) else list(loss)
    further = {name: np.asarray(to_array(x), np.float64) for name, x in (inputs or {}).items()}
    p, t, w = to_array(pred), to_array(target), None if weight is None else to_array(weight)
    codes, places, images = None if groups is None else to_array(groups), None, None
    if class_axis is not None:
        p, t = classes_last(p, t, class_axis)
    if lengths is not None:
        if groups is not None:
            raise UsageError("groups or lengths, not both: each sequence is a group")
        parts = sequences(np.asarray(to_array(lengths), np.float64).reshape(-1), t)
        codes, places = parts.groups, parts.places
        p, t, w = parts.rows(p), parts.rows(t), None if w is None else parts.rows(w)
        further = {name: parts.rows(a) for name, a in further.items()}
    elif class_axis is not None and p.ndim > 2:
        images, elements = len(p), p.shape[:-1]
        p, t = as_elements(p, elements), as_elements(t, elements)
        w, codes = (None if a is None else as_elements(a, elements) for a in (w, codes))
        further = {name: as_elements(a, elements) for name, a in further.items()}
    p, t = as_pair(p, t)
    weighing = weigh(t, _rows("weight", w, len(p)), class_weight, _codes(codes, len(p)), places)
    searched = tuple(dict.fromkeys(x for n in names for x in twins(n)))
    return Search(read_number("0"), p, t, weighing, searched, further, images)


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
