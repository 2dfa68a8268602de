"""Help, completion, and the suggestions that errors make for misspelled names."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from lossctl import UsageError, api
from lossctl.cli import source_scan
from lossctl.cli.app import COMMANDS, JOBS, main
from lossctl.cli.completion import completers, shells
from lossctl.core import validation
from lossctl.core.parameters import Parameter
from lossctl.core.registry import get_loss, registered
from lossctl.gradients import gradcheck, gradient_arguments
from lossctl.io import formats
from lossctl.render import FORMATS

ROOT = Path(__file__).parents[2]
LOSSCTL = str(Path(sys.executable).with_name("lossctl"))
PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
BREAKS = " \t\n\"'@><=;|&(:"  # bash's own


def told() -> dict[str, source_scan.ScannedLoss]:
    return {name: loss for family in source_scan.built_in().values() for name, loss in family.items()}


# --- Reading losses without running them ----------------------------------------------------------


def test_the_sources_say_what_the_registry_says() -> None:
    """Names, aliases, inputs, parameters and defaults read from source files are those of the registry."""
    read = told()
    assert list(read) == list(registered())
    for loss in registered().values():
        found = read[loss.name]
        assert found.summary == loss.summary.replace("``", "")
        assert found.aliases == loss.aliases
        assert found.inputs == tuple(i.name for i in loss.inputs)
        assert list(found.parameters) == [p.name for p in loss.parameters]
        for p in loss.parameters:
            first, *_ = values = found.parameters[p.name]
            assert first == Parameter.show(p.default)
            assert set(p.choices) <= set(values)
    families = {name: list(losses) for name, losses in source_scan.built_in().items()}
    assert families == {
        family: [loss.name for loss in registered().values() if loss.family == family]
        for family in dict.fromkeys(loss.family for loss in registered().values())
    }


def test_a_difference_would_be_seen() -> None:
    """Checks that the test above can fail: another default, alias or parameter in the source is detected."""
    source = (ROOT / "lossctl" / "losses" / "robust.py").read_text(encoding="utf-8")
    (before, *_), (after, *_) = (
        list(source_scan.read_losses(text, declared=True))
        for text in (source, source.replace("= 1.0,", "= 2.5,").replace("Squared near", "Cubed near"))
    )
    assert before.parameters == {"delta": ("1",)}
    assert after.parameters == {"delta": ("2.5",)}
    assert before.summary != after.summary


def test_literals_booleans_and_none_are_offered() -> None:
    source = (
        "@loss()\ndef f(p, t, s, *, how: Annotated[Literal['a', 'b'] | None, Param('')] = None, on=True, x=2e-3): 1\n"
    )
    (found,) = source_scan.read_losses(source, declared=True)
    assert found.parameters == {"how": ("none", "a", "b"), "on": ("true", "false"), "x": ("0.002",)}
    assert found.inputs == ("p", "t", "s")


# --- What is offered ------------------------------------------------------------------------------


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    """Return the completions for fish after a line as whole words (other shells differ in quotes)."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("_LOSSCTL_COMPLETE", "complete_fish")
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        with pytest.raises(SystemExit) as left:
            main([])
        said = capsys.readouterr()
        assert (left.value.code, said.err) == (0, "")
        return [row.split("\t")[0] for row in said.out.splitlines() if row]

    monkeypatch.chdir(ROOT)
    return ask


def names(*wanted: str) -> list[str]:
    return sorted(wanted)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lossctl ", [*COMMANDS]),
        ("lossctl gradc", ["gradcheck"]),
        ("lossctl compute ", list(registered())),
        ("lossctl compute hub", ["huber"]),
        ("lossctl compute charb", ["charbonnier"]),
        ("lossctl compute pseudo-h", ["pseudo-huber"]),
        ("lossctl compute mse,hub", ["mse,huber"]),
        ("lossctl compute huber:delta=2,pseu", ["huber:delta=2,pseudo_huber"]),
        ("lossctl compute rmse,rms", ["rmse,rmsle", "rmse,rmsse"]),  # not once more
        ("lossctl compute huber:delta=2,hub", ["huber:delta=2,huber"]),  # but with another delta
        ("lossctl compute huber:", ["huber:delta="]),
        ("lossctl compute mse,huber:de", ["mse,huber:delta="]),
        ("lossctl compute charbonnier:", ["charbonnier:delta="]),
        ("lossctl compute huber:delta=", ["huber:delta=1"]),
        ("lossctl compute huber:delta=3:", []),
        ("lossctl compute mse:", []),
        ("lossctl compute nobody", []),
        ("lossctl compute nobody:", []),
        ("lossctl info rms", ["rmse", "rmsle", "rmsse"]),
        ("lossctl grad hub", ["huber"]),
        ("lossctl gradcheck hub", ["huber"]),
        ("lossctl compute samples/my", ["samples/my_losses.py:"]),
        ("lossctl compute sampl", []),  # the shell offers files
        ("lossctl compute samples/my_losses.py:cu", ["samples/my_losses.py:cubic"]),
        ("lossctl compute samples/my_losses.py:asym:", ["samples/my_losses.py:asym:alpha="]),
        ("lossctl compute mse,samples/my_losses.py:asym:alpha=", ["mse,samples/my_losses.py:asym:alpha=2"]),
        ("lossctl compute samples/nope.py:", []),
        ("lossctl compute mse samples/diab", []),  # the shell offers files
        ("lossctl compute mse samples/diabetes.csv --pred ri", ["ridge"]),
        ("lossctl compute mse samples/diabetes.csv --pred=ri", ["--pred=ridge"]),
        ("lossctl compute mse samples/diabetes.csv -p ridge --target ", ["id", "group", "target", "forest"]),
        ("lossctl compute mse samples/diabetes.csv -w g", ["group"]),
        ("lossctl compute mse samples/diabetes.csv --on i", ["id"]),
        ("lossctl compute mse -p ", []),
        ("lossctl compute mse nope.csv -p ", []),
        ("lossctl compute mse samples/diabetes_preds.npy -p ", []),
        ("lossctl compute mse samples/diabetes.csv -p x --no-header -t @1", ["@1"]),
        ("lossctl compute huber a.csv b.csv -P ", ["delta="]),
        ("lossctl breakdown mse samples/diabetes.csv --by gr", ["group"]),
        ("lossctl breakdown mse samples/diabetes.csv --by cl", ["class"]),
        (
            "lossctl breakdown mse samples/diabetes.csv --columns id,",
            ["id,group", "id,target", "id,ridge", "id,forest"],
        ),
        ("lossctl breakdown mse a.csv --sort ", ["loss", "row"]),
        ("lossctl compare mse samples/diabetes.csv -p ridge -p ", ["id", "group", "target", "forest"]),
        ("lossctl compare mse nope.csv nope.csv samples/diabetes_targets.csv -t ", ["target"]),
        ("lossctl list --family ro", ["robust"]),
        ("lossctl list --form", ["--format"]),
        ("lossctl compute mse a.csv --reduction ", [*validation.REDUCTIONS, "group", "output", "batch"]),
        ("lossctl grad mse a.csv --reduction ", list(gradcheck.REDUCTIONS)),
        ("lossctl compute mse a.csv --nan ", list(validation.NAN)),
        ("lossctl gradcheck mse --signature ", list(gradient_arguments.SIGNATURES)),
        ("lossctl gradcheck mse --wrt ", ["pred", "logits"]),
        ("lossctl list --color ", ["auto", "always", "never"]),
        ("lossctl list -f ", list(FORMATS)),
        ("lossctl compute mse --input-format ", list(formats.FORMATS)),
        (
            "lossctl gradcheck mse --grad samples/my_losses.py:squ",
            ["samples/my_losses.py:squared_objective"],
        ),
    ],
)
def test_what_follows(offered: Callable[[str], list[str]], line: str, expected: list[str]) -> None:
    assert names(*offered(line)) == names(*expected)


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("a.tsv", b"x y\tz\n1\t2\n", "", ["x y", "z"]),
        ("a.txt", b"  x   y\n1 2\n", "", ["x", "y"]),
        ("a.csv", b'\xef\xbb\xbf"x,1";y\r\n1;2\r\n', "-d ';'", ["x,1", "y"]),
        ("a.csv", b"1,2,3\n", "", ["@1", "@2", "@3"]),
        ("a.csv", b"1,2,3\n", "--header", ["1", "2", "3"]),
        ("a.csv", b"no\x1b[31m,\xff,good\n1,2,3\n", "", ["good", "\ufffd"]),
        ("a.csv", b"\xe9\n1\n", "--encoding latin-1", ["é"]),
        ("a.csv", b"x\n", "--encoding nonsense", []),
        ("a.csv", b"", "", []),
        ("a.csv", b"\0" * 100, "", []),
        ("a.csv", b"x" * 2_000_000, "-d ''", []),
        ("a.csv.gz", b"no gzip", "", []),
        ("a.dat", b"x,y\n", "", []),
        ("a.dat", b"x,y\n", "--input-format csv", ["x", "y"]),
    ],
)
def test_columns(  # noqa: PLR0917 - what pytest fills in
    offered: Callable[[str], list[str]], tmp_path: Path, name: str, content: bytes, options: str, expected: list[str]
) -> None:
    """The names in the first line of any file; nothing if the file cannot be read."""
    path = tmp_path / name
    path.write_bytes(content)
    assert names(*offered(f"lossctl compute mse {path} {options} -p ")) == names(*expected)


def test_columns_of_compressed_text(offered: Callable[[str], list[str]], tmp_path: Path) -> None:
    import bz2
    import gzip

    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"yhat,y\n1,2\n"))
    (tmp_path / "b.tsv.bz2").write_bytes(bz2.compress(b"u\tv\n1\t2\n"))
    assert offered(f"lossctl compute mse {tmp_path}/a.csv.gz {tmp_path}/b.tsv.bz2 -p ") == ["yhat", "y"]
    assert offered(f"lossctl compute mse {tmp_path}/a.csv.gz {tmp_path}/b.tsv.bz2 -t ") == ["u", "v"]
    assert offered(f"lossctl compute mse {tmp_path}/a.csv.gz {tmp_path}/b.tsv.bz2 -w ") == ["yhat", "y", "u", "v"]


def test_a_pipe_is_not_read(offered: Callable[[str], list[str]], tmp_path: Path) -> None:
    """Completion does not read a pipe: it would wait for a writer and consume the data."""
    os.mkfifo(tmp_path / "a.csv")
    assert offered(f"lossctl compute mse {tmp_path}/a.csv -p ") == []
    assert offered("lossctl compute mse /dev/stdin --input-format csv -p ") == []


def test_losses_of_packages_are_offered(
    offered: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of packages are completed from metadata, without importing the package."""
    (tmp_path / "acme-1.0.dist-info").mkdir()
    (tmp_path / "acme-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (tmp_path / "acme-1.0.dist-info" / "entry_points.txt").write_text("[lossctl.losses]\nquartic = nowhere:nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert offered("lossctl compute mse,quar") == ["mse,quartic"]


# --- How three shells ask, and what they do with the answer -----------------------------------------


def shell(name: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a process in the way in which a shell requests completions."""
    env = {**os.environ, "_LOSSCTL_COMPLETE": f"complete_{name}", **env}
    return subprocess.run([LOSSCTL], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)


def bash(line: str, breaks: str = BREAKS) -> list[str]:
    done = shell("bash", COMP_LINE=line, COMP_POINT=str(len(line)), COMP_WORDBREAKS=breaks)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.slow
def test_bash_gets_what_follows_its_word_break() -> None:
    assert bash("lossctl compute mse,huber:") == ["delta="]
    assert bash("lossctl compute mse,huber:", breaks=" \t\n") == ["mse,huber:delta="]
    assert bash("lossctl compute mse samples/diabetes.csv --pred=ri") == ["ridge"]
    assert bash("lossctl compute 'mse,huber:") == ["mse,huber:delta="]  # no word break inside quotes


def test_bash_with_the_script_of_typer() -> None:
    """An older script of typer in a running shell sends words instead of the line."""
    done = shell("bash", COMP_WORDS="lossctl\ncompute\nhub", COMP_CWORD="2")
    assert done.stdout == "huber\n"


@pytest.mark.slow
def test_zsh_gets_a_command_without_a_word_of_the_file(tmp_path: Path) -> None:
    done = shell("zsh", _TYPER_COMPLETE_ARGS="lossctl compute hub")
    assert done.stdout.endswith("compadd -l  -d shown -- $'huber'\n")
    done = shell("zsh", _TYPER_COMPLETE_ARGS="lossctl compute huber:")
    assert done.stdout.endswith("compadd -l -S '' -d shown -- $'huber:delta='\n")
    assert shell("zsh", _TYPER_COMPLETE_ARGS="lossctl compute mse ").stdout == "_files\n"
    (tmp_path / "a.csv").write_text("$(touch x) `y` ';z,ok\n1,2\n")
    done = shell("zsh", _TYPER_COMPLETE_ARGS=f"lossctl compute mse {tmp_path}/a.csv -p ")
    (evil, good) = done.stdout.split(" -- ")[-1].split()
    assert good == "$'ok'"
    assert evil == r"$'\x24\x28touch\x20x\x29\x20\x60y\x60\x20\x27\x3bz'"


@pytest.mark.slow
def test_fish_is_told_when_to_offer_files() -> None:
    action = {"_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    assert shell("fish", _TYPER_COMPLETE_ARGS="lossctl compute hub", **action).returncode == 0
    assert shell("fish", _TYPER_COMPLETE_ARGS="lossctl compute mse ", **action).returncode == 1
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert shell("fish", _TYPER_COMPLETE_ARGS="lossctl compute hub", **action).stdout == (
        "huber\tSquared near zero, absolute beyond delta\n"
    )


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "powershell", "nonsense", ""])
@pytest.mark.slow
def test_never_a_traceback(name: str) -> None:
    """With any environment variables completion prints no traceback."""
    done = shell(name)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_a_fault_of_ours_is_silent(offered: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a completer gives no completions and no message."""

    def broken(*_: object) -> completers.Found:
        raise RuntimeError("on purpose")

    assert offered("lossctl compute hub") == ["huber"]
    monkeypatch.setitem(completers.COMPLETERS, "losses", broken)
    assert offered("lossctl compute hub") == []


@pytest.mark.slow
def test_completion_imports_no_numpy() -> None:
    """It imports neither NumPy nor rich nor polars; it takes at most 1.5 × the import of NumPy (run.py completion)."""
    code = (
        "import sys, os\nfrom lossctl.cli.app import main\n"
        "try: main([])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'rich', 'polars', 'importlib.metadata') if m in sys.modules])"
    )
    for name in ("zsh", "fish"):
        for line in ("lossctl compute mse,hub", "lossctl compute mse samples/diabetes.csv --pred ", "lossctl list --"):
            env = {"_LOSSCTL_COMPLETE": f"complete_{name}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={**os.environ, **env, "_TYPER_COMPLETE_ARGS": line},
                capture_output=True,
                text=True,
                check=True,
            )
            assert len(done.stdout) > 20
            assert done.stdout.splitlines()[-1] == "[]"


def typed(*lines: str) -> list[str]:
    """Return the lines after TAB in a real bash."""
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - the child
        os.chdir(ROOT)
        env = {"PATH": f"{Path(LOSSCTL).parent}:{os.environ['PATH']}", "PS1": "> ", "TERM": "dumb"}
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, **env, "INPUTRC": "/dev/null"})  # noqa: S606

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 50, 500, 0, 0))  # no line is wrapped

    def read(until: Callable[[str], bool]) -> str:
        out, end = "", time.monotonic() + 15
        while not until(out) and time.monotonic() < end:
            if select.select([terminal], [], [], 0.05)[0]:
                out += os.read(terminal, 65536).decode(errors="replace")
        return out

    answers = []
    read(lambda out: "> " in out)
    os.write(
        terminal, b"bind 'set enable-bracketed-paste off'; source <(lossctl --show-completion bash); echo RE''ADY\n"
    )
    read(lambda out: "READY\r\n> " in out)
    for line in lines:
        # The terminal echoes the letters after TAB after the completion.
        os.write(terminal, line.encode() + b"\t~~\x15")
        out = read(lambda out: "~~" in out)
        answers.append(out.replace("\r", "").replace("\x07", "").partition("~~")[0].rpartition("> ")[2])
        read(lambda _: not select.select([terminal], [], [], 0.1)[0])
    os.close(terminal)
    os.waitpid(process, 0)
    return answers


@pytest.mark.slow
def test_a_real_bash(tmp_path: Path) -> None:
    """Words with : = and commas, no blank after delta=, files as the fallback, quoted columns."""
    (tmp_path / "a.csv").write_text("a b,$(touch x)\n1,2\n")
    file = f"lossctl compute mse {tmp_path}/a.csv -p"
    assert typed(
        "lossctl compute hub",
        "lossctl compute mse,huber:",
        "lossctl compute mse samples/diabetes.csv --pred=ri",
        "lossctl compute mse samples/make_sam",
        f"{file} a",
        f"{file} '$",
    ) == [
        "lossctl compute huber ",
        "lossctl compute mse,huber:delta=",
        "lossctl compute mse samples/diabetes.csv --pred=ridge ",
        "lossctl compute mse samples/make_samples.py ",
        rf"{file} a\ b ",
        f"{file} '$(touch x)' ",
    ]


@pytest.mark.parametrize(
    ("text", "quote"), [("a b$`\"'\\!;*", ""), ("a b$`\"\\;*'", '"'), ('a b$`"\\;*', "'"), ("é;\u00a0x", "")]
)
def test_bash_reads_back_what_it_is_given(text: str, quote: str) -> None:
    """Characters with a meaning in bash are quoted."""
    line = f"printf %s {quote}{shells._escaped(text, quote)}{quote}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == text


def test_the_script_is_bash(tmp_path: Path) -> None:
    # Typer asks the processes above it which shell this is; `:` keeps bash from leaving before.
    argv = ["bash", "-c", f"{LOSSCTL} --show-completion bash; :"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "compopt -o nospace" in done.stdout
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


# --- Help -------------------------------------------------------------------------------------------


@pytest.fixture
def run_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[int, str, str]]:
    """Return exit code, stdout and stderr of a command line."""
    monkeypatch.chdir(ROOT)

    def run(line: str) -> tuple[int, str, str]:
        code = main(shlex.split(line))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_h_is_help(run_command: Callable[[str], tuple[int, str, str]], command: str) -> None:
    code, out, err = run_command(f"{command} -h")
    assert (code, out, err) == run_command(f"{command} --help")
    assert code == 0
    first, _, rest = out.partition("\n  Examples:\n\n")
    assert first.startswith("Usage: lossctl")
    assert rest.count("\n\n") >= 1
    assert 3 <= len(rest.partition("\n\n")[0].splitlines()) <= 5


def test_the_environment_is_told(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    """Help lists each environment variable that the command line reads, one per line."""
    _, out, _ = run_command("--help")
    environment = out.partition("Environment:")[2]
    read = {"LOSSCTL_FORMAT", "LOSSCTL_DEBUG", "NO_COLOR", "FORCE_COLOR"}
    assert {line.split()[0] for line in environment.splitlines() if line.strip()} == read
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lossctl" / "cli").rglob("*.py"))
    assert all(f'"{name}"' in sources for name in read)


def test_every_command_is_shown_by_its_job(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    """Each command stands once under a job, with its whole summary; the jobs have an example each."""
    _, out, _ = run_command("--help")
    assert Counter(name for names in JOBS.values() for name in names) == Counter([*COMMANDS])
    words = " ".join(out.split())
    for name, module in COMMANDS.items():
        summary = import_module(f"lossctl.cli.commands.{module}").HELP.partition("\n\n")[0]
        assert f"{name} {' '.join(summary.split())}" in words
    for job in ("compute", "breakdown", "compare", "gradcheck", "explain"):
        assert f"  lossctl {job} " in out
    assert max(map(len, out.splitlines())) <= 84  # an example is not broken


def test_options_are_in_groups(run_command: Callable[[str], tuple[int, str, str]]) -> None:
    """The options of the command come first, then shared options by group; each option appears once."""
    _, out, _ = run_command("gradcheck --help")
    headings = [line for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Arguments:",
        "Options:",
        "Check options:",
        "Model and layer options:",
        "Data options:",
        "Compute options:",
        "Output options:",
    ]
    for option in ("--pred", "--grad", "--wrt", "--nan", "--threads", "--format", "--color", "--help"):
        assert sum(option in line.split("  ")[1] for line in out.splitlines() if line.startswith("  -")) == 1, option


# --- The right word for a wrong one -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("comput", "no such command 'comput'; did you mean 'compute', 'compare'?"),
        (f"compute hubr {PAIR}", "unknown loss 'hubr'; did you mean 'huber'?"),
        (f"compute huber:detla=1 {PAIR}", "huber has no parameter 'detla'; it takes delta; did you mean 'delta'?"),
        (f"compute mse {PAIR} --reduction men", "one of mean, sum, group, output, batch; did you mean 'mean'?"),
        (f"compute mse {PAIR} --reduction x", "--reduction 'x': one of mean, sum, group"),
        (f"compute mse {PAIR} --nan skp", "--nan 'skp': one of error, skip, propagate; did you mean 'skip'?"),
        (f"grad mse {PAIR} --reduction non", "--reduction 'non': one of none, mean, sum; did you mean 'none'?"),
        ("gradcheck mse --wrt logit", "--wrt 'logit': one of pred, logits; did you mean 'logits'?"),
        (f"compute mse {PAIR} --fromat csv", "no option --fromat; did you mean '--format'"),
        ("list -f jsn", "did you mean 'json'"),
        ("list --family binray", "did you mean 'binary'?"),
        ("list --color allways", "did you mean 'always'?"),
        ("compute mse mae p.csv t.csv", "several losses are one word, with commas: mse,mae"),
        ("compute mse,huber:delta=2 l1 p.csv", "several losses are one word, with commas: mse,huber:delta=2,l1"),
        ("compute mse mae l2 p.csv t.csv", "several losses are one word, with commas: mse,mae,l2"),
        ("compute p.csv t.csv", "'p.csv' is a file: the loss comes first: lossctl compute LOSS p.csv t.csv"),
        (f"gradcheck {PAIR}", "is a file: the loss comes first: lossctl gradcheck LOSS samples/"),
        ("info samples/diabetes.csv", "is a file: the loss comes first: lossctl info LOSS"),
        (
            f"compute samples/my_losses:asym {PAIR}",
            "unknown loss 'samples/my_losses'; a function of samples/my_losses.py is written samples/my_losses.py:FUNC",
        ),
        ("compute mse p.csv t.csv more.csv", "too many arguments (more.csv); -p and -t name columns; see"),
    ],
)
def test_what_was_meant(run_command: Callable[[str], tuple[int, str, str]], line: str, told: str) -> None:
    """An error of one line with exit code 2 that suggests the right word."""
    code, out, err = run_command(line)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_right_words_are_not_corrected(
    run_command: Callable[[str], tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with names of losses, and losses in files, cause no suggestion."""
    for name in ("mse", "mae"):
        (tmp_path / name).write_text("1\n2\n")
    (tmp_path / "v1.csv.py").write_text("def f(pred, target):\n    return pred - target\n")
    monkeypatch.chdir(tmp_path)
    from lossctl.cli.app import main

    assert main(["compute", "mse", "mse", "mae", "--input-format", "csv", "-q"]) == 0
    assert main(["compute", "v1.csv.py:f", "mse", "mae", "--input-format", "csv", "-q"]) == 0


# --- A user's plain function ------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(
        "def bare(pred, target, *, k=2):\n    return abs(pred - target) ** k\n"
        "def short(pred, target):\n    return (pred - target)[:2]\n"
        "def word(pred, target):\n    return 'x'\n"
        "def slope(pred, target):\n    return pred - target, 1.0\n"
    )
    return path


def test_info_of_a_function_without_a_docstring(run_command: Callable[[str], tuple[int, str, str]], mine: Path) -> None:
    """The title is the name of the function, and the file is shown."""
    code, out, _ = run_command(f"info {mine}:bare")
    assert code == 0
    assert out.splitlines()[0] == "bare"
    assert re.search(rf"^from +{re.escape(str(mine))}$", out, re.MULTILINE)
    assert "k=2: a whole number" in out
    assert get_loss(f"{mine}:bare").family == str(mine)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("short", "returned shape (2,) instead of"),
        ("word", "returned: str instead of an array of numbers"),
        ("slope", "gradient shape () instead of"),
    ],
)
def test_what_a_function_returns_is_told_with_its_file(
    run_command: Callable[[str], tuple[int, str, str]], mine: Path, name: str, cause: str
) -> None:
    code, _, err = run_command(f"{'grad' if name == 'slope' else 'compute'} {mine}:{name} {PAIR}")
    assert code == 2
    assert err.startswith(f"lossctl: {mine}: {name}: {cause}")


def test_a_choice_that_is_wrong_in_python() -> None:
    with pytest.raises(UsageError, match=r"^nan 'none': one of error, skip, propagate$"):
        api.compute("mse", [1.0], [1.0], nan="none")
