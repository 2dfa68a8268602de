"""Conventions as lines of text: what other libraries compute differently, for ``info``."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.conventions.lookup import of_loss

_NAMES = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost", "trl": "TRL"}
# The types of a library are no difference of a loss.
_TYPES = ("computes in single precision", "stores targets in single precision")


def elsewhere(loss: str, texts: Sequence[str]) -> list[str]:
    """Return a line for each departure of the newest versions of libraries that the texts do not name.

    Args:
        loss: the name of a registered loss.
        texts: what is known besides, in words.

    >>> elsewhere("gaussian_nll", [])
    ['torch: clips var at 1e-06 at least']
    """
    libraries: dict[str, list[str]] = {}
    for row in of_loss(loss):
        name = _NAMES.get(row.library.name, row.library.name)
        departures = "; ".join(text for text in row.departures if text not in _TYPES)
        if departures and not row.before and not any(name.lower() in text.lower() for text in texts):
            libraries.setdefault(departures, []).append(name)
    return [f"{', '.join(dict.fromkeys(names))}: {departures}" for departures, names in libraries.items()]
