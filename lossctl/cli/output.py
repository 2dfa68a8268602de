"""Writing: the report to stdout or a file, notes to stderr, in what the other side can read."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO, TextIO

from lossctl.cli.options import Output
from lossctl.errors import UsageError, nearest, printable, quoted
from lossctl.io.byte_stream import reason
from lossctl.render import FORMATS, SUFFIXES, Style, renderer
from lossctl.report import Report

if TYPE_CHECKING:
    import numpy as np

# What a terminal that has no such character gets instead.
_ASCII = str.maketrans(
    {
        "─": "-", "–": "-", "−": "-", "█": "#", "·": "*", "…": "...", "²": "^2", "³": "^3", "√": "sqrt", "Σ": "sum",
        "δ": "delta", "σ": "sigma", "≤": "<=", "≥": ">=", "×": "x", "÷": "/", "±": "+-", "‖": "||", "→": "->",
        "∞": "inf", "’": "'", "≈": "~", "≠": "!=", "Γ": "gamma", "γ": "gamma", "Δ": "delta", "Π": "product", "π": "pi",
        "φ": "phi", "χ": "chi", "é": "e", "ë": "e", "ü": "u",
    }
)  # fmt: skip


def format_of(output: Output, default: str = "table", *, binary: Sequence[str] = ()) -> str:
    """The format asked for; ``binary``: what -o FILE can be besides.

    Raises:
        UsageError: none of that name.
    """
    if output.quiet:
        return "value"
    path = output.output or ""
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    if suffix and output.format is None:
        if suffix in binary:
            return suffix
        name = SUFFIXES.get(suffix, suffix)
        if name not in FORMATS or suffix in ("table", "value"):
            known = ", ".join(
                f".{name}" for name in (*SUFFIXES, *FORMATS, *binary) if name not in ("table", "value", "markdown")
            )
            raise UsageError(f"-o {printable(path)}: its suffix is none of {known}; say --format")
        return name
    name = output.format if output.format is not None else os.environ.get("LOSSCTL_FORMAT") or default
    renderer(name)
    return name


def style_of(output: Output) -> Style:
    """Width and colour: stdout's, and what NO_COLOR, FORCE_COLOR, TERM and --color say."""
    if output.color not in ("auto", "always", "never"):
        near = nearest(output.color, ("auto", "always", "never"))
        raise UsageError(f"--color {quoted(output.color)}: auto, always or never{near}")
    if output.precision is not None and not 1 <= output.precision <= 17:
        raise UsageError(f"--precision {output.precision}: from 1 to 17, where 17 digits always read back the same")
    terminal = output.output is None and sys.stdout is not None and sys.stdout.isatty()
    env = os.environ
    wanted = terminal and env.get("TERM") != "dumb" and not env.get("NO_COLOR")
    if output.color != "auto":
        wanted = output.color == "always"
    elif env.get("FORCE_COLOR") and not env.get("NO_COLOR") and output.output is None:
        wanted = True
    width = os.get_terminal_size(sys.stdout.fileno()).columns or 80 if terminal else None
    return Style(width, wanted, output.precision or Style.precision, ascii=output.output is None and not _braille())


def _braille() -> bool:
    """Whether stdout has braille dots: by its encoding, the user's locale, and what the terminal is."""
    if os.environ.get("TERM") in ("dumb", "linux"):  # an editor's shell, and the console, whose font has none
        return False
    return "⣿" in _encodable("⣿", sys.stdout) if sys.stdout is not None else True


def write_report(report: Report, output: Output) -> None:
    """Write the report, then its notes."""
    write = report.files.get(output.format or "")
    if output.output is not None and write is not None:
        _to_file(output.output, write)
    else:
        text = renderer(format_of(output))(report, style_of(output))
        if output.output is not None:
            _to_file(output.output, lambda file: file.writelines(line.encode() for line in text))
        else:
            to_stdout(text)
    if not output.quiet:
        for note in (*report.notes, *report.advice):
            print_stderr(f"note: {printable(note)}")
    for failure in report.failures:
        print_stderr(f"lossctl: {printable(failure)}")


def print_stderr(line: str) -> None:
    """One line on stderr; if that is closed there is nobody to tell."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(_encodable(line, sys.stderr) + "\n")
        sys.stderr.flush()


def to_stdout(text: Iterable[str]) -> None:
    """All of it, in characters that stdout has: a string or pieces of one.

    Raises:
        UsageError: stdout is closed, or its disk is full.
    """
    stdout = sys.stdout
    if stdout is None or stdout.closed:
        raise UsageError("stdout is closed: there is nowhere to write the result")
    try:
        for piece in (text,) if isinstance(text, str) else text:
            stdout.write(_encodable(piece, stdout))
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # The buffer still holds what could not be written: let nobody try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise UsageError(f"stdout: {reason(error)}") from None


def save_array(array: np.ndarray, path: str) -> None:
    """An array to .npy, or to .csv with numbers that read back the same.

    Raises:
        UsageError: another suffix, or a file that cannot be written.
    """
    import numpy as np

    if path.endswith(".npy"):
        _to_file(path, lambda file: np.save(file, array))
    elif path.endswith(".csv"):
        lines = (",".join(map(repr, row)) + "\n" for row in array.tolist())
        _to_file(path, lambda file: file.writelines(line.encode() for line in lines))
    else:
        raise UsageError(f"{printable(path)}: .npy or .csv")


def _to_file(path: str, write: Callable[[BinaryIO], None]) -> None:
    """Under another name first: a file that is there is whole."""
    # A link stays a link, and /dev/stdout (which may lead to a regular file) a device: no rename there, nor of a pipe.
    folder, name = os.path.split(os.path.realpath(path))
    if path.startswith(("/dev/", "/proc/")) or (os.path.exists(path) and not os.path.isfile(path)):
        try:
            with open(path, "ab") as file:
                write(file)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"-o {printable(path)}: {reason(error)}") from None
        return
    if not os.path.isdir(folder):
        raise UsageError(f"-o {printable(path)}: there is no folder {quoted(os.path.dirname(path))}")
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        with open(handle, "wb") as file:
            write(file)
        # A file that is there keeps its permissions.
        os.chmod(temporary, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666 & ~_umask())
        os.replace(temporary, os.path.join(folder, name))
    except OSError as error:
        raise UsageError(f"-o {printable(path)}: {reason(error)}") from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encodable(text: str, stream: TextIO) -> str:
    """The text with stand-ins for what the stream, or the user's locale, cannot show."""
    encoding = stream.encoding or "ascii"
    # Python reads the C locale as UTF-8 (PEP 538, 540); who says LANG=C wants ASCII all the same.
    plain = (os.environ.get("LC_ALL") or os.environ.get("LANG")) in ("C", "POSIX")
    try:
        text.encode("ascii" if plain else encoding)
    except UnicodeEncodeError:
        text = text.replace(" · ", " | ").translate(_ASCII)  # a dot between words is no product
        text = text.encode("ascii" if plain else encoding, "backslashreplace").decode(encoding)
    return text


def broken_pipe() -> int:
    """Nobody reads any more: leave silently, as a signal would make one leave (128 + SIGPIPE)."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
