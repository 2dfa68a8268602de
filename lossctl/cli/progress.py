"""How far a long run is, on stderr: rows, rate, share and time left, from a second on and gone at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossctl.engine.executors.config import Seen
    from lossctl.io.dataset import Dataset
    from lossctl.render.progress_line import Line

# Nobody wants to be told of a second; and rich takes 60 ms to import.
_PATIENCE = 1.0
# Redrawn at most so often: oftener it flickers, and costs time.
_EVERY = 0.1


def wanted(*, no_progress: bool, quiet: bool) -> bool:
    """Whether a person looks at stderr, and wants to be told."""
    return (
        not (no_progress or quiet)
        and sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") != "dumb"
    )


@contextmanager
def progress(data: Dataset) -> Iterator[Seen]:
    """Shows, to whoever calls it with rows that are done, how many there are."""
    begun = time.monotonic()
    done, drawn = 0, begun + _PATIENCE - _EVERY
    bar: Line | None = None

    def seen(rows: int) -> None:
        nonlocal done, drawn, bar
        done += rows
        now = time.monotonic()
        if now - drawn >= _EVERY:
            drawn = now
            if bar is None:
                from lossctl.render.progress_line import Line

                bar = Line()
            bar.show(*_figures(done, now - begun, data))

    try:
        yield seen
    finally:
        if bar is not None:
            bar.stop()


def _figures(done: int, seconds: float, data: Dataset) -> tuple[str, float | None]:
    """What is said, and the share done where it is known."""
    share = done / data.rows if data.rows else data.share
    rate = done / seconds
    text = f"{done:,} rows · {rate / 1e6:.1f} million a second"
    if share:
        left = seconds * (1 - share) / share
        text += f" · {100 * share:.0f} % · {_clock(left)} left"
    return text, share


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
