"""The entry point of the command line: run a command, print each error in one line, return the exit code."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import core

from lossctl.errors import LossctlError, UsageError, is_signal, message_of, nearest, printable
from lossctl.io.byte_stream import reason

HELP = """Loss values, per-sample losses and gradient checks, exact and fast.

Examples:

\b
  lossctl compute mse,mae samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl breakdown mse samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl compare mse samples/diabetes.csv -p ridge -p forest -t target
  lossctl gradcheck samples/my_losses.py:asym
  lossctl explain 0.109645 samples/cancer_probs.csv samples/cancer_targets.csv
"""

EPILOG = """Environment:

\b
  LOSSCTL_FORMAT   the format, if neither --format nor -o FILE selects one
  LOSSCTL_DEBUG    1: show the traceback of a bug
  NO_COLOR         no colour
  FORCE_COLOR      colour even if stdout is not a terminal
"""

if TYPE_CHECKING:
    from lossctl.cli.typer_internals import Context, HelpFormatter

# Exit codes, documented in the README. INTERRUPTED is 128 + SIGINT.
FAILED, BAD_INPUT, BUG, INTERRUPTED = 1, 2, 3, 130


# Command: its module in lossctl.cli.commands, which defines a function of the module's name and HELP.
COMMANDS = {
    "compute": "compute",
    "breakdown": "breakdown",
    "compare": "compare",
    "gradcheck": "gradcheck",
    "grad": "grad",
    "verify": "verify",
    "explain": "explain",
    "list": "list_",
    "info": "info",
    "plot": "plot",
}


# The jobs of lossctl, in the words of its user, and the commands for each.
JOBS = {
    "What is the loss?": ("compute", "plot"),
    "Which samples cause it?": ("breakdown",),
    "Which model is better?": ("compare",),
    "Is the gradient right?": ("gradcheck", "grad", "verify"),
    "Why do numbers differ?": ("explain",),
    "Which loss to use?": ("list", "info"),
}


class Group(core.TyperGroup):
    """The typer group of all commands, by job in --help, with lossctl's own completion classes."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands under the job that each does."""
        width = max(map(len, COMMANDS))  # the summaries of all jobs start in one column
        for job, names in JOBS.items():
            formatter.write(f"\n{job}\n")
            with formatter.indentation():
                formatter.write_dl([(f"{name:{width}}", self.commands[name].get_short_help_str()) for name in names])

    def _main_shell_completion(
        self, ctx_args: MutableMapping[str, Any], prog_name: str, complete_var: str | None = None
    ) -> None:
        from lossctl.cli.completion import shells

        shells.register()
        super()._main_shell_completion(ctx_args, prog_name, complete_var)


@cache
def command_line(asked: str, *, options: bool) -> Any:
    """Return the command of :func:`build`, which can run any number of times."""
    return typer.main.get_command(build(asked, options=options))


def build(asked: str = "", *, options: bool = True) -> typer.Typer:
    """Build the typer application; a command imports what it needs when it runs.

    Args:
        asked: the only command of the application, because the options of all commands take a third of the time of an
            import of NumPy; default: all commands.
        options: whether the commands have their options. Help of the application and errors need the summaries only.
    """
    from lossctl.cli.parsing import Command

    app = typer.Typer(
        name="lossctl",
        cls=Group,
        help=HELP,
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,  # brackets in help are literal text
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        add_completion=True,
    )
    app.callback(invoke_without_command=True)(_root)
    for name in [asked] if asked else COMMANDS:
        module = import_module(f"lossctl.cli.commands.{COMMANDS[name]}")
        command = _with_options(getattr(module, COMMANDS[name])) if options else _without_options
        app.command(name, cls=Command, help=module.HELP)(command)
    return app


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    from lossctl.cli.options import expand_option_groups

    return _contained(expand_option_groups(command))


def _without_options() -> None:
    """Stand for a command of which only the summary is printed."""


class _HiddenFromTyper(Exception):  # noqa: N818 - it is no error itself
    """Carries an exception of a command past typer, which would end the run with its own exit code."""


def _contained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command, in which nothing that a user's loss prints reaches stdout."""

    @wraps(command)
    def run(**options: Any) -> Any:
        with redirect_stdout(sys.stderr):
            try:
                return command(**options)
            except (KeyboardInterrupt, EOFError) as error:
                raise _HiddenFromTyper from error

    return run


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        from lossctl import __version__

        print(f"lossctl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise LossctlError("a command is needed, for example compute; see: lossctl --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # By default, NumPy's BLAS starts a thread per core at import. lossctl has no use for these threads, and sums would
    # depend on their number.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = list(sys.argv[1:] if argv is None else argv)
    said = io.StringIO()  # help and version are buffered: typer handles a full disk and a closed pipe differently
    try:
        try:
            with redirect_stdout(said):
                asked = words[0] if words and words[0] in COMMANDS else ""
                command = command_line(asked, options=bool(asked) or "_LOSSCTL_COMPLETE" in os.environ)
                outcome = command(args=words, prog_name="lossctl", standalone_mode=False)
        except SystemExit as leave:  # shell completion ends with SystemExit
            if _of_user(leave) is None:
                sys.stdout.write(said.getvalue())
            raise
        from lossctl.cli.output import to_stdout, write_reports

        if isinstance(outcome, int):
            to_stdout(said.getvalue())
            return outcome
        outcomes = outcome if isinstance(outcome, list) else [outcome]
        line = shlex.join(["lossctl", *words])
        outcomes = [(replace(report, command=line), output) for report, output in outcomes]
        write_reports(outcomes)
        return FAILED if any(report.failed for report, _ in outcomes) else 0
    except BrokenPipeError:
        from lossctl.cli.output import broken_pipe

        return broken_pipe()
    except _HiddenFromTyper as carrier:
        return _unexpected(carrier.__cause__ or carrier)
    except LossctlError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        return _fail(_usage(error, words))
    except MemoryError:
        return _fail("out of memory")
    except BaseException as error:  # noqa: BLE001 - a user's code and a bug may raise any exception
        return _unexpected(error)


def _unexpected(error: BaseException) -> int:
    """Print an exception that no command expects in one line, and return the exit code."""
    if is_signal(error):
        return 128 + getattr(error, "number", signal.SIGINT)
    raised_by_user = _of_user(error)
    if raised_by_user is not None:
        return _fail(str(raised_by_user))
    if isinstance(error, SystemExit):
        raise error
    kind, text = type(error).__name__, message_of(error).replace("\\n", " ")
    if isinstance(error, OSError):  # the disk of temporary files is full, no more files or processes for this user
        place = "" if error.filename is None else f"{printable(str(error.filename))}: "
        return _fail(f"{place}{reason(error)}")
    if isinstance(error, ImportError):  # a broken installation, or too little memory for a library
        return _fail(f"cannot import {error.name or 'a module'}: {text}")
    if os.environ.get("LOSSCTL_DEBUG"):
        import traceback

        traceback.print_exception(error)
    _fail(f"a bug in lossctl: {kind}: {text}; please report it with the output of LOSSCTL_DEBUG=1 lossctl …")
    return BUG


def _of_user(error: BaseException) -> UsageError | None:
    """Return the message for an exception in a user's code, or None."""
    if "lossctl.core.registry" not in sys.modules:
        return None
    from lossctl.core.user_kernel import error_in_user_code
    from lossctl.core.user_modules import is_users

    return error_in_user_code(error, is_users)


def _fail(message: str) -> int:
    from lossctl.cli.output import print_stderr

    print_stderr("lossctl: " + " ".join(printable(message.replace("\n", " ")).split()))
    return BAD_INPUT


# Why a command has no option --like.
_WITHOUT_LIKE = {
    "verify": "verify needs the exact loss of the registry; compute --like and gradcheck --like know a library's",
    "explain": "explain searches all libraries; --loss limits it to a loss",
    "list": "list shows all losses; info LOSS --like LIBRARY says how a library defines one",
}


def _usage(error: typer.TyperException, words: Sequence[str]) -> str:
    """Format a usage error of typer in one line, with a suggestion of the nearest name."""
    context: Any = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    see = f"; see: {context.command_path} --help" if context is not None else ""
    if "unexpected extra argument" in error.format_message() and context is not None:
        from lossctl.cli.parsing import refuse_order

        try:
            refuse_order(context.command_path, [value for value in context.params.values() if isinstance(value, str)])
        except LossctlError as better:
            return str(better)
    from lossctl.core.registry import registered

    unknown = re.search(r"No such command '(.+?)'", error.format_message())
    if unknown and unknown.group(1).partition(":")[0] in registered():
        return f"{unknown.group(1)} is a loss: lossctl compute {unknown.group(1)} PREDS TARGETS"
    if option is None or "No such option" not in error.format_message():
        message = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
        message = message.replace("Got unexpected extra argument(s) (", "too many arguments (")
        if message.startswith("too many arguments") and context is not None and "pred" in context.params:
            message += "; -p and -t name columns"
        return message[:1].lower() + message[1:] + (see if not message.endswith("?") else "")
    if option == "--like" and context is not None and context.command.name in _WITHOUT_LIKE:
        return f"no option --like: {_WITHOUT_LIKE[context.command.name]}"
    name = option.lstrip("-").replace("-", "_")
    owners = [loss.name for loss in registered().values() if any(p.name == name for p in loss.parameters)]
    named = [word.partition(":")[0].replace("-", "_") for word in words]
    owner = next((owner for owner in owners if owner in named), None)
    if owner is None and (commands := _commands_with(option)):
        return f"no option {option}: it belongs to {', '.join(commands)}"
    if owners:
        owner = owner or owners[0]
        return f"no option {option}: it is a parameter of the loss: write {owner}:{name}=VALUE or -P {name}=VALUE"
    options = [o for p in context.command.params for o in p.opts if o.startswith("--")] if context else []
    return f"no option {printable(option)}{nearest(option, options) or see}"


def _commands_with(option: str) -> list[str]:
    """Return the names of the commands that have an option."""
    commands = command_line("", options=True).commands
    return [name for name, command in commands.items() if any(option in p.opts for p in command.params)]
