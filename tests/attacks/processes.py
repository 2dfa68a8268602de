"""Attacks on the process: what a user's code raises and prints, signals, files left behind, little of anything."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
from attacks.harness import attack, run

from lossctl.io import polars_guard

LOSSCTL = (sys.executable, "-m", "lossctl")
ARGS = ("p.csv", "-p", "p", "-t", "t", "-q")
USER = """
import atexit, os, subprocess, sys
import numpy as np

class Odd(BaseException): pass
class Unprintable(Exception):
    def __str__(self): raise RuntimeError("no text")
class OddArray:
    def __array__(self, *args, **kwargs): raise Odd("array")

def odd(pred, target): raise Odd("x")
def unprintable(pred, target): raise Unprintable
def sys_exit(pred, target): sys.exit(1)
def interrupt(pred, target): raise KeyboardInterrupt
def end_of_file(pred, target): raise EOFError
def generator(pred, target): raise GeneratorExit
def group(pred, target): raise BaseExceptionGroup("g", [Odd("x")])
def returns_odd(pred, target): return OddArray()
def two_lines(pred, target): raise ValueError("a\\n\\x1b[31m\\u202eb")

def descriptor(pred, target): os.write(1, b"NO\\n"); return pred * 0
def original(pred, target): sys.__stdout__.write("NO\\n"); return pred * 0
def child(pred, target): subprocess.run(["echo", "NO"]); return pred * 0
def device(pred, target): open("/dev/stdout", "w").write("NO\\n"); return pred * 0
def at_exit(pred, target):
    atexit.register(lambda: print("NO")); atexit.register(lambda: os.write(1, b"NO\\n")); return pred * 0
def closes(pred, target): os.close(1); return pred * 0
def kills(pred, target): os.kill(os.getpid(), 15); return pred * 0
"""
RAISES = (
    "odd",
    "unprintable",
    "sys_exit",
    "end_of_file",
    "generator",
    "group",
    "returns_odd",
    "two_lines",
)
PRINTS = ("descriptor", "original", "child", "device", "at_exit", "closes")


def process(*argv: str, limit: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process, under the limits of a shell's ``ulimit``."""
    command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *LOSSCTL, *argv] if limit else [*LOSSCTL, *argv]
    environ = {**os.environ, **(env or {})}
    return subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False)


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Assert exit code 2, nothing on stdout, and one printable line with these parts on stderr."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("lossctl: "), done
    assert done.stderr.endswith("\n"), done
    assert done.stderr[:-1].isprintable(), done
    assert all(part in done.stderr for part in parts), done


def small(folder: Path) -> None:
    """Write a user's file and three samples."""
    (folder / "my.py").write_text(USER)
    (folder / "p.csv").write_text("p,t\n1,2\n2,3\n3,1\n")


@attack("exit codes", *RAISES)
def raised_by_a_loss(folder: Path, name: str) -> None:
    small(folder)
    run("compute", f"my.py:{name}", *ARGS).refused("my.py:", name if name != "returns_odd" else "Odd: array")


@attack("exit codes", *RAISES)
def raised_by_a_gradient(folder: Path, name: str) -> None:
    small(folder)
    run("gradcheck", "mse", *ARGS, "--grad", f"my.py:{name}").refused("my.py:")


@attack("exit codes", "raise BaseException('x')", "import sys; sys.exit(0)", "1/0")
def raised_by_an_import(folder: Path, source: str) -> None:
    small(folder)
    (folder / "bad.py").write_text(source)
    run("compute", "bad.py:f", *ARGS).refused("bad.py: cannot be imported: ")


@attack("exit codes", *PRINTS, slow=True)
def printed_by_a_loss(folder: Path, name: str) -> None:
    small(folder)
    done = process("compute", f"my.py:{name}", *ARGS)
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done


@attack("exit codes")
def all_ways_to_print(folder: Path) -> None:
    small(folder)
    names = [name for name in PRINTS if name != "closes"]
    done = process("compute", ",".join(f"my.py:{name}" for name in names), *ARGS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.0\n" * len(names), "NO\n" * 6), done


@attack("exit codes")
def a_loss_that_ends_the_process_by_a_signal(folder: Path) -> None:
    small(folder)
    done = process("compute", "my.py:kills", *ARGS)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", ""), done


@attack("exit codes")
def a_loss_that_raises_the_exception_of_ctrl_c(folder: Path) -> None:
    """In a process lossctl has its own handler of SIGINT, so that it can tell the two apart."""
    small(folder)
    one_line(process("compute", "my.py:interrupt", *ARGS), "my.py:", "interrupt: KeyboardInterrupt")


@attack("exit codes", "compute", "info", "grad")
def a_name_of_300_characters(folder: Path, command: str) -> None:
    small(folder)
    run(command, "x" * 300, *(ARGS if command != "info" else ())).refused("unknown loss 'xxx")


@attack("exit codes", "-1e308,1e308", "-5e-324,5e-324")
def a_range_that_no_chart_has(folder: Path, span: str) -> None:
    run("plot", "mse", f"--range={span}").refused("mse: the range from ", "to draw")
    assert run("plot", "mse", "--range=-1e300,1e300").code == 0


@attack("exit codes", slow=True)
def a_backend_of_matplotlib_that_does_not_exist(folder: Path) -> None:
    done = process("plot", "mse", "-o", "x.svg", env={"MPLBACKEND": "nonsense"})
    assert (done.returncode, done.stderr) == (0, ""), done


@attack("exit codes", "\x80", "[lossctl.losses\n", "[lossctl.losses]\nno equals sign\n", "[lossctl.losses]\n= x\n")
def damaged_metadata_of_another_package(folder: Path, text: str) -> None:
    small(folder)
    (folder / "bad-1.0.dist-info").mkdir()
    (folder / "bad-1.0.dist-info/METADATA").write_text("Name: bad\n")
    (folder / "bad-1.0.dist-info/entry_points.txt").write_bytes(text.encode("latin-1"))
    sys.path.insert(0, str(folder))
    try:
        run("compute", "no_such_loss_at_all", *ARGS).refused("unknown loss 'no_such_loss_at_all'")
        assert run("list", "-f", "csv").code == 0
    finally:
        sys.path.remove(str(folder))


@attack("exit codes", 60_000, 100_000, 140_000, slow=True)
def little_memory(folder: Path, kilobytes: int) -> None:
    small(folder)
    done = process("compute", "mse", *ARGS, limit=f"ulimit -v {kilobytes}")
    if done.returncode:
        one_line(done)
    else:
        assert done.stdout == "2.0\n"


@attack("exit codes", 150_000, 400_000, 1_200_000, slow=True)
def little_memory_for_polars(folder: Path, kilobytes: int) -> None:
    (folder / "p.csv").write_text("p,t\n" + "1,2\n" * 1_500_000)
    pl.DataFrame({"p": [1.0], "t": [2.0]}).write_parquet("p.parquet")
    np.savez("p.npz", p=[1.0, 3.0], t=[2.0, 3.0])
    for words in (["compute", "mse", "p.csv"], ["compute", "mse", "p.parquet"], ["compare", "mse", "p.npz", "-p", "t"]):
        done = process(*words, *ARGS[1:], limit=f"ulimit -v {kilobytes}")
        if done.returncode:
            one_line(done)
    one_line(process("compute", "mse", "p.parquet", *ARGS[1:], limit=f"ulimit -v {kilobytes}"), "ulimit -v")


@attack("exit codes")
def no_more_threads(folder: Path) -> None:
    """Text is read by the thread of the run, and a format that needs polars is refused."""
    (folder / "p.csv").write_text("p,t\n" + f"1.{0:030},2\n" * 150_000)
    pl.DataFrame({"p": [1.0], "t": [2.0]}).write_parquet("p.parquet")
    polars_guard.has_room.cache_clear()
    try:
        with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
            assert run("compute", "mse", *ARGS).value == 1.0
            run("compute", "mse", "p.parquet", *ARGS[1:]).refused("p.parquet: ", "too few threads")
    finally:
        polars_guard.has_room.cache_clear()


@attack("exit codes", 5, 6, 8, slow=True)
def few_descriptors(folder: Path, number: int) -> None:
    small(folder)
    done = process("compute", "mse", *ARGS, limit=f"ulimit -n {number}")
    if done.returncode:
        one_line(done, "oo many open files")
    else:
        assert done.stdout == "2.0\n"


@attack("left behind", "q.csv", "./hard.csv", "sh/a.csv", "my.py")
def an_output_that_is_an_input(folder: Path, out: str) -> None:
    small(folder)
    (folder / "sh").mkdir()
    for name in ("q.csv", "sh/a.csv"):
        (folder / name).write_text("p,t\n1,2\n")
    os.link("q.csv", "hard.csv")
    before = Path(out).read_bytes()
    options = ("-p", "p", "-t", "t", "-o", out, "-f", "csv")
    for preds in ("q.csv", "sh", "sh/*.csv"):
        if ("sh" in preds) == ("sh" in out) and out != "my.py":
            run("compute", "mse", preds, *options).refused(f"-o {out}: it is an input, ")
    if out == "my.py":
        run("gradcheck", "mse", "q.csv", *options, "--grad", "my.py:odd").refused("-o my.py: it is an input")
    if out == "q.csv":
        run("compute", "mse", "sh", *options, "-w", "q.csv").refused("-o q.csv: it is an input")
    assert Path(out).read_bytes() == before


@attack("left behind")
def an_output_keeps_mode_owner_and_links(folder: Path) -> None:
    small(folder)
    out = folder / "out.csv"
    out.write_text("old")
    out.chmod(0o640)
    if not os.getuid():
        os.chown(out, 1234, 1234)
    (folder / "link.csv").symlink_to(out)
    assert run("compute", "mse", *ARGS[:-1], "-o", "link.csv").code == 0
    assert (folder / "link.csv").is_symlink()
    state = out.stat()
    assert stat.S_IMODE(state.st_mode) == 0o640
    assert os.getuid() or (state.st_uid, state.st_gid) == (1234, 1234)
    name = "x" * 251 + ".csv"
    assert run("compute", "mse", *ARGS[:-1], "-o", name).code == 0
    assert {path.name for path in folder.iterdir()} == {"my.py", "p.csv", "out.csv", "link.csv", name}


@attack("left behind")
def a_dash_is_stdout(folder: Path) -> None:
    small(folder)
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        done = run("compute", "mse", *ARGS[:-1], "-f", "value", "-o", name)
        assert (done.code, done.out) == (0, "2.0\n"), done
    assert not (folder / "-").exists()


@attack("options")
def several_outputs(folder: Path) -> None:
    """Each is what a run with this output alone writes, and nothing is written unless all runs succeed."""
    small(folder)
    alone = {}
    for name in ("x.csv", "y.json", "z.npy"):
        assert run("breakdown", "mse", *ARGS[:-1], "-o", name).code == 0
        alone[name] = (folder / name).read_bytes()
        (folder / name).unlink()
    outputs = [word for name in (*alone, "-") for word in ("-o", name)]
    told, stdout = run("breakdown", "mse", *ARGS[:-1], *outputs), run("breakdown", "mse", *ARGS[:-1])
    assert told == stdout
    assert {name: (folder / name).read_bytes() for name in alone} == alone
    for name in alone:
        (folder / name).unlink()
    run("breakdown", "mse", *ARGS[:-1], *outputs, "--top", "1").refused("-o FILE.npy holds every sample")
    run("breakdown", "mse", *ARGS[:-1], *outputs, "-o", "./x.csv").refused("-o x.csv: it is named twice")
    run("breakdown", "mse", *ARGS[:-1], *outputs, "-o", "p.csv").refused("-o p.csv: it is an input")
    run("breakdown", "mse", *ARGS[:-1], *outputs[:4], "-f", "csv").refused("--format csv: each -o has a suffix")
    run("breakdown", "mse", "-", *ARGS[1:-1], *outputs).refused("several -o read the data once for each", "'-'")
    assert {path.name for path in folder.iterdir()} == {"my.py", "p.csv"}


@attack("options", "-f csv --format json", "--header --no-header", "--nan skip --nan error")
def an_option_that_is_given_twice(folder: Path, options: str) -> None:
    small(folder)
    run("compute", "mse", *ARGS, *options.split()).refused(" is given twice")


def _long_run(folder: Path) -> subprocess.Popen[bytes]:
    """Start a run that writes 10 MB to out.csv; return when it handles signals."""
    if not (folder / "a.csv").exists():
        (folder / "a.csv").write_text("p,t\n" + "0.123456789,2\n" * 200_000)
        (folder / "out.csv").write_text("old")
    command = [*LOSSCTL, "grad", "mse", "a.csv", "-p", "p", "-t", "t", "-o", "out.csv"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            break
        time.sleep(0.001)
    return process


def _ended(process: subprocess.Popen[bytes], number: int, delay: float) -> tuple[int, bytes]:
    time.sleep(delay)
    process.send_signal(number)
    err = process.communicate()[1]
    return process.returncode, err


def _whole(folder: Path) -> None:
    """Assert that out.csv is the old file or a whole new one, and that there is no other file."""
    assert {path.name for path in folder.iterdir()} == {"a.csv", "out.csv"}
    text = (folder / "out.csv").read_text()
    assert text == "old" or text.count("\n") == 200_001


@cache
def _seconds() -> float:
    """The time of the long run."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        began = time.monotonic()
        _long_run(Path(folder)).communicate()
        return time.monotonic() - began


@attack("left behind", *range(50), slow=True, tested=10)
def killed_at_a_random_moment(folder: Path, seed: int) -> None:
    moment = random.Random(seed).uniform(0, _seconds())  # noqa: S311
    _ended(_long_run(folder), signal.SIGKILL, moment)
    _whole(folder)


@attack("left behind", "SIGINT", "SIGTERM", "SIGHUP", slow=True)
def ended_by_a_signal(folder: Path, name: str) -> None:
    number = signal.Signals[name]
    for moment in (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
        code, err = _ended(_long_run(folder), number, moment)
        # -number: the interpreter is past its end, and has given the signal back to the system.
        assert code in {0, 128 + number, -number}, (moment, code, err)
        assert err == b"", (moment, code, err)
        _whole(folder)


@attack("code", slow=True)
def modules_of_the_current_folder_on_a_local_cluster(folder: Path) -> None:
    small(folder)
    for name in ("multiprocessing", "pickle", "struct", "socket", "selectors"):
        (folder / f"{name}.py").write_text("open('ran', 'w')\n")
    script = Path(sys.executable).with_name("lossctl")
    done = subprocess.run([script, "compute", "mse", *ARGS, "--cluster", "local"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"2.0\n"), done
    assert not (folder / "ran").exists()
