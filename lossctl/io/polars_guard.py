"""Keeping what polars does besides its work out of ours: on stderr, and with Ctrl-C."""

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
# Seconds for polars' other threads, of which several may panic, to have told of it too.
_LATE = 0.01


@contextmanager
def absorb_second_interrupt() -> Iterator[None]:
    """Let Ctrl-C end what polars does a single time.

    polars raises KeyboardInterrupt itself, and Python, whose handler was called too, raises it again at the
    next occasion: while a generator is being closed, say, which can only print a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        try:
            for _ in range(2):  # an occasion
                pass
        except KeyboardInterrupt:
            pass
        raise


@contextmanager
def capture_stderr() -> Iterator[None]:
    """Keep what is written to stderr meanwhile, and pass it on unless there is an error.

    Rust tells of a panic on the descriptor itself, before Python hears of it. One thread at a time:
    a process has one stderr.
    """
    with _ONE:
        if sys.stderr is None:  # closed from the start: descriptor 2 is some other file by now
            yield
            return
        sys.stderr.flush()
        backtrace = os.environ.get(_BACKTRACE)
        os.environ[_BACKTRACE] = "0"  # which nobody would see, and a thread may still be at work on
        kept = os.dup(_STDERR)
        with tempfile.TemporaryFile() as told:
            os.dup2(told.fileno(), _STDERR)
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
            told.seek(0)
            os.write(_STDERR, told.read())
