"""Error messages in the words of Python: keywords in place of the options of the command line."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

from lossctl.errors import LossctlError

F = TypeVar("F", bound=Callable[..., Any])

# Options that are keywords in Python, with what a value looks like in a message; "" for an option without a value.
_KEYWORDS = {
    "labels": r"[^\s;,]+,[^\s;]+",
    "nan": "skip|propagate|error",
    "normalize": "",
    "reduction": "none|mean|sum",
    "sum-tolerance": r"[\d.]\S*",
    "class-axis": r"-?\d+|N",
    "class-weight": r"[\d.]\S*",
    "ignore-index": r"-?\d+",
    "weight": "",
    "framework": "torch|jax|tensorflow",
    "dtype": r"\w*float\d+",
    "allow-negative-weights": "",
}
_OPTION = re.compile(
    "|".join(rf"--{name}(?![\w-])" + (f"(?: (?:{value}))?" if value else "") for name, value in _KEYWORDS.items())
)
_INPUT = re.compile(r"--input (\w+)=\S*FILE(?: or COLUMN)?")
_FLAGS = ("normalize", "allow-negative-weights")


def in_python_words(function: F) -> F:
    """Decorate a public function: its error messages name keywords, ``labels=(-1, 1)`` for ``--labels -1,1``."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except LossctlError as error:
            text = python_words(str(error))
            if text == str(error):
                raise
            raise type(error)(text) from error.__cause__

    return wrapped  # type: ignore[return-value]


def python_words(message: str) -> str:
    """Return a message with keywords in place of options.

    >>> python_words("for 0/1, add --labels NEG,POS; --nan skip leaves them out; --normalize divides")
    "for 0/1, add labels=(NEG, POS); nan='skip' leaves them out; normalize=True divides"
    """
    message = message.replace("give TARGETS, or --target COLUMN", "give target").replace("--target", "target")
    message = _INPUT.sub(r"inputs={'\1': …}", message)
    return _OPTION.sub(_keyword, message)


def _keyword(match: re.Match[str]) -> str:
    name, value = match[0].removeprefix("--").partition(" ")[::2]
    keyword = name.replace("-", "_")
    if name in _FLAGS:
        return f"{keyword}=True"
    if not value:
        return keyword
    if name in ("labels", "class-weight"):
        return f"{keyword}=({', '.join(value.split(','))})"
    return f"{keyword}={value!r}" if name in ("nan", "reduction", "framework", "dtype") else f"{keyword}={value}"
