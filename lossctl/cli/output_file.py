"""Write ``-o FILE``: as a whole or not at all, with the mode, owner and links of the file that it replaces."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from lossctl.errors import UsageError, printable, quoted
from lossctl.io.byte_stream import reason


def write_file(path: str, write: Callable[[BinaryIO], None], option: str = "-o") -> None:
    """Write a file without a name, then give it the name, so that a partial file never has the name.

    The target of a symbolic link is replaced, not the link; other names of the same file (hard links) keep the old
    contents. Devices and pipes are written directly.

    Raises:
        UsageError: the folder does not exist, or the file cannot be written.
    """
    check_place(path, option)
    target = os.path.realpath(path)
    try:
        if path.startswith(("/dev/", "/proc/")) or (os.path.exists(path) and not os.path.isfile(path)):
            with open(path, "ab") as file:
                write(file)
        else:
            _replace(target, write)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{option} {printable(path)}: {reason(error)}") from None


def check_place(path: str, option: str = "-o") -> None:
    """Check that a path names a file in a folder that exists.

    Raises:
        UsageError: it does not.
    """
    if not path:
        raise UsageError(f"{option} '': the name of a file, or - for stdout")
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise UsageError(f"{option} {printable(path)}: there is no folder {quoted(os.path.dirname(path))}")


def _replace(target: str, write: Callable[[BinaryIO], None]) -> None:
    folder = os.path.dirname(target)
    # Known before the file exists, so that it is removed whenever the run is interrupted. Not derived from the name of
    # the file, which may be as long as the system allows.
    temporary = os.path.join(folder, f".lossctl-{os.urandom(8).hex()}")
    try:
        descriptor, unnamed = _create(folder, temporary)
        with open(descriptor, "wb") as file:
            _keep_mode_and_owner(descriptor, target)
            write(file)
            file.flush()
            if unnamed:
                # With a descriptor of a folder, Python calls linkat, which follows the link to the open file.
                at = os.open(folder, os.O_RDONLY)
                try:
                    os.link(f"/proc/self/fd/{descriptor}", temporary, dst_dir_fd=at)
                finally:
                    os.close(at)
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _create(folder: str, temporary: str) -> tuple[int, bool]:
    """Return the descriptor of a new file, and whether it has no name: then not even SIGKILL leaves it behind."""
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        with suppress(OSError):  # a file system that has only files with names; a folder that takes no file, see below
            return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), True
    return os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666), False


def _keep_mode_and_owner(descriptor: int, target: str) -> None:
    with suppress(FileNotFoundError):
        state = os.stat(target)
        with suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, state.st_uid, state.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(state.st_mode))
