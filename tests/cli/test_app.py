"""The command line as a user sees it: exit codes, streams, pipes, terminals, encodings, files.

``run`` starts a process and ``on_terminal`` gives it a terminal; ``cli`` calls the entry point in this process, for
tests that do not need another one. Texts for people are compared with ``tests/cli/snapshots``:
``LOSSCTL_UPDATE_SNAPSHOTS=1 pytest tests/cli/test_app.py`` writes them again, to be read before they are committed.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess
from typing import Any, BinaryIO, TypeAlias

import pytest

from lossctl.cli.app import build, main
from lossctl.core.registry import registered
from lossctl.render import Style
from lossctl.render.table import table
from lossctl.report import Column, Report, Table

ROOT = Path(__file__).parents[2]
SNAPSHOTS = Path(__file__).with_name("snapshots")
LOSSCTL = (sys.executable, "-m", "lossctl")
PAIR = ("samples/diabetes_preds.csv", "samples/diabetes_targets.csv")
COMMANDS = [str(command.name) for command in build().registered_commands]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

Done: TypeAlias = "CompletedProcess[str]"
Cli: TypeAlias = Callable[..., Done]


def run(*args: str, stdin: str | BinaryIO | None = None, env: dict[str, str] | None = None, **how: Any) -> Done:
    """Run a process in the root of the repository; without ``stdin`` (text or a file) its stdin is empty."""
    how = {"stdout": PIPE, "stderr": PIPE, "encoding": "utf-8", "command": LOSSCTL, "cwd": ROOT} | how
    how |= {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or DEVNULL}
    environ = {**os.environ, **(env or {})}
    return subprocess.run([*how.pop("command"), *args], env=environ, timeout=300, check=False, **how)


def shell(redirection: str, *args: str) -> Done:
    """Run a process with streams as a shell sets them: ``>&-``, ``2>/dev/full``."""
    return run(*args, command=["sh", "-c", f'exec "$@" {redirection}', "sh", *LOSSCTL])


def on_terminal(*args: str, columns: int = 80, env: dict[str, str] | None = None) -> Done:
    """Run a process whose stdin and stdout are a terminal with the given number of columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**os.environ, **(env or {})}
    with subprocess.Popen(
        [*LOSSCTL, *args], cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=PIPE
    ) as process:
        os.close(theirs)
        shown = bytearray()
        while block := read(ours, process):
            shown += block
        os.close(ours)
        assert process.stderr is not None
        notes = process.stderr.read().decode()
    return CompletedProcess(args, process.returncode, shown.decode().replace("\r\n", "\n"), notes)


def read(terminal: int, process: subprocess.Popen[bytes]) -> bytes:
    """Return the next output on a terminal; empty if the process has ended or was killed after a timeout."""
    if not select.select([terminal], [], [], 30)[0]:
        process.kill()
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call the entry point in this process, in the root of the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args: str) -> Done:
        code = main(args)
        return CompletedProcess(args, code, *capsys.readouterr())

    return call


@pytest.fixture
def scored(tmp_path: Path) -> str:
    """A file with predictions p, targets t, weights w and names c."""
    return write(tmp_path / "scored.csv", "p,t,w,c\n0.5,1,1,yes\n0.25,0,2,no\n0.75,1,1,yes\n")


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def assert_refused(done: Done, code: int = 2) -> None:
    """Check that stderr has one line and stdout is empty."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert re.fullmatch(r"lossctl: [^\n]+\n", done.stderr), done.stderr


def assert_shown(name: str, text: str) -> None:
    """Check that the text is that of the snapshot."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("LOSSCTL_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        write(path, text)
    assert path.read_text(encoding="utf-8") == text


def value_of(done: Done) -> float:
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_stdout_carries_the_result_and_stderr_the_notes() -> None:
    done = run("compute", "mse,rmse,mae", *PAIR)
    assert done.returncode == 0
    assert_shown("compute", done.stdout)
    assert done.stderr == ""
    assert run("breakdown", "rmse", *PAIR).stderr == "note: rmse: the loss of a sample is r²\n"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("help", ["--help"]),
        ("help_compute", ["compute", "--help"]),
        ("list", ["list", "--family", "binary"]),
        ("info_huber", ["info", "huber"]),
        ("info_rmse", ["info", "rmse"]),
        ("compute_json", ["compute", "huber:delta=50", *PAIR, "-f", "json"]),
        ("compute_csv", ["compute", "mse,rmse", *PAIR, "-f", "csv"]),
    ],
)
def test_pages(cli: Cli, name: str, args: list[str]) -> None:
    """The output for people is that of the snapshots, which somebody has read."""
    done = cli(*args)
    assert done.returncode == 0
    assert_shown(name, done.stdout)


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.slow
def test_list_on_a_terminal(columns: int) -> None:
    """Text is wrapped to the width of the terminal."""
    done = on_terminal("list", "--family", "binary", "--color", "never", columns=columns)
    assert_shown(f"list_{columns}", done.stdout)


WRONG = [
    "",
    "comput mse a.csv",
    "compute",
    "compute mse",
    "compute mse scored.csv scored.csv more.csv -p p -t t",
    "compute mse nope.csv",
    "compute mse scored.csv",
    "compute mse scored.csv -p p -t tt",
    "compute mse scored.csv -p p -t t -w nope",
    "compute hubr scored.csv -p p -t t",
    "compute zzz scored.csv -p p -t t",
    "compute mse,mse scored.csv -p p -t t",
    "compute huber:delt=1 scored.csv -p p -t t",
    "compute huber:delta=-1 scored.csv -p p -t t",
    "compute huber scored.csv -p p -t t --delta 0.5",
    "compute pseudo-huber scored.csv -p p -t t --delta=0.5",
    "compute huber scored.csv -p p -t t -P delta",
    "compute huber,mse scored.csv -p p -t t -P delta=1",
    "compute mse scored.csv -p p -t t --tabel",
    "compute mse scored.csv -p p -t t -x",
    "compute mse scored.csv -p p -t t -f",
    "compute mse scored.csv -p p -t t -f jsn",
    "compute mse scored.csv -p p -t t -o out.jsn",
    "compute mse scored.csv -p p -t t -o nowhere/out.csv",
    "compute mse scored.csv -p p -t t --color alway",
    "compute mse scored.csv -p p -t t --precision 99",
    "compute mse scored.csv -p p -t t --precision x",
    "compute mse scored.csv -p p -t t --threads 0",
    "compute mse scored.csv -p p -t t --reduction avg",
    "compute mse scored.csv -p p -t t --labels 0,1",
    "compute mse bad.csv -p p -t t",
    "compute rmse scored.csv -p p -t t --reduction sum",
    "compute own.py:fails scored.csv -p p -t t",
    "compute own.py:leaves scored.csv -p p -t t",
    "compute own.py:returns_its_mean scored.csv -p p -t t",
    "compute own.py:nope scored.csv -p p -t t",
    "compute own.py scored.csv -p p -t t",
    "info",
    "info hubr",
    "info huber -q",
    "list --family binry",
    "list -f value",
]
OWN = """
def fails(pred, target):
    raise ZeroDivisionError("no luck\\nat all")

def returns_its_mean(pred, target):
    return (pred - target).mean()

def leaves(pred, target):
    raise SystemExit(0)

def prints(pred, target):
    print("in the way")
    return abs(pred - target)
"""


def test_errors_are_one_line_and_exit_2(cli: Cli, scored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error: exit code 2, stdout empty, one line on stderr with the cause and the remedy."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "own.py", OWN)
    write(tmp_path / "bad.csv", "p,t\n1,2\noops,3\n")
    told = ""
    for line in WRONG:
        done = cli(*shlex.split(line))
        assert_refused(done)
        told += f"$ lossctl {line}\n{done.stderr}\n"
    assert_shown("errors", told)


def fail(*_: object) -> None:
    raise RuntimeError("not the user's fault\nat all")


def test_a_bug_exits_3_with_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in lossctl gives exit code 3 and one line that says how to report it."""
    monkeypatch.setattr("lossctl.core.registry.get_loss", fail)
    done = cli("info", "mse")
    assert_refused(done, 3)
    assert "a bug in lossctl: RuntimeError: not the user's fault at all" in done.stderr
    assert "LOSSCTL_DEBUG=1" in done.stderr


def test_a_bug_shows_its_traceback_when_asked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOSSCTL_DEBUG=1 adds the traceback; the exit code stays 3, because 1 means a failed threshold."""
    monkeypatch.setattr("lossctl.core.registry.get_loss", fail)
    monkeypatch.setenv("LOSSCTL_DEBUG", "1")
    done = cli("info", "mse")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("lossctl: a bug in lossctl: RuntimeError")


@pytest.mark.parametrize(
    "args",
    [
        ["compute", "mse", *PAIR],
        ["list", "-f", "json"],
        ["info", "huber"],
        ["--help"],
        ["list", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_a_reader_that_has_left_is_no_error(args: list[str]) -> None:
    """``lossctl … | head -0``: exit code 141 as for SIGPIPE, and no output."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*args, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_interrupted_while_waiting_for_a_pipe() -> None:
    """Ctrl-C: exit code 130, and no output."""
    with subprocess.Popen(
        [*LOSSCTL, "compute", "mse", "-", "-p", "p", "-t", "t"], cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"p,t\n1,2\n")
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while unread(process.stdin.fileno()):  # until it is inside read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.wait(10)
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, b"", b"")


def unread(pipe: int) -> int:
    """Return the number of unread bytes in a pipe."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


@pytest.mark.parametrize("args", [["compute", "mse", *PAIR], ["list"], ["--help"], ["--version"]], ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "cause"), [(">/dev/full", "no space left on device"), (">&-", "stdout is closed")]
)
@pytest.mark.slow
def test_a_stdout_that_takes_nothing(args: list[str], redirection: str, cause: str) -> None:
    """A full disk or a closed stdout is an error of one line, neither a success nor a bug."""
    done = shell(redirection, *args)
    assert_refused(done)
    assert cause in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&-"])
@pytest.mark.slow
def test_other_streams_do_not_matter(redirection: str) -> None:
    """A closed stderr and an unused stdin change neither result nor exit code."""
    done = shell(redirection, "compute", "rmse", *PAIR, "--format", "value")
    assert value_of(done) == pytest.approx(55.7346, rel=1e-5)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.slow
def test_an_error_that_nobody_hears_is_an_error(redirection: str) -> None:
    done = shell(redirection, "compute", "mse", "nope.csv", "nope.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.slow
def test_stdin_that_is_closed_or_empty() -> None:
    assert_refused(shell("<&-", "compute", "mse", "-", PAIR[1]))
    assert_refused(run("compute", "mse", "-", PAIR[1], stdin=""))


def test_a_terminal_is_not_read_from() -> None:
    """With ``-`` and a terminal as stdin, lossctl reports an error instead of waiting for input."""
    done = on_terminal("compute", "mse", "-", PAIR[1])
    assert_refused(done)
    assert "stdin is a terminal" in done.stderr


@pytest.mark.parametrize(
    "env", [{"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}], ids=str
)
@pytest.mark.slow
def test_ascii_gets_stand_ins(env: dict[str, str]) -> None:
    """Characters that the terminal lacks are replaced in results, notes and errors."""
    done = run("breakdown", "rmse", *PAIR, env=env)
    assert done.stderr == "note: rmse: the loss of a sample is r^2\n"
    done = run("compute", "rmse", *PAIR, env=env)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"148 samples | {', '.join(PAIR)} | mean"
    assert set(done.stdout.splitlines()[3]) == {"-"}


def test_utf8_keeps_its_characters() -> None:
    """LC_ALL has precedence over LANG; characters of the encoding are not replaced."""
    assert "─" in run("compute", "mse", *PAIR, env={"LC_ALL": "C.UTF-8", "LANG": "C"}).stdout
    assert "r²" in run("info", "mse").stdout


@pytest.mark.slow
def test_no_encoding_stops_a_result() -> None:
    """Latin-1 has ² but not ─, and a path need not be UTF-8: neither stops the output."""
    assert run("list", env={"PYTHONIOENCODING": "latin-1"}, encoding="latin-1").returncode == 0
    path = os.fsdecode(b"n\xff\xc3\xb6.csv")
    assert_refused(run("compute", "mse", path, path, env={"LC_ALL": "C"}))


@pytest.mark.parametrize("name", registered())
@pytest.mark.slow
def test_every_character_of_the_catalogue_has_a_stand_in(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    r"""``LANG=C lossctl info`` prints words, not ``\u2264``, and a product is not written as ``|``."""
    formula = json.loads(cli("info", name, "-f", "json").stdout)["formula"]
    monkeypatch.setenv("LANG", "C")
    done = cli("info", name)
    assert done.stdout.isascii()
    assert "\\" not in done.stdout
    (line,) = re.findall(r"^formula +(.*)$", done.stdout, re.MULTILINE)
    assert line.count("|") == formula.count("|") + 2 * formula.count("‖")


@pytest.mark.slow
def test_off_a_terminal_nothing_depends_on_the_width() -> None:
    """COLUMNS does not cut or wrap output to a pipe."""
    for args in (["compute", "mse,rmse", *PAIR], ["list"], ["info", "bce"]):
        assert run(*args, env={"COLUMNS": "20"}).stdout == run(*args, env={"COLUMNS": "500"}).stdout
    assert max(map(len, run("list", env={"COLUMNS": "20"}).stdout.splitlines())) > 80


@pytest.mark.slow
def test_a_terminal_never_cuts_or_folds_a_number() -> None:
    """A chosen precision is kept at any width; columns that do not fit are named in a hint."""
    losses = json.loads(run("compute", "mse,rmse,mae", *PAIR, "-f", "json").stdout)["losses"]
    keys = {"value": "value", "std": "std_error", "min": "min", "max": "max", "at": "argmax"}
    for columns, names in ((40, ["value"]), (80, ["value", "std", "max", "at"]), (120, list(keys))):
        done = on_terminal("compute", "mse,rmse,mae", *PAIR, "--precision", "17", "--color", "never", columns=columns)
        lines = done.stdout.splitlines()
        rule = next(i for i, line in enumerate(lines) if set(line) == {"─"})
        rows = [line.split() for line in lines[rule + 1 : rule + 4]]
        for row, loss in zip(rows, losses, strict=True):
            assert [row[0], *map(float, row[1:])] == [loss["loss"], *(loss[keys[name]] for name in names)]
        assert ("not shown at" in done.stdout) == (columns < 120)


@pytest.mark.slow
def test_a_list_loses_no_character_at_any_width() -> None:
    """Wrapping drops no characters."""
    listed, _ = build()(args=["list"], standalone_mode=False)
    every = characters(listed, None)
    for width in (50, 80, 132):
        assert characters(listed, width) == every, width


def characters(report: Report, width: int | None) -> Counter[str]:
    return Counter("".join("".join(table(report, Style(width))).replace("─", "").split()))


@pytest.mark.slow
def test_colour_changes_nothing_but_colour() -> None:
    """FORCE_COLOR and --color always add escape codes and change nothing else, on a pipe and at any width."""
    args = ("compute", "mse,rmse", *PAIR)
    plain = run(*args).stdout
    assert not ESCAPE.search(plain)
    for coloured in (run(*args, env={"FORCE_COLOR": "1", "COLUMNS": "20"}), run(*args, "--color", "always")):
        assert ESCAPE.search(coloured.stdout)
        assert [line.rstrip() for line in ESCAPE.sub("", coloured.stdout).splitlines()] == plain.splitlines()


@pytest.mark.parametrize(
    ("env", "options", "colour"),
    [
        ({}, [], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, [], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({"TERM": "dumb"}, [], False),
        ({}, ["--color", "never"], False),
        ({}, ["-f", "csv"], False),
    ],
    ids=str,
)
@pytest.mark.slow
def test_colour_on_a_terminal(env: dict[str, str], options: list[str], colour: bool) -> None:
    done = on_terminal("compute", "mse", *PAIR, *options, env=env)
    assert done.returncode == 0
    assert bool(ESCAPE.search(done.stdout)) == colour


def test_force_color_leaves_other_formats_alone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for options in (["-q"], ["-f", "csv"], ["-f", "json"]):
        assert not ESCAPE.search(cli("compute", "mse", *PAIR, *options).stdout)


def test_errors_are_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word before an error is red; the line is the same without colour."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for env, told in (({}, "\x1b[1;31mlossctl:\x1b[0m no such"), ({"NO_COLOR": "1"}, "lossctl: no such")):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["comput"]) == 2
        assert terminal.getvalue().startswith(told)


@pytest.mark.parametrize("options", [[], ["--color", "always"], ["-f", "json"], ["-f", "csv"]], ids=str)
def test_names_are_never_markup_nor_terminal_codes(cli: Cli, tmp_path: Path, options: list[str]) -> None:
    """``[red]`` prints as ``[red]`` and an escape byte as its escape, in results, notes and errors."""
    name = "[red]x[\x1b[31m\x9b\a\n].csv"
    path = write(tmp_path / name, "[red]x[/],y\x1b[31m\n1,2\n3,30\n" + "4,4\n" * 5)
    shown = "[red]x[\\x1b[31m\\x9b\\x07\\n].csv"
    done = cli("compute", "mse", path, "--pred", "[red]x[/]", "--target", "y\x1b[31m", *options)
    assert done.returncode == 0
    assert f"{shown}:3) carries" in done.stderr
    if options != ["-f", "csv"]:
        assert shown in done.stdout.replace("\\\\", "\\")  # JSON doubles a backslash
    refused = cli("compute", "mse", path, "--pred", "[red]x[/]", "--target", "\x1b[32m")
    assert r"no column '\x1b[32m'; it has '[red]x[/]', 'y\x1b[31m'" in refused.stderr
    for text in (done.stdout, done.stderr, refused.stderr):
        assert not set(ESCAPE.sub("", text) if options[:1] == ["--color"] else text) & set("\x1b\x9b\a")


def test_cells_are_shown_as_text(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "p,t\n1,2\n[red]\x1b[31m,3\n")
    done = cli("compute", "mse", path, "--pred", "p", "--target", "t")
    assert_refused(done)
    assert done.stderr.endswith(r"not a number: '[red]\x1b[31m'" + "\n")


def test_a_table_prints_markup_as_it_stands() -> None:
    """Markup in cells, headings and titles is not interpreted."""
    rows = Table("rows", [Column("[b]h[/]", "text")], [("[red]x[/]\x1b[1m",)])
    report = Report("test/1", [rows], title="[i]t[/]")
    assert "".join(table(report, Style())).split() == ["[i]t[/]", "[b]h[/]", "─" * 16, r"[red]x[/]\x1b[1m"]


def test_every_format_has_the_same_numbers(cli: Cli) -> None:
    """Values, JSON and CSV have the same doubles, to the bit."""
    args = ("compute", "mse,rmse,mae,huber:delta=50", *PAIR)
    lines = cli(*args, "-f", "value").stdout.splitlines()
    document = json.loads(cli(*args, "-f", "json").stdout, parse_constant=pytest.fail)
    rows = list(csv.DictReader(io.StringIO(cli(*args, "-f", "csv").stdout)))
    assert lines == [repr(float(line)) for line in lines]
    assert [float(line) for line in lines] == [loss["value"] for loss in document["losses"]]
    for row, loss in zip(rows, document["losses"], strict=True):
        del loss["params"]
        assert row == {key: str(value) for key, value in loss.items()}


def test_json_says_what_it_is(cli: Cli) -> None:
    document = json.loads(cli("compute", "huber:delta=50", *PAIR, "-f", "json").stdout)
    assert document["schema"] == "lossctl.compute/1"
    (loss,) = document["losses"]
    assert (loss["name"], loss["params"], loss["count"], loss["denominator"]) == ("huber", {"delta": 50.0}, 148, 148.0)
    assert json.loads(cli("list", "-f", "json").stdout)["schema"] == "lossctl.list/1"
    assert json.loads(cli("info", "huber", "-f", "json").stdout)["schema"] == "lossctl.info/1"


@pytest.mark.parametrize(("cell", "nan", "spelled"), [("1e200", "error", "Infinity"), ("nan", "propagate", "NaN")])
def test_numbers_that_json_lacks_are_strings(cli: Cli, tmp_path: Path, cell: str, nan: str, spelled: str) -> None:
    path = write(tmp_path / "a.csv", f"p,t\n{cell},0\n1,2\n")
    args = ("compute", "mse", path, "-p", "p", "-t", "t", "--nan", nan)
    document = json.loads(cli(*args, "-f", "json").stdout, parse_constant=pytest.fail)
    assert document["losses"][0]["value"] == spelled
    bare = value_of(cli(*args, "-q"))
    assert math.isinf(bare) if spelled == "Infinity" else math.isnan(bare)


def test_quiet_prints_numbers_and_no_notes(cli: Cli, scored: str) -> None:
    done = cli("compute", "rmse,mse", scored, "-p", "p", "-t", "t", "-q")
    assert [float(line) for line in done.stdout.splitlines()] == [math.sqrt(0.125), 0.125]
    assert done.stderr == ""
    assert cli("breakdown", "rmse", scored, "-p", "p", "-t", "t").stderr.startswith("note: ")


def test_which_format(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Precedence: --format, the suffix of -o, -q, LOSSCTL_FORMAT, table."""
    out = tmp_path / "out.csv"
    args = ("compute", "mse", *PAIR)
    assert cli(*args).stdout.startswith("148 samples")
    monkeypatch.setenv("LOSSCTL_FORMAT", "json")
    assert cli(*args).stdout.startswith("{")
    cli(*args, "-o", str(out))
    assert out.read_text().startswith("loss,")
    cli(*args, "-o", str(out), "-f", "table")
    assert out.read_text().startswith("148 samples")
    assert cli(*args, "-f", "csv", "-q").stdout.startswith("loss,")
    assert value_of(cli(*args, "-q")) > 0
    monkeypatch.setenv("LOSSCTL_FORMAT", "jsn")
    assert_refused(cli(*args))


def test_precision_is_of_tables_only(cli: Cli) -> None:
    args = ("compute", "mse", *PAIR)
    assert "  3.1e+03 " in cli(*args, "--precision", "2").stdout
    assert cli(*args, "--precision", "2", "-q").stdout == cli(*args, "-q").stdout == "3106.345132808906\n"


@pytest.mark.parametrize(
    "args",
    [
        ["FILE", "-p", "p", "-t", "t"],
        ["FILE", "FILE", "-p", "p", "-t", "t"],
        ["FILE", "-p", "@1", "-t", "@2"],
        ["-", "-p", "p", "-t", "t"],
        ["-", "FILE", "-p", "p", "-t", "t"],
        ["FILE", "-", "-p", "p", "-t", "t"],
        ["-", "-", "-p", "p", "-t", "t"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_where_inputs_may_be(scored: str, args: list[str]) -> None:
    """Inputs in one file, in the same file twice, in a pipe for PREDS or TARGETS, in one pipe."""
    named = [scored if arg == "FILE" else arg for arg in args]
    stdin = Path(scored).read_text(encoding="utf-8") if "-" in args else None
    assert value_of(run("compute", "mse", *named, "-q", stdin=stdin)) == 0.125


def test_piped_arrays() -> None:
    """--input-format selects the format of a pipe."""
    with (ROOT / "samples/diabetes_preds.npy").open("rb") as piped:
        done = run("compute", "mse", "-", "samples/diabetes_targets.npy", "--input-format", "npy", "-q", stdin=piped)
    assert value_of(done) == 3106.345132808906


@pytest.mark.parametrize("weight", ["w", "weights.csv"])
def test_weights_by_column_or_by_file(cli: Cli, scored: str, tmp_path: Path, weight: str) -> None:
    """A value with a known suffix is a file, another value a column; the denominator is the sum of weights."""
    if weight == "weights.csv":
        weight = write(tmp_path / weight, "w\n1\n2\n1\n")
    (loss,) = json.loads(cli("compute", "mse", scored, "-p", "p", "-t", "t", "-w", weight, "-f", "json").stdout)[
        "losses"
    ]
    assert (loss["value"], loss["denominator"]) == (0.109375, 4.0)


def test_labels_name_classes(cli: Cli, scored: str) -> None:
    args = ("compute", "hinge", scored, "-p", "p", "-q", "--labels")
    assert (
        value_of(cli(*args, "no,yes", "-t", "c")) == value_of(cli(*args, "0,1", "-t", "t")) == (0.5 + 1.25 + 0.25) / 3
    )
    assert value_of(cli(*args, "yes,no", "-t", "c")) != value_of(cli(*args, "no,yes", "-t", "c"))
    assert_refused(cli(*args, "no,maybe", "-t", "c"))


@pytest.mark.parametrize(
    "loss", ["huber:delta=0.25", "HUBER:delta=2.5e-1", ["huber", "-P", "delta=0.25"], ["huber", "--param", "delta=.25"]]
)
def test_ways_to_give_a_parameter(cli: Cli, scored: str, loss: str | list[str]) -> None:
    first, *rest = [loss] if isinstance(loss, str) else loss
    done = cli("compute", first, scored, "-p", "p", "-t", "t", "-q", *rest)
    assert value_of(done) == (0.25 * 0.375 + 0.03125 + 0.03125) / 3


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("l2", "mse"),
        ("Mean-Squared-Error", "mse"),
        ("pseudo-huber", "pseudo_huber"),
        ("bce-with-logits", "bce_with_logits"),
    ],
)
def test_names_that_mean_the_same(cli: Cli, scored: str, written: str, name: str) -> None:
    """Aliases, hyphens and capitals work; the report has the name of the loss."""
    done = cli("compute", written, scored, "-p", "p", "-t", "t", "-f", "csv")
    assert done.stdout.splitlines()[1].startswith(f"{name},{name},")


def test_a_parameter_written_as_an_option_is_answered_with_how_to_write_it(cli: Cli, scored: str) -> None:
    """The hint is given even if an option has a similar name (--delimiter, --weight)."""
    args = ("compute", "pseudo-huber", scored, "-p", "p", "-t", "t")
    assert "write pseudo_huber:delta=VALUE or -P delta=VALUE" in cli(*args, "--delta", "0.5").stderr
    assert "write bce_with_logits:pos_weight=VALUE" in cli(*args, "--pos-weight=2").stderr


def test_what_a_loss_prints_is_no_result(scored: str, tmp_path: Path) -> None:
    """Text that a loss prints does not go to stdout, which has results only."""
    own = write(tmp_path / "own.py", OWN)
    done = run("compute", f"{own}:prints", scored, "-p", "p", "-t", "t", "-q")
    assert value_of(done) == (0.5 + 0.25 + 0.25) / 3
    assert done.stderr == "in the way\n"


def test_output_goes_to_the_file_alone(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = cli("compute", "mse", *PAIR, "-o", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(cli("compute", "mse", *PAIR, "-f", "json").stdout)


def test_a_run_that_fails_leaves_the_file_as_it_was(cli: Cli, tmp_path: Path) -> None:
    """An error in the input, even in the last row, leaves the output file unchanged."""
    out = write(tmp_path / "out.csv", "old")
    bad = write(tmp_path / "bad.csv", "p,t\n" + "1,2\n" * 5000 + "1,oops\n")
    assert_refused(cli("compute", "mse", bad, "-p", "p", "-t", "t", "-o", out))
    assert Path(out).read_text(encoding="utf-8") == "old"
    assert sorted(os.listdir(tmp_path)) == ["bad.csv", "out.csv"]


def test_a_disk_that_fills_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The new file replaces the old one when it is complete; an incomplete file is removed."""
    out = write(tmp_path / "out.csv", "old")
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *LOSSCTL]
    done = run("compute", "mse", *PAIR, "-o", out, command=limited)
    assert_refused(done)
    assert "file too large" in done.stderr
    assert Path(out).read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize(
    "out", ["/dev/full", "/proc/out.csv", "samples/no/out.csv", "samples/README.md/out.csv", "samples"]
)
def test_places_that_take_no_file(cli: Cli, out: str) -> None:
    done = cli("compute", "mse", *PAIR, "-f", "csv", "-o", out)
    assert_refused(done)
    assert done.stderr.startswith(f"lossctl: -o {out}: ")


@pytest.mark.slow
def test_links_stay_links(tmp_path: Path) -> None:
    """A link stays a link, its target is replaced; /dev/stdout and /dev/fd/1 are written, not replaced."""
    table = run("compute", "mse", *PAIR).stdout
    link, target = tmp_path / "link.txt", tmp_path / "target.txt"
    link.symlink_to(target)
    assert run("compute", "mse", *PAIR, "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == table
    with target.open("a") as appended:
        run("compute", "mse", *PAIR, "-o", "/dev/fd/1", stdout=appended)
    assert target.read_text(encoding="utf-8") == 2 * table


def examples() -> list[str]:
    """Return all examples in the help of the commands."""
    pages = [str(page.help) for page in (build().info, *build().registered_commands)]
    return [line.strip() for page in pages for line in page.splitlines() if line.startswith("  lossctl ")]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_examples_on_lines_of_their_own(cli: Cli, command: str) -> None:
    """Help does not wrap examples, so that they can be copied."""
    done = cli(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.strip() for line in done.stdout.splitlines() if line.startswith("    lossctl ")]
    assert shown
    assert set(shown) <= set(examples())


@pytest.mark.parametrize("example", sorted(set(examples())))
@pytest.mark.slow
def test_examples_run(example: str, tmp_path: Path) -> None:
    """Each example runs where a user has only the samples, so that a file that it writes is not in the repository."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    done = run(example.replace("lossctl", shlex.join(LOSSCTL), 1), command=["sh", "-c"], cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # 1: some show a gradient that is wrong
    assert done.stdout


def imported_by(statement: str) -> set[str]:
    """Return which of the slow packages a new interpreter imports for a statement."""
    code = f"import sys\n{statement}\nprint(*{{'numpy', 'rich', 'polars'}} & set(sys.modules))"
    return set(run(code, command=[sys.executable, "-c"]).stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "slow"),
    [
        ("import lossctl; dir(lossctl)", set()),
        (
            "from lossctl.cli.app import main; main(['--help']); main(['--version']); main(['compute', '--help'])",
            set(),
        ),
        (f"from lossctl.cli.app import main; main(['compute', 'mse', *{PAIR}, '-q'])", {"numpy"}),
        (f"from lossctl.cli.app import main; main(['compute', 'mse', *{PAIR}])", {"numpy", "rich"}),
    ],
    ids=["import", "help", "value", "table"],
)
@pytest.mark.slow
def test_nothing_is_imported_before_it_is_needed(statement: str, slow: set[str]) -> None:
    assert imported_by(statement) == slow


def test_version_and_completion() -> None:
    assert re.fullmatch(r"lossctl \d+\.\d+\.\d+\n", run("--version").stdout)
    asked = {"_LOSSCTL_COMPLETE": "complete_bash", "COMP_WORDS": "lossctl compu", "COMP_CWORD": "1"}
    done = run(env=asked)
    assert (done.returncode, done.stdout) == (0, "compute\n")
