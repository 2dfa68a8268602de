"""The files of a command: opened on first use, and the fields to read from each."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from lossctl.cli.options import InputOptions
from lossctl.engine.where import WHERE, Where
from lossctl.errors import UsageError, nearest, printable, quoted
from lossctl.immutable import immutable
from lossctl.io import column_selection
from lossctl.io.column_selection import listed
from lossctl.io.dataset import GIVEN_GRADIENT, GIVEN_VALUE, Dataset, FieldRef, key_role
from lossctl.io.formats import open_source, suffix_of, tells_format
from lossctl.io.source import TEXT_OPTIONS, Field, OpenedFile, Options
from lossctl.io.text_grammar import NUMBER


@immutable
class Model:
    """The predictions of one model of a comparison: a file, its columns (empty: all), and its name if one was given."""

    path: str
    columns: tuple[str, ...] = ()
    name: str = ""


@dataclass
class DataFile:
    """An opened file and the fields to read from it."""

    opened: OpenedFile
    fields: list[Field] = field(default_factory=list)


class DataFiles:
    """The files of a command, opened when they are first asked for, and the fields to read from each.

    Args:
        data: the options that name columns and describe the files.
        models: the models; the first is that of PREDS.
        targets: the path of the targets.
        names: columns and files that options name for further inputs and for cells to show.
        labels: class names.
    """

    def __init__(
        self, data: InputOptions, models: Sequence[Model], targets: str, names: Sequence[str], labels: tuple[str, ...]
    ) -> None:
        self.targets = targets
        self._data, self._models, self._labels = data, models, labels
        self.shared: list[str] = []  # columns that files share, which are compared row by row
        self._keys = [*data.on, *([join_of(data)[0]] if data.join is not None else [])]
        self._files: dict[str, DataFile] = {}
        self._main = dict.fromkeys([*(model.path for model in models), targets])
        self._paths = [*self._main, *(name for name in names if is_file(name))]
        self._columns = [name for name in names if not is_file(name)]

    def open(self, path: str) -> DataFile:
        """Return the file of a path; open it if it is not open yet."""
        if path not in self._files:
            labels = self._labels if path == self.targets else ()
            self._files[path] = DataFile(open_source(path, self._options(path), labels))
        return self._files[path]

    def _options(self, path: str) -> Options:
        """Return the options for reading one of the paths.

        --input-format applies to stdin and to paths without a known suffix; if there are none, to all paths. A column
        given as a number is not passed as a header name, because the number may be a position.
        """
        data = self._data
        without_format = [p for p in self._paths if not tells_format(p)]
        named = {*self._columns, *self._keys} if path in self._main else set()
        named.update(*(model.columns for model in self._models if model.path == path))
        named.update(data.target if path == self.targets else ())
        return Options(
            delimiter=data.delimiter,
            header=True if path in data.header_of else data.header,
            encoding=data.encoding,
            decimal=data.decimal,
            thousands=data.thousands,
            na_values=tuple(data.na_values),
            input_format=data.input_format if path in without_format or not without_format else None,
            named=frozenset(
                name
                for text in named
                for name in (text, *text.split(","))
                if name and not name.startswith("@") and not NUMBER.fullmatch(name)
            ),
        )

    def has_column(self, name: str) -> bool:
        """Return whether an open file has a column of this name."""
        return any(name in (file.opened.names or ()) for file in self._files.values())

    def add_input(self, role: str, name: str) -> None:
        """Add a further input, a file or a column; a column, except weights, is read for each model from its files."""
        if is_file(name):
            holder, chosen = self.open(name), Field(role)
        else:
            holder, chosen = _holder(role, name, self._files_of(self._models[0])), Field(role, (name,))
        holder.fields.append(chosen)
        if chosen.columns and role != "weight":
            for i, model in enumerate(self._models[1:], 2):
                if (other := _holder(role, name, self._files_of(model))) is not holder:
                    other.fields.append(Field(f"{role} {i}", (name,)))
        if role in (GIVEN_GRADIENT, GIVEN_VALUE) and holder.opened.is_text:
            # The number of digits written gives the rounding error.
            holder.fields.append(Field(f"{role} rounding", chosen.columns, digits=True))

    def _files_of(self, model: Model) -> dict[str, DataFile]:
        """Return the files that can hold the further columns of a model."""
        if len(self._models) == 1:
            return self._files
        return {path: self._files[path] for path in (model.path, self.targets)}

    def add_cells(self, name: str) -> None:
        """Add a column, or a file of one column, to read unparsed."""
        holder = self.open(name) if is_file(name) else _holder("", name, self._files, [*self._keys, *self.shared])
        columns = () if is_file(name) else (name,)
        holder.fields.append(Field(column_role(name), columns, text=holder.opened.holds_text(columns)))

    def add_keys(self, shared: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Add the columns of --on, or those that files share; return the pairs of roles whose cells must be equal.

        Args:
            shared: pairs of a path of predictions and the name of a column, which its file shares with the targets.
        """
        targets = self.open(self.targets)
        preds = [path for path in self._main if path != self.targets]
        for column in self._data.on:
            if self._data.on.count(column) > 1:
                raise UsageError(f"--on {printable(column)} is given twice")
        keys: list[tuple[str, str]] = []
        for path, column in [(path, column) for column in self._data.on for path in preds] or shared:
            pred, i = self.open(path), preds.index(path) + 1
            text = all(file.opened.holds_text((column,)) for file in (pred, targets))
            of_targets = key_role(column, "TARGETS" if i == 1 else f"TARGETS for PREDS {i}")
            targets.fields.append(Field(of_targets, (column,), key=True, text=text))
            of_preds = key_role(column, "PREDS" if i == 1 else f"PREDS {i}")
            pred.fields.append(Field(of_preds, (column,), key=True, text=text))
            keys.append((of_preds, of_targets))
        return tuple(keys)

    def add_where(self, where: Where) -> str | None:
        """Add the column of --where; return the role instead, if no file has such a column and it is called as a role.

        Raises:
            UsageError: no file has the column.
        """
        if not self.has_column(where.column) and where.column in ("pred", "target", "weight"):
            return where.column
        holder = _holder("--where", where.column, self._files, self._keys)
        text = where.text and holder.opened.holds_text((where.column,))
        holder.fields.append(Field(WHERE, (where.column,), text=text))
        return None

    def add_join(self, column: str) -> None:
        """Add the key of --join as the last field of every file.

        Raises:
            UsageError: there is a single file, or a file lacks the column.
        """
        files = [file.opened for file in self._files.values()]
        if len(files) < 2:
            raise UsageError("--join matches the rows of two files, PREDS and TARGETS: there is only one")
        for file in files:
            if file.names is not None and column not in file.names and not column.startswith("@"):
                has = column_selection.listed(file.names)
                raise UsageError(f"--join {printable(column)}: {file.display_name} has no such column; it has {has}")
        text = all(file.holds_text((column,)) for file in files) and not all(_counts(file, column) for file in files)
        for data_file in self._files.values():
            hint = "" if text else "; the first keys are numbers"
            data_file.fields.append(Field(f"--join {column}", (column,), key=True, text=text, hint=hint))

    def check_text_options(self) -> None:
        """Check that each option about text has an effect on at least one file.

        Raises:
            UsageError: an option is given, and no file has the text that it describes.
        """
        self._check_header_of()
        opened = [file.opened for file in self._files.values()]
        default = InputOptions()
        for name in sorted(TEXT_OPTIONS):
            value = getattr(self._data, name)
            if value != getattr(default, name) and not any(name in file.text_options for file in opened):
                option = "--no-header" if value is False else f"--{name.replace('_', '-')}"
                where = ", ".join(file.display_name for file in opened)
                raise UsageError(f"{option} has no effect on {where}: it describes text such as that of csv files")

    def _check_header_of(self) -> None:
        """Check that --header-of names files of text, and that --header does not say the same of all.

        Raises:
            UsageError: it does not.
        """
        for path in self._data.header_of:
            if self._data.header:
                raise UsageError("--header says that every file has a header: leave out --header-of")
            if path not in self._files:
                raise UsageError(f"--header-of {quoted(path)}: no such input; there are {', '.join(self._files)}")
            if "header" not in self._files[path].opened.text_options:
                raise UsageError(f"--header-of has no effect on {printable(path)}: it describes text such as csv files")

    def bind(self, keys: tuple[tuple[str, str], ...], notes: Sequence[str]) -> Dataset:
        """Return the data set of all fields, with the notes on how its columns were chosen."""
        files = self._files.values()
        sources = tuple(file.opened.bind(tuple(file.fields)) for file in files)
        places = {
            f.role: FieldRef(i, j)
            for i, file in enumerate(files)
            for j, f in enumerate(file.fields)
            if not f.role.startswith("--join ")
        }
        return Dataset(sources, places, keys, tuple(notes))


def column_role(name: str) -> str:
    """Return the role of a column that is shown or grouped by."""
    return f"column {name}"


def join_of(data: InputOptions) -> tuple[str, bool]:
    """Return the column of --join, and whether rows without a partner are left out."""
    assert data.join is not None
    return data.join.removesuffix(":inner"), data.join.endswith(":inner")


def _counts(file: OpenedFile, column: str) -> bool:
    """Return whether the first cells of a column of text are whole numbers: numbers are joined faster than texts."""
    if not file.is_text:
        return False
    (place,) = column_selection.select((column,), file.names, file.width, file.display_name)
    (cells,) = file.head([place], _HEAD)
    return all(isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 for cell in cells)


# Rows that are read to see whether keys are numbers.
_HEAD = 1000


def is_file(name: str) -> bool:
    """Return whether an option names a file: by a known suffix or a ``/``; anything else is a column."""
    return suffix_of(name) is not None or "/" in name


def _holder(role: str, column: str, files: dict[str, DataFile], on: Sequence[str] = ()) -> DataFile:
    """Return the file that has the column; if several have it and it is a key of ``on``, return the first.

    Raises:
        UsageError: no file has the column, or several have it, or a position is given for several files.
    """
    if len(files) == 1:
        return next(iter(files.values()))
    having = [f for f in files.values() if column in (f.opened.names or ())]
    column_text = f"{role} column {quoted(column)}".lstrip()
    hint = "name a separate file" if role else "add --on, if it is the same in both"
    if len(having) != 1 and column.startswith("@"):
        raise UsageError(
            f"{column_text}: a position needs a single file, and there are {len(files)}: "
            "name the column, or a separate file"
        )
    if having and column in on:
        return having[0]
    if len(having) != 1:
        file_names = " and ".join(f.opened.display_name for f in files.values())
        which = "is in both" if having else "is in neither"
        if having:
            raise UsageError(f"{column_text} {which} of {file_names}: {hint}")
        names = [name for f in files.values() for name in f.opened.names or ()]
        known = f"they have {listed(tuple(names))}" if names else "they have no header"
        more = f"; or {hint}" if role else ""
        if os.path.isfile(column):  # its suffix is not one of a file
            more = f"; to read the file of that name: {printable(shlex.quote(f'./{column}'))} --input-format csv"
        raise UsageError(f"{column_text} {which} of {file_names}: {known}{more}{nearest(column, names)}")
    return having[0]
