"""The reports of ``list`` and ``info``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from textwrap import wrap

from lossctl.analysis.curves import Curve, curve_of, kinks
from lossctl.conventions.lookup import of_loss
from lossctl.conventions.prose import elsewhere
from lossctl.core.kind import Kind
from lossctl.core.list_parameters import lists_of, single_valued
from lossctl.core.loss import Loss
from lossctl.core.parameters import Parameter
from lossctl.errors import UsageError
from lossctl.report import Cell, Column, Report, Table
from lossctl.report.conventions import fact
from lossctl.report.example_command import LINE, example
from lossctl.report.plot import panels

# `info` fits a terminal of 80 columns and 24 lines, the default of xterm, GNOME Terminal and macOS Terminal; the last
# line is left to the next prompt.
_WIDTH, _HEIGHT = 80, 23
# Heights of the curve in lines, the first that fits is taken; and the four lines around the curve: a blank line, the
# title, the axis, the labels of the axis. A name of the axis longer than _NAME takes two lines more.
_SMALL, _AROUND, _NAME = (5, 3, 2), 4, 26
# Columns left of 80 by the indent of a group and the gap between its two columns.
_LINE = 76
# Tasks that follow from the kinds of the inputs. They are listed first because they are the most common; tasks that a
# family declares (`TASK`) follow by name.
_TOLD = ("regression", "binary", "multiclass")


def task_of(loss: Loss) -> str:
    """Return the task of a loss: the ``TASK`` of its family's module, else derived from its inputs, else its family.

    >>> from lossctl import get_loss
    >>> task_of(get_loss("huber")), task_of(get_loss("bce")), task_of(get_loss("cross_entropy"))
    ('regression', 'binary', 'multiclass')
    """
    # Built-in modules only: in a user's file the name TASK may mean anything.
    said = "" if loss.source else str(loss.kernel.__globals__.get("TASK", ""))
    return said or _told(*(i.kind for i in loss.inputs)) or loss.family


def _told(pred: Kind, target: Kind | None = None, *more: Kind) -> str:
    """Return the task implied by the kinds of the inputs, or '' if the kinds fit several tasks."""
    if target is None or any(kind.core for kind in more):
        return ""
    if not pred.core and not target.core:
        return "binary" if target.name in ("Sign", "Probability") else "regression"
    return "multiclass" if pred.core == ("classes",) and target.name == "Label" else ""


def ordered(losses: Sequence[Loss]) -> list[Loss]:
    """Sort losses by task, then by family; losses of a family keep the order of its file."""

    def place(loss: Loss) -> tuple[int, str, bool, str]:
        task = task_of(loss)
        return _TOLD.index(task) if task in _TOLD else len(_TOLD), task, loss.family != task, loss.family

    return sorted(losses, key=place)


def list_report(losses: Sequence[Loss]) -> Report:
    """Build the report of ``list``: a line per loss, under a heading per task and family."""
    columns = [
        Column("name", "text"),
        Column("task", "text", detail=True),
        Column("family", "text", detail=True),
        Column("inputs", "text", detail=True),  # people see the inputs in `info`; a line has no room
        Column("params", "text", detail=True),
        Column("summary", "text", detail=True),
        Column("aliases", "text", detail=True),
        Column("gist", "text"),
    ]
    rows: list[Sequence[Cell]] = []
    groups = []
    for heading, members in groupby(ordered(losses), key=heading_of):
        group = [*members]
        groups.append((heading, len(group)))
        room = _LINE - max(len(entry.name) for entry in group)
        gists = [_gist(_plain(entry.summary), room) for entry in group]
        # If two shortened summaries are equal, the full summaries distinguish the losses.
        rows += [
            _row(entry, gist if gists.count(gist) == 1 else _plain(entry.summary))
            for entry, gist in zip(group, gists, strict=True)
        ]
    return Report(schema="lossctl.list/1", tables=[Table("losses", columns, rows, groups=groups)])


def _row(entry: Loss, gist: str) -> Sequence[Cell]:
    return (
        entry.name,
        task_of(entry),
        entry.family,
        ", ".join(i.kind.name for i in entry.inputs),
        " ".join(f"{p.name}={p.show(p.default)}" for p in entry.parameters),
        _plain(entry.summary),
        ", ".join(entry.aliases),
        gist,
    )


def _gist(summary: str, room: int) -> str:
    """Shorten a summary to ``room`` characters at the end of a clause; without such an end, return it whole."""
    if len(summary) <= room:
        return summary
    ends = [match.start() for match in re.finditer(r"[,;:.] ", summary) if match.start() <= room]
    return summary[: ends[-1]] if ends else summary


def heading_of(loss: Loss) -> str:
    """Return the heading of a loss in lists: its task, and its family if that has another name."""
    task = task_of(loss)
    return task if task == loss.family else f"{task}, {loss.family}"


def takes(parameter: Parameter) -> str:
    """Return what values a parameter takes."""
    return f"{parameter.expects}{', or a list' if parameter.per_column else ''}"


def info_report(entry: Loss, spec: str) -> Report:
    """Build the report of ``info``; ``spec`` is the loss as the user wrote it, for the example command."""
    if lists_of(entry):  # the curve and the example show one column
        entry = single_valued(entry)[0]
        spec = entry.spec
    inputs = [
        f"{', '.join(i.name for i in alike)}: {what}"
        for what, alike in groupby(entry.inputs, key=lambda i: f"{i.kind.words}{for_each(i.kind.core)}")
    ]
    parameters = [
        f"{p.name}={p.show(entry.params[p.name])}: {'; '.join(filter(None, (p.help, takes(p))))}"
        for p in entry.parameters
    ]
    curve, gradient = _curve(entry)
    differences = [*entry.differences, *(elsewhere(entry.name, entry.differences) if not entry.source else ())]
    title = " · ".join(filter(None, (entry.spec, _plain(entry.summary))))
    sections = {
        "formula": [entry.formula],
        "from": [entry.source] if entry.source else [],
        "inputs": inputs,
        "parameters": parameters,
        "gradient": gradient,
        "per sample": [entry.finish.per_sample] if entry.finish else [],
        "digits": _digits(entry),
        "elsewhere": [*differences, *_libraries(entry)],
        "beware": entry.pitfalls,
        "also called": [", ".join(entry.aliases)] if entry.aliases else [],
        "see": [entry.reference],
        "example": [example(entry, spec)],
    }
    around = _AROUND + 2 * bool(curve and len(curve.axis) > _NAME)
    room = _HEIGHT - _lines(title, sections.values()) - around
    for shorter in (differences, entry.differences):  # JSON and the error messages of --like have the others, too
        if curve and room < min(_SMALL):
            sections["elsewhere"] = shorter
            room = _HEIGHT - _lines(title, sections.values()) - around
    small = next((lines for lines in _SMALL if lines <= room), _SMALL[-1])
    facts: dict[str, Cell] = {
        "name": entry.name,
        "summary": _plain(entry.summary),
        "task": task_of(entry),
        "family": entry.family,
        "formula": entry.formula,
        "inputs": [{"name": i.name, "kind": i.kind.name, "words": i.kind.words} for i in entry.inputs],
        "params": [
            {"name": p.name, "value": entry.params[p.name], "default": p.default, "help": p.help, "takes": takes(p)}
            for p in entry.parameters
        ],
        "gradient": gradient,
        "aliases": list(entry.aliases),
        "differs": differences,
        "conventions": [fact(row) for row in of_loss(entry.name)] if not entry.source else [],
        "pitfalls": list(entry.pitfalls),
        "relative_accuracy": entry.relative_accuracy,
        "see": entry.reference,
        "example": example(entry, spec),
    }
    return Report(
        schema="lossctl.info/1",
        title=title,
        sections={heading: lines for heading, lines in sections.items() if any(lines)},
        panels=[panels([curve], small)] if curve else [],
        facts=facts,
    )


def _libraries(entry: Loss) -> list[str]:
    """Return a line with the libraries whose number can be computed."""
    names = dict.fromkeys(row.library.name for row in of_loss(entry.name)) if not entry.source else ()
    return [f"--like {', '.join(names)}"] if names else []


def _lines(title: str, sections: Iterable[Sequence[str]]) -> int:
    """Count the lines of a title and sections, wrapped to a terminal of 80 columns."""
    return len(wrap(title, _WIDTH)) + sum(len(wrap(line, LINE)) for lines in sections for line in lines)


def _curve(entry: Loss) -> tuple[Curve | None, list[str]]:
    """Return the curve of a loss (None if the loss has none) and lines about its gradient."""
    try:
        curve = curve_of(entry)
    except UsageError:
        return None, ["with respect to " + entry.inputs[0].name] if not entry.source else []
    if curve.gradient is None:
        return curve, ["none: the function returns the loss alone"]
    jumps = kinks(entry)
    axis, _, where = curve.axis.partition(", ")
    continuity = f"jumps at {axis} {' and '.join(f'{x:g}' for x in jumps)}" if jumps else "continuous"
    continuity += f" ({where})" if jumps and where else ""
    return curve, [f"with respect to {entry.inputs[0].name}; {continuity}"]


def _digits(entry: Loss) -> list[str]:
    """Describe the accuracy of value and gradient of a built-in loss, as its tests assert it."""
    if entry.source:
        return []
    terms = "within 1e-14 of the formula's terms"
    if not entry.relative_accuracy:
        return [f"{terms}: fewer digits where they cancel"]
    if entry.relative_accuracy.startswith("everywhere"):
        scope = entry.relative_accuracy.removeprefix("everywhere").removeprefix(", ").strip()
        return [f"value and gradient are right to 14 digits{f' {scope}' if scope else ''}"]
    accuracy = entry.relative_accuracy.replace("value and gradient", "value and gradient are right to 14 digits", 1)
    if accuracy == entry.relative_accuracy:
        accuracy = f"right to 14 digits: {accuracy}"
    return [f"{accuracy}; elsewhere {terms}"]


def for_each(core: tuple[str, ...]) -> str:
    """Name the axes of one sample, as in ``, for each pixel``; '' if a sample is a scalar."""
    return f", for each {' and '.join(map(_one, core))}" if core else ""


def _one(axis: str) -> str:
    """Return the singular of the name of an axis.

    >>> _one("classes"), _one("pixels...")
    ('class', 'pixel')
    """
    return "class" if axis == "classes" else axis.rstrip(".").removesuffix("s")


def _plain(docstring: str) -> str:
    return docstring.replace("``", "")


def matching(losses: Sequence[Loss], words: str) -> list[Loss]:
    """Return the losses whose name, aliases, summary and family contain every word."""
    search_words = words.lower().replace("-", "_").split()

    def holds(loss: Loss) -> Callable[[str], bool]:
        text = " ".join((loss.name, *loss.aliases, _plain(loss.summary), loss.family)).lower().replace("-", "_")
        return text.__contains__

    return [loss for loss in losses if all(map(holds(loss), search_words))]
