"""The state of a file (size and time of the last write, or ETag), and errors about files that change."""

from __future__ import annotations

from typing import TypeAlias

from lossctl.errors import DataError

# Size in bytes, and the time of the last write in ns; of a remote file its ETag or the like, and -1 for no size.
State: TypeAlias = tuple[int, int | str]


def another_file_error(display_name: str) -> DataError:
    """Return the error for a path that refers to a different file in a worker process."""
    return DataError(
        f"{display_name}: not the file that it was where the run began (size or time of writing): every worker "
        "must see the same files, and nobody may write them"
    )


def modified_error(display_name: str) -> DataError:
    """Return the error for a file written to while it was read: the data may mix the old and the new contents."""
    return DataError(f"{display_name}: changed while it was read: is something still writing it?")
