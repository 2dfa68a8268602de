"""A typer command with options in groups, and hints for common mistakes in the order of arguments."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from typer import core

from lossctl.cli.options import STDOUT
from lossctl.cli.output_file import check_place
from lossctl.errors import UsageError, printable, quoted
from lossctl.io.byte_stream import read_once

if TYPE_CHECKING:
    from lossctl.cli.typer_internals import Context, HelpFormatter


class Command(core.TyperCommand):
    """A command of lossctl."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help of arguments, the command's own options, then the shared options by group."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            default_heading = "Arguments" if param.param_type_name == "argument" else "Options"
            sections.setdefault(getattr(param, "rich_help_panel", None) or default_heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first paragraph of the help, whole; typer would cut it."""
        return " ".join((self.help or "").partition("\n\n")[0].split())

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the words, after adding an empty value to each option whose value is optional, ``[X]``, and absent."""
        optional = {
            name
            for param in self.params
            if param.param_type_name == "option" and str(getattr(param, "metavar", "")).startswith("[")
            for name in param.opts
        }
        if self.name == "explain" and args and re.match(r"-\.?\d", args[0]):
            args = [f" {args[0]}", *args[1:]]  # a negative number, as scikit-learn's scores are, is no option
        words = with_values(args, optional)
        self._refuse_repeated(ctx, words)
        remaining = super().parse_args(ctx, words)
        self._refuse_unnamed(ctx)
        return remaining

    def _refuse_unnamed(self, ctx: Context) -> None:
        """Check that no column has an empty name: it would mean no column, or the index that pandas writes.

        Raises:
            UsageError: one has.
        """
        for param in self.params:
            metavar = str(getattr(param, "metavar", ""))
            if "COLUMN" in metavar and "=" not in metavar:
                value = ctx.params.get(param.name or "")
                if any(name in ("", ":inner") for name in (value if isinstance(value, (list, tuple)) else [value])):
                    option = max(param.opts, key=len)
                    raise UsageError(f"{option} '': an empty name; a column without a name is @1, by its position")

    def _refuse_repeated(self, ctx: Context, words: Sequence[str]) -> None:
        """Check that an option with a single value is given once: the last value would win in silence.

        Raises:
            UsageError: it is given twice.
        """
        options = [
            param for param in self.make_parser(ctx).parse_args([*words])[2] if param.param_type_name == "option"
        ]
        for param in options:
            # --quiet may be repeated; --header and --no-header may not.
            flag = getattr(param, "is_flag", False) and not param.secondary_opts
            if options.count(param) > 1 and not flag and not getattr(param, "multiple", False):
                names = "/".join((*param.opts, *param.secondary_opts))
                raise UsageError(f"{names} is given twice, and takes one value")

    def invoke(self, ctx: Context) -> Any:
        """Run the command after a check of the order of its arguments."""
        refuse_order(ctx.command_path, arguments(ctx))
        refuse_output_that_is_read(ctx)
        if len(ctx.params.get("outputs", ())) < 2:
            return super().invoke(ctx)
        outcomes = []
        for values in outputs_of(ctx):
            ctx.params.update(values)
            outcomes.append(super().invoke(ctx))
        return outcomes


def outputs_of(ctx: Context) -> list[dict[str, Any]]:
    """Return the values of ``-o`` and ``--format`` for the run of each output, of which there are several.

    The suffix of a file selects its format. ``--format`` is that of stdout and of files without a known suffix.

    Raises:
        UsageError: an output is named twice, --format has no effect, or the data can be read only once.
    """
    paths: list[str] = ctx.params["outputs"]
    for path in paths:
        if sum(_same_output(path, other) for other in paths) > 1:
            raise UsageError(f"-o {printable(path)}: it is named twice")
        if path not in STDOUT:
            check_place(path)
    for word in arguments(ctx):
        if word is not None and read_once(word):
            raise UsageError(
                f"several -o read the data once for each, and {quoted(word)} can be read only once: save it to a file"
            )
    suffixed = [path not in STDOUT and bool(os.path.splitext(path)[1]) for path in paths]
    chosen = ctx.params["format"]
    if chosen is not None and all(suffixed):
        raise UsageError(f"--format {printable(chosen)}: each -o has a suffix, which selects its format: leave it out")
    return [
        {"outputs": [path], "format": None if by_suffix else chosen}
        for path, by_suffix in zip(paths, suffixed, strict=True)
    ]


def _same_output(path: str, other: str) -> bool:
    return (path in STDOUT and other in STDOUT) or os.path.realpath(path) == os.path.realpath(other)


def refuse_output_that_is_read(ctx: Context) -> None:
    """Check that no output file is an input: it would be replaced, and a second run would read the output.

    Raises:
        UsageError: an output is one of the files that an argument or an option names.
    """
    written = [("outputs", "-o", path) for path in ctx.params.get("outputs", ())]
    for name, option in (("save_numeric", "--save-numeric"), ("probe", "--probe")):
        written += [(name, option, path) for path in [ctx.params.get(name)] if path]
    for name, option, path in written:
        if not os.path.isfile(path):
            continue
        for param in ctx.command.params:
            value = ctx.params.get(str(param.name))
            if param.name == name or not (param.param_type_name == "argument" or "FILE" in str(param.metavar)):
                continue
            for word in value if isinstance(value, (list, tuple)) else [value]:
                files = _files(word, certain=param.name in {"preds", "targets", "files"}) if word else ()
                if any(_reads(file, path) for file in files):
                    raise UsageError(
                        f"{option} {printable(path)}: it is an input, {quoted(str(word))}: name another file"
                    )


def _files(word: str, *, certain: bool) -> Iterator[str]:
    """Yield what may be a file in a word such as ``var=sigma2.npy``, ``my.py:asym:alpha=3,mse`` or ``data.npz:key``.

    Args:
        word: the word.
        certain: whether the word is a file even without ``/`` or ``.``, and no column or loss.
    """
    for part in (word, *word.split(","), word.partition("=")[2]):
        pieces = part.split(":")
        names = (":".join(pieces[: i + 1]) for i in range(len(pieces)))
        yield from (name for name in names if certain or "/" in name or "." in name)


def _reads(file: str, path: str) -> bool:
    """Return whether reading ``file``, which may be a folder or a pattern of shards, reads the file ``path``."""
    if os.path.isdir(file):
        return os.path.samefile(file, os.path.dirname(os.path.realpath(path)))
    if any(c in file for c in "*?["):
        from glob import iglob

        return any(os.path.exists(shard) and os.path.samefile(shard, path) for shard in iglob(file))
    return os.path.exists(file) and os.path.samefile(file, path)


def arguments(ctx: Context) -> list[str | None]:
    """Return the positional arguments in the order in which the command declares them."""
    words: list[str | None] = []
    for param in ctx.command.params:
        if param.param_type_name == "argument":
            value = ctx.params.get(str(param.name))
            words += value if isinstance(value, (list, tuple)) else [value]
    return words


def with_values(words: Sequence[str], optional: Collection[str]) -> list[str]:
    """Append ``=``, an empty value, to each of these options that is not followed by a number or LOSS=NUMBER.

    >>> with_values(["--gate", "a.csv", "--gate", "0.5", "--gate", "mse=2"], {"--gate"})
    ['--gate=', 'a.csv', '--gate', '0.5', '--gate', 'mse=2']
    """
    expanded = list(words)
    end = expanded.index("--") if "--" in expanded else len(expanded)
    for i in range(end):
        following = expanded[i + 1] if i + 1 < end else ""
        if expanded[i] in optional and not _is_number(following.rpartition("=")[2]):
            expanded[i] += "="
    return expanded


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and any(c.isdigit() for c in text)


def refuse_order(command: str, arguments: list[str | None]) -> None:
    """Check the order of arguments: the loss comes first, and several losses are one word with commas.

    Raises:
        UsageError: a file stands in the place of the loss, or a loss in the place of a file.
    """
    words = [word for word in arguments if word is not None]
    if not words:
        return
    if _is_data(words[0]) and not (command.endswith(" explain") and len(words) > 1):  # a file of losses of samples
        corrected = f"{command} LOSS {' '.join(words)}"
        raise UsageError(f"{quoted(words[0])} is a file: the loss comes first: {printable(corrected)}")
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
    """Return whether a word is a data file or looks like one; FILE.py:FUNCTION is a loss of the user."""
    if ".py:" in word or word.endswith(".py"):
        return False
    from lossctl.io import compression, formats
    from lossctl.render import FORMATS

    suffix = os.path.splitext(word)[1].lower().removeprefix(".") or None
    known = {*FORMATS, *formats.FORMATS, *(name.removeprefix(".") for name in compression.SUFFIXES)}
    named = "/" in word or "." in word  # a file called mse does not hide the loss mse
    return (named and os.path.isfile(word)) or (suffix in known and "=" not in word)
