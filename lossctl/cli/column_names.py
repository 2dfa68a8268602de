"""What names of columns say: predictions, targets, keys, and columns that bear names of classes or of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Names of predictions and of targets. Letter case, spaces, hyphens and underscores do not count.
PREDICTIONS = {
    *("pred", "preds", "prediction", "predictions", "predicted", "predictedvalue", "ypred", "ypreds", "yhat"),
    *("forecast", "yprob", "yproba", "prob", "probs", "proba", "probability"),
    *("yscore", "score", "scores", "logit", "logits"),
}
TARGETS = {
    *("target", "targets", "ytrue", "ytest", "label", "labels", "y", "truth", "groundtruth", "gt"),
    *("actual", "actuals", "observed", "observation"),
}
_KEYS = {
    *("id", "ids", "index", "idx", "key", "uid", "uuid", "guid", "qid"),
    *("row", "rowid", "rowindex", "rownumber", "sampleid", "sampleindex"),
}
_KEY_ENDINGS = re.compile(r"(?:[ _.-](?:id|uuid|guid|key)|[a-z0-9](?:Id|ID))$")
_SEPARATORS = re.compile(r"[\s_.-]+")


def plain(name: str) -> str:
    """Return a name without letter case and separators: ``Y Pred`` and ``y_pred`` are the same."""
    return _SEPARATORS.sub("", name.casefold())


def is_key(name: str) -> bool:
    """Return whether a name says that the column identifies rows.

    >>> [name for name in ("Id", "user_id", "PassengerId", "valid", "price_index") if is_key(name)]
    ['Id', 'user_id', 'PassengerId']
    """
    return plain(name) in _KEYS or _KEY_ENDINGS.search(name if name != name.upper() else name.lower()) is not None


def bearing(columns: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Return for each name the index of the column that bears it, between a common prefix and a common suffix.

    Args:
        columns: names of columns, such as ``prob_cat`` and ``prob_dog``.
        names: as many names, such as ``dog`` and ``cat``.

    Returns:
        the indices; None if the names are not those of the columns.

    >>> bearing(["prob_cat", "prob_dog"], ["dog", "cat"])
    [1, 0]
    """
    indices = _columns_bearing(columns, names)
    return indices if len(columns) == len(names) and None not in indices else None  # type: ignore[return-value]


def bearing_some(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that columns bear, if they bear some of them and not all; else [].

    A single column may contain a name by chance, and names that are numbers may count otherwise: both are ignored.
    """
    if all(name.isdigit() for name in names):
        return []
    names_borne = [
        name for name, column in zip(names, _columns_bearing(columns, names), strict=True) if column is not None
    ]
    return (
        names_borne
        if 1 < len(names_borne) < len(names) or (names_borne and len(names_borne) < len(columns) == len(names))
        else []
    )


def corresponding(columns: Sequence[str], others: Sequence[str]) -> list[int] | None:
    """Return for each column the index of the other column of the same name, up to a common prefix and suffix.

    >>> corresponding(["y1_pred", "y2_pred"], ["y2_true", "y1_true"])
    [1, 0]
    """
    if len(columns) != len(others):
        return None
    direct = bearing(others, columns)
    if direct is not None:
        return direct
    reverse = bearing(columns, others)
    if reverse is not None:
        return [reverse.index(i) for i in range(len(columns))]
    return bearing(_cores(others), _cores(columns))


def _columns_bearing(columns: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """Return for each name the index of the column that bears it, for the prefix and suffix that fit most names."""
    places = {column.casefold(): i for i, column in enumerate(columns)}
    folded = [name.casefold() for name in names]
    best: list[int | None] = [None] * len(names)
    if len(places) < len(columns) or len(set(folded)) < len(names):
        return best
    tried: set[tuple[str, str]] = set()
    for name in folded[:_TRIED]:
        for column in places:
            if not name or name not in column:
                continue
            before, _, after = column.partition(name)
            if (before, after) in tried or not _is_word(before, name, after):
                continue
            tried.add((before, after))
            indices = [places.get(before + other + after) for other in folded]
            if sum(place is not None for place in indices) > sum(place is not None for place in best):
                best = indices
    return best


# Names whose columns are searched: if the first names are in no column, the later ones matter little.
_TRIED = 8


def _is_word(before: str, name: str, after: str) -> bool:
    """Return whether a name is a word between a prefix and a suffix: ``cat`` is none in ``scatter``."""
    return not (name[0].isalpha() and before[-1:].isalpha()) and not (name[-1].isalpha() and after[:1].isalpha())


def _cores(names: Sequence[str]) -> list[str]:
    """Return the names without their common prefix and suffix, cut at separators."""
    parts = [re.split(r"([\s_.-]+)", name) for name in names]
    shortest = min(map(len, parts))
    start = next((i for i in range(shortest) if len({part[i] for part in parts}) > 1), 0)
    stop = next((i for i in range(1, shortest - start + 1) if len({part[-i] for part in parts}) > 1), 1) - 1
    return ["".join(part[start : len(part) - stop]) for part in parts]
