"""Hyperparameters of a loss: their help, default and valid values."""

from __future__ import annotations

import contextlib
import types
from typing import TypeAlias, cast

import numpy as np

from lossctl.core.interval import REAL, Interval
from lossctl.errors import UsageError, nearest, printable
from lossctl.immutable import immutable

Value: TypeAlias = float | int | bool | str | tuple[float, ...] | None


@immutable
class Param:
    """The annotation of a hyperparameter: what the signature does not contain.

    Attributes:
        help: the help text.
        domain: the interval of valid numbers.
        per_column: whether it may be a list, with one value for each column of the predictions; the kernel then gets
            an array with a value for each element.
    """

    help: str
    domain: Interval = REAL
    per_column: bool = False


@immutable
class Parameter:
    """A hyperparameter of a kernel: its default and its valid values.

    Attributes:
        name: the name of the parameter.
        help: the help text.
        domain: the interval of valid numbers.
        default: the default value.
        types: the types of valid values.
        choices: the valid strings.
        per_column: whether a list is valid, with one value for each column of the predictions.
    """

    name: str
    help: str
    domain: Interval
    default: Value
    types: tuple[type, ...]
    choices: tuple[str, ...] = ()
    per_column: bool = False

    def parse(self, text: str) -> Value:
        """Parse a value from its text on the command line, and check it.

        Raises:
            UsageError: the text is not of a valid type, or the value is outside the domain.
        """
        if self.per_column and "," in text:
            return self.check([self.parse(part.strip()) for part in text.split(",")])
        words: dict[str, Value] = {"none": None, "true": True, "false": False}
        word: Value = words.get(text.lower(), text)
        # Of a parameter that takes any text, "none" may be text.
        value: object = text if str in self.types and type(word) not in self.types else word
        # float() would also accept 1_000 and digits of other scripts.
        if value == text and "_" not in text and text.isascii():
            with contextlib.suppress(ValueError):
                value = int(text) if int in self.types else float(text)
        return self.check(value, text)

    def check(self, value: object, text: str | None = None) -> Value:
        """Return the value if it is valid; an int becomes a float unless the parameter takes ints, a list a tuple.

        Args:
            value: the value.
            text: the text from which the value was parsed, for the error message; default: the value itself.

        Raises:
            UsageError: the value is not valid.
        """
        if isinstance(value, (list, tuple, np.ndarray)) and self.per_column and len(value):
            return tuple(cast(float, self.check(part)) for part in value)
        if isinstance(value, np.generic):
            value = value.item()
        if value is None and types.NoneType in self.types:
            return None
        if isinstance(value, bool):
            if bool in self.types:
                return value
        elif isinstance(value, str):
            if value in self.choices or (str in self.types and not self.choices):
                return value
        elif isinstance(value, int) and int in self.types:
            if value in self.domain:
                return value
        elif isinstance(value, (int, float)) and float in self.types and float(value) in self.domain:
            return float(value)
        shown = printable(str(value) if text is None else text)
        suggestion = nearest(value, self.choices) if isinstance(value, str) and self.choices else ""
        raise UsageError(f"parameter '{self.name}': {shown!r} is not {self.expects}{suggestion}")

    @staticmethod
    def show(value: Value) -> str:
        """Format a value in the syntax of the command line."""
        if isinstance(value, tuple):
            return ",".join(map(Parameter.show, value))
        if value is None or isinstance(value, bool):
            return str(value).lower()
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    @property
    def expects(self) -> str:
        """A description of the valid values, such as ``a number above 0``."""
        words = []
        if int in self.types:
            words.append(f"a whole number {self.domain}" if self.domain != REAL else "a whole number")
        elif float in self.types:
            words.append(f"a {self.domain} number" if self.domain == REAL else f"a number {self.domain}")
        words += list(self.choices) or ["text"] * (str in self.types)
        words += ["true", "false"] if bool in self.types else []
        words += ["none"] if types.NoneType in self.types else []
        return " or ".join(words)
