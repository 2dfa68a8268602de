"""A progress line on stderr, rewritten in place and erased at the end."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_WIDTH = 20  # columns of the bar: the text beside the bar takes 60 of the 80 columns of a terminal


class Line:
    """The progress of a run: text and, if the share done is known, a bar."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def show(self, text: str, share: float | None) -> None:
        """Rewrite the line; ``share`` is between 0 and 1, None if unknown."""
        line = Table.grid(padding=(0, 1))
        words = Text(text, no_wrap=True)
        if share is None:
            line.add_row(words)
        else:
            line.add_row(ProgressBar(total=1.0, completed=share, width=_WIDTH), words)
        self._live.update(line, refresh=True)

    def stop(self) -> None:
        """Erase the line."""
        self._live.stop()
