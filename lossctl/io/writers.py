"""Writers of binary files: NPY from blocks of rows, and Parquet from rows of cells, both in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lossctl.io.polars_guard import require_room
from lossctl.io.spool import ROWS

if TYPE_CHECKING:
    import polars as pl


def write_npy(file: BinaryIO, shape: tuple[int, ...], blocks: Iterable[npt.NDArray[np.float64]]) -> None:
    """Write an array of doubles to an NPY file.

    Args:
        file: the file.
        shape: shape of the array, (rows, ...).
        blocks: the rows in order, in arrays of shape (rows of the block, ...).

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write_npy(file, (3,), [np.array([0.5, 1.0]), np.array([2.0])])
    >>> np.load(BytesIO(file.getvalue())).tolist()
    [0.5, 1.0, 2.0]
    """
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    file.writelines(np.ascontiguousarray(block).data for block in blocks)


def write_parquet(file: BinaryIO, columns: Mapping[str, type], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a Parquet file: polars pulls batches of rows and writes each one.

    Args:
        file: the file.
        columns: the type of the cells (str, int or float) of each column.
        rows: the cells of each row; None is a null. They are iterated over once.
    """
    require_room("a Parquet file")
    import polars as pl
    from polars.io.plugins import register_io_source

    types = {str: pl.String, int: pl.Int64, float: pl.Float64}
    schema = {name: types[kind] for name, kind in columns.items()}

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        for batch in _batched(rows, ROWS):
            yield pl.DataFrame(batch, schema=schema, orient="row")

    register_io_source(frames, schema=pl.Schema(schema)).sink_parquet(file, engine="streaming")


def _batched(rows: Iterable[Sequence[Any]], size: int) -> Iterator[list[Sequence[Any]]]:
    """Split rows into lists of ``size``, like ``itertools.batched``, which Python 3.11 lacks."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch
