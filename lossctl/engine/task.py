"""The unit of work of an executor: a range of rows that is read and evaluated block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from lossctl.engine.block import EXACT_INTEGERS, Block
from lossctl.engine.elements import RowError
from lossctl.engine.executors.threads import retain_freed_memory
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan
from lossctl.errors import number
from lossctl.immutable import immutable
from lossctl.io.dataset import FieldRef, RowRange
from lossctl.io.source import BadValueError, Read, Rows
from lossctl.io.text_grammar import NUMBER, quote_cell

T = TypeVar("T")


class KeysDifferError(Exception):
    """A row whose keys in two files differ: the roles of the two keys, the row number and both values."""

    def __init__(self, roles: tuple[str, str], row: int, values: tuple[str, str]) -> None:
        super().__init__(roles, row, values)
        self.roles, self.row, self.values = roles, row, values


@immutable
class BlockReducer(Generic[T]):
    """How to merge the results of consecutive blocks.

    Attributes:
        combine: merges two results, in the order of rows.
        blocks: the number of blocks merged into one result. It is the same on every executor, because
            floating-point sums depend on the order of addition.
    """

    combine: Callable[[T, T], T]
    blocks: int


@immutable
class Task(Generic[T]):
    """A range of rows and the function that is applied to each of its blocks, for each loss.

    Attributes:
        row_range: the range of rows and its sources.
        places: the source and the field of each role.
        keys: pairs of roles that must have equal values in each row.
        plans: the losses.
        options: options for all losses.
        block_rows: rows in a block.
        map_block: computes the result of one block for one loss.
        reducer: how to merge the results of consecutive blocks; None to keep one result for each block.
    """

    row_range: RowRange
    places: Mapping[str, FieldRef]
    keys: tuple[tuple[str, str], ...]
    plans: tuple[LossPlan, ...]
    options: ComputeOptions
    block_rows: int
    map_block: Callable[[Block, LossPlan], T]
    reducer: BlockReducer[T] | None = None

    def __call__(self) -> list[tuple[T, ...]]:
        """Return a tuple with a result for each loss, for each block or, with ``reducer``, for each group of blocks."""
        retain_freed_memory()
        with np.errstate(all="ignore"):  # overflow shows in the result
            blocks = self._blocks()
        if self.reducer is None:
            return blocks
        combine, size = self.reducer.combine, self.reducer.blocks
        groups = (blocks[i : i + size] for i in range(0, len(blocks), size))
        return [tuple(reduce(combine, results) for results in zip(*group, strict=True)) for group in groups]

    def _blocks(self) -> list[tuple[T, ...]]:
        readers = [source.reader() for source in self.row_range.sources]
        results = []
        for start in range(self.row_range.start, self.row_range.stop, self.block_rows):
            stop = min(start + self.block_rows, self.row_range.stop)
            rows = [self._read(i, r, start, stop) for i, r in enumerate(readers)]
            block = Block(self.options, self.places, start, rows)
            for roles in self.keys:
                _agree(block, roles)
            results.append(tuple(self.map_block(block, plan) for plan in self.plans))
        return results

    def _read(self, index: int, read: Read, start: int, stop: int) -> Rows:
        try:
            return read(start, stop)
        except BadValueError as bad:
            role = next(r for r, p in self.places.items() if p.source == index and p.field == bad.field)
            raise RowError(role, start + bad.row, bad.place, bad.cause) from None


def _agree(block: Block, roles: tuple[str, str]) -> None:
    """Raise KeysDifferError unless two keys are equal in each row, as text or as numbers."""
    left, right = (_key(block, role) for role in roles)
    differ = left != right
    if differ.any() and left.dtype == object:
        differ[differ] = [_number(a) != _number(b) for a, b in zip(left[differ], right[differ], strict=True)]
    if differ.any():
        row = int(np.argmax(differ))
        values = [quote_cell(v) if isinstance(v, str) else number(v) for v in (left[row], right[row])]
        raise KeysDifferError(roles, block.start + row, (values[0], values[1]))


def _number(text: str) -> Decimal | str:
    """Return the number that a key is, so that 1 and 1.0 are the same key; a key that is no number is a text."""
    return Decimal(text) if NUMBER.fullmatch(text) and not {*text.lower()} & {*"eatf"} else text  # no exponent, no nan


def _key(block: Block, role: str) -> npt.NDArray[Any]:
    place = block.places[role]
    raw = block.rows[place.source][place.field]
    if raw.dtype == object:
        return raw.reshape(-1)
    key = block.input(role)
    beyond = np.abs(key) > EXACT_INTEGERS
    if beyond.any():
        row = int(np.argmax(beyond))
        cause = (
            f"{number(key[row])} is beyond 2**53, where different keys can be the same double: use text in both files"
        )
        raise RowError(role, block.start + row, None, cause)
    return key
