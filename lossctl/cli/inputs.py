"""From paths and columns on the command line to a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lossctl.cli.options import Data
from lossctl.errors import DataError, UsageError, nearest, printable
from lossctl.kernels.spec import Loss
from lossctl.sources import columns, stream
from lossctl.sources.aligned import Dataset, Place
from lossctl.sources.formats import open_source, suffix_of
from lossctl.sources.grammar import NUMBER
from lossctl.sources.source import Field, Options, Unbound


@dataclass
class _File:
    """A file, and what is wanted of it."""

    opened: Unbound
    fields: list[Field] = field(default_factory=list)


def open_data(
    losses: Sequence[Loss], preds: str, targets: str | None, data: Data, *, grad: str | None = None
) -> Dataset:
    """The inputs that the losses need, from the files and columns that the options name.

    Raises:
        UsageError: a column or an option that does not fit.
        DataError: a file that cannot be read.
    """
    labels = _labels(losses, data.labels)
    options = Options(
        data.delimiter, data.header, data.encoding, data.decimal, tuple(data.na_values), data.input_format
    )
    files: dict[str, _File] = {}

    def file(path: str) -> _File:
        if path not in files:
            files[path] = _File(open_source(path, options, labels))
        return files[path]

    wants_target = any(len(loss.inputs) > 1 for loss in losses)
    one_file = targets is None or targets == preds
    if one_file and wants_target and not (data.pred and data.target):
        _refuse_one_file(file(preds).opened, data)
    file(preds).fields.append(Field("pred", tuple(data.pred)))
    if wants_target:
        file(targets or preds).fields.append(Field("target", tuple(data.target), labels))
    elif targets is not None or data.target:
        raise UsageError(f"{losses[0].name} takes no target: leave out TARGETS and --target")
    further = _further(losses, data.inputs)
    if data.weight is not None:
        further["weight"] = data.weight
    if grad is not None:
        further["grad"] = grad
    for role, wanted in further.items():
        if suffix_of(wanted) or "/" in wanted:
            holder, chosen = file(wanted), Field(role)
        else:
            holder, chosen = _holder(role, wanted, files), Field(role, (wanted,))
        holder.fields.append(chosen)
        if role == "grad" and holder.opened.is_text:  # how many digits were written is part of what it says
            holder.fields.append(Field("grad_quantum", chosen.columns, digits=True))
    sources = tuple(f.opened.bind(tuple(f.fields)) for f in files.values())
    places = {wanted.role: Place(i, j) for i, f in enumerate(files.values()) for j, wanted in enumerate(f.fields)}
    return Dataset(sources, places)


def _further(losses: Sequence[Loss], texts: Sequence[str]) -> dict[str, str]:
    """The columns or files of the inputs besides pred and target."""
    known = {i.name: None for loss in losses for i in loss.inputs[2:]}
    further: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name or not value:
            raise UsageError(f"--input {printable(text)!r}: NAME=COLUMN or NAME=FILE")
        if name not in known:
            takes = f"; it takes {', '.join(known)}" if known else "; it takes none besides pred and target"
            raise UsageError(f"--input: {losses[0].name} has no input {printable(name)!r}{takes}{nearest(name, known)}")
        if name in further:
            raise UsageError(f"--input {printable(name)} is given twice")
        further[name] = value
    return further


def _labels(losses: Sequence[Loss], text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    labels = tuple(part.strip() for part in text.split(","))
    different = {float(label) if NUMBER.fullmatch(label) else label for label in labels}  # 1 and 1.0 are one number
    if len(labels) < 2 or "" in labels or len(different) < len(labels):
        raise UsageError(f"--labels {printable(text)!r}: two or more different names, separated by commas")
    for loss in losses:
        takes = loss.inputs[1].kind.labels if len(loss.inputs) > 1 else 0
        if takes == 0:
            raise UsageError(f"--labels: the targets of {loss.name} are not labels")
        if takes == 2 and len(labels) != 2:
            raise UsageError(f"--labels {printable(text)!r}: {loss.name} has two classes, NEG,POS")
    return labels


def _refuse_one_file(opened: Unbound, data: Data) -> None:
    missing = [option for option, given in (("--pred", data.pred), ("--target", data.target)) if not given]
    has = f"; it has {columns.listed(opened.names)}" if opened.names is not None else "; @1 is its first column"
    raise UsageError(f"{opened.where}: one file: say which columns are which with {' and '.join(missing)}{has}")


def _holder(role: str, column: str, files: dict[str, _File]) -> _File:
    """The file that has the column."""
    if len(files) == 1:
        return next(iter(files.values()))
    having = [f for f in files.values() if column in (f.opened.names or ())]
    if len(having) != 1:
        where = " and ".join(f.opened.where for f in files.values())
        which = "is in both" if having else "is in neither"
        near = nearest(column, [name for f in files.values() for name in f.opened.names or ()])
        raise UsageError(f"{role} column {printable(column)!r} {which} of {where}: name a file of its own{near}")
    return having[0]


def check_stdin(paths: Sequence[str | None]) -> None:
    """Refuse to wait for a person to type numbers."""
    import sys

    if stream.STDIN in paths and sys.stdin is not None and sys.stdin.isatty():
        raise DataError("stdin is a terminal: pipe a file into it, or name one instead of -")
