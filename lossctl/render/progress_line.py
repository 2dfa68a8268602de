"""A line on stderr that is rewritten, and gone at the end."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_WIDTH = 20  # of the bar: the text beside it has 60 characters, and a terminal 80


class Line:
    """What a run has done, in words and, where a share is known, as a bar."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def show(self, text: str, share: float | None) -> None:
        """Rewrite the line."""
        line = Table.grid(padding=(0, 1))
        words = Text(text, no_wrap=True)
        if share is None:
            line.add_row(words)
        else:
            line.add_row(ProgressBar(total=1.0, completed=share, width=_WIDTH), words)
        self._live.update(line, refresh=True)

    def stop(self) -> None:
        """Take the line away."""
        self._live.stop()
