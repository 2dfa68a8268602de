"""Completion protocols of bash, zsh and fish.

Typer's classes implement the protocols. The subclasses here add three things: words that contain ``:`` and ``=``, at
which bash splits; no blank after ``delta=``; and escaped column names, so that the shell never runs text from a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

from lossctl.cli.completion.completers import COMPLETERS, Words, choices
from lossctl.cli.parsing import arguments
from lossctl.cli.typer_internals import (
    BashComplete,
    CompletionItem,
    Context,
    FishComplete,
    Parameter,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    completion_scripts,
    resolve_context,
    resolve_incomplete,
    split_arg_string,
)

# Replaces typer's script, which splits at : and =, adds a blank to every word, and lets the shell expand the answer.
BASH = """
%(complete_func)s() {
    local IFS=$'\\n'
    mapfile -t COMPREPLY < <( env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        %(autocomplete_var)s=complete_bash "$1" 2>/dev/null )
    if [[ -z "${COMPREPLY[0]}" ]]; then COMPREPLY=(); fi
    if [[ "${COMPREPLY[0]}" == *[=:/] ]]; then compopt -o nospace 2>/dev/null; fi
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""
# Characters that bash and zsh do not interpret; all other ASCII characters are escaped.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-")


def _items(complete: ShellComplete, args: list[str], incomplete: str) -> list[CompletionItem]:
    """Return the completions of a word as whole words; [] after any error, unless LOSSCTL_DEBUG is set."""
    try:
        context = resolve_context(complete.cli, complete.ctx_args, complete.prog_name, args)
        item, start = resolve_incomplete(context, args, incomplete)
        answer = item.shell_complete if not isinstance(item, Parameter) else partial(_of, parameter=item)
        candidates = answer(context, incomplete=start)
        # For --pred=ri, each completion starts with --pred=.
        before = incomplete[: len(incomplete) - len(start)]
        return [CompletionItem(before + i.value, help=i.help) for i in candidates if _showable(i.value)]
    except Exception:  # an unreadable file must not print an error into the user's command line
        if os.environ.get("LOSSCTL_DEBUG"):
            raise
        return []


def _of(context: Context, incomplete: str, parameter: Parameter) -> list[CompletionItem]:
    """Return the candidates of an argument or option that start with ``incomplete``."""
    from_metavar = ((choice, "") for choice in choices(getattr(parameter, "metavar", None)))
    completer = COMPLETERS.get(str(parameter.name))
    pairs = completer(_words(context), incomplete) if completer else from_metavar
    return [CompletionItem(value, help=what or None) for value, what in pairs if value.startswith(incomplete)]


def _words(context: Context) -> Words:
    # An option without its value makes typer stop before it assigns the arguments; they are then in context.args.
    values = [value for value in arguments(context) if value] or context.args
    losses, preds, *further = [*values, None, None]
    # With several files of predictions, the targets are the last file.
    return Words(losses, preds, next((value for value in reversed(further) if value), None), context.params)


def _showable(text: str) -> bool:
    """Return whether a text is printable on one line in the encoding of stdout."""
    try:
        text.encode(getattr(sys.__stdout__, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return text.isprintable()


class Bash(BashComplete):
    """Bash: parse whole words from the line; return the part of each completion after the last ``:`` or ``=`` typed."""

    def complete(self) -> str:
        line = os.environ.get("COMP_LINE")
        if line is None:
            args, incomplete = _quietly(self.get_completion_args)
        else:
            typed = line[: int(os.environ.get("COMP_POINT") or len(line))]
            words = split_arg_string(typed)
            incomplete = words.pop() if words and (not typed[-1].isspace() or typed.endswith("\\ ")) else ""
            args = words[1:]
            quote = _open_quote(typed)
            breaks = set(os.environ.get("COMP_WORDBREAKS", "")) & set(":=")
            cut = 0 if quote else max((incomplete.rfind(b) + 1 for b in breaks), default=0)
            endings = [item.value[cut:] for item in _items(self, args, incomplete)]
            return "\n".join(_escaped(text, quote) for text in endings if quote != "'" or "'" not in text)
        return "\n".join(_escaped(item.value) for item in _items(self, args, incomplete))


class Zsh(ZshComplete):
    """Zsh: the shell evaluates the answer, so every character that it could interpret is written as its code."""

    def complete(self) -> str:
        args, incomplete = _quietly(self.get_completion_args)
        items = _items(self, args, incomplete)
        if not items:
            return "_files"
        commands = ["local -a shown"]
        for open_ended, suffix in ((True, "-S ''"), (False, "")):
            group = [item for item in items if item.value.endswith(("=", ":", "/")) == open_ended]
            if group:
                shown = " ".join(_zsh(f"{i.value}  -- {i.help}" if i.help else i.value) for i in group)
                values = " ".join(_zsh(i.value) for i in group)
                commands.append(f"shown=({shown}); compadd -l {suffix} -d shown -- {values}")
        return "; ".join(commands)


class Fish(FishComplete):
    """Fish: the shell quotes words itself and adds no blank after ``=``; a tab separates a word and its description."""

    def complete(self) -> str:
        args, incomplete = _quietly(self.get_completion_args)
        items = _items(self, args, incomplete)
        if os.environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
            sys.exit(0 if items else 1)  # exit code 1 makes fish complete files
        return "\n".join(f"{i.value}\t{' '.join(i.help.split())}" if i.help else i.value for i in items)


def _quietly(ask: Callable[[], tuple[list[str], str]]) -> tuple[list[str], str]:
    """Return the words from the environment; none if the variables are missing or malformed."""
    try:
        return ask()
    except (KeyError, ValueError):
        return [], ""


def _open_quote(typed: str) -> str:
    """Return the quote that is open at the end of the line, or ''."""
    quote, escaped = "", False
    for c in typed:
        if escaped:
            escaped = False
        elif c == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
    return quote


def _escaped(text: str, quote: str = "") -> str:
    """Escape a text for bash, inside ``quote`` if one is open."""
    if quote == "'":
        return text
    acting = set('$`"\\!') if quote else {c for c in text if c.isascii()} - _PLAIN
    return "".join(f"\\{c}" if c in acting else c for c in text)


def _zsh(text: str) -> str:
    return "$'" + "".join(c if c in _PLAIN or not c.isascii() else f"\\x{ord(c):02x}" for c in text) + "'"


def register() -> None:
    """Register these classes in place of typer's, which typer registers while it builds the application."""
    for shell in (Bash, Zsh, Fish):
        add_completion_class(shell, shell.name)
    completion_scripts["bash"] = BASH  # what --show-completion prints
