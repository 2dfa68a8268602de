"""Open the data set that the paths and columns on the command line name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from lossctl.cli.column_matching import Choice, Side, choose_in_one, choose_in_two, order_note, shared_keys
from lossctl.cli.data_files import DataFiles, Model, column_role, join_of
from lossctl.cli.options import InputOptions
from lossctl.cli.settings import split_commas
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.engine.options import EXPOSURE
from lossctl.engine.where import WHERE, parse_where
from lossctl.errors import DataError, UsageError, nearest, printable, quoted
from lossctl.io import byte_stream, column_selection
from lossctl.io.dataset import GIVEN_GRADIENT, Dataset, FieldRef
from lossctl.io.formats import open_source
from lossctl.io.source import Field, OpenedFile, Options
from lossctl.io.text_grammar import NUMBER

if TYPE_CHECKING:
    import numpy.typing as npt

# Values of --by other than columns and files.
WORDS = ("class", "output")


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
    one_file = targets is None or targets == preds == byte_stream.STDIN  # stdin is read once
    _check_needed(losses[0], data, targets, wants_target=wants_target, one_file=one_file)
    inputs = _further(losses, data.inputs)
    inputs |= {role: name for role, name in (("weight", data.weight), (GIVEN_GRADIENT, grad)) if name is not None}
    inputs |= outputs or {}
    cells = list(dict.fromkeys([*shown, *([by] if by is not None else [])]))
    models = [Model(preds, tuple(data.pred)), *rivals]
    files = DataFiles(data, models, targets or preds, [*inputs.values(), *cells], labels)
    join_column, inner = join_of(data) if data.join is not None else ("", False)
    matched = [join_column] if data.join is not None else []
    used = [*data.on, *matched, *inputs.values(), *([by] if by is not None else [])]
    choices = _choices(
        losses, files, models, data, used=used, labels=labels, wants_target=wants_target, one_file=one_file
    )
    hint = "" if labels or not wants_target else _labels_hint(losses)
    for i, (model, choice) in enumerate(zip(models, choices, strict=True), 1):
        files.open(model.path).fields.append(Field("pred" if i == 1 else f"pred {i}", choice.pred))
        if i == 1 and wants_target:
            files.open(files.targets).fields.append(Field("target", choice.target, labels, hint=hint))
    for role, name in inputs.items():
        files.add_input(role, name)
    where = parse_where(data.where) if data.where is not None else None
    alias = files.add_where(where) if where is not None else None
    shared = (
        []
        if data.on or one_file or not wants_target
        else _shared(files, models, choices, [name for name in used if name != by])
    )
    files.shared = [column for _, column in shared]
    for name in cells:
        if name in shown or name not in WORDS or files.has_column(name):
            files.add_cells(name)
    keys = files.add_keys(shared)
    if data.join is not None:
        if not wants_target and not rivals:
            raise UsageError("--join matches the rows of PREDS and TARGETS, and there is no target")
        files.add_join(join_column)
    files.check_text_options()
    notes = [note for choice in choices for note in choice.notes]
    if not (keys or data.join or one_file) and wants_target:
        targets_file = files.open(files.targets).opened
        for model, choice in zip(models, choices, strict=True):
            taken = [*used, *choice.pred, *choice.target]
            notes += [note] if (note := order_note(files.open(model.path).opened, targets_file, taken)) else []
    dataset = files.bind(keys, list(dict.fromkeys(notes)))
    _check_single(dataset, cells)
    if where is not None:
        if alias is not None:
            dataset = replace(dataset, places={**dataset.places, WHERE: dataset.places[alias]})
        if dataset.row_shape(WHERE):
            raise UsageError(f"--where {quoted(where.column)}: compare one column")
    if data.join is not None:
        from lossctl.io.join import join

        return join(dataset, join_column, inner=inner)
    return dataset


def _choices(
    losses: Sequence[Loss],
    files: DataFiles,
    models: Sequence[Model],
    data: InputOptions,
    *,
    used: Sequence[str],
    labels: tuple[str, ...],
    wants_target: bool,
    one_file: bool,
) -> list[Choice]:
    """Return the columns of each model; the targets are those of the first."""
    number = {role: all(_takes_number(loss, role) for loss in losses) for role in ("pred", "target")}
    choices: list[Choice] = []
    for model in models:
        opened = files.open(model.path).opened
        pred = Side("pred", opened, model.columns, used, number=number["pred"])
        if not wants_target:
            choices.append(Choice(pred.chosen(), ()))
        elif one_file:
            choice = Choice(model.columns, tuple(data.target)) if model.columns and data.target else None
            choice = choice or choose_in_one(opened, model.columns, data.target, used)
            if choice is None:
                _refuse_one_file(opened, data)
            choices.append(choice)
        else:
            target = Side("target", files.open(files.targets).opened, data.target, used, number=number["target"])
            choices.append(choose_in_two(pred, target, labels, losses))
            if choices[-1].target != choices[0].target:
                first = files.open(models[0].path).opened.display_name
                raise UsageError(
                    f"{opened.display_name}: its columns are in another order than those of {first}: name them with -p"
                )
    return choices


def _takes_number(loss: Loss, role: str) -> bool:
    return role not in loss.roles or not loss.inputs[loss.roles.index(role)].kind.core


def _shared(
    files: DataFiles, models: Sequence[Model], choices: Sequence[Choice], used: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the path of each model and the keys that its file shares with the targets: rows are compared by them."""
    targets = files.open(files.targets).opened
    return [
        (model.path, column)
        for model, choice in zip(models, choices, strict=True)
        if model.path != files.targets
        for column in shared_keys(files.open(model.path).opened, targets, [*used, *choice.pred, *choice.target])
    ]


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
    if all(loss.takes_exposure for loss in losses):
        known |= {EXPOSURE: None}
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


def _refuse_one_file(opened: OpenedFile, data: InputOptions) -> NoReturn:
    missing = [option for option, columns in (("--pred", data.pred), ("--target", data.target)) if not columns]
    if opened.width == 1:
        hint = column_selection.other_delimiter(opened.names or ()) or ": give TARGETS too, a second file"
        raise UsageError(f"{opened.display_name}: one file of one column{hint}")
    has = (
        f"; it has {column_selection.listed(opened.names)}" if opened.names is not None else "; @1 is its first column"
    )
    raise UsageError(f"{opened.display_name}: one file: select its columns with {' and '.join(missing)}{has}")


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


def read_numbers(path: str, data: InputOptions) -> npt.NDArray[Any]:
    """Read the numbers (rows,) of a file of one column.

    Raises:
        DataError: the file cannot be read.
    """
    import numpy as np

    options = Options(delimiter=data.delimiter, header=data.header, encoding=data.encoding, decimal=data.decimal)
    dataset = Dataset((open_source(path, options).bind((Field("value"),)),), {"value": FieldRef(0, 0)})
    parts = (part.sources[0] for part in dataset.row_ranges(1 << 20))
    return np.concatenate(
        [np.asarray(part.reader()(0, part.rows)[0], np.float64).reshape(part.rows, -1)[:, 0] for part in parts]
    )


def check_stdin(paths: Sequence[str | None]) -> None:
    """Check that stdin is not a terminal if a path is ``-``.

    Raises:
        DataError: stdin is a terminal.
    """
    import sys

    if byte_stream.STDIN in paths and sys.stdin is not None and sys.stdin.isatty():
        raise DataError("stdin is a terminal: pipe a file into it, or name one instead of -")
