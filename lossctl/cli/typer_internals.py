"""The private API of typer that lossctl uses, and nothing else: the one file to look at when typer changes.

``parsing`` needs the context and the help formatter. ``completion.shells`` needs the classes of the completion
protocols and the two functions that find the word to complete.
"""

from typer._click.core import Context, Parameter
from typer._click.formatting import HelpFormatter
from typer._click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)
from typer._click.shell_completion import _resolve_context as resolve_context
from typer._click.shell_completion import _resolve_incomplete as resolve_incomplete
from typer._completion_classes import BashComplete, FishComplete, ZshComplete
from typer._completion_shared import _completion_scripts as completion_scripts

__all__ = [
    "BashComplete",
    "CompletionItem",
    "Context",
    "FishComplete",
    "HelpFormatter",
    "Parameter",
    "ShellComplete",
    "ZshComplete",
    "add_completion_class",
    "completion_scripts",
    "resolve_context",
    "resolve_incomplete",
    "split_arg_string",
]
