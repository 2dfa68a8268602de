"""Progress of a long run on stderr: rows, rate, share and time left; shown after a second, erased at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossctl.engine.executors.config import ProgressCallback
    from lossctl.io.dataset import Dataset
    from lossctl.render.progress_line import Line

# Seconds before the first line: a run of a second needs no progress, and rich takes 60 ms to import.
_PATIENCE = 1.0
# Least seconds between two updates; more frequent updates flicker and cost time.
_EVERY = 0.1


def wanted(*, no_progress: bool, quiet: bool) -> bool:
    """Return whether to show progress: stderr is a terminal, and no option disables progress."""
    return (
        not (no_progress or quiet)
        and sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") != "dumb"
    )


@contextmanager
def progress(data: Dataset) -> Iterator[ProgressCallback]:
    """Yield a function that adds a number of finished rows and updates the progress line."""
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
    """Return the text of the progress line, and the share of the input done, None if unknown."""
    share = done / data.rows if data.rows else data.share
    rate = done / seconds
    text = f"{done:,} rows · {rate / 1e6:.1f} million a second"
    if share:
        left = seconds * (1 - share) / share
        text += f" · {100 * share:.0f} % · {_clock(left)} left"
    return text, share


def _clock(seconds: float) -> str:
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"
