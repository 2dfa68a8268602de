"""Typer's commands with options in groups, and answers to what people write instead of a command line."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from typer import core
from typer._click import Context, HelpFormatter

from lossctl.errors import UsageError, printable, quoted


class Command(core.TyperCommand):
    """A command of lossctl."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Arguments, the command's own options, then those that commands share by what they are about."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            own = "Arguments" if param.param_type_name == "argument" else "Options"
            sections.setdefault(getattr(param, "rich_help_panel", None) or own, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """The words, with an empty value for an option that needs none, ``[X]``, and has none."""
        optional = {
            name
            for param in self.params
            if param.param_type_name == "option" and str(getattr(param, "metavar", "")).startswith("[")
            for name in param.opts
        }
        return super().parse_args(ctx, with_values(args, optional))

    def invoke(self, ctx: Context) -> Any:
        """Run it, unless its words are in another order than it takes them."""
        refuse_order(ctx.command_path, arguments(ctx))
        return super().invoke(ctx)


def arguments(ctx: Context) -> list[str | None]:
    """The words that are no options, in the order in which the command takes them."""
    words: list[str | None] = []
    for param in ctx.command.params:
        if param.param_type_name == "argument":
            given = ctx.params.get(str(param.name))
            words += given if isinstance(given, (list, tuple)) else [given]
    return words


def with_values(words: Sequence[str], optional: Collection[str]) -> list[str]:
    """An empty value after each of these options that is followed by no number, nor by LOSS=NUMBER.

    >>> with_values(["--gate", "a.csv", "--gate", "0.5", "--gate", "mse=2"], {"--gate"})
    ['--gate=', 'a.csv', '--gate', '0.5', '--gate', 'mse=2']
    """
    found = list(words)
    end = found.index("--") if "--" in found else len(found)
    for i in range(end):
        following = found[i + 1] if i + 1 < end else ""
        if found[i] in optional and not _is_number(following.rpartition("=")[2]):
            found[i] += "="
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and any(c.isdigit() for c in text)


def refuse_order(command: str, given: list[str | None]) -> None:
    """Tell how to write it when a file stands where a loss belongs, or a loss where a file does.

    Raises:
        UsageError: it is so.
    """
    words = [word for word in given if word is not None]
    if not words:
        return
    if _is_data(words[0]):
        cure = f"{command} LOSS {' '.join(words)}"
        raise UsageError(f"{quoted(words[0])} is a file: the loss comes first: {printable(cure)}")
    if len(words) > 1 and not os.path.exists(words[1]):
        from lossctl.cli.source_scan import find

        losses = []
        for word in words:
            if "/" in word or "." in word.partition(":")[0] or find(word.partition(",")[0])[0] is None:
                break
            losses.append(word)
        if len(losses) > 1:
            raise UsageError(f"several losses are one word, with commas: {printable(','.join(losses))}")


def _is_data(word: str) -> bool:
    """Whether it is a file, or looks like one; a loss of one's own has .py: in it."""
    if ".py:" in word or word.endswith(".py"):
        return False
    from lossctl.render import FORMATS

    suffix = os.path.splitext(word)[1].lower().removeprefix(".") or None
    known = {*FORMATS, "txt", "npy", "npz", "gz", "bz2", "xz", "zst", "parquet", "arrow", "feather", "ndjson"}
    named = "/" in word or "." in word  # a file called mse does not take the loss's name away
    return (named and os.path.isfile(word)) or (suffix in known and "=" not in word)
