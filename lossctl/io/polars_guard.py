"""Context managers that contain side effects of polars: output on stderr, and a repeated KeyboardInterrupt."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ONE = threading.Lock()
_STDERR = 2
_BACKTRACE = "RUST_BACKTRACE"
# Seconds to wait after an error. Several threads of polars may panic; the others need time to write their messages.
_LATE = 0.01


@contextmanager
def absorb_second_interrupt() -> Iterator[None]:
    """Make Ctrl-C during a call of polars raise KeyboardInterrupt exactly once.

    polars raises KeyboardInterrupt itself. The signal handler of Python has been called too, so Python raises
    KeyboardInterrupt again at its next check for signals. If a generator is being closed at that moment, Python can
    only print a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        try:
            for _ in range(2):  # a loop makes Python check for signals
                pass
        except KeyboardInterrupt:
            pass
        raise


@contextmanager
def capture_stderr() -> Iterator[None]:
    """Capture stderr inside the context; write the captured text to stderr at the end, or drop it after an error.

    Rust writes a panic message to the file descriptor itself before Python gets the exception. A lock admits one
    thread at a time, because a process has one stderr.
    """
    with _ONE:
        if sys.stderr is None:  # stderr was closed at start-up, so descriptor 2 may be another file now
            yield
            return
        sys.stderr.flush()
        backtrace = os.environ.get(_BACKTRACE)
        os.environ[_BACKTRACE] = "0"  # a backtrace would be dropped, and a thread may still be writing it
        kept = os.dup(_STDERR)
        with tempfile.TemporaryFile() as captured:
            os.dup2(captured.fileno(), _STDERR)
            try:
                yield
                sys.stderr.flush()
            except BaseException:
                time.sleep(_LATE)
                raise
            finally:
                os.dup2(kept, _STDERR)
                os.close(kept)
                if backtrace is None:
                    del os.environ[_BACKTRACE]
                else:
                    os.environ[_BACKTRACE] = backtrace
            captured.seek(0)
            os.write(_STDERR, captured.read())
