"""Write the report to stdout or a file, and notes to stderr, in the encoding and style of the destination."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from lossctl.cli.options import OutputOptions
from lossctl.cli.output_file import write_file
from lossctl.errors import UsageError, nearest, printable, quoted
from lossctl.io.byte_stream import reason
from lossctl.render import FORMATS, PICTURES, SUFFIXES, Style, renderer
from lossctl.report import Report

if TYPE_CHECKING:
    import numpy as np

# Replacements for characters that the encoding of a terminal lacks.
_ASCII = str.maketrans(
    {
        "─": "-", "–": "-", "−": "-", "█": "#", "·": "*", "…": "...", "²": "^2", "³": "^3", "√": "sqrt", "Σ": "sum",
        "δ": "delta", "σ": "sigma", "≤": "<=", "≥": ">=", "×": "x", "÷": "/", "±": "+-", "‖": "||", "→": "->",
        "∞": "inf", "’": "'", "≈": "~", "≠": "!=", "Γ": "gamma", "γ": "gamma", "Δ": "delta", "Π": "product", "π": "pi",
        "φ": "phi", "χ": "chi", "é": "e", "ë": "e", "ü": "u",
    }
)  # fmt: skip


# The beginning of a line on stderr about an error or a failed check: red on a terminal.
_ERROR = "lossctl:"


def format_of(
    output: OutputOptions,
    default: str = "table",
    *,
    binary: Sequence[str] = (),
    pictures: bool = False,
    checks: bool = False,
) -> str:
    """Return the output format, from --format, the suffix of -o FILE, -q or LOSSCTL_FORMAT.

    Args:
        output: the options.
        default: the format if no option and no variable gives one.
        binary: suffixes of -o FILE that the command writes in a binary format.
        pictures: whether the command draws pictures: -o FILE.svg, .png and .pdf.
        checks: whether the command checks something: a gradient, or a limit.

    Raises:
        UsageError: the format or the suffix is unknown, a picture needs matplotlib, or the format shows checks and
            there are none.
    """
    path = output.output or ""
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    if suffix and output.format is None:
        if pictures and suffix in PICTURES:
            from lossctl.render.figure import require

            require()
            return suffix
        if suffix in binary:
            return suffix
        if suffix not in SUFFIXES:
            known = ", ".join(f".{name}" for name in (*SUFFIXES, *binary, *(PICTURES if pictures else ())))
            raise UsageError(f"-o {printable(path)}: its suffix is none of {known}; add --format")
        name = SUFFIXES[suffix]
    elif output.format is not None:
        name = output.format
    else:
        name = "value" if output.quiet else os.environ.get("LOSSCTL_FORMAT") or default
    renderer(name)
    if FORMATS[name].checks_only and not checks:
        raise UsageError(f"format {name} shows checks: use it with gradcheck, or with a limit such as --fail-above")
    return name


def with_pictures(report: Report, chosen: str, *, plot: bool = True) -> Report:
    """Return the report with its drawings in the format that was chosen.

    Args:
        report: the report.
        chosen: the format; a picture draws the panels to the file, and a page always shows them.
        plot: whether formats for people show the panels as text.
    """
    if chosen in PICTURES:
        from lossctl.render.figure import figure

        return replace(report, files={chosen: lambda file: figure(report.panels, file, chosen)})
    return report if plot or FORMATS[chosen].draws else replace(report, panels=())


def style_of(output: OutputOptions) -> Style:
    """Return width, colour and precision, from stdout, the options, NO_COLOR, FORCE_COLOR and TERM.

    Raises:
        UsageError: --color or --precision is invalid.
    """
    if output.color not in ("auto", "always", "never"):
        suggestion = nearest(output.color, ("auto", "always", "never"))
        raise UsageError(f"--color {quoted(output.color)}: auto, always or never{suggestion}")
    if output.precision is not None and not 1 <= output.precision <= 17:
        raise UsageError(f"--precision {output.precision}: from 1 to 17; 17 digits always read back the same")
    terminal = output.output is None and sys.stdout is not None and sys.stdout.isatty()
    env = os.environ
    colored = terminal and env.get("TERM") != "dumb" and not env.get("NO_COLOR")
    if output.color != "auto":
        colored = output.color == "always"
    elif env.get("FORCE_COLOR") and not env.get("NO_COLOR") and output.output is None:
        colored = True
    width = os.get_terminal_size(sys.stdout.fileno()).columns or 80 if terminal else None
    digits = output.precision or Style.precision
    plain = output.output is None and not _braille()
    return Style(width, colored, digits, ascii=plain, exact_digits=output.precision is not None)


def _braille() -> bool:
    """Return whether stdout can show braille dots, from its encoding, the locale and the type of terminal."""
    if os.environ.get("TERM") in ("dumb", "linux"):  # the shell of an editor; the console, whose font lacks the dots
        return False
    return "⣿" in _encodable("⣿", sys.stdout) if sys.stdout is not None else True


def write_reports(outcomes: Sequence[tuple[Report, OutputOptions]]) -> None:
    """Write each report to -o FILE or stdout, then the notes and failures of all to stderr, each once.

    stdout comes last: nothing is there if a file cannot be written.
    """
    for report, output in sorted(outcomes, key=lambda outcome: outcome[1].output is None):
        _write(report, output)
    lines: dict[str, None] = {}
    for report, output in outcomes:
        if not output.quiet:
            lines |= dict.fromkeys(f"note: {printable(note)}" for note in (*report.notes, *report.advice))
    for report, _ in outcomes:
        lines |= dict.fromkeys(f"lossctl: {printable(failure)}" for failure in report.failures)
    for line in lines:
        print_stderr(line)


def _write(report: Report, output: OutputOptions) -> None:
    write = report.files.get(output.format or "")
    if output.output is not None and write is not None:
        write_file(output.output, write)
    else:
        name = format_of(output, checks=bool(report.checks))
        text = renderer(name)(report, style_of(output))
        if output.output is not None:
            write_file(output.output, lambda file: file.writelines(line.encode() for line in text))
        else:
            to_stdout(text)
        _append_summary(report, name)


def _append_summary(report: Report, name: str) -> None:
    """Append the report as Markdown to the file that the environment variable of a format names.

    Raises:
        UsageError: the file cannot be written.
    """
    variable = FORMATS[name].summary
    path = os.environ.get(variable) if variable else None
    if not path:
        return
    shown = replace(report, closing=(*report.closing, *report.failures))
    text = "".join(renderer("markdown")(shown, Style())) + "\n"
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{variable} {printable(path)}: {reason(error)}") from None


def print_stderr(line: str) -> None:
    """Write a line to stderr; do nothing if stderr is closed."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        text = _encodable(line, sys.stderr)
        plain = os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR") or not sys.stderr.isatty()
        if text.startswith(_ERROR) and not plain:
            text = f"\x1b[1;31m{_ERROR}\x1b[0m" + text.removeprefix(_ERROR)
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def to_stdout(text: Iterable[str]) -> None:
    """Write a string, or the pieces of one, to stdout; replace characters that its encoding lacks.

    Raises:
        UsageError: stdout is closed, or a write fails, for example because the disk is full.
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
        # Python would flush the remaining buffer again at exit; redirect it to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise UsageError(f"stdout: {reason(error)}") from None


def save_array(array: np.ndarray, path: str) -> None:
    """Save an array to .npy, or to .csv with numbers that read back as the same doubles.

    Raises:
        UsageError: the suffix is neither, or the file cannot be written.
    """
    import numpy as np

    if path.endswith(".npy"):
        write_file(path, lambda file: np.save(file, array))
    elif path.endswith(".csv"):
        lines = (",".join(map(repr, row)) + "\n" for row in array.tolist())
        write_file(path, lambda file: file.writelines(line.encode() for line in lines))
    else:
        raise UsageError(f"{printable(path)}: .npy or .csv")


def _encodable(text: str, stream: TextIO) -> str:
    """Replace the characters of a text that the encoding of the stream, or the locale, lacks."""
    encoding = stream.encoding or "ascii"
    # Python treats the C locale as UTF-8 (PEP 538, 540), but a user who sets LANG=C expects ASCII.
    plain = (os.environ.get("LC_ALL") or os.environ.get("LANG")) in ("C", "POSIX")
    try:
        text.encode("ascii" if plain else encoding)
    except UnicodeEncodeError:
        text = text.replace(" · ", " | ").translate(_ASCII)  # a dot between words is a separator, not a product
        text = text.encode("ascii" if plain else encoding, "backslashreplace").decode(encoding)
    return text


def broken_pipe() -> int:
    """Handle a closed pipe on stdout: discard the rest of the output, return the exit code 128 + SIGPIPE."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
