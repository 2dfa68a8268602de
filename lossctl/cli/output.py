"""Writing: the report to stdout or a file, notes to stderr, in what the other side can read."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

from lossctl.cli.options import Output
from lossctl.errors import UsageError, nearest, printable
from lossctl.render import FORMATS, Style, renderer
from lossctl.report import Report
from lossctl.sources.stream import reason

# What a terminal that has no such character gets instead.
_ASCII = str.maketrans(
    {
        "─": "-", "–": "-", "−": "-", "·": "|", "…": "...", "²": "^2", "³": "^3", "√": "sqrt", "Σ": "sum ",
        "δ": "delta", "σ": "sigma", "≤": "<=", "≥": ">=", "×": "x", "÷": "/", "±": "+-", "‖": "||", "→": "->",
        "∞": "inf", "’": "'",
    }
)  # fmt: skip


def format_of(output: Output) -> str:
    """The format asked for.

    Raises:
        UsageError: none of that name.
    """
    if output.quiet:
        return "value"
    if output.format is not None:
        renderer(output.format)
        return output.format
    if output.output is not None:
        suffix = os.path.splitext(output.output)[1].lower().removeprefix(".")
        if suffix in ("", "txt"):
            return "table"
        if suffix not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS if name not in ("table", "value"))
            raise UsageError(f"-o {printable(output.output)}: its suffix is none of .txt, {known}; say --format")
        return suffix
    return "table"


def style_of(output: Output) -> Style:
    """Width and colour: stdout's, and what NO_COLOR, FORCE_COLOR, TERM and --color say."""
    if output.color not in ("auto", "always", "never"):
        near = nearest(output.color, ("auto", "always", "never"))
        raise UsageError(f"--color {printable(output.color)!r}: auto, always or never{near}")
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
    return Style(width, wanted, output.precision or Style.precision)


def emit(report: Report, output: Output) -> None:
    """Write the report, then its notes."""
    text = renderer(format_of(output))(report, style_of(output))
    if output.output is not None:
        _to_file(text, output.output)
    else:
        _to_stdout(text)
    if not output.quiet:
        for note in report.notes:
            say(f"note: {printable(note)}")


def say(line: str) -> None:
    """One line on stderr; if that is closed there is nobody to tell."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(_encodable(line, sys.stderr) + "\n")
        sys.stderr.flush()


def _to_stdout(text: Iterator[str]) -> None:
    stdout = sys.stdout
    if stdout is None or stdout.closed:
        raise UsageError("stdout is closed: there is nowhere to write the result")
    lines = "".join(text)
    try:
        stdout.write(_encodable(lines, stdout))
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # The buffer still holds what could not be written: let nobody try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise UsageError(f"stdout: {reason(error)}") from None


def _to_file(text: Iterator[str], path: str) -> None:
    """Under another name first: a file that is there is whole."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        raise UsageError(f"-o {printable(path)}: there is no folder {printable(folder)!r}")
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a named pipe: no rename there
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(text)
        except OSError as error:
            raise UsageError(f"-o {printable(path)}: {reason(error)}") from None
        return
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=folder or ".", prefix=f".{name}.", encoding="utf-8", delete=False
        ) as file:
            temporary = file.name
            file.writelines(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
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
    plain = any(os.environ.get(name) in ("C", "POSIX") for name in ("LC_ALL", "LANG"))
    try:
        text.encode("ascii" if plain else encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII).encode("ascii" if plain else encoding, "backslashreplace").decode(encoding)
    return text


def broken_pipe() -> int:
    """Nobody reads any more: leave silently, as a signal would make one leave (128 + SIGPIPE)."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
