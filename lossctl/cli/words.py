"""Format options as the words of a command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from lossctl.cli.options import Compute, Data
from lossctl.io.byte_stream import STDIN

# Fields of Compute that say where a computation runs, not what it computes.
_WHERE = ("threads", "cluster", "allow_mixed", "no_progress")


def breakdown_of(losses: str, paths: Sequence[str | None], data: Data, how: Compute, number: int) -> str:
    """Return the ``breakdown`` command for one of several losses, with the same files and options.

    >>> breakdown_of("mse, mae", ["a b.csv", None], Data(pred=["p"], header=False), Compute(nan="skip"), 1)
    "lossctl breakdown mae 'a b.csv' --pred p --no-header --nan skip"
    """
    loss = losses.split(",")[number].strip()
    input_paths = [path for path in paths if path is not None]
    same = ", on the same input" if STDIN in input_paths else ""
    return shlex.join(["lossctl", "breakdown", loss, *input_paths, *_words(data), *_words(how, but=_WHERE)]) + same


def _words(group: Data | Compute, but: Sequence[str] = ()) -> Iterator[str]:
    """Yield the words for the options of a group that differ from their defaults, except the fields ``but``."""
    hints = get_type_hints(type(group), include_extras=True)
    for option in fields(group):
        value = getattr(group, option.name)
        if option.name in but or value == _default(option):
            continue
        said = hints[option.name].__metadata__[0]
        name = [said.default, *said.param_decls][-1]  # typer stores the first name of an option as its default
        if isinstance(value, bool):
            yield name.split("/")[0 if value else -1]
        else:
            for item in value if isinstance(value, list) else [value]:
                yield from (name, str(item))


def _default(option: Field[Any]) -> Any:
    return option.default if option.default is not MISSING else []
