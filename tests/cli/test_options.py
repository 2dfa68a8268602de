"""The options of the command line and the keywords of the Python API are the same, apart from written exceptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import pytest
from typer.main import get_command

import lossctl
from lossctl.cli.app import build
from lossctl.cli.options import ComputationOptions
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions

# Options without a keyword, each with the reason.
_FILES = "describes how a file is read; Python passes arrays"
_READ = (
    *("delimiter", "header", "header_of", "encoding", "decimal", "thousands"),
    *("na_values", "input_format", "on", "join"),
)
_TEXT = "describes what is written; Python returns an object"
_PREPARED = "the caller prepares the arrays"
_COMMAND_ONLY = {
    **dict.fromkeys(_READ, _FILES),
    **dict.fromkeys(("format", "quiet", "outputs", "precision", "color", "no_progress"), _TEXT),
    "param": "Python writes the parameter into the spec, or binds it: get_loss('huber').bind(delta=2)",
    "cluster": "the tasks of a cluster read files; arrays are in the memory of one process",
    "allow_mixed": "belongs to --cluster",
    "where": "the caller selects the rows of the arrays",
    "clip": "the caller clips the arrays",
}
EXCEPTIONS: dict[str, dict[str, str]] = {
    "compute": {
        **_COMMAND_ONLY,
        "fail_above": "sets the exit code; Python compares the value",
        "fail_below": "sets the exit code; Python compares the value",
        "strict": "turns advice into an error; Python gives no advice",
        "group": "names a column; Python passes arrays of lists",
        "training": "names a file; Python passes the scale",
        "season": "belongs to --training",
    },
    "explain": {
        **dict.fromkeys(_READ, _FILES),
        **dict.fromkeys(("format", "quiet", "outputs", "precision", "color"), _TEXT),
        "labels": _PREPARED,
        "framework": "of a function on the command line; Python explains a number",
        "probe": "writes a file",
        "where": _PREPARED,
    },
    "gradcheck": {
        **_COMMAND_ONLY,
        **dict.fromkeys(
            ("nan", "normalize", "sum_tolerance", "class_axis", "labels", "allow_negative_weights"), _PREPARED
        ),
        "top": "limits a table; the result has every coordinate",
        "at": "Python passes arrays by name as pred",
        "sweep": "adds a table",
        "save_numeric": "the result has the numeric gradient",
    },
    "verify": {
        "framework": "outputs of a kernel are judged, and no function is called",
        **_COMMAND_ONLY,
        **dict.fromkeys(
            ("nan", "normalize", "sum_tolerance", "class_axis", "labels", "allow_negative_weights"), _PREPARED
        ),
        "top": "limits a table; the result has every number beyond rounding, up to 100",
        "golden": "writes files for people without lossctl",
    },
}
# Arguments of the command that are no options: PREDS and TARGETS become pred and target.
ARGUMENTS = {"losses": "loss", "preds": "pred", "targets": "target", "values": "value"}


def keywords(name: str) -> dict[str, Any]:
    """Return the keywords of a public function with their defaults."""
    function: Callable[..., Any] = getattr(lossctl, name)
    return {p.name: p.default for p in inspect.signature(function).parameters.values()}


def options(name: str) -> dict[str, Any]:
    """Return the arguments and options of a command with their defaults."""
    command = get_command(build()).commands[name]  # type: ignore[attr-defined]
    return {ARGUMENTS.get(p.name, p.name): p.default for p in reversed(command.params)}


def differences(python: Mapping[str, Any], command: Mapping[str, Any], exceptions: Mapping[str, str]) -> list[str]:
    """Return a line for each name that one side lacks without an exception, and for each unused exception."""
    return [
        *(f"no option for the keyword {name}" for name in python if name not in command),
        *(f"no keyword for the option {name}" for name in command if name not in python and name not in exceptions),
        *(f"{name} is on both sides" for name in exceptions if name in python),
    ]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_option_has_a_keyword(name: str) -> None:
    assert differences(keywords(name), options(name), EXCEPTIONS[name]) == []


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_are_options(name: str) -> None:
    assert set(EXCEPTIONS[name]) <= set(options(name))


def test_an_option_on_one_side_is_seen() -> None:
    python, command = keywords("compute"), options("compute")
    assert differences(python | {"foo": None}, command, EXCEPTIONS["compute"]) == ["no option for the keyword foo"]
    assert differences(python, command | {"foo": None}, EXCEPTIONS["compute"]) == ["no keyword for the option foo"]
    assert differences(python, command, EXCEPTIONS["compute"] | {"nan": ""}) == ["nan is on both sides"]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_defaults_are_equal(name: str) -> None:
    """A default of None on the command line means the default of the function."""
    python = keywords(name)
    written = {key: value for key, value in options(name).items() if key in python and value not in (None, [])}
    written.pop("loss", None)
    assert written == {key: python[key] for key in written}


def test_every_function_with_a_command_is_compared() -> None:
    commands = {str(command.name) for command in build().registered_commands}
    assert commands & set(lossctl.__all__) == set(EXCEPTIONS)


def test_compute_options_reach_the_engine() -> None:
    """An option that needs no conversion has the same name in the engine."""
    engine = {f.name for f in (*fields(ComputeOptions), *fields(ExecutionConfig))}
    assert {f.name for f in fields(ComputationOptions)} - engine == {
        *("param", "sum_tolerance", "no_progress", "framework")
    }
