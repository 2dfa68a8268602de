"""The errors a user can cause, each one line: where, what is wrong with the value, what is right.

Inner code raises the short cause; the layer that knows the file and the line adds them
(:func:`DataError.at`). ``LossctlError`` is caught in one place, ``lossctl.cli.app``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class LossctlError(Exception):
    """Anything that is the input's or the caller's fault, told in one line."""


class UsageError(LossctlError):
    """The command, an option, a loss or a parameter is wrong."""


class DataError(LossctlError):
    """A file, a row or a value is wrong."""


def nearest(word: str, choices: Iterable[str], gist: Callable[[str], str] = str) -> str:
    """The end of an error message: ``; did you mean 'huber'?``, or nothing when no choice is near.

    ``gist`` is what matters of a name: where that of a choice is the word's, no other choice is named.

    >>> nearest("hubr", ["huber", "mse"])
    "; did you mean 'huber'?"
    >>> nearest("zzz", ["huber", "mse"])
    ''
    >>> nearest("MSE", ["mae", "mse"], gist=str.lower)
    "; did you mean 'mse'?"
    """
    import difflib  # 1.4 ms that only an error has to pay

    names = {gist(name): name for name in sorted(set(choices), reverse=True)}
    # 0.6 is difflib's own default; three names are as many as a line can hold.
    found = difflib.get_close_matches(gist(word), names, n=3, cutoff=0.6)
    found = found[:1] if gist(word) in names else found
    return f"; did you mean {' or '.join(repr(names[one]) for one in found)}?" if found else ""


def number(value: float) -> str:
    """A number as it reads best in a sentence: the shortest digits that give the same double.

    >>> number(2.0), number(0.1), number(float("nan"))
    ('2', '0.1', 'nan')
    """
    text = repr(float(value))
    return text.removesuffix(".0")


def printable(text: str) -> str:
    r"""Text from a file or the command line, with what a terminal would act on made visible.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def quoted(text: str) -> str:
    r"""The same in quotes, for a sentence.

    >>> print(quoted("a\x1b[31mb"))
    'a\x1b[31mb'
    """
    # What printable() wrote with a backslash, repr() would write with two.
    return repr(printable(text)).replace("\\\\", "\\")
