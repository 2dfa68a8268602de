"""Selection of columns by exact name, by position (``@3``, ``@1-10``), or by a glob over names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence

from lossctl.errors import DataError, UsageError, nearest, printable
from lossctl.io.source import Field
from lossctl.io.text_grammar import SHOWN, quote_cell

_POSITION = re.compile(r"@([0-9]{1,9})(?:-([0-9]{1,9}))?")
# Maximum names in an error message: enough to recognise the file, where a line has no room for a thousand.
_LISTED = 12
# Maximum positions in an error message.
_POSITIONS = 10
# Maximum names that a message spells out; more are given as a range of positions.
_SPELLED = 3
_DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'", ",": ",", " ": "space"}  # quoted for a shell


def select(selectors: tuple[str, ...], names: tuple[str, ...] | None, count: int, display_name: str) -> list[int]:
    """Return the 0-based indices of the selected columns, in the order of the selectors.

    Args:
        selectors: names, positions from 1 (``@3``, ``@1-10``) or globs, one or several with commas; if empty, all
            columns are selected.
        names: names of the columns; None if they have none.
        count: number of columns.
        display_name: name of the file in messages.

    Raises:
        UsageError: a selector matches no column, or a column is selected twice.
        DataError: two columns share a name that is needed.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names or ()):
        places.setdefault(name, []).append(place)
    if not selectors:
        for name in places:
            _only(name, places, display_name)
        return list(range(count))
    chosen: dict[int, None] = {}  # an ordered set: membership stays fast with 100,000 columns
    for selector in (part for text in selectors for part in _parts(text, places)):
        for column in _one(selector, names, places, count, display_name):
            if column in chosen:
                raise UsageError(f"{display_name}: column {describe(column, names)} is chosen twice")
            chosen[column] = None
    return list(chosen)


def all_except(keys: Collection[int], chosen: list[int], display_name: str) -> list[int]:
    """Return the selected columns without the key columns.

    Raises:
        UsageError: no column remains.
    """
    if value_columns := [column for column in chosen if column not in keys]:
        return value_columns
    raise UsageError(f"{display_name}: nothing but the columns of --on: there are no values in it")


def resolve_columns(
    field: Field, keys: Collection[int], names: tuple[str, ...] | None, count: int, display_name: str
) -> list[int]:
    """Return the 0-based indices of the columns of a field; without selectors, all columns except the keys.

    Raises:
        UsageError: a selector matches no column, no column remains, or the first column is an index written by pandas.
        DataError: two columns share a name that is needed.
    """
    chosen = select(field.columns, names, count, display_name)
    if field.columns:
        return chosen
    chosen = all_except(keys, chosen, display_name)
    if cause := unnamed_index(names, chosen, field.role):
        raise UsageError(f"{display_name}: {cause}")
    return chosen


def _parts(text: str, places: Mapping[str, list[int]]) -> list[str]:
    """Split ``a,b`` at its commas, unless a column has this name."""
    return [text] if text in places else text.split(",")


def _one(
    selector: str, names: tuple[str, ...] | None, places: Mapping[str, list[int]], count: int, display_name: str
) -> list[int]:
    if selector in places:
        return [_only(selector, places, display_name)]
    shown_selector = quote_cell(selector)
    if position := _POSITION.fullmatch(selector):
        first = int(position[1])
        last = int(position[2] or first)
        if not 1 <= first <= last <= count:
            hint = other_delimiter(names or ())
            raise UsageError(
                f"{display_name}: there is no column {shown_selector}: it has {count}, @1 to @{count}{hint}"
            )
        return list(range(first - 1, last))
    if names is None:
        raise UsageError(
            f"{display_name}: there is no column {shown_selector}: it has no header; @1 to @{count} name columns"
        )
    if set(selector) & set("*?["):
        matches = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, selector)]
        if matches:
            _ascending([names[i] for i in matches], shown_selector, display_name)
            return matches
    named = [name for name in names if name]  # R writes a header one name short: the first column has none
    hint = (other_delimiter(named, ";\t|, ") if len(named) == 1 else "") or nearest(selector, names)
    raise UsageError(f"{display_name}: there is no column {shown_selector}; it has {listed(names)}{hint}")


def _only(name: str, places: Mapping[str, list[int]], display_name: str) -> int:
    columns = places[name]
    if len(columns) > 1:
        positions = " and ".join(f"@{i + 1}" for i in columns[:_POSITIONS]) + " …" * (len(columns) > _POSITIONS)
        raise DataError(
            f"{display_name}: {len(columns)} columns are called {quote_cell(name)}: choose one by position, {positions}"
        )
    return columns[0]


def _ascending(matched_names: list[str], selector: str, display_name: str) -> None:
    """Check that the numbers in matched names ascend.

    If a glob matches logit_10 before logit_2, the order of the classes differs from the order of their numbers.

    Raises:
        UsageError: the numbers of two adjacent names descend.
    """
    # At most 4000 digits, because int() rejects more than 4300.
    numbers = [[int(n) for n in re.findall(r"\d{1,4000}", name)] for name in matched_names]
    for before, after, left, right in zip(matched_names, matched_names[1:], numbers, numbers[1:], strict=False):
        if left and right and left > right:
            raise UsageError(
                f"{display_name}: {selector} matches {quote_cell(before)} before {quote_cell(after)}, "
                "out of the order of their numbers: choose them by position, in the order of the classes"
            )


def other_delimiter(texts: Sequence[str], among: str = ";\t|,") -> str:
    """Return a hint on --delimiter for the end of an error if a text contains a common delimiter, else ''."""
    delimiter = next((_DELIMITERS[char] for char in among if any(char in text for text in texts)), None)
    return f"; another delimiter? say --delimiter {delimiter}" if delimiter else ""


def unnamed_index(names: tuple[str, ...] | None, chosen: list[int], role: str) -> str | None:
    """Return an error text if the first selected column is an index written by pandas, else None."""
    if names is None or len(chosen) < 2 or names[chosen[0]] not in ("", "Unnamed: 0"):
        return None
    later_names = [names[c] for c in chosen[1:]]
    if role not in ("pred", "target"):
        hint = "leave it out of the file (pandas: index=False)"
    elif len(later_names) <= _SPELLED and all(name and name.isprintable() for name in later_names):
        import shlex

        hint = "say " + " ".join(f"--{role} {shlex.quote(name)}" for name in later_names)
    else:
        hint = f"say --{role} @{chosen[1] + 1}-{chosen[-1] + 1}"
    return f"its first column, {quote_cell(names[chosen[0]])}, is an index as pandas writes it, no {role}: {hint}"


def listed(names: tuple[str, ...]) -> str:
    """Return the first column names of a file, for an error message."""
    first = ", ".join(quote_cell(name) for name in names[:_LISTED])
    return first + (f" … ({len(names)} columns)" if len(names) > _LISTED else "")


def describe(column: int, names: tuple[str, ...] | None) -> str:
    """Return the name of a column if it has one, else its position from 1 (``@3``); both if the name is shortened."""
    position = f"@{column + 1}"
    if names is None:
        return position
    shortened = len(printable(names[column])) > SHOWN
    return quote_cell(names[column]) + f" ({position})" * shortened
