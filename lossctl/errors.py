"""Errors that a user can cause. The message is one line: location, what is wrong with the value, what is valid.

Inner code raises an error with the cause alone; the layer that knows the file and the line adds the location.
``LossctlError`` is caught in one place, ``lossctl.cli.app``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class LossctlError(Exception):
    """Base class of errors in the input or in the call, with a message of one line."""


class UsageError(LossctlError):
    """An invalid command, option, loss or parameter."""


class DataError(LossctlError):
    """An invalid file, row or value."""


class Signalled(KeyboardInterrupt):
    """A signal that ends the command line, raised by its handler in the main thread; ``number`` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def is_signal(error: BaseException) -> bool:
    """Return whether an exception is an interrupt from outside, and not a KeyboardInterrupt that code has raised.

    With Python's own handler of SIGINT the two cannot be told apart, and count as interrupts.
    """
    import signal

    pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, Signalled) or (pythons and isinstance(error, KeyboardInterrupt))


def message_of(error: BaseException) -> str:
    """Return the message of an exception in printable characters; '' if the exception raises instead of giving it."""
    try:
        return printable(str(error))
    except BaseException as another:  # whatever a user's __str__ raises
        if is_signal(another):
            raise
        return ""


def described(error: BaseException) -> str:
    """Return the type of an exception and its message, if it has one.

    >>> described(ValueError("no")), described(StopIteration())
    ('ValueError: no', 'StopIteration')
    """
    return f"{type(error).__name__}: {message_of(error)}".removesuffix(": ")


def nearest(word: str, choices: Iterable[str], normalize: Callable[[str], str] = str, *, cutoff: float = 0.6) -> str:
    """Return the end of an error message, ``; did you mean 'huber'?``, or '' if no choice is close.

    Args:
        word: the unknown name.
        choices: the known names.
        normalize: called with each name before the comparison; a choice whose normalized name equals that of the
            word is the only suggestion.
        cutoff: similarity from which a name is close, from 0 to 1. Default that of difflib.

    >>> nearest("hubr", ["huber", "mse"])
    "; did you mean 'huber'?"
    >>> nearest("zzz", ["huber", "mse"])
    ''
    >>> nearest("MSE", ["mae", "mse"], normalize=str.lower)
    "; did you mean 'mse'?"
    """
    import difflib  # here because it takes 1.4 ms, and only errors need it

    names = {normalize(name): name for name in sorted(set(choices), reverse=True)}
    # More than three names do not fit a line.
    matches = difflib.get_close_matches(normalize(word), names, n=3, cutoff=cutoff)
    matches = matches[:1] if normalize(word) in names else matches
    return f"; did you mean {' or '.join(repr(names[match]) for match in matches)}?" if matches else ""


def counted(n: int, noun: str) -> str:
    """Format a count with its noun, in the plural unless the count is 1.

    >>> counted(1, "sample"), counted(2000, "sample")
    ('1 sample', '2,000 samples')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def number(value: float) -> str:
    """Format a number for a message: the shortest digits that read back as the same double, without a final ``.0``.

    >>> number(2.0), number(0.1), number(float("nan"))
    ('2', '0.1', 'nan')
    """
    text = repr(float(value))
    return text.removesuffix(".0")


def printable(text: str) -> str:
    r"""Escape the characters of a text that are not printable, so that a terminal does not interpret them.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def quoted(text: str) -> str:
    r"""Return the text in quotes, with characters that are not printable escaped.

    >>> print(quoted("a\x1b[31mb"))
    'a\x1b[31mb'
    """
    # repr() doubles the backslashes of printable().
    return repr(printable(text)).replace("\\\\", "\\")
