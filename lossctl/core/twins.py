"""Losses of the same name in other libraries, and losses that differ only in the shape of their targets."""

from __future__ import annotations

from collections.abc import Sequence

# Shapes of the rows of predictions and targets: one number for each of several classes in both, or in predictions only.
_ROWS, _LABELS = "rows", "labels"

# Functions of other libraries that take both: name as typed, to the loss for each shape where it is another one.
_FUNCTIONS = {
    "log_loss": {_ROWS: "categorical_cross_entropy", _LABELS: "sparse_categorical_cross_entropy"},  # scikit-learn
    "logloss": {_ROWS: "categorical_cross_entropy", _LABELS: "sparse_categorical_cross_entropy"},
    "cross_entropy": {_ROWS: "softmax_cross_entropy"},  # torch
}
_TWINS = {
    "sparse_softmax_cross_entropy": {_ROWS: "softmax_cross_entropy"},
    "sparse_categorical_cross_entropy": {_ROWS: "categorical_cross_entropy"},
    "softmax_cross_entropy": {_LABELS: "sparse_softmax_cross_entropy"},
    "categorical_cross_entropy": {_LABELS: "sparse_categorical_cross_entropy"},
    "nll": {_ROWS: "kl_divergence_log_input"},
    "bce": {_LABELS: "sparse_categorical_cross_entropy"},
    "bce_with_logits": {_LABELS: "sparse_softmax_cross_entropy"},
    "focal_with_logits": {_LABELS: "softmax_focal"},
    "brier": {_LABELS: "multiclass_brier"},
    "hinge": {_LABELS: "crammer_singer"},
}
# Names of other libraries for several losses that are not alike: what to take.
_ELSEWHERE = {
    ("ntxent", "ntxentloss", "simclr"): (
        "infonce takes two arrays of partners, in one direction; SimCLR's and optax's is supervised_ntxent of all 2n "
        "vectors, whose target is the number of their pair"
    ),
}
_WORDS = {_ROWS: "targets of one number per class", _LABELS: "targets of one label per row"}


def meant(called: str, tails: Sequence[tuple[int, ...]]) -> str:
    """Return the loss that the library function of a name computes for rows of these shapes; '' for the loss itself.

    Args:
        called: the name as typed.
        tails: the shape of a row of predictions and of targets, and of further inputs.

    >>> meant("log_loss", [(3,), (3,)]), meant("log_loss", [(1,), ()]), meant("bce", [(3,), (3,)])
    ('categorical_cross_entropy', '', '')
    """
    return _FUNCTIONS.get(called, {}).get(_shape(tails), "")


def elsewhere(name: str) -> str:
    """Return which loss to take for a name that stands for several losses elsewhere; '' for other names."""
    bare = name.lower().replace("-", "").replace("_", "")
    return next((text for names, text in _ELSEWHERE.items() if bare in names), "")


def twin_hint(name: str, tails: Sequence[tuple[int, ...]]) -> str:
    """Return the end of an error about shapes that names the loss for these shapes; '' if there is none.

    >>> twin_hint("sparse_categorical_cross_entropy", [(3,), (3,)])
    '; targets of one number per class: categorical_cross_entropy'
    """
    shape = _shape(tails)
    twin = _TWINS.get(name, {}).get(shape)
    return f"; {_WORDS[shape]}: {twin}" if twin else ""


def _shape(tails: Sequence[tuple[int, ...]]) -> str:
    if len(tails) < 2 or len(tails[0]) != 1 or tails[0][0] < 2:
        return ""
    return _ROWS if tails[1] == tails[0] else _LABELS if tails[1] in ((), (1,)) else ""
