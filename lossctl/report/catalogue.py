"""What ``list`` and ``info`` print."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from lossctl.curves import curve_of, kinks
from lossctl.errors import UsageError
from lossctl.kernels.kinds import takes_all
from lossctl.kernels.spec import Loss
from lossctl.report import Cell, Column, Drawing, Report, Table
from lossctl.report.curves import panels
from lossctl.report.examples import example

# Lines of the curve in `info`: with its title and its axis eight.
_SMALL = 5
# What the indent of a group and the gap between its columns leave of 80.
_LINE = 76
# The order in which tasks are listed: as many people have them; others follow by name.
_ORDER = ("regression", "binary", "multiclass", "multilabel")
# Families of which a row or a number is not one prediction, though it may be of the same kind.
_OF_THEIR_OWN = ("pairs", "ranking", "sequences")


def task_of(loss: Loss) -> str:
    """What the loss is for, by what it takes; where that does not tell, its family.

    >>> from lossctl import get_loss
    >>> task_of(get_loss("huber")), task_of(get_loss("bce")), task_of(get_loss("cross_entropy"))
    ('regression', 'binary', 'multiclass')
    """
    kinds = [i.kind for i in loss.inputs]
    if len(kinds) < 2 or loss.family in _OF_THEIR_OWN or any(kind.core for kind in kinds[2:]):
        return loss.family
    pred, target = kinds[:2]
    if not pred.core and not target.core:
        return "binary" if target.name in ("Sign", "Probability") else "regression"
    if pred.core == ("classes",):
        if target.name == "Label":
            return "multiclass"
        return loss.family if loss.family in _ORDER or target.core != pred.core else "distribution"
    return loss.family


def ordered(losses: Sequence[Loss]) -> list[Loss]:
    """By task and family, each family in the order of its file."""

    def place(loss: Loss) -> tuple[int, str, bool, str]:
        task = task_of(loss)
        return _ORDER.index(task) if task in _ORDER else len(_ORDER), task, loss.family != task, loss.family

    return sorted(losses, key=place)


def catalogue(losses: Sequence[Loss]) -> Report:
    """What ``list`` prints: a line a loss, under headings."""
    columns = [
        Column("name", "text"),
        Column("task", "text", detail=True),
        Column("family", "text", detail=True),
        Column("inputs", "text", detail=True),  # `info` tells them; a line has no room
        Column("params", "text", detail=True),
        Column("summary", "text", detail=True),
        Column("aliases", "text", detail=True),
        Column("gist", "text"),
    ]
    rows: list[Sequence[Cell]] = []
    groups = []
    for heading, members in groupby(ordered(losses), key=_heading):
        group = [*members]
        groups.append((heading, len(group)))
        room = _LINE - max(len(entry.name) for entry in group)
        gists = [_gist(_plain(entry.summary), room) for entry in group]
        # What is cut off may be all that tells two losses apart.
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
    """As much of a summary as there is room for, cut where a clause ends, if one does."""
    if len(summary) <= room:
        return summary
    ends = [match.start() for match in re.finditer(r"[,;:.] ", summary) if match.start() <= room]
    return summary[: ends[-1]] if ends else summary


def _heading(loss: Loss) -> str:
    task = task_of(loss)
    return task if task == loss.family else f"{task}, {loss.family}"


def described(entry: Loss, spec: str) -> Report:
    """What ``info`` prints; ``spec`` is how the loss was named."""
    inputs = [f"{i.name}: {i.kind.words}{_each(i.kind.core)}" for i in entry.inputs]
    parameters = [
        f"{p.name}={p.show(entry.params[p.name])}: {'; '.join(filter(None, (p.help, p.expects)))}"
        for p in entry.parameters
    ]
    drawn, gradient = _drawn(entry)
    sections = {
        "formula": [entry.formula],
        "from": [entry.source] if entry.source else [],
        "inputs": inputs,
        "parameters": parameters,
        "gradient": gradient,
        "per sample": [entry.finish.per_sample] if entry.finish else [],
        "digits": _digits(entry),
        "elsewhere": entry.differs,
        "beware": entry.pitfalls,
        "also called": [", ".join(entry.aliases)] if entry.aliases else [],
        "see": [entry.see],
        "example": [example(entry, spec)],
    }
    facts: dict[str, Cell] = {
        "name": entry.name,
        "summary": _plain(entry.summary),
        "task": task_of(entry),
        "family": entry.family,
        "formula": entry.formula,
        "inputs": [{"name": i.name, "kind": i.kind.name, "words": i.kind.words} for i in entry.inputs],
        "params": [
            {"name": p.name, "value": entry.params[p.name], "default": p.default, "help": p.help, "takes": p.expects}
            for p in entry.parameters
        ],
        "gradient": gradient,
        "aliases": list(entry.aliases),
        "differs": list(entry.differs),
        "pitfalls": list(entry.pitfalls),
        "relative_accuracy": entry.relative,
        "see": entry.see,
        "example": example(entry, spec),
    }
    return Report(
        schema="lossctl.info/1",
        title=" · ".join(filter(None, (entry.spec, _plain(entry.summary)))),
        sections={heading: lines for heading, lines in sections.items() if any(lines)},
        panels=drawn,
        facts=facts,
    )


def _drawn(entry: Loss) -> tuple[list[list[Drawing]], list[str]]:
    """The small curve, if there is one, and what there is to say of the gradient."""
    try:
        curve = curve_of(entry)
    except UsageError:
        return [], ["with respect to " + entry.inputs[0].name] if not entry.source else []
    if curve.gradient is None:
        return panels([curve], _SMALL), ["none: the function returns the loss alone"]
    jumps = kinks(entry)
    told = f"jumps at {curve.axis} {' and '.join(f'{x:g}' for x in jumps)}" if jumps else "continuous"
    return panels([curve], _SMALL), [f"with respect to {entry.inputs[0].name}; {told}"]


def _digits(entry: Loss) -> list[str]:
    """How exact value and gradient are, of losses whose tests say so."""
    if entry.source:
        return []
    terms = "wrong by at most 1e-14 of the magnitudes of the terms of the formula, added up"
    if not entry.relative:
        return [f"value and gradient are {terms}: where these cancel, digits are lost"]
    if entry.relative.startswith("everywhere"):
        rest = entry.relative.removeprefix("everywhere").removeprefix(", ").strip()
        return [f"value and gradient are right to 14 digits{f' {rest}' if rest else ''}"]
    told = entry.relative.replace("value and gradient", "value and gradient are right to 14 digits", 1)
    if told == entry.relative:
        told = f"right to 14 digits: {told}"
    return [f"{told}; elsewhere {terms}"]


def _each(core: tuple[str, ...]) -> str:
    whose = "image's" if takes_all(core) else "row's"
    return f", one for each of the {whose} {' and '.join(name.rstrip('.') for name in core)}" if core else ""


def _plain(docstring: str) -> str:
    return docstring.replace("``", "")


def matching(losses: Sequence[Loss], words: str) -> list[Loss]:
    """Those whose name, aliases or summary hold every word."""
    wanted = words.lower().replace("-", "_").split()

    def holds(loss: Loss) -> Callable[[str], bool]:
        text = " ".join((loss.name, *loss.aliases, _plain(loss.summary), loss.family)).lower().replace("-", "_")
        return text.__contains__

    return [loss for loss in losses if all(map(holds(loss), wanted))]
