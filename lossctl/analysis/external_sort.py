"""The rows of a spool in another order, in bounded memory.

Order statistics of the keys, which are exact, part the rows into piles that can be sorted one after the
other; rows whose key is one of these statistics are a pile of their own, however many, and need no sorting.
So rows are written twice and read four to six times, whatever their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lossctl.analysis.quantiles import order_statistics
from lossctl.core.arrays import Array
from lossctl.io.spool import ROWS, Record, Spool

# Rows of a pile: a breakdown's are 80 bytes or so each, and are there twice while they are sorted.
_SORTED = 1 << 19
# Piles at most, of each of which one file is open, and one for its border: above _PILES · _SORTED rows, which are
# 33 million, piles and memory grow with the input, by a byte or two a row.
_PILES = 64
# Rows of a pile that are held before they are written: of all piles together 40 MiB.
_HELD = 1 << 12


def sort_rows(spool: Spool, key: Callable[[Record], Array]) -> Spool:
    """The same rows, those of the least key first; of equals in the order in which they came.

    Args:
        spool: what is there; it is read several times, and left as it is.
        key: a number for each row of a record, never NaN.
    """
    count = min(math.ceil(spool.rows / _SORTED), _PILES)
    ranks = [spool.rows * i // count for i in range(1, count)]
    borders = np.unique(order_statistics(lambda: (key(record) for record in spool.records()), ranks) if ranks else [])
    piles = [Spool(_HELD) for _ in range(2 * len(borders) + 1)]
    for record in spool.records():
        keys = key(record)
        # Even between two borders, odd on one.
        place = np.searchsorted(borders, keys, side="left") + np.searchsorted(borders, keys, side="right")
        for i in np.unique(place).tolist():
            taken = np.flatnonzero(place == i)
            piles[i].write(*(array[taken] for array in record))
    done = Spool()
    for i, pile in enumerate(piles):
        with pile:
            if i % 2:
                for record in pile.records():
                    done.write(*(array.copy() for array in record))
            elif pile.rows:
                _sort(pile, key, done)
    return done


def _sort(pile: Spool, key: Callable[[Record], Array], done: Spool) -> None:
    """Add the rows of a pile in their order."""
    records = [tuple(array.copy() for array in record) for record in pile.records()]
    whole = tuple(np.concatenate(arrays) for arrays in zip(*records, strict=True))
    order = np.argsort(key(whole), kind="stable")
    for begin in range(0, len(order), ROWS):
        done.write(*(array[order[begin : begin + ROWS]] for array in whole))
