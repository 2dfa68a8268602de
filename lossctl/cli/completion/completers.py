"""Completion candidates for a word: losses, parameters, columns, formats.

A shell runs lossctl at every TAB. To answer fast, the completers do not import NumPy: losses are read from their
source files, and columns from the first line of a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from lossctl.cli.source_scan import built_in, find, in_file, known
from lossctl.immutable import immutable

Found: TypeAlias = Iterable[tuple[str, str]]  # candidates and their descriptions

# Bytes to read for the first line. A record may have 1 MiB, which takes too long for a person who waits at the prompt.
_LINE = 1 << 18
# The most columns to offer; nobody reads more, and columns of a table of 10,000 are named by a glob or a range.
_COLUMNS = 1000


def complete_losses(words: Words, incomplete: str) -> Found:
    """Complete LOSS[,LOSS...]: names of losses, their parameters after a colon, the next loss after a comma."""
    before, comma, spec = incomplete.rpartition(",")
    earlier_specs = before.split(",") if comma else []
    for text, what in _spec(spec, earlier_specs):
        yield before + comma + text, what


def _spec(spec: str, earlier_specs: Sequence[str]) -> Found:
    head, dot_py, tail = spec.partition(".py:")
    if ":" in (tail if dot_py else spec):
        yield from _parameters(spec)
    elif dot_py:
        yield from ((f"{head}.py:{name}", loss.summary) for name, loss in in_file(f"{head}.py").items())
    else:
        yield from _names(spec, earlier_specs)
        yield from _python_files(spec)


def _names(start: str, earlier_specs: Sequence[str]) -> Found:
    losses = known()

    def spelled(name: str) -> str:
        return name.replace("_", "-") if "-" in start else name

    names = {spelled(name): loss.summary for name, loss in losses.items() if name not in earlier_specs}
    if not any(name.startswith(start) for name in names):
        names = {spelled(alias): f"= {name}" for name, loss in losses.items() for alias in loss.aliases}
    # Plugins are listed only if no built-in loss matches, because the scan of the installed packages is slow.
    if start and "/" not in start and not any(name.startswith(start) for name in names):
        names = {spelled(name.replace("-", "_")): package for name, package in _plugins()}
    return names.items()


def _plugins() -> Found:
    from importlib.metadata import distributions

    for distribution in distributions():
        with suppress(Exception):  # damaged metadata of one package
            yield from ((e.name, distribution.name) for e in distribution.entry_points.select(group="lossctl.losses"))


def _python_files(start: str) -> Found:
    """Complete a path to a Python file: yield .py files, and folders if the path has a ``/``."""
    if not start or not ("/" in start or os.path.exists(start) or _entries(start)):
        return
    for path, is_folder in _entries(start):
        yield (f"{path}/", "") if is_folder else (f"{path}:", "functions")


def _entries(start: str) -> list[tuple[str, bool]]:
    folder, _ = os.path.split(start)
    entries = []
    for entry in sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name):
        path = os.path.join(folder, entry.name)
        if path.startswith(start) and (entry.name.endswith(".py") or ("/" in start and entry.is_dir())):
            entries.append((path, entry.is_dir()))
    return entries


def _parameters(spec: str) -> Found:
    loss, _, _ = find(spec)
    if loss is None:
        return
    before, _, last = spec.rpartition(":")
    taken = [part.partition("=")[0] for part in before.split(":")]
    name, equals, _ = last.partition("=")
    if equals:
        for value in loss.parameters.get(name.replace("-", "_"), ()):
            yield f"{before}:{name}={value}", ""
        return
    for parameter, values in loss.parameters.items():
        if parameter not in taken:
            yield f"{before}:{parameter}=", f"default {values[0]}" if values else ""


def complete_param(words: Words, incomplete: str) -> Found:
    """Complete ``-P``: parameters of the loss typed before."""
    start = f"{words.losses}:"
    return ((text.removeprefix(start), what) for text, what in _parameters(start + incomplete))


def complete_columns(words: Words, incomplete: str) -> Found:
    """Complete a column of PREDS."""
    return _columns(words, words.preds)


def complete_targets(words: Words, incomplete: str) -> Found:
    """Complete a column of TARGETS, or of PREDS without TARGETS."""
    return _columns(words, words.targets or words.preds)


def complete_weight(words: Words, incomplete: str) -> Found:
    """Complete a column of PREDS or TARGETS."""
    files = dict.fromkeys(path for path in (words.preds, words.targets) if path)
    return (candidate for path in files for candidate in _columns(words, path))


def complete_by(words: Words, incomplete: str) -> Found:
    """Complete ``--by``: columns, then ``class`` and ``output``."""
    yield from complete_weight(words, incomplete)
    yield from (("class", "of the target"), ("output", "a column of the predictions"))


def complete_further_column(words: Words, incomplete: str) -> Found:
    """Complete ``--columns``: columns separated by commas, without those already given."""
    before, comma, _ = incomplete.rpartition(",")
    earlier_columns = before.split(",")
    for column, what in complete_weight(words, incomplete):
        if column not in earlier_columns:
            yield before + comma + column, what


def complete_input(words: Words, incomplete: str) -> Found:
    """Complete ``--input``: names of further inputs of the losses; columns after ``=``."""
    name, equals, _ = incomplete.partition("=")
    if equals:
        for column, what in complete_weight(words, ""):
            yield f"{name}={column}", what
        return
    for spec in (words.losses or "").split(","):
        loss, _, _ = find(spec)
        for more in loss.further if loss else ():
            yield f"{more}=", f"of {loss.name}" if loss else ""


def complete_grad(words: Words, incomplete: str) -> Found:
    """Complete ``--grad``: columns, or a function in a Python file."""
    if ".py:" in incomplete:
        yield from _spec(incomplete, ())
        return
    yield from complete_weight(words, incomplete)
    yield from _python_files(incomplete)


def complete_format(words: Words, incomplete: str) -> Found:
    """Complete ``--format``: the formats that have a renderer."""
    from lossctl.render import FORMATS

    return ((name, "") for name in FORMATS)


def complete_input_format(words: Words, incomplete: str) -> Found:
    """Complete ``--input-format``: the formats that have a reader."""
    from lossctl.io.formats import FORMATS

    return ((name, "") for name in FORMATS)


def complete_family(words: Words, incomplete: str) -> Found:
    """Complete ``--family``: the built-in families, each described by its losses."""
    return ((family, ", ".join(losses)) for family, losses in built_in().items())


@immutable
class Words:
    """The words typed before the word to complete: positional arguments, and the values of options by name."""

    losses: str | None
    preds: str | None
    targets: str | None
    options: Mapping[str, Any]


def _columns(words: Words, path: str | None) -> Found:
    """Yield the names in the header of a file, or ``@1``, ``@2``, ... without a header; skip columns already chosen."""
    # Regular files only: reading a pipe would consume its data, and reading a device may block.
    if path is None or not os.path.isfile(path := os.path.expanduser(path)):
        return
    chosen = [*(words.options.get("pred") or ()), *(words.options.get("target") or ())]
    cells = _first_cells(path, words.options)[:_COLUMNS]
    if words.options.get("header") is False or (words.options.get("header") is None and all(map(_number, cells))):
        names: dict[str, str] = {f"@{i + 1}": f"first value {cell}" for i, cell in enumerate(cells)}
    else:
        names = {cell: os.path.basename(path) for cell in cells}
    for name, what in names.items():
        if name not in chosen:
            yield name, what


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _first_cells(path: str, options: Mapping[str, Any]) -> list[str]:
    """Return the cells of the first line of a delimited text file, possibly compressed; [] for other formats."""
    import csv

    from lossctl.io.compression import SUFFIXES, decompressed
    from lossctl.io.formats import FORMATS, parse_delimiter

    stem, suffix = os.path.splitext(path)
    compression = suffix.lower() if suffix.lower() in SUFFIXES else ""
    kind = options.get("input_format") or os.path.splitext(stem if compression else path)[1].removeprefix(".")
    entry = FORMATS.get(kind.lower())
    if entry is None or not entry.delimiter:
        return []
    with open(path, "rb") as file:
        start = next(decompressed(file, compression, path, _LINE), b"") if compression else file.read(_LINE)
    line = start.decode(options.get("encoding") or "utf-8-sig", "replace").partition("\n")[0].rstrip("\r")
    said = options.get("delimiter")
    delimiter = parse_delimiter(entry.delimiter if said is None else said)
    if delimiter is None:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


Completer: TypeAlias = Callable[[Words, str], Found]

# Completer by the name of an argument or option, which is the same in every command. An option whose metavar lists
# its values (mean|sum) needs no entry.
COMPLETERS: dict[str, Completer] = {
    "losses": complete_losses,
    "loss": complete_losses,
    "param": complete_param,
    "pred": complete_columns,
    "target": complete_targets,
    "weight": complete_weight,
    "on": complete_columns,
    "by": complete_by,
    "columns": complete_further_column,
    "inputs": complete_input,
    "grad": complete_grad,
    "value": complete_grad,
    "upstream": complete_grad,
    "baseline": complete_grad,
    "golden": complete_losses,
    "format": complete_format,
    "input_format": complete_input_format,
    "family": complete_family,
}


def choices(metavar: str | None) -> list[str]:
    """Return the values that a lower-case metavar lists: mean and sum for ``mean|sum``, [] for ``COLUMN|FILE``."""
    return metavar.split("|") if metavar and "|" in metavar and metavar == metavar.lower() else []
