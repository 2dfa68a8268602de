"""Losses by group of samples: by the values of a column, by the class of the target, or by output column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.analysis.per_sample import cells
from lossctl.core.kind import CLASSES
from lossctl.engine.accumulate import Summary, WeightedMoments, sum_losses
from lossctl.engine.block import Block
from lossctl.engine.evaluate import Evaluated, scaled_weights
from lossctl.engine.exact_sum import exact
from lossctl.engine.plan import LossPlan
from lossctl.errors import DataError, UsageError
from lossctl.immutable import immutable
from lossctl.io.text_grammar import NUMBER

Label: TypeAlias = str | float  # text as a file has it, or a number; NaN is the text "nan"
Codes: TypeAlias = npt.NDArray[np.intp]

# Maximum number of groups: more than can be read; each takes about 700 bytes.
MAX_GROUPS = 100_000
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")  # below the digit limit of int()
_SHORT = 1 << 16  # NumPy sorts two-byte codes by radix sort, which is many times as fast


@immutable
class GroupBy:
    """A grouping of samples or elements.

    Attributes:
        what: "class" groups by the class of the target, "output" by output column, any other value by ``role``.
        role: a role with one cell per row, whose values are the groups.
    """

    what: str
    role: str = ""

    @property
    def where(self) -> str:
        """The name of the grouping in messages."""
        return self.role or f"--by {self.what}"


def check_groups(by: GroupBy, plan: LossPlan) -> None:
    """Check that the loss has the requested groups.

    Raises:
        UsageError: grouping by class if the target is not a class, or by output if there is a single output.
    """
    if by.what == "class":
        target = plan.loss.inputs[plan.roles.index("target")].kind if "target" in plan.roles else None
        if target is None or not (target.labels or target.core == CLASSES):
            words = f"is {target.words}" if target else "is not there"
            raise UsageError(f"--by class: the target of {plan.loss.name} {words}, no class; --by COLUMN groups by any")
    if by.what == "output" and plan.per_row == 1:
        raise UsageError("--by output: a sample has a single output here; several columns of PREDS are several")


def grouped(block: Block, plan: LossPlan, evaluated: Evaluated, by: GroupBy) -> dict[Label, Summary]:
    """Summarize each group of one block."""
    if not len(evaluated.values):
        return {}
    scaled, exponent = scaled_weights(evaluated, block.options)
    if exponent:
        return {label: group.weighed(exponent) for label, group in grouped(block, plan, scaled, by).items()}
    labels, codes = _coded(block, plan, evaluated, by)
    order = np.argsort(codes.astype(np.uint16) if len(labels) <= _SHORT else codes, kind="stable")
    codes = codes[order]
    values, part, share = evaluated.values[order], evaluated.parts[order], evaluated.shares[order]
    weights = None if evaluated.elements.weights is None else evaluated.elements.weights[order]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    elements = np.diff(begins, append=len(codes))
    firsts, odd = begins, ~np.isfinite(np.add.reduceat(part, begins))
    if plan.per_row > 1:  # sum over the elements of each sample
        rows = evaluated.index[order] // plan.per_row
        starts = np.flatnonzero((np.diff(codes, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0))
        part, share = np.add.reduceat(part, starts), np.add.reduceat(share, starts)
        firsts = np.searchsorted(starts, begins)
    samples = np.diff(firsts, append=len(part))
    total, weight = np.add.reduceat(part, firsts), np.add.reduceat(share, firsts)
    off = part - np.repeat(np.where(weight != 0, total / weight, 0.0), samples) * share
    moments = [np.add.reduceat(a, firsts).tolist() for a in (off * off, off * share, share * share)]
    groups = {}
    for i, (label, n, count, lost, amount, *spread) in enumerate(
        zip(
            [labels[code] for code in codes[begins].tolist()],
            *(samples.tolist(), elements.tolist(), total.tolist(), weight.tolist(), *moments),
            strict=True,
        )
    ):
        moments_of_group = WeightedMoments(n, lost, amount, *spread)
        if odd[i]:
            group = slice(int(begins[i]), int(begins[i]) + count)
            group_weights = None if weights is None else weights[group]
            sums = sum_losses(values[group], evaluated.parts[order[group]], exact(amount), group_weights)
            groups[label] = replace(sums, samples=n, spread=moments_of_group)
        else:
            groups[label] = Summary(
                samples=n, elements=count, total=exact(lost), weight=exact(amount), spread=moments_of_group
            )
    return groups


def _coded(block: Block, plan: LossPlan, evaluated: Evaluated, by: GroupBy) -> tuple[list[Label], Codes]:
    """Return the labels in this block and, for each element, the index of its label (shape (elements,))."""
    if by.what == "output":
        return list(range(plan.per_row)), evaluated.index % plan.per_row
    if by.what == "class":
        target = evaluated.elements.arrays[plan.roles.index("target")]
        return _numbers(target.argmax(axis=-1) if target.ndim > 1 else target)
    column = cells(block, by.role)
    labels, codes = _texts(column) if column.dtype.hasobject else _numbers(column)
    return labels, codes[evaluated.index // plan.per_row]


def _numbers(column: npt.NDArray[Any]) -> tuple[list[Label], Codes]:
    # + 0.0 turns -0.0 into 0.0. Integers are not converted, because not every int64 is exact as a float64.
    different, codes = np.unique(column if column.dtype.kind in "iu" else column + 0.0, return_inverse=True)
    return ["nan" if x != x else x for x in different.tolist()], codes


def _texts(column: npt.NDArray[Any]) -> tuple[list[Label], Codes]:
    texts = column.tolist()
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return list(place), np.fromiter(map(place.__getitem__, texts), np.intp, len(texts))


def merge_groups(total: dict[Label, Summary], part: Mapping[Label, Summary], where: str) -> None:
    """Add the groups of another block to ``total``, in place.

    Raises:
        DataError: more than ``MAX_GROUPS`` groups.
    """
    for label, summary in part.items():
        total[label] = total[label] + summary if label in total else summary
    if len(total) > MAX_GROUPS:
        raise DataError(f"{where}: more than {MAX_GROUPS:,} groups: group by a column of fewer different values")


def sort_groups(groups: Mapping[Label, Summary]) -> dict[Label, Summary]:
    """Sort groups by label; if all labels are numbers, sort by value and merge equal ones (1, 1.0 and 01)."""
    texts = [label for label in groups if isinstance(label, str) and label != "nan"]
    if not all(NUMBER.fullmatch(text) for text in texts):
        return {label: groups[label] for label in sorted(groups, key=str)}
    numbers: dict[Label, Summary] = {}
    spelled: dict[tuple[bool, float], Label] = {}
    for label in sorted(groups, key=_value):
        key = spelled.setdefault(_value(label), label)
        numbers[key] = numbers[key] + groups[label] if key in numbers else groups[label]
    return numbers


def _value(label: Label) -> tuple[bool, float]:
    """Return the sort key of a numeric label: NaN comes last, and integers are compared exactly, not as float64."""
    number = label if not isinstance(label, str) else int(label) if _INTEGER.fullmatch(label) else float(label)
    return number != number, number if number == number else 0.0
