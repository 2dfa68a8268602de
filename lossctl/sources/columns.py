"""Which columns a selection means: an exact name, ``@3``, ``@1-10``, or a glob over names."""

from __future__ import annotations

import fnmatch
import re

from lossctl.errors import DataError, UsageError, nearest
from lossctl.sources.grammar import shown

_POSITION = re.compile(r"@([0-9]{1,9})(?:-([0-9]{1,9}))?")
# Enough names to recognise a file by; a line of error has no room for a thousand.
_LISTED = 12


def select(selectors: tuple[str, ...], names: tuple[str, ...] | None, count: int, where: str) -> list[int]:
    """The 0-based columns that the selectors mean, in the order given.

    Raises:
        UsageError: a selector that fits nothing, or a column chosen twice.
        DataError: a name that two columns share.
    """
    if not selectors:
        if names is not None and len(set(names)) < count:
            for name in names:
                _only(name, names, where)
        return list(range(count))
    chosen: list[int] = []
    for selector in selectors:
        for column in _one(selector, names, count, where):
            if column in chosen:
                raise UsageError(f"{where}: column {describe(column, names)} is chosen twice")
            chosen.append(column)
    return chosen


def _one(selector: str, names: tuple[str, ...] | None, count: int, where: str) -> list[int]:
    if names is not None and selector in names:
        return [_only(selector, names, where)]
    wanted = shown(selector)
    if position := _POSITION.fullmatch(selector):
        first = int(position[1])
        last = int(position[2] or first)
        if not 1 <= first <= last <= count:
            raise UsageError(f"{where}: there is no column {wanted}: it has {count}, @1 to @{count}")
        return list(range(first - 1, last))
    if names is None:
        raise UsageError(f"{where}: there is no column {wanted}: it has no header; @1 to @{count} name columns")
    if set(selector) & set("*?["):
        found = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, selector)]
        if found:
            _ascending([names[i] for i in found], wanted, where)
            return found
    raise UsageError(f"{where}: there is no column {wanted}; it has {listed(names)}{nearest(selector, names)}")


def _only(name: str, names: tuple[str, ...], where: str) -> int:
    places = [i for i, other in enumerate(names) if other == name]
    if len(places) > 1:
        positions = " and ".join(f"@{i + 1}" for i in places)
        raise DataError(f"{where}: {len(places)} columns are called {shown(name)}: choose one by position, {positions}")
    return places[0]


def _ascending(found: list[str], wanted: str, where: str) -> None:
    """Refuse logit_10 before logit_2: classes would be in another order than their numbers."""
    # Python reads no integer of over 4300 digits.
    numbers = [[int(n) for n in re.findall(r"\d{1,4000}", name)] for name in found]
    for before, after, left, right in zip(found, found[1:], numbers, numbers[1:], strict=False):
        if left and right and left > right:
            raise UsageError(
                f"{where}: {wanted} matches {shown(before)} before {shown(after)}, "
                "out of the order of their numbers: choose them by position, in the order of the classes"
            )


def listed(names: tuple[str, ...]) -> str:
    """The names of a file's columns, for an error message."""
    first = ", ".join(shown(name) for name in names[:_LISTED])
    return first + (f" … ({len(names)} columns)" if len(names) > _LISTED else "")


def describe(column: int, names: tuple[str, ...] | None) -> str:
    """A column as a person knows it: its name where it has one, else its position."""
    return shown(names[column]) if names is not None else f"@{column + 1}"
