"""What the command line changes in its process: stdout is for results alone, and signals end a run in order."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any, TextIO

from lossctl.errors import Signalled, printable

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def begin() -> None:
    """Reserve stdout for results, and turn signals and warnings into an orderly end and one line."""
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, and shells for jobs in the background, ignore some
            signal.signal(number, _interrupt)
    sys.unraisablehook = _unraisable
    warnings.showwarning = _show_warning
    _reserve_stdout()


def end(code: int) -> int:
    """Return the exit code of a run that has ended with ``code``; from now on a signal ends the process at once."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)
    sys.stdout = sys.stderr  # what a user's exit handlers print
    # An exception that is raised in __del__ or in a callback of a library is lost, but not the signal.
    return 128 + _received[0] if _received and code in {0, 130} else code


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
    _received.append(number)
    raise Signalled(number)


def _reserve_stdout() -> None:
    """Move stdout to another descriptor, and let descriptor 1 be stderr.

    A user's loss can write to descriptor 1 without Python's stdout: from C, in a process that it starts, at exit.
    """
    stdout = sys.stdout
    try:
        moved = os.dup(1)  # not inherited by other processes
    except OSError:  # it is closed
        return
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if stdout is not None:
        sys.stdout = open(moved, "w", encoding=stdout.encoding, errors=stdout.errors)  # noqa: SIM115 - until the end


def _unraisable(unraisable: Any) -> None:
    if not issubclass(unraisable.exc_type, Signalled):
        sys.__unraisablehook__(unraisable)


def _show_warning(  # noqa: PLR0917 - the signature of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of a user's code or a library in one line, without terminal codes."""
    if sys.stderr is not None:
        print(f"{printable(filename)}:{lineno}: {category.__name__}: {printable(str(message))}", file=sys.stderr)
