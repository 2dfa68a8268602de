"""Sort the rows of a spool by a key in bounded memory (distribution sort).

Exact order statistics of the keys serve as pivots. Rows between two pivots go to one partition, which is sorted in
memory. Rows whose key equals a pivot go to a partition of their own and need no sort, so that ties cannot make a
partition too large. Each row is written twice and read four to six times, whatever the input order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lossctl.analysis.quantiles import order_statistics
from lossctl.core.arrays import Array
from lossctl.io.spool import ROWS, Record, Spool

# Rows per partition. A row of a breakdown has about 80 bytes, and is in memory twice while its partition is sorted.
_PARTITION_ROWS = 1 << 19
# Maximum number of partitions. Each one has an open file, as has each pivot. Above _MAX_PARTITIONS · _PARTITION_ROWS =
# 33 million rows the partitions, and with them memory, grow with the input by one or two bytes per row.
_MAX_PARTITIONS = 64
# Rows of a partition that are buffered before they are written: 40 MiB for all partitions.
_BUFFERED_ROWS = 1 << 12


def sort_rows(spool: Spool, key: Callable[[Record], Array]) -> Spool:
    """Return the rows of a spool in ascending order of their key; the sort is stable.

    Args:
        spool: the rows; read several times and not modified.
        key: returns the key of each row of a record, an array of shape (rows,) without NaN.
    """
    count = min(math.ceil(spool.rows / _PARTITION_ROWS), _MAX_PARTITIONS)
    ranks = [spool.rows * i // count for i in range(1, count)]
    borders = np.unique(order_statistics(lambda: (key(record) for record in spool.records()), ranks) if ranks else [])
    partitions = [Spool(_BUFFERED_ROWS) for _ in range(2 * len(borders) + 1)]
    for record in spool.records():
        keys = key(record)
        # The partition number is even between two pivots, and odd at a pivot.
        place = np.searchsorted(borders, keys, side="left") + np.searchsorted(borders, keys, side="right")
        for i in np.unique(place).tolist():
            taken = np.flatnonzero(place == i)
            partitions[i].write(*(array[taken] for array in record))
    done = Spool()
    for i, partition in enumerate(partitions):
        with partition:
            if i % 2:
                for record in partition.records():
                    done.write(*(array.copy() for array in record))
            elif partition.rows:
                _sort(partition, key, done)
    return done


def _sort(partition: Spool, key: Callable[[Record], Array], done: Spool) -> None:
    """Sort one partition in memory and append its rows to ``done``."""
    records = [tuple(array.copy() for array in record) for record in partition.records()]
    whole = tuple(np.concatenate(arrays) for arrays in zip(*records, strict=True))
    order = np.argsort(key(whole), kind="stable")
    for begin in range(0, len(order), ROWS):
        done.write(*(array[order[begin : begin + ROWS]] for array in whole))
