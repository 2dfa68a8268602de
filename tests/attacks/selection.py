"""Attacks on the options that choose, match and group rows, and on ``explain``."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
from attacks.harness import attack, run

import lossctl.engine.run

A = "id,p,t,g\na,1,2,x\nb,3,4,x\nc,5,6,y\n"
ONE = ("a.csv", "-p", "p", "-t", "t")


def small(folder: Path) -> None:
    """Write a table, its rows in another order, and a file without a header."""
    (folder / "a.csv").write_text(A)
    (folder / "k.csv").write_text("id,t\nb,4\nc,6\na,2\n")
    (folder / "n.csv").write_text("2\n4\n6\n")


@attack(
    "options",
    *[
        "pred",
        "weight",
        "group",
        "on",
        "join",
        "header-of",
        "where",
        "labels",
        "input",
        "framework",
        "output",
        "delimiter",
    ],
)
def an_empty_value(folder: Path, option: str) -> None:
    small(folder)
    files = ("a.csv", "k.csv") if option in ("on", "join") else ("a.csv",)
    run("compute", "mse", *files, *ONE[1:], f"--{option}", "").refused("''" if option != "join" else "--join")


@attack("options", "--cluster-by", "--by")
def an_empty_column_of_compare(folder: Path, option: str) -> None:
    small(folder)
    run("compare", "mse", *ONE, "-p", "t", option, "").refused("''")


@attack("options")
def an_empty_name_in_a_list(folder: Path) -> None:
    small(folder)
    run("compute", "mse", "a.csv", "-p", "p,", "-t", "t").refused("a.csv: there is no column ''")


@attack("options", "b.csv", "./a.csv", "\x1b[31m", "a.csv,n.csv")
def a_header_of_no_input(folder: Path, name: str) -> None:
    small(folder)
    words = ("a.csv", "n.csv", "-p", "p", "-t", "@1", "--no-header", "--header-of")
    assert run("compute", "mse", *words, "a.csv", "-q").value == 1.0
    run("compute", "mse", *words, name).refused("--header-of", "no such input")


@attack("options")
def a_header_of_a_file_when_all_have_one(folder: Path) -> None:
    small(folder)
    run("compute", "mse", *ONE, "--header", "--header-of", "a.csv").refused("leave out --header-of")


@attack("rows", "csv", "parquet", "text in parquet", "nan in parquet")
def a_key_that_is_missing(folder: Path, how: str) -> None:
    """Two missing keys are no pair."""
    keys = {"csv": ["", "a"], "parquet": [None, 1.0], "text in parquet": [None, "a"], "nan in parquet": [np.nan, 1.0]}
    left = pl.DataFrame({"id": keys[how], "p": [1.0, 2.0]}, strict=False)
    right = pl.DataFrame({"id": keys[how][::-1], "t": [2.0, 1.0]}, strict=False)
    form = "csv" if how == "csv" else "parquet"
    for name, frame in (("l", left), ("r", right)):
        (frame.write_csv if form == "csv" else frame.write_parquet)(f"{name}.{form}")
    for join in ("id", "id:inner"):
        words = (f"l.{form}", f"r.{form}", "-p", "p", "-t", "t", "--join", join)
        run("compute", "mse", *words).refused(f"--join: l.{form}", "column 'id': the key is missing")


@attack("rows", "id:outer", "id:inner:inner", "nothing", "\x1b[31m")
def a_join_by_no_column(folder: Path, column: str) -> None:
    small(folder)
    run("compute", "mse", "a.csv", "k.csv", "-p", "p", "-t", "t", "--join", column).refused("has no such column")


@attack("rows", "1\n01\n1.0", "a\na\nb")
def a_key_that_is_there_several_times(folder: Path, keys: str) -> None:
    for name, column in (("l", "p"), ("r", "t")):
        rows = "".join(f"{key},{i}\n" for i, key in enumerate(keys.split("\n")))
        (folder / f"{name}.csv").write_text(f"id,{column}\n{rows}")
    run("compute", "mse", "l.csv", "r.csv", "-p", "p", "-t", "t", "--join", "id").refused("the key ", "is there ")


@attack("options", "p>=1 && t>1", "p>=1_000", "p>١", "g==", "==1", "__import__('os').abort()==1", "p>1;t>1")
def a_condition_that_is_none(folder: Path, condition: str) -> None:
    small(folder)
    run("compute", "mse", *ONE, "--where", condition).refused()


@attack("options")
def a_condition_that_no_row_meets(folder: Path) -> None:
    small(folder)
    (folder / "w.csv").write_text("p,t,w\n1,2,0\n3,4,0\n")
    for words in ((*ONE, "--where", "p>99"), ("w.csv", *ONE[1:], "-w", "w")):
        for command in ("compute", "breakdown"):
            run(command, "mse", *words).refused("mse: no sample is left")
        for reduction in ("none", "mean"):
            run("grad", "mse", *words, "--reduction", reduction).refused("mse: no sample is left")
        of_sum = run("grad", "mse", *words, "--reduction", "sum", "-f", "value")
        assert (of_sum.code, set(of_sum.out.split())) == (0, {"0.0"}), of_sum
        run("gradcheck", "mse", *words).refused("mse: no sample is left")
        for command in ("gradcheck", "verify"):
            run(command, "mse", *words, "--grad", "t").refused("mse: no sample is left")


@attack("rows")
def blocks_in_which_no_row_counts(folder: Path) -> None:
    """The gradient is checked at the rows of the others."""
    rng, n = np.random.default_rng(0), 200_000
    pred, target, counts = rng.random(n), rng.random(n), np.repeat([0, 1, 0], [80_000, 40_000, 80_000])
    grads = {"right": 2 * (pred - target) * counts, "wrong": (pred - target) * counts}
    np.savez("d.npz", p=pred, t=target, k=counts, **grads)
    words = ("d.npz", "-p", "p", "-t", "t", "--where", "k==1")
    for command in ("gradcheck", "verify"):
        for name in grads:
            ended = run(command, "mse", *words, "--grad", name, "-f", "csv")
            assert (ended.code, "40000" in ended.out) == (name == "wrong", True), ended
    assert run("gradcheck", "mse", *words).code == 0


OBSERVED = """
import numpy as np
calls = [0]
def coupled(pred, target):
    return (pred - pred.mean() - target) ** 2, 2 * (pred - pred.mean() - target)
def changes(pred, target):
    loss, slope = (pred - target) ** 2, 2 * (pred - target)
    pred *= 1.0
    pred += 1.0
    return loss, slope
def random(pred, target):
    calls[0] += 1
    return (pred - target) ** 2 + calls[0], 2 * (pred - target)
def objective(pred, target):
    pred -= target
    return 2 * pred
"""


@attack("rows", "threads", "stdin")
def observations_of_a_function_where_rows_count(folder: Path, how: str) -> None:
    """They are made in the first block in which a row counts, which may not be the first one."""
    (folder / "my.py").write_text(OBSERVED)
    rng, n = np.random.default_rng(0), 4000
    columns = {f"p{i}": rng.random(n) for i in range(2)} | {f"t{i}": rng.random(n) for i in range(2)}
    pl.DataFrame(columns | {"k": np.arange(n) >= 3900}).cast(pl.Float64).write_csv("d.csv")
    words = ("-p", "p0,p1", "-t", "t0,t1", "--where", "k==1.0")
    with mock.patch.object(lossctl.engine.run, "BLOCK", 1000):
        if how == "stdin":
            ended = run("gradcheck", "my.py:coupled", "-", *words, stdin=Path("d.csv").read_bytes())
            ended.refused("stdin and pipes can be read only once")
            return
        assert "every coordinate of the batch" in run("gradcheck", "my.py:coupled", "d.csv", *words).out
        assert "changes its input pred in place" in run("gradcheck", "my.py:changes", "d.csv", *words).out
        run("gradcheck", "my.py:random", "d.csv", *words).refused("random: its loss differs")
        assert (
            "changes its input pred in place"
            in run("gradcheck", "mse", "d.csv", *words, "--grad", "my.py:objective").out
        )
        compared = run("gradcheck", "mse", "d.csv", *words, "--grad", "p0,p1")
        assert "finite differences confirm" in compared.out, compared


@attack("options", "p,t", "a.csv", "nothing", "*")
def a_group_that_is_no_column(folder: Path, column: str) -> None:
    small(folder)
    run("compute", "mse", *ONE, "--group", column, "--reduction", "group").refused()
    run("compare", "mse", *ONE, "-p", "t", "--cluster-by", column).refused()


@attack("terminal")
def names_of_groups_and_clusters(folder: Path) -> None:
    (folder / "a.csv").write_text("p,t,g\n1,2,\x1b[31m\n3,4,\u202e\n5,5,\x9b\n6,5,\x9b\n")
    for words in (("breakdown", "mse", *ONE, "--by", "g"), ("compare", "mse", *ONE, "-p", "t", "--by", "g")):
        ended = run(*words)
        assert ended.code == 0, ended
        assert "".join((ended.out + ended.err).split("\n")).isprintable(), ended


@attack("options")
def long_names_that_differ_at_the_end(folder: Path) -> None:
    """A name is shortened in messages, and not where columns are compared."""
    prefix = "probability_of_the_positive_class_of_the_model_"
    (folder / "a.csv").write_text(f"{prefix}p,{prefix}t\n1,2\n3,5\n")
    ended = run("compute", "mse", "a.csv", "-p", "@1", "-t", "@2", "-f", "csv")
    assert (ended.code, ended.err) == (0, ""), ended
    run("compute", "mse", "a.csv", "-p", "@1", "-t", "@1", "--strict").refused("the same column", "(@1)")


@attack("options", "1_0", "١", "0x10", "", "nan", "1e400", "1,,2", "\x1b[31m")
def a_number_to_explain_that_is_none(folder: Path, text: str) -> None:
    small(folder)
    number = text not in ("nan", "1e400")
    run("explain", text, *ONE).refused("is not a number" if number else "is not a finite number")


@attack("options")
def a_negative_number_to_explain(folder: Path) -> None:
    small(folder)
    assert run("explain", "-0.5", *ONE).code in {0, 1}


@attack("exit codes", "raise BaseException('a\\n\\x1b[31m')", "raise SystemExit(1)", "return None", "return 'a'")
def a_function_to_explain_that_gives_no_number(folder: Path, body: str) -> None:
    (folder / "my.py").write_text(f"def f(pred, target):\n    {body}\n")
    run("explain", "my.py:f").refused("the function gives a number for none of the kinds of data")


@attack("left behind")
def a_probe_that_is_an_input(folder: Path) -> None:
    small(folder)
    for name in ("a.csv", "./a.csv"):
        run("explain", "1.125", *ONE, "--probe", name).refused(f"--probe {name}: it is an input")
    assert (folder / "a.csv").read_text() == A
