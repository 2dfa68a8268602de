"""Which columns are predictions and which are targets, where no option says it.

Columns are taken by their names or not at all: a key is no number to average, and columns of two files belong together
if their names say so. Each choice that a user might not expect is a note.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from lossctl.cli.column_names import PREDICTIONS, TARGETS, bearing, bearing_some, corresponding, is_key, plain
from lossctl.core.loss import Loss
from lossctl.errors import UsageError, number, printable
from lossctl.immutable import immutable
from lossctl.io import column_selection
from lossctl.io.source import OpenedFile
from lossctl.io.text_grammar import NUMBER, quote_cell

# Rows that are read to see whether a column is a key, and columns (from the left) that are looked at.
_ROWS, _COLUMNS = 1000, 64
_NAMES = {"pred": PREDICTIONS, "target": TARGETS}
_OPTIONS = {"pred": "-p", "target": "-t"}
# Names that spell out what to type; more are a range of positions or the first names.
_SPELLED = 4


@immutable
class Choice:
    """The columns of the predictions and of the targets (empty: all), and what to tell about them."""

    pred: tuple[str, ...]
    target: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Side:
    """A file taken for predictions or targets.

    Args:
        role: ``pred`` or ``target``.
        opened: the file.
        selectors: the columns that the user chose; empty for all.
        used: columns with another use, such as weights and keys, which are no predictions and no targets.
        number: whether the losses take one number per row in this role.
    """

    def __init__(
        self, role: str, opened: OpenedFile, selectors: Sequence[str], used: Sequence[str], *, number: bool
    ) -> None:
        self.role, self.opened, self.number, self.selectors = role, opened, number, tuple(selectors)
        self.whole = not selectors
        names = opened.names
        self.columns: Sequence[int] = range(opened.width if names is None else len(names))
        if taken := {*used} & ({*names} if names is not None else {f"@{i + 1}" for i in self.columns}):
            self.columns = [i for i in self.columns if self.name(i) not in taken]
        self.reduced = bool(taken)

    def name(self, column: int) -> str:
        """Return the name of a column, or its position, as an option takes it."""
        return f"@{column + 1}" if self.opened.names is None else self.opened.names[column]

    @property
    def names(self) -> list[str]:
        """The names of the columns that can be taken."""
        return [self.name(i) for i in self.columns]

    @property
    def several(self) -> bool:
        """Whether the file is a table that is taken whole, and has more than one column to take."""
        return self.whole and len(self.columns) > 1 and not hasattr(self.opened, "member")

    def called(self) -> tuple[str, ...]:
        """Return the only column that is called as its role; () if there is none, or several."""
        named = [self.name(i) for i in self.columns if plain(self.name(i)) in _NAMES[self.role]]
        return (named[0],) if len(named) == 1 else ()

    def chosen(self, columns: Sequence[int] | None = None) -> tuple[str, ...]:
        """Return the selectors of the given columns; by default of all columns that can be taken."""
        if columns is None and not (self.whole and self.reduced):
            return self.selectors
        return tuple(self.name(i) for i in (self.columns if columns is None else columns))

    def option(self, columns: Sequence[int]) -> str:
        """Return what to type to choose the columns, such as ``-p a,b``; '' without columns."""
        if not columns:
            return ""
        if len(columns) > _SPELLED and [*columns] == list(range(columns[0], columns[-1] + 1)):
            return f"{_OPTIONS[self.role]} @{columns[0] + 1}-{columns[-1] + 1}"
        text = ",".join(self.name(i) for i in columns[:_SPELLED]) + ",…" * (len(columns) > _SPELLED)
        return f"{_OPTIONS[self.role]} {printable(shlex.quote(text))}"


def choose_in_one(opened: OpenedFile, pred: Sequence[str], target: Sequence[str], used: Sequence[str]) -> Choice | None:
    """Return the columns of one file that are called pred and target, as far as no option chooses them.

    Returns:
        the columns; None if a name is missing, or several columns have such a name.
    """
    if opened.names is None:
        return None
    sides = [
        Side("pred", opened, pred, [*used, *target], number=True),
        Side("target", opened, target, [*used, *pred], number=True),
    ]
    return _by_role(*sides)


def _by_role(pred: Side, target: Side) -> Choice | None:
    """Return the columns that are called pred and target, where no option chooses them; None if a name is missing."""
    chosen = [side.selectors or side.called() for side in (pred, target)]
    by_name = [(side, columns) for side, columns in zip((pred, target), chosen, strict=True) if side.whole]
    if not all(chosen) or not by_name:
        return None
    return Choice(chosen[0], chosen[1], (_taken(by_name),))


def _taken(choices: Sequence[tuple[Side, tuple[str, ...]]]) -> str:
    text = ", ".join(f"{side.role} is column {quote_cell(columns[0])}" for side, columns in choices)
    options = " ".join(f"{_OPTIONS[side.role]} {printable(shlex.quote(columns[0]))}" for side, columns in choices)
    files = ", ".join(dict.fromkeys(side.opened.display_name for side, _ in choices))
    return f"{files}: {text}, by name; to choose them: {options}"


def choose_in_two(pred: Side, target: Side, labels: Sequence[str], losses: Sequence[Loss]) -> Choice:
    """Return the columns of two files.

    Raises:
        UsageError: a file taken whole has a key, or the names of the columns do not match.
    """
    if choice := _one_of_several(pred, target):
        return choice
    if pred.opened is not target.opened:
        _refuse_key(pred, target)
    notes: list[str] = []
    columns = _in_order_of(pred, target, notes) if _same_shape(losses) else None
    ordered = _in_order_of_labels(pred, labels, notes) if labels and not pred.number else None
    return Choice(ordered or pred.chosen(), columns or target.chosen(), tuple(notes))


def _one_of_several(pred: Side, target: Side) -> Choice | None:
    """Return a column of each file where each has one, or one that is called pred or target; else None."""
    by_name = []
    for side in (pred, target):
        if side.whole and len(side.columns) > 1:
            if side.opened.names is None or not side.number or not side.called():
                return None
            by_name.append((side, side.called()))
    if not by_name:
        return None
    chosen = {side.role: columns for side, columns in by_name}
    return Choice(chosen.get("pred", pred.chosen()), chosen.get("target", target.chosen()), (_taken(by_name),))


def _refuse_key(pred: Side, target: Side) -> None:
    """Check that no column of a file taken whole is plainly a key.

    Raises:
        UsageError: a column is named like a key, counts the rows, differs in each row or is the same in both files.
    """
    for side, other in ((pred, target), (target, pred)):
        if not side.several:
            continue
        for column, reason in _keys(side, other):
            name = side.name(column)
            shared = name in other.names and side.name(column) not in other.selectors
            kept = [i for i in side.columns if i != column]
            options = {side.role: side.option(kept)}
            if other.several:
                options[other.role] = other.option([i for i in other.columns if other.name(i) != name])
            said = " ".join(options[role] for role in ("pred", "target") if options.get(role))
            on = f"--on {printable(shlex.quote(name))}, which compares it row by row, or " if shared else ""
            raise UsageError(
                f"{side.opened.display_name}: column {quote_cell(name)} {reason}, and no {_OPTIONS[side.role]} says "
                f"that it is a {'prediction' if side.role == 'pred' else 'target'}: say {on}{said}"
            )


def _keys(side: Side, other: Side) -> Iterator[tuple[int, str]]:
    """Yield the columns that are plainly keys, and how it shows."""
    names = side.opened.names
    if names is None:
        if not (side.opened.is_text and other.opened.is_text and other.opened.names is None and other.several):
            return
    elif names[side.columns[0]] in ("", "Unnamed: 0"):
        return  # an index of pandas: column_selection reports it
    else:
        yield from ((i, "is named like a key") for i in side.columns if is_key(names[i]))
    looked = side.columns[:_COLUMNS] if names is not None else side.columns[:1]
    cells = dict(zip(looked, side.opened.head(looked, _ROWS), strict=False))
    shared = [i for i in looked if side.name(i) in other.names]
    others = [other.columns[other.names.index(side.name(i))] for i in shared]
    theirs = dict(zip(shared, other.opened.head(others, _ROWS), strict=False)) if other.several else {}
    equal = {i for i, values in theirs.items() if values == cells.get(i)}
    for i, values in cells.items():
        same = i in equal and len(equal) < len(side.columns)
        if names is None and not same:
            continue
        if _counts(values) and (i not in theirs or _same_values(values, theirs[i])):
            yield i, "counts the rows"
        elif len(values) > 2 and len({*values}) == len(values) and all(map(_is_word, values)):
            yield i, "is another text in each row"
        elif names is not None and same and len(values) > 2 and len({*values}) > 1 and not {*values} <= {0.0, 1.0}:
            yield i, "is the same in both files"


def _counts(values: Sequence[float | str]) -> bool:
    return len(values) > 2 and values[0] in (0.0, 1.0) and list(values) == [values[0] + i for i in range(len(values))]


def _same_values(values: Sequence[float | str], theirs: Sequence[float | str]) -> bool:
    """Return whether the first values of two files are the same in any order, or may be if the files are longer."""
    if len(values) < _ROWS and len(theirs) < _ROWS:
        return sorted(map(str, values)) == sorted(map(str, theirs))
    whole = all(isinstance(value, float) and value.is_integer() for value in theirs)
    return whole and len({*theirs}) == len(theirs)


def _is_word(value: float | str) -> bool:
    return isinstance(value, str) and any(char.isalpha() for char in value)


def _same_shape(losses: Sequence[Loss]) -> bool:
    """Return whether a loss takes predictions and targets of the same shape."""
    return any(
        loss.inputs[0].kind.core == loss.inputs[loss.roles.index("target")].kind.core
        for loss in losses
        if "target" in loss.roles
    )


def _in_order_of(pred: Side, target: Side, notes: list[str]) -> tuple[str, ...] | None:
    """Return the targets in the order of the predictions of the same names; None if the files need no matching.

    Raises:
        UsageError: both files name their columns, and the names do not match.
    """
    if not (pred.several and target.several) or len(pred.columns) != len(target.columns):
        return None
    if pred.opened.names is None or target.opened.names is None:
        return None
    if any(len({*side.names}) < len(side.names) for side in (pred, target)):
        return None  # a name twice: column_selection reports it
    if any(all(NUMBER.fullmatch(name) for name in side.names) for side in (pred, target)):
        return None  # numbers as names: pandas writes them where there were none
    order = corresponding(pred.names, target.names)
    if order is None:
        raise UsageError(
            f"{pred.opened.display_name} has {column_selection.listed(tuple(pred.names))}, "
            f"{target.opened.display_name} has {column_selection.listed(tuple(target.names))}: the names do not match; "
            f"if they belong together in this order, say {pred.option(pred.columns)} {target.option(target.columns)}"
        )
    if order == sorted(order):
        return None
    columns = [target.columns[i] for i in order]
    listed = column_selection.listed(tuple(target.name(i) for i in columns))
    notes.append(
        f"{target.opened.display_name}: columns are matched with those of {pred.opened.display_name} by name: {listed}"
    )
    return target.chosen(columns)


def _in_order_of_labels(pred: Side, labels: Sequence[str], notes: list[str]) -> tuple[str, ...] | None:
    """Return the columns of the classes in the order of the labels; None if the columns do not bear these names.

    Raises:
        UsageError: the columns bear some of the labels, but not all.
    """
    names = pred.opened.names
    if names is None or hasattr(pred.opened, "member"):
        return None
    columns = pred.columns
    if not pred.whole:
        columns = column_selection.select(pred.selectors, names, pred.opened.width, pred.opened.display_name)
    called = [names[i] for i in columns]
    order = bearing(called, labels)
    if order is None:
        if borne := bearing_some(called, labels):
            lacking = next(label for label in labels if label not in borne)
            raise UsageError(
                f"{pred.opened.display_name}: its columns {column_selection.listed(tuple(called))} bear names of "
                f"--labels {printable(','.join(labels))}, but none is {quote_cell(lacking)}"
            )
        return None
    if order == sorted(order):
        return None
    ordered = [columns[i] for i in order]
    listed = column_selection.listed(tuple(names[i] for i in ordered))
    notes.append(f"{pred.opened.display_name}: columns are in the order of --labels, by name: {listed}")
    return tuple(names[i] for i in ordered)


def shared_keys(pred: OpenedFile, target: OpenedFile, taken: Sequence[str]) -> list[str]:
    """Return the columns of both files whose names say that they are keys, without those with another use."""
    both = set(target.names or ())
    return [name for name in pred.names or () if name in both and name not in taken and is_key(name)]


# Rows that are compared to see whether a column that names samples differs.
_HEAD = 1000


def order_note(pred: OpenedFile, target: OpenedFile, taken: Sequence[str]) -> str | None:
    """Return a note on a column of both files that may name the samples and differs; None if there is none.

    That is a first column without a name, which pandas writes for the index, or a column of text. It may as well differ
    rightly, as the index of predictions and that of a split, so it is no error.
    """
    if pred.names is None or target.names is None:
        return None
    for name in pred.names:
        if name in taken or pred.names.count(name) > 1 or target.names.count(name) != 1:
            continue
        places = [pred.names.index(name), target.names.index(name)]
        if name == "" and places != [0, 0]:
            continue
        if name and not all(file.holds_text((name,)) for file in (pred, target)):
            continue
        cells = [file.head([place], _HEAD)[0] for file, place in zip((pred, target), places, strict=True)]
        row = next((i for i, (a, b) in enumerate(zip(*cells, strict=False)) if a != b), None)
        if row is not None:
            here, there = (_shown(column[row]) for column in cells)
            column = f"column {quote_cell(name)}" if name else "the first column, without a name,"
            differs = (
                f"{column} of {pred.display_name} and {target.display_name} differs in row {row}, {here} and {there}"
            )
            return f"{differs}: if it names the samples, --join {printable(name) or '@1'} matches them"
    return None


def _shown(cell: float | str) -> str:
    return number(cell) if isinstance(cell, float) else quote_cell(cell)
