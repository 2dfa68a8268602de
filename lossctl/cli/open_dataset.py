"""Open the data set that the paths and columns on the command line name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lossctl.cli.options import InputOptions
from lossctl.cli.settings import split_commas
from lossctl.core.input_kinds import Kind
from lossctl.core.loss import Loss
from lossctl.errors import DataError, UsageError, nearest, printable, quoted
from lossctl.io import byte_stream, column_selection
from lossctl.io.dataset import GIVEN_GRADIENT, GIVEN_VALUE, Dataset, FieldRef
from lossctl.io.formats import open_source, suffix_of, tells_format
from lossctl.io.source import TEXT_OPTIONS, Field, OpenedFile, Options
from lossctl.io.text_grammar import NUMBER

if TYPE_CHECKING:
    import numpy.typing as npt

# Values of --by other than columns and files.
WORDS = ("class", "output")


@dataclass(frozen=True)
class Model:
    """The predictions of one model of a comparison: a file, and its columns (empty: all)."""

    path: str
    columns: tuple[str, ...] = ()


@dataclass
class _File:
    """An opened file and the fields to read from it."""

    opened: OpenedFile
    fields: list[Field] = field(default_factory=list)


def open_data(
    losses: Sequence[Loss],
    preds: str,
    targets: str | None,
    data: InputOptions,
    *,
    grad: str | None = None,
    outputs: Mapping[str, str] | None = None,
    shown: Sequence[str] = (),
    by: str | None = None,
    rivals: Sequence[Model] = (),
) -> Dataset:
    """Return a data set of the inputs that the losses need, read from the given files and columns.

    Args:
        losses: the losses to compute.
        preds, targets: paths; if ``targets`` is None, the targets are columns of ``preds``.
        data: the options that name columns and describe the files.
        grad: the file or column of a gradient to check.
        outputs: files or columns of further outputs to check, by role.
        shown: columns, or files of one column, to read unparsed; their roles are :func:`column_role` of each.
        by: one more such column, to group by; ``class`` and ``output`` name columns only if a file has such a column.
        rivals: predictions of further models. Their roles are numbered, ``pred 2``, and so are further inputs of a
            loss that are columns of their files.

    Raises:
        UsageError: a column or an option is invalid.
        DataError: a file cannot be read.
    """
    labels = _labels(losses, data.labels)
    wants_target = any(len(loss.inputs) > 1 for loss in losses)
    one_file = targets is None or targets == preds
    _check_needed(losses[0], data, targets, wants_target=wants_target, one_file=one_file)
    inputs = _further(losses, data.inputs)
    inputs |= {role: name for role, name in (("weight", data.weight), (GIVEN_GRADIENT, grad)) if name is not None}
    inputs |= outputs or {}
    cells = list(dict.fromkeys([*shown, *([by] if by is not None else [])]))
    models = [Model(preds, tuple(data.pred)), *rivals]
    files = _Files(data, models, targets or preds, [*inputs.values(), *cells], labels)
    if one_file and wants_target and not (data.pred and data.target):
        _refuse_one_file(files.open(preds).opened, data)
    files.open(preds).fields.append(Field("pred", models[0].columns))
    if wants_target:
        hint = "" if labels else _labels_hint(losses)
        files.open(files.targets).fields.append(Field("target", tuple(data.target), labels, hint=hint))
    for i, model in enumerate(rivals, 2):
        files.open(model.path).fields.append(Field(f"pred {i}", model.columns))
    for role, name in inputs.items():
        files.add_input(role, name)
    for name in cells:
        if name in shown or name not in WORDS or files.has_column(name):
            files.add_cells(name)
    keys = files.add_keys()
    files.check_text_options()
    dataset = files.bind(keys)
    _check_single(dataset, cells)
    return dataset


class _Files:
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
        self._files: dict[str, _File] = {}
        self._main = dict.fromkeys([*(model.path for model in models), targets])
        self._paths = [*self._main, *(name for name in names if _is_file(name))]
        self._columns = [name for name in names if not _is_file(name)]

    def open(self, path: str) -> _File:
        """Return the file of a path; open it if it is not open yet."""
        if path not in self._files:
            self._files[path] = _File(open_source(path, self._options(path), self._labels))
        return self._files[path]

    def _options(self, path: str) -> Options:
        """Return the options for reading one of the paths.

        --input-format applies to stdin and to paths without a known suffix; if there are none, to all paths. A column
        given as a number is not passed as a header name, because the number may be a position.
        """
        data = self._data
        without_format = [p for p in self._paths if not tells_format(p)]
        named = {*self._columns, *data.on} if path in self._main else set()
        named.update(*(model.columns for model in self._models if model.path == path))
        named.update(data.target if path == self.targets else ())
        return Options(
            delimiter=data.delimiter,
            header=data.header,
            encoding=data.encoding,
            decimal=data.decimal,
            na_values=tuple(data.na_values),
            input_format=data.input_format if path in without_format or not without_format else None,
            named=frozenset(name for name in named if not name.startswith("@") and not NUMBER.fullmatch(name)),
        )

    def has_column(self, name: str) -> bool:
        """Return whether an open file has a column of this name."""
        return any(name in (file.opened.names or ()) for file in self._files.values())

    def add_input(self, role: str, name: str) -> None:
        """Add a further input, a file or a column; a column, except weights, is read for each model from its files."""
        if _is_file(name):
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

    def _files_of(self, model: Model) -> dict[str, _File]:
        """Return the files that can hold the further columns of a model."""
        if len(self._models) == 1:
            return self._files
        return {path: self._files[path] for path in (model.path, self.targets)}

    def add_cells(self, name: str) -> None:
        """Add a column, or a file of one column, to read unparsed."""
        holder = self.open(name) if _is_file(name) else _holder("", name, self._files, self._data.on)
        columns = () if _is_file(name) else (name,)
        holder.fields.append(Field(column_role(name), columns, text=holder.opened.holds_text(columns)))

    def add_keys(self) -> tuple[tuple[str, str], ...]:
        """Add the columns of --on; return the pairs of roles whose cells must be equal."""
        targets = self.open(self.targets)
        preds = [self.open(path) for path in self._main if path != self.targets]
        keys: list[tuple[str, str]] = []
        for column in self._data.on:
            text = all(file.opened.holds_text((column,)) for file in (*preds, targets))
            of_targets = f"--on {column} of TARGETS"
            if of_targets in {roles[1] for roles in keys}:
                raise UsageError(f"--on {printable(column)} is given twice")
            targets.fields.append(Field(of_targets, (column,), key=True, text=text))
            for i, holder in enumerate(preds, 1):
                role = f"--on {column} of PREDS" + (f" {i}" if i > 1 else "")
                holder.fields.append(Field(role, (column,), key=True, text=text))
                keys.append((role, of_targets))
        return tuple(keys)

    def check_text_options(self) -> None:
        """Check that each option about text has an effect on at least one file.

        Raises:
            UsageError: an option is given, and no file has the text that it describes.
        """
        opened = [file.opened for file in self._files.values()]
        default = InputOptions()
        for name in sorted(TEXT_OPTIONS):
            value = getattr(self._data, name)
            if value != getattr(default, name) and not any(name in file.text_options for file in opened):
                option = "--no-header" if value is False else f"--{name.replace('_', '-')}"
                where = ", ".join(file.display_name for file in opened)
                raise UsageError(f"{option} has no effect on {where}: it describes text such as that of csv files")

    def bind(self, keys: tuple[tuple[str, str], ...]) -> Dataset:
        """Return the data set of all fields."""
        files = self._files.values()
        sources = tuple(file.opened.bind(tuple(file.fields)) for file in files)
        places = {f.role: FieldRef(i, j) for i, file in enumerate(files) for j, f in enumerate(file.fields)}
        return Dataset(sources, places, keys)


def _check_needed(loss: Loss, data: InputOptions, targets: str | None, *, wants_target: bool, one_file: bool) -> None:
    """Check that the losses have a use for the target and ``--on``.

    Raises:
        UsageError: a target for losses without one, or ``--on`` without a second file.
    """
    if not wants_target and (targets is not None or data.target):
        raise UsageError(f"{loss.name} takes no target: leave out TARGETS and --target")
    if data.on and (one_file or not wants_target):
        raise UsageError("--on compares the rows of two files, PREDS and TARGETS: there is only one")


def _check_single(dataset: Dataset, shown: Sequence[str]) -> None:
    """Check that each key and each unparsed column is a single column.

    Raises:
        UsageError: a key or an unparsed column spans several columns.
    """
    for roles in dataset.keys:
        if any(dataset.row_shape(role) for role in roles):
            raise UsageError(f"{printable(roles[0])}: a key is one column of each file; --on can be repeated")
    for name in shown:
        if column_role(name) in dataset.places and dataset.row_shape(column_role(name)):
            raise UsageError(
                f"{quoted(name)} selects several columns: name one; --columns takes several, separated by commas"
            )


def column_role(name: str) -> str:
    """Return the role of a column that is shown or grouped by."""
    return f"column {name}"


def _is_file(name: str) -> bool:
    return suffix_of(name) is not None or "/" in name


def _target_kind(loss: Loss) -> Kind:
    return loss.inputs[loss.roles.index("target")].kind


def _labels_hint(losses: Sequence[Loss]) -> str:
    """Return the end of the error for text in the targets: a hint at --labels if the targets are labels, else ''."""
    takes = {_target_kind(loss).labels for loss in losses if len(loss.inputs) > 1}
    if 0 in takes:
        return ""
    return f"; for names of classes, add --labels {'NEG,POS' if 2 in takes else 'a,b,c'}"


def _further(losses: Sequence[Loss], texts: Sequence[str]) -> dict[str, str]:
    """Parse --input: return the column or file of each input other than pred and target."""
    known = dict.fromkeys(role for loss in losses for role in loss.roles[1:] if role != "target")
    further: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or not value:
            raise UsageError(f"--input {quoted(text)}: NAME=COLUMN or NAME=FILE")
        if name not in known:
            takes = f"; it takes {', '.join(known)}" if known else "; it takes none besides pred and target"
            raise UsageError(f"--input: {losses[0].name} has no input {quoted(name)}{takes}{nearest(name, known)}")
        if name in further:
            raise UsageError(f"--input {printable(name)} is given twice")
        further[name] = value
    return further


def _labels(losses: Sequence[Loss], text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    labels = tuple(split_commas(text))
    different = {float(label) if NUMBER.fullmatch(label) else label for label in labels}  # 1 and 1.0 are equal
    if len(labels) < 2 or "" in labels or len(different) < len(labels):
        raise UsageError(f"--labels {quoted(text)}: two or more different names, separated by commas")
    for loss in losses:
        takes = _target_kind(loss).labels if len(loss.inputs) > 1 else 0
        if takes == 0:
            raise UsageError(f"--labels: the targets of {loss.name} are not labels")
        if takes == 2 and len(labels) != 2:
            raise UsageError(f"--labels {quoted(text)}: {loss.name} has two classes, NEG,POS")
    return labels


def _refuse_one_file(opened: OpenedFile, data: InputOptions) -> None:
    missing = [option for option, columns in (("--pred", data.pred), ("--target", data.target)) if not columns]
    if opened.width == 1:
        hint = column_selection.other_delimiter(opened.names or ()) or ": give TARGETS too, a second file"
        raise UsageError(f"{opened.display_name}: one file of one column{hint}")
    has = (
        f"; it has {column_selection.listed(opened.names)}" if opened.names is not None else "; @1 is its first column"
    )
    raise UsageError(f"{opened.display_name}: one file: select its columns with {' and '.join(missing)}{has}")


def _holder(role: str, column: str, files: dict[str, _File], on: Sequence[str] = ()) -> _File:
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
        suggestion = "" if having else nearest(column, [name for f in files.values() for name in f.opened.names or ()])
        raise UsageError(
            f"{column_text} {which} of {file_names}: {hint if having or role else 'there is none'}{suggestion}"
        )
    return having[0]


def read_number(path: str, data: InputOptions) -> npt.NDArray[Any]:
    """Read the only number of a file; an .npy file may have no dimension.

    Returns:
        an array () of the type of the file.

    Raises:
        DataError: the file cannot be read, or holds more than one number.
    """
    import numpy as np

    if path.lower().endswith(".npy"):
        try:
            array = np.load(path, allow_pickle=False)
        except OSError as error:
            raise DataError(f"{printable(path)}: {byte_stream.reason(error)}") from None
        except ValueError as error:
            raise DataError(f"{printable(path)}: not a readable NPY file: {error}") from None
    else:
        options = Options(delimiter=data.delimiter, header=data.header, encoding=data.encoding, decimal=data.decimal)
        source = open_source(path, options).bind((Field("value"),))
        rows = next(Dataset((source,), {"value": FieldRef(0, 0)}).row_ranges(2)).sources[0]
        array = rows.reader()(0, min(rows.rows, 2))[0].copy()
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{printable(path)}: shape {array.shape} of {array.dtype}; one number is needed")
    return np.asarray(array.reshape(()))


def check_stdin(paths: Sequence[str | None]) -> None:
    """Check that stdin is not a terminal if a path is ``-``.

    Raises:
        DataError: stdin is a terminal.
    """
    import sys

    if byte_stream.STDIN in paths and sys.stdin is not None and sys.stdin.isatty():
        raise DataError("stdin is a terminal: pipe a file into it, or name one instead of -")
