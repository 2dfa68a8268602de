"""Context managers that contain side effects of polars: output on stderr, and a repeated KeyboardInterrupt."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

from lossctl.errors import LossctlError

# Bytes of address space and number of threads that polars needs. On 2 cores it starts 12 threads, and reads 12 MB of
# CSV with 1.6 GB, but not with 1.2 GB. On more cores it needs more.
_ADDRESS_SPACE = 2 << 30
_THREADS, _THREADS_OF_CORE = 16, 4
_ONE = threading.Lock()
_STDERR = 2
_BACKTRACE = "RUST_BACKTRACE"
# Seconds to wait after an error. Several threads of polars may panic; the others need time to write their messages.
_LATE = 0.01


@cache
def has_room() -> bool:
    """Return whether polars is installed and the limits (``ulimit -v``, ``ulimit -u``) leave room for it.

    Rust ends the process when an allocation fails, and prints a page when no thread starts.
    """
    if find_spec("polars") is None:
        return False
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return (limit == resource.RLIM_INFINITY or limit >= _ADDRESS_SPACE) and _threads_start(
        _THREADS + _THREADS_OF_CORE * len(os.sched_getaffinity(0))
    )


def _threads_start(count: int) -> bool:
    """Start threads, and end them; return whether all have started. 24 threads take 1 ms."""
    end, started = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in started:
            thread.join()
    return True


def require_room(name: str) -> None:
    """Check that polars can be used.

    Args:
        name: the file that only polars can read or write.

    Raises:
        LossctlError: polars is not installed, or a limit is too low.
    """
    if find_spec("polars") is None:
        raise LossctlError(f"{name}: needs polars: pip install polars")
    if not has_room():
        raise LossctlError(
            f"{name}: too little memory or too few threads for polars: it needs ulimit -v {_ADDRESS_SPACE >> 10}, and "
            f"{_THREADS} threads and {_THREADS_OF_CORE} for each core (ulimit -u)"
        )


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
