"""Attacks: hostile input, options and surroundings, each with the promise that it tries to break.

A module of this folder contains the attacks of one area. An attack is a function of an empty folder, which is also
the current directory; it raises AssertionError if the promise is broken::

    @attack("rows")
    def a_quote_in_a_string(folder: Path) -> None: ...

    @attack("errors", "[true]", "{", slow=True)
    def not_an_object(folder: Path, line: str) -> None: ...

``test_attacks.py`` runs the attacks that are not slow, and with ``-m slow`` the others, of some only the first cases.
``python tests/attacks/run.py`` runs all and prints how many are kept and broken per promise.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from lossctl.cli import app as cli

PROMISES = {
    "rows": "every reader gives the same rows for any chunks, pipes and line ends",
    "options": "an option that cannot act on the input is an error",
    "cost": "time is linear in the input, memory is bounded, an error names at most 10 places",
    "numbers": "weights, sums and standard errors are right from 1e-320 to 1e300",
    "errors": "bad input ends with exit code 2 and one line on stderr, and nothing on stdout",
    "code": "no code from the current folder or from data is run",
    "left behind": "no temporary file outlives the run, and -o is atomic",
    "exit codes": "1 only for a gate or check, 3 only for a bug of lossctl",
    "terminal": "text from outside reaches no terminal raw",
    "cluster": "a cluster ends with a result or one line, and other people's workers live",
}


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        promise: a key of ``PROMISES``.
        name: area, function and case.
        run: the attack; the argument is an empty folder.
        slow: whether it is one of the slow tests.
        tested: whether the tests run it, or only ``run.py``.
    """

    promise: str
    name: str
    run: Callable[[Path], None]
    slow: bool
    tested: bool = True


ATTACKS: list[Attack] = []
_LIMIT = 60  # seconds of an attack, after which it counts as a hang


def attack(
    promise: str, *cases: Any, slow: bool = False, tested: int = sys.maxsize
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to the table, once for each case; the case is its second argument.

    Args:
        promise: a key of ``PROMISES``.
        cases: the second argument of each attack. Default: one attack without it.
        slow: whether they are slow tests. Default False.
        tested: how many of the cases the tests run. Default: all.
    """
    assert promise in PROMISES

    def add(function: Callable[..., None]) -> Callable[..., None]:
        area = function.__module__.rpartition(".")[2]
        for i, case in enumerate(cases or (None,)):
            run = function if case is None else lambda folder, case=case: function(folder, case)
            label = function.__name__ + (f"[{case!s:.40}]" if case is not None else "")
            ATTACKS.append(Attack(promise, f"{area}: {label}", run, slow, i < tested))
        return function

    return add


def every_attack() -> list[Attack]:
    """Return the attacks of all modules of this folder."""
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem not in ("harness", "run", "test_attacks"):
            importlib.import_module(f"attacks.{file.stem}")
    return ATTACKS


@contextmanager
def _limited() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise AssertionError(f"over {_LIMIT} s")  # not TimeoutError, which is an OSError: code may handle it

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(one: Attack) -> tuple[str, float]:
    """Run an attack in an empty folder; return the reason why the promise is broken ("" if kept) and the seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _limited():
        try:
            one.run(Path(folder))
        except Exception as error:  # noqa: BLE001 - every error of an attack breaks its promise
            return f"{type(error).__name__}: {str(error) or 'assertion'}"[:300], time.monotonic() - began
    return "", time.monotonic() - began


@dataclass(frozen=True)
class Ended:
    """The exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> float:
        """The number on stdout of a command that succeeded."""
        assert self.code == 0, self.err
        return float(self.out)

    def refused(self, *parts: str) -> None:
        """Assert exit code 2, nothing on stdout, and one printable line on stderr with these parts in order."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.startswith("lossctl: "), self
        assert self.err.endswith("\n"), self
        assert self.err[:-1].isprintable(), self
        at = 0
        for part in parts:
            at = self.err.find(part, at)
            assert at >= 0, f"{part!r} is not in {self.err!r}"


def run(*argv: str, stdin: bytes = b"") -> Ended:
    """Run a command in this process; code 3 becomes an exception with the traceback."""
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        mock.patch.dict(os.environ, LOSSCTL_DEBUG=""),
        mock.patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = cli.main(list(argv))
    return Ended(code, *(file.buffer.getvalue().decode() for file in (out, err)))  # type: ignore[attr-defined]
