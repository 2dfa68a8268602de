"""Open the data set that the paths and columns on the command line name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lossctl.cli.options import Data
from lossctl.core.input_kinds import Kind
from lossctl.core.loss import Loss
from lossctl.errors import DataError, UsageError, nearest, printable, quoted
from lossctl.io import byte_stream, column_selection
from lossctl.io.dataset import Dataset, FieldRef
from lossctl.io.formats import open_source, suffix_of, tells_format
from lossctl.io.source import Field, OpenedFile, Options
from lossctl.io.text_grammar import NUMBER

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
    data: Data,
    *,
    grad: str | None = None,
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
    further, cells = _further(losses, data.inputs), [*shown, *([by] if by is not None else [])]
    if data.weight is not None:
        further["weight"] = data.weight
    if grad is not None:
        further["grad"] = grad
    columns_of = {role: name for role, name in further.items() if not _is_file(name)}
    models = [Model(preds, tuple(data.pred)), *rivals]
    main = dict.fromkeys([*(model.path for model in models), *([targets] if targets else [])])
    paths = [*main, *(name for name in (*further.values(), *cells) if _is_file(name))]
    files: dict[str, _File] = {}

    def within(model: Model) -> dict[str, _File]:
        """Return the files that can hold the further columns of a model."""
        return {path: files[path] for path in (model.path, targets or preds)} if rivals else files

    def file(path: str) -> _File:
        if path not in files:
            named = {*columns_of.values(), *cells, *data.on} if path in main else set()
            named.update(*(model.columns for model in models if model.path == path))
            named.update(data.target if path == (targets or preds) else ())
            files[path] = _File(open_source(path, _options(data, path, paths, named), labels))
        return files[path]

    if one_file and wants_target and not (data.pred and data.target):
        _refuse_one_file(file(preds).opened, data)
    file(preds).fields.append(Field("pred", tuple(data.pred)))
    if wants_target:
        hint = "" if labels else _labels_hint(losses)
        file(targets or preds).fields.append(Field("target", tuple(data.target), labels, hint=hint))
    for i, model in enumerate(rivals, 2):
        file(model.path).fields.append(Field(f"pred {i}", model.columns))
    for role, name in further.items():
        if role not in columns_of:
            holder, chosen = file(name), Field(role)
        else:
            holder, chosen = _holder(role, name, within(models[0])), Field(role, (name,))
        holder.fields.append(chosen)
        for i, model in enumerate(rivals if role in columns_of and role != "weight" else (), 2):
            if (other := _holder(role, name, within(model))) is not holder:
                other.fields.append(Field(f"{role} {i}", (name,)))
        if role == "grad" and holder.opened.is_text:  # the number of digits written gives the rounding error
            holder.fields.append(Field("grad_quantum", chosen.columns, digits=True))
    for name in dict.fromkeys(cells):
        named = any(name in (f.opened.names or ()) for f in files.values())
        if name in shown or name not in WORDS or named:
            holder = file(name) if _is_file(name) else _holder("", name, files, data.on)
            holder.fields.append(_cells(name, holder))
    keys = _keys(data.on, [file(path) for path in main if path != targets], file(targets or preds))
    sources = tuple(f.opened.bind(tuple(f.fields)) for f in files.values())
    places = {field.role: FieldRef(i, j) for i, f in enumerate(files.values()) for j, field in enumerate(f.fields)}
    dataset = Dataset(sources, places, keys)
    _check_single(dataset, cells)
    return dataset


def _check_needed(loss: Loss, data: Data, targets: str | None, *, wants_target: bool, one_file: bool) -> None:
    """Check that the losses have a use for the target and ``--on``.

    Raises:
        UsageError: a target for losses without one, or ``--on`` without a second file.
    """
    if not wants_target and (targets is not None or data.target):
        raise UsageError(f"{loss.name} takes no target: leave out TARGETS and --target")
    if data.on and (one_file or not wants_target):
        raise UsageError("--on compares the rows of two files, PREDS and TARGETS, and here is one")


def _cells(name: str, holder: _File) -> Field:
    """Return the field of a column to read unparsed."""
    chosen = () if _is_file(name) else (name,)
    return Field(column_role(name), chosen, text=holder.opened.holds_text(chosen))


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
            raise UsageError(f"{quoted(name)} is several columns: name one, or with --columns several, with commas")


def column_role(name: str) -> str:
    """Return the role of a column that is shown or grouped by."""
    return f"column {name}"


def _is_file(name: str) -> bool:
    return suffix_of(name) is not None or "/" in name


def _options(data: Data, path: str, paths: Sequence[str], named: set[str]) -> Options:
    """Return the options for reading one of the paths.

    --input-format applies to stdin and to paths without a known suffix; if there are none, to all paths. A column given
    as a number is not passed as a header name, because the number may be a position.
    """
    untold = [p for p in paths if not tells_format(p)]
    names = frozenset(name for name in named if not name.startswith("@") and not NUMBER.fullmatch(name))
    return Options(
        delimiter=data.delimiter,
        header=data.header,
        encoding=data.encoding,
        decimal=data.decimal,
        na_values=tuple(data.na_values),
        input_format=data.input_format if path in untold or not untold else None,
        named=names,
    )


def _keys(on: Sequence[str], preds: Sequence[_File], targets: _File) -> tuple[tuple[str, str], ...]:
    """Add the columns of --on to the files; return the pairs of roles whose cells must be equal."""
    keys: list[tuple[str, str]] = []
    for column in on:
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


def _target_kind(loss: Loss) -> Kind:
    return loss.inputs[loss.roles.index("target")].kind


def _labels_hint(losses: Sequence[Loss]) -> str:
    """Return the end of the error for text in the targets: a hint at --labels if the targets are labels, else ''."""
    takes = {_target_kind(loss).labels for loss in losses if len(loss.inputs) > 1}
    if 0 in takes:
        return ""
    return f"; names of classes want --labels {'NEG,POS' if 2 in takes else 'a,b,c'}"


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
    labels = tuple(part.strip() for part in text.split(","))
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


def _refuse_one_file(opened: OpenedFile, data: Data) -> None:
    missing = [option for option, columns in (("--pred", data.pred), ("--target", data.target)) if not columns]
    if opened.width == 1:
        hint = column_selection.other_delimiter(opened.names or ()) or ": give TARGETS too, a second file"
        raise UsageError(f"{opened.display_name}: one file of one column{hint}")
    has = (
        f"; it has {column_selection.listed(opened.names)}" if opened.names is not None else "; @1 is its first column"
    )
    raise UsageError(f"{opened.display_name}: one file: say which columns are which with {' and '.join(missing)}{has}")


def _holder(role: str, column: str, files: dict[str, _File], on: Sequence[str] = ()) -> _File:
    """Return the file that has the column; if several have it and it is a key of ``on``, return the first.

    Raises:
        UsageError: no file has the column, or several have it, or a position is given for several files.
    """
    if len(files) == 1:
        return next(iter(files.values()))
    having = [f for f in files.values() if column in (f.opened.names or ())]
    what = f"{role} column {quoted(column)}".lstrip()
    hint = "name a file of its own" if role else "--on it, if it is the same in both"
    if len(having) != 1 and column.startswith("@"):
        raise UsageError(
            f"{what}: positions need one file, and here are {len(files)}: name the column, or a file of its own"
        )
    if having and column in on:
        return having[0]
    if len(having) != 1:
        where = " and ".join(f.opened.display_name for f in files.values())
        which = "is in both" if having else "is in neither"
        suggestion = "" if having else nearest(column, [name for f in files.values() for name in f.opened.names or ()])
        raise UsageError(f"{what} {which} of {where}: {hint if having or role else 'there is none'}{suggestion}")
    return having[0]


def check_stdin(paths: Sequence[str | None]) -> None:
    """Check that stdin is not a terminal if a path is ``-``.

    Raises:
        DataError: stdin is a terminal.
    """
    import sys

    if byte_stream.STDIN in paths and sys.stdin is not None and sys.stdin.isatty():
        raise DataError("stdin is a terminal: pipe a file into it, or name one instead of -")
