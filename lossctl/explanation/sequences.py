"""Sequences of different lengths, padded or one after the other, as rows with the number of their sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError
from lossctl.explanation.result import Explanation
from lossctl.immutable import immutable


@immutable(eq=False)
class Sequences:
    """The rows within the lengths.

    Attributes:
        kept: the mask of the places that count, (n, steps) of padded sequences; None if the rows are not padded.
        groups: the sequence of each row that counts, from 0.
        places: how many places there are with the padding; None if there is none.
    """

    kept: npt.NDArray[np.bool_] | None
    groups: npt.NDArray[np.intp]
    places: int | None

    def rows(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows of an array that count; a number for each sequence is repeated."""
        if self.kept is None:
            return array
        return array[self.kept] if array.shape[:2] == self.kept.shape else array[self.groups]


def sequences(lengths: npt.NDArray[Any], target: npt.NDArray[Any]) -> Sequences:
    """Return the rows that count.

    Args:
        lengths: the lengths; of padded sequences one for each row of ``target`` (n, steps, …), otherwise their sum is
            the number of rows.
        target: the targets.

    Raises:
        DataError: a length is no whole number in its range, or the lengths fit neither form.
    """
    whole = (lengths >= 0) & (np.floor(lengths) == lengths)
    if not whole.all():
        at = int((~whole).argmax())
        raise DataError(f"lengths[{at}] is {lengths[at]:g}: a length is a whole number")
    counts = lengths.astype(np.intp)
    padded = target.ndim > 1 and len(counts) == len(target)
    if not padded:
        if counts.sum() != len(target):
            raise DataError(f"the lengths add up to {counts.sum()}, and there are {len(target)} rows")
        return Sequences(None, np.repeat(np.arange(len(counts)), counts), None)
    steps = target.shape[1]
    if counts.max() > steps:
        at = int(counts.argmax())
        raise DataError(f"lengths[{at}] is {counts[at]}: a row has {steps} steps")
    kept = np.arange(steps) < counts[:, None]
    return Sequences(kept, np.nonzero(kept)[0].astype(np.intp), kept.size)


def without_lengths(explanation: Explanation, most: int) -> Explanation:
    """Return the answers of a search of all places, padding too, as departures from one within the lengths.

    Args:
        explanation: the answers of the search without the lengths.
        most: the most departures of an answer.
    """
    candidates = [
        replace(c, departures=("counts padding as data", *c.departures), cost=c.cost + 1)
        for c in explanation.candidates
        if c.cost < most
    ]
    return replace(explanation, candidates=tuple(candidates))
